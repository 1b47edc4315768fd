package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What a Reader finds wrong. Err wraps one of these with the offset.
var (
	ErrShort    = errors.New("the bytes end too early")
	ErrVarint   = errors.New("a varint is too long or not in its shortest form")
	ErrLimit    = errors.New("a length is over its limit")
	ErrBool     = errors.New("a bool is neither 0 nor 1")
	ErrTrailing = errors.New("bytes follow the end")
	ErrRange    = errors.New("a number is over its range")
)

// Reader takes values from the front of a slice. The zero Reader reads nothing; use New or Reset. It is for one goroutine at a time.
type Reader struct {
	p    []byte // not yet read
	size int
	err  error
}

// New returns a Reader of p. What it hands out shares p's memory, but for String.
func New(p []byte) Reader { return Reader{p: p, size: len(p)} }

// Reset starts again with p.
func (r *Reader) Reset(p []byte) { *r = New(p) }

// Err is the first thing that went wrong, nil when nothing did.
func (r *Reader) Err() error { return r.err }

// Done is Err, or ErrTrailing when not everything was read: how a decoder of a whole value ends.
func (r *Reader) Done() error {
	if r.err == nil && len(r.p) > 0 {
		r.Fail(ErrTrailing)
	}
	return r.err
}

// Len is how many bytes are left; 0 after an error.
func (r *Reader) Len() int { return len(r.p) }

// Offset is how many bytes were read.
func (r *Reader) Offset() int { return r.size - len(r.p) }

// Fail makes err, with the offset, the error of the Reader, unless it has one. Decoders use it for values that are readable and wrong.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.Offset(), err)
		r.size -= len(r.p)
		r.p = nil
	}
}

// take gives the next n bytes, nil after an error.
func (r *Reader) take(n int) []byte {
	if n > len(r.p) {
		r.Fail(ErrShort)
		return nil
	}
	b := r.p[:n:n]
	r.p = r.p[n:]
	return b
}

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads two bytes.
func (r *Reader) U16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// U32 reads four bytes.
func (r *Reader) U32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// U64 reads eight bytes.
func (r *Reader) U64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Bool reads one byte that is 0 or 1.
func (r *Reader) Bool() bool {
	switch r.U8() {
	case 0:
		return false
	case 1:
		return true
	}
	r.Fail(ErrBool)
	return false
}

// Uvarint reads an unsigned varint in its shortest form.
func (r *Reader) Uvarint() uint64 {
	if len(r.p) > 0 && r.p[0] < 0x80 {
		v := r.p[0]
		r.p = r.p[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.p)
	switch {
	case r.err != nil:
		return 0
	case n == 0:
		r.Fail(ErrShort)
		return 0
	case n < 0 || r.p[n-1] == 0: // n > 1 here: a last byte of zero adds nothing
		r.Fail(ErrVarint)
		return 0
	}
	r.p = r.p[n:]
	return v
}

// Varint reads a signed varint (zigzag) in its shortest form.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Uvarint32 reads an unsigned varint that must fit into 32 bits.
func (r *Reader) Uvarint32() uint32 {
	v := r.Uvarint()
	if v > math.MaxUint32 {
		r.Fail(ErrRange)
		return 0
	}
	return uint32(v)
}

// Count reads the number of elements that follow, each of at least each bytes: no more than the rest can hold, so that a decoder may
// allocate for them. each must be positive.
func (r *Reader) Count(each int) int {
	n := r.Uvarint()
	if n > uint64(len(r.p)/each) {
		r.Fail(ErrShort)
		return 0
	}
	return int(n)
}

// Raw reads n bytes without a length before them.
func (r *Reader) Raw(n int) []byte {
	if n < 0 {
		r.Fail(ErrShort)
		return nil
	}
	return r.take(n)
}

// Rest reads all that is left.
func (r *Reader) Rest() []byte { return r.take(len(r.p)) }

// Bytes reads a varint length and as many bytes, at most limit. They share the input's memory; empty is not nil, but after an error.
func (r *Reader) Bytes(limit int) []byte {
	n := r.Uvarint()
	if n > uint64(len(r.p)) {
		r.Fail(ErrShort)
		return nil
	}
	if n > uint64(limit) {
		r.Fail(ErrLimit)
		return nil
	}
	if r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// Nullable reads bytes that may be nil: a varint of 0 for nil, else the length plus one and the bytes, at most limit.
func (r *Reader) Nullable(limit int) []byte {
	n := r.Uvarint()
	if n == 0 {
		return nil
	}
	if n--; n > uint64(len(r.p)) {
		r.Fail(ErrShort)
		return nil
	}
	if n > uint64(limit) {
		r.Fail(ErrLimit)
		return nil
	}
	return r.take(int(n))
}

// String reads what Bytes reads, as a copy.
func (r *Reader) String(limit int) string { return string(r.Bytes(limit)) }
