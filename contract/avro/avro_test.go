package avro

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"leat/contract"
)

func must(t testing.TB, text string, refs ...contract.Named) *Schema {
	t.Helper()
	s, err := parse(text, refs, true)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func rec(fields ...string) string {
	return `{"type":"record","name":"R","fields":[` + strings.Join(fields, ",") + `]}`
}

func TestReads(t *testing.T) {
	str, withDefault := `{"name":"a","type":"string"}`, `{"name":"b","type":"string","default":"x"}`
	bare := `{"name":"b","type":"string"}`
	for _, c := range []struct{ reader, writer, want string }{
		{`"string"`, `"string"`, ""},
		{`"string"`, `"bytes"`, ""},
		{`"bytes"`, `"string"`, ""},
		{`"long"`, `"int"`, ""},
		{`"double"`, `"long"`, ""},
		{`"int"`, `"long"`, "TYPE_MISMATCH / reader type: INT not compatible with writer type: LONG"},
		{`"float"`, `"double"`, "TYPE_MISMATCH / reader type: FLOAT not compatible with writer type: DOUBLE"},
		{`"string"`, `"int"`, "TYPE_MISMATCH / reader type: STRING not compatible with writer type: INT"},
		{rec(str), rec(str, bare), ""},
		{rec(str, withDefault), rec(str), ""},
		{rec(str, bare), rec(str), "READER_FIELD_MISSING_DEFAULT_VALUE /fields/1 b"},
		{rec(str, `{"name":"c","type":"string","aliases":["b"]}`), rec(str, bare), ""},
		{rec(`{"name":"a","type":"int"}`), rec(str), "TYPE_MISMATCH /fields/0/type reader type: INT not compatible with writer type: STRING"},
		{rec(`{"name":"a","type":["null","string"]}`), rec(str), ""},
		{rec(str), rec(`{"name":"a","type":["null","string"]}`), "TYPE_MISMATCH /fields/0/type/0 reader type: STRING not compatible with writer type: NULL"},
		{rec(`{"name":"a","type":["null","int"]}`), rec(str), "MISSING_UNION_BRANCH /fields/0/type reader union lacking writer type: STRING"},
		{rec(`{"name":"a","type":["null","string"]}`), rec(`{"name":"a","type":["null","string","int"]}`), "MISSING_UNION_BRANCH /fields/0/type/2 reader union lacking writer type: INT"},
		{rec(`{"name":"a","type":["null","string","int"]}`), rec(`{"name":"a","type":["null","string"]}`), ""},
		{`{"type":"array","items":"int"}`, `{"type":"array","items":"string"}`, "TYPE_MISMATCH /items reader type: INT not compatible with writer type: STRING"},
		{`{"type":"map","values":"int"}`, `{"type":"map","values":"string"}`, "TYPE_MISMATCH /values reader type: INT not compatible with writer type: STRING"},
		{`{"type":"enum","name":"E","symbols":["A"]}`, `{"type":"enum","name":"E","symbols":["A","B","C"]}`, "MISSING_ENUM_SYMBOLS /symbols [B, C]"},
		{`{"type":"enum","name":"E","symbols":["A"],"default":"A"}`, `{"type":"enum","name":"E","symbols":["A","B"]}`, ""},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, `{"type":"enum","name":"E","symbols":["A"]}`, ""},
		{`{"type":"fixed","name":"F","size":4}`, `{"type":"fixed","name":"F","size":8}`, "FIXED_SIZE_MISMATCH /size expected: 8, found: 4"},
		{`{"type":"fixed","name":"F","size":4}`, `{"type":"fixed","name":"G","size":4}`, "NAME_MISMATCH /name expected: G"},
		{`{"type":"fixed","name":"F","aliases":["G"],"size":4}`, `{"type":"fixed","name":"G","size":4}`, ""},
		{`{"type":"record","name":"x.R","fields":[]}`, `{"type":"record","name":"y.R","fields":[]}`, ""},
		{rec(`{"name":"next","type":["null","R"]}`), rec(`{"name":"next","type":["null","R"]}`), ""},
		{rec(`{"name":"next","type":["null","R"]}`, bare), rec(`{"name":"next","type":["null","R"]}`), "MISSING_UNION_BRANCH /fields/0/type/1 reader union lacking writer type: RECORD; READER_FIELD_MISSING_DEFAULT_VALUE /fields/1 b"},
	} {
		var got []string
		for _, d := range must(t, c.reader).Reads(must(t, c.writer), "") {
			got = append(got, d.Kind+" "+d.Path+" "+d.Info)
		}
		if s := strings.Join(got, "; "); s != c.want && !strings.Contains(c.want, "; "+s) {
			t.Errorf("%s reads %s: %q, want %q", c.reader, c.writer, s, c.want)
		}
	}
}

func TestMessage(t *testing.T) {
	d := must(t, rec(`{"name":"b","type":"string"}`)).Reads(must(t, rec()), "")
	want := "{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'b' at path '/fields/0' in the new schema has no default value and is missing in the old schema', additionalInfo:'b'}"
	if len(d) != 1 || d[0].Message("new", "old") != want {
		t.Errorf("%+v", d)
	}
}

func TestParse_Refuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                              "no JSON",
		`{`:                             "no JSON",
		`"strin"`:                       "Undefined schema: strin",
		`{"name":"x"}`:                  "No type",
		`{"type":"record","name":"R"}`:  "no fields",
		`{"type":"record","fields":[]}`: "No name",
		`{"type":"enum","name":"E"}`:    "no symbols",
		`{"type":"fixed","name":"F"}`:   "size",
		`{"type":"array"}`:              "No items type",
		`{"type":"map"}`:                "No values type",
		`["int",["null"]]`:              "Nested union",
		`["int","int"]`:                 "Duplicate in union: int",
		rec(`{"name":"a","type":"int"},{"name":"a","type":"int"}`):         "Duplicate field a",
		rec(`{"name":"a-b","type":"int"}`):                                 "Illegal character in: a-b",
		rec(`{"name":"a","type":"int","default":"x"}`):                     "Invalid default for field a",
		rec(`{"name":"a","type":["null","int"],"default":"x"}`):            "Invalid default for field a",
		rec(`{"name":"a","type":"R","default":{}}`):                        "Invalid default",
		rec(`{"name":"a","type":{"type":"enum","name":"R","symbols":[]}}`): "Can't redefine: R",
		`{"type":"enum","name":"E","symbols":["A","A"]}`:                   "Duplicate enum symbol: A",
		`{"type":"enum","name":"E","symbols":["A"],"default":"B"}`:         "Default: B",
		`{"type":"record","name":"int","fields":[]}`:                       "primitives",
		strings.Repeat("[", 10_000):                                        "no JSON",
		strings.Repeat(" ", contract.TextBytesMax+1):                       "too large",
	} {
		_, err := Format{}.Parse(text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

func TestParseOld(t *testing.T) {
	bad := rec(`{"name":"a","type":["null","int"],"default":"null"}`)
	if _, err := (Format{}).Parse(bad, nil); err == nil {
		t.Error("a default that does not fit is taken")
	}
	if s, err := (Format{}).ParseOld(bad, nil); err != nil || s.Validate([]byte{2, 2}, nil) != nil {
		t.Error(err)
	}
}

func TestText(t *testing.T) {
	ref := contract.Named{Name: "a.Ref", Text: `{"type":"record","name":"Ref","namespace":"a","fields":[]}`}
	for _, c := range []struct{ in, canonical, normalized string }{
		{` "string" `, `"string"`, `"string"`},
		{`{"type":"string"}`, `"string"`, `"string"`},
		{`{"type":"int","name":"n","doc":"d"}`, `"int"`, `"int"`},
		{`{"type":"string","z":1,"a":2}`, `{"type":"string","z":1,"a":2}`, `{"type":"string","a":2,"z":1}`},
		{
			`{"namespace":"a", "name":"R","type":"record","doc":"d","fields":[{"type":"a.Ref","name":"r"},{"name":"n","type":["null","a.R"],"default":null, "order":"ascending","y":1}]}`,
			`{"type":"record","name":"R","namespace":"a","doc":"d","fields":[{"name":"r","type":"Ref"},{"name":"n","type":["null","R"],"default":null,"y":1}]}`,
			`{"name":"a.R","type":"record","fields":[{"name":"r","type":"a.Ref","order":"ascending"},{"name":"n","type":["null","a.R"],"order":"ascending","default":null,"y":1}],"doc":"d"}`,
		},
		{`{"type":"bytes","scale":2,"precision":9,"logicalType":"decimal"}`, `{"type":"bytes","scale":2,"precision":9,"logicalType":"decimal"}`, `{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`},
		{`{"type":"enum","name":"x.E","aliases":["F"],"symbols":["A"],"default":"A"}`, `{"type":"enum","name":"E","namespace":"x","symbols":["A"],"default":"A","aliases":["F"]}`, `{"name":"x.E","type":"enum","symbols":["A"],"aliases":["x.F"],"default":"A"}`},
	} {
		s := must(t, c.in, ref)
		if s.Canonical() != c.canonical || s.Normalized() != c.normalized {
			t.Errorf("%s:\n%s\n%s\nwant\n%s\n%s", c.in, s.Canonical(), s.Normalized(), c.canonical, c.normalized)
		}
		if again := must(t, s.Canonical(), ref); again.Canonical() != s.Canonical() || again.Normalized() != s.Normalized() {
			t.Errorf("%s is not stable", c.in)
		}
	}
}

func TestValidate(t *testing.T) {
	s := must(t, rec(`{"name":"id","type":"long"}`, `{"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"sku","type":"string"},{"name":"n","type":["null","int"]}]}}}`,
		`{"name":"m","type":{"type":"map","values":"boolean"}}`, `{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}}`))
	good := "\x02" + "\x02\x04ab\x02\x08" + "\x00" + "\x02\x02k\x01\x00" + "\x02"
	for _, c := range []struct{ payload, want string }{
		{good, ""},
		{good + "x", "1 bytes follow the value"},
		{"", "field id: the payload ends before it"},
		{"\x02\x02\x04a", "field lines[0].sku: 2 bytes are needed, 1 are left"},
		{"\x02\x02\x04\xff\xfe\x00\x00", "field lines[0].sku: the string is not UTF-8"},
		{"\x02\x02\x04ab\x04", "field lines[0].n: the union has 2 branches; there is none with index 2"},
		{"\x02\x00\x02\x02k\x07\x00", "field m[k]: a boolean is 0 or 1, not 7"},
		{"\x02\x00\x00\x04", "field e: the enum E has 2 symbols; there is none with index 2"},
		{"\x02\xfe\xff\xff\xff\x0f", "field lines: a block claims 2147483647 items; 0 bytes are left"},
	} {
		err := s.Validate([]byte(c.payload), nil)
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || err != nil && got != c.want {
			t.Errorf("%x: %v, want %q", c.payload, err, c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _ = s.Validate([]byte(good), nil) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// Records of records of nothing would take for ever to walk.
func TestValidate_NothingIsBounded(t *testing.T) {
	text := `{"type":"record","name":"R0","fields":[]}`
	for i := 1; i < 60; i++ {
		text = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},{"name":"b","type":"R%d"}]}`, i, text, i-1)
	}
	var v *contract.Violation
	if err := must(t, text).Validate(nil, nil); !errors.As(err, &v) {
		t.Error(err)
	}
	nulls := must(t, `{"type":"array","items":"null"}`)
	if err := nulls.Validate([]byte("\xfe\xff\xff\xff\xff\xff\x0f"), nil); !errors.As(err, &v) {
		t.Error(err)
	}
	// Unions of unions of records: compared within bounds.
	wide := `"null"`
	for i := range 40 {
		wide = fmt.Sprintf(`["null",{"type":"record","name":"A%d","fields":[{"name":"x","type":%s}]},{"type":"record","name":"B%d","fields":[{"name":"x","type":%s}]}]`, i, wide, i, `"int"`)
	}
	_ = must(t, wide).Reads(must(t, wide), "")
}

func FuzzParse(f *testing.F) {
	f.Add(rec(`{"name":"a","type":["null","R"],"default":null}`), []byte{2, 0})
	f.Add(`{"type":"map","values":{"type":"fixed","name":"F","size":2}}`, []byte{2, 2, 'k', 1, 2, 0})
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		s, err := parse(text, nil, true)
		if err != nil {
			return
		}
		_ = s.Validate(payload, nil)
		_ = s.Reads(s, "")
		_ = s.Fields()
		again, err := parse(s.Canonical(), nil, true)
		if err != nil {
			t.Fatalf("%s is written as %s, which is refused: %v", text, s.Canonical(), err)
		}
		if again.Canonical() != s.Canonical() {
			t.Fatalf("%s, again %s", s.Canonical(), again.Canonical())
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	s := must(b, rec(`{"name":"id","type":"string"}`, `{"name":"customer","type":"string"}`, `{"name":"total","type":"double"}`, `{"name":"at","type":"long"}`,
		`{"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"sku","type":"string"},{"name":"n","type":"int"},{"name":"note","type":["null","string"]}]}}}`))
	str := func(s string) string { return string(rune(2*len(s))) + s }
	p := str("0198b6a2-66e1-7c1e-9d1c-0242ac120002") + str("customer-00001234") + "12345678" + "\x80\x80\x80\x80\x10" + "\x08"
	for range 4 {
		p += str("SKU-0000000000000000000000000001234") + "\x02" + "\x02" + str("a note to the packer of it")
	}
	p += "\x00"
	if err := s.Validate([]byte(p), nil); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Validate([]byte(p), nil)
	}
}
