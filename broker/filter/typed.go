package filter

import (
	"strings"
	"sync"
	"unicode/utf8"

	"leat/broker/record"
)

// TypedMax is how many decoders Typed keeps. There are as many as protocols that write typed headers.
const TypedMax = 64

type typedNames struct{ value, kind string }

var typedKept = struct {
	mu   sync.Mutex
	made map[typedNames]*Decoder
}{made: map[typedNames]*Decoder{}}

// Typed reads headers whose protocol writes a value under one name and its type under another, each name behind a prefix:
//
//	sqs-attribute-price: 9.5      sqs-type-price: Number
//
// A type is Number, String.Array (a JSON array), Binary, which no predicate sees, or else text; behind a dot there may be more that means nothing.
// A header that is there only under its plain name is text. The same prefixes give the same decoder.
func Typed(valuePrefix, typePrefix string) *Decoder {
	typedKept.mu.Lock()
	defer typedKept.mu.Unlock()
	n := typedNames{valuePrefix, typePrefix}
	if d := typedKept.made[n]; d != nil {
		return d
	}
	d := &Decoder{Name: "typed", Value: func(e *record.Event, name string) Value {
		return typedValue(e, valuePrefix+name, typePrefix+name, name)
	}}
	if len(typedKept.made) < TypedMax {
		typedKept.made[n] = d
	}
	return d
}

func typedValue(e *record.Event, valueName, typeName, plain string) Value {
	raw, kind, some := []byte(nil), "", false
	for i := range e.Headers {
		switch h := &e.Headers[i]; h.Key {
		case valueName:
			raw, some = h.Value, true
		case typeName:
			kind = textOf(h.Value)
		}
	}
	if !some {
		return HeaderText(e, plain)
	}
	base, _, _ := strings.Cut(kind, ".")
	switch {
	case base == "Binary" || !utf8.Valid(raw):
		return Value{}
	case base == "Number":
		return typedNumber(textOf(raw))
	case strings.HasPrefix(kind, "String.Array"):
		if text := strings.TrimSpace(textOf(raw)); strings.HasPrefix(text, "[") && record.ValidJSON([]byte(text)) {
			return JSONValue(text)
		}
	}
	return TextValue(textOf(raw))
}

// typedNumber reads a number as people write one: 5, 05, +5, .5 and 5. too.
func typedNumber(s string) Value {
	t := strings.TrimPrefix(s, "+")
	sign := ""
	if strings.HasPrefix(t, "-") {
		sign, t = "-", t[1:]
	}
	for len(t) > 1 && t[0] == '0' && t[1] >= '0' && t[1] <= '9' {
		t = t[1:]
	}
	if strings.HasPrefix(t, ".") {
		t = "0" + t
	}
	whole, rest, _ := strings.Cut(t, ".")
	if rest == "" || rest[0] == 'e' || rest[0] == 'E' {
		t = whole + rest
	}
	if t = sign + t; record.ValidJSON([]byte(t)) {
		if v := numberOf(t); v.number() {
			return v
		}
	}
	return Value{Kind: Unreadable}
}
