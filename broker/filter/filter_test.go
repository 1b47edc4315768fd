package filter

import (
	"container/list"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"

	"leat/broker/fault"
	"leat/broker/record"
)

func input() *Input {
	return &Input{Stream: "orders", Partition: 2, Offset: 1234, Event: &record.Event{
		ID: "e-1", Source: "/shop", Type: "order.created", Subject: "order-7", Time: "2026-11-21T09:30:00Z", Key: []byte("order-7"),
		Extensions: []record.Attribute{{Name: "region", Value: "eu-west"}}, Headers: []record.Header{{Key: "X-Trace", Value: []byte("t")}, {Key: "region", Value: []byte("other")}, {Key: "nil"}},
		Data: []byte(`{"amount":129.5,"n":3,"big":9007199254740993,"name":"Ann","tags":["a","b"],"items":[{"sku":"x","qty":7}],"nothing":null,"sub":{"x":{"y":1}}}`)}}
}

func TestMatch(t *testing.T) {
	for expr, want := range map[string]bool{
		`true`:                                                       true,
		`type == "order.created"`:                                    true,
		`type.startsWith("order.")`:                                  true,
		`type == "order.paid"`:                                       false,
		`id == "e-1" && source == "/shop"`:                           true,
		`subject.matches("^order-[0-9]+$")`:                          true,
		`key == "order-7" && stream == "orders"`:                     true,
		`partition == 2 && offset >= 1234`:                           true,
		`time > timestamp("2026-11-21T09:29:59Z")`:                   true,
		`time < timestamp("2026-11-21T09:29:59Z")`:                   false,
		`time.getFullYear() == 2026`:                                 true,
		`data.amount > 100`:                                          true,
		`data.amount > 100.0 && data.n == 3`:                         true,
		`data.amount / 2.0 == 64.75`:                                 true,
		`data.n / 2.0 == 1.5`:                                        true,
		`data.big == 9007199254740993`:                               true,
		`data.big == 9007199254740992`:                               false,
		`data.name in ["Ann", "Bob"]`:                                true,
		`"b" in data.tags`:                                           true,
		`data.items.exists(i, i.qty > 5)`:                            true,
		`data.items.all(i, i.qty > 7)`:                               false,
		`has(data.nope)`:                                             false,
		`has(data.name) && size(data.name) == 3`:                     true,
		`data.nothing == null`:                                       true,
		`headers.region == "eu-west"`:                                true,
		`headers["X-Trace"] == "t"`:                                  true,
		`"nil" in headers`:                                           false,
		`has(headers.missing) || data.n == 3`:                        true,
		`data == {"a": 1}`:                                           false,
		`size(data) == 8`:                                            true,
		`data.exists(k, k == "tags")`:                                true,
		`data["amount"] > 1 && "n" in data`:                          true,
		`"nope" in data`:                                             false,
		`1 in data`:                                                  false,
		`data.items[0] == {"sku": "x", "qty": 7.0}`:                  true,
		`{"sku": "x", "qty": 7} == data.items[0]`:                    true,
		`data.sub == {"x": {"y": 1}} && {"x": {"y": 1}} == data.sub`: true,
		`data.sub.x.y == 1 && has(data.sub.x) && !has(data.sub.z)`:   true,
		`data.sub != data.items`:                                     true,
		`data.sub in [1, {"x": {"y": 1}}]`:                           true,
		`data.nope == 1 || true`:                                     true,
	} {
		f, err := Compile(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got, err := f.Match(input()); err != nil || got != want {
			t.Errorf("%s: got %v %v, want %v", expr, got, err, want)
		}
	}
}

func TestMatch_ErrorsAreNoMatch(t *testing.T) {
	for expr, text := range map[string]string{
		`data.nope == 1`:         "nope",
		`data.name > 3`:          "no such overload",
		`data.name`:              "string",
		`headers.missing == "x"`: "missing",
		`data.items[9].qty == 1`: "index out of bounds",
	} {
		f, err := Compile(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		before := f.Errors()
		got, err := f.Match(input())
		if got || !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), text) || f.Errors() != before+1 {
			t.Errorf("%s: %v %v, %d errors", expr, got, err, f.Errors())
		}
	}
	in := input()
	in.Event.Time, in.Event.Key = "", []byte{0xff}
	for _, expr := range []string{`time > timestamp("2026-11-21T09:29:59Z")`, `key == "a"`} {
		f, err := Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Match(in); got || err == nil {
			t.Errorf("%s: %v %v", expr, got, err)
		}
	}
}

func TestMatch_DataByItsForm(t *testing.T) {
	for _, c := range []struct {
		contentType, data, expr string
	}{
		{"text/plain", "hello", `data == "hello"`},
		{"text/plain", "\xff", `data == b"\xff"`},
		{"application/json", "{", `data == b"{"`},
		{"", "hello", `type(data) == bytes`},
		{"application/octet-stream", "{}", `data == b"{}"`},
		{"application/problem+json", `{"a":"\u00e9"}`, `data.a == "é"`},
		{"", "-", `data == null || data == b"-"`},
	} {
		in := &Input{Event: &record.Event{DataContentType: c.contentType, Data: []byte(c.data)}}
		f, err := Compile(strings.ReplaceAll(c.expr, "type(data) == bytes", `data == b"hello"`))
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if got, err := f.Match(in); !got {
			t.Errorf("%s of %q as %q: %v", c.expr, c.data, c.contentType, err)
		}
	}
	f, _ := Compile(`data == null`)
	if got, err := f.Match(&Input{Event: &record.Event{DataNull: true}}); !got {
		t.Error(err)
	}
}

func TestCompile_Refusals(t *testing.T) {
	for expr, text := range map[string]string{
		``:                                  "line 1",
		`type ==`:                           "line 1, column 8",
		`typ == "x"`:                        "line 1, column 1: undeclared reference to 'typ'",
		"true &&\n  typ == \"x\"":           "line 2, column 3",
		`offset == "x"`:                     "line 1, column 8: found no matching overload",
		`"just text"`:                       "string where true or false",
		`offset + 1`:                        "int where true or false",
		`subject.matches("(")`:              "missing closing",
		strings.Repeat("x", ExprBytesMax+1): "at most 4096",
		strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500): "recursion",
		`"x".unknown()`: "unknown",
	} {
		_, err := Compile(expr)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Subject != "where" || !strings.Contains(f.Text, text) || strings.Contains(f.Text, "\n") {
			t.Errorf("%.40q: got %v, want %q", expr, err, text)
		}
	}
}

func TestMatch_LoopsAreBounded(t *testing.T) {
	var list strings.Builder
	list.WriteString("[0")
	for i := range 2000 {
		fmt.Fprintf(&list, ",%d", i)
	}
	list.WriteString("]")
	in := &Input{Event: &record.Event{Data: []byte(list.String())}}
	f, err := Compile(`data.all(a, data.all(b, data.all(c, a + b + c >= 0.0)))`)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	got, err := f.Match(in)
	if got || err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("%v %v", got, err)
	}
	if took := time.Since(start); took > 2*time.Second { // 8,000,000,000 rounds without a limit
		t.Errorf("took %v", took)
	}
}

func TestUses(t *testing.T) {
	f, err := Compile(`type == "x" && data.items.exists(i, i.qty > 5)`)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Uses("type") || !f.Uses("data") || f.Uses("headers") || f.String() == "" {
		t.Error(f.uses)
	}
}

func TestCompile_CacheIsBounded(t *testing.T) {
	c := cache[*Filter]{max: 3, byKey: map[string]*list.Element{}}
	put := func(s string) { c.put(&Filter{expr: s}) }
	put("a")
	put("b")
	put("c")
	if _, ok := c.get("a"); !ok {
		t.Fatal("a is gone")
	}
	put("d") // b was used least
	has := func(s string) bool { _, ok := c.get(s); return ok }
	if has("b") || !has("a") || !has("d") || c.used.Len() != 3 || len(c.byKey) != 3 {
		t.Error("the wrong one went")
	}
	one, err := Compile(`offset == 1`)
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := Compile(`offset == 1`); one != two {
		t.Error("compiled twice")
	}
}

func FuzzCompileAndMatch(f *testing.F) {
	for _, s := range []string{`type == "order.created" && data.amount > 100`, `data.items.exists(i, i.qty > 5)`, `key.matches("a+")`, `[1,2].map(x, x*2) == [2,4]`,
		`time - duration("1h") < time`, `{"a":1}.a == 1`, `headers.x.size() > 0 ? true : false`, `data.items[0].qty % 2 == 1`, `"\u00e9" in ["é"]`} {
		f.Add(s, `{"items":[{"qty":1}],"amount":3}`)
	}
	f.Fuzz(func(t *testing.T, expr, data string) {
		p, err := compile(expr)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		in := input()
		in.Event.Data = []byte(data)
		if got, err := p.Match(in); got && err != nil {
			t.Fatal("a match and an error")
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for name, expr := range map[string]string{
		"address": `type == "order.created" && subject == "order-7"`,
		"data":    `type == "order.created" && data.amount > 100.0 && headers.region == "eu-west"`,
		"loop":    `data.items.exists(i, i.qty > 5)`,
	} {
		f, err := Compile(expr)
		if err != nil {
			b.Fatal(err)
		}
		in := input()
		b.Run(name+"/decoded", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := f.Match(in); !ok {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/fresh", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(in.Event, in.Stream, in.Partition, in.Offset)
				if ok, err := f.Match(in); !ok {
					b.Fatal(err)
				}
			}
		})
	}
}

// A lazily read object is, to an expression, what the decoded one is.
func FuzzLazyObject(f *testing.F) {
	f.Add(`{"a":{"b":[1,2]},"c":"x","a":2}`, "a")
	f.Add(` {"\u0061":1}`, "a")
	f.Fuzz(func(t *testing.T, data, name string) {
		v, ok := record.JSONValue([]byte(data))
		m, isObject := v.(map[string]any)
		if !ok || !isObject {
			return
		}
		lazy := dataOf(&record.Event{Data: []byte(data)}).(*lazyObject)
		got, found := lazy.Find(types.String(name))
		want, there := types.NewStringInterfaceMap(types.DefaultTypeAdapter, m).Find(types.String(name))
		if found != there || found && want.Equal(got) != types.True && !strings.Contains(data, "NaN") {
			t.Fatalf("%s of %s: %v %v, want %v %v", name, data, got, found, want, there)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := compile(`type == "order.created" && data.amount > 100.0`); err != nil {
			b.Fatal(err)
		}
	}
}
