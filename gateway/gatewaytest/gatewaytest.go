package gatewaytest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"leat/gateway"
)

// Run holds the gateway to the contract.
func Run(t *testing.T, k Kit) {
	t.Helper()
	if k.IdleConns == 0 {
		k.IdleConns = 500
	}
	if k.IdleBytesMax == 0 {
		k.IdleBytesMax = 64 << 10
	}
	if k.MemoryMax == 0 {
		k.MemoryMax = 16 << 20
	}
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"Descriptor", (*suite).descriptor},
		{"Exchange", (*suite).exchange},
		{"Garbage", (*suite).garbage},
		{"HalfFrames", (*suite).halfFrames},
		{"OversizeLengths", (*suite).oversize},
		{"PeerThatDripsIsCut", (*suite).drips},
		{"PeerThatDoesNotReadIsCut", (*suite).doesNotRead},
		{"IdlePeerIsCut", (*suite).idlePeer},
		{"ManyIdleConnections", (*suite).manyIdle},
		{"ConnectionLimits", (*suite).connectionLimits},
		{"Drain", (*suite).drain},
		{"DrainWaitsForRequests", (*suite).drainWaits},
		{"ContextEndsEverything", (*suite).contextEnds},
		{"TLS", (*suite).tls},
		{"Login", (*suite).login},
		{"Abilities", (*suite).abilities},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(&suite{T: t, kit: k}) })
	}
}

type suite struct {
	*testing.T
	kit Kit
}

// running is a gateway that serves a listener.
type running struct {
	*suite
	l      *gateway.Listener
	reg    *prometheus.Registry
	served chan error
	cancel context.CancelFunc
	leaks  goleak.Option
	client *tls.Config
}

type opts struct {
	users  bool
	limits func(*gateway.Config)
	tls    bool

	shortPipe bool // the kernel keeps little of what the gateway writes
}

// shortPipe makes a peer that does not read felt soon.
type shortPipe struct{ net.Listener }

func (p shortPipe) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetWriteBuffer(4 << 10)
}

func (s *suite) start(o opts) *running {
	s.Helper()
	g := s.kit.New(s.T, o.users)
	r := &running{suite: s, reg: prometheus.NewRegistry(), served: make(chan error, 1), leaks: goleak.IgnoreCurrent()}
	d := g.Descriptor()
	lo := gateway.Options{
		Name: d.Name, Addr: "127.0.0.1:0", Protocol: d.Name, Known: d.Operations, Limits: limits(),
		Metrics: gateway.NewMetrics(r.reg), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if o.limits != nil {
		o.limits(&lo.Limits)
	}
	if o.tls {
		lo.TLS, r.client = certificate(s.T)
	}
	ctx, cancel := context.WithCancel(context.Background())
	inner, err := (&net.ListenConfig{}).Listen(ctx, "tcp", lo.Addr)
	if err != nil {
		cancel()
		s.Fatal(err)
	}
	if o.shortPipe {
		inner = shortPipe{inner}
	}
	l := gateway.Wrap(inner, lo)
	r.l, r.cancel = l, cancel
	go func() { r.served <- g.Serve(ctx, l) }()
	s.Cleanup(cancel)
	return r
}

// stop drains and checks what should be true after every test: Serve returns without error, nothing leaks, nothing has panicked.
func (r *running) stop() {
	r.Helper()
	r.l.Drain(r.T.Context())
	r.ended()
}

func (r *running) ended() {
	r.Helper()
	select {
	case err := <-r.served:
		if err != nil {
			r.Errorf("Serve returned %v; after a drain it must return nil", err)
		}
	case <-time.After(patience):
		r.Fatal("Serve did not return after the drain")
	}
	r.cancel()
	if err := goleak.Find(r.leaks); err != nil {
		r.Errorf("goroutines are left: %v", err)
	}
	if n := r.counter("leat_gateway_panics_total"); n != 0 {
		r.Errorf("%v panics", n)
	}
	if n := r.counter("leat_gateway_connections"); n != 0 {
		r.Errorf("%v connections are still counted as open", n)
	}
}

// counter adds up all series of a metric.
func (r *running) counter(name string) (sum float64) {
	r.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func (r *running) dial() net.Conn {
	r.Helper()
	c, err := net.DialTimeout("tcp", r.l.Addr().String(), patience)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close() })
	if r.client != nil {
		c = tls.Client(c, r.client)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		r.Fatal(err)
	}
	return c
}

// alive checks that others are served as if nothing had happened.
func (r *running) alive() {
	r.Helper()
	c := r.dial()
	defer func() { _ = c.Close() }()
	if err := r.kit.Exchange(c); err != nil {
		r.Errorf("another client is not served: %v", err)
	}
}

// cut reads until the gateway closes c, and fails when it does not within limit.
func (r *running) cut(c net.Conn, limit time.Duration, what string) {
	r.Helper()
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		r.Fatal(err)
	}
	_, err := io.Copy(io.Discard, c)
	var t net.Error
	if errors.As(err, &t) && t.Timeout() {
		r.Errorf("%s: the connection is still open after %v", what, limit)
	}
}

// gone waits until the gateway has let go of all connections, without reading from them.
func (r *running) gone(limit time.Duration, what string) {
	r.Helper()
	for deadline := time.Now().Add(limit); r.counter("leat_gateway_connections") != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Errorf("%s: the connection is still open after %v", what, limit)
			return
		}
	}
}
