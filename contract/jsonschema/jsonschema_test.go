package jsonschema

import (
	"errors"
	"strings"
	"testing"

	"leat/contract"
)

func must(t testing.TB, text string, refs ...contract.Named) *Schema {
	t.Helper()
	s, err := Format{}.Parse(text, refs)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.(*Schema)
}

const closed = `"additionalProperties":false`

// What is said here was compared with what Confluent's registry says.
func TestReads(t *testing.T) {
	obj := func(rest string) string { return `{"type":"object",` + rest + `}` }
	a, ab := `"properties":{"a":{"type":"string"}}`, `"properties":{"a":{"type":"string"},"b":{"type":"string"}}`
	for _, c := range []struct{ old, new, want, lenient string }{
		{`{"type":"string"}`, `{}`, "", ""},
		{`{}`, `{"type":"string"}`, "TYPE_CHANGED #/", "="},
		{`{"type":"string"}`, `{"type":"integer"}`, "TYPE_CHANGED #/", "="},
		{`{"type":"integer"}`, `{"type":"number"}`, "", ""},
		{`{"type":"number"}`, `{"type":"integer"}`, "TYPE_NARROWED #/", "="},
		{`{"type":"string"}`, `{"type":["string","null"]}`, "", ""},
		{`{"type":["string","null"]}`, `{"type":"string"}`, "TYPE_CHANGED #/", "="},
		{`{"type":"string","maxLength":5}`, `{"type":"string","maxLength":6}`, "", ""},
		{`{"type":"string","maxLength":5}`, `{"type":"string","maxLength":4}`, "MAX_LENGTH_DECREASED #/maxLength", "="},
		{`{"type":"string"}`, `{"type":"string","minLength":1}`, "MIN_LENGTH_ADDED #/minLength", "="},
		{`{"type":"string","pattern":"a"}`, `{"type":"string","pattern":"b"}`, "PATTERN_CHANGED #/pattern", "="},
		{`{"type":"number","multipleOf":0.5}`, `{"type":"number","multipleOf":10}`, "MULTIPLE_OF_EXPANDED #/multipleOf", "="},
		{`{"type":"number","multipleOf":0.5}`, `{"type":"number","multipleOf":0.50}`, "", ""},
		{`{"type":"number","multipleOf":10}`, `{"type":"number","multipleOf":5}`, "", ""},
		{`{"type":"number","exclusiveMaximum":5}`, `{"type":"number","exclusiveMaximum":4}`, "EXCLUSIVE_MAXIMUM_DECREASED #/exclusiveMaximum", "="},
		{`{"enum":["a"]}`, `{"enum":["a","b"]}`, "", ""},
		{`{"enum":["a","b"]}`, `{"enum":["a"]}`, "ENUM_ARRAY_NARROWED #/enum", "="},
		{`{"enum":["a"]}`, `{"enum":["b"]}`, "ENUM_ARRAY_CHANGED #/enum", "="},
		{obj(a), obj(ab), "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/b", ""},
		{obj(a), obj(ab + `,"required":["b"]`), "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/b", "="},
		{obj(a + "," + closed), obj(ab + "," + closed), "", ""},
		{obj(a + "," + closed), obj(ab + `,"required":["b"],` + closed), "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/b", "="},
		{obj(ab), obj(a), "", ""},
		{obj(ab + "," + closed), obj(a + "," + closed), "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL #/properties/b", ""},
		{obj(a), obj(a + `,"required":["a"]`), "REQUIRED_ATTRIBUTE_ADDED #/required/a", "="},
		{obj(a), obj(a + "," + closed), "ADDITIONAL_PROPERTIES_REMOVED #/additionalProperties", ""},
		{obj(a + `,"additionalProperties":{"type":"string"}`), obj(ab + `,"additionalProperties":{"type":"string"}`), "", ""},
		{obj(a + `,"additionalProperties":{"type":"integer"}`), obj(ab + `,"additionalProperties":{"type":"integer"}`), "TYPE_CHANGED #/; PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/properties/b", "TYPE_CHANGED #/"},
		{obj(`"dependencies":{"a":["b"]}`), obj(`"dependencies":{"a":["b","c"]}`), "DEPENDENCY_ARRAY_EXTENDED #/dependencies/a", "="},
		{`{"type":"array","items":{"type":"string"}}`, `{"type":"array","items":{"type":"integer"}}`, "TYPE_CHANGED #/items", "="},
		{`{"type":"array"}`, `{"type":"array","items":{"type":"integer"}}`, "SCHEMA_ADDED #/items", "="},
		{`{"type":"array"}`, `{"type":"array","uniqueItems":true}`, "UNIQUE_ITEMS_ADDED #/uniqueItems", "="},
		{`{"type":"array","items":[{"type":"string"}]}`, `{"type":"array","items":[{"type":"string"},{"type":"string"}]}`, "ITEM_ADDED_TO_OPEN_CONTENT_MODEL #/items/1", "="},
		{`{"oneOf":[{"type":"string"},{"type":"integer"}]}`, `{"oneOf":[{"type":"string"}]}`, "SUM_TYPE_NARROWED #/", "="},
		{`{"oneOf":[{"type":"string"}]}`, `{"oneOf":[{"type":"integer"},{"type":"string"}]}`, "", ""},
		{`{"allOf":[{"type":"string"}]}`, `{"allOf":[{"type":"string"},{"maxLength":3}]}`, "PRODUCT_TYPE_EXTENDED #/", "="},
		{`{"allOf":[{"type":"string"},{"type":"integer"}]}`, `{"oneOf":[{"type":"string"},{"type":"integer"}]}`, "COMBINED_TYPE_CHANGED #/", "="},
		{`{"oneOf":[{"type":"string"},{"type":"integer"}]}`, `{"oneOf":[{"type":"string"},{"type":"boolean"}]}`, "COMBINED_TYPE_SUBSCHEMAS_CHANGED #/", "="},
		{`{"not":{"type":"string"}}`, `{"not":{"type":"integer"}}`, "NOT_TYPE_EXTENDED #/not", "="},
		{`{"definitions":{"n":{"type":"object","properties":{"next":{"$ref":"#/definitions/n"}}}},"$ref":"#/definitions/n"}`,
			`{"definitions":{"n":{"type":"object","properties":{"next":{"$ref":"#/definitions/n"}}}},"$ref":"#/definitions/n"}`, "", ""},
		{`{"definitions":{"n":{"type":"object","properties":{"next":{"$ref":"#/definitions/n"},"v":{"type":"string"}}}},"$ref":"#/definitions/n"}`,
			`{"definitions":{"n":{"type":"object","properties":{"next":{"$ref":"#/definitions/n"},"v":{"type":"integer"}}}},"$ref":"#/definitions/n"}`,
			"TYPE_CHANGED #/properties/next/properties/v; TYPE_CHANGED #/properties/v", "="},
	} {
		for _, p := range []contract.Policy{contract.Strict, contract.Lenient} {
			var got []string
			for _, d := range must(t, c.new).Reads(must(t, c.old), p) {
				got = append(got, d.Kind+" "+d.Path)
				if d.Message("new", "old") == "" || strings.Contains(d.Told("new", "old"), "$") || d.Hint == "" {
					t.Errorf("%s says nothing: %+v", d.Kind, d)
				}
			}
			want := c.want
			if p == contract.Lenient && c.lenient != "=" {
				want = c.lenient
			}
			if s := strings.Join(got, "; "); s != want {
				t.Errorf("%s to %s (%s): %q, want %q", c.old, c.new, p, s, want)
			}
		}
	}
}

func TestParse_Refuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                              "empty",
		`{`:                             "no JSON",
		`[]`:                            "an object, true or false",
		`{"minimum":1e-9999}`:           "exponent",
		`{"type":"strin"}`:              "not valid",
		`{"type":1}`:                    "not valid",
		`{"minLength":-1}`:              "not valid",
		`{"$ref":"#/nowhere"}`:          "nowhere",
		`{"$ref":"http://a/b"}`:         "nothing is fetched",
		`{"$ref":"file:///etc/passwd"}`: "nothing is fetched",
		`{"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}},"$ref":"#/definitions/a"}`: "ring",
		strings.Repeat(`{"not":`, 5000): "no JSON",
	} {
		_, err := Format{}.Parse(text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	s := must(t, orderSchema)
	good := orderEvent
	for _, c := range []struct{ from, to, want string }{
		{"", "", ""},
		{`"total":129.95`, `"total":-1`, "field total: minimum: got -1, want 0"},
		{`"total":129.95`, `"total":"much"`, "field total: got string, want number"},
		{`"id":"0198b6a2-66e1-7c1e-9d1c-0242ac120002",`, ``, "field id: it is required and missing"},
		{`"sku":"SKU-2002-CD"`, `"sku":"sku"`, "field lines[1].sku: 'sku' does not match pattern '^[A-Z0-9-]+$'"},
		{`"n":3,`, ``, "field lines[2].n: it is required and missing"},
		{`"note":null`, `"nota":null`, "field nota: the schema has no such property and allows no others"},
		{`"currency":"EUR"`, `"currency":"DEM"`, "field currency: value must be one of 'EUR', 'USD', 'GBP'"},
		{`}`, ``, "no JSON"},
		{`"total":129.95`, `"total":1e999999999`, "an exponent of more than 3 digits"},
		{`"total":129.95`, `"total":1.2995e2`, ""},
		{`"2026-11-21T12:00:00Z"`, `"2026-02-30T12:00:00Z"`, "field at: "},
		{`"2026-11-21T12:00:00Z"`, `"2024-02-29T12:00:00+01:00"`, ""},
	} {
		err := s.Validate([]byte(strings.ReplaceAll(good, c.from, c.to)), nil)
		if c.from == "" {
			err = s.Validate([]byte(good), nil)
		}
		var v *contract.Violation
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &v) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s to %s: %v, want %q", c.from, c.to, err, c.want)
		}
	}
}

func TestReferences(t *testing.T) {
	ref := contract.Named{Name: "money.json", Text: `{"type":"object","required":["amount"],"properties":{"amount":{"type":"number"}}}`}
	for _, at := range []string{"money.json"} {
		s := must(t, `{"type":"object","properties":{"price":{"$ref":"`+at+`"}}}`, ref)
		if err := s.Validate([]byte(`{"price":{"amount":1}}`), nil); err != nil {
			t.Error(err)
		}
		if err := s.Validate([]byte(`{"price":{}}`), nil); err == nil || !strings.Contains(err.Error(), "price.amount") {
			t.Error(err)
		}
		if f := s.Fields(); len(f) != 2 || f[1].Path != "price.amount" || !f[1].Required || f[1].Type != "number" {
			t.Errorf("%+v", f)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(orderSchema, []byte(orderEvent))
	f.Add(`{"$ref":"#/$defs/a","$defs":{"a":{"items":{"$ref":"#"}}}}`, []byte(`[[]]`))
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		s, err := Format{}.Parse(text, nil)
		if err != nil {
			return
		}
		_ = s.Validate(payload, nil)
		_ = s.Fields()
		if d := s.Reads(s, ""); len(d) > 0 {
			t.Fatalf("%s does not read itself: %+v", text, d)
		}
		if again := must(t, s.Canonical()); again.Canonical() != s.Canonical() {
			t.Fatalf("%s, again %s", s.Canonical(), again.Canonical())
		}
	})
}
