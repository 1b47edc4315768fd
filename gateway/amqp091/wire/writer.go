package wire

import (
	"encoding/binary"
	"errors"

	"leat/internal/assert"
)

// BodyBytesCopied is how large a part of a body may be to be copied between its frames. A larger one is referred to. Two more pieces in a
// vectored write cost about what copying 1.3 KiB does (BenchmarkDeliver_ToSocket).
const BodyBytesCopied = 1024

// ErrFrameTooLarge is returned for a method or a content header that does not fit the frame-max that was agreed on. Neither can be
// split, so the message cannot go to this peer.
var ErrFrameTooLarge = errors.New("a method or a content header is larger than the agreed frame_max")

// Writer gathers frames for one connection and hands them out as pieces for one vectored write.
//
//	deliver, deliver, ack   →   [method, header, body frame's head] body [end, method, header, body frame's head] body [end, method, end]
//
// Everything small is in one buffer; large bodies lie between its parts where they are, and have to stay as they are until the pieces
// have been written. A call that fails leaves the Writer as it was. The zero Writer has no frame-max; it is not for two goroutines at once.
type Writer struct {
	c        codec // its b is the buffer
	cuts     []cut
	bodies   int
	frameMax int
	ack      BasicAck
	nack     BasicNack
}

// cut is a body that follows the first at bytes of the buffer.
type cut struct {
	at   int
	body []byte
}

// SetFrameMax sets what was agreed on; 0 is no limit.
func (w *Writer) SetFrameMax(n int) { w.frameMax = n }

// Len is the number of bytes that have been gathered.
func (w *Writer) Len() int { return len(w.c.b) + w.bodies }

// Pieces appends what has been gathered to dst, in order. The pieces are the Writer's, and valid until it is used again.
func (w *Writer) Pieces(dst [][]byte) [][]byte {
	from := 0
	for _, c := range w.cuts {
		dst = append(dst, w.c.b[from:c.at], c.body)
		from = c.at
	}
	if from < len(w.c.b) {
		dst = append(dst, w.c.b[from:])
	}
	return dst
}

// AppendTo appends what has been gathered to dst, bodies and all, for connections without vectored writes: over TLS each piece would be a
// record of its own.
func (w *Writer) AppendTo(dst []byte) []byte {
	from := 0
	for _, c := range w.cuts {
		dst = append(append(dst, w.c.b[from:c.at]...), c.body...)
		from = c.at
	}
	return append(dst, w.c.b[from:]...)
}

// writerBytesKept and writerCutsKept are what an idle Writer may hold on to.
const (
	writerBytesKept = 128 << 10
	writerCutsKept  = 1024
)

// Reset forgets what has been gathered, and refers to no body any more.
func (w *Writer) Reset() {
	w.c.b, w.bodies = w.c.b[:0], 0
	clear(w.cuts)
	w.cuts = w.cuts[:0]
	if cap(w.c.b) > writerBytesKept {
		w.c.b = nil
	}
	if cap(w.cuts) > writerCutsKept {
		w.cuts = nil
	}
}

// Free lets go of all memory; there must be nothing gathered. It is for connections that have been quiet for a while: most are, most of
// the time.
func (w *Writer) Free() {
	assert.That(w.Len() == 0, "a writer that is freed is empty")
	w.c.b, w.cuts = nil, nil
}

// Protocol adds the protocol header that says what is spoken here.
func (w *Writer) Protocol() { w.c.b = append(w.c.b, Header...) }

// Heartbeat adds a heartbeat.
func (w *Writer) Heartbeat() {
	w.c.b = append(appendFrameHead(w.c.b, FrameHeartbeat, 0, 0), FrameEnd)
}

// Method adds a method without content. The error is ErrTooLong or ErrFrameTooLarge.
func (w *Writer) Method(channel uint16, m Method) error {
	start := len(w.c.b)
	w.c.b = appendFrameHead(w.c.b, FrameMethod, channel, 0)
	w.c.b = binary.BigEndian.AppendUint32(w.c.b, uint32(m.ID()))
	w.c.mode, w.c.bits = writing, 0
	m.fields(&w.c)
	return w.end(start)
}

// end closes the method or header frame that begins at start, or takes it back.
func (w *Writer) end(start int) error {
	var err error
	switch {
	case w.c.err != nil:
		w.c.err, err = nil, ErrTooLong
	case w.frameMax > 0 && len(w.c.b)-start >= w.frameMax:
		err = ErrFrameTooLarge
	}
	if err != nil {
		w.c.b = w.c.b[:start]
		return err
	}
	w.c.b = endFrame(w.c.b, start)
	return nil
}

// Content adds a method and its content: properties as in ContentHeader, and the body in as many frames as it needs, none when it is
// empty. A body over BodyBytesCopied is referred to until Reset. The error is ErrTooLong or ErrFrameTooLarge, and nothing is added then.
func (w *Writer) Content(channel uint16, m Method, properties, body []byte) error {
	start := len(w.c.b)
	if err := w.Method(channel, m); err != nil {
		return err
	}
	head := len(w.c.b)
	w.c.b = appendFrameHead(w.c.b, FrameHeader, channel, 0)
	w.c.b = append(w.c.b, 0, byte(m.ID().Class()), 0, 0)
	w.c.b = binary.BigEndian.AppendUint64(w.c.b, uint64(len(body)))
	w.c.b = append(w.c.b, properties...)
	if err := w.end(head); err != nil {
		w.c.b = w.c.b[:start]
		return err
	}
	most := len(body)
	if w.frameMax > 0 {
		most = w.frameMax - FrameOverheadBytes
	}
	for len(body) > 0 {
		n := min(len(body), most)
		w.body(channel, body[:n:n])
		body = body[n:]
	}
	return nil
}

func (w *Writer) body(channel uint16, part []byte) {
	w.c.b = appendFrameHead(w.c.b, FrameBody, channel, len(part))
	if len(part) <= BodyBytesCopied {
		w.c.b = append(w.c.b, part...)
	} else {
		w.cuts = append(w.cuts, cut{at: len(w.c.b), body: part})
		w.bodies += len(part)
	}
	w.c.b = append(w.c.b, FrameEnd)
}

// Ack adds basic.ack.
func (w *Writer) Ack(channel uint16, tag uint64, multiple bool) {
	w.ack = BasicAck{DeliveryTag: tag, Multiple: multiple}
	assert.That(w.Method(channel, &w.ack) == nil, "an ack fits every frame")
}

// Nack adds basic.nack.
func (w *Writer) Nack(channel uint16, tag uint64, multiple, requeue bool) {
	w.nack = BasicNack{DeliveryTag: tag, Multiple: multiple, Requeue: requeue}
	assert.That(w.Method(channel, &w.nack) == nil, "a nack fits every frame")
}
