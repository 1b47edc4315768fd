package http

import (
	"bufio"
	"context"
	"io"
	nethttp "net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"leat/gateway"
	"leat/gateway/http/wire"
	"leat/internal/clock"
)

// The fast lane serves publishing and appending on plain-text connections, and nothing else, without net/http: most of what a server's processor
// does for a small request is otherwise net/http's own bookkeeping.
//
//	accepted -> [ fast lane: head, body, handler, answer ]* -> the first head that is not simple -> net/http, for good
//
// Why nothing can be smuggled through it, that is, no two parties can disagree on where a request ends:
//
//   - It takes heads of one shape only (wire.Publish), with one Content-Length of plain digits and no field that could say otherwise.
//     For these RFC 9112 leaves one reading, and a fuzz target holds it against that of net/http.
//   - It refuses nothing by itself. A head that it does not take is handed to net/http from its first byte on, with all bytes that came
//     behind it; what was served before ended exactly where its Content-Length says. So net/http sees a connection that begins with that
//     request, and its judgement is the only one.
//   - There is no way back: one connection is read by one parser after the other, never by both in turns.
//   - A body that the handler leaves unread is read to its end before the answer, or the connection ends with the answer.
//
// The handler is the same in both lanes: guard, login, limits, metrics and answers do not know which one they are in. What differs
// is that the context of a request does not end when the client leaves (nobody reads meanwhile), only when the connection is cut:
// what such a request waits for is bounded by the broker.

const (
	// unreadBytesMax is how much of a body that the handler did not want is read for the connection's sake, as in net/http.
	unreadBytesMax = 256 << 10
	// answerKeepBytes is the largest buffer for answers that a connection keeps.
	answerKeepBytes = 4 << 10
	// emptyLinesMax is how many CR and LF are let pass behind a body, where old clients send them, as in net/http.
	emptyLinesMax = 4
)

var fastReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, wire.HeadBytesMax) }}

// fastLane is one connection.
type fastLane struct {
	s    *server
	conn *gateway.Conn
	br   *bufio.Reader
	head wire.Publish
	req  *nethttp.Request
	url  url.URL
	body fastBody
	w    fastWriter

	emptyLines int // CR and LF that may still come before the next request; none before the first
}

// serveFast serves what is simple. See gateway.First.
func (s *server) serveFast(ctx context.Context, c *gateway.Conn) (ahead []byte, pass bool) {
	br := fastReaders.Get().(*bufio.Reader)
	br.Reset(c)
	f := &fastLane{s: s, conn: c, br: br}
	defer func() {
		br.Reset(nil)
		fastReaders.Put(br)
	}()
	f.body.br = br
	f.w.header = make(nethttp.Header, 8)
	f.req = (&nethttp.Request{
		Method: nethttp.MethodPost, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, URL: &f.url, RemoteAddr: c.RemoteAddr().String(),
	}).WithContext(ctx)
	for await := c.AwaitFirst; ; await = c.Await {
		if await(br) != nil {
			return nil, false
		}
		if f.skipEmptyLines(); br.Buffered() == 0 {
			continue
		}
		switch f.readHead() {
		case wire.Other:
			left, _ := br.Peek(br.Buffered())
			return slices.Clone(left), true
		case wire.More: // it did not come in time
			return nil, false
		case wire.Taken:
		}
		if !f.serve() {
			return nil, false
		}
	}
}

// readHead reads on until there is a verdict. A head that ends too early is left to net/http too; More is one that came too late.
func (f *fastLane) readHead() wire.Verdict {
	for first := true; ; first = false {
		p, _ := f.br.Peek(f.br.Buffered())
		n, v := f.head.Decode(p, int64(f.s.config.BodyBytesMax))
		if v == wire.Taken {
			_, _ = f.br.Discard(n) // is there
			if !first && f.conn.Begun() != nil {
				return wire.More
			}
			return v
		}
		if v == wire.Other {
			return v
		}
		if first && f.conn.HeaderDue() != nil {
			return wire.More
		}
		if _, err := f.br.Peek(len(p) + 1); err == io.EOF {
			return wire.Other
		} else if err != nil {
			return wire.More
		}
	}
}

// serve serves one request, and reports whether the connection goes on.
func (f *fastLane) serve() bool {
	r := f.req
	f.url = url.URL{Path: f.head.Path}
	r.RequestURI, r.Host, r.Header, r.ContentLength = f.head.Path, f.head.Host, f.head.Header, f.head.ContentLength
	f.body.left = f.head.ContentLength
	r.Body = &f.body
	f.w.reset()
	f.emptyLines = emptyLinesMax
	f.conn.NextRequest()
	f.s.ServeHTTP(&f.w, r)
	if f.body.left > 0 && !f.w.saysClose() && !f.skipBody() {
		f.w.close = true
	}
	if f.conn.IsDraining() || f.body.left > 0 {
		f.w.close = true
	}
	goesOn := !f.w.saysClose() // before the header is written, which adds what is missing
	_, err := f.conn.Write(f.w.finish(clock.Now()))
	return err == nil && goesOn
}

// skipBody reads what the handler left of the body.
func (f *fastLane) skipBody() bool {
	if f.body.left > unreadBytesMax {
		return false
	}
	_, err := io.Copy(io.Discard, &f.body)
	return err == nil && f.body.left == 0
}

// skipEmptyLines drops CR and LF that stand behind a request where the next should begin.
func (f *fastLane) skipEmptyLines() {
	for f.emptyLines > 0 && f.br.Buffered() > 0 {
		if p, _ := f.br.Peek(1); p[0] != '\r' && p[0] != '\n' {
			return
		}
		_, _ = f.br.Discard(1)
		f.emptyLines--
	}
}

// fastBody is the body of the request that is served: the next left bytes of the connection.
type fastBody struct {
	br   *bufio.Reader
	left int64
}

func (b *fastBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.br.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *fastBody) Close() error { return nil }

// fastWriter collects an answer and writes it as net/http would:
//
//	HTTP/1.1 201 Created
//	<fields of the handler, sorted by name>
//	Date, Content-Length, Connection: close      unless the handler has set them
type fastWriter struct {
	header nethttp.Header
	code   int
	close  bool
	body   []byte
	out    []byte
	names  []string

	second int64 // what date says
	date   []byte
}

func (w *fastWriter) reset() {
	clear(w.header)
	w.code, w.close = 0, false
	if w.body = w.body[:0]; cap(w.body) > answerKeepBytes {
		w.body = nil
	}
	if w.out = w.out[:0]; cap(w.out) > answerKeepBytes {
		w.out = nil
	}
}

func (w *fastWriter) Header() nethttp.Header { return w.header }

func (w *fastWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
}

func (w *fastWriter) Write(p []byte) (int, error) {
	w.WriteHeader(nethttp.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}

// SetWriteDeadline is for http.ResponseController. Nothing is written before the end, and then each piece has its own deadline.
func (w *fastWriter) SetWriteDeadline(time.Time) error { return nil }

// saysClose reports whether the connection ends with this answer.
func (w *fastWriter) saysClose() bool {
	return w.close || len(w.header["Connection"]) > 0 && w.header["Connection"][0] == "close"
}

// finish is the whole answer.
func (w *fastWriter) finish(now time.Time) []byte {
	w.WriteHeader(nethttp.StatusOK)
	b := append(w.out, "HTTP/1.1 "...)
	b = append(append(strconv.AppendInt(b, int64(w.code), 10), ' '), nethttp.StatusText(w.code)...)
	b = append(b, "\r\n"...)
	w.names = w.names[:0]
	for name := range w.header {
		w.names = append(w.names, name)
	}
	slices.Sort(w.names)
	for _, name := range w.names {
		for _, v := range w.header[name] {
			b = appendField(b, name, v)
		}
	}
	if now.Unix() != w.second || w.date == nil {
		w.second, w.date = now.Unix(), now.UTC().AppendFormat(w.date[:0], nethttp.TimeFormat)
	}
	b = append(append(append(b, "Date: "...), w.date...), "\r\n"...)
	if w.header["Content-Length"] == nil {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(w.body)), 10), "\r\n"...)
	}
	if w.close && w.header["Connection"] == nil {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(append(b, "\r\n"...), w.body...)
	w.out = b
	return b
}

// appendField appends a field of the header. What would end its line becomes a space, as in net/http.
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	for i := range len(value) {
		c := value[i]
		if c == '\r' || c == '\n' {
			c = ' '
		}
		b = append(b, c)
	}
	return append(b, "\r\n"...)
}
