package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leat/conformance/port"
)

var programs string // folder with leat and inbox

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "inbox")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	for _, b := range []struct{ from, name, pkg string }{{"../..", "leat", "./cmd/leat"}, {"../../examples", "inbox", "./inbox"}} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, b.name), b.pkg)
		build.Dir, build.Env = filepath.FromSlash(b.from), append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func freePort(t *testing.T) string {
	t.Helper()
	addr, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// process is a program that is killed and started again.
type process struct {
	addr string // where it listens
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// start starts it and waits until it takes connections.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		if c, err := net.Dial("tcp", p.addr); err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v does not listen: %s", p.args, p.log.String())
		}
	}
}

// kill ends it without a word.
func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// newNode starts the binary on a data directory of its own.
func newNode(t *testing.T) *process {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "leat.yaml")
	if err := os.WriteFile(config, []byte("journal: {ring_bytes: 64MiB, file_bytes: 16MiB, frame_bytes_max: 4MiB}\noutbound: {allow: [127.0.0.1]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &process{addr: freePort(t)}
	n.args = []string{filepath.Join(programs, "leat"), "serve", "--log", "error", "--config", config, "--data", filepath.Join(dir, "data"), "--listen", "http=" + n.addr}
	n.start(t)
	t.Cleanup(n.kill)
	return n
}

// try sends a request, and answers its status, 0 for none.
func (p *process) try(method, path, media, body string) (int, map[string]any) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	r.Header.Set("Content-Type", media)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil
	}
	var v map[string]any
	_ = json.Unmarshal(text, &v)
	return res.StatusCode, v
}

// must is try for what has to succeed, as soon as the node is there.
func (p *process) must(t *testing.T, method, path, body string) map[string]any {
	t.Helper()
	code := 0
	var v map[string]any
	for range 200 {
		if code, v = p.try(method, path, "application/json", body); code >= 200 && code < 300 {
			return v
		}
		if code >= 400 && code < 500 {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("%s %s: %d %v\n%s", method, path, code, v, p.log.String())
	return nil
}

// publish appends events from to to-1, the same ones when it has to be tried again: they are stored once.
func (p *process) publish(t *testing.T, from, to int) {
	t.Helper()
	b := []byte{'['}
	for i := from; i < to; i++ {
		if i > from {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"specversion":"1.0","id":"%d","source":"/shop","type":"order.placed","data":{"order":%d}}`, i, i)
	}
	b = append(b, ']')
	for range 400 {
		if code, _ := p.try("POST", "/v1/streams/orders/events", "application/cloudevents-batch+json", string(b)); code >= 200 && code < 300 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("events %d to %d are not taken\n%s", from, to, p.log.String())
}

// settled waits until a subscription has acknowledged so many: however long it takes, as long as it goes on.
func (p *process) settled(t *testing.T, name string, n int) {
	t.Helper()
	var v map[string]any
	var acked any
	for moved := time.Now(); time.Since(moved) < time.Minute; time.Sleep(20 * time.Millisecond) {
		v = p.must(t, "GET", "/v1/subscriptions/"+name, "")
		s, _ := v["state"].(map[string]any)
		if s["acked"] == float64(n) && s["waiting"] == 0.0 {
			return
		}
		if s["acked"] != acked {
			acked, moved = s["acked"], time.Now()
		}
	}
	t.Fatalf("%s does not end: %v %v", name, v["state"], v["push"])
}
