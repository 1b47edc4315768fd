package schemaregistry

import (
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

func TestQuarantine(t *testing.T) {
	b := newBroker(t, false)
	a := serve(t, New(b, Default()))
	a.want(200, `{"records":[]}`, "GET", "quarantine", "")
	a.want(404, `does not wait`, "GET", "quarantine/0", "")
	a.want(200, `{"id":1}`, "POST", "subjects/s/versions", `{"schemaType":"JSON","schema":"{\"type\":\"object\",\"required\":[\"a\"]}"}`)
	a.want(200, `{"name":"c","enforce":"quarantine"}`, "PUT", "contracts/c", `{"stream":"x","subject":"s","enforce":"quarantine"}`)
	put := func(value string) {
		t.Helper()
		rs, err := b.AppendEvents(t.Context(), &broker.Caller{Protocol: "test"}, broker.EventsAppend{AutoCreate: true, Events: []broker.EventEntry{{
			Stream: "x", Partition: record.NoPartition, Record: record.Record{Key: []byte("k"), Value: []byte(value), Headers: []record.Header{{Key: "h", Value: []byte("v")}}},
		}}})
		if err != nil || (rs[0].Quarantined == nil) != (value == `{"a":1}`) {
			t.Fatal(rs, err)
		}
	}
	put(`{"a":1}`)
	put(`{"b":1}`)
	put("\xff")
	put(`{"b":2}`)
	a.want(200, `{"checked":4,"broken":3,"quarantined":3}`, "GET", "contracts/c", "")
	a.want(200, `{"ref":"leat.quarantine/0/0","contract":"c","subject":"s","version":1,"field":"a","stream":"x","protocol":"test","key":{"text":"k"},"value":{"text":"{\"b\":1}"},"headers":[{"name":"h","value":{"text":"v"}}]}`, "GET", "quarantine/0", "")
	a.want(200, `{"value":{"base64":"/w=="}}`, "GET", "quarantine/1", "")
	a.want(200, `"next":1}`, "GET", "quarantine?limit=1", "")
	a.want(200, `{"records":[]}`, "GET", "quarantine?contract=other", "")
	a.want(400, `limit is a number`, "GET", "quarantine?limit=x", "")
	a.want(200, `"outcome":"refused","reason":"the contract c of x is broken`, "POST", "quarantine/replay", `{"refs":["leat.quarantine/0/0"]}`)
	a.want(200, `{"outcomes":[{"ref":"leat.quarantine/0/0","outcome":"done","to":"x/0/1"}]}`, "POST", "quarantine/replay", `{"refs":["leat.quarantine/0/0"],"value":{"text":"{\"a\":2}"}}`)
	a.want(200, `"outcome":"already"`, "POST", "quarantine/replay", `{"refs":["leat.quarantine/0/0"]}`)
	a.want(200, `{"outcomes":[{"ref":"leat.quarantine/0/1","outcome":"done"},{"ref":"leat.quarantine/0/0","outcome":"already"}]}`, "POST", "quarantine/drop", `{"refs":["leat.quarantine/0/1","leat.quarantine/0/0"]}`)
	a.want(422, `is no ref of leat.quarantine`, "POST", "quarantine/drop", `{"refs":["x/0/0"]}`)
	a.want(422, `refs has from 1`, "POST", "quarantine/drop", `{}`)
	a.want(422, `refs has one ref`, "POST", "quarantine/replay", `{"refs":["leat.quarantine/0/1","leat.quarantine/0/2"],"value":{"text":"x"}}`)
	a.want(200, `\"b\":2}`, "GET", "quarantine", "")
	d, err := b.ReadRef(t.Context(), &broker.Caller{}, record.Ref{Stream: "x", Offset: 1})
	if err != nil || string(d.Record.Value) != `{"a":2}` || len(d.Record.Headers) != 1 || string(d.Record.Key) != "k" {
		t.Fatal(d, err)
	}
	if _, err := b.QuarantineRead(t.Context(), &broker.Caller{}, record.Ref{Stream: "x"}); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
}
