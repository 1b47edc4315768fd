package clienttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Everything is small, so that what is written spans the journal, many segment files and many key files.
const keptConfig = `broker:
  segment_window_bytes: 256KiB
  segment_backlog_bytes_max: 64MiB
  keep_interval: 50ms
  hot_tail_bytes: 1MiB
journal:
  file_bytes: 1MiB
  ring_bytes: 4MiB
  frame_bytes_max: 512KiB
segments:
  shared_bytes_max: 1MiB
  own_bytes_min: 128KiB
  block_bytes: 16KiB
  merge_files: 3
keys:
  chunk_bytes: 64KiB
  block_bytes: 1KiB
  fan_in: 3
`

// keptNode is a leat that keeps its data and its addresses over restarts.
type keptNode struct {
	kafka, http, dir string
	client           *http.Client
	cmd              *exec.Cmd
}

func startKept(t *testing.T) *keptNode {
	t.Helper()
	n := &keptNode{dir: t.TempDir(), kafka: fixedPort(t), http: fixedPort(t), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	if err := os.WriteFile(filepath.Join(n.dir, "leat.yaml"), []byte(keptConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n.cmd != nil {
			_ = n.cmd.Process.Kill()
			_ = n.cmd.Wait()
		}
		if log, _ := os.ReadFile(filepath.Join(n.dir, "log")); t.Failed() || bytes.Contains(log, []byte("panic")) {
			t.Errorf("the node's log:\n%s", log[max(0, len(log)-3000):])
		}
	})
	n.run(t)
	return n
}

// fixedPort is outside the range that outgoing connections get theirs from: it must be free after a kill, too.
func fixedPort(t *testing.T) string {
	t.Helper()
	for _, p := range rand.Perm(5000) {
		addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(15_000+p))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port from 15000 to 19999")
	return ""
}

// run starts the node and waits until it serves.
func (n *keptNode) run(t *testing.T) {
	t.Helper()
	bin, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n.cmd = exec.Command(bin, "serve", "--config", filepath.Join(n.dir, "leat.yaml"), "--data", filepath.Join(n.dir, "data"), "--listen", "kafka="+n.kafka, "--listen", "http="+n.http)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		if status, _, err := n.request(t.Context(), "GET", "/readyz", nil, ""); err == nil && status == http.StatusOK {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the node was not ready within a minute")
}

func (n *keptNode) kill(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = n.cmd.Wait()
}

func (n *keptNode) stop(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Wait(); err != nil {
		t.Errorf("leat did not stop well: %v", err)
	}
}

func (n *keptNode) request(ctx context.Context, method, path string, header map[string]string, body string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+n.http+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	res, err := n.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	return res.StatusCode, out, err
}

// must sends a request that has to be answered with 200 or 201.
func (n *keptNode) must(t *testing.T, ctx context.Context, method, path, body string) []byte {
	t.Helper()
	status, out, err := n.request(ctx, method, path, nil, body)
	if err != nil || status/100 != 2 {
		t.Fatalf("%s %s: %d %s %v", method, path, status, out, err)
	}
	return out
}

// moved waits until there are segment files: without them the test would read the journal only.
func (n *keptNode) moved(t *testing.T, ctx context.Context) {
	t.Helper()
	for ctx.Err() == nil {
		files := 0
		_ = filepath.WalkDir(filepath.Join(n.dir, "data"), func(path string, d os.DirEntry, _ error) error {
			if d != nil && strings.HasSuffix(path, ".seg") {
				files++
			}
			return nil
		})
		if files > 0 {
			t.Logf("%d segment files", files)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("nothing left the journal: there are no segment files")
}

// writeConditionally appends httpRounds events to each key, each with the version that the key must have, while others write to it, too.
func writeConditionally(ctx context.Context, n *keptNode, round func(int)) (map[string]int, error) {
	const writers = 4
	acked := make([]map[string]int, writers)
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		acked[w] = map[string]int{}
		wg.Go(func() {
			expect := map[string]string{}
			for i := range httpRounds {
				for k := w; k < keyCount; k += writers {
					key := fmt.Sprintf("k%d", k)
					if errs[w] = n.appendExpecting(ctx, key, i, expect); errs[w] != nil {
						return
					}
					acked[w][key]++
				}
			}
		})
	}
	wg.Wait()
	round(0) // says only that it goes on: the rounds of the others are what is counted
	all := map[string]int{}
	for _, m := range acked {
		for k, c := range m {
			all[k] += c
		}
	}
	return all, errors.Join(errs...)
}

// appendExpecting appends one event and learns the key's version from a conflict. When the answer is lost, the same event goes again: its
// id makes it one.
func (n *keptNode) appendExpecting(ctx context.Context, key string, round int, expect map[string]string) error {
	if expect[key] == "" {
		expect[key] = "none"
	}
	header := map[string]string{
		"Content-Type": "text/plain", "Ce-Specversion": "1.0", "Ce-Source": "/keys", "Ce-Type": "keys.http", "Ce-Partitionkey": key, "Ce-Id": fmt.Sprintf("%s-%d", key, round),
	}
	for range 1000 {
		header["Leat-Expected-Version"] = expect[key]
		status, body, err := n.request(ctx, "POST", "/v1/streams/"+keyStream+"/events", header, fmt.Sprintf("http %d", round))
		var answer struct {
			Version uint64
			Failed  []struct{ Current any }
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil || status == http.StatusServiceUnavailable:
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Errorf("%d %s: %w", status, body, err)
		}
		switch {
		case status/100 == 2 && answer.Version > 0:
			expect[key] = fmt.Sprint(answer.Version)
			return nil
		case status == http.StatusConflict && len(answer.Failed) == 1:
			expect[key] = fmt.Sprint(answer.Failed[0].Current)
		default:
			return fmt.Errorf("append to %s expecting %s: %d %s", key, expect[key], status, body)
		}
	}
	return fmt.Errorf("key %s: 1000 conflicts", key)
}

// lineWriter calls itself with each whole line.
func lineWriter(line func(string)) io.Writer { return &lines{line: line} }

type lines struct {
	line func(string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.line(strings.TrimSpace(string(l.rest[:i])))
		l.rest = l.rest[i+1:]
	}
}
