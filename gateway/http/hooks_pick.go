package http

import (
	"bytes"
	"encoding/json"
	nethttp "net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what is picked out of a delivery.
const (
	pickBytesMax = 1024 // of a value; a longer one counts as none
	pickDepthMax = 16   // tokens of a pointer
)

// pick says where a part of an event comes from: one of value, header and pointer. What is not there, is no text, number or boolean, or
// could not stand in an attribute counts as none, and leaves the part to default: an event is not refused for it.
type pick struct {
	Value   string `json:"value,omitempty"`
	Header  string `json:"header,omitempty"`
	Pointer string `json:"pointer,omitempty"` // RFC 6901, into a body of JSON
	Prefix  string `json:"prefix,omitempty"`  // before what was found; for type alone also before what the scheme says
	Default string `json:"default,omitempty"`
}

// check refuses a pick that cannot mean anything.
func (p *pick) check(name string) error {
	if p == nil {
		return nil
	}
	given := 0
	for _, s := range []string{p.Value, p.Header, p.Pointer} {
		if s != "" {
			given++
		}
	}
	if given > 1 || given == 0 && (name != "type" || p.Prefix == "") {
		return hookWrong(name, "give one of value, header and pointer")
	}
	if name == "id" && p.Value != "" {
		return hookWrong("id", "a value would make all deliveries the same event; give header or pointer")
	}
	if p.Pointer != "" && (p.Pointer[0] != '/' || strings.Count(p.Pointer, "/") > pickDepthMax) {
		return hookWrong(name+"/pointer", "%q is no JSON Pointer: it begins with a slash and has up to %d of them", clip(p.Pointer), pickDepthMax)
	}
	for member, v := range map[string]string{"value": p.Value, "prefix": p.Prefix, "default": p.Default} {
		if v != "" && !attributeValue(v) {
			return hookWrong(name+"/"+member, "it cannot be part of an attribute: it has more than %d bytes or a character that is none", pickBytesMax)
		}
	}
	if p.Header != "" && strings.ContainsAny(p.Header, " :\r\n\t") {
		return hookWrong(name+"/header", "%q is no name of a header", clip(p.Header))
	}
	return nil
}

// from picks, "" for none.
func (p *pick) from(h nethttp.Header, body []byte) string {
	if p == nil {
		return ""
	}
	v := p.Value
	switch {
	case p.Header != "":
		v = strings.TrimSpace(h.Get(p.Header))
	case p.Pointer != "":
		v = lookUp(body, p.Pointer)
	}
	if v != "" {
		v = p.Prefix + v
	}
	if v == "" || !attributeValue(v) {
		return p.Default
	}
	return v
}

// attributeValue reports whether v can be the value of an attribute.
func attributeValue(v string) bool {
	if len(v) > pickBytesMax {
		return false
	}
	if _, why := checkHeaderText(v); why != "" {
		return false
	}
	for _, r := range v {
		if r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef {
			return false
		}
	}
	return true
}

// lookUp is the text, number or boolean that a JSON Pointer leads to, "" for none. The body is looked through up to there, once; what is passed is
// not judged, and nothing is made of it. Of a member that is there twice the first counts, as for internal/hooks.
func lookUp(body []byte, pointer string) string {
	s := jsonScan{body}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		if !s.enter(pointerText(token)) {
			return ""
		}
	}
	v := s.value()
	switch {
	case len(v) == 0 || v[0] == '{' || v[0] == '[' || string(v) == "null":
		return ""
	case v[0] == '"':
		text, _ := unquote(v)
		return text
	case json.Valid(v):
		return string(v)
	}
	return ""
}

// jsonScan is what is left of a JSON text.
type jsonScan struct{ left []byte }

// next drops white space and returns the byte that follows, 0 at the end.
func (s *jsonScan) next() byte {
	for i, c := range s.left {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			s.left = s.left[i:]
			return c
		}
	}
	s.left = nil
	return 0
}

// take drops c if it follows.
func (s *jsonScan) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.left = s.left[1:]
	return true
}

// value takes the value that follows as it stands; empty when there is none, or it does not end.
func (s *jsonScan) value() (v []byte) {
	var n int
	switch s.next() {
	case '"':
		n = stringEnd(s.left)
	case '{', '[':
		n = nestEnd(s.left)
	default:
		if n = bytes.IndexAny(s.left, ",]}: \t\r\n"); n < 0 {
			n = len(s.left)
		}
	}
	v, s.left = s.left[:n], s.left[n:]
	return v
}

// stringEnd is the length of the string that b begins with, 0 when it does not end.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// nestEnd is the length of the object or array that b begins with, 0 when it does not end. Brackets of one kind stand for the other: what is
// no JSON leads to nothing, or to a part of it.
func nestEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringEnd(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// enter goes into the object or array that follows, up to the member or element of that name.
func (s *jsonScan) enter(name string) bool {
	switch s.next() {
	case '{':
		s.left = s.left[1:]
		for s.next() == '"' {
			member := s.value()
			if !s.take(':') {
				return false
			}
			if text, ok := unquote(member); ok && text == name {
				return true
			}
			if len(s.value()) == 0 || !s.take(',') {
				return false
			}
		}
	case '[':
		n, err := strconv.ParseUint(name, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != name {
			return false
		}
		for s.left = s.left[1:]; n > 0; n-- {
			if len(s.value()) == 0 || !s.take(',') {
				return false
			}
		}
		return true
	}
	return false
}

// unquote is the text of a JSON string.
func unquote(quoted []byte) (text string, ok bool) {
	if len(quoted) < 2 {
		return "", false
	}
	if in := quoted[1 : len(quoted)-1]; bytes.IndexByte(in, '\\') < 0 && utf8.Valid(in) {
		return string(in), true
	}
	return text, json.Unmarshal(quoted, &text) == nil
}

// pointerText is a token of a JSON Pointer as it is meant (RFC 6901).
func pointerText(token string) string {
	if !strings.Contains(token, "~") {
		return token
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
}
