package wire

import (
	"encoding/binary"
	"errors"
)

// ErrShort is returned by decoders whose input ends too early, or whose lengths reach beyond its end.
var ErrShort = errors.New("the request ends in the middle of a field")

// ErrTrailing is returned by decoders when input is left over.
var ErrTrailing = errors.New("there are bytes after the end of the request")

// Reader takes values off the front of a frame. After the first failure every method returns zero values and Err says so; callers
// check once, at the end. Flexible switches strings, bytes and arrays to their compact form:
//
//	plain    string: int16 length, bytes      bytes, array: int32 length; -1 is null
//	compact  all three: uvarint length+1; 0 is null; every struct ends in tagged fields: uvarint count, then tag, size, bytes
type Reader struct {
	Flexible bool
	src      []byte
	bad      bool
}

// NewReader reads src, which it neither copies nor changes.
func NewReader(src []byte, flexible bool) Reader { return Reader{src: src, Flexible: flexible} }

// Err is nil while everything asked for was there.
func (r *Reader) Err() error {
	if r.bad {
		return ErrShort
	}
	return nil
}

// End is Err, and complains about what is left.
func (r *Reader) End() error {
	if err := r.Err(); err != nil {
		return err
	}
	if len(r.src) > 0 {
		return ErrTrailing
	}
	return nil
}

// Rest is what has not been read yet.
func (r *Reader) Rest() []byte { return r.src }

func (r *Reader) fail() { r.bad, r.src = true, nil }

func (r *Reader) take(n int) []byte {
	if n < 0 || n > len(r.src) {
		r.fail()
		return nil
	}
	b := r.src[:n:n]
	r.src = r.src[n:]
	return b
}

// Int8 reads one byte.
func (r *Reader) Int8() int8 {
	if len(r.src) < 1 {
		r.fail()
		return 0
	}
	v := int8(r.src[0])
	r.src = r.src[1:]
	return v
}

// Int16 reads two bytes, big endian.
func (r *Reader) Int16() int16 {
	if len(r.src) < 2 {
		r.fail()
		return 0
	}
	v := int16(binary.BigEndian.Uint16(r.src))
	r.src = r.src[2:]
	return v
}

// Int32 reads four bytes, big endian.
func (r *Reader) Int32() int32 {
	if len(r.src) < 4 {
		r.fail()
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.src))
	r.src = r.src[4:]
	return v
}

// Int64 reads eight bytes, big endian.
func (r *Reader) Int64() int64 {
	if len(r.src) < 8 {
		r.fail()
		return 0
	}
	v := int64(binary.BigEndian.Uint64(r.src))
	r.src = r.src[8:]
	return v
}

// UUID reads sixteen bytes.
func (r *Reader) UUID() (u [16]byte) {
	copy(u[:], r.take(len(u)))
	return u
}

// Uvarint reads a variable-length number of at most 32 bits.
func (r *Reader) Uvarint() uint32 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 || n > 5 || v > 0xffffffff {
		r.fail()
		return 0
	}
	r.src = r.src[n:]
	return uint32(v)
}

// String reads a string that may be null, which is nil; an empty one is not nil.
func (r *Reader) String() []byte {
	if r.Flexible {
		return r.compact()
	}
	n := r.Int16()
	if n < 0 {
		return nil
	}
	return r.take(int(n))
}

// Bytes reads bytes that may be null, which is nil; empty ones are not nil.
func (r *Reader) Bytes() []byte {
	if r.Flexible {
		return r.compact()
	}
	n := r.Int32()
	if n < 0 {
		return nil
	}
	return r.take(int(n))
}

func (r *Reader) compact() []byte {
	n := r.Uvarint()
	if n == 0 {
		return nil
	}
	return r.take(int(n - 1))
}

// Array reads the length of an array, 0 for null. It fails when that many elements of at least elemMin bytes cannot follow: whoever
// allocates by it allocates in proportion to what was really sent.
func (r *Reader) Array(elemMin int) int {
	var n int64
	if r.Flexible {
		n = int64(r.Uvarint()) - 1
	} else {
		n = int64(r.Int32())
	}
	if n <= 0 {
		return 0
	}
	if n > int64(len(r.src)/elemMin) {
		r.fail()
		return 0
	}
	return int(n)
}

// Tags skips the tagged fields at the end of a flexible struct; in a plain one there are none.
func (r *Reader) Tags() {
	if !r.Flexible {
		return
	}
	for n := r.Uvarint(); n > 0 && !r.bad; n-- {
		r.Uvarint()
		r.take(int(r.Uvarint()))
	}
}
