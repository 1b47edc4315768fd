package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"leat/internal/clock"
)

// Conn is one connection of a raw protocol, or what lies below an HTTP one. Reads are for one goroutine and writes for one (which may
// be another); the rest is for many.
//
// Deadlines are set by Await, ReadFull and Write from the limits of the listener. Code that reads in another way calls Begun when a
// request has begun.
type Conn struct {
	net.Conn // TLS, when the listener has it
	link     *link
	requests atomic.Uint64
}

// ID numbers the connections of a listener from 1 on.
func (c *Conn) ID() uint64 { return c.link.id }

// Listener is the one that accepted it.
func (c *Conn) Listener() *Listener { return c.link.l }

// Log carries listener, connection and peer. It is made at each call: a connection that has nothing to log should cost nothing.
func (c *Conn) Log() *slog.Logger {
	return c.link.l.log.With("conn", c.link.id, "peer", c.RemoteAddr().String())
}

// Draining is closed when the listener begins to drain: finish what has begun, begin nothing, say goodbye.
func (c *Conn) Draining() <-chan struct{} { return c.link.l.draining }

// TLSState is what the handshake agreed on; nil without TLS.
func (c *Conn) TLSState() *tls.ConnectionState {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	s := t.ConnectionState()
	return &s
}

// RequestID names one request in logs and in what users see of an internal fault: kafka-12.345 is the 345th request of the 12th
// connection of listener kafka.
type RequestID struct {
	Listener      string
	Conn, Request uint64
}

func (r RequestID) String() string { return fmt.Sprintf("%s-%d.%d", r.Listener, r.Conn, r.Request) }

// NextRequest counts a request and names it.
func (c *Conn) NextRequest() RequestID {
	return RequestID{c.link.l.opts.Name, c.link.id, c.requests.Add(1)}
}

// LastRequest names the request that was counted last. HTTP requests are counted by the harness.
func (c *Conn) LastRequest() RequestID {
	return RequestID{c.link.l.opts.Name, c.link.id, c.requests.Load()}
}

// Await waits until br has the first byte of the next request, for IdleTimeout at most, and starts the clock of that request:
// ReadTimeout from now. io.EOF: the peer has closed, between requests. ErrDraining, ErrIdle: say goodbye and return.
//
// br must read from c.
func (c *Conn) Await(br *bufio.Reader) error { return c.await(br, c.link.l.opts.Limits.IdleTimeout) }

// AwaitRead is Await for those who have no bufio.Reader and nothing buffered: it waits as long for the first bytes of the next request, and
// reads them into p.
func (c *Conn) AwaitRead(p []byte) (int, error) {
	if err := c.link.await(c.SetReadDeadline, c.link.l.opts.Limits.IdleTimeout); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if begun := c.Begun(); n > 0 {
		return n, begun
	}
	switch {
	case c.link.isDraining() && errors.Is(err, os.ErrDeadlineExceeded):
		return 0, ErrDraining
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, ErrIdle
	}
	return 0, err
}

// AwaitFirst is Await before the first request of an HTTP connection, which must begin as soon as a head must have come in full.
func (c *Conn) AwaitFirst(br *bufio.Reader) error { return c.await(br, c.link.l.headerTimeout()) }

func (c *Conn) await(br *bufio.Reader, most time.Duration) error {
	if br.Buffered() > 0 {
		if c.link.isDraining() {
			return ErrDraining
		}
		return c.Begun()
	}
	if err := c.link.await(c.SetReadDeadline, most); err != nil {
		return err
	}
	_, err := br.Peek(1)
	if begun := c.Begun(); err == nil {
		return begun
	}
	switch {
	case c.link.isDraining() && errors.Is(err, os.ErrDeadlineExceeded):
		return ErrDraining
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrIdle
	}
	return err
}

// Begun says that a request is being read or worked on: a drain lets it finish, and the next read has ReadTimeout.
func (c *Conn) Begun() error {
	return c.link.begun(c.SetReadDeadline, c.link.l.opts.Limits.ReadTimeout)
}

// ReadFull fills p from r, which must read from c. Each PieceBytes of it may take ReadTimeout. An end in the middle is
// io.ErrUnexpectedEOF.
func (c *Conn) ReadFull(r io.Reader, p []byte) error {
	for len(p) > 0 {
		if err := c.Begun(); err != nil {
			return err
		}
		piece := p[:min(len(p), PieceBytes)]
		if _, err := io.ReadFull(r, piece); err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		p = p[len(piece):]
	}
	return nil
}

// Write writes all of p or fails. Each PieceBytes of it may take WriteTimeout, so that a peer that stands still is found out and
// one that is slow is not.
func (c *Conn) Write(p []byte) (int, error) {
	written := 0
	for {
		piece := p[written:min(len(p), written+PieceBytes)]
		if err := c.SetWriteDeadline(clock.Now().Add(c.link.l.opts.Limits.WriteTimeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// WriteBuffers writes all of bufs, with one system call for each PieceBytes where there is no TLS. It consumes bufs.
func (c *Conn) WriteBuffers(bufs net.Buffers) (int64, error) {
	if _, ok := c.Conn.(*link); !ok { // TLS writes one record after the other in any case
		var total int64
		for _, b := range bufs {
			n, err := c.Write(b)
			total += int64(n)
			if err != nil {
				return total, err
			}
		}
		return total, nil
	}
	var total int64
	for len(bufs) > 0 {
		piece := cutPiece(&bufs)
		if err := c.SetWriteDeadline(clock.Now().Add(c.link.l.opts.Limits.WriteTimeout)); err != nil {
			return total, err
		}
		n, err := piece.WriteTo(c.link.Conn) // the socket itself: net uses writev for nothing else
		c.link.wrote(n, err)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// cutPiece takes buffers of about PieceBytes off the front of bufs; a longer one is cut.
func cutPiece(bufs *net.Buffers) net.Buffers {
	var piece net.Buffers
	room := PieceBytes
	for len(*bufs) > 0 && room > 0 {
		b := (*bufs)[0]
		if len(b) > room {
			(*bufs)[0] = b[room:]
			return append(piece, b[:room])
		}
		piece = append(piece, b)
		room -= len(b)
		*bufs = (*bufs)[1:]
	}
	return piece
}

type connKey struct{}

// ConnOf returns the connection that an HTTP request came by, or nil.
func ConnOf(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}
