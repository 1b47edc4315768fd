package jsonschema

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"leat/contract"
)

// A payload is read once into a tape, one cell a value, each before what is in it:
//
//	{"a":[1,"x"],"b":null}      0 object, 2 members, ends before 5
//	                            1   "a" array, 2 items, ends before 4
//	                            2     number 1
//	                            3     string x
//	                            4   "b" null
//
// Cells point into the payload. Only texts with escapes, or with bytes that are no UTF-8, are written out anew, in the tape's own room; so whoever
// looks at a text sees its letters. The rules of a schema then look at cells, as often as they have to. Tapes are used again: reading allocates nothing.

// Types as bits; a number that is written without a point is an integer, too.
const (
	isNull = 1 << iota
	isBool
	isObject
	isArray
	isNumber
	isInteger
	isString
	isAny = isNull | isBool | isObject | isArray | isNumber | isString
)

const (
	textApart  = 1 << iota // the text lies in the tape's own room
	nameApart              // the name does
	ascii                  // the text has no letter beyond ASCII
	nameASCII              // the name has none
	superseded             // a later member has this name
)

type cell struct {
	kind, flags  uint8
	count        uint32 // members or items
	from, to     uint32 // the text: of a string without quotes, of anything else as it is written
	next         uint32 // the cell after this value
	name, nameTo uint32 // of a member
	hash         uint32 // of the name
}

// Limits of one payload.
const (
	payloadDepthMax   = 1000
	payloadBytesMax   = math.MaxUint32 / 2
	payloadNumberMax  = 4096 // numbers are compared exactly
	exponentDigitsMax = 3    // to write 1e999999999 out takes a gigabyte
)

type tape struct {
	b     []byte
	apart []byte
	cells []cell
	at    int
	depth int
	names []uint32 // members of the objects that are open
	slots []uint32 // of a table of names, or of items
}

var seed = maphash.MakeSeed() // names of strangers cannot be made to have one hash

func hashOf(b []byte) uint32 { return uint32(maphash.Bytes(seed, b)) }

func (t *tape) text(c *cell) []byte {
	if c.flags&textApart != 0 {
		return t.apart[c.from:c.to]
	}
	return t.b[c.from:c.to]
}

func (t *tape) nameOf(c *cell) []byte {
	if c.flags&nameApart != 0 {
		return t.apart[c.name:c.nameTo]
	}
	return t.b[c.name:c.nameTo]
}

// errNoJSON is a text that breaks JSON's grammar; others can say better where.
type errNoJSON struct{ at int }

func (e errNoJSON) Error() string { return fmt.Sprintf("a mistake at byte %d", e.at) }

// read reads one JSON value.
func (t *tape) read(b []byte) error {
	t.b, t.apart, t.cells, t.names, t.at, t.depth = b, t.apart[:0], t.cells[:0], t.names[:0], 0, 0
	if len(b) > payloadBytesMax {
		return contract.Breaks("", "the payload has more than %d bytes", payloadBytesMax)
	}
	if err := t.value(); err != nil {
		return err
	}
	if t.space(); t.at != len(b) {
		return errNoJSON{t.at}
	}
	return nil
}

func (t *tape) space() byte {
	for t.at < len(t.b) {
		switch c := t.b[t.at]; c {
		case ' ', '\n', '\t', '\r':
			t.at++
		default:
			return c
		}
	}
	return 0
}

// value reads what is next into a cell, of which the caller may set the name.
func (t *tape) value() error {
	c, i := t.space(), len(t.cells)
	t.cells = append(t.cells, cell{from: uint32(t.at), next: uint32(i + 1)})
	x := &t.cells[i]
	switch c {
	case '{':
		return t.object(i)
	case '[':
		return t.array(i)
	case '"':
		from, to, flags, err := t.str()
		x.kind, x.from, x.to, x.flags = isString, from, to, flags
		return err
	case 't':
		return t.word(x, isBool, "true")
	case 'f':
		return t.word(x, isBool, "false")
	case 'n':
		return t.word(x, isNull, "null")
	default:
		return t.number(x)
	}
}

func (t *tape) word(x *cell, kind uint8, w string) error {
	if len(t.b)-t.at < len(w) || string(t.b[t.at:t.at+len(w)]) != w {
		return errNoJSON{t.at}
	}
	t.at += len(w)
	x.kind, x.to = kind, uint32(t.at)
	return nil
}

func (t *tape) open() error {
	t.at++
	if t.depth++; t.depth > payloadDepthMax {
		return contract.Breaks("", "the payload nests deeper than %d", payloadDepthMax)
	}
	return nil
}

func (t *tape) close(i int, kind uint8, count int) {
	t.at++
	t.depth--
	x := &t.cells[i]
	x.kind, x.count, x.next, x.to = kind, uint32(count), uint32(len(t.cells)), uint32(t.at)
}

func (t *tape) array(i int) error {
	if err := t.open(); err != nil {
		return err
	}
	if t.space() == ']' {
		t.close(i, isArray, 0)
		return nil
	}
	for n := 1; ; n++ {
		if err := t.value(); err != nil {
			return err
		}
		switch t.space() {
		case ',':
			t.at++
		case ']':
			t.close(i, isArray, n)
			return nil
		default:
			return errNoJSON{t.at}
		}
	}
}

func (t *tape) object(i int) error {
	if err := t.open(); err != nil {
		return err
	}
	if t.space() == '}' {
		t.close(i, isObject, 0)
		return nil
	}
	outer := len(t.names)
	seen, twice := uint64(0), false // hashes by 64: most objects are known to have no name twice without a look at them
	for {
		if t.space() != '"' {
			return errNoJSON{t.at}
		}
		from, to, flags, err := t.str()
		if err != nil {
			return err
		}
		if t.space() != ':' {
			return errNoJSON{t.at}
		}
		t.at++
		m := len(t.cells)
		if err := t.value(); err != nil {
			return err
		}
		x := &t.cells[m]
		x.name, x.nameTo = from, to
		x.flags |= flags & textApart << 1 // of the text of the name
		x.flags |= flags & ascii << 1
		x.hash = hashOf(t.nameOf(x))
		bit := uint64(1) << (x.hash & 63)
		twice = twice || seen&bit != 0
		seen |= bit
		t.names = append(t.names, uint32(m))
		switch t.space() {
		case ',':
			t.at++
		case '}':
			n := len(t.names) - outer
			if twice {
				n -= t.supersede(t.names[outer:])
			}
			t.names = t.names[:outer]
			t.close(i, isObject, n)
			return nil
		default:
			return errNoJSON{t.at}
		}
	}
}

// supersede marks members that have the name of a later one, and says how many.
func (t *tape) supersede(members []uint32) (n int) {
	slots, mask := t.table(len(members))
	for i := len(members) - 1; i >= 0; i-- {
		x := &t.cells[members[i]]
		s := x.hash & mask
		for ; slots[s] != 0; s = (s + 1) & mask {
			if y := &t.cells[slots[s]]; y.hash == x.hash && bytes.Equal(t.nameOf(y), t.nameOf(x)) {
				x.flags |= superseded
				n++
				break
			}
		}
		if slots[s] == 0 {
			slots[s] = members[i] // never 0: that is the outermost value
		}
	}
	return n
}

// table is an empty table of at least twice as many places as there are things.
func (t *tape) table(things int) (slots []uint32, mask uint32) {
	n := 1 << bits.Len(uint(2*things))
	if cap(t.slots) < n {
		t.slots = make([]uint32, n)
	}
	slots = t.slots[:n]
	clear(slots)
	return slots, uint32(n - 1)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain counts the letters from b's start on that are ASCII, and neither a quote nor a backslash nor a control character.
func plain(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^('"'*ones), w^('\\'*ones)
		// The lowest byte that is marked is one that is meant; those above it may be marked by a borrow.
		if m := ((quote-ones)&^quote | (slash-ones)&^slash | (w-0x20*ones)&^w | w) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// str reads a string: where what stands between its quotes lies, with the flags textApart and ascii.
func (t *tape) str() (from, to uint32, flags uint8, err error) {
	start := t.at + 1
	i := start + plain(t.b[start:])
	if i < len(t.b) && t.b[i] == '"' {
		t.at = i + 1
		return uint32(start), uint32(i), ascii, nil
	}
	escaped, high := false, false
	for ; i < len(t.b); i++ {
		switch c := t.b[i]; {
		case c == '"':
			t.at = i + 1
			if escaped || high && !utf8.Valid(t.b[start:i]) {
				from, to, err = t.unescape(t.b[start:i], start)
				return from, to, textApart, err
			}
			return uint32(start), uint32(i), 0, nil
		case c == '\\':
			escaped = true
			i++
		case c < 0x20:
			return 0, 0, 0, errNoJSON{i}
		case c >= utf8.RuneSelf:
			high = true
		}
	}
	return 0, 0, 0, errNoJSON{len(t.b)}
}

// unescape writes a text out. What is no letter becomes U+FFFD, as encoding/json has it.
func (t *tape) unescape(b []byte, at int) (from, to uint32, err error) {
	from = uint32(len(t.apart))
	out := t.apart
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '\\' && i+1 < len(b) && b[i+1] == 'u':
			r := hex4(b[i+2:])
			if r < 0 {
				return 0, 0, errNoJSON{at + i}
			}
			i += 6
			if utf16.IsSurrogate(r) {
				var low rune = -1
				if i+1 < len(b) && b[i] == '\\' && b[i+1] == 'u' {
					low = hex4(b[i+2:])
				}
				if r = utf16.DecodeRune(r, low); r != unicode.ReplacementChar {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		case c == '\\':
			e := -1
			if i+1 < len(b) {
				e = bytes.IndexByte([]byte(`"\/bfnrt`), b[i+1])
			}
			if e < 0 {
				return 0, 0, errNoJSON{at + i}
			}
			out = append(out, "\"\\/\b\f\n\r\t"[e])
			i += 2
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	t.apart = out
	return from, uint32(len(out)), nil
}

func hex4(b []byte) (r rune) {
	if len(b) < 4 {
		return -1
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

func (t *tape) number(x *cell) error {
	from := t.at
	if t.at < len(t.b) && t.b[t.at] == '-' {
		t.at++
	}
	lead := t.at
	if n := t.digits(); n == 0 || n > 1 && t.b[lead] == '0' {
		return errNoJSON{from}
	}
	x.kind = isNumber | isInteger
	if t.at < len(t.b) && t.b[t.at] == '.' {
		x.kind = isNumber
		if t.at++; t.digits() == 0 {
			return errNoJSON{t.at}
		}
	}
	if t.at < len(t.b) && (t.b[t.at] == 'e' || t.b[t.at] == 'E') {
		x.kind = isNumber
		if t.at++; t.at < len(t.b) && (t.b[t.at] == '+' || t.b[t.at] == '-') {
			t.at++
		}
		switch n := t.digits(); {
		case n == 0:
			return errNoJSON{t.at}
		case n > exponentDigitsMax:
			return contract.Breaks("", "a number has an exponent of more than %d digits", exponentDigitsMax)
		}
	}
	if t.at-from > payloadNumberMax {
		return contract.Breaks("", "a number has more than %d digits", payloadNumberMax)
	}
	x.to = uint32(t.at)
	return nil
}

func (t *tape) digits() (n int) {
	for t.at < len(t.b) && t.b[t.at] >= '0' && t.b[t.at] <= '9' {
		t.at++
		n++
	}
	return n
}
