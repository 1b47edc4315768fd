package lint

import (
	"fmt"
	"strings"
	"testing"

	"leat/contract"
	"leat/contract/avro"
	"leat/contract/jsonschema"
	"leat/contract/protobuf"
)

var formats = map[string]contract.Format{"AVRO": avro.Format{}, "JSON": jsonschema.Format{}, "PROTOBUF": protobuf.Format{}}

func check(t *testing.T, format, text string, edit func(*Input)) Report {
	t.Helper()
	s, err := formats[format].Parse(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Schema: s, Format: format}
	if edit != nil {
		edit(&in)
	}
	return Check(in)
}

func told(r *Report) string {
	var out []string
	for _, f := range r.Findings {
		if f.Why == "" || f.Do == "" {
			out = append(out, "no sentence in "+f.Rule)
		}
		out = append(out, strings.TrimSpace(f.Rule+" "+f.Path))
	}
	return strings.Join(out, "\n")
}

func TestCheck(t *testing.T) {
	const fine = "order_id, occurred_at, correlation_id, version and what was ordered"
	for _, c := range []struct{ name, format, text, want string }{
		{fine, "JSON", `{"type":"object","title":"OrderPlaced","required":["order_id","occurred_at","correlation_id","schema_version","lines"],"properties":{
			"order_id":{"type":"string"},"occurred_at":{"type":"string","format":"date-time"},"correlation_id":{"type":"string"},"schema_version":{"type":"integer"},
			"lines":{"type":"array","items":{"type":"object","required":["sku"],"properties":{"sku":{"type":"string"},"weight_kg":{"type":"number"}}}}}}`, ""},
		{fine, "AVRO", `{"type":"record","name":"OrderPlaced","fields":[{"name":"orderId","type":"string"},{"name":"occurredAt","type":{"type":"long","logicalType":"timestamp-millis"}},
			{"name":"correlationId","type":"string"},{"name":"schemaVersion","type":"int"},{"name":"lines","type":{"type":"array","items":"string"}},
			{"name":"status","type":{"type":"enum","name":"S","symbols":["UNKNOWN","PAID"],"default":"UNKNOWN"}}]}`, ""},
		{fine, "PROTOBUF", `syntax = "proto3"; message OrderPlaced { string order_id = 1; int64 occurred_at = 2; string trace_parent = 3; string correlation_id = 4; int32 version = 5; repeated string lines = 6; S s = 7; enum S { S_UNSPECIFIED = 0; PAID = 1; } }`, ""},
		{"next to nothing", "AVRO", `{"type":"record","name":"CustomerUpdated","fields":[{"name":"customerId","type":"string"}]}`,
			"time\ncorrelation\ncontext\ntype-and-version\nvague-type"},
		{"no id", "JSON", `{"type":"object","properties":{"data":{},"payload":{"type":"object"}}}`,
			"identity\ntime\ncorrelation\ntype-and-version\ntype-and-version\ngeneric-name data\ngeneric-name payload\nfree-form data\nfree-form payload"},
		{"units and money", "JSON", `{"type":"object","title":"x","required":["id","at","trace_id","v"],"properties":{"id":{"type":"string"},"at":{"type":"string"},"trace_id":{"type":"string"},"v":{"type":"integer"},
			"timeout":{"type":"integer"},"timeout_ms":{"type":"integer"},"price":{"type":"number"},"size":{"type":"integer","description":"in bytes"}}}`, "units timeout\nunits price"},
		{"money with a currency", "JSON", `{"type":"object","title":"x","required":["id","at","trace_id","v"],"properties":{"id":{"type":"string"},"at":{"type":"string"},"trace_id":{"type":"string"},"v":{"type":"integer"},
			"price":{"type":"object","properties":{"amount":{"type":"number"},"currency":{"type":"string"}}}}}`, ""},
		{"closed enums", "AVRO", `{"type":"record","name":"P","fields":[{"name":"id","type":"string"},{"name":"at","type":"long"},{"name":"traceId","type":"string"},{"name":"v","type":"int"},
			{"name":"e","type":["null",{"type":"enum","name":"E","symbols":["A","B"]}],"default":null}]}`, "enum-open e"},
		{"an enum without a zero", "PROTOBUF", `syntax = "proto3"; message P { string id = 1; int64 at = 2; string trace_id = 3; int32 v = 4; E e = 5; enum E { PAID = 0; OPEN = 1; } }`, "enum-open e"},
		{"all may be missing", "AVRO", `{"type":"record","name":"P","fields":[{"name":"id","type":["null","string"],"default":null},{"name":"at","type":["null","long"],"default":null},
			{"name":"traceId","type":["null","string"],"default":null},{"name":"v","type":["null","int"],"default":null},{"name":"what","type":["null","int"],"default":null}]}`, "nullable"},
		{"people", "JSON", `{"type":"object","title":"x","required":["id","at","trace_id","v"],"properties":{"id":{"type":"string"},"at":{"type":"string"},"trace_id":{"type":"string"},"v":{"type":"integer"},
			"customer":{"type":"object","confluent:tags":["PII"],"properties":{"email":{"type":"string"}}},"eMail":{"type":"string"},"firstName":{"type":"string"},"emailVerified":{"type":"boolean"},
			"phone":{"type":"string","confluent:tags":["not-pii"]},"contact":{"type":"string","format":"email"}}}`, "pii eMail\npii firstName\npii contact"},
		{"deep", "JSON", `{"type":"object","title":"x","required":["id","at","trace_id","v"],"properties":{"id":{"type":"string"},"at":{"type":"string"},"trace_id":{"type":"string"},"v":{"type":"integer"},
			"a":{"properties":{"b":{"properties":{"c":{"properties":{"d":{"properties":{"e":{"properties":{"f":{"type":"string"}}}}}}}}}}}}}`, "depth a.b.c.d.e.f"},
	} {
		t.Run(c.name+" "+c.format, func(t *testing.T) {
			r := check(t, c.format, c.text, nil)
			if got := told(&r); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

const poor = `{"type":"record","name":"CustomerUpdated","fields":[{"name":"customerId","type":"string"},{"name":"email","type":"string"}]}`

func TestCheck_RulesAreSwitchedOffWithAReason(t *testing.T) {
	r := check(t, "AVRO", poor, func(in *Input) {
		in.Properties = map[string]string{"leat.lint.off": "time, correlation", "leat.lint.off.pii": "test data", "leat.lint.off.units": "nothing to be found", "other": "x"}
	})
	if got := told(&r); got != "type-and-version\nvague-type" || r.Worst() != Warning {
		t.Error(got, r.Worst())
	}
	if got := fmt.Sprint(r.Off); got != "[{time no reason was given} {correlation no reason was given} {pii test data}]" {
		t.Error(got)
	}
}

func TestCheck_KnowsTheEnvelope(t *testing.T) {
	r := check(t, "AVRO", poor, func(in *Input) {
		in.Envelope, in.Has, in.Name = true, []string{"traceparent"}, "com.shop.customer.moved"
	})
	if got := told(&r); got != "pii email" || r.Worst() != Error {
		t.Error(got)
	}
}

func TestCheck_IsBounded(t *testing.T) {
	var fields []string
	for i := range 150 {
		fields = append(fields, fmt.Sprintf(`"a%d":{"properties":{"data":{"type":"string"},"email":{"type":"string"}}}`, i))
	}
	r := check(t, "JSON", `{"type":"object","properties":{`+strings.Join(fields, ",")+`}}`, nil)
	if n := len(r.Findings); n > FindingsMax || n < 2*perRuleMax || r.LeftOut < 150 {
		t.Error(n, r.LeftOut)
	}
}

// Every rule has its words, and a name of its own.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules() {
		if r.Name == "" || r.What == "" || seen[r.Name] || r.Severity == "" {
			t.Errorf("%+v", r)
		}
		seen[r.Name] = true
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{"customerID": "customer id", "customer_id": "customer id", "HTTPStatus": "http status", "com.shop.OrderPlaced": "com shop order placed", "e-mail": "e mail", "": ""} {
		if got := strings.Join(words(in), " "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
