package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker/fault"
)

// memory is a listener whose connections are pipes or what a test makes of them.
type memory struct {
	accepts chan func() (net.Conn, error)
	once    sync.Once
	closed  chan struct{}
}

func newMemory() *memory {
	return &memory{accepts: make(chan func() (net.Conn, error)), closed: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case f := <-m.accepts:
		return f()
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// from is a pipe that says it comes from ip.
type from struct {
	net.Conn
	ip string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.ip), Port: 5000} }

func (m *memory) dial(ip string) net.Conn {
	ours, theirs := net.Pipe()
	m.accepts <- func() (net.Conn, error) { return from{theirs, ip}, nil }
	return ours
}

type world struct {
	t   *testing.T
	mem *memory
	l   *Listener
	reg *prometheus.Registry
	log bytes.Buffer
	mu  sync.Mutex
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func newWorld(t *testing.T, change func(*Config)) *world {
	w := &world{t: t, mem: newMemory(), reg: prometheus.NewRegistry()}
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	w.l = Wrap(w.mem, Options{Name: "test", Protocol: "frames", Known: []string{"echo"}, Limits: cfg,
		Metrics: NewMetrics(w.reg), Log: slog.New(slog.NewTextHandler(w, nil))})
	return w
}

// series is the value of the one series of the metric whose labels contain all of want.
func (w *world) series(name string, want ...string) (v float64) {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			all := f.GetName() == "leat_gateway_"+name
			for _, x := range want {
				all = all && strings.Contains(" "+strings.Join(labels, " ")+" ", " "+x+" ")
			}
			if all {
				v += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return v
}

// echo answers each byte with itself.
func echo(_ context.Context, c *Conn) {
	br := bufio.NewReader(c)
	for {
		if c.Await(br) != nil {
			return
		}
		c.NextRequest()
		b, err := br.ReadByte()
		if err != nil {
			return
		}
		if b == '!' {
			panic("told to")
		}
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
	}
}

func (w *world) serve(handle func(context.Context, *Conn)) (served chan error) {
	served = make(chan error, 1)
	go func() { served <- w.l.ServeConns(context.Background(), handle) }()
	return served
}

func say(t *testing.T, c net.Conn, b byte) {
	t.Helper()
	if _, err := c.Write([]byte{b}); err != nil {
		t.Fatalf("write: %v", err)
	}
	got := make([]byte, 1)
	if _, err := io.ReadFull(c, got); err != nil || got[0] != b {
		t.Fatalf("got %q, %v; want %q", got, err, b)
	}
}

func hangsUp(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // a pipe says just that
		t.Fatalf("read %d bytes, %v; want EOF", n, err)
	}
}

func TestListener_PanicEndsOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		served := w.serve(echo)
		bad, good := w.mem.dial("10.0.0.1"), w.mem.dial("10.0.0.2")
		say(t, bad, 'a')
		if _, err := bad.Write([]byte{'!'}); err != nil {
			t.Fatal(err)
		}
		hangsUp(t, bad)
		say(t, good, 'b')
		if w.series("panics_total") != 1 || !strings.Contains(w.logged(), "request=test-1.2") || !strings.Contains(w.logged(), "told to") {
			t.Errorf("panics %v, log:\n%s", w.series("panics_total"), w.logged())
		}
		w.l.Drain(t.Context())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func TestListener_LimitsPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.ConnectionsPerIPMax = 2; c.ConnectionsMax = 5 })
		served := w.serve(echo)
		first := w.mem.dial("10.0.0.1")
		say(t, first, 'a')
		say(t, w.mem.dial("::ffff:10.0.0.1"), 'a') // the same address, written otherwise
		hangsUp(t, w.mem.dial("10.0.0.1"))
		say(t, w.mem.dial("2001:db8::1"), 'a')
		say(t, w.mem.dial("2001:db8::2"), 'a')
		hangsUp(t, w.mem.dial("2001:db8::3")) // the same /64
		say(t, w.mem.dial("2001:db8:0:1::1"), 'a')
		hangsUp(t, w.mem.dial("10.0.0.9")) // five are open
		first.Close()
		synctest.Wait()
		say(t, w.mem.dial("10.0.0.1"), 'a')
		if ip, total := w.series("connections_refused_total", "ip"), w.series("connections_refused_total", "total"); ip != 2 || total != 1 {
			t.Errorf("refused: %v by address, %v in total; want 2 and 1", ip, total)
		}
		if n := strings.Count(w.logged(), "connection refused"); n != 1 {
			t.Errorf("three refusals in a moment were logged %d times, want once", n)
		}
		if open := w.series("connections"); open != 5 {
			t.Errorf("%v open, want 5", open)
		}
		w.l.Drain(t.Context())
		if err := <-served; err != nil {
			t.Error(err)
		}
		if open := w.series("connections"); open != 0 || len(w.l.perIP) != 0 {
			t.Errorf("after the drain: %v open, %v", open, w.l.perIP)
		}
	})
}

func TestListener_AcceptBacksOffAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		served := w.serve(echo)
		start := time.Now()
		for range 10 {
			w.mem.accepts <- func() (net.Conn, error) { return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE} }
		}
		say(t, w.mem.dial("10.0.0.1"), 'a')
		// 5+10+20+...+640 ms, then 1 s twice
		if d, want := time.Since(start), 3275*time.Millisecond; d != want {
			t.Errorf("ten failures in a row took %v, want %v", d, want)
		}
		w.mem.accepts <- func() (net.Conn, error) { return nil, errors.New("broken for good") }
		if err := <-served; err == nil || !strings.Contains(err.Error(), "broken for good") {
			t.Errorf("got %v", err)
		}
	})
}

func TestDrain_LetsARequestFinishAndWakesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		release := make(chan struct{})
		served := w.serve(func(_ context.Context, c *Conn) {
			br := bufio.NewReader(c)
			for c.Await(br) == nil {
				b, _ := br.ReadByte()
				if b == 'w' {
					<-release
				}
				_, _ = c.Write([]byte{b})
			}
		})
		working, waiting := w.mem.dial("10.0.0.1"), w.mem.dial("10.0.0.1")
		say(t, waiting, 'a')
		_, _ = working.Write([]byte{'w'})
		synctest.Wait()
		drained := make(chan int)
		go func() { drained <- w.l.Drain(t.Context()) }()
		hangsUp(t, waiting)
		time.Sleep(Default().DrainTimeout / 2)
		close(release)
		got := make([]byte, 1)
		if _, err := io.ReadFull(working, got); err != nil || got[0] != 'w' {
			t.Errorf("the request that had begun: %q, %v", got, err)
		}
		hangsUp(t, working)
		if cut := <-drained; cut != 0 {
			t.Errorf("%d were cut", cut)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// A peer that sends ahead must still get the answers to what was begun: closing with unread bytes would reset the connection.
func TestServeConns_AnswersSurviveRequestsThatAreNotRead(t *testing.T) {
	l, err := Listen(t.Context(), Options{Name: "test", Addr: "127.0.0.1:0", Protocol: "frames", Limits: Default()})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	sent := make(chan struct{})
	go func() {
		served <- l.ServeConns(t.Context(), func(_ context.Context, c *Conn) {
			_, _ = io.ReadFull(c, make([]byte, 1))
			<-sent
			_, _ = c.Write([]byte("answer"))
		})
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	close(sent)
	time.Sleep(50 * time.Millisecond) // a reset would be here by now
	if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
		t.Errorf("got %q, %v", got, err)
	}
	_ = c.Close()
	l.Drain(t.Context())
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Under load and over real sockets: each request that a connection has begun is answered, and nobody has to be cut.
func TestDrain_UnderLoadLosesNoRequestThatHasBegun(t *testing.T) {
	l, err := Listen(t.Context(), Options{Name: "test", Addr: "127.0.0.1:0", Protocol: "frames", Limits: Default()})
	if err != nil {
		t.Fatal(err)
	}
	var begun, answered, heard atomic.Int64
	served := make(chan error, 1)
	go func() {
		served <- l.ServeConns(t.Context(), func(_ context.Context, c *Conn) {
			br := bufio.NewReader(c)
			for c.Await(br) == nil {
				b, err := br.ReadByte()
				if err != nil {
					return
				}
				begun.Add(1)
				if _, err := c.Write([]byte{b}); err == nil {
					answered.Add(1)
				}
			}
		})
	}()
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			b := []byte{'x'}
			for {
				if _, err := c.Write(b); err != nil {
					return
				}
				if _, err := io.ReadFull(c, b); err != nil {
					return
				}
				heard.Add(1)
			}
		})
	}
	for heard.Load() < 500 {
		time.Sleep(time.Millisecond)
	}
	if cut := l.Drain(t.Context()); cut != 0 {
		t.Errorf("%d were cut", cut)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	clients.Wait()
	if begun.Load() != answered.Load() || answered.Load() != heard.Load() {
		t.Errorf("begun %d, answered %d, heard %d: all must be the same", begun.Load(), answered.Load(), heard.Load())
	}
}

func TestDrain_CutsWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var heard bool
		served := w.serve(func(ctx context.Context, _ *Conn) { <-ctx.Done(); heard = true })
		c := w.mem.dial("10.0.0.1")
		synctest.Wait()
		start := time.Now()
		if cut := w.l.Drain(t.Context()); cut != 1 || time.Since(start) != Default().DrainTimeout {
			t.Errorf("cut %d after %v", cut, time.Since(start))
		}
		if err := <-served; err != nil || !heard {
			t.Errorf("served: %v, context ended: %v", err, heard)
		}
		hangsUp(t, c)
	})
}

func TestConn_IdleAndSlowPeersAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.IdleTimeout = time.Hour; c.ReadTimeout = time.Second })
		ends := make(chan error, 2)
		served := w.serve(func(_ context.Context, c *Conn) {
			br := bufio.NewReader(c)
			err := c.Await(br)
			if err == nil {
				err = c.ReadFull(br, make([]byte, 2))
			}
			ends <- fmt.Errorf("%w after %v", err, 0)
		})
		start := time.Now()
		idle := w.mem.dial("10.0.0.1")
		if err := <-ends; !errors.Is(err, ErrIdle) || time.Since(start) != time.Hour {
			t.Errorf("idle: %v after %v", err, time.Since(start))
		}
		hangsUp(t, idle)
		start = time.Now()
		slow := w.mem.dial("10.0.0.1")
		_, _ = slow.Write([]byte{1})
		var timeout net.Error
		if err := <-ends; !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != time.Second {
			t.Errorf("slow: %v after %v", err, time.Since(start))
		}
		half := w.mem.dial("10.0.0.1")
		_, _ = half.Write([]byte{1})
		_ = half.Close()
		if err := <-ends; !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.ErrClosedPipe) { // a pipe refuses the deadline already
			t.Errorf("half a request: %v", err)
		}
		w.l.Drain(t.Context())
		<-served
	})
}

// A line that moves one piece per second moves many pieces with a limit of two seconds; one that stops is cut.
func TestConn_WriteTimeoutIsPerPiece(t *testing.T) {
	for name, write := range map[string]func(*Conn, []byte) (int64, error){
		"Write": func(c *Conn, p []byte) (int64, error) { n, err := c.Write(p); return int64(n), err },
		"WriteBuffers": func(c *Conn, p []byte) (int64, error) {
			return c.WriteBuffers(net.Buffers{p[:10], p[10 : 3*PieceBytes], p[3*PieceBytes:]})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(c *Config) { c.WriteTimeout = 2 * time.Second })
				type result struct {
					n   int64
					err error
				}
				results := make(chan result, 1)
				payload := bytes.Repeat([]byte("0123456789abcdef"), 5*PieceBytes/16+1)
				served := w.serve(func(_ context.Context, c *Conn) {
					for range 2 {
						n, err := write(c, bytes.Clone(payload))
						results <- result{n, err}
					}
				})
				c := w.mem.dial("10.0.0.1")
				got := make([]byte, len(payload))
				for i := 0; i < len(got); i += PieceBytes {
					time.Sleep(time.Second)
					if _, err := io.ReadFull(c, got[i:min(len(got), i+PieceBytes)]); err != nil {
						t.Fatal(err)
					}
				}
				if r := <-results; r.err != nil || r.n != int64(len(payload)) || !bytes.Equal(got, payload) {
					t.Errorf("slow: wrote %d of %d, %v", r.n, len(payload), r.err)
				}
				start := time.Now()
				if r := <-results; r.err == nil || time.Since(start) != 2*time.Second {
					t.Errorf("stopped: wrote %d, %v, after %v", r.n, r.err, time.Since(start))
				}
				w.l.Drain(t.Context())
				<-served
			})
		})
	}
}

func TestServeHTTP_PanicIsLoggedAndOthersGoOn(t *testing.T) {
	w := newWorld(t, nil)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.l.inner = inner
	served := make(chan error, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/boom", func(http.ResponseWriter, *http.Request) { panic("told to") })
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/id", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, ConnOf(r.Context()).LastRequest()) })
	go func() { served <- w.l.ServeHTTP(t.Context(), &http.Server{Handler: mux}) }() //nolint:gosec // filled in by the harness
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/boom", "/abort"} {
		if resp, err := client.Get("http://" + inner.Addr().String() + path); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s was answered: %s", path, resp.Status)
		}
	}
	if w.series("panics_total") != 1 || !strings.Contains(w.logged(), "told to") {
		t.Errorf("panics %v, want 1 (abort is none):\n%s", w.series("panics_total"), w.logged())
	}
	resp, err := client.Get("http://" + inner.Addr().String() + "/id")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(body) != "test-3.1" {
		t.Errorf("request id: %s", body)
	}
	w.l.Drain(t.Context())
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A connection that was taken over from net/http is not known to its Shutdown; the harness ends it all the same.
func TestServeHTTP_DrainEndsConnectionsThatWereTakenOver(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.l.inner = inner
	over := make(chan struct{})
	served := make(chan error, 1)
	handler := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		close(over)
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	})
	go func() { served <- w.l.ServeHTTP(t.Context(), &http.Server{Handler: handler}) }() //nolint:gosec // filled in by the harness
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-over
	if cut := w.l.Drain(t.Context()); cut != 1 {
		t.Errorf("%d were cut, want 1", cut)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestListen_ErrorsSayWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		addr string
		busy bool
		want []string
	}{
		{taken.Addr().String(), true, []string{"listener web", taken.Addr().String(), "in use", "--listen web=HOST:PORT"}},
		{"127.0.0.1", false, []string{"listener web", "HOST:PORT"}},
		{"192.0.2.1:1", false, []string{"listener web", "no such address"}},
	} {
		_, err := Listen(t.Context(), Options{Name: "web", Addr: c.addr, Protocol: "web", Limits: Default()})
		if err == nil || errors.Is(err, ErrBusy) != c.busy {
			t.Errorf("%s: got %v, busy %v", c.addr, err, c.busy)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", c.addr, err, part)
			}
		}
	}
}

func TestCheckExposure(t *testing.T) {
	for _, c := range []struct {
		addr            string
		users, insecure bool
		ok              bool
	}{
		{"127.0.0.1:9092", false, false, true},
		{"127.8.9.1:9092", false, false, true},
		{"[::1]:9092", false, false, true},
		{"[::ffff:127.0.0.1]:9092", false, false, true},
		{"localhost:9092", false, false, true},
		{"0.0.0.0:9092", false, false, false},
		{":9092", false, false, false},
		{"[::]:9092", false, false, false},
		{"10.0.0.1:9092", false, false, false},
		{"example.com:9092", false, false, false},
		{"localhost.example.com:9092", false, false, false},
		{"nonsense", false, false, false},
		{"0.0.0.0:9092", true, false, true},
		{"0.0.0.0:9092", false, true, true},
	} {
		err := CheckExposure("kafka", c.addr, c.users, c.insecure)
		if (err == nil) != c.ok {
			t.Errorf("%+v: got %v", c, err)
		}
		if err != nil {
			for _, part := range []string{"kafka", c.addr, "leat user add", "--insecure"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		}
	}
}

func TestConfig_BothEndsOfEachLimit(t *testing.T) {
	ints := map[string]func(*Config) *int{
		"connections_max":        func(c *Config) *int { return &c.ConnectionsMax },
		"connections_per_ip_max": func(c *Config) *int { return &c.ConnectionsPerIPMax },
	}
	durations := map[string]func(*Config) *time.Duration{
		"handshake_timeout": func(c *Config) *time.Duration { return &c.HandshakeTimeout },
		"idle_timeout":      func(c *Config) *time.Duration { return &c.IdleTimeout },
		"read_timeout":      func(c *Config) *time.Duration { return &c.ReadTimeout },
		"write_timeout":     func(c *Config) *time.Duration { return &c.WriteTimeout },
		"drain_timeout":     func(c *Config) *time.Duration { return &c.DrainTimeout },
	}
	check := func(name string, c Config, v any, ok bool) {
		t.Helper()
		if err := c.Validate(); (err == nil) != ok || (err != nil && !strings.Contains(err.Error(), name)) {
			t.Errorf("%s = %v: %v", name, v, err)
		}
	}
	for name, field := range ints {
		for v, ok := range map[int]bool{ConnectionsLeast - 1: false, ConnectionsLeast: true, ConnectionsMost: true, ConnectionsMost + 1: false} {
			c := Default()
			*field(&c) = v
			check(name, c, v, ok)
		}
	}
	for name, field := range durations {
		for v, ok := range map[time.Duration]bool{TimeoutLeast - 1: false, TimeoutLeast: true, TimeoutMost: true, TimeoutMost + 1: false} {
			c := Default()
			*field(&c) = v
			check(name, c, v, ok)
		}
	}
}

func TestOperation_LabelsAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	w.l.Operation("echo").Done(time.Millisecond, nil)
	w.l.Operation("echo").Done(time.Millisecond, fmt.Errorf("wrapped: %w", fault.New(fault.Denied, "", "", "")))
	w.l.Operation("echo").Done(time.Millisecond, errors.New("nobody planned for this"))
	for i := range 100 {
		w.l.Operation(fmt.Sprint("made up ", i)).Done(time.Millisecond, nil)
	}
	for labels, want := range map[string]float64{"echo ok": 1, "echo denied": 1, "echo internal": 1, "other ok": 100} {
		op, outcome, _ := strings.Cut(labels, " ")
		if got := w.series("requests_total", op, outcome); got != want {
			t.Errorf("%s: got %v, want %v", labels, got, want)
		}
	}
	if got := w.series("request_seconds"); got != 103 {
		t.Errorf("latencies: %v", got)
	}
}
