package jsonschema

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	js "github.com/santhosh-tekuri/jsonschema/v6"
	says "github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"leat/contract"
)

// What has no address of its own gets one below baseURL, so that names of references are found as they are written.
const (
	baseURL = "leat:///"
	selfURL = baseURL + "schema.json"
)

type nothingLoaded struct{}

func (nothingLoaded) Load(url string) (any, error) {
	return nil, fmt.Errorf("%q is no reference of the schema; nothing is fetched", url)
}

// compile makes the schema that validates.
func compile(text string, refs []contract.Named) (s *js.Schema, err error) {
	c := js.NewCompiler()
	c.DefaultDraft(js.Draft7)
	c.UseLoader(nothingLoaded{})
	c.UseRegexpEngine(func(s string) (js.Regexp, error) { return compileRegexp(s) })
	for _, r := range refs {
		doc, err := js.UnmarshalJSON(strings.NewReader(r.Text))
		if err != nil {
			return nil, contract.Bad("", "the reference %s is no JSON: %s", r.Name, err)
		}
		at := r.Name
		if !strings.Contains(at, ":") {
			at = baseURL + at
		}
		if err := c.AddResource(at, doc); err != nil {
			return nil, contract.Bad("", "the reference %s: %s", r.Name, err)
		}
	}
	doc, err := js.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, contract.Bad("", "the text is no JSON: %s", err)
	}
	if err := c.AddResource(selfURL, doc); err != nil {
		return nil, contract.Bad("", "%s", err)
	}
	s, err = c.Compile(selfURL)
	if err != nil {
		return nil, contract.Bad("", "%s", strings.ReplaceAll(explain(err), selfURL, "schema"))
	}
	return s, nil
}

func explain(err error) string {
	var bad *js.SchemaValidationError
	if errors.As(err, &bad) {
		var v *js.ValidationError
		if errors.As(bad.Err, &v) {
			leaf := deepest(v)
			return "the schema is not valid at '/" + strings.Join(leaf.InstanceLocation, "/") + "': " + sayKind(leaf.ErrorKind)
		}
	}
	return err.Error()
}

type lax struct{ text string }

func (lax) MatchString(string) bool { return true }
func (l lax) String() string        { return l.text }

// compileRegexp takes a pattern that Go does not know for one that matches everything; that it is not checked is said in doc.go.
func compileRegexp(s string) (js.Regexp, error) {
	re, err := regexp.Compile(s)
	if err != nil {
		return lax{s}, nil //nolint:nilerr // lookaround and back references are no error
	}
	return re, nil
}

// Validate checks one JSON value.
func (s *Schema) Validate(payload []byte, _ []int) error {
	p := runs.Get().(*run)
	defer p.done()
	if err := p.read(payload); err != nil {
		return unreadable(payload, err)
	}
	program := s.rules()
	v := p.check(program, false)
	if v == keeps {
		return nil
	}
	if v == tooMuch || p.check(program, true) == tooMuch {
		return contract.Breaks("", "the payload does not keep to the schema, or to say so takes too long: alternatives or references nest too deep")
	}
	return s.explain(payload)
}

// unreadable says why a payload cannot be read: the library of JSON has better words than a place.
func unreadable(payload []byte, err error) error {
	var where errNoJSON
	if !errors.As(err, &where) {
		return err
	}
	if _, told := js.UnmarshalJSON(bytes.NewReader(payload)); told != nil {
		return contract.Breaks("", "the payload is no JSON: %s", told)
	}
	return contract.Breaks("", "the payload is no JSON: %s", err)
}

// explain asks the library why a payload is refused: the library has the last word.
func (s *Schema) explain(payload []byte) error {
	v, err := js.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return contract.Breaks("", "the payload is no JSON: %s", err)
	}
	err = s.compiled.Validate(v)
	if err == nil {
		return nil
	}
	var bad *js.ValidationError
	if !errors.As(err, &bad) {
		return contract.Breaks("", "%s", err)
	}
	leaf := deepest(bad)
	path := ""
	for _, part := range leaf.InstanceLocation {
		switch {
		case part != "" && strings.Trim(part, "0123456789") == "":
			path += "[" + part + "]"
		case path == "":
			path = part
		default:
			path += "." + part
		}
	}
	if req, ok := leaf.ErrorKind.(*says.Required); ok && len(req.Missing) > 0 {
		name := req.Missing[0]
		if path != "" {
			name = path + "." + name
		}
		return contract.Breaks(name, "it is required and missing")
	}
	if more, ok := leaf.ErrorKind.(*says.AdditionalProperties); ok && len(more.Properties) > 0 {
		name := more.Properties[0]
		if path != "" {
			name = path + "." + name
		}
		return contract.Breaks(name, "the schema has no such property and allows no others")
	}
	return contract.Breaks(path, "%s", sayKind(leaf.ErrorKind))
}

var english = message.NewPrinter(language.English)

func sayKind(k js.ErrorKind) string { return k.LocalizedString(english) }

// deepest is the cause that lies deepest in the payload: of several alternatives, the one that came farthest.
func deepest(e *js.ValidationError) *js.ValidationError {
	best := e
	for _, c := range e.Causes {
		if d := deepest(c); len(d.InstanceLocation) > len(best.InstanceLocation) || len(best.Causes) > 0 && len(d.InstanceLocation) == len(best.InstanceLocation) && len(d.Causes) == 0 {
			best = d
		}
	}
	return best
}

// plainNumbers refuses numbers like 1e999999999: they are compared exactly, and to write that one out takes a gigabyte.
func plainNumbers(b []byte) error {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case c >= '0' && c <= '9':
			for i+1 < len(b) && (b[i+1] >= '0' && b[i+1] <= '9' || b[i+1] == '.') {
				i++
			}
			if i+1 >= len(b) || b[i+1] != 'e' && b[i+1] != 'E' {
				continue
			}
			if i++; i+1 < len(b) && (b[i+1] == '+' || b[i+1] == '-') {
				i++
			}
			from := i
			for i+1 < len(b) && b[i+1] >= '0' && b[i+1] <= '9' {
				i++
			}
			if i-from > exponentDigitsMax {
				return contract.Breaks("", "a number has an exponent of more than %d digits", exponentDigitsMax)
			}
		}
	}
	return nil
}
