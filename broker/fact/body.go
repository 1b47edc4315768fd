package fact

import (
	"encoding/binary"
	"fmt"
)

// Body reads a fact's body. After the first thing that does not fit, every read answers zero and Err says what was wrong, so a decoder
// reads all its fields and asks once.
type Body struct {
	p   []byte
	err error
}

// ReadBody starts reading p.
func ReadBody(p []byte) *Body { return &Body{p: p} }

func (b *Body) fail(what string) {
	if b.err == nil {
		b.err = fmt.Errorf("fact body: %s is cut short or malformed", what)
	}
	b.p = nil
}

// Uvarint reads an unsigned number.
func (b *Body) Uvarint() uint64 {
	v, n := binary.Uvarint(b.p)
	if n <= 0 {
		b.fail("unsigned number")
		return 0
	}
	b.p = b.p[n:]
	return v
}

// Varint reads a signed (zigzag) number.
func (b *Body) Varint() int64 {
	v, n := binary.Varint(b.p)
	if n <= 0 {
		b.fail("signed number")
		return 0
	}
	b.p = b.p[n:]
	return v
}

// Bytes reads a length and that many bytes, as a slice of the body.
func (b *Body) Bytes() []byte {
	n := b.Uvarint()
	if n > uint64(len(b.p)) {
		b.fail("byte string")
		return nil
	}
	v := b.p[:n:n]
	b.p = b.p[n:]
	return v
}

// Fixed reads n bytes, as a slice of the body.
func (b *Body) Fixed(n int) []byte {
	if n > len(b.p) {
		b.fail("fixed bytes")
		return make([]byte, n)
	}
	v := b.p[:n:n]
	b.p = b.p[n:]
	return v
}

// String reads a length and that many bytes.
func (b *Body) String() string { return string(b.Bytes()) }

// Rest is how many bytes are left.
func (b *Body) Rest() int { return len(b.p) }

// Err is the first thing that was wrong, or that bytes are left over.
func (b *Body) Err() error {
	if b.err == nil && len(b.p) > 0 {
		return fmt.Errorf("fact body: %d bytes left over", len(b.p))
	}
	return b.err
}

// AppendBytes adds a length and the bytes.
func AppendBytes(dst, p []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p)))
	return append(dst, p...)
}

// AppendString adds a length and the bytes.
func AppendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
