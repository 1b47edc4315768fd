package session

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"leat/gateway/amqp091/wire"
)

// idOf is the number of a method by its name.
func idOf(name string) wire.ID {
	for class := range uint32(100) {
		for n := range uint32(130) {
			if id := wire.ID(class<<16 | n); id.Known() && id.String() == name {
				return id
			}
		}
	}
	return 0
}

// parseMethod reads what wire.Text writes.
func parseMethod(t testing.TB, name, rest string) wire.Method {
	t.Helper()
	m := wire.New(idOf(name))
	if m == nil {
		t.Fatalf("there is no method %q", name)
	}
	p := parser{t, rest}
	for p.skip(); p.text != ""; p.skip() {
		set(t, reflect.ValueOf(m).Elem(), &p)
	}
	return m
}

func set(t testing.TB, m reflect.Value, p *parser) {
	name := strings.ReplaceAll(p.word(), "-", "")
	f := m.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
	if !f.IsValid() {
		t.Fatalf("%s has no field %q", m.Type(), name)
	}
	switch {
	case f.Kind() == reflect.Bool:
		f.SetBool(true)
		return
	case !p.take("="):
		t.Fatalf("%s needs a value", name)
	case f.CanUint():
		n, err := strconv.ParseUint(p.word(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		f.SetUint(n)
	case f.Type() == reflect.TypeFor[wire.Table]():
		f.SetBytes(p.table())
	default:
		f.SetBytes([]byte(p.quoted()))
	}
}

type parser struct {
	t    testing.TB
	text string
}

func (p *parser) skip() { p.text = strings.TrimLeft(p.text, " ") }

func (p *parser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.text, s)
	p.text = rest
	return ok
}

func (p *parser) word() string {
	n := strings.IndexAny(p.text, " ={}")
	if n < 0 {
		n = len(p.text)
	}
	w := p.text[:n]
	p.text = p.text[n:]
	return w
}

func (p *parser) quoted() string {
	q, err := strconv.QuotedPrefix(p.text)
	if err != nil {
		p.t.Fatalf("%v at %q", err, p.text)
	}
	p.text = p.text[len(q):]
	s, _ := strconv.Unquote(q)
	return s
}

func (p *parser) table() (tb wire.Table) {
	if !p.take("{") {
		p.t.Fatalf("no table at %q", p.text)
	}
	for p.skip(); !p.take("}"); p.skip() {
		name := p.word()
		if !p.take("=") {
			p.t.Fatalf("no value at %q", p.text)
		}
		var v wire.Value
		switch {
		case p.text[0] == '{':
			v = wire.TableValue(p.table())
		case p.text[0] == '"':
			v = wire.String(p.quoted())
		default:
			w := p.word()
			v = wire.Bool(w == "true")
			if n, err := strconv.Atoi(w); err == nil {
				v = wire.Int32(int32(n))
			}
		}
		var err error
		if tb, err = tb.Add(name, v); err != nil {
			p.t.Fatal(err)
		}
	}
	return tb
}
