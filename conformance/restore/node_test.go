package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leat/conformance/port"
)

var leat string // the binary

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "restore")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	leat = filepath.Join(dir, "leat")
	build := exec.Command("go", "build", "-o", leat, "./cmd/leat")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// node is a running binary.
type node struct {
	data, config string
	http, kafka  string
	cmd          *exec.Cmd
	log          bytes.Buffer
}

const readyTime = 30 * time.Second

func freePort(t *testing.T) string {
	t.Helper()
	addr, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// settings is a configuration in which little is enough for events to move to segment files and for the journal to be trimmed.
func settings(t *testing.T, archive string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "leat.yaml")
	text := `
journal: {ring_bytes: 64MiB, file_bytes: 16MiB, frame_bytes_max: 4MiB}
broker: {segment_window_bytes: 4MiB, segment_backlog_bytes_max: 64MiB, keep_interval: 100ms, state_flush_interval: 500ms}
keys: {chunk_bytes: 256KiB}
archive: {url: "` + archive + `"}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func start(t *testing.T, data, config string) *node {
	t.Helper()
	n := &node{data: data, config: config, http: freePort(t), kafka: freePort(t)}
	n.start(t)
	t.Cleanup(func() { n.kill(t) })
	return n
}

func (n *node) start(t *testing.T) {
	t.Helper()
	args := []string{"serve", "--data", n.data, "--log", "warn", "--listen", "http=" + n.http, "--listen", "kafka=" + n.kafka}
	if n.config != "" {
		args = append(args, "--config", n.config)
	}
	n.cmd = exec.Command(leat, args...)
	n.cmd.Stderr = &n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(readyTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get("http://" + n.http + "/readyz"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("the node does not get ready: %s", n.log.String())
}

// kill is kill -9.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
	n.cmd = nil
	if t.Failed() {
		t.Log(n.log.String())
	}
}

// run runs a command of the binary that has to succeed.
func (n *node) run(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(leat, append(args, "--url", "http://"+n.http)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("leat %s: %v: %s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	if out.Len() > 0 {
		return out.String() // on the other one there may be progress, where it takes longer
	}
	return errs.String()
}

func restored(t *testing.T, archive, until string) *node {
	t.Helper()
	data := filepath.Join(t.TempDir(), "restored")
	out, err := exec.Command(leat, "restore", "--from", archive, "--data", data, "--until", until).CombinedOutput()
	if err != nil {
		t.Fatalf("restore: %v: %s", err, out)
	}
	t.Logf("restore: %s", out)
	return start(t, data, "")
}

// get is the body of an answer of 200.
func (n *node) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.http+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d: %s", path, res.StatusCode, b)
	}
	return b, err
}
