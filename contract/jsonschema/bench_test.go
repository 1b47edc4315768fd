package jsonschema

import "testing"

const orderSchema = `{"$schema":"http://json-schema.org/draft-07/schema#","title":"Order","type":"object","additionalProperties":false,
"required":["id","customer","total","currency","lines"],
"properties":{"id":{"type":"string","minLength":1,"maxLength":64},"customer":{"type":"string"},"total":{"type":"number","minimum":0},
"currency":{"enum":["EUR","USD","GBP"]},"at":{"type":"string","format":"date-time"},"note":{"type":["string","null"]},
"lines":{"type":"array","minItems":1,"items":{"type":"object","required":["sku","n"],"properties":{"sku":{"type":"string","pattern":"^[A-Z0-9-]+$"},"n":{"type":"integer","minimum":1},"price":{"type":"number"}}}}}}`

const orderEvent = `{"id":"0198b6a2-66e1-7c1e-9d1c-0242ac120002","customer":"customer-00001234","total":129.95,"currency":"EUR","at":"2026-11-21T12:00:00Z","note":null,"lines":[{"sku":"SKU-1001-AB","n":2,"price":19.99},{"sku":"SKU-2002-CD","n":1,"price":49.99},{"sku":"SKU-3003-EF","n":3,"price":13.33}]}`

// everySchema has every keyword that is checked, in a use that events have.
const everySchema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://leat.example/order","$dynamicAnchor":"node","type":"object",
"required":["id","total","currency","lines"],"minProperties":3,"maxProperties":40,
"propertyNames":{"pattern":"^[a-z][a-zA-Z_]*$","maxLength":40},
"allOf":[{"$ref":"#/$defs/money"},{"not":{"required":["legacy"]}}],
"if":{"properties":{"currency":{"const":"EUR"}}},"then":{"properties":{"total":{"maximum":100000,"multipleOf":0.01}}},"else":{"required":["rate"]},
"dependentRequired":{"note":["at"]},"dependentSchemas":{"at":{"properties":{"at":{"type":"string","format":"date-time"}}}},
"patternProperties":{"^x_":{"type":"string"}},
"properties":{"id":{"type":"string","minLength":1,"maxLength":64},"customer":{"anyOf":[{"type":"string","pattern":"^customer-"},{"type":"object","properties":{"id":{"type":"integer"}}},{"type":"string","maxLength":3}]},
"note":{"oneOf":[{"type":"null"},{"type":"string","minLength":3},{"type":"string","maxLength":2}]},
"lines":{"type":"array","minItems":1,"maxItems":100,"uniqueItems":true,"contains":{"properties":{"n":{"exclusiveMinimum":2}},"required":["n"]},"minContains":1,"maxContains":9,
 "items":{"$ref":"#/$defs/line"}},"parent":{"$dynamicRef":"#node"}},
"unevaluatedProperties":false,
"$defs":{"money":{"properties":{"total":{"type":"number","exclusiveMinimum":0},"currency":{"enum":["EUR","USD","GBP"]}}},
"line":{"type":"object","required":["sku","n"],"properties":{"sku":{"type":"string","pattern":"^[A-Z0-9-]+$"},"n":{"type":"integer","minimum":1},"price":{"type":"number"}},"unevaluatedProperties":false}}}`

func benchmarkValidate(b *testing.B, text, event string) {
	s := must(b, text)
	p := []byte(event)
	if err := s.Validate(p, nil); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate(p, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) { benchmarkValidate(b, orderSchema, orderEvent) }

func BenchmarkValidate_EveryKeyword(b *testing.B) { benchmarkValidate(b, everySchema, orderEvent) }

// What is refused is looked at again by the library, to say why.
func BenchmarkValidate_Refused(b *testing.B) {
	s := must(b, everySchema)
	p := []byte(`{"id":"1","total":-1,"currency":"EUR","lines":[{"sku":"A","n":3}]}`)
	for b.Loop() {
		if s.Validate(p, nil) == nil {
			b.Fatal("it is taken")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := (Format{}).Parse(orderSchema, nil); err != nil {
			b.Fatal(err)
		}
	}
}
