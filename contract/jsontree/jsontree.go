package jsontree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is what a value is.
type Kind byte

// Kinds.
const (
	Null   Kind = 'n'
	Bool   Kind = 't'
	Number Kind = '0'
	String Kind = '"'
	Array  Kind = '['
	Object Kind = '{'
)

// Value is one JSON value.
type Value struct {
	Kind    Kind
	Text    string // of a string, unescaped; of a number as it is written; true or false
	Items   []*Value
	Members []Member
}

// Member is one of an object's.
type Member struct {
	Name  string
	Value *Value
}

// DepthMax is how deep values may nest, NodesMax how many there may be.
const (
	DepthMax = 200
	NodesMax = 1 << 17
)

// Parse reads one value. Of members of one name the last counts, at the place of the first.
func Parse(text string) (*Value, error) {
	p := &parser{dec: jsontext.NewDecoder(strings.NewReader(text), jsontext.AllowDuplicateNames(true))}
	v, err := p.value(0)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty or ends too early")
	}
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

type parser struct {
	dec   *jsontext.Decoder
	nodes int
}

func (p *parser) value(depth int) (*Value, error) {
	if p.nodes++; p.nodes > NodesMax || depth > DepthMax {
		return nil, fmt.Errorf("it has more than %d values or nests deeper than %d", NodesMax, DepthMax)
	}
	t, err := p.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	v := &Value{}
	switch byte(t.Kind()) {
	case 'n':
		v.Kind = Null
	case 't', 'f':
		v.Kind, v.Text = Bool, t.String()
	case '"':
		v.Kind, v.Text = String, t.String()
	case '0':
		v.Kind, v.Text = Number, t.String()
	case '[':
		v.Kind = Array
		for p.dec.PeekKind() != ']' {
			e, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			v.Items = append(v.Items, e)
		}
		_, err = p.dec.ReadToken()
	case '{':
		v.Kind = Object
		seen := map[string]int{}
		for p.dec.PeekKind() != '}' {
			t, err := p.dec.ReadToken()
			if err != nil {
				return nil, err
			}
			name := t.String()
			m, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			if i, ok := seen[name]; ok {
				v.Members[i].Value = m
				continue
			}
			seen[name] = len(v.Members)
			v.Members = append(v.Members, Member{name, m})
		}
		_, err = p.dec.ReadToken()
	}
	return v, err
}

// Get is a member of an object, nil where there is none.
func (v *Value) Get(name string) *Value {
	if v == nil || v.Kind != Object {
		return nil
	}
	for i := range v.Members {
		if v.Members[i].Name == name {
			return v.Members[i].Value
		}
	}
	return nil
}

// String is the text of a string member, and whether it is one.
func (v *Value) String(name string) (string, bool) {
	m := v.Get(name)
	if m == nil || m.Kind != String {
		return "", false
	}
	return m.Text, true
}

// Append writes v without spaces. sorted puts members in the order of their names.
func (v *Value) Append(dst []byte, sorted bool) []byte {
	switch v.Kind {
	case Null:
		return append(dst, "null"...)
	case Bool, Number:
		return append(dst, v.Text...)
	case String:
		return AppendString(dst, v.Text)
	case Array:
		dst = append(dst, '[')
		for i, e := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.Append(dst, sorted)
		}
		return append(dst, ']')
	default:
		members := v.Members
		if sorted {
			members = slices.Clone(members)
			slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
		}
		dst = append(dst, '{')
		for i := range members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, members[i].Name), ':')
			dst = members[i].Value.Append(dst, sorted)
		}
		return append(dst, '}')
	}
}

// AppendString writes s as a JSON string with no more escapes than it needs.
func AppendString(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		return append(dst, `""`...) // not UTF-8, which no parsed text is
	}
	return out
}

// Equal reports whether two values say the same: numbers by value where they are plain, members in any order.
func Equal(a, b *Value) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case Array:
		return slices.EqualFunc(a.Items, b.Items, Equal)
	case Object:
		if len(a.Members) != len(b.Members) {
			return false
		}
		for i := range a.Members {
			if !Equal(a.Members[i].Value, b.Get(a.Members[i].Name)) {
				return false
			}
		}
		return true
	case Number:
		if a.Text == b.Text {
			return true
		}
		x, errX := json.Number(a.Text).Float64()
		y, errY := json.Number(b.Text).Float64()
		return errX == nil && errY == nil && x == y
	default:
		return a.Text == b.Text
	}
}
