package http

import (
	"context"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"leat/broker"
	"leat/internal/clock"
)

// Server-sent events (HTML Living Standard, section 9.2). One event on the wire:
//
//	id: AQAAHgAA            its position; Last-Event-ID resumes after it
//	data: {"specversion":…} the CloudEvent in JSON, on one line
//	                        an empty line ends it
//
// The bytes of an event are made once and shared by all who follow. A follower over HTTP/1.1 has two goroutines and leaves net/http
// behind: write takes what is ready and hands it to the socket in one go, mind listens for the end of the connection and sends a
// comment when nothing was written for a while. Both write whole pieces, and net.Conn keeps concurrent writes apart, so that no
// comment lands inside an event. The body has no length and no chunks: it ends with the connection, which is what lets the same
// bytes go to everyone.

const (
	// flushBytes is how much is gathered for one write. Longer events are written by themselves.
	flushBytes = 64 << 10
	heartbeat  = ": still here\n\n"
)

type sse struct {
	g        *server
	conn     net.Conn
	follower *broker.Follower
	instance string // names the request, in problems and in the log
	ctx      context.Context
	cancel   context.CancelFunc
	deadline time.Time // of the next write, as last set by the writer
	flushes  atomic.Uint64
}

func (x *call) followSSE(streams []string) error {
	f, err := x.follow(streams)
	if err != nil {
		return err
	}
	g := x.g
	h := x.w.Header()
	h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
	h["Cache-Control"] = headerNoStore
	h["X-Accel-Buffering"] = []string{"no"} // a proxy in front must not gather what is meant to arrive now
	if x.r.ProtoMajor != 1 {
		defer g.followers.leave()
		defer f.Close()
		x.streamSSE(f)
		return nil
	}
	conn, _, err := nethttp.NewResponseController(x.w).Hijack()
	if errors.Is(err, nethttp.ErrNotSupported) {
		defer g.followers.leave()
		defer f.Close()
		x.streamSSE(f)
		return nil
	}
	if err != nil { // the connection has gone
		f.Close()
		g.followers.leave()
		return nil
	}
	s := &sse{g: g, conn: conn, follower: f, instance: instanceOf(x.r)}
	s.ctx, s.cancel = context.WithCancel(g.followers.ctx)
	h["Connection"] = []string{"close"}
	head := sseHead(h, g.config.RetryAfter)
	// The handler returns and net/http lets go of its buffers and stack; the two goroutines are all a follower costs.
	go s.write(head)
	go s.mind()
	return nil
}

// sseHead is the status line, the headers and the first field: how long to wait before connecting again.
func sseHead(h nethttp.Header, retry time.Duration) []byte {
	b := append(make([]byte, 0, 512), "HTTP/1.1 200 OK\r\n"...)
	for name, values := range h {
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	return appendRetry(append(b, "\r\n"...), retry)
}

func appendRetry(b []byte, retry time.Duration) []byte {
	b = append(b, "retry: "...)
	return append(strconv.AppendInt(b, retry.Milliseconds(), 10), "\n\n"...)
}

// write is the goroutine that delivers.
func (s *sse) write(head []byte) {
	s.g.metrics.followers.Inc()
	defer func() {
		if v := recover(); v != nil {
			s.g.log.Error("panic; the follower is let go", "request", s.instance, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		s.cancel()
		s.follower.Close()
		_ = s.conn.Close() // nothing is left to say
		s.g.metrics.followers.Dec()
		s.g.followers.leave()
	}()
	if !s.flush(head) {
		return
	}
	for {
		events, err := s.follower.Next(s.ctx, s.g.config.FlushEventsMax)
		if err != nil {
			if !ended(err) {
				s.flush(sseProblem(err, s.instance))
			}
			return
		}
		if !s.deliver(events) {
			return
		}
	}
}

// deliver writes the events with as few writes as it can. It reports whether the follower is still there.
func (s *sse) deliver(events []*broker.Delivered) bool {
	s.g.metrics.delivered.Add(float64(len(events)))
	if len(events) == 1 {
		return s.flush(events[0].Encoded(formatSSE, encodeSSE))
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	b := (*buf)[:0]
	for _, d := range events {
		e := d.Encoded(formatSSE, encodeSSE)
		if len(b) > 0 && len(b)+len(e) > flushBytes {
			if !s.flush(b) {
				return false
			}
			b = b[:0]
		}
		if len(e) > flushBytes {
			if !s.flush(e) {
				return false
			}
			continue
		}
		b = append(b, e...)
	}
	*buf = b
	return len(b) == 0 || s.flush(b)
}

// flush writes b under the write deadline. The deadline is moved when a quarter of it has gone, not each time: moving it costs a
// good part of what a small write costs.
func (s *sse) flush(b []byte) bool {
	timeout := s.g.limits.WriteTimeout
	if now := clock.Now(); s.deadline.Sub(now) < timeout-timeout/4 {
		s.deadline = now.Add(timeout)
		_ = s.conn.SetWriteDeadline(s.deadline) // fails when closed, and so will the write
	}
	_, err := s.conn.Write(b)
	s.flushes.Add(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.g.metrics.dropped.Inc()
	}
	return err == nil
}

// mind waits for the client to go, and beats while nothing else is written.
func (s *sse) mind() {
	defer s.cancel()
	var seen uint64
	var ignored [512]byte
	for s.ctx.Err() == nil {
		_ = s.conn.SetReadDeadline(clock.Now().Add(s.g.config.HeartbeatInterval))
		_, err := s.conn.Read(ignored[:]) // a client that follows has nothing to say
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if n := s.flushes.Load(); n != seen {
			seen = n
			continue
		}
		_ = s.conn.SetWriteDeadline(clock.Now().Add(s.g.limits.WriteTimeout))
		if _, err := s.conn.Write([]byte(heartbeat)); err != nil {
			return
		}
	}
}

// sseProblem is an event of type "problem" for what ends a stream in its middle. "error" would arrive where a browser reports
// connection errors.
func sseProblem(err error, instance string) []byte {
	_, doc := asProblem(err).document(instance)
	return append(append([]byte("event: problem\ndata: "), doc...), '\n')
}

// streamSSE follows over what cannot be hijacked: HTTP/2.
func (x *call) streamSSE(f *broker.Follower) {
	g := x.g
	g.metrics.followers.Inc()
	defer g.metrics.followers.Dec()
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	defer context.AfterFunc(g.followers.ctx, cancel)()
	rc := nethttp.NewResponseController(x.w)
	_ = rc.SetReadDeadline(time.Time{})
	flush := func(b []byte) bool {
		_ = rc.SetWriteDeadline(clock.Now().Add(g.limits.WriteTimeout))
		if _, err := x.w.Write(b); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	x.w.WriteHeader(nethttp.StatusOK)
	alive := flush(appendRetry(nil, g.config.RetryAfter))
	var b []byte
	for alive {
		beat, done := context.WithTimeout(ctx, g.config.HeartbeatInterval)
		events, err := f.Next(beat, g.config.FlushEventsMax)
		done()
		switch {
		case ctx.Err() != nil:
			return
		case ended(err):
			alive = flush([]byte(heartbeat))
			continue
		case err != nil:
			flush(sseProblem(err, instanceOf(x.r)))
			return
		}
		g.metrics.delivered.Add(float64(len(events)))
		b = b[:0]
		for _, d := range events {
			b = append(b, d.Encoded(formatSSE, encodeSSE)...)
		}
		alive = flush(b)
	}
}
