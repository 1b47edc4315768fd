package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// HeaderBytesMax bounds the request line and headers of an HTTP request, unless the server says otherwise.
const HeaderBytesMax = 64 << 10

// ServeHTTP serves srv, which brings the Handler and whatever else it cares about; what it leaves zero is filled from the limits:
// ReadHeaderTimeout, IdleTimeout, MaxHeaderBytes. ReadTimeout and WriteTimeout are left alone: they bound whole requests, which
// may be long streams; a handler bounds its reads and writes with http.ResponseController. In a handler ConnOf(r.Context()) is the
// connection.
//
// A panic in the handler ends that connection and is logged, except http.ErrAbortHandler, which is only obeyed. A drain lets requests
// finish; handlers that go on for ever must watch Draining. ServeHTTP returns when the listener was drained or closed, or
// ctx has ended, and the last connection is gone.
func (l *Listener) ServeHTTP(ctx context.Context, srv *http.Server) error {
	return l.serveHTTP(ctx, srv, httpListener{l})
}

// serveHTTP is ServeHTTP with the connections that inner accepts.
func (l *Listener) serveHTTP(ctx context.Context, srv *http.Server, inner net.Listener) error {
	l.prepare(ctx, srv)
	stopOnDone := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stopOnDone()

	served := make(chan struct{})
	shut := make(chan struct{})
	go func() { // Shutdown closes connections that wait for a request and waits for the others
		defer close(shut)
		select {
		case <-l.draining:
		case <-served:
		}
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.Limits.DrainTimeout+time.Second)
		defer cancel()
		if srv.Shutdown(limit) != nil {
			_ = srv.Close()
		}
	}()
	err := srv.Serve(inner)
	close(served)
	<-shut
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		<-l.empty // connections that were taken over (WebSocket) end with the drain
		return nil
	}
	_ = l.Close()
	return err
}

// prepare fills in what srv leaves open.
func (l *Listener) prepare(ctx context.Context, srv *http.Server) {
	if srv.ReadHeaderTimeout == 0 {
		srv.ReadHeaderTimeout = l.headerTimeout()
	}
	if srv.IdleTimeout == 0 {
		srv.IdleTimeout = l.opts.Limits.IdleTimeout
	}
	if srv.MaxHeaderBytes == 0 {
		srv.MaxHeaderBytes = HeaderBytesMax
	}
	if srv.ErrorLog == nil {
		srv.ErrorLog = slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)
	}
	if srv.BaseContext == nil {
		srv.BaseContext = func(net.Listener) context.Context { return ctx }
	}
	more := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		link := below(c)
		ctx, cancel := context.WithCancel(ctx)
		link.onSever(cancel)
		conn := link.conn
		if conn == nil {
			conn = &Conn{Conn: c, link: link}
		}
		ctx = context.WithValue(ctx, connKey{}, conn)
		if more != nil {
			ctx = more(ctx, c)
		}
		return ctx
	}
	watch := srv.ConnState
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		below(c).setSilent(s == http.StateNew)
		if watch != nil {
			watch(c, s)
		}
	}
	next := srv.Handler
	if next == nil {
		next = http.NotFoundHandler()
	}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveRequest(next, w, r) })
}

// below finds the harness's part of a connection that httpListener gave to net/http.
func below(c net.Conn) *link {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*link)
}

func serveRequest(next http.Handler, w http.ResponseWriter, r *http.Request) {
	c := ConnOf(r.Context())
	c.NextRequest()
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			c.reportPanic(p)
		}
		panic(http.ErrAbortHandler) // net/http closes the connection and says nothing more
	}()
	next.ServeHTTP(w, r)
}

// httpListener is what net/http sees.
type httpListener struct{ l *Listener }

func (h httpListener) Accept() (net.Conn, error) {
	c, err := h.l.accept()
	if err != nil {
		return nil, err
	}
	if h.l.opts.TLS == nil {
		return c, nil
	}
	return tls.Server(c, h.l.opts.TLS), nil
}

func (h httpListener) Close() error   { return nil } // the harness closes
func (h httpListener) Addr() net.Addr { return h.l.Addr() }
