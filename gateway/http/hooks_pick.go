package http

import (
	"bytes"
	"encoding/json"
	nethttp "net/http"
	"strconv"
	"strings"
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

// lookUp is the text, number or boolean that a JSON Pointer leads to, "" for none. The body is read up to there, once, and nothing is made of
// what it passes. Of a member that is there twice the first counts, as for internal/hooks.
func lookUp(body []byte, pointer string) string {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	for token := range strings.SplitSeq(pointer[1:], "/") {
		if !descend(d, pointerText(token)) {
			return ""
		}
	}
	t, err := d.Token()
	if err != nil {
		return ""
	}
	switch v := t.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// descend enters the value at which d stands, up to the member or element of that name.
func descend(d *json.Decoder, name string) bool {
	t, err := d.Token()
	if err != nil {
		return false
	}
	var skip json.RawMessage
	switch t {
	case json.Delim('{'):
		for d.More() {
			member, err := d.Token()
			if err != nil {
				return false
			}
			if member == name {
				return true
			}
			if d.Decode(&skip) != nil {
				return false
			}
		}
	case json.Delim('['):
		n, err := strconv.ParseUint(name, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != name {
			return false
		}
		for ; d.More(); n-- {
			if n == 0 {
				return true
			}
			if d.Decode(&skip) != nil {
				return false
			}
		}
	}
	return false
}

// pointerText is a token of a JSON Pointer as it is meant (RFC 6901).
func pointerText(token string) string {
	if !strings.Contains(token, "~") {
		return token
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
}
