package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"leat/internal/clock"
)

// ServeConns runs handle for each connection, in a goroutine of its own, after the TLS handshake where there is one. handle returns
// when the connection should end; the harness closes it. Its context ends when ctx does and when a drain cuts the connection. A
// panic in handle ends that connection and is logged. ServeConns returns when the listener was drained or closed, or ctx has
// ended, and the last handle has returned.
func (l *Listener) ServeConns(ctx context.Context, handle func(ctx context.Context, c *Conn)) error {
	stopOnDone := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stopOnDone()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return errors.Join(err, l.Close())
		}
		wg.Go(func() { l.serve(ctx, c, handle) })
	}
}

func (l *Listener) serve(ctx context.Context, c *link, handle func(context.Context, *Conn)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.onSever(cancel)
	conn := &Conn{Conn: c, link: c}
	defer func() { _ = c.Close() }()
	defer conn.recoverPanic()
	if l.opts.TLS == nil {
		handle(ctx, conn)
		c.linger()
		return
	}
	secure := tls.Server(c, l.opts.TLS)
	if err := l.handshake(ctx, secure); err != nil {
		l.count.handshakes.Inc()
		conn.Log().Debug("TLS handshake failed", "error", err)
		return
	}
	conn.Conn = secure
	handle(ctx, conn)
	sayGoodbye(secure)
	c.linger()
}

func (l *Listener) handshake(ctx context.Context, c *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Limits.HandshakeTimeout)
	defer cancel()
	return c.HandshakeContext(ctx)
}

// sayGoodbye sends close_notify, without waiting long for a peer that does not read.
func sayGoodbye(c *tls.Conn) {
	_ = c.SetWriteDeadline(clock.Now().Add(lingerTime))
	_ = c.CloseWrite() // the peer may be gone, which is the usual way for this to fail
}

// How long and how much a connection that we end is still read from.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// linger ends our side and reads on for a moment what the peer still sends. To close with unread bytes would make the kernel send
// a reset, and a reset takes away answers that the peer has not read yet:
//
//	peer: request 1, request 2
//	we:   answer 1, and drain: request 2 is not begun
//	we:   close with request 2 unread -> reset -> answer 1 may be lost, though it was sent
func (c *link) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || c.stuck.Load() || half.CloseWrite() != nil || c.SetReadDeadline(clock.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // the end, the deadline or the limit: all are good reasons to stop
}

// recoverPanic is deferred around what may panic for this connection alone.
func (c *Conn) recoverPanic() {
	if p := recover(); p != nil {
		c.reportPanic(p)
	}
}

func (c *Conn) reportPanic(p any) {
	c.link.l.count.panics.Inc()
	c.Log().Error("panic; the connection is closed", "request", c.LastRequest().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// Pauses of accept after an error that time may heal, doubling from the first to the last. Used up file descriptors are the usual
// one: accepting again at once would burn a core while nothing gets better.
const (
	acceptPauseFirst = 5 * time.Millisecond
	acceptPauseLast  = time.Second
)

// accept returns the next connection that the limits admit, or net.ErrClosed when the listener has stopped.
func (l *Listener) accept() (*link, error) {
	pause := acceptPauseFirst
	for {
		conn, err := l.inner.Accept()
		if err != nil {
			select {
			case <-l.draining:
				return nil, net.ErrClosed
			default:
			}
			if !passing(err) {
				return nil, fmt.Errorf("listener %s: accept: %w", l.opts.Name, err)
			}
			l.log.Warn("accept failed; trying again", "pause", pause, "error", err)
			select {
			case <-clock.After(pause):
			case <-l.draining:
				return nil, net.ErrClosed
			}
			pause = min(2*pause, acceptPauseLast)
			continue
		}
		pause = acceptPauseFirst
		c, limit := l.admit(conn)
		if c != nil {
			near(conn)
			return c, nil
		}
		l.count.refused(limit).Inc()
		_ = conn.Close()
		l.warnRefused(conn, limit)
	}
}

// passing reports whether accept may work later: out of descriptors or memory, or a peer that left before it was accepted.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO} {
		if errors.Is(err, e) {
			return true
		}
	}
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// refusalsLoggedEvery keeps a storm of connections out of the log; the metric has them all.
const refusalsLoggedEvery = 10 * time.Second

func (l *Listener) warnRefused(conn net.Conn, limit string) {
	l.mu.Lock()
	now := clock.Now()
	quiet := limit == "draining" || now.Sub(l.warnedAt) < refusalsLoggedEvery
	if !quiet {
		l.warnedAt = now
	}
	l.mu.Unlock()
	if quiet {
		return
	}
	hint := map[string]string{"total": "connections_max", "ip": "connections_per_ip_max"}[limit]
	l.log.Warn("connection refused: a limit is reached", "peer", conn.RemoteAddr().String(), "limit", hint)
}
