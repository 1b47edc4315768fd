package amqp091

import (
	"errors"
	"io"
	"sync/atomic"

	"leat/gateway"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// input reads frames. What one read brings is taken apart where it lies: a frame is valid until the next fill.
//
//	p   … read already │ whole frame │ whole frame │ part of one │ free …
//	                   from                                      to
//
// The memory begins small, doubles when reads fill it, and is small again when they no longer do. A frame that is longer than it has it
// grow as the frame comes: a claim costs nothing.
type input struct {
	c                *gateway.Conn
	p                []byte
	from, to         int
	filled           bool // the last read left nothing free
	small            int  // reads in a row that would have fitted the least memory
	waits            int  // bytes that have come since ReadTimeout began to run; -1: it does not run
	bytesRead, reads atomic.Int64
	heard            atomic.Int64 // when something was read last
	reading          atomic.Bool  // somebody waits for more
}

// Memory for what is read.
const (
	inputBytesLeast = 8 << 10
	inputBytesMost  = 128 << 10 // but for a longer frame
	inputSmallReads = 16        // so many, and the memory is given back
)

func newInput(c *gateway.Conn) *input {
	return &input{c: c, p: make([]byte, inputBytesLeast), waits: -1}
}

// next takes the next frame, if it is there as a whole.
func (in *input) next(frameMax int) (f wire.Frame, whole bool, err error) {
	b := in.p[in.from:in.to]
	if len(b) < wire.FrameHeaderBytes {
		return f, false, nil
	}
	h, err := wire.DecodeFrameHead(b, frameMax)
	if err != nil {
		return f, false, err
	}
	end := wire.FrameHeaderBytes + h.PayloadBytes
	if len(b) <= end {
		return f, false, nil
	}
	if err := wire.CheckFrameEnd(b[end]); err != nil {
		return f, false, err
	}
	in.from += end + 1
	in.waits = -1
	return wire.Frame{Type: h.Type, Channel: h.Channel, Payload: b[wire.FrameHeaderBytes:end]}, true, nil
}

// left is how many bytes have been read and not taken.
func (in *input) left() int { return in.to - in.from }

// bytes is the memory that is held.
func (in *input) bytes() int { return len(in.p) }

// fill reads more. Between frames it waits as long as a connection may be idle; within one, as long as reading may take. The error is one
// of gateway.Conn.Await, or io.ErrUnexpectedEOF within a frame.
func (in *input) fill() error {
	in.room()
	in.reading.Store(true)
	defer in.reading.Store(false)
	var n int
	var err error
	if in.from == in.to {
		in.from, in.to = 0, 0
		n, err = in.c.AwaitRead(in.p)
	} else {
		if in.waits < 0 || in.waits >= gateway.PieceBytes {
			in.waits = 0
			if err := in.c.Begun(); err != nil {
				return err
			}
		}
		n, err = in.c.Read(in.p[in.to:])
		in.waits += n
		if n > 0 {
			err = nil
		} else if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}
	if n > 0 {
		in.heard.Store(clock.Now().UnixNano())
		in.bytesRead.Add(int64(n))
		in.reads.Add(1)
	}
	in.to += n
	in.filled = in.to == len(in.p)
	if n > inputBytesLeast {
		in.small = 0
	} else if len(in.p) > inputBytesLeast {
		in.small++
	}
	return err
}

// room makes room to read into.
func (in *input) room() {
	have := in.to - in.from
	switch {
	case have == 0 && in.small >= inputSmallReads:
		in.p, in.small = make([]byte, inputBytesLeast), 0
	case in.filled && len(in.p) < inputBytesMost, in.from == 0 && in.to == len(in.p):
		more := make([]byte, 2*len(in.p))
		copy(more, in.p[in.from:in.to])
		in.p, in.small = more, 0
	case have > 0 && in.from > 0:
		copy(in.p, in.p[in.from:in.to])
	default:
		return
	}
	in.from, in.to = 0, have
	in.filled = false
}
