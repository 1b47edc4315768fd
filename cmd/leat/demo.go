package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/clock"
)

const (
	demoReadyTimeout = 20 * time.Second // until a process is ready
	demoStopTimeout  = 15 * time.Second // until a process that was told to stop has stopped
	demoStatusEvery  = 500 * time.Millisecond
	demoRateMax      = 100_000
)

// demoRoles are the processes of the shop, in the order in which they start: who listens before who speaks.
var demoRoles = []string{"stock", "shipments", "payments", "orders"}

type demoOptions struct {
	node       string // the program that serves: this one
	data, shop string
	rate       int
	duration   time.Duration
}

func (a *app) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "A node on a new data directory, and a live shop around it", Args: exactly(0),
		Long: "Start a plain node and, as separate processes with stock clients, a small shop: orders come in by HTTP, payments and shipments\n" +
			"are Kafka clients, stock follows by server-sent events. Busy ports are replaced. Ctrl-C ends everything.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.rate < 1 || o.rate > demoRateMax {
				return usageError("--rate must be from 1 to %d", demoRateMax)
			}
			var err error
			if o.node, err = os.Executable(); err != nil {
				return err
			}
			return a.demo(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.data, "data", "", "data directory (default a new one, removed at the end)")
	cmd.Flags().StringVar(&o.shop, "shop", "", "the shop program (default shop beside this binary)")
	cmd.Flags().IntVar(&o.rate, "rate", 5, "orders a second")
	cmd.Flags().DurationVar(&o.duration, "for", 0, "end by itself after so long (default at Ctrl-C)")
	return cmd
}

// demo is one run: node, streams, shop, status line; then everything in the opposite order.
func (a *app) demo(ctx context.Context, o demoOptions) (err error) {
	if o.shop == "" {
		o.shop = filepath.Join(filepath.Dir(o.node), "shop")
	}
	if _, err := os.Stat(o.shop); err != nil {
		return advised{fmt.Errorf("the shop program is not at %s", o.shop), "make demo builds it, in a checkout of the repository"}
	}
	if o.data == "" {
		if o.data, err = os.MkdirTemp("", "leat-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.data)) }()
	} else if err := os.MkdirAll(o.data, 0o700); err != nil {
		return err
	}
	if o.duration > 0 {
		timed, cancel := context.WithTimeout(ctx, o.duration)
		defer cancel()
		ctx = timed
	}
	d := &demo{a: a, o: o, kafka: freeAddress(a, "Kafka", "127.0.0.1:9092"), http: freeAddress(a, "HTTP", "127.0.0.1:8080"), state: map[string]demoState{}, died: make(chan error, 1+len(demoRoles))}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // Ctrl-C before it had begun
		}
		return err
	}
	d.greet()
	return d.watch(ctx)
}

// freeAddress is the usual address, or when that is busy one the system chooses. Between looking and using, somebody else may take it; the
// node then says so.
func freeAddress(a *app, what, usual string) string {
	for _, address := range []string{usual, "127.0.0.1:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		got := l.Addr().String()
		_ = l.Close() // it was only looked at
		if got != usual {
			fmt.Fprintf(a.err, "%s is busy; %s is at %s this time\n", usual, what, got)
		}
		return got
	}
	return usual
}

// demo is what runs.
type demo struct {
	a          *app
	o          demoOptions
	kafka      string
	http       string
	client     *client
	processes  []*process // in the order they were started
	died       chan error
	log        *os.File
	mu         sync.Mutex
	state      map[string]demoState
	statusLine bool
}

// demoState is what a role of the shop last said about itself, one JSON object a line on its standard output.
type demoState struct {
	Ready bool   `json:"ready"`
	Count uint64 `json:"count"`
	Note  string `json:"note"`
}

type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func (d *demo) start(ctx context.Context) (err error) {
	if d.log, err = os.OpenFile(d.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	data := filepath.Join(d.o.data, "node")
	if err := d.spawn("node", d.o.node, "serve", "--data", data, "--listen", "kafka="+d.kafka, "--listen", "http="+d.http); err != nil {
		return err
	}
	plain := app{url: "http://" + d.http, env: func(string) string { return "" }} // a new node has no users
	if d.client, err = plain.client(); err != nil {
		return err
	}
	if err := d.until(ctx, "the node", func() bool { return d.ready(ctx) }); err != nil {
		return err
	}
	for _, name := range []string{"orders", "payments", "shipments", "stock"} {
		if err := d.client.call(ctx, "PUT", streamPath(name), map[string]any{"partitions": 1}, nil); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	for _, role := range demoRoles {
		if err := d.spawn(role, d.o.shop, role, "-kafka", d.kafka, "-http", "http://"+d.http, "-rate", fmt.Sprint(d.o.rate)); err != nil {
			return err
		}
		if err := d.until(ctx, role, func() bool { return d.stateOf(role).Ready }); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) logPath() string { return filepath.Join(d.o.data, "demo.log") }

// ready asks /readyz, whose answer is a word and not JSON.
func (d *demo) ready(ctx context.Context) bool {
	res, err := d.client.open(ctx, "GET", "/readyz", nil, nil)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil
}

// until waits for something to be so, or for a process to die.
func (d *demo) until(ctx context.Context, who string, ok func() bool) error {
	for end := clock.Now().Add(demoReadyTimeout); ; {
		if ok() {
			return nil
		}
		select {
		case err := <-d.died:
			return err
		default:
		}
		if clock.Now().After(end) {
			return advised{fmt.Errorf("%s was not ready within %v", who, demoReadyTimeout), "its log: " + d.tail()}
		}
		if err := clock.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// tail is the end of the log, for a message: the log itself goes with the data directory.
func (d *demo) tail() string {
	const most = 2000
	b, err := os.ReadFile(d.logPath())
	if err != nil {
		return err.Error()
	}
	return "\n" + string(b[max(0, len(b)-most):])
}

// spawn starts a process in a group of its own, so that Ctrl-C reaches only us and we end them in order.
func (d *demo) spawn(name, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = d.log
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	d.processes = append(d.processes, p)
	go func() {
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			var s demoState
			if json.Unmarshal(lines.Bytes(), &s) != nil || name == "node" {
				fmt.Fprintln(d.log, name+":", lines.Text())
				continue
			}
			d.mu.Lock()
			d.state[name] = s
			d.mu.Unlock()
		}
		why := errors.New("without an error")
		if err := cmd.Wait(); err != nil {
			why = err
		}
		close(p.done)
		d.died <- advised{fmt.Errorf("%s ended: %w", name, why), "its log: " + d.tail()} // has room for every process
	}()
	return nil
}

func (d *demo) stateOf(role string) demoState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state[role]
}

func (d *demo) greet() {
	at := ""
	if d.http != "127.0.0.1:8080" {
		at = "LEAT_URL=http://" + d.http + " "
	}
	fmt.Fprintf(d.a.out, `
A node with a live shop around it. Streams: orders, payments, shipments, stock.

  open   http://%[1]s/v1/streams/orders/events?from=-1m&limit=5     pages of events
         http://%[1]s/openapi.json                                  the whole API
         http://%[1]s/metrics                                       Prometheus

  type   %[3]sbin/leat stream list
         %[3]sbin/leat read orders,payments,shipments --follow
         %[3]sbin/leat read payments --from -1m --where 'data.accepted == false'
         curl -d 'hello' http://%[1]s/v1/streams/notes/events
         curl -N -H 'Accept: text/event-stream' http://%[1]s/v1/streams/orders/events
         kcat -b %[2]s -t payments -C

  data   %[4]s      log   %[5]s

Ctrl-C ends it.

`, d.http, d.kafka, at, d.o.data, d.logPath())
}

// watch redraws one status line until the end. In a pipe it writes a line every ten seconds instead.
func (d *demo) watch(ctx context.Context) error {
	tick := clock.NewTicker(demoStatusEvery)
	defer tick.Stop()
	var before uint64
	last, lines := clock.Now(), clock.Now()
	for {
		select {
		case <-ctx.Done():
			d.endLine()
			return nil
		case err := <-d.died:
			d.endLine()
			return err
		case <-tick.C:
		}
		total := uint64(0)
		var parts []string
		for i := len(demoRoles) - 1; i >= 0; i-- {
			s := d.stateOf(demoRoles[i])
			total += s.Count
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %d %s", demoRoles[i], s.Count, s.Note)))
		}
		now := clock.Now()
		line := fmt.Sprintf("%s · %.0f events/s", strings.Join(parts, " · "), float64(total-before)/now.Sub(last).Seconds())
		before, last = total, now
		if d.a.terminal {
			d.statusLine = true
			fmt.Fprintf(d.a.out, "\r\033[K%s", line)
		} else if now.Sub(lines) >= 10*time.Second {
			lines = now
			fmt.Fprintln(d.a.out, line)
		}
	}
}

func (d *demo) endLine() {
	if d.statusLine {
		fmt.Fprintln(d.a.out)
	}
}

// stop ends every process, the last one started first, each with SIGTERM and after a while without asking.
func (d *demo) stop() error {
	var errs []error
	for i := len(d.processes) - 1; i >= 0; i-- {
		p := d.processes[i]
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended
		select {
		case <-p.done:
		case <-clock.After(demoStopTimeout):
			errs = append(errs, fmt.Errorf("%s did not end within %v and was killed", p.name, demoStopTimeout))
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
	if d.log != nil {
		errs = append(errs, d.log.Close())
	}
	return errors.Join(errs...)
}
