package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"leat/internal/clock"
)

// First serves a connection of an HTTP listener before net/http sees it, for as long as it understands what the peer asks for. When
// it has read something that it does not, it returns the bytes that it has read and not served, and pass is true: net/http takes the
// connection from there, for good, and reads those bytes first. Otherwise the connection is ended.
//
// ctx is like that of a request of net/http: ConnOf and http.LocalAddrContextKey are in it, and it ends when the connection is cut.
// First waits for requests with Conn.AwaitFirst and Conn.Await. It calls NextRequest for each. A panic ends the connection and is logged, except
// http.ErrAbortHandler.
type First func(ctx context.Context, c *Conn) (ahead []byte, pass bool)

// ServeHTTPFirst is ServeHTTP where first sees each connection before srv does. Connections with TLS go to srv right away.
func (l *Listener) ServeHTTPFirst(ctx context.Context, srv *http.Server, first First) error {
	if l.opts.TLS != nil {
		return l.ServeHTTP(ctx, srv)
	}
	lane := &firstLane{l: l, serve: first, passed: make(chan net.Conn), over: make(chan struct{})}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { lane.accept(ctx, &wg) })
	return l.serveHTTP(ctx, srv, lane)
}

// firstLane is the listener that net/http sees: what it accepts is what has passed the first lane.
//
//	accept: a connection -> serve in its own goroutine -> passed -> Accept -> net/http
//	accept: an error     -> err, over is closed        -> Accept returns err; what would pass after that is closed
type firstLane struct {
	l      *Listener
	serve  First
	passed chan net.Conn
	over   chan struct{}
	err    error // set before over is closed
}

func (f *firstLane) Accept() (net.Conn, error) {
	select {
	case c := <-f.passed:
		return c, nil
	case <-f.over:
		return nil, f.err
	}
}

func (f *firstLane) Close() error   { return nil } // the harness closes
func (f *firstLane) Addr() net.Addr { return f.l.Addr() }

func (f *firstLane) accept(ctx context.Context, wg *sync.WaitGroup) {
	for {
		c, err := f.l.accept()
		if err != nil {
			f.err = err
			close(f.over)
			return
		}
		wg.Go(func() { f.run(ctx, c) })
	}
}

// run serves c and passes it on or ends it.
func (f *firstLane) run(ctx context.Context, c *link) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.onSever(cancel)
	conn := &Conn{Conn: c, link: c}
	c.conn = conn
	ahead, pass := f.guarded(context.WithValue(context.WithValue(ctx, connKey{}, conn), http.LocalAddrContextKey, c.LocalAddr()), conn)
	if pass && conn.Begun() == nil { // the clock of the request that is ahead runs on
		c.ahead = ahead
		select {
		case f.passed <- c:
			return
		case <-f.over: // a drain: the request that is ahead is not begun
		}
	}
	_ = c.Close()
}

// guarded is serve, where a panic ends the connection. One that ends on its own does so without a reset.
func (f *firstLane) guarded(ctx context.Context, c *Conn) (ahead []byte, pass bool) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				c.reportPanic(p)
			}
			ahead, pass = nil, false
		}
	}()
	ahead, pass = f.serve(ctx, c)
	if !pass {
		c.link.linger()
	}
	return ahead, pass
}

// IsDraining reports whether a drain has begun, as Draining does, at less cost.
func (c *Conn) IsDraining() bool { return c.link.isDraining() }

// HeaderDue moves the deadline of reads to that of a request's head, from now; Begun moves it on for the rest.
func (c *Conn) HeaderDue() error {
	return c.SetReadDeadline(clock.Now().Add(c.link.l.headerTimeout()))
}

// headerTimeout is how long the head of an HTTP request may take. net/http bounds the TLS handshake by it too.
func (l *Listener) headerTimeout() time.Duration {
	return min(l.opts.Limits.ReadTimeout, l.opts.Limits.HandshakeTimeout)
}
