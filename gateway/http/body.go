package http

import (
	"io"
	nethttp "net/http"
	"sync"

	"leat/broker/fault"
)

const (
	// bodyKeepBytes is the largest buffer that is kept for the next request.
	bodyKeepBytes = 1 << 20
	// bodyStepBytes is the first piece reserved for a body whose length was not said; each further one doubles what is there.
	bodyStepBytes = 64 << 10
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func putBuffer(b *[]byte) {
	if cap(*b) <= bodyKeepBytes {
		buffers.Put(b)
	}
}

// body is the body of one request and the memory reserved for it. It is freed when the request has been answered, refusals included,
// and used again: whatever is kept longer is copied.
type body struct {
	bytes   []byte
	buf     *[]byte
	release []func()
	first   [2]func() // room for the usual number of reservations
}

func (b *body) free() {
	for _, f := range b.release {
		f()
	}
	if b.buf != nil {
		*b.buf = b.bytes[:0]
		putBuffer(b.buf)
	}
	*b = body{}
}

// readBody reads the body under the size limit, each part of it reserved from the node's budget before it is read. A body that says
// it is too long is refused unread.
func (x *call) readBody() error { return x.readBodyUpTo(x.g.config.BodyBytesMax) }

// readBodyUpTo is readBody with a limit of its own.
func (x *call) readBodyUpTo(most int) error {
	b := &x.body
	length := x.r.ContentLength
	if length > int64(most) {
		return bodyTooLarge(most)
	}
	b.release = b.first[:0]
	b.buf = buffers.Get().(*[]byte)
	b.bytes = (*b.buf)[:0]
	if length == 0 {
		return nil
	}
	if length > 0 {
		if err := x.reserve(b, int(length)); err != nil {
			return err
		}
		b.grow(int(length))
		n, err := io.ReadFull(x.r.Body, b.bytes[:length])
		b.bytes = b.bytes[:n]
		return x.bodyBroken(err)
	}
	for reserved := 0; ; {
		if len(b.bytes) == reserved {
			if reserved > most {
				return bodyTooLarge(most)
			}
			step := min(max(bodyStepBytes, reserved), most+1-reserved) // one byte over shows that there is more
			if err := x.reserve(b, step); err != nil {
				return err
			}
			reserved += step
			b.grow(reserved)
		}
		n, err := x.r.Body.Read(b.bytes[len(b.bytes):reserved])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if err == io.EOF {
			if len(b.bytes) > most {
				return bodyTooLarge(most)
			}
			return nil
		}
		if err != nil {
			return x.bodyBroken(err)
		}
	}
}

// grow makes room for n bytes.
func (b *body) grow(n int) {
	if cap(b.bytes) < n {
		b.bytes = append(make([]byte, 0, n), b.bytes...)
	}
}

func (x *call) reserve(b *body, n int) error {
	release, err := x.g.broker.Reserve(x.r.Context(), x.caller(), n)
	if err != nil {
		p := asProblem(err)
		p.close = true
		return p
	}
	b.release = append(b.release, release)
	return nil
}

func bodyTooLarge(most int) error {
	return &problem{
		fault: fault.New(fault.TooLarge, "request", "body", "a request body has at most %d bytes; send less at a time", most),
		close: true,
	}
}

// bodyBroken is for a body that ended early or did not come in time; most such clients are gone.
func (x *call) bodyBroken(err error) error {
	if err == nil {
		return nil
	}
	return &problem{
		fault:  fault.New(fault.Invalid, "request", "body", "the body did not arrive: it ended early or took longer than %s", x.g.limits.ReadTimeout).From(err),
		status: nethttp.StatusRequestTimeout, title: "The request did not arrive", kind: "request-timeout", close: true,
	}
}
