package wire

import (
	"encoding/binary"
	"fmt"
)

// codec goes through the fields of a method in one of three directions. Each method describes its fields once, in one function that
// serves all of them, so what is read and what is written cannot come apart:
//
//	reading   takes each field off the front of b; the first failure is kept, and everything after it is zero
//	writing   appends each field to b
//	printing  appends each field to b as text, those that are zero left out
type codec struct {
	b    []byte
	mode mode
	bits uint8 // how many bits of the last octet are in use; 0 when the next bit begins a new one
	last uint8 // reading: that octet
	err  *Error
	id   ID
}

type mode uint8

const (
	reading mode = iota
	writing
	printing
)

func (c *codec) fail(code ReplyCode, name, text string) {
	if c.err == nil {
		c.err = errorf(code, c.id, "%s: the field %s %s", c.id, name, text)
	}
	if c.mode == reading {
		c.b = nil
	}
}

const endsEarly = "is cut short"

// take reads n bytes, or fails and returns nil.
func (c *codec) take(name string, n int) []byte {
	if n > len(c.b) {
		c.fail(FrameError, name, endsEarly)
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *codec) print(name string, zero bool, format string, v any) {
	if !zero {
		c.b = fmt.Appendf(c.b, " %s="+format, name, v)
	}
}

func (c *codec) octet(name string, v *uint8) {
	c.bits = 0
	switch c.mode {
	case reading:
		if b := c.take(name, 1); b != nil {
			*v = b[0]
		} else {
			*v = 0
		}
	case writing:
		c.b = append(c.b, *v)
	case printing:
		c.print(name, *v == 0, "%d", *v)
	}
}

func (c *codec) short(name string, v *uint16) {
	c.bits = 0
	switch c.mode {
	case reading:
		if b := c.take(name, 2); b != nil {
			*v = binary.BigEndian.Uint16(b)
		} else {
			*v = 0
		}
	case writing:
		c.b = binary.BigEndian.AppendUint16(c.b, *v)
	case printing:
		c.print(name, *v == 0, "%d", *v)
	}
}

func (c *codec) long(name string, v *uint32) {
	c.bits = 0
	switch c.mode {
	case reading:
		if b := c.take(name, 4); b != nil {
			*v = binary.BigEndian.Uint32(b)
		} else {
			*v = 0
		}
	case writing:
		c.b = binary.BigEndian.AppendUint32(c.b, *v)
	case printing:
		c.print(name, *v == 0, "%d", *v)
	}
}

func (c *codec) longlong(name string, v *uint64) {
	c.bits = 0
	switch c.mode {
	case reading:
		if b := c.take(name, 8); b != nil {
			*v = binary.BigEndian.Uint64(b)
		} else {
			*v = 0
		}
	case writing:
		c.b = binary.BigEndian.AppendUint64(c.b, *v)
	case printing:
		c.print(name, *v == 0, "%d", *v)
	}
}

// bit is one flag; neighbours share an octet, the first in its lowest bit.
func (c *codec) bit(name string, v *bool) {
	if c.mode == printing {
		if *v {
			c.b = append(append(c.b, ' '), name...)
		}
		return
	}
	if c.bits == 8 {
		c.bits = 0
	}
	if c.mode == reading {
		if c.bits == 0 {
			c.octet(name, &c.last)
		}
		*v = c.last>>c.bits&1 != 0
		c.bits++
		return
	}
	if c.bits == 0 {
		c.b = append(c.b, 0)
	}
	if *v {
		c.b[len(c.b)-1] |= 1 << c.bits
	}
	c.bits++
}

func (c *codec) shortstr(name string, v *[]byte) {
	c.bits = 0
	switch c.mode {
	case reading:
		s, rest, ok := cutShort(c.b)
		if !ok {
			c.fail(FrameError, name, endsEarly)
		}
		*v, c.b = s, rest
	case writing:
		if len(*v) > ShortBytesMax {
			c.fail(InternalError, name, "has more than 255 bytes")
			return
		}
		c.b = append(append(c.b, byte(len(*v))), *v...)
	case printing:
		c.print(name, len(*v) == 0, "%q", *v)
	}
}

func (c *codec) longstr(name string, v *[]byte) {
	c.bits = 0
	switch c.mode {
	case reading:
		*v = c.cutLong(name)
	case writing:
		c.b = append(binary.BigEndian.AppendUint32(c.b, uint32(len(*v))), *v...)
	case printing:
		c.print(name, len(*v) == 0, "%q", *v)
	}
}

// secret is a longstr that is printed as its length only: what is logged must not log in.
func (c *codec) secret(name string, v *[]byte) {
	if c.mode != printing {
		c.longstr(name, v)
		return
	}
	c.print(name, len(*v) == 0, "(%d bytes)", len(*v))
}

func (c *codec) cutLong(name string) []byte {
	b := c.take(name, 4)
	if b == nil {
		return nil
	}
	size := binary.BigEndian.Uint32(b)
	if uint64(size) > uint64(len(c.b)) {
		c.fail(FrameError, name, endsEarly)
		return nil
	}
	return c.take(name, int(size))
}

func (c *codec) table(name string, v *Table) {
	c.bits = 0
	switch c.mode {
	case reading:
		*v = c.cutLong(name)
		if fault := checkTable(*v, true, 1); fault != tableFine {
			c.fail(codeOf(fault), name, fault)
			*v = nil
		}
	case writing:
		c.b = append(binary.BigEndian.AppendUint32(c.b, uint32(len(*v))), *v...)
	case printing:
		if len(*v) > 0 {
			c.b = append(append(append(c.b, ' '), name...), '=')
			c.b = appendTableText(c.b, *v)
		}
	}
}
