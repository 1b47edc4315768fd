package jsonschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	js "github.com/santhosh-tekuri/jsonschema/v6"
)

func verdictOf(x *program, payload []byte) verdict {
	p := &run{}
	if p.read(payload) != nil {
		return breaks
	}
	return p.check(x, false)
}

// lib is what the library says.
func lib(s *js.Schema, payload []byte) verdict {
	v, err := js.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil || s.Validate(v) != nil {
		return breaks
	}
	return keeps
}

const (
	d7 = `"$schema":"http://json-schema.org/draft-07/schema#"`
	d9 = `"$schema":"https://json-schema.org/draft/2019-09/schema"`
	d2 = `"$schema":"https://json-schema.org/draft/2020-12/schema"`
	d4 = `"$schema":"http://json-schema.org/draft-04/schema#"`
)

// Each keyword with what it takes and, behind the bar, what it refuses. The library must say the same.
var verdicts = []struct{ schema, takes, refuses string }{
	{`{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"maxProperties":1}}`, `{"a":1,"b":2} {"c":1} {} 3`, `{"a":1} {"c":1,"d":2}`},
	{`{"not":{"type":"integer"}}`, `1.5 "a" null`, `1 1.0 1e2 -0`},
	{`{"patternProperties":{"^x_":{"type":"string"},"z$":{"type":"integer"}},"additionalProperties":false}`, `{"x_a":"b","z":1} {}`, `{"x_z":1} {"y":1} {"x_":2}`},
	{`{` + d9 + `,"dependentSchemas":{"a":{"required":["b"]}},"dependentRequired":{"c":["d","e"]}}`, `{"a":1,"b":1} {"c":1,"d":1,"e":1} {"b":1} []`, `{"a":1} {"c":1,"d":1}`},
	{`{"dependencies":{"a":["b"],"c":{"maxProperties":1}}}`, `{"a":1,"b":1} {"c":1}`, `{"a":1} {"c":1,"d":1}`},
	{`{"propertyNames":{"pattern":"^[a-z]+$","maxLength":3}}`, `{"abc":1} {} [] {"\u0061b":0}`, `{"aB":1} {"abcd":1} {"":1}`},
	{`{"contains":{"type":"string"}}`, `["a"] [1,"a"] {}`, `[] [1]`},
	{`{` + d2 + `,"contains":{"type":"string"},"minContains":2,"maxContains":3}`, `["a","b"] ["a",1,"b","c"]`, `["a"] ["a","b","c","d"] []`},
	{`{` + d2 + `,"contains":{"type":"string"},"minContains":0,"unevaluatedItems":{"type":"integer"}}`, `[1] ["a",1] []`, `[null] ["a",1.5]`},
	{`{"uniqueItems":true}`, `[1,2] [1,"1",true,null,[],{}] [[1,2],[2,1]] [1,2,3,4,5,6,7,8,9,10] [{"a":1},{"a":2}]`,
		`[1,1.0] [1,10e-1] [{"a":1,"b":2},{"b":2.0,"a":1}] ["a","\u0061"] [1,2,3,4,5,6,7,8,9,1e0] [[0,{"a":[1]}],1,2,3,4,5,6,7,8,[-0,{"a":[1.0]}]] [123456789012345678901,1,2,3,4,5,6,7,8,9,123456789012345678901.0]`},
	{`{"oneOf":[{"type":"string","maxLength":3},{"type":"string","minLength":3}]}`, `"ab" "abcd"`, `"abc" 1`},
	{`{"anyOf":[{"minimum":5},{"multipleOf":2}]}`, `5 2 7 "a"`, `3 -1`},
	{`{"$ref":"#/definitions/n","definitions":{"n":{"type":"object","properties":{"next":{"$ref":"#/definitions/n"}},"additionalProperties":false}}}`, `{} {"next":{"next":{}}}`, `{"next":1} {"next":{"next":{"v":1}}}`},
	{`{` + d2 + `,"$id":"https://a/tree","$dynamicAnchor":"n","type":"object","properties":{"data":true,"kids":{"items":{"$dynamicRef":"#n"}}}}`, `{"kids":[{"data":1,"kids":[]}]}`, `{"kids":[1]} {"kids":[{"kids":[null]}]}`},
	{`{` + d2 + `,"$id":"https://a/strict","$dynamicAnchor":"n","$ref":"tree","unevaluatedProperties":false,"$defs":{"t":{"$id":"tree","$dynamicAnchor":"n","type":"object","properties":{"data":true,"kids":{"items":{"$dynamicRef":"#n"}}}}}}`,
		`{"kids":[{"data":1}]}`, `{"kids":[{"daat":1}]} {"x":1}`},
	{`{` + d9 + `,"$id":"https://a/strict","$recursiveAnchor":true,"$ref":"tree","unevaluatedProperties":false,"$defs":{"t":{"$id":"tree","$recursiveAnchor":true,"type":"object","properties":{"data":true,"kids":{"items":{"$recursiveRef":"#"}}}}}}`,
		`{"kids":[{"data":1}]}`, `{"kids":[{"daat":1}]} {"x":1}`},
	{`{` + d2 + `,"$ref":"list","$id":"https://a/of","$defs":{"i":{"$dynamicAnchor":"item","type":"string"},"l":{"$id":"list","items":{"$dynamicRef":"#item"},"$defs":{"any":{"$dynamicAnchor":"item"}}}}}`, `["a"] []`, `[1]`},
	{`{` + d2 + `,"allOf":[{"properties":{"a":true}},{"properties":{"b":true},"required":["b"]}],"unevaluatedProperties":false}`, `{"a":1,"b":2}`, `{"b":1,"c":2}`},
	{`{` + d2 + `,"allOf":[{"properties":{"a":true}},{"properties":{"b":true},"unevaluatedProperties":false}]}`, `{"b":1}`, `{"a":1,"b":2}`},
	{`{` + d2 + `,"if":{"properties":{"k":{"const":"x"}},"required":["k"]},"then":{"properties":{"x":true}},"else":{"properties":{"y":true}},"unevaluatedProperties":{"type":"integer"}}`, `{"k":"x","x":"s","z":1} {"y":"s","k":2}`, `{"k":"x","y":"s"} {"k":"q"}`},
	{`{` + d2 + `,"not":{"not":{"properties":{"a":true}}},"unevaluatedProperties":false}`, `{}`, `{"a":1}`},
	{`{` + d2 + `,"anyOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":true}}],"unevaluatedProperties":false}`, `{"a":"s","b":1} {"b":1}`, `{"a":1} {"c":1}`},
	{`{` + d2 + `,"prefixItems":[{"type":"integer"}],"anyOf":[{"prefixItems":[true,{"const":2}]},true],"unevaluatedItems":false}`, `[1] [1,2] []`, `[1,3] [1,2,3] ["a"]`},
	{`{` + d2 + `,"prefixItems":[{"type":"integer"}],"items":false}`, `[1] []`, `[1,2]`},
	{`{"items":[{"type":"integer"}],"additionalItems":{"type":"string"}}`, `[1,"a"] [1]`, `["a"] [1,2]`},
	{`{"items":[{"type":"integer"}],"additionalItems":false}`, `[1] []`, `[1,2]`},
	{`{"enum":[1.50,"é",null,{"a":[1,2]},[],true]}`, `1.5 "\u00e9" null {"a":[1,2e0]} [] true 15e-1`, `"e" {"a":[2,1]} false {} 1 [1]`},
	{`{"const":{"a":{"b":1},"c":"\n"}}`, `{"c":"\n","a":{"b":1.0}}`, `{"a":{"b":1}} {"c":"n","a":{"b":1}} {"c":"\n","a":{"b":1},"d":0}`},
	{`{"minimum":-0.5,"exclusiveMaximum":1e2,"multipleOf":0.01}`, `0 99.99 -0.5 -0 1e1 0.00e5`, `-0.51 100 1e2 0.001 99.999 100.0`},
	{`{"maximum":12345678901234567890123,"multipleOf":3}`, `3 12345678901234567890123 6e0`, `12345678901234567890126 4 12345678901234567890122`},
	{`{"type":"integer"}`, `1 1.0 100e-2 1e400 123456789012345678901234.00`, `1.5 1e-1 "1" 123456789012345678901234.5 null`},
	{`{"minLength":2,"maxLength":3}`, `"ab" "é\u00e9" "𝄞𝄞𝄞" 1 "\ud834\udd1ea"`, `"a" "abcd" "𝄞" "\ud834\udd1e"`},
	{`{"pattern":"^\\p{L}+\\d?$"}`, `"é1" "abc" "\u00e9"`, `"1" "é 1" ""`},
	{`{` + d7 + `,"properties":{"u":{"format":"uri"},"e":{"format":"email"},"i":{"format":"ipv4"},"h":{"format":"hostname"},"t":{"format":"date-time"},"d":{"format":"date"},"g":{"format":"uuid"}}}`,
		`{"u":"https://a.b/c?d=e"} {"u":"urn:x:y"} {"e":"a.b+c@d-e.fr"} {"e":"a@[127.0.0.1]"} {"i":"1.20.255.0"} {"h":"a-b.c"} {"t":"2024-02-29T23:59:59.5+01:00"} {"d":"2024-02-29"} {"g":"0198B6A2-66e1-7c1e-9d1c-0242ac120002"}`,
		`{"u":"a b"} {"u":"//x"} {"e":"a"} {"e":".a@b"} {"e":"a@-b"} {"i":"1.2.3"} {"i":"01.2.3.4"} {"i":"1.2.3.256"} {"h":"-a"} {"h":"a..b"} {"t":"2023-02-29T00:00:00Z"} {"d":"2023-13-01"} {"g":"0198b6a266e17c1e9d1c0242ac120002"}`},
	{`{"properties":{"a":false,"b":{"type":["integer","null"]}},"required":["b","c"]}`, `{"b":null,"c":0} {"b":1.0,"c":{}}`, `{"b":1} {"a":1,"b":1,"c":1} {"b":1.5,"c":1}`},
	{`{"minProperties":2,"maxProperties":2}`, `{"a":1,"b":2} {"a":1,"b":1,"a":2}`, `{"a":1} {"a":1,"a":2} {"a":1,"b":2,"c":3}`},
	{`{"properties":{"a":{"type":"integer"}}}`, `{"a":"x","a":1}`, `{"a":1,"a":"x"}`},
	{`{` + d4 + `,"minimum":1,"exclusiveMinimum":true,"maximum":3}`, `2 3 1.1`, `1 3.1`},
	{`{"anyOf":[{"$ref":"#"},{"type":"string"}]}`, `"a"`, `1`},
	{`{"anyOf":[{"not":{"$ref":"#"}},{"type":"string"}]}`, `"a" 1`, ``},
	{`{"additionalProperties":{"type":"integer"},"properties":{"é":true}}`, `{"\u00e9":"x","b":1}`, `{"e":"x"} {"a":null}`},
	{`true`, `1 {}`, ``}, {`false`, ``, `1 {}`}, {`{}`, `null`, ``},
}

func TestVerdicts(t *testing.T) {
	for _, c := range verdicts {
		s := must(t, c.schema)
		p := newProgram(s.compiled)
		for want, list := range map[verdict]string{keeps: c.takes, breaks: c.refuses} {
			for _, payload := range split(t, list) {
				if got, said := verdictOf(p, payload), lib(s.compiled, payload); got != want || said != want {
					t.Errorf("%s and %s: %d, the library says %d, want %d", c.schema, payload, got, said, want)
				}
				if err := s.Validate(payload, nil); (err == nil) != (want == keeps) {
					t.Errorf("%s and %s: %v", c.schema, payload, err)
				}
			}
		}
	}
}

func split(t *testing.T, list string) (out [][]byte) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(list))
	for d.More() {
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", list, err)
		}
		out = append(out, v)
	}
	return out
}

// invent makes schemas and payloads of few names and values, so that they meet.
type invent struct{ *rand.Rand }

func (r invent) pick(all ...string) string { return all[r.IntN(len(all))] }

func (r invent) value(depth int) string {
	switch n := r.IntN(9); {
	case n < 2 && depth > 0:
		var parts []string
		for range r.IntN(5) {
			parts = append(parts, r.pick(`"a"`, `"b"`, `"c"`, `"x_1"`, `"\u0061"`, `"é"`)+":"+r.value(depth-1))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case n < 4 && depth > 0:
		var parts []string
		for range r.IntN(5) * (1 + 2*r.IntN(2)) {
			parts = append(parts, r.value(depth-1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		return r.pick("0", "1", "1.0", "-2", "2.5", "3e0", "10", "1e-1", "12345678901234567890", `"a"`, `"b"`, `"abc"`, `"x_1"`, `"é\n"`, `""`, "true", "false", "null")
	}
}

func (r invent) list(depth int) string {
	parts := []string{}
	for range 1 + r.IntN(3) {
		parts = append(parts, r.schema(depth-1))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func (r invent) names() string { return r.pick(`["a"]`, `["a","b"]`, `["c"]`, `["x_1"]`) }

func (r invent) schema(depth int) string {
	if depth <= 0 {
		return r.pick("true", "false", "{}", `{"type":"string"}`, `{"type":"integer"}`, `{"type":["object","array"]}`, `{"minimum":1}`, `{"maxLength":1}`, `{"$ref":"#"}`, `{"$ref":"#/definitions/d"}`, `{"const":1}`)
	}
	var parts []string
	for _, k := range r.Perm(28)[:1+r.IntN(4)] {
		s := func() string { return r.schema(depth - 1) }
		parts = append(parts, [...]func() string{
			func() string {
				return `"type":` + r.pick(`"object"`, `"array"`, `"string"`, `"number"`, `["integer","null","object"]`)
			},
			func() string { return `"properties":{"a":` + s() + `,"b":` + s() + `}` },
			func() string { return `"required":` + r.names() },
			func() string { return `"additionalProperties":` + s() },
			func() string { return `"patternProperties":{"` + r.pick("^x_", "a|b", "é") + `":` + s() + `}` },
			func() string { return `"propertyNames":` + s() },
			func() string { return `"dependencies":{"a":` + r.pick(r.names(), s()) + `}` },
			func() string { return `"dependentSchemas":{"b":` + s() + `}` },
			func() string { return `"dependentRequired":{"b":` + r.names() + `}` },
			func() string { return `"unevaluatedProperties":` + s() },
			func() string { return `"minProperties":1,"maxProperties":3` },
			func() string { return `"items":` + s() },
			func() string { return `"prefixItems":` + r.list(depth) },
			func() string { return `"unevaluatedItems":` + s() },
			func() string { return `"contains":` + s() + r.pick("", `,"minContains":0`, `,"maxContains":1`) },
			func() string { return `"uniqueItems":true` },
			func() string { return `"minItems":1,"maxItems":8` },
			func() string { return `"allOf":` + r.list(depth) },
			func() string { return `"anyOf":` + r.list(depth) },
			func() string { return `"oneOf":` + r.list(depth) },
			func() string { return `"not":` + s() },
			func() string { return `"if":` + s() + `,"then":` + s() + r.pick("", `,"else":`+s()) },
			func() string { return `"enum":[` + r.value(1) + `,` + r.value(2) + `,"a",1]` },
			func() string { return `"const":` + r.value(2) },
			func() string { return `"multipleOf":` + r.pick("1", "0.5", "3") },
			func() string { return `"exclusiveMinimum":0,"maximum":5` },
			func() string { return `"minLength":1,"pattern":"` + r.pick("^a", "b$", "^[a-c]+$", `\\d`) + `"` },
			func() string { return `"$ref":"` + r.pick("#/definitions/d", "#/definitions/e", "#") + `"` },
		}[k]())
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// What the rules say of schemas that nobody would write is what the library says.
func TestPrograms_SayWhatTheLibrarySays(t *testing.T) {
	counts := map[verdict]int{}
	for seed := range uint64(250) {
		r := invent{rand.New(rand.NewPCG(seed, 1))}
		body := r.schema(3)
		text := fmt.Sprintf(`{%s,"definitions":{"d":%s,"e":%s},%s`, r.pick(d7, d9, d2), r.schema(2), r.schema(2), body[1:])
		s, err := compile(text, nil)
		if err != nil {
			continue // an enum may have a value twice
		}
		p := newProgram(s)
		for range 12 {
			payload := []byte(r.value(3))
			got, want := verdictOf(p, payload), lib(s, payload)
			counts[got]++
			if got != want {
				t.Fatalf("seed %d: %s and %s: %d, the library says %d", seed, text, payload, got, want)
			}
		}
	}
	if counts[keeps] < 200 || counts[breaks] < 200 {
		t.Errorf("%v: that proves little", counts)
	}
}

// FuzzVerdict: as the library, whatever is asked.
func FuzzVerdict(f *testing.F) {
	for _, c := range verdicts {
		for _, list := range []string{c.takes, c.refuses} {
			for p := range strings.SplitSeq(list, " ") {
				f.Add(c.schema, []byte(p))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		parsed, err := Format{}.Parse(text, nil)
		if err != nil {
			return
		}
		s := parsed.(*Schema)
		p := &run{}
		if err := p.read(payload); err != nil {
			return // what is read, and what is not, FuzzRead looks at
		}
		got := p.check(newProgram(s.compiled), false)
		if got == tooMuch || (&run{tape: p.tape}).check(p.program, true) == tooMuch {
			return
		}
		if want := lib(s.compiled, payload); got != want {
			t.Fatalf("%s and %s: %d, the library says %d", text, payload, got, want)
		}
	})
}

// FuzzRead: a payload is read if it is JSON for encoding/json, but for what the limits refuse, and every text is the same.
func FuzzRead(f *testing.F) {
	for _, s := range []string{orderEvent, `"\u00e9\ud834\udd1e\ud800x\n\/"`, "\"\xff\x80a\"", `{"a":1,"b":{"a":2},"a":[3]}`, `[1,-0.5e+2,01]`, `1 `, `{"a":}`, `"a`, "\"\x01\"", `nul`, `[[],{}]`, `1e1234`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &tape{}
		err := p.read(b)
		if _, ok := err.(errNoJSON); err != nil && !ok {
			return
		}
		if json.Valid(b) != (err == nil) {
			t.Fatalf("%q: %v", b, err)
		}
		if err != nil {
			return
		}
		want, err := js.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if got := again(p, 0); !sameJSON(got, want) {
			t.Fatalf("%q: %v, want %v", b, got, want)
		}
	})
}

// again is what a tape holds as encoding/json would have it.
func again(p *tape, at uint32) any {
	switch c := &p.cells[at]; c.kind {
	case isNull:
		return nil
	case isBool:
		return string(p.text(c)) == "true"
	case isString:
		return string(p.text(c))
	case isArray:
		out := []any{}
		for x := at + 1; x < c.next; x = p.cells[x].next {
			out = append(out, again(p, x))
		}
		return out
	case isObject:
		out := map[string]any{}
		for x := at + 1; x < c.next; x = p.cells[x].next {
			if m := &p.cells[x]; m.flags&superseded == 0 {
				out[string(p.nameOf(m))] = again(p, x)
			}
		}
		return out
	default:
		return json.Number(p.text(c))
	}
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// FuzzMatcher: as regexp.
func FuzzMatcher(f *testing.F) {
	for _, re := range []string{`^[A-Z0-9-]+$`, `a`, ``, `^$`, `$^`, `(a|b)*c`, `^(?i)k+$`, `a.c$`, `^\d{3}-\d{2}$`, `x\b`, `(?m)^a$`, `[^a]`, `\z`, `é|a`, `a{2,5}$`, `^a|b$`, `(^a)?b`, `.*$`} {
		for _, s := range []string{"", "a", "b", "abc", "SKU-1", "K", "kk\n", "123-45", "aa", "é", "\x00"} {
			f.Add(re, s)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		re, err := regexp.Compile(pattern)
		if err != nil || len(pattern) > 60 {
			return
		}
		isASCII := !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
		if got, want := patternOf(re).match([]byte(s), isASCII), re.MatchString(s); got != want {
			t.Fatalf("%q and %q: %v, want %v", pattern, s, got, want)
		}
	})
}

// FuzzDecimal: as rationals.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0", "1.50", "1e2", "100", "-99.99", "123456789012345678", "1234567890123456789", "1e-999", "0.0001e3", "5e300"} {
		for _, o := range []string{"0", "1.5", "-100", "0.01", "7", "123456789012345678e9"} {
			f.Add(s, o)
		}
	}
	f.Fuzz(func(t *testing.T, s, o string) {
		p := &tape{}
		if p.read([]byte(s)) != nil || p.cells[0].kind&isNumber == 0 || p.read([]byte(o)) != nil || p.cells[0].kind&isNumber == 0 || strings.ContainsAny(s+o, " \t\r\n") {
			return
		}
		x, y := ratOf([]byte(s)), ratOf([]byte(o))
		q := quantityOf(y)
		d := decimalOf([]byte(s))
		sign := func(n int) int { return min(max(n, -1), 1) }
		if got, want := sign(q.compare(d, []byte(s))), x.Cmp(y); got != want {
			t.Fatalf("%s and %s: %d, want %d", s, o, got, want)
		}
		if y.Sign() != 0 {
			if got, want := q.divides(d, []byte(s)), new(big.Rat).Quo(x, y).IsInt(); got != want {
				t.Fatalf("%s by %s: %v", s, o, got)
			}
		}
		if whole([]byte(s)) != x.IsInt() {
			t.Fatalf("%s: whole is %v", s, !x.IsInt())
		}
	})
}

// Schemas and payloads of strangers cost no more than the limits say, and what is over them is refused.
func TestLimits(t *testing.T) {
	doubling := `{"definitions":{"0":{"type":"string"}`
	for i := 1; i <= 60; i++ {
		doubling += fmt.Sprintf(`,"%d":{"allOf":[{"$ref":"#/definitions/%d"},{"$ref":"#/definitions/%d"}]}`, i, i-1, i-1)
	}
	doubling += `},"$ref":"#/definitions/60"}`
	same := make([]string, 3000)
	for i := range same {
		same[i] = fmt.Sprintf(`{"a":[%d,{"b":"x"}]}`, i)
	}
	for _, c := range []struct{ what, schema, payload, want string }{
		{"rules that double", doubling, `"a"`, "takes too long"},
		{"rules that double, refused", doubling, `1`, "takes too long"},
		{"a deep payload", `{"$ref":"#/definitions/a","definitions":{"a":{"items":{"$ref":"#/definitions/a"}}}}`, strings.Repeat("[", payloadDepthMax) + strings.Repeat("]", payloadDepthMax), ""},
		{"a deeper payload", `true`, strings.Repeat("[", payloadDepthMax+1) + strings.Repeat("]", payloadDepthMax+1), "deeper"},
		{"a long number", `{"minimum":1}`, strings.Repeat("9", payloadNumberMax+1), "digits"},
		{"many different items", `{"uniqueItems":true}`, "[" + strings.Join(same, ",") + "]", ""},
		{"many items, two equal", `{"uniqueItems":true}`, "[" + strings.Join(same, ",") + `,{"a":[1e0,{"\u0062":"x"}]}]`, "items at"},
		{"a pattern that others backtrack on", `{"pattern":"^(a+)+$"}`, `"` + strings.Repeat("a", 20_000) + `!"`, "pattern"},
		{"many members", `{"required":["a"],"propertyNames":{"maxLength":9}}`, `{"a":1,"` + strings.Join(strings.Fields(strings.Repeat("x ", 5000)), `":1,"`) + `":2}`, ""},
	} {
		err := must(t, c.schema).Validate([]byte(c.payload), nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.200v, want %q", c.what, err, c.want)
		}
	}
}
