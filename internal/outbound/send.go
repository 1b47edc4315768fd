package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"leat/internal/clock"
)

// Request is one attempt at one delivery.
type Request struct {
	Method string      // empty is the endpoint's
	Header http.Header // canonical names; belongs to Send, which adds the endpoint's own. What it says wins
	Body   []byte      // must not change, not even after Send has returned: a connection that is given up may still be reading it
	Once   bool        // never sent again by the connection's own means when a kept connection turns out to be dead
	Tag    any         // the caller's
}

// Send makes one attempt, and gives the ticket back with what it learned. It returns within the endpoint's timeout, and as soon as ctx
// ends. The outcome is that of the answer's status: a body that trickles, breaks or never ends changes nothing.
func (e *Endpoint) Send(ctx context.Context, t Ticket, r *Request) Result {
	e.mu.Lock()
	if !e.gate.stillGood(t.t) {
		e.gate.unused(t.t)
		e.figures.Outcomes[Unsent]++
		e.mu.Unlock()
		e.wakeOne()
		return Result{Outcome: Unsent, Err: ErrPaused}
	}
	e.figures.Sending++
	e.mu.Unlock()

	res := e.attempt(ctx, r)

	var hold time.Duration
	if res.holds() {
		hold = res.RetryAfter
	}
	e.mu.Lock()
	if c, changed := e.gate.leave(clock.Now(), t.t, res.signal(), hold, res.why()); changed {
		res.Change = &c
		e.figures.Changes++
	}
	e.figures.Sending--
	e.figures.count(&res, len(r.Body))
	e.mu.Unlock()
	e.wakeOne()
	return res
}

// Try makes one attempt beside the gate: it waits for nothing and says nothing about the endpoint's health. It is for handshakes and for
// a user's "try this endpoint".
func (e *Endpoint) Try(ctx context.Context, r *Request) Result { return e.attempt(ctx, r) }

// why is the text of a Change.
func (r *Result) why() string {
	if r.Err == nil {
		return ""
	}
	return r.Err.Error()
}

func (e *Endpoint) attempt(ctx context.Context, r *Request) (res Result) {
	if e.closing.Err() != nil {
		return Result{Outcome: Unsent, Err: ErrClosed}
	}
	if err := checkHeader(r.Header); err != nil {
		return Result{Outcome: Refused, Err: err}
	}
	began := clock.Now()
	defer func() {
		if res.Took == 0 {
			res.Took = clock.Since(began)
		}
	}()
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	stop := context.AfterFunc(e.closing, cancel) //nolint:contextcheck // two ends: the call's and the endpoint's
	defer stop()

	tr := &trace{}
	answer, err := e.transport.RoundTrip(e.request(tr.in(ctx), r))
	res.Phase = Phase(tr.phase.Load())
	res.Remote = tr.remoteAddr()
	res.Reached = res.Phase >= PhaseWrite
	if err != nil {
		e.fail(caller, &res, err)
		return res
	}
	res.Took = clock.Since(began)
	res.Phase, res.Reached = PhaseAnswer, true
	res.Status, res.Header = answer.StatusCode, answer.Header
	res.Outcome = classify(res.Status, res.Header, e.refuse)
	if v := res.Header.Get("Retry-After"); v != "" {
		res.RetryAfter, _ = ParseRetryAfter(v, res.Header.Get("Date"), clock.Now(), e.client.config.RetryAfterMax)
	}
	if res.Outcome != Delivered {
		res.Err = statusError(res.Status)
	}
	res.Body = e.readBody(answer, cancel)
	return res
}

func statusError(status int) error {
	if status >= 300 && status < 400 {
		return fmt.Errorf("it answered %d %s; redirects are not followed", status, http.StatusText(status))
	}
	return fmt.Errorf("it answered %d %s", status, http.StatusText(status))
}

// request builds what RoundTrip takes.
func (e *Endpoint) request(ctx context.Context, r *Request) *http.Request {
	h := r.Header
	if h == nil {
		h = make(http.Header, len(e.header)+1)
	}
	for name, values := range e.header {
		if _, said := h[name]; !said {
			h[name] = values
		}
	}
	if !r.Once {
		// A connection that the peer closed just as it was used again gives an error without any answer. net/http then sends again on
		// another one, if it may believe that to be safe; deliveries carry an id for that. A name without values is not sent.
		h["Idempotency-Key"] = nonNil(h["Idempotency-Key"])
	}
	method := r.Method
	if method == "" {
		method = e.config.Method
	}
	if method == "" {
		method = http.MethodPost
	}
	req := &http.Request{Method: method, URL: e.url, Host: e.url.Host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if len(r.Body) > 0 {
		req.ContentLength = int64(len(r.Body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
		req.Body, _ = req.GetBody()
	} else {
		req.Body = http.NoBody
	}
	return req.WithContext(ctx)
}

func nonNil(v []string) []string {
	if v == nil {
		return []string{}
	}
	return v
}

// fail says what the error of an attempt means.
func (e *Endpoint) fail(caller context.Context, res *Result, err error) {
	res.Err = &attemptError{res.Phase, err}
	res.Outcome = Retry
	switch {
	case e.closing.Err() != nil || caller.Err() != nil:
		// We gave up; nothing was found out about the endpoint.
		res.cut = true
		if res.Err = ErrClosed; e.closing.Err() == nil {
			res.Err = caller.Err()
		}
		if !res.Reached {
			res.Outcome = Unsent
		}
	case errors.Is(err, errNoRoom):
		res.Outcome = Unsent
	case errors.Is(err, context.DeadlineExceeded):
		res.Err = fmt.Errorf("%s: it took longer than %v", res.Phase, e.config.Timeout)
	default:
		if _, ok := errors.AsType[*BlockedError](err); ok {
			res.Outcome = Blocked
		}
	}
}

// attemptError is an error with its phase. Some repeat what the peer sent, which may be long, and errors are kept and shown.
type attemptError struct {
	phase Phase
	cause error
}

const errorBytesMax = 300

func (e *attemptError) Error() string {
	s := e.cause.Error()
	if len(s) > errorBytesMax {
		s = strings.ToValidUTF8(s[:errorBytesMax], "") + "…"
	}
	return e.phase.String() + ": " + s
}

func (e *attemptError) Unwrap() error { return e.cause }

// readBody keeps the beginning of a body, and drains a little so that the connection can be used again. It takes BodyTimeout at most:
// ending the request's context ends the read.
func (e *Endpoint) readBody(answer *http.Response, cancel context.CancelFunc) []byte {
	defer answer.Body.Close()
	if answer.Body == http.NoBody {
		return nil
	}
	keep := e.client.config.ResponseBytesMax
	limit := keep + drainBytesMax
	if answer.ContentLength > int64(limit) {
		limit = keep // the connection is lost anyway
	}
	timer := clock.AfterFunc(e.client.config.BodyTimeout, cancel)
	defer timer.Stop()
	buf := bodies.Get().(*[4096]byte)
	defer bodies.Put(buf)
	var kept []byte
	for read := 0; read < limit; {
		n, err := answer.Body.Read(buf[:])
		if room := keep - len(kept); room > 0 && n > 0 {
			kept = append(kept, buf[:min(n, room)]...)
		}
		read += n
		if err != nil {
			break
		}
	}
	return kept
}

var bodies = sync.Pool{New: func() any { return new([4096]byte) }}

// trace follows how far a request came. A phase never goes back: dials go on in the background when a connection came free meanwhile, and
// tell of themselves late.
type trace struct {
	phase  atomic.Uint32
	remote atomic.Pointer[netip.AddrPort]
}

func (t *trace) reach(p Phase) {
	for {
		now := t.phase.Load()
		if Phase(now) >= p || t.phase.CompareAndSwap(now, uint32(p)) {
			return
		}
	}
}

func (t *trace) in(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { t.reach(PhaseResolve) },
		ConnectStart:      func(string, string) { t.reach(PhaseConnect) },
		TLSHandshakeStart: func() { t.reach(PhaseTLS) },
		GotConn: func(info httptrace.GotConnInfo) {
			t.reach(PhaseWrite)
			if a, ok := remoteOf(info.Conn); ok {
				t.remote.Store(&a)
			}
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				t.reach(PhaseWait)
			}
		},
	})
}

func remoteOf(c net.Conn) (netip.AddrPort, bool) {
	if tc, ok := c.(*tls.Conn); ok {
		c = tc.NetConn()
	}
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	return a.AddrPort(), true
}

func (t *trace) remoteAddr() netip.AddrPort {
	if a := t.remote.Load(); a != nil {
		return *a
	}
	return netip.AddrPort{}
}

// framing are headers that the connection writes itself.
var framing = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Keep-Alive": true, "Upgrade": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Expect": true,
}

// checkHeader refuses what cannot be sent: it would fail at each attempt, and is no fault of the endpoint.
func checkHeader(h http.Header) error {
	for name, values := range h {
		if !headerName(name) {
			return fmt.Errorf("%q is no header name", name)
		}
		if framing[http.CanonicalHeaderKey(name)] {
			return fmt.Errorf("the header %s cannot be set: the connection writes it", name)
		}
		for _, v := range values {
			if !headerValue(v) {
				return fmt.Errorf("the value of the header %s has a control character", name)
			}
		}
	}
	return nil
}

func headerName(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func headerValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
