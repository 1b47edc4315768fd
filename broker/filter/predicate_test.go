package filter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"leat/broker/fault"
	"leat/broker/record"
)

// judged matches one event with one predicate.
func judged(p *Predicate, in *Input) (bool, error) {
	x := NewExtract()
	x.Reset(in)
	return p.Match(x)
}

// Every expression means the same as a Filter and as a Predicate, errors included.
func TestCompileCEL_MeansWhatCompileMeans(t *testing.T) {
	ins := []*Input{input(), {Event: &record.Event{}}, {Event: &record.Event{Key: []byte{0xff}, Data: []byte(`[1]`)}},
		{Event: &record.Event{DataContentType: "text/plain", Data: []byte(`{"n":3,"name":"Ann"}`)}},
		{Event: &record.Event{Type: "order.created", Data: []byte(` {"amount":1e999,"n":null,"name":"Ann","name":"Bob","sub":7,"sub":{"x":{"y":2}},"yes":true,"no":false,"tags":["b"]} `)}}}
	for _, expr := range []string{
		`true`, `false`, `type == "order.created"`, `"order.created" == type`, `type != "x"`, `type < "p"`, `"p" > type`, `type.startsWith("order.")`,
		`subject.endsWith("7") || subject.contains("der")`, `!(key == "order-7")`, `partition == 2 && offset >= 1234`, `offset > 1233.5`, `1234.5 > offset`,
		`data.amount > 100`, `100 < data.amount`, `data.amount > "a"`, `data.big == 9007199254740993`, `data.big == 9007199254740992`, `data.big > 9007199254740992.0`,
		`data.n == 3`, `data.n == 3.0`, `data.n in [1, 2.0, 3]`, `data.name in ["Ann", "Bob"]`, `data.name in [1]`, `data.nope in [1]`, `data.name == 3`, `data.name != 3`,
		`data.nothing == null`, `data.name == null`, `data.n < null`, `data.sub.x.y == 1`, `data.sub["x"].y >= 1`, `data["sub"].x.z == 1`, `data.name.x == 1`,
		`data.tags == "x"`, `data.tags != null`, `data.yes`, `!data.no && data.yes`, `data.name`, `data.yes || data.nope == 1`, `data.nope == 1 || true`,
		`data.nope == 1 && false`, `!(data.nope == 1)`, `headers.region == "eu-west"`, `headers["X-Trace"].startsWith("t")`, `headers.missing == "x"`, `has(headers.region)`,
		`has(headers.missing) || has(data.n)`, `has(data.nope)`, `has(data.sub.x)`, `has(data.name.x)`, `data.name.startsWith("A")`, `data.n.startsWith("A")`,
		`"b" in data.tags`, `data.items.exists(i, i.qty > 5) && type == "order.created"`, `size(data.name) == 3 && data.n == 3`, `time > timestamp("2026-11-21T09:29:59Z") && data.n == 3`,
		`data.n == 3 ? type == "x" : data.yes`, `data.exists(type, type == "n") && data.n > 0`, `data.n == 3u`, `data.name == b"Ann"`, `data.nope == 1 || data.name > 3`,
		`data.items.exists(a, true) || data.items.exists(b, true) || data.items.exists(c, true) || data.items.exists(d, true) || data.items.exists(e, true)`,
		`data == {"a": 1}`, `data.amount == 129.5 && "n" in data`, `data.yes == true && true > data.no`, `.type == "order.created"`, `data.n == -3`, `data.amount > -1.5`,
	} {
		f, err := Compile(expr)
		p, err2 := CompileCEL(expr)
		if err != nil || err2 != nil {
			t.Errorf("%s: %v, %v", expr, err, err2)
			continue
		}
		for i, in := range ins {
			in.Reset(in.Event, in.Stream, in.Partition, in.Offset)
			want, wantErr := f.Match(in)
			got, gotErr := judged(p, in)
			if got != want || (gotErr == nil) != (wantErr == nil) {
				t.Errorf("%s of event %d: got %v %v, want %v %v", expr, i, got, gotErr, want, wantErr)
			}
		}
	}
}

func TestCompileCEL_PushesDown(t *testing.T) {
	for expr, want := range map[string]int{ // how many parts stay CEL
		`type == "a" && data.x > 1 && headers.y in ["a", "b"] && !(data.z.startsWith("q") || has(headers.w))`: 0,
		`type == "a" && size(data.x) > 1`: 1, `data.x == data.y`: 1, `data.a.exists(i, i > 1) && data.b.all(i, i > 1)`: 2,
		strings.Repeat(`data.a.exists(i, i > 1) && `, LoopPartsMax+1) + `true`: 1,
	} {
		p, err := CompileCEL(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := celParts(p.root); got != want {
			t.Errorf("%s: %d parts stay CEL, want %d", expr, got, want)
		}
	}
	p, _ := CompileCEL(`type == "a" && size(data.x) > 1 && headers.y == "z"`)
	if !p.Uses("type") || !p.Uses("data") || !p.Uses("headers") || p.Uses("key") || len(p.Fields()) != 2 {
		t.Error(p.fields, p.uses)
	}
	if _, err := CompileCEL(`typ == 1`); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func celParts(n node) int {
	if _, is := n.(*celNode); is {
		return 1
	}
	sum := 0
	for _, k := range n.kids() {
		sum += celParts(k)
	}
	return sum
}

func TestMatch_ErrorsOfPredicatesAreCounted(t *testing.T) {
	p, err := CompileCEL(`data.nope == 1`)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := judged(p, input()); ok || err == nil || !strings.Contains(err.Error(), "no such key: data.nope") || p.Errors() != 1 {
		t.Error(ok, err, p.Errors())
	}
	s, _ := CompileSelector(`nope = 1`, SelectorOptions{})
	if ok, err := judged(s, input()); ok || err != nil || s.Errors() != 0 {
		t.Error("what is not there is unknown, and no error:", ok, err)
	}
	s, _ = CompileSelector(`region * 2 = 1`, SelectorOptions{})
	if ok, err := judged(s, input()); ok || err == nil || s.Errors() != 1 {
		t.Error(ok, err)
	}
}

// One Extract serves predicates of all languages, also ones that come when the data was walked already.
func TestExtract_Shared(t *testing.T) {
	cel, _ := CompileCEL(`data.sub.x.y == 1 && data.amount > 100`)
	policy, err := CompilePolicy([]byte(`{"items": {"sku": ["x"]}, "tags": ["b"]}`), PolicyScope{Data: true})
	if err != nil {
		t.Fatal(err)
	}
	selector, err := CompileSelector(`amount > 100 AND region LIKE 'eu%'`, SelectorOptions{Field: func(name string) (Field, error) {
		if name == "amount" {
			return Field{From: FromData, Name: name}, nil
		}
		return Field{From: FromHeader, Name: name}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	x := NewExtract()
	for range 3 {
		in := input()
		x.Reset(in)
		for _, p := range []*Predicate{cel, policy, selector} {
			if ok, err := p.Match(x); !ok {
				t.Errorf("%s: %v", p, err)
			}
		}
		x.Reset(&Input{Event: &record.Event{Data: []byte(`{"amount":3,"tags":["a"],"items":[]}`)}})
		for _, p := range []*Predicate{selector, policy, cel} {
			if ok, _ := p.Match(x); ok {
				t.Errorf("%s matches what the last event had", p)
			}
		}
	}
	if len(x.list) != 5 { // data.sub.x.y, data.amount twice, items.sku, tags, region
		t.Errorf("%d fields", len(x.list))
	}
}

// What has been learned costs no memory: fields, numbers and texts stand in the data.
func TestExtract_AllocatesNothing(t *testing.T) {
	cel, _ := CompileCEL(`data.sub.x.y == 1 && data.amount > 100 && headers.region == "eu-west" && data.name.startsWith("A")`)
	policy, _ := CompilePolicy([]byte(`{"items": {"sku": ["x"]}, "tags": ["b"], "amount": [{"numeric": [">", 100]}]}`), PolicyScope{Data: true})
	selector, _ := CompileSelector(`region LIKE 'e_-%' AND nope IS NULL`, SelectorOptions{})
	x, in := NewExtract(), input()
	if n := testing.AllocsPerRun(100, func() {
		x.Reset(in)
		for _, p := range []*Predicate{cel, policy, selector} {
			if ok, err := p.Match(x); !ok {
				t.Fatal(p, err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestExtract_LearnsAnew(t *testing.T) {
	x := NewExtract()
	x.Reset(input())
	for i := range ExtractFieldsMax + 10 {
		p, err := CompileSelector(fmt.Sprintf(`h%d = 1 OR name = 'Ann'`, i), SelectorOptions{Field: func(name string) (Field, error) {
			return Field{From: FromData, Name: name}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		x.use(p)
		if i >= ExtractFieldsMax-2 || i == 0 {
			if ok, _ := p.Match(x); !ok {
				t.Fatal(i)
			}
		}
	}
	if len(x.list) > ExtractFieldsMax {
		t.Errorf("%d fields", len(x.list))
	}
}

func TestExplain(t *testing.T) {
	p, err := CompileCEL(`type == "order.created" && (data.amount > 200 || headers.missing == "x") && size(data.name) == 3`)
	if err != nil {
		t.Fatal(err)
	}
	x := NewExtract()
	x.Reset(input())
	var got []string
	for _, r := range p.Explain(x) {
		got = append(got, r.String())
	}
	want := []string{
		`all of 2: unknown`,
		`  all of 2: unknown`,
		`    type == "order.created": true (type is "order.created")`,
		`    one of 2: unknown`,
		`      data.amount > 200: false (data.amount is 129.5)`,
		`      headers.missing == "x": unknown (no such key: headers.missing)`,
		`  size(data.name) == 3: true`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if p.Errors() != 0 {
		t.Error("an explanation was counted")
	}
	q, _ := CompilePolicy([]byte(`{"region": [{"prefix": "us"}], "none": [{"exists": false}]}`), PolicyScope{})
	s, _ := CompileSelector(`region = 'us' AND NOT (region LIKE 'x%') AND n + 1 > 2`, SelectorOptions{})
	got = got[:0]
	for _, r := range append(q.Explain(x), s.Explain(x)...) {
		got = append(got, r.String())
	}
	want = []string{
		`all of 2: false`, `  none: true (there is none)`, `  region: false ("eu-west")`,
		`all of 3: false`, `  region = 'us': false (region is "eu-west")`, `  not: true`, `    region LIKE 'x%': false (region is "eu-west")`,
		`  (n + 1) > 2: unknown (n is nothing)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestValue_Compare(t *testing.T) {
	for _, c := range []struct {
		a, b  Value
		order int
		ok    bool
	}{
		{IntValue(1), FloatValue(1.5), -1, true}, {FloatValue(-1.5), IntValue(-1), -1, true}, {IntValue(9007199254740993), FloatValue(9007199254740992), 1, true},
		{IntValue(1<<63 - 1), FloatValue(1 << 63), -1, true}, {IntValue(-1 << 63), FloatValue(-1 << 63), 0, true}, {IntValue(-1 << 63), FloatValue(-1e30), 1, true},
		{TextValue("a"), TextValue("b"), -1, true}, {TextValue("1"), IntValue(1), 0, false}, {BoolValue(false), BoolValue(true), -1, true}, {NullValue(), NullValue(), 0, false},
		{FloatValue(0), numberOf("-0"), 0, true}, {numberOf("1e999"), IntValue(1), 0, false}, {numberOf("99999999999999999999"), FloatValue(1e20), 0, true},
	} {
		if order, ok := c.a.compare(c.b); order != c.order || ok != c.ok {
			t.Errorf("%v and %v: %d %v", c.a, c.b, order, ok)
		}
		if order, ok := c.b.compare(c.a); order != -c.order || ok != c.ok {
			t.Errorf("%v and %v: %d %v", c.b, c.a, order, ok)
		}
	}
}

// The walk finds what decoding finds.
func FuzzWalk(f *testing.F) {
	f.Add(`{"a":{"b":[1,{"c":2}]},"a.b":3,"x":"\u00e9\"","a":{"b":null}}`, "a", "b")
	f.Add(` { "a" : [ [ ] , { "b" : -1.5e3 } ] , "b":{}} `, "a", "b")
	f.Fuzz(func(t *testing.T, data, name, inner string) {
		if strings.ContainsRune(name+inner, 0) || len(data) > 1000 {
			return
		}
		x := NewExtract()
		x.Reset(&Input{Event: &record.Event{DataContentType: "application/json", Data: []byte(data)}})
		p := &Predicate{root: always(true), fields: []Field{{From: FromData, Name: DataPath(name, inner)}, {From: FromDataFlat, Name: name + "." + inner}, {From: FromData, Name: name}}}
		at := x.use(p)
		v, _ := record.JSONValue([]byte(data))
		m, isObject := v.(map[string]any)
		x.values(at[1])
		outer, there := m[name]
		if got := x.value(at[2]); isObject && (got.Kind != Missing) != there && record.ValidJSON([]byte(data)) {
			t.Fatalf("%q of %s: %v, there: %v", name, data, got, there)
		}
		nested, _ := outer.(map[string]any)
		want, there := nested[inner]
		if got := x.value(at[0]); (got.Kind != Missing) != there && isObject {
			t.Fatalf("%q.%q of %s: %v, there: %v", name, inner, data, got, there)
		} else if s, is := want.(string); is && (got.Kind != Text || got.text != s) {
			t.Fatalf("%q.%q of %s: %v, want %q", name, inner, data, got, s)
		}
	})
}

func FuzzCompileCEL(f *testing.F) {
	for _, s := range []string{`type == "order.created" && data.amount > 100`, `!(data.n in [1, 2.5, "x", null]) || has(headers.x)`, `data.a.b.startsWith("x") == true`,
		`data.items.exists(i, i.qty > 5) && data.yes`, `9007199254740991 <= data.big`} {
		f.Add(s, `{"items":[{"qty":1}],"amount":3,"a":{"b":"xy"},"big":9007199254740993,"yes":true,"n":2.5}`)
	}
	f.Fuzz(func(t *testing.T, expr, data string) {
		p, err := CompileCEL(expr)
		q, err2 := compile(expr)
		if (err == nil) != (err2 == nil) {
			t.Fatal(err, err2)
		}
		if err != nil {
			return
		}
		in := input()
		in.Event.Data = []byte(data)
		want, wantErr := q.Match(in)
		got, gotErr := judged(p, in)
		if strings.Contains(fmt.Sprint(wantErr, gotErr), "cost") {
			return // parts have their costs counted on their own
		}
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%s of %s: got %v %v, want %v %v", expr, data, got, gotErr, want, wantErr)
		}
	})
}

func BenchmarkPredicate(b *testing.B) {
	cel, _ := CompileCEL(`type == "order.created" && data.amount > 100.0 && headers.region == "eu-west"`)
	policy, _ := CompilePolicy([]byte(`{"name": [{"prefix": "A"}, "Bob"], "amount": [{"numeric": [">", 100]}], "tags": ["b"]}`), PolicyScope{Data: true})
	selector, _ := CompileSelector(`region = 'eu-west' AND X BETWEEN 1 AND 5 OR region LIKE 'eu%'`, SelectorOptions{})
	for _, c := range []struct {
		name string
		ps   []*Predicate
	}{{"cel", []*Predicate{cel}}, {"policy", []*Predicate{policy}}, {"selector", []*Predicate{selector}}, {"all", []*Predicate{cel, policy, selector}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			x, in := NewExtract(), input()
			for b.Loop() {
				x.Reset(in)
				for _, p := range c.ps {
					if ok, err := p.Match(x); !ok {
						b.Fatal(p, err)
					}
				}
			}
		})
	}
}
