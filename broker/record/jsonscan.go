package record

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// JSONDepthMax is how deep data may nest.
const JSONDepthMax = 10000

// scanner walks JSON (RFC 8259) without building anything. It is strict: UTF-8, no lone surrogates, no control characters in strings.
// Names inside data may repeat: data is the user's and kept as it is; the members of an event may not.
//
// A method that returns false has set bad and at; i is then of no meaning.
type scanner struct {
	p   []byte
	i   int
	bad string // what is wrong
	at  int    // and where
}

func (s *scanner) fail(at int, bad string) bool {
	s.bad, s.at = bad, at
	return false
}

// space skips white space and gives the next byte, 0 at the end.
func (s *scanner) space() byte {
	for s.i < len(s.p) {
		c := s.p[s.i]
		if c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
			return c
		}
		s.i++
	}
	return 0
}

// str skips a string, whose opening quote is next, and gives what stands between the quotes.
func (s *scanner) str() (raw []byte, escaped, ok bool) {
	start := s.i + 1
	i := start
	p := s.p
	for {
		// Eight bytes at a time while none is a quote, a backslash, a control character or outside ASCII. A borrow can only touch
		// bytes behind a hit, so the first hit is exact.
		for i+8 <= len(p) {
			x := binary.LittleEndian.Uint64(p[i:])
			const one, high = 0x0101010101010101, 0x8080808080808080
			hit := ((x - 0x20*one) | ((x ^ '"'*one) - one) | ((x ^ '\\'*one) - one) | x) & high
			if hit != 0 {
				i += bits.TrailingZeros64(hit) / 8
				break
			}
			i += 8
		}
		if i >= len(p) {
			return nil, false, s.fail(len(p), "a string is not closed")
		}
		switch c := p[i]; {
		case c == '"':
			s.i = i + 1
			return p[start:i:i], escaped, true
		case c == '\\':
			escaped = true
			n := s.escape(i)
			if n == 0 {
				return nil, false, false
			}
			i += n
		case c < 0x20:
			return nil, false, s.fail(i, "a control character stands in a string; escape it")
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(p[i:])
			if r == utf8.RuneError && n == 1 {
				return nil, false, s.fail(i, "it is not UTF-8")
			}
			i += n
		}
	}
}

// escape judges the escape at i and gives its length, 0 for a wrong one.
func (s *scanner) escape(i int) int {
	if i+1 >= len(s.p) {
		s.fail(len(s.p), "a string is not closed")
		return 0
	}
	switch s.p[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r, ok := hex4(s.p[i+2:])
		if !ok {
			break
		}
		if !utf16.IsSurrogate(r) {
			return 6
		}
		if len(s.p) >= i+12 && s.p[i+6] == '\\' && s.p[i+7] == 'u' {
			if r2, ok := hex4(s.p[i+8:]); ok && utf16.DecodeRune(r, r2) != utf8.RuneError {
				return 12
			}
		}
		s.fail(i, "half of a surrogate pair stands alone")
		return 0
	}
	s.fail(i, "an escape is not one of JSON's")
	return 0
}

func hex4(p []byte) (rune, bool) {
	if len(p) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range p[:4] {
		if !isHex(c) {
			return 0, false
		}
		r = r<<4 | rune(unhex(c))
	}
	return r, true
}

// unescape gives the text of a string that str has accepted, in new memory.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		switch c = raw[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				r2, _ := hex4(raw[i+3:])
				r = utf16.DecodeRune(r, r2)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return out
}

// number skips a number.
func (s *scanner) number() bool {
	start := s.i
	if s.peek() == '-' {
		s.i++
	}
	switch c := s.peek(); {
	case c == '0':
		s.i++
	case isDigit(c):
		s.digits()
	default:
		return s.fail(start, "a value was expected")
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return s.fail(start, "a number has no digits behind its point")
		}
	}
	if s.peek()|0x20 == 'e' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.fail(start, "a number has no digits in its exponent")
		}
	}
	return true
}

func (s *scanner) peek() byte {
	if s.i < len(s.p) {
		return s.p[s.i]
	}
	return 0
}

func (s *scanner) digits() bool {
	start := s.i
	for isDigit(s.peek()) {
		s.i++
	}
	return s.i > start
}

// word skips one of true, false and null.
func (s *scanner) word(w string) bool {
	if len(s.p)-s.i < len(w) || string(s.p[s.i:s.i+len(w)]) != w {
		return s.fail(s.i, "a value was expected")
	}
	s.i += len(w)
	return true
}

// value skips any value.
func (s *scanner) value(depth int) bool {
	switch s.space() {
	case '"':
		_, _, ok := s.str()
		return ok
	case '{':
		return s.object(depth + 1)
	case '[':
		return s.array(depth + 1)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	case 0:
		if s.i >= len(s.p) {
			return s.fail(s.i, "it ends too early")
		}
	}
	return s.number()
}

func (s *scanner) object(depth int) bool {
	if depth > JSONDepthMax {
		return s.fail(s.i, "it nests deeper than "+strconv.Itoa(JSONDepthMax))
	}
	s.i++
	if s.space() == '}' {
		s.i++
		return true
	}
	for {
		if s.space() != '"' {
			return s.fail(s.i, "a name in quotes was expected")
		}
		if _, _, ok := s.str(); !ok || !s.colon() || !s.value(depth) {
			return false
		}
		if done, ok := s.more('}'); done || !ok {
			return ok
		}
	}
}

func (s *scanner) array(depth int) bool {
	if depth > JSONDepthMax {
		return s.fail(s.i, "it nests deeper than "+strconv.Itoa(JSONDepthMax))
	}
	s.i++
	if s.space() == ']' {
		s.i++
		return true
	}
	for {
		if !s.value(depth) {
			return false
		}
		if done, ok := s.more(']'); done || !ok {
			return ok
		}
	}
}

func (s *scanner) colon() bool {
	if s.space() != ':' {
		return s.fail(s.i, "a colon was expected")
	}
	s.i++
	return true
}

// more skips what stands between two members, or the closing bracket.
func (s *scanner) more(end byte) (done, ok bool) {
	switch s.space() {
	case ',':
		s.i++
		return false, true
	case end:
		s.i++
		return true, true
	}
	return false, s.fail(s.i, "a comma or "+string(rune(end))+" was expected")
}

// ValidJSON reports whether p is exactly one JSON value, with white space around it at most.
func ValidJSON(p []byte) bool {
	s := scanner{p: p}
	return s.value(0) && s.space() == 0 && s.i == len(p)
}
