package wire

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// DepthMax is how deep unknown members of a JSON request may be nested.
const DepthMax = 32

// reader reads one JSON document in a single pass, and in place: texts are slices of it, with their escapes undone where they stand (what
// is unescaped is never longer). The document belongs to the reader from then on, and what was read lives as long as it does.
//
// The first error stays; after it, every read returns zero and open, member and item return false.
type reader struct {
	p   []byte
	at  int
	key []byte // of the member that is being read
	err *Error

	started bool // inside the innermost object or list, something was read already
	depth   int
}

// readDocument starts with the bytes of a document.
func readDocument(p []byte) *reader {
	r := &reader{p: p}
	if !utf8.Valid(p) {
		r.fail(malformed("the request is not UTF-8"))
	}
	return r
}

// finish returns the first error, or one when there is more than one document.
func (r *reader) finish() *Error {
	if r.space(); r.err == nil && r.at != len(r.p) {
		r.fail(malformed("unexpected text behind the JSON document"))
	}
	return r.err
}

func (r *reader) fail(e *Error) {
	if r.err == nil {
		r.err = e
	}
	r.at = len(r.p)
}

// unexpected fails because of what stands here.
func (r *reader) unexpected(want string) {
	if r.err != nil {
		return
	}
	if r.at >= len(r.p) {
		r.fail(malformed("unexpected end of the JSON document: want " + want))
		return
	}
	r.fail(malformed("unexpected character at byte " + strconv.Itoa(r.at) + ": want " + want))
}

// space passes over white space and returns the byte behind it, or 0 at the end.
func (r *reader) space() byte {
	for r.at < len(r.p) {
		switch c := r.p[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

// open enters an object or a list.
func (r *reader) open(c byte) bool {
	if r.space() != c {
		if c == '{' {
			r.mistyped("an object")
		} else {
			r.mistyped("a list")
		}
		return false
	}
	if r.depth++; r.depth > DepthMax {
		r.fail(malformed("the JSON document is nested too deeply"))
		return false
	}
	r.at++
	r.started = false
	return true
}

// member goes on to the next member of an object, whose name is in key, or leaves the object.
func (r *reader) member() bool {
	if !r.another('}') {
		return false
	}
	if r.space() != '"' {
		r.unexpected("a name")
		return false
	}
	r.key = r.quoted()
	if r.space() != ':' {
		r.unexpected("a colon")
		return false
	}
	r.at++
	return r.err == nil
}

// item goes on to the next element of a list, or leaves the list.
func (r *reader) item() bool { return r.another(']') }

func (r *reader) another(end byte) bool {
	if r.err != nil {
		return false
	}
	c := r.space()
	if c == end {
		r.at++
		r.depth--
		r.started = true // of what is around it
		return false
	}
	if r.started {
		if c != ',' {
			r.unexpected("a comma or the end")
			return false
		}
		r.at++
		if r.space() == end {
			r.unexpected("an element")
			return false
		}
	}
	r.started = true
	return true
}

// null passes over a null, if one stands here.
func (r *reader) null() bool {
	return r.space() == 'n' && r.word("null")
}

// word passes over a literal.
func (r *reader) word(w string) bool {
	if len(r.p)-r.at < len(w) || string(r.p[r.at:r.at+len(w)]) != w {
		r.unexpected(w)
		return false
	}
	r.at += len(w)
	return true
}

// text reads a string.
func (r *reader) text() string {
	if r.space() != '"' {
		r.mistyped("String")
		return ""
	}
	return view(r.quoted())
}

// mistyped fails as Amazon's services do where a value is of another type.
func (r *reader) mistyped(want string) {
	if r.err != nil {
		return
	}
	var is string
	switch c := r.space(); {
	case c == '"':
		is = "STRING_VALUE"
	case c == '-' || c >= '0' && c <= '9':
		is = "NUMBER_VALUE"
	case c == 't':
		is = "TRUE_VALUE"
	case c == 'f':
		is = "FALSE_VALUE"
	case c == '{':
		is = "START_OBJECT"
	case c == '[':
		is = "START_ARRAY"
	default:
		r.unexpected(want)
		return
	}
	r.fail(malformed(is + " can not be converted to " + want))
}

// number reads a whole number.
func (r *reader) number() int64 {
	c := r.space()
	if c != '-' && (c < '0' || c > '9') {
		r.mistyped("Integer")
		return 0
	}
	from := r.at
	r.skipNumber()
	if r.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(view(r.p[from:r.at]), 10, 64)
	if err != nil {
		r.fail(malformed(string(r.p[from:min(r.at, from+40)]) + " can not be converted to Integer"))
		return 0
	}
	return n
}

func (r *reader) flag() bool {
	switch r.space() {
	case 't':
		return r.word("true")
	case 'f':
		r.word("false")
	default:
		r.mistyped("Boolean")
	}
	return false
}

// blob reads a string of base64, decoded where it stands.
func (r *reader) blob() []byte {
	if r.space() != '"' {
		r.mistyped("Blob")
		return nil
	}
	p := r.quoted()
	n, err := base64.StdEncoding.Decode(p, p)
	if err != nil {
		r.fail(malformed("a binary value is not base64"))
		return nil
	}
	return p[:n:n]
}

// quoted reads the string that begins here. Only what holds an escape is touched.
func (r *reader) quoted() []byte {
	from := r.at + 1
	i := from + plain(r.p[from:])
	if i < len(r.p) && r.p[i] == '"' {
		r.at = i + 1
		return r.p[from:i:i]
	}
	for to := i; i < len(r.p); {
		switch c := r.p[i]; {
		case c == '"':
			r.at = i + 1
			return r.p[from:to:to]
		case c == '\\':
			if to, i = r.unescape(to, i); r.err != nil {
				return nil
			}
		case c < ' ':
			r.at = i
			r.unexpected("no control characters in a string")
			return nil
		}
		to, i = r.shift(to, i)
	}
	r.at = len(r.p)
	r.unexpected("the end of a string")
	return nil
}

// shift moves the plain bytes that begin at i to to, which is not behind i, and returns the places behind both. Eight bytes are read before
// they are written, so that nothing is overwritten that was not read: to+8 ≤ i+8.
func (r *reader) shift(to, i int) (int, int) {
	p := r.p
	for len(p)-i >= 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		if special(x) != 0 {
			break
		}
		binary.LittleEndian.PutUint64(p[to:], x)
		to, i = to+8, i+8
	}
	for i < len(p) && p[i] >= ' ' && p[i] != '"' && p[i] != '\\' {
		p[to] = p[i]
		to, i = to+1, i+1
	}
	return to, i
}

// unescape writes what the escape at i stands for to to, and returns the places behind both.
func (r *reader) unescape(to, i int) (int, int) {
	if i+1 >= len(r.p) {
		r.at = len(r.p)
		r.unexpected("the end of a string")
		return to, i
	}
	c := r.p[i+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		u, ok := hex4(r.p[i+2:])
		i += 6
		if ok && utf16.IsSurrogate(u) {
			// Half a character is none: it has no UTF-8, and a digest of it would not be the sender's.
			var low rune
			if ok = len(r.p)-i >= 6 && r.p[i] == '\\' && r.p[i+1] == 'u'; ok {
				low, ok = hex4(r.p[i+2:])
				u = utf16.DecodeRune(u, low)
				ok = ok && u != utf8.RuneError
				i += 6
			}
		}
		if !ok {
			r.at = min(i, len(r.p))
			r.unexpected("a character in \\u escapes")
			return to, i
		}
		return to + utf8.EncodeRune(r.p[to:to+utf8.RuneLen(u)], u), i
	default:
		r.at = i
		r.unexpected("an escape")
		return to, i
	}
	r.p[to] = c
	return to + 1, i + 2
}

func hex4(p []byte) (u rune, ok bool) {
	if len(p) < 4 {
		return 0, false
	}
	for _, c := range p[:4] {
		d, ok := unhex(c)
		if !ok {
			return 0, false
		}
		u = u<<4 | rune(d)
	}
	return u, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// skip passes over a value of any type.
func (r *reader) skip() {
	switch c := r.space(); {
	case c == '"':
		r.quoted()
	case c == '{':
		for ok := r.open('{'); ok && r.member(); {
			r.skip()
		}
	case c == '[':
		for ok := r.open('['); ok && r.item(); {
			r.skip()
		}
	case c == 't':
		r.word("true")
	case c == 'f':
		r.word("false")
	case c == 'n':
		r.word("null")
	case c == '-' || c >= '0' && c <= '9':
		r.skipNumber()
	default:
		r.unexpected("a value")
	}
}

// skipNumber passes over a number of any kind, by JSON's grammar.
func (r *reader) skipNumber() {
	digits := func() bool {
		from := r.at
		for r.at < len(r.p) && r.p[r.at] >= '0' && r.p[r.at] <= '9' {
			r.at++
		}
		return r.at > from
	}
	is := func(c byte) bool {
		if r.at < len(r.p) && r.p[r.at] == c {
			r.at++
			return true
		}
		return false
	}
	is('-')
	ok := is('0') || digits()
	if ok && is('.') {
		ok = digits()
	}
	if ok && (is('e') || is('E')) {
		_ = is('+') || is('-')
		ok = digits()
	}
	if !ok {
		r.unexpected("a digit")
	}
}

// Eight bytes at a time: ones has a 1 in every byte, tops the highest bit of every byte.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// special marks the first of eight bytes that does not stand for itself inside a JSON string: a quote, a backslash, a control character.
//
// For a byte x below 0x80, (x-n) borrows into its top bit just where x < n; x^c is zero, that is below 1, just where x = c. A borrow can
// spoil the bytes above it, never those below: the lowest marked byte is right, and only that one is used.
func special(x uint64) uint64 {
	quote, slash := x^'"'*ones, x^'\\'*ones
	return ((x-' '*ones)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & tops
}

// plain returns how many bytes at the beginning of p stand for themselves inside a JSON string.
func plain(p []byte) int {
	n := 0
	for len(p)-n >= 8 {
		if m := special(binary.LittleEndian.Uint64(p[n:])); m != 0 {
			return n + bits.TrailingZeros64(m)/8
		}
		n += 8
	}
	for n < len(p) && p[n] >= ' ' && p[n] != '"' && p[n] != '\\' {
		n++
	}
	return n
}

// AppendQuoted writes a JSON string. What is not UTF-8 becomes U+FFFD: JSON cannot carry it.
func AppendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	for p := bytesOf(s); ; {
		n := plain(p)
		b = append(b, p[:n]...)
		if n == len(p) {
			return append(b, '"')
		}
		switch c := p[n]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		p = p[n+1:]
	}
}

const hexDigits = "0123456789abcdef"

// view is p as a string that shares its bytes. Nobody writes them once they were read: quoted has done its work in them, the reader has
// passed them, and the document belongs to the request.
func view(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// bytesOf is s as bytes that are only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
