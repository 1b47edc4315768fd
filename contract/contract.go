package contract

import (
	"errors"
	"fmt"
)

// TextBytesMax bounds a schema's text, DepthMax how deep it may nest, ReferencesMax what one schema may refer to, directly and through others.
const (
	TextBytesMax  = 200 << 10
	DepthMax      = 200
	ReferencesMax = 1000
)

// A Format is one language of schemas. Its methods may be called by many goroutines.
type Format interface {
	// Name is AVRO, JSON or PROTOBUF.
	Name() string

	// Parse reads a schema. refs are the texts it refers to and those they refer to, each before what uses it. A text that cannot be taken is a
	// *ParseError.
	Parse(text string, refs []Named) (Schema, error)
}

// Named is a schema that another one refers to.
type Named struct {
	Name string // as the text that refers to it says it: a full name of Avro, an $id or path of JSON Schema, a file of Protobuf
	Text string
}

// A Schema is a parsed text. It never changes.
type Schema interface {
	// Canonical is the text as it is kept and compared: two texts with one Canonical are one schema.
	Canonical() string

	// Normalized is Canonical where what has no meaning is in one order too.
	Normalized() string

	// Reads says what keeps a program with this schema from reading what was written with another of the same format; nothing: it reads everything.
	Reads(writer Schema, p Policy) []Difference

	// Validate checks a payload, which has no frame any more. index says which message of a Protobuf file it is; nil is the first. What does not
	// keep to the schema is a *Violation.
	Validate(payload []byte, index []int) error

	// Fields are the paths of the fields that a payload may have, as far as they are named: for what readers declare, and for advice.
	Fields() []Field
}

// ParseError says why a text is no schema.
type ParseError struct {
	Path string // where in it, "" where that cannot be said
	Text string
}

func (e *ParseError) Error() string {
	if e.Path == "" {
		return e.Text
	}
	return e.Text + " (at " + e.Path + ")"
}

// Bad makes a ParseError.
func Bad(path, format string, a ...any) error {
	return &ParseError{Path: path, Text: fmt.Sprintf(format, a...)}
}

// Violation says where a payload breaks its schema.
type Violation struct {
	Path string // of the field, "" for the whole payload
	Text string
}

func (v *Violation) Error() string {
	if v.Path == "" {
		return v.Text
	}
	return "field " + v.Path + ": " + v.Text
}

// Breaks makes a Violation.
func Breaks(path, format string, a ...any) error {
	return &Violation{Path: path, Text: fmt.Sprintf(format, a...)}
}

// ErrTooLarge is a text beyond TextBytesMax.
var ErrTooLarge = errors.New("the schema is too large")
