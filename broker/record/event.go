package record

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"

	"leat/broker/fault"
)

// SpecVersion is the version of CloudEvents that is read and written.
const SpecVersion = "1.0"

// Limits of an event's attributes.
const (
	ExtensionsMax         = 64 // extension attributes of one event
	ExtensionNameBytesMax = 64 // the specification advises 20
)

// Attribute is an extension attribute. Values are text: 5 and true are "5" and "true", as a header carries them.
type Attribute struct{ Name, Value string }

// Event is a CloudEvent 1.0.2. An empty string is an attribute that is not there.
type Event struct {
	SpecVersion     string // empty means 1.0
	ID              string
	Source          string // URI-reference
	Type            string
	DataContentType string // a media type
	DataSchema      string // absolute URI
	Subject         string
	Time            string // RFC 3339, as it was given
	Extensions      []Attribute

	Key []byte // of the record, nil for none; in JSON the attribute partitionkey, or KeyAttribute when it is not text

	// Headers are the record's headers that are no attributes, in their order. In JSON and in HTTP headers they are one attribute,
	// HeadersAttribute, so that nothing of a record is lost on its way.
	Headers []Header

	Data     []byte // as bytes of DataContentType; nil is no data, which is not the same as empty data
	DataNull bool   // there is no data; decoders set it with Data nil, and encoders go by either
}

// The attributes that Leat gives what CloudEvents has no place for.
const (
	// HeadersAttribute carries Event.Headers in the form of a query string: name=value&name=value, percent-encoded, in order; a name
	// without "=" is a null value.
	HeadersAttribute = "leatheaders"
	// KeyAttribute carries, in base64, a key that is empty or no text.
	KeyAttribute = "leatkeybase64"

	partitionKey = "partitionkey"
)

// HasData reports whether the event has data, be it empty.
func (e *Event) HasData() bool { return e.Data != nil && !e.DataNull }

// Extension returns the value of an extension attribute.
func (e *Event) Extension(name string) (string, bool) {
	for i := range e.Extensions {
		if e.Extensions[i].Name == name {
			return e.Extensions[i].Value, true
		}
	}
	return "", false
}

// RemoveExtension takes an extension attribute out and returns its value: for gateways whose requests carry more than the event.
func (e *Event) RemoveExtension(name string) (string, bool) {
	for i := range e.Extensions {
		if a := e.Extensions[i]; a.Name == name {
			e.Extensions = append(e.Extensions[:i], e.Extensions[i+1:]...)
			return a.Value, true
		}
	}
	return "", false
}

// SetAttribute sets the attribute of that name from text, as the HTTP and Kafka bindings give it: the way in for gateways that find
// attributes in headers. It refuses a second value, a name that is none, and what Leat's own attributes cannot hold. The value is
// judged by Validate.
func (e *Event) SetAttribute(name, value string) error {
	if p := e.field(name); p != nil {
		if *p != "" {
			return badAttribute(name, "it is given twice")
		}
		*p = value
		return nil
	}
	switch name {
	case partitionKey, KeyAttribute:
		return e.setKey(name, value)
	case HeadersAttribute:
		return e.setHeaders(value)
	}
	if why := badName(name); why != "" {
		return badAttribute(clip(name), "%s", why)
	}
	if _, twice := e.Extension(name); twice {
		return badAttribute(name, "it is given twice")
	}
	if len(e.Extensions) >= ExtensionsMax {
		return fault.New(fault.TooLarge, opEvent, name, "an event has at most %d extension attributes", ExtensionsMax)
	}
	e.addExtension(name, value)
	return nil
}

// addExtension keeps the extensions sorted.
func (e *Event) addExtension(name, value string) {
	e.Extensions = append(e.Extensions, Attribute{name, value})
	for i := len(e.Extensions) - 1; i > 0 && e.Extensions[i-1].Name > e.Extensions[i].Name; i-- {
		e.Extensions[i-1], e.Extensions[i] = e.Extensions[i], e.Extensions[i-1]
	}
}

func (e *Event) field(name string) *string {
	switch name {
	case "id":
		return &e.ID
	case "source":
		return &e.Source
	case "type":
		return &e.Type
	case "specversion":
		return &e.SpecVersion
	case "subject":
		return &e.Subject
	case "time":
		return &e.Time
	case "datacontenttype":
		return &e.DataContentType
	case "dataschema":
		return &e.DataSchema
	}
	return nil
}

// Reset empties the event and keeps the memory of its slices.
func (e *Event) Reset() {
	*e = Event{Extensions: e.Extensions[:0], Headers: e.Headers[:0]}
}

// Validate refuses what is not a CloudEvent 1.0.2. The refusal is Invalid, its Subject the attribute's name, its Text why.
func (e *Event) Validate() error {
	if e.SpecVersion != "" && e.SpecVersion != SpecVersion {
		return badAttribute("specversion", "it is %q; \"1.0\" is supported", clip(e.SpecVersion))
	}
	for _, a := range [...]struct {
		name, value string
		required    bool
	}{
		{"id", e.ID, true}, {"source", e.Source, true}, {"type", e.Type, true}, {"subject", e.Subject, false},
	} {
		if a.value == "" && a.required {
			return badAttribute(a.name, "it is required and may not be empty")
		}
		if why := badText(a.value); why != "" {
			return badAttribute(a.name, "%s", why)
		}
	}
	if why := badURIReference(e.Source); why != "" {
		return badAttribute("source", "it is not a URI-reference: %s", why)
	}
	if e.Time != "" {
		if _, why := parseTime(e.Time); why != "" {
			return badAttribute("time", "%q is not a time as in RFC 3339, such as 2026-11-21T09:30:00Z: %s", clip(e.Time), why)
		}
	}
	if e.DataSchema != "" {
		if why := badAbsoluteURI(e.DataSchema); why != "" {
			return badAttribute("dataschema", "it is not an absolute URI: %s", why)
		}
	}
	if e.DataContentType != "" && !isMediaType(e.DataContentType) {
		return badAttribute("datacontenttype", "%q is not a media type, such as application/json", clip(e.DataContentType))
	}
	if err := e.validateExtensions(); err != nil {
		return err
	}
	return e.validateHeaders()
}

func (e *Event) validateExtensions() error {
	if len(e.Extensions) > ExtensionsMax {
		return fault.New(fault.TooLarge, opEvent, "extensions", "an event has at most %d extension attributes; this one has %d", ExtensionsMax, len(e.Extensions))
	}
	for i := range e.Extensions {
		a := &e.Extensions[i]
		if why := badName(a.Name); why != "" {
			return badAttribute(clip(a.Name), "%s", why)
		}
		if e.field(a.Name) != nil || a.Name == partitionKey || a.Name == KeyAttribute || a.Name == HeadersAttribute {
			return badAttribute(a.Name, "it has a place of its own and may not be an extension")
		}
		if why := badText(a.Value); why != "" {
			return badAttribute(a.Name, "%s", why)
		}
		for j := range i {
			if e.Extensions[j].Name == a.Name {
				return badAttribute(a.Name, "it is given twice")
			}
		}
	}
	return nil
}

// validateHeaders refuses a plain header that would be an attribute once it is stored.
func (e *Event) validateHeaders() error {
	for i := range e.Headers {
		k := e.Headers[i].Key
		if !utf8.ValidString(k) {
			return badAttribute(HeadersAttribute, "the name of header %d is not UTF-8", i+1)
		}
		if k == contentTypeHeader || len(k) > len(attributePrefix) && k[:len(attributePrefix)] == attributePrefix && badName(k[len(attributePrefix):]) == "" {
			return badAttribute(HeadersAttribute, "header %q stands for an attribute; set that instead", clip(k))
		}
	}
	return nil
}

func badAttribute(name, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, opEvent, name, format, args...)
}

// badName says why an attribute may not have that name.
func badName(name string) string {
	switch {
	case name == "":
		return "an attribute name may not be empty"
	case len(name) > ExtensionNameBytesMax:
		return "the name is longer than 64 characters; at most 20 are advised"
	case name == "data":
		return "no attribute may have that name"
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "attribute names are made of a-z and 0-9 only"
		}
	}
	return ""
}

// badText says why a value is not a CloudEvents String: UTF-8 without control characters and noncharacters.
func badText(s string) string {
	i := 0
	// Eight bytes at a time while all are printable ASCII. A borrow or a carry only comes from a byte that is a hit itself.
	for b := unsafe.Slice(unsafe.StringData(s), len(s)); i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		const one, high = 0x0101010101010101, 0x8080808080808080
		if ((x-0x20*one)|(x+one)|x)&high != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c < 0x7f {
			continue
		}
		if c < utf8.RuneSelf {
			return "it has a control character"
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return "it is not UTF-8"
		case r < 0xa0:
			return "it has a control character"
		case r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef:
			return "it has a Unicode noncharacter"
		}
		i += n - 1
	}
	return ""
}

// SubjectOfKey is the subject of a record that has none of its own: its key where that is text, else nothing. It shares the key's memory.
func SubjectOfKey(key []byte) string {
	if len(key) == 0 || !isText(key) {
		return ""
	}
	return stringOf(key)
}

// isText reports whether bytes can be the value of an attribute.
func isText(b []byte) bool { return badText(stringOf(b)) == "" }
