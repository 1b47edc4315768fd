package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"leat/conformance/port"
)

const (
	readyTimeout = 2 * time.Minute // recovery included
	stopTimeout  = time.Minute
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
`

// process is a program that runs until it is killed or stopped.
type process struct {
	name, log string
	cmd       *exec.Cmd
	ended     chan error
}

func (p *process) start(name string, args ...string) error {
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	p.cmd = exec.Command(name, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(p.cmd, p.ended)
	return nil
}

// alive fails when the process has ended by itself.
func (p *process) alive() error {
	select {
	case err := <-p.ended:
		p.ended <- err
		b, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s ended by itself (%v): %s", p.name, err, b[max(0, len(b)-3000):])
	default:
		return nil
	}
}

// end sends a signal and waits. After a while it is SIGKILL.
func (p *process) end(s os.Signal) error {
	if p.cmd == nil {
		return nil
	}
	if err := errors.Join(p.alive(), p.cmd.Process.Signal(s)); err != nil {
		p.cmd = nil
		return err
	}
	timer := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	<-p.ended
	p.cmd = nil
	return nil
}

// kafka is an Apache Kafka of one broker.
type kafka struct {
	process
	addr string
}

func startKafka(ctx context.Context, o *options) (*kafka, error) {
	k := &kafka{process: process{name: "Apache Kafka", log: filepath.Join(o.dir, "kafka.log")}}
	controller, err := port.Free()
	if err != nil {
		return nil, err
	}
	if k.addr, err = port.Free(); err != nil {
		return nil, err
	}
	// The cleaner and retention look every second or two, so that both go on while the link copies.
	config := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%s
listeners=PLAINTEXT://%s,CONTROLLER://%s
advertised.listeners=PLAINTEXT://%s
controller.listener.names=CONTROLLER
log.dirs=%s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
log.initial.task.delay.ms=500
log.retention.check.interval.ms=1000
log.cleaner.backoff.ms=1000
log.segment.delete.delay.ms=500
`, controller, k.addr, controller, k.addr, filepath.Join(o.dir, "kafka"))
	file := filepath.Join(o.dir, "server.properties")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	java := []string{"-Xmx512m", "-cp", filepath.Join(o.jars, "*")}
	format := exec.CommandContext(ctx, "java", append(java, "kafka.tools.StorageTool", "format", "-t", "bGVhdC1iZW5jaC1wZWVycw", "-c", file)...)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format: %w: %s", err, out)
	}
	if err := k.start("java", append(java, "kafka.Kafka", file)...); err != nil {
		return nil, err
	}
	return k, until(ctx, readyTimeout, "Apache Kafka is up", func() (bool, error) {
		c, err := net.DialTimeout("tcp", k.addr, time.Second)
		if err != nil {
			return false, k.alive()
		}
		return true, c.Close()
	})
}

// node is Leat.
type node struct {
	process
	o           *options
	kafka, http string
	client      *http.Client
}

func newNode(o *options) (*node, error) {
	n := &node{process: process{name: "the node", log: filepath.Join(o.dir, "node.log")}, o: o, client: &http.Client{Timeout: 10 * time.Second}}
	var err1, err2 error
	n.kafka, err1 = port.Free()
	n.http, err2 = port.Free()
	return n, errors.Join(err1, err2, os.WriteFile(filepath.Join(o.dir, "leat.yaml"), []byte(settings), 0o600))
}

func (n *node) up(ctx context.Context) error {
	err := n.start(n.o.leat, "serve", "--config", filepath.Join(n.o.dir, "leat.yaml"), "--data", filepath.Join(n.o.dir, "data"),
		"--listen", "kafka="+n.kafka, "--listen", "http="+n.http)
	if err != nil {
		return err
	}
	return until(ctx, readyTimeout, "the node is ready", func() (bool, error) {
		if err := n.alive(); err != nil {
			return false, err
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		r, err := n.client.Do(q)
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return r.StatusCode == http.StatusOK, r.Body.Close()
	})
}

// leat runs a command of the binary, as a user does.
func (n *node) leat(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, n.o.leat, append([]string{"--url", "http://" + n.http}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("leat %v: %w: %s", args, err, out)
	}
	return string(out), err
}

// killing kills the node again and again until ctx ends, and leaves it running.
func (n *node) killing(ctx context.Context, r *rand.Rand, lifeMax time.Duration) (kills int, err error) {
	for {
		wait(ctx, time.Second/2+time.Duration(r.Int64N(int64(lifeMax))))
		if ctx.Err() != nil {
			return kills, nil
		}
		if err := n.end(syscall.SIGKILL); err != nil {
			return kills, err
		}
		kills++
		if err := n.up(context.WithoutCancel(ctx)); err != nil {
			return kills, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// until asks again and again.
func until(ctx context.Context, limit time.Duration, what string, is func() (bool, error)) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && ctx.Err() == nil; wait(ctx, 50*time.Millisecond) {
		if ok, err := is(); err != nil || ok {
			return err
		}
	}
	return errors.Join(ctx.Err(), fmt.Errorf("within %v not so: %s", limit, what))
}
