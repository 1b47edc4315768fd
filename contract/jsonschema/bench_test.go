package jsonschema

import "testing"

const orderSchema = `{"$schema":"http://json-schema.org/draft-07/schema#","title":"Order","type":"object","additionalProperties":false,
"required":["id","customer","total","currency","lines"],
"properties":{"id":{"type":"string","minLength":1,"maxLength":64},"customer":{"type":"string"},"total":{"type":"number","minimum":0},
"currency":{"enum":["EUR","USD","GBP"]},"at":{"type":"string","format":"date-time"},"note":{"type":["string","null"]},
"lines":{"type":"array","minItems":1,"items":{"type":"object","required":["sku","n"],"properties":{"sku":{"type":"string","pattern":"^[A-Z0-9-]+$"},"n":{"type":"integer","minimum":1},"price":{"type":"number"}}}}}}`

const orderEvent = `{"id":"0198b6a2-66e1-7c1e-9d1c-0242ac120002","customer":"customer-00001234","total":129.95,"currency":"EUR","at":"2026-11-21T12:00:00Z","note":null,"lines":[{"sku":"SKU-1001-AB","n":2,"price":19.99},{"sku":"SKU-2002-CD","n":1,"price":49.99},{"sku":"SKU-3003-EF","n":3,"price":13.33}]}`

func BenchmarkValidate(b *testing.B) {
	s, err := Format{}.Parse(orderSchema, nil)
	if err != nil {
		b.Fatal(err)
	}
	p := []byte(orderEvent)
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
