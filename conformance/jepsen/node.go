package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"leat/conformance/port"
)

// settings make a run pass through many journal files, windows, segment files and merges.
const settings = `broker:
  segment_window_bytes: 1MiB
  segment_early_bytes: 256KiB
  keep_interval: 200ms
  hot_tail_bytes: 2MiB
journal:
  file_bytes: 2MiB
  ring_bytes: 16MiB
  frame_bytes_max: 1MiB
gateways:
  kafka:
    groups:
      initial_delay: 100ms
      session: 6s # as members of the older protocol have it: who was killed must be given up between two kills of the node
      heartbeat: 500ms
`

const readyTimeout = 2 * time.Minute // recovery included

// node is the process that is killed and stopped.
type node struct {
	leat, dir   string
	kafka, http string
	client      *http.Client
	cmd         *exec.Cmd
	ended       chan error
}

func newNode(o *options) (*node, error) {
	n := &node{leat: o.leat, dir: o.dir, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	var err1, err2 error
	n.kafka, err1 = port.Free()
	n.http, err2 = port.Free()
	return n, errors.Join(err1, err2, os.WriteFile(n.file("leat.yaml"), []byte(settings), 0o600))
}

func (n *node) file(name string) string { return filepath.Join(n.dir, name) }

func (n *node) start() error {
	log, err := os.OpenFile(n.file("node.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	n.cmd = exec.Command(n.leat, "serve", "--config", n.file("leat.yaml"), "--data", n.file("data"), "--listen", "kafka="+n.kafka, "--listen", "http="+n.http)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(n.cmd, n.ended)
	return nil
}

// ready waits until the node serves. One that ends by itself, or never comes up, has failed.
func (n *node) ready(ctx context.Context) error {
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-n.ended:
			n.ended <- err
			return fmt.Errorf("the node ended by itself (%v): %s", err, n.logTail())
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		if r, err := n.client.Do(q); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("the node was not ready within %v: %s", readyTimeout, n.logTail())
}

func (n *node) logTail() string {
	b, _ := os.ReadFile(n.file("node.log"))
	return string(b[max(0, len(b)-3000):])
}

// kill is SIGKILL. A node that had ended before by itself has failed.
func (n *node) kill() error {
	if n.cmd == nil {
		return nil
	}
	select {
	case err := <-n.ended:
		n.cmd = nil
		return fmt.Errorf("the node ended by itself (%v): %s", err, n.logTail())
	default:
	}
	err := n.cmd.Process.Kill()
	<-n.ended
	n.cmd = nil
	return err
}

// stop is SIGTERM, which must end in order.
func (n *node) stop() error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := <-n.ended
	n.cmd = nil
	if err != nil {
		return fmt.Errorf("SIGTERM: %w: %s", err, n.logTail())
	}
	return nil
}

// stall stops a process for a while.
func stall(ctx context.Context, p *os.Process, d time.Duration) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	wait(ctx, d)
	return p.Signal(syscall.SIGCONT)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// writeFile writes a file and returns its name, or what went wrong.
func writeFile(path string, b []byte) string {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err.Error()
	}
	return path
}
