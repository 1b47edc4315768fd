package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"leat/conformance/port"
)

const (
	// startTimeout is how long a process may take to be ready, filling its files included.
	startTimeout = 5 * time.Minute
	stopTimeout  = 30 * time.Second
	// clockTicks is USER_HZ, the unit of CPU time in /proc; it is 100 on every Linux that Go runs on.
	clockTicks = 100
)

// proc is a process that is measured.
type proc struct {
	name  string
	kafka string // host:port, "" when it has none
	http  string
	amqp  string
	sqs   string
	took  time.Duration // from start to ready
	dir   string        // removed by stop
	cmd   *exec.Cmd
	log   *os.File
	ended chan error
	as    *syscall.SysProcAttr // who it runs as, nil for us

	program string // what begin starts
	args    []string
	ready   func(*proc) bool
	env     []string     // of the program, nil for ours
	after   func() error // when it has ended for good
	window  int64        // of a node: bytes that are moved out of its journal at a time
}

// launch starts a program that logs to a file in dir, and waits until ready says so.
func launch(ctx context.Context, name, dir string, ready func(*proc) bool, p *proc, program string, args ...string) (*proc, error) {
	p.name, p.dir, p.ready, p.program, p.args = name, dir, ready, program, args
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// begin starts the program, again after end, and waits until it is ready. When that fails nothing is left.
func (p *proc) begin(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	p.log, p.ended = log, make(chan error, 1)
	p.cmd = exec.Command(p.program, p.args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr, p.cmd.Dir, p.cmd.Env = log, log, p.as, p.dir, p.env
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		p.log = nil
		return errors.Join(err, log.Close(), os.RemoveAll(p.dir))
	}
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(p.cmd, p.ended)
	deadline := time.After(startTimeout)
	for !p.ready(p) {
		select {
		case err := <-p.ended:
			p.ended <- err
			return errors.Join(fmt.Errorf("%s ended before it was ready (%v): %s", p.name, err, p.tail()), p.stop())
		case <-deadline:
			return errors.Join(fmt.Errorf("%s was not ready within %v: %s", p.name, startTimeout, p.tail()), p.stop())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), p.stop())
		case <-time.After(time.Millisecond):
		}
	}
	p.took = time.Since(began)
	return nil
}

func (p *proc) tail() string {
	b, _ := os.ReadFile(p.log.Name())
	return string(bytes.TrimSpace(b[max(0, len(b)-2000):]))
}

// stop ends the process and removes what it wrote. It may be called after end.
func (p *proc) stop() error {
	err := p.end(syscall.SIGTERM)
	if after := p.after; after != nil {
		p.after = nil
		err = errors.Join(err, after())
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// end ends the process, by force when it takes too long, and leaves what it wrote to begin.
func (p *proc) end(by syscall.Signal) error {
	if p.log == nil {
		return nil // it has ended
	}
	_ = p.cmd.Process.Signal(by) // it may have ended by itself
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	err := p.log.Close()
	p.log = nil
	return err
}

// cpu is the CPU time the process has used.
func (p *proc) cpu() time.Duration { return cpuOf(strconv.Itoa(p.cmd.Process.Pid)) }

// cpuOf reads /proc; "self" is this process. 0 where there is no /proc.
func cpuOf(pid string) time.Duration {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name in front may hold blanks
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	sys, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+sys) * time.Second / clockTicks
}

// rss is the resident memory of the process in bytes.
func (p *proc) rss() (int64, error) { return p.memory("VmRSS") }

// memory reads a line of /proc that is in kilobytes: VmRSS is what is resident, VmHWM the most that ever was.
func (p *proc) memory(line string) (int64, error) {
	kb, err := p.status("status", line)
	return kb << 10, err
}

// writtenBytes is what the process has had written to the disk, file system's blocks included that it wrote in part.
func (p *proc) writtenBytes() (int64, error) { return p.status("io", "write_bytes") }

func (p *proc) status(file, name string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		return 0, fmt.Errorf("%w; the end of its log: %s", err, p.tail())
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseInt(strings.Fields(v)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in /proc/…/%s", name, file)
}

// place makes a folder for what is about to be started, and finds a free port for each address.
func (b *bench) place(addrs ...*string) (dir string, err error) {
	for _, addr := range addrs {
		if *addr, err = port.Free(); err != nil {
			return "", err
		}
	}
	return b.newDir()
}

func (b *bench) newDir() (string, error) {
	dir, err := os.MkdirTemp(b.dir, "leat-bench-")
	if err == nil {
		syscall.Sync() // what earlier runs wrote and removed shall not disturb this one
	}
	return dir, err
}

// startLeat starts the binary on a new data directory. ring is how much of the journal is zero-filled ahead, which is waited for.
func (b *bench) startLeat(ctx context.Context, ring int64) (*proc, error) {
	return b.startNode(ctx, ring, &proc{})
}

// startLeatAMQP is startLeat with a listener for AMQP.
func (b *bench) startLeatAMQP(ctx context.Context, ring int64) (*proc, error) {
	p := &proc{}
	var err error
	if p.amqp, err = port.Free(); err != nil {
		return nil, err
	}
	return b.startNode(ctx, ring, p, "--listen", "amqp="+p.amqp)
}

func (b *bench) startNode(ctx context.Context, ring int64, p *proc, more ...string) (*proc, error) {
	dir, err := b.place(&p.kafka, &p.http)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "leat.yaml")
	text := b.config
	if ring != asShipped {
		text = fmt.Sprintf("journal:\n  ring_bytes: %d\n%s", ring, b.config)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err = launch(ctx, "leat", dir, leatReady, p, b.leat, append([]string{"serve", "--config", file, "--data", filepath.Join(dir, "data"),
		"--listen", "kafka=" + p.kafka, "--listen", "http=" + p.http, "--log", "warn"}, more...)...)
	if err != nil {
		return nil, err
	}
	if ring != asShipped {
		err = p.ringReady()
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// ringReady waits until the files of a node's journal are zero-filled ahead.
func (p *proc) ringReady() error {
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		v, err := p.metric("leat_journal_ring_ready")
		if err != nil {
			return err
		}
		if v == 1 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the ring was not ready within %v", startTimeout)
		}
	}
}

func leatReady(p *proc) bool {
	r, err := http.Get("http://" + p.http + "/readyz")
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// metric reads one metric; of one with labels, the sum.
func (p *proc) metric(name string) (float64, error) {
	v, err := p.metrics(name)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// metrics reads several at once.
func (p *proc) metrics(names ...string) ([]float64, error) {
	r, err := http.Get("http://" + p.http + "/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return sumMetrics(string(text), names...)
}

func sumMetrics(text string, names ...string) ([]float64, error) {
	sums, seen := make([]float64, len(names)), make([]bool, len(names))
	for line := range strings.Lines(text) {
		for i, name := range names {
			rest, ok := strings.CutPrefix(line, name)
			if !ok || rest[0] != ' ' && rest[0] != '{' {
				continue
			}
			v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(strings.TrimSpace(rest), ' ')+1:]), 64)
			if err != nil {
				return nil, fmt.Errorf("metric %s: %w", name, err)
			}
			sums[i], seen[i] = sums[i]+v, true
		}
	}
	for i, name := range names {
		if !seen[i] {
			return nil, fmt.Errorf("no metric %s", name)
		}
	}
	return sums, nil
}

// startCeiling starts the program that only writes and syncs; its port opens when its file is filled.
func (b *bench) startCeiling(ctx context.Context, size int64) (*proc, error) {
	p := &proc{}
	dir, err := b.place(&p.kafka)
	if err != nil {
		return nil, err
	}
	return launch(ctx, "ceiling", dir, func(p *proc) bool { return opens(p.kafka) }, p, b.ceiling,
		"-recycle", "-addr", p.kafka, "-file", filepath.Join(dir, "file"), "-size", strconv.FormatInt(size, 10))
}

// startYardstick starts the empty HTTP server.
func (b *bench) startYardstick(ctx context.Context, size int64) (*proc, error) {
	p := &proc{}
	dir, err := b.place(&p.http)
	if err != nil {
		return nil, err
	}
	return launch(ctx, "yardstick", dir, func(p *proc) bool { return opens(p.http) }, p, b.yardstick,
		"-addr", p.http, "-file", filepath.Join(dir, "file"), "-size", strconv.FormatInt(size, 10))
}

func opens(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
