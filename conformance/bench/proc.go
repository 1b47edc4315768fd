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
	took  time.Duration // from start to ready
	dir   string        // removed by stop
	cmd   *exec.Cmd
	log   *os.File
	ended chan error
	as    *syscall.SysProcAttr // who it runs as, nil for us
}

// launch starts a program that logs to a file in dir, and waits until ready says so.
func launch(ctx context.Context, name, dir string, ready func(*proc) bool, p *proc, program string, args ...string) (*proc, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	p.name, p.dir, p.log, p.ended = name, dir, log, make(chan error, 1)
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr, p.cmd.Dir = log, log, p.as, dir
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() { p.ended <- p.cmd.Wait() }()
	deadline := time.After(startTimeout)
	for !ready(p) {
		select {
		case err := <-p.ended:
			p.ended <- err
			return nil, errors.Join(fmt.Errorf("%s ended before it was ready (%v): %s", name, err, p.tail()), p.stop())
		case <-deadline:
			return nil, errors.Join(fmt.Errorf("%s was not ready within %v: %s", name, startTimeout, p.tail()), p.stop())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), p.stop())
		case <-time.After(time.Millisecond):
		}
	}
	p.took = time.Since(began)
	return p, nil
}

func (p *proc) tail() string {
	b, _ := os.ReadFile(p.log.Name())
	return string(bytes.TrimSpace(b[max(0, len(b)-2000):]))
}

// stop ends the process and removes what it wrote.
func (p *proc) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	return errors.Join(p.log.Close(), os.RemoveAll(p.dir))
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
func (p *proc) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
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
	dir, err := b.newDir()
	if err != nil {
		return nil, err
	}
	p := &proc{}
	if p.kafka, err = freePort(); err != nil {
		return nil, err
	}
	if p.http, err = freePort(); err != nil {
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
	p, err = launch(ctx, "leat", dir, leatReady, p, b.leat, "serve", "--config", file, "--data", filepath.Join(dir, "data"),
		"--listen", "kafka="+p.kafka, "--listen", "http="+p.http, "--log", "warn")
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(startTimeout); ring != asShipped; {
		v, err := p.metric("leat_journal_ring_ready")
		if err != nil || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the ring of %d bytes was not ready within %v: %w", ring, startTimeout, err), p.stop())
		}
		if v == 1 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return p, nil
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

// metric reads one metric without labels.
func (p *proc) metric(name string) (float64, error) {
	r, err := http.Get("http://" + p.http + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// startCeiling starts the program that only writes and syncs; its port opens when its file is filled.
func (b *bench) startCeiling(ctx context.Context, size int64) (*proc, error) {
	dir, err := b.newDir()
	if err != nil {
		return nil, err
	}
	p := &proc{}
	if p.kafka, err = freePort(); err != nil {
		return nil, err
	}
	return launch(ctx, "ceiling", dir, func(p *proc) bool { return opens(p.kafka) }, p, b.ceiling,
		"-recycle", "-addr", p.kafka, "-file", filepath.Join(dir, "file"), "-size", strconv.FormatInt(size, 10))
}

// startYardstick starts the empty HTTP server.
func (b *bench) startYardstick(ctx context.Context, size int64) (*proc, error) {
	dir, err := b.newDir()
	if err != nil {
		return nil, err
	}
	p := &proc{}
	if p.http, err = freePort(); err != nil {
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
