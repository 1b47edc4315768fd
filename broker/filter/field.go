package filter

import (
	"strings"
	"unicode/utf8"

	"leat/broker/record"
)

// From is where a field is found.
type From uint8

const (
	FromAttribute From = iota // id source type subject time stream key partition offset datacontenttype dataschema
	FromHeader                // an extension attribute or a plain header
	FromData                  // a member of JSON data, by its path
	FromDataFlat              // all members of JSON data that have that path, wherever arrays stand between
)

// Field names something in an event that a predicate looks at. It is comparable: the same field of many predicates is read once.
//
//	FromAttribute  Name is one of CEL's names; time is an Int, milliseconds since 1970
//	FromHeader     Name is that of the header; Decode says how its bytes become a value, nil is as text
//	FromData       Name is a path as DataPath makes it; of a name that repeats the last member counts
//	FromDataFlat   Name is a path joined with dots; names with dots in them are as good as nested ones
type Field struct {
	From   From
	Name   string
	Decode *Decoder
}

// Decoder reads a header as a value, where its protocol knows types. Make each once: fields are equal when their decoders are the same.
type Decoder struct {
	Name string // for people
	// Value gives the value of a header of that name. The event is not changed and not kept.
	Value func(e *record.Event, name string) Value
}

// DataPath is the Name of a field FromData.
func DataPath(names ...string) string { return strings.Join(names, "\x00") }

// String shows the field for people.
func (f Field) String() string {
	switch f.From {
	case FromHeader:
		return "headers." + f.Name
	case FromData:
		return "data." + strings.ReplaceAll(f.Name, "\x00", ".")
	case FromDataFlat:
		return "data." + f.Name
	}
	return f.Name
}

// attribute reads a field FromAttribute.
func (in *Input) attribute(name string) Value {
	e := in.Event
	switch name {
	case "id":
		return TextValue(e.ID)
	case "source":
		return TextValue(e.Source)
	case "type":
		return TextValue(e.Type)
	case "subject":
		return TextValue(e.Subject)
	case "stream":
		return TextValue(in.Stream)
	case "partition":
		return IntValue(int64(in.Partition))
	case "offset":
		return IntValue(int64(in.Offset))
	case "key":
		if !utf8.Valid(e.Key) {
			return Value{Kind: Unreadable}
		}
		return TextValue(textOf(e.Key))
	case "time":
		if ms, err := record.ParseTime(e.Time); err == nil {
			return IntValue(ms)
		}
	case "datacontenttype":
		return textOrMissing(e.DataContentType)
	case "dataschema":
		return textOrMissing(e.DataSchema)
	}
	return Value{}
}

func textOrMissing(s string) Value {
	if s == "" {
		return Value{}
	}
	return TextValue(s)
}

// HeaderText is a header as text: an extension attribute, else the first plain header of that name that is not null and is UTF-8. It is
// how headers are read without a Decoder, and what CEL sees.
func HeaderText(e *record.Event, name string) Value {
	if s, ok := e.Extension(name); ok {
		return TextValue(s)
	}
	for i := range e.Headers {
		if h := &e.Headers[i]; h.Key == name && h.Value != nil && utf8.Valid(h.Value) {
			return TextValue(textOf(h.Value))
		}
	}
	return Value{}
}

// Guess reads headers whose protocol wrote typed values as text: what reads as a JSON number is a number, true and false are bools.
var Guess = &Decoder{Name: "guess", Value: func(e *record.Event, name string) Value {
	v := HeaderText(e, name)
	switch {
	case v.Kind != Text || v.text == "":
		return v
	case v.text == "true", v.text == "false":
		return BoolValue(v.text == "true")
	case v.text[0] == '-' || v.text[0] >= '0' && v.text[0] <= '9':
		if record.ValidJSON([]byte(v.text)) {
			if n := numberOf(v.text); n.number() {
				return n
			}
		}
	}
	return v
}}
