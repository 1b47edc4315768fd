package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"leat/internal/clock"
)

var (
	// ErrBusy is in the error of Listen when another program has the port.
	ErrBusy = errors.New("address is in use")
	// ErrDraining is what Conn.Await returns when the listener drains: say goodbye and return.
	ErrDraining = errors.New("gateway: draining")
	// ErrIdle is what Conn.Await returns when the peer sent nothing for IdleTimeout.
	ErrIdle = errors.New("gateway: idle for too long")
)

// Options are what Listen needs beside the limits. Name, Addr and Protocol are required.
type Options struct {
	Name     string      // of the listener: kafka, or a name of the user's for a second one
	Addr     string      // host:port
	Protocol string      // Descriptor.Name of the gateway that will serve it
	Known    []string    // Descriptor.Operations
	TLS      *tls.Config // nil is plain text
	Limits   Config
	Metrics  *Metrics     // nil counts for nobody
	Log      *slog.Logger // nil is slog.Default
}

// Listener accepts the connections of one address, holds them to the limits and knows all of them, so that it can drain them. One of
// ServeConns and ServeHTTP is called on it, once.
type Listener struct {
	opts  Options
	inner net.Listener
	log   *slog.Logger
	count *counters
	known map[string]*Operation

	ids      atomic.Uint64
	draining chan struct{} // closed when a drain begins

	mu       sync.Mutex
	conns    map[*link]struct{}
	perIP    map[ipKey]int
	stopped  bool          // no more connections are taken
	empty    chan struct{} // closed when stopped and no connection is left
	warnedAt time.Time     // of the last refusal that was logged
}

// Listen opens the address. The error says which listener, what is wrong and what to do; it is ErrBusy when the port is taken.
func Listen(ctx context.Context, opts Options) (*Listener, error) {
	if err := opts.Limits.Validate(); err != nil {
		return nil, fmt.Errorf("listener %s: %w", opts.Name, err)
	}
	if _, _, err := net.SplitHostPort(opts.Addr); err != nil {
		return nil, fmt.Errorf("listener %s: %q is not an address; write HOST:PORT, e.g. 127.0.0.1:9092 or [::1]:9092: %w", opts.Name, opts.Addr, err)
	}
	inner, err := (&net.ListenConfig{}).Listen(ctx, "tcp", opts.Addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listener %s: %s: %w by another program; stop that program, or choose another port with --listen %s=HOST:PORT",
			opts.Name, opts.Addr, ErrBusy, opts.Name)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listener %s: %s: not permitted; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE), or choose another port with --listen %s=HOST:PORT: %w",
			opts.Name, opts.Addr, opts.Name, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listener %s: %s: this machine has no such address; use one of its own, or 0.0.0.0 for all: %w", opts.Name, opts.Addr, err)
	case err != nil:
		return nil, fmt.Errorf("listener %s: %s: %w", opts.Name, opts.Addr, err)
	}
	return Wrap(inner, opts), nil
}

// Wrap is Listen for a listener that is open already, e.g. one in memory. opts.Addr is not used.
func Wrap(inner net.Listener, opts Options) *Listener {
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	l := &Listener{
		opts:     opts,
		inner:    inner,
		log:      opts.Log.With("listener", opts.Name),
		count:    opts.Metrics.listener(opts.Name, opts.Protocol),
		known:    map[string]*Operation{},
		draining: make(chan struct{}),
		conns:    map[*link]struct{}{},
		perIP:    map[ipKey]int{},
		empty:    make(chan struct{}),
	}
	for _, name := range append([]string{otherOperation}, opts.Known...) {
		l.known[name] = opts.Metrics.operation(opts.Name, opts.Protocol, name)
	}
	return l
}

// Name is the listener's.
func (l *Listener) Name() string { return l.opts.Name }

// Addr is the address that it listens at, with the port that was chosen when 0 was asked for.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// TLS reports whether peers must speak TLS.
func (l *Listener) TLS() bool { return l.opts.TLS != nil }

// CertificateEnds is until when the certificate that peers are shown now is valid; false without TLS.
func (l *Listener) CertificateEnds() (until time.Time, ok bool) {
	c := l.opts.TLS
	if c == nil {
		return until, false
	}
	if c.GetConfigForClient != nil { // files that were read anew
		if now, err := c.GetConfigForClient(&tls.ClientHelloInfo{}); err == nil && now != nil {
			c = now
		}
	}
	if len(c.Certificates) == 0 || len(c.Certificates[0].Certificate) == 0 {
		return until, false
	}
	leaf, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
	if err != nil {
		return until, false
	}
	return leaf.NotAfter, true
}

// Limits are those that it was opened with.
func (l *Listener) Limits() Config { return l.opts.Limits }

// Log is for what concerns the listener as a whole.
func (l *Listener) Log() *slog.Logger { return l.log }

// Operation counts requests of that name; one that the Descriptor does not list is counted as "other". Get it once, not per request.
func (l *Listener) Operation(name string) *Operation {
	if o, ok := l.known[name]; ok {
		return o
	}
	return l.known[otherOperation]
}

// Draining is closed when a drain begins.
func (l *Listener) Draining() <-chan struct{} { return l.draining }

// Drain stops accepting, wakes connections that wait for a request, and waits until all have ended. After DrainTimeout, or when
// ctx ends, the rest is cut. It returns how many were cut. Serve returns after it.
func (l *Listener) Drain(ctx context.Context) (cut int) {
	l.stop()
	timer := clock.NewTimer(l.opts.Limits.DrainTimeout)
	defer timer.Stop()
	select {
	case <-l.empty:
		return 0
	case <-timer.C:
	case <-ctx.Done():
	}
	return l.cut()
}

// Close is a Drain that waits for nobody.
func (l *Listener) Close() error {
	l.stop()
	l.cut()
	return nil
}

// stop begins the drain.
func (l *Listener) stop() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.stopped = true
	close(l.draining)
	if len(l.conns) == 0 {
		close(l.empty)
	}
	waiting := make([]*link, 0, len(l.conns))
	for c := range l.conns {
		waiting = append(waiting, c)
	}
	l.mu.Unlock()
	if err := l.inner.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		l.log.Warn("closing the listening socket", "error", err)
	}
	for _, c := range waiting {
		c.wake()
	}
}

// cut closes all connections that are left.
func (l *Listener) cut() int {
	l.mu.Lock()
	left := make([]*link, 0, len(l.conns))
	for c := range l.conns {
		left = append(left, c)
	}
	l.mu.Unlock()
	for _, c := range left {
		c.sever()
	}
	return len(left)
}
