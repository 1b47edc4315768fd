package contract_test

import (
	"fmt"
	"strings"
	"testing"

	"leat/contract"
	"leat/contract/avro"
	"leat/contract/jsonschema"
	"leat/contract/protobuf"
)

func TestBreaksReads(t *testing.T) {
	formats := map[string]contract.Format{"avro": avro.Format{}, "json": jsonschema.Format{}, "proto": protobuf.Format{}}
	const (
		recordOf = `{"type":"record","name":"R","fields":[%s]}`
		object   = `{"type":"object","required":["id","price"],"properties":{"id":{"type":"string"},"price":{"type":"object","required":["amount"],"properties":{"amount":{"type":"number"},"cur":{"type":"string"}}},"lines":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string"}}}}%s}}`
	)
	for _, c := range []struct{ name, format, old, new, reads, want string }{
		{"nothing changed", "json", fmt.Sprintf(object, ""), fmt.Sprintf(object, ""), "*", ""},
		{"added", "json", fmt.Sprintf(object, ""), fmt.Sprintf(object, `,"new":{"type":"string"}`), "*", ""},
		{"gone", "json", fmt.Sprintf(object, ""), strings.Replace(fmt.Sprintf(object, ""), `"cur":{"type":"string"}`, "", 1), "x", "x: neither the schema nor the one before has it"},
		{"what nobody reads", "avro", fmt.Sprintf(recordOf, `{"name":"a","type":"int"},{"name":"b","type":"int"}`), fmt.Sprintf(recordOf, `{"name":"a","type":"int"}`), "a", ""},
		{"renamed", "avro", fmt.Sprintf(recordOf, `{"name":"a","type":"int"},{"name":"b","type":"int"}`), fmt.Sprintf(recordOf, `{"name":"a","type":"int"},{"name":"c","type":"int","aliases":["b"]}`), "b", "b: it is gone; it may be called c now"},
		{"another type", "avro", fmt.Sprintf(recordOf, `{"name":"a","type":"int"}`), fmt.Sprintf(recordOf, `{"name":"a","type":"long"}`), "a", "a: it was int and is long"},
		{"may be null", "avro", fmt.Sprintf(recordOf, `{"name":"a","type":"int"}`), fmt.Sprintf(recordOf, `{"name":"a","type":["null","int"]}`), "a", "a: it may be null or missing now"},
		{"more values", "avro", fmt.Sprintf(recordOf, `{"name":"a","type":{"type":"enum","name":"E","symbols":["A"]}}`), fmt.Sprintf(recordOf, `{"name":"a","type":{"type":"enum","name":"E","symbols":["A","B"]}}`), "a",
			"a: it has values that a reader does not know: B"},
		{"below what is read", "json", fmt.Sprintf(object, ""), strings.Replace(fmt.Sprintf(object, ""), `"required":["amount"],`, "", 1), "price", "price.amount: it was always there and may be missing now"},
		{"marks of arrays do not matter", "json", fmt.Sprintf(object, ""), strings.Replace(fmt.Sprintf(object, ""), `{"sku":{"type":"string"}}`, `{"sku":{"type":"integer"}}`, 1), "lines.sku", "lines[].sku: it was string and is integer"},
		{"gone with its parent", "json", fmt.Sprintf(object, ""), `{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}`, "price.cur", "price.cur: it is gone, with price"},
		{"a hint", "json", fmt.Sprintf(object, ""), fmt.Sprintf(object, ""), "order.AMOUNT", "order.AMOUNT: neither the schema nor the one before has it (there is price.amount)"},
		{"protobuf", "proto", `syntax = "proto3"; message M { string a = 1; int32 b = 2; }`, `syntax = "proto3"; message M { string a = 1; optional int32 b = 2; }`, "a,b", "b: it may be null or missing now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parse := func(text string) contract.Schema {
				s, err := formats[c.format].Parse(text, nil)
				if err != nil {
					t.Fatal(err, text)
				}
				return s
			}
			if c.name == "gone" {
				c.new = strings.Replace(c.new, ",}", "}", 1)
			}
			var got []string
			for _, b := range contract.BreaksReads(parse(c.old), parse(c.new), strings.Split(c.reads, ",")) {
				line := b.Field + ": " + b.Why
				if b.Hint != "" {
					line += " (" + b.Hint + ")"
				}
				got = append(got, line)
			}
			if s := strings.Join(got, "\n"); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}

func TestFields_TagsAndEnums(t *testing.T) {
	proto := `syntax = "proto3"; import "confluent/meta.proto"; message M { string mail = 1 [(confluent.field_meta) = { doc: "of the buyer", tags: ["PII", "GDPR"] }]; E e = 2; optional string o = 3; enum E { E_UNSPECIFIED = 0; A = 1; } }`
	s, err := protobuf.Format{}.Parse(proto, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, form := range []string{proto, s.Canonical(), s.Normalized(), s.(*protobuf.Schema).Serialized()} {
		again, err := protobuf.Format{}.Parse(form, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if got := fmt.Sprint(again.Fields()); got != "[{mail string false false [] false of the buyer [PII GDPR]} {e enum false false [E_UNSPECIFIED A] true  []} {o string false true [] false  []}]" {
			t.Errorf("%d: %s", i, got)
		}
	}
	if n := s.(contract.Titled).Name(); n != "M" {
		t.Error(n)
	}
	for name, f := range map[string]struct {
		format contract.Format
		text   string
	}{
		"avro": {avro.Format{}, `{"type":"record","name":"M","fields":[{"name":"mail","type":["null","string"],"default":null,"confluent:tags":["PII"]}]}`},
		"json": {jsonschema.Format{}, `{"type":"object","title":"M","properties":{"mail":{"type":["null","string"],"confluent:tags":["PII"]}}}`},
	} {
		s, err := f.format.Parse(f.text, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{s.Canonical(), s.Normalized()} {
			again, err := f.format.Parse(form, nil)
			if err != nil {
				t.Fatal(name, err)
			}
			if x := again.Fields()[0]; x.Path != "mail" || !x.Nullable || fmt.Sprint(x.Tags) != "[PII]" || again.(contract.Titled).Name() != "M" {
				t.Errorf("%s: %+v", name, x)
			}
		}
	}
}
