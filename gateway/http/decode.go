package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"leat/broker/fault"
)

// decodeJSON reads a small JSON document into v, strictly: one value, no unknown member, the place of what is wrong in a JSON
// Pointer. It is for what is rare, such as changing a stream; events have a reader of their own.
func decodeJSON(op string, data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err := dec.Token(); err != io.EOF {
			return wrong(op, "body", "there is something behind the JSON document, at byte %d", dec.InputOffset())
		}
		return nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return wrong(op, "body", "the body is not JSON: %s at byte %d", syntax.Error(), syntax.Offset)
	case errors.As(err, &kind):
		field := kind.Field
		// An embedded struct stands in the path under the name of its type, and has no place in JSON. Members of ours are in lower case.
		if first, rest, ok := strings.Cut(field, "."); ok && strings.ToLower(first) != first {
			field = rest
		}
		p := wrong(op, field, "%s must be %s, not %s", orBody(field), jsonKind(kind.Type.Kind().String()), kind.Value)
		return p.at("/" + strings.ReplaceAll(pointerToken(field), ".", "/"))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return wrong(op, "body", "the JSON ends in its middle")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return wrong(op, clip(name), "there is no member of that name").at("/" + pointerToken(clip(name)))
	}
	return &problem{fault: fault.New(fault.Invalid, op, "body", "the body cannot be read as what this path takes").From(err), field: "body"}
}

func orBody(field string) string {
	if field == "" {
		return "the body"
	}
	return field
}

// jsonKind is a Go kind in the words of JSON.
func jsonKind(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number in range"
	case kind == "bool":
		return "true or false"
	case kind == "slice":
		return "an array"
	case kind == "map", kind == "struct":
		return "an object"
	}
	return "a " + kind
}
