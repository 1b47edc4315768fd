package broker_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/contract/registry"
)

// schema registers a schema and returns its id.
func (h *house) putSchema(subject, kind, text string) int {
	h.t.Helper()
	var v *registry.Version
	err := h.b.ChangeContracts(context.Background(), h.c, broker.ActionCreate, subject, func(r *registry.Registry) (c registry.Change, err error) {
		v, c, err = r.Register(subject, registry.Registration{Content: registry.Content{Type: kind, Text: text}, Force: true})
		return c, err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return v.ID
}

// bind puts a contract, or takes it away where it is bound to nothing.
func (h *house) bindContract(x registry.Binding) error {
	return h.b.ChangeContracts(context.Background(), h.c, broker.ActionAlter, x.Name, func(r *registry.Registry) (registry.Change, error) {
		if x.Stream == "" && x.Type == "" {
			return r.DeleteBinding(x.Name)
		}
		return r.PutBinding(x)
	})
}

const orderSchema = `{"type":"object","required":["id","total"],"properties":{"id":{"type":"string"},"total":{"type":"number","minimum":0}}}`

// batchOf appends values as one batch of a producer, compressed.
func (h *house) batchOf(c *broker.Caller, name string, values ...string) broker.BatchResult {
	h.t.Helper()
	var rs []record.Record
	for _, v := range values {
		rs = append(rs, record.Record{Value: []byte(v), Timestamp: 1})
	}
	p, err := record.BuildBatch(rs)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.b.SubmitBatches(context.Background(), c, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: name, Batch: p}}}).Wait(context.Background())[0]
}

func (h *house) event(c *broker.Caller, name, value string, headers ...record.Header) error {
	_, err := h.b.AppendEvents(context.Background(), c, broker.EventsAppend{AutoCreate: true, Events: []broker.EventEntry{{
		Stream: name, Partition: record.NoPartition, Record: record.Record{Value: []byte(value), Headers: headers},
	}}})
	return err
}

func TestContract_IsKeptByBatchesAndEvents(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		good, bad := `{"id":"1","total":2}`, `{"id":"1","total":-2}`
		if err := h.event(h.c, "orders", bad); err != nil {
			t.Fatal(err)
		}
		id := h.putSchema("orders-value", "JSON", orderSchema)
		if err := h.bindContract(registry.Binding{Name: "orders", Stream: "ord*", Subject: "orders-value"}); err != nil {
			t.Fatal(err)
		}
		for i, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			if r := h.batchOf(h.c, "orders", good, good); r.Err != nil {
				t.Fatal(i, r.Err)
			}
			framed := string(binary.BigEndian.AppendUint32([]byte{0}, uint32(id))) + good
			if r := h.batchOf(h.c, "orders", framed); r.Err != nil {
				t.Fatal(i, r.Err)
			}
			values := make([]string, 500)
			for i := range values {
				values[i] = good
			}
			values[321] = bad
			r := h.batchOf(h.c, "orders", values...)
			d, _ := r.Err.Detail.(*broker.ContractBreak)
			if !fault.Is(r.Err, fault.ContractBroken) || d == nil || d.Index != 321 || d.Field != "total" || d.Contract != "orders" || !strings.Contains(r.Err.Text, "record 321 of the batch") {
				t.Fatalf("%+v, %+v", r.Err, d)
			}
			err := h.event(h.c, "orders", bad)
			if !fault.Is(err, fault.ContractBroken) || !strings.Contains(err.Error(), "field total: minimum: got -2, want 0") {
				t.Fatal(err)
			}
			if err := h.event(h.c, "orders", good); err != nil {
				t.Fatal(err)
			}
			if err := h.event(h.c, "others", bad); err != nil {
				t.Fatal(err)
			}
			if r := h.batchOf(h.c, "orders", "\x00\x00\x00\x00\x63"+good); !fault.Is(r.Err, fault.ContractBroken) || !strings.Contains(r.Err.Text, "schema 99, which is no version of orders-value") {
				t.Fatal(r.Err)
			}
		}
		seen := h.b.ContractStats(h.c.Namespace, "orders")
		if seen.Checked < 300 || seen.Broken != 3 || seen.Quarantined != 0 {
			t.Errorf("%+v", seen)
		}
		// A schema that is registered counts at once, as does a contract that changes.
		h.putSchema("orders-value", "JSON", `{"type":"object","required":["name"]}`)
		if err := h.event(h.c, "orders", good); err == nil || !strings.Contains(err.Error(), "field name: it is required") {
			t.Fatal(err)
		}
		if err := h.bindContract(registry.Binding{Name: "orders", Stream: "ord*", Subject: "orders-value", Enforce: registry.Warn}); err != nil {
			t.Fatal(err)
		}
		if err := h.event(h.c, "orders", bad); err != nil {
			t.Fatal(err)
		}
		if err := h.bindContract(registry.Binding{Name: "orders", Stream: "ord*", Subject: "orders-value", Enforce: registry.Off}); err != nil {
			t.Fatal(err)
		}
		if err := h.event(h.c, "orders", `no JSON`); err != nil {
			t.Fatal(err)
		}
		if err := h.bindContract(registry.Binding{Name: "orders", Stream: "ord*", Subject: "orders-value", Framed: true}); err != nil {
			t.Fatal(err)
		}
		if err := h.event(h.c, "orders", `{"name":"x"}`); err == nil || !strings.Contains(err.Error(), "does not say which schema") {
			t.Fatal(err)
		}
		if err := h.bindContract(registry.Binding{Name: "orders"}); err != nil {
			t.Fatal(err)
		}
		if err := h.event(h.c, "orders", bad); err != nil {
			t.Fatal(err)
		}
	})
}

func TestContract_OfATypeAndByHeader(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		avro := h.putSchema("point", "AVRO", `{"type":"record","name":"P","fields":[{"name":"x","type":"long"}]}`)
		proto := h.putSchema("proto", "PROTOBUF", `syntax = "proto3"; message A { string a = 1; } message B { string b = 1; }`)
		h.putSchema("orders-value", "JSON", orderSchema)
		for _, x := range []registry.Binding{
			{Name: "typed", Type: "com.shop.order.*", Subject: "orders-value"}, {Name: "points", Stream: "points", Subject: "point", Key: "point"}, {Name: "protos", Stream: "protos", Subject: "proto"},
		} {
			if err := h.bindContract(x); err != nil {
				t.Fatal(err)
			}
		}
		guid := h.b.Contracts(h.c.Namespace).ByID(avro, "")[0].GUID()
		raw := []byte{1}
		for i := 0; i < len(guid); i++ {
			if guid[i] != '-' {
				var v byte
				_, _ = fmt.Sscanf(guid[i:i+2], "%02x", &v)
				raw = append(raw, v)
				i++
			}
		}
		frame := func(id int, s string) string { return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(id))) + s }
		kind := func(s string) record.Header { return record.Header{Key: "ce_type", Value: []byte(s)} }
		structured := record.Header{Key: "content-type", Value: []byte("application/cloudevents+json; charset=utf-8")}
		for _, c := range []struct {
			stream, value string
			headers       []record.Header
			want          string
		}{
			{"any", `{"total":1}`, []record.Header{kind("com.shop.order.placed")}, "field id: it is required"},
			{"any", `{"total":1}`, []record.Header{kind("com.shop.other")}, ""},
			{"any", `{"total":1}`, nil, ""},
			{"any", `{"specversion":"1.0","id":"1","source":"/s","type":"com.shop.order.x","data":{"id":"1"}}`, []record.Header{structured}, "field total: it is required"},
			{"any", `{"specversion":"1.0","id":"1","source":"/s","type":"com.shop.order.x","data":{"id":"1","total":1}}`, []record.Header{structured}, ""},
			{"any", "no event", []record.Header{structured, kind("com.shop.order.x")}, "no JSON"}, // it says that it is one, and what it is
			{"points", "\x04", nil, ""},
			{"points", "\x04\x04", nil, "1 bytes follow the value"},
			{"points", frame(avro, "\x04"), nil, ""},
			{"points", frame(avro, ""), nil, "field x: the payload ends before it"},
			{"points", "\x04", []record.Header{{Key: "__value_schema_id", Value: raw}}, ""},
			{"points", "", []record.Header{{Key: "__value_schema_id", Value: raw}}, "field x"},
			{"points", "\x04", []record.Header{{Key: "__value_schema_id", Value: raw[:5]}}, "names no schema"},
			{"points", "\x04", []record.Header{{Key: "__value_schema_id", Value: append([]byte{1}, make([]byte, 16)...)}}, "which is no version of point"},
			{"protos", frame(proto, "\x00\x0a\x01a"), nil, ""},
			{"protos", frame(proto, "\x02\x02\x0a\x01b"), nil, ""},
			{"protos", frame(proto, "\x02\x08\x0a\x01b"), nil, "leads to no message"},
			{"protos", frame(proto, "\x00\x08\x01"), nil, "field a: it is a string"},
		} {
			err := h.event(h.c, c.stream, c.value, c.headers...)
			if (err == nil) != (c.want == "") || err != nil && (!fault.Is(err, fault.ContractBroken) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s %q %v: %v, want %q", c.stream, c.value, c.headers, err, c.want)
			}
		}
	})
}

func TestContract_OfAnAddress(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.putSchema("orders-value", "JSON", orderSchema)
		for _, x := range []registry.Binding{
			{Name: "jobs", Stream: "queues", Address: "jobs.*", Subject: "orders-value"},
			{Name: "parked", Stream: "queues", Address: "parked", Subject: "orders-value", Enforce: registry.Quarantine},
		} {
			if err := h.bindContract(x); err != nil {
				t.Fatal(err)
			}
		}
		good, bad := `{"id":"1","total":2}`, `{"id":"1","total":-2}`
		to := func(s string) record.Header { return record.Header{Key: "ce_subject", Value: []byte(s)} }
		structured := record.Header{Key: "content-type", Value: []byte("application/cloudevents+json")}
		whole := func(subject, data string) string {
			return `{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"` + subject + `","data":` + data + `}`
		}
		for i, c := range []struct {
			stream, key, value string
			headers            []record.Header
			broken             bool
		}{
			{"queues", "", bad, []record.Header{to("jobs.mail")}, true},
			{"queues", "", good, []record.Header{to("jobs.mail")}, false},
			{"queues", "", bad, []record.Header{to("jobs")}, false},
			{"queues", "", bad, []record.Header{to("jobs.a/b")}, false},
			{"queues", "", bad, nil, false},
			{"others", "", bad, []record.Header{to("jobs.mail")}, false},
			{"queues", "jobs.mail", bad, nil, true},
			{"queues", "jobs.mail", bad, []record.Header{to("else")}, false},
			{"queues", "", whole("jobs.mail", bad), []record.Header{structured}, true},
			{"queues", "", whole("jobs.mail", good), []record.Header{structured}, false},
			{"queues", "", whole("else", bad), []record.Header{structured}, false},
			{"queues", "", whole("else", bad), []record.Header{structured, to("jobs.mail")}, true}, // it goes to that queue, whatever it says inside
			{"queues", "", whole("jobs.mail", bad), []record.Header{structured, to("else")}, true},
			{"queues", "", whole("else", good), []record.Header{structured, to("jobs.mail")}, false},
		} {
			x := record.Record{Value: []byte(c.value), Headers: c.headers, Timestamp: 1}
			if c.key != "" {
				x.Key = []byte(c.key)
			}
			_, err := h.b.AppendEvents(context.Background(), h.c, broker.EventsAppend{AutoCreate: true, Events: []broker.EventEntry{{
				Stream: c.stream, Partition: record.NoPartition, Record: x,
			}}})
			p, buildErr := record.BuildBatch([]record.Record{x})
			if buildErr != nil {
				t.Fatal(buildErr)
			}
			r := h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: c.stream, Batch: p}}}).Wait(context.Background())[0]
			if (err != nil) != c.broken || (r.Err != nil) != c.broken {
				t.Errorf("%d: %v, %v", i, err, r.Err)
			}
			if c.broken && (!fault.Is(err, fault.ContractBroken) || !fault.Is(r.Err, fault.ContractBroken)) {
				t.Errorf("%d: %v, %v", i, err, r.Err)
			}
		}
		if err := h.event(h.c, "queues", bad, to("parked")); err != nil {
			t.Error(err)
		}
		if seen := h.b.ContractStats(h.c.Namespace, "parked"); seen.Quarantined != 1 {
			t.Errorf("%+v", seen)
		}
	})
}

func TestContract_Owner(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	ctx := context.Background()
	if err := h.bindContract(registry.Binding{Name: "o", Stream: "order.*", Owner: []string{"shop"}}); err != nil {
		t.Fatal(err)
	}
	if err := h.event(h.c, "order.placed", "x"); err != nil {
		t.Fatal("while there are no users nobody is anybody:", err)
	}
	user := func(name string) *broker.Caller {
		c := *h.c
		c.Principal = "root"
		if _, err := h.b.PutUser(ctx, &c, broker.User{Name: name, Password: "long enough", Grants: []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}}); err != nil {
			t.Fatal(err)
		}
		c.Principal = name
		return &c
	}
	user("root")
	shop, other := user("shop"), user("other")
	if err := h.event(shop, "order.placed", "x"); err != nil {
		t.Fatal(err)
	}
	if err := h.event(other, "order.placed", "x"); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "only shop may publish the stream order.placed") {
		t.Fatal(err)
	}
	if r := h.batchOf(other, "order.placed", "x"); !fault.Is(r.Err, fault.Denied) {
		t.Fatal(r.Err)
	}
	if err := h.event(other, "orders", "x"); err != nil {
		t.Fatal(err)
	}
	c := *h.c
	h.c, c.Principal = shop, "root"
	if err := h.bindContract(registry.Binding{Name: "q", Stream: "queues", Address: "jobs", Owner: []string{"shop"}}); err != nil {
		t.Fatal(err)
	}
	to := func(s string) record.Header { return record.Header{Key: "ce_subject", Value: []byte(s)} }
	if err := h.event(other, "queues", "x", to("jobs")); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "only shop may publish to jobs in the stream queues") {
		t.Fatal(err)
	}
	if err := errors.Join(h.event(shop, "queues", "x", to("jobs")), h.event(other, "queues", "x", to("else"))); err != nil {
		t.Fatal(err)
	}
}

func TestContract_Refuses(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.putSchema("s", "AVRO", `"string"`)
	for want, x := range map[string]registry.Binding{
		"not to both":                     {Name: "a", Stream: "x", Type: "y", Subject: "s"},
		"beside stream":                   {Name: "a", Type: "x", Address: "y", Subject: "s"},
		"needs a name":                    {Stream: "x", Subject: "s"},
		"not found":                       {Name: "a", Stream: "x", Subject: "nothing"},
		"off, warn, reject or quarantine": {Name: "a", Stream: "x", Subject: "s", Enforce: "often"},
		"\"x[\" cannot be read":           {Name: "a", Stream: "x[", Subject: "s"},
		"\"y[\" cannot be read":           {Name: "a", Stream: "x", Address: "y[", Subject: "s"},
		"or an owner":                     {Name: "a", Stream: "x"},
	} {
		if err := h.bindContract(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", x, err)
		}
	}
}
