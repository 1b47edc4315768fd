package broker_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter/address"
	"leat/broker/record"
	"leat/contract/registry"
)

const goodOrder, badOrder = `{"id":"1","total":2}`, `{"id":"1","total":-2}`

// quarantine binds a contract to streams that puts into quarantine what breaks it.
func (h *house) quarantine(pattern string) {
	h.t.Helper()
	h.putSchema("orders-value", "JSON", orderSchema)
	if err := h.bindContract(registry.Binding{Name: "orders", Stream: pattern, Subject: "orders-value", Enforce: registry.Quarantine}); err != nil {
		h.t.Fatal(err)
	}
}

// waiting is what waits in quarantine.
func (h *house) waiting() []broker.Quarantined {
	h.t.Helper()
	qs, next, err := h.b.QuarantineList(context.Background(), h.c, broker.QuarantineQuery{Limit: broker.QuarantinePageMax})
	if err != nil || next != -1 {
		h.t.Fatal(next, err)
	}
	return qs
}

// orders are n orders of which those at some places are bad. Each says which it is.
func orders(n int, bad ...int) []record.Record {
	rs := make([]record.Record, n)
	for i := range rs {
		rs[i] = record.Record{Timestamp: 1000 + int64(i), Key: fmt.Append(nil, "k", i%7), Value: fmt.Appendf(nil, `{"id":"%d","total":2}`, i), Headers: []record.Header{{Key: "n", Value: fmt.Append(nil, i)}}}
	}
	for _, i := range bad {
		rs[i].Value = fmt.Appendf(nil, `{"id":"%d","total":-2}`, i)
	}
	return rs
}

// produced is a batch of a numbered producer.
func produced(t *testing.T, rs []record.Record, codec record.Codec, producer int64, seq int32) []byte {
	t.Helper()
	b := record.NewBuilder()
	for i := range rs {
		b.Add(&rs[i])
	}
	p, err := b.Finish(nil, codec)
	if err != nil {
		t.Fatal(err)
	}
	if producer >= 0 {
		record.StampProducer(p, producer, 0, seq)
	}
	return p
}

func header(d *broker.Delivered, name string) string {
	v, _ := d.Record.Header(name)
	return string(v)
}

// One bad record of 500 in a compressed batch of an idempotent producer: the others are stored where the producer is told, its next batch is the next, the same
// batch again is known, also after a restart; and one lies in quarantine with the reason.
func TestQuarantine_OneOfABatch(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("orders", broker.StreamConfig{Keys: broker.KeysHistory})
		h.quarantine("orders")
		h.subscribe("all", broker.StartEarliest, nil, "orders")
		h.subscribe("some", broker.StartEarliest, func(c *broker.SubscriptionConfig) {
			c.Address = []broker.AddressFilter{{Key: address.Pattern{Syntax: address.Exact, Text: "k6"}}} // of 321, too
		}, "orders")
		for i, codec := range []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
			base, seq := record.Offset(i*1000), int32(i*1000)
			send := func(seq int32, bad ...int) broker.BatchResult {
				t.Helper()
				r := h.send("orders", produced(t, orders(500, bad...), codec, 7, seq))
				if r.Err != nil {
					t.Fatalf("%s: %v", codec, r.Err)
				}
				return r
			}
			r := send(seq, 321)
			if r.Base != base || r.Duplicate || len(r.Quarantined) != 1 || r.Quarantined[0].Index != 321 || r.Quarantined[0].Field != "total" {
				t.Fatalf("%s: %+v", codec, r)
			}
			lives := []func(){func() {}}
			if codec == record.Zstd { // with all of them before it
				lives = append(lives, h.restart, h.forget)
			}
			for _, again := range lives {
				again()
				if r := send(seq, 321); r.Base != base || !r.Duplicate || len(r.Quarantined) != 0 {
					t.Fatalf("%s again: %+v", codec, r)
				}
			}
			if r := send(seq + 500); r.Base != base+500 || r.Duplicate {
				t.Fatalf("%s next: %+v", codec, r)
			}
			p := h.page(broker.PageRequest{Streams: []string{"orders"}, From: broker.Start{Kind: broker.StartOffset, Offset: base}, Limit: 1000})
			if len(p.Events) != 999 {
				t.Fatalf("%s: %d events", codec, len(p.Events))
			}
			for k, d := range p.Events {
				if k >= 321 {
					k++
				}
				if d.Ref.Offset != base+record.Offset(k) || header(d, "n") != fmt.Sprint(k%500) || d.Record.Timestamp != 1000+int64(k%500) {
					t.Fatalf("%s: %s is %s", codec, d.Ref, d.Record.Value)
				}
			}
			if _, err := h.b.ReadRef(context.Background(), h.c, record.Ref{Stream: "orders", Offset: base + 321}); !fault.Is(err, fault.NotFound) {
				t.Fatalf("%s: where it is missing: %v", codec, err)
			}
			all := h.waiting()
			if len(all) != i+1 {
				t.Fatalf("%s: %d wait", codec, len(all))
			}
			q := all[i]
			if q.Contract != "orders" || q.Subject != "orders-value" || q.Version != 1 || q.Field != "total" || !strings.Contains(q.Reason, "minimum") || q.Stream != "orders" ||
				q.Partition != 0 || q.Offset != base+321 || q.Index != 321 || q.Protocol != h.c.Protocol || q.Ref.Offset != record.Offset(i) {
				t.Fatalf("%s: %+v", codec, q)
			}
			if r := q.AsItCame(); string(r.Value) != `{"id":"321","total":-2}` || string(r.Key) != "k6" || r.Timestamp != 1321 || len(r.Headers) != 1 || string(r.Headers[0].Value) != "321" {
				t.Fatalf("%s: %+v", codec, r)
			}
		}
		if n := h.standing("all").Waiting; n > 5*1000 || n < 5*999 { // holes are passed over when they are looked at
			t.Fatal(n)
		}
		if n := h.standing("some").Waiting; n != 5*141 { // 71 and 71 in each two batches, without one
			t.Fatal(n)
		}
		if n := len(h.ofKey("orders", "k6")); n != 5*141 {
			t.Fatal(n)
		}
		if seen := h.b.ContractStats(h.c.Namespace, "orders"); seen.Quarantined != 0 { // since the last start
			t.Fatalf("%+v", seen)
		}
	})
}

// Where nothing is left of a batch its producer's sequences count all the same, and readers go on behind it.
// A batch of which something is put apart is decided where it was handed in, and not behind those that its producer has sent without waiting.
func TestQuarantine_KeepsTheOrder(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("orders", broker.StreamConfig{})
		h.quarantine("orders")
		var all []*broker.PendingBatches
		for i := range int32(20) {
			var bad []int
			if i%4 == 1 {
				bad = []int{1}
			}
			e := broker.BatchEntry{Stream: "orders", Batch: produced(t, orders(3, bad...), record.None, 7, 3*i)}
			all = append(all, h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: []broker.BatchEntry{e}}))
		}
		for i, p := range all {
			if r := p.Wait(context.Background())[0]; r.Err != nil || r.Base != record.Offset(3*i) || (len(r.Quarantined) == 1) != (i%4 == 1) {
				t.Fatalf("batch %d: %+v", i, r)
			}
		}
	})
}

func TestQuarantine_AllOfABatch(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("orders", broker.StreamConfig{})
		h.quarantine("orders")
		h.subscribe("all", broker.StartEarliest, nil, "orders")
		if r := h.send("orders", produced(t, orders(3, 0, 1, 2), record.Gzip, 7, 0)); r.Err != nil || r.Base != 0 || len(r.Quarantined) != 3 {
			t.Fatalf("%+v", r)
		}
		if r := h.send("orders", produced(t, orders(3, 0, 1, 2), record.Gzip, 7, 0)); r.Err != nil || !r.Duplicate {
			t.Fatalf("%+v", r)
		}
		if r := h.send("orders", produced(t, orders(2), record.Gzip, 7, 3)); r.Err != nil || r.Base != 3 {
			t.Fatalf("%+v", r)
		}
		h.restart()
		if got := h.all("orders"); len(got) != 2 || got[0].Ref.Offset != 3 {
			t.Fatal(got)
		}
		for range 2 {
			ds := h.receive("all", 1)
			h.ack(ds...)
		}
		h.nothing("all")
		if qs := h.waiting(); len(qs) != 3 || qs[2].Offset != 2 || qs[2].Index != 2 {
			t.Fatalf("%+v", qs)
		}
	})
}

// What a transaction leaves in quarantine comes to be there, or not, with the rest of it.
func TestQuarantine_OfATransaction(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("orders", broker.StreamConfig{})
		h.quarantine("orders")
		w := h.writer("w")
		w.send("orders", goodOrder, badOrder, goodOrder)
		if n := len(h.waiting()); n != 0 {
			t.Fatalf("%d wait while the transaction is open", n)
		}
		w.end(false)
		if n, m := len(h.waiting()), len(h.all("orders")); n != 0 || m != 0 {
			t.Fatalf("%d wait of an aborted transaction, %d events", n, m)
		}
		w.send("orders", badOrder, goodOrder)
		w.send("orders", goodOrder, badOrder)
		h.restart()
		w.end(true)
		if n, m := len(h.waiting()), len(h.all("orders")); n != 2 || m != 2 {
			t.Fatalf("%d wait of a committed transaction, %d events", n, m)
		}
	})
}

func TestQuarantine_OfEvents(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("orders", broker.StreamConfig{Keys: broker.KeysVersioned})
		h.create("others", broker.StreamConfig{})
		h.quarantine("ord*")
		id := h.putSchema("orders-value", "JSON", orderSchema)
		framed := string(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)))
		good, bad := event("orders", "k", framed+goodOrder), event("orders", "k", framed+badOrder)
		good.ID, bad.ID, bad.Source, good.Source = "1", "2", "s", "s"
		for life := range 3 {
			rs := h.mustAppend(good, bad, event("others", "", "x"))
			if rs[0].Quarantined != nil || rs[0].Ref.Stream != "orders" || rs[1].Quarantined == nil || rs[1].Quarantined.Field != "total" || rs[1].Quarantined.Index != 1 ||
				rs[1].Ref.String() != "leat.quarantine/0/0" || rs[2].Quarantined != nil {
				t.Fatalf("%+v", rs)
			}
			if again := life > 0; rs[0].Duplicate != again || rs[1].Duplicate != again {
				t.Fatalf("life %d: %+v", life, rs)
			}
			if qs := h.waiting(); len(qs) != 1 || qs[0].Partition != 0 || qs[0].Offset != -1 || qs[0].Index != 1 || qs[0].Version != 1 {
				t.Fatalf("%+v", qs)
			}
			if life == 0 {
				h.restart()
			}
		}
		// The same event within one request, and what stands in quarantine only.
		twice := event("orders", "k", badOrder)
		twice.ID, twice.Source = "3", "s"
		rs := h.mustAppend(twice, twice)
		if rs[0].Duplicate || !rs[1].Duplicate || rs[1].Quarantined == nil || rs[0].Ref != rs[1].Ref {
			t.Fatalf("%+v", rs)
		}
		if rs = h.mustAppend(twice); !rs[0].Duplicate || rs[0].Quarantined == nil {
			t.Fatalf("%+v", rs)
		}
		// One that asks for a decision about its key is refused.
		asks := event("orders", "k", badOrder)
		asks.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: 1}
		if _, err := h.append(asks); !fault.Is(err, fault.ContractBroken) {
			t.Fatal(err)
		}
		b := produced(t, []record.Record{{Key: []byte("k"), Value: []byte(badOrder), Headers: []record.Header{{Key: broker.HeaderExpectVersion, Value: []byte("1")}}}}, record.None, -1, 0)
		if r := h.send("orders", b); !fault.Is(r.Err, fault.ContractBroken) {
			t.Fatal(r.Err)
		}
		// One contract that rejects is enough.
		if err := h.bindContract(registry.Binding{Name: "strict", Stream: "orders", Subject: "orders-value", Enforce: registry.Reject}); err != nil {
			t.Fatal(err)
		}
		if err := h.event(h.c, "orders", badOrder); !fault.Is(err, fault.ContractBroken) || !strings.Contains(err.Error(), "strict") {
			t.Fatal(err)
		}
		if n := len(h.waiting()); n != 2 {
			t.Fatal(n)
		}
		if _, err := h.b.AppendEvents(ctx, h.c, broker.EventsAppend{Events: []broker.EventEntry{event(broker.QuarantineStream, "", "x")}}); !fault.Is(err, fault.Denied) {
			t.Fatal(err)
		}
	})
}

// While it is full, what breaks its contract is refused and the error says so; nothing of it is stored.
func TestQuarantine_Full(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("orders", broker.StreamConfig{})
		h.quarantine("orders")
		if r := h.send("orders", produced(t, orders(4, 1, 2), record.None, 7, 0)); r.Err != nil {
			t.Fatal(r.Err)
		}
		_, err := h.b.PutSubscription(context.Background(), h.c, broker.QuarantineStream, func(c *broker.SubscriptionConfig) error { c.Policy.LengthMax = 3; return nil }, broker.Start{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		r := h.send("orders", produced(t, orders(4, 1, 2), record.None, 7, 4))
		if !fault.Is(r.Err, fault.ContractBroken) || !strings.Contains(r.Err.Text, "quarantine is full") || len(r.Quarantined) != 0 {
			t.Fatalf("%+v", r)
		}
		if _, err := h.append(event("orders", "", goodOrder), event("orders", "", badOrder), event("orders", "", badOrder)); !fault.Is(err, fault.ContractBroken) || !strings.Contains(err.Error(), "quarantine is full") {
			t.Fatal(err)
		}
		if n, m := len(h.all("orders")), len(h.waiting()); n != 2 || m != 2 {
			t.Fatal(n, m)
		}
		if out, err := h.b.DropQuarantined(context.Background(), h.c, []record.Ref{{Stream: broker.QuarantineStream, Offset: 0}}); err != nil || out[0] != broker.OutcomeDone {
			t.Fatal(out, err)
		}
		if r := h.send("orders", produced(t, orders(4, 1, 2), record.None, 7, 4)); r.Err != nil || r.Base != 4 || len(r.Quarantined) != 2 {
			t.Fatalf("%+v", r)
		}
		all, more := h.b.ContractNumbers(10)
		want := broker.ContractNumbers{Namespace: cmp.Or(h.c.Namespace, broker.DefaultNamespace), Contract: "orders", ContractSeen: broker.ContractSeen{Checked: 15, Broken: 8, Quarantined: 4}}
		if len(all) != 1 || more != 0 || all[0] != want {
			t.Fatalf("%+v, %d", all, more)
		}
		if all, more = h.b.ContractNumbers(0); len(all) != 0 || more != 1 {
			t.Fatalf("%+v, %d", all, more)
		}
	})
}

func TestQuarantine_ReplayAndDrop(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("orders", broker.StreamConfig{Partitions: 3})
		if qs := h.waiting(); len(qs) != 0 {
			t.Fatal(qs)
		}
		h.quarantine("orders")
		h.mustAppend(event("orders", "", badOrder), event("orders", "", badOrder), event("orders", "", badOrder), event("orders", "", badOrder))
		ref := func(n int) record.Ref { return record.Ref{Stream: broker.QuarantineStream, Offset: record.Offset(n)} }
		left := func(want ...record.Offset) {
			t.Helper()
			var got []record.Offset
			for _, q := range h.waiting() {
				got = append(got, q.Ref.Offset)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%v wait, expected %v", got, want)
			}
		}
		mend := func(r *record.Record) { r.Value = []byte(goodOrder) }
		if _, err := h.b.ReplayQuarantined(ctx, h.c, ref(1), nil); !fault.Is(err, fault.ContractBroken) {
			t.Fatal(err)
		}
		left(0, 1, 2, 3)
		r, err := h.b.ReplayQuarantined(ctx, h.c, ref(1), mend)
		if err != nil || r.Ref.Stream != "orders" {
			t.Fatalf("%+v, %v", r, err)
		}
		left(0, 2, 3)
		h.restart()
		left(0, 2, 3)
		if _, err := h.b.ReplayQuarantined(ctx, h.c, ref(1), mend); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		if d := h.all("orders"); len(d) != 1 || string(d[0].Record.Value) != goodOrder || len(d[0].Record.Headers) != 0 {
			t.Fatalf("%+v", d)
		}
		// Whoever receives has it; acknowledged, it waits no more. A contract that is changed counts for what is replayed.
		ds := h.receive(broker.QuarantineStream, 1)
		if _, err := h.b.ReplayQuarantined(ctx, h.c, ds[0].Ref, mend); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "a receiver") {
			t.Fatal(err)
		}
		if qs := h.waiting(); !qs[0].Taken || qs[1].Taken {
			t.Fatalf("%+v", qs)
		}
		h.ack(ds...)
		left(2, 3)
		if err := h.bindContract(registry.Binding{Name: "orders"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.ReplayQuarantined(ctx, h.c, ref(2), nil); err != nil {
			t.Fatal(err)
		}
		if out, err := h.b.DropQuarantined(ctx, h.c, []record.Ref{ref(3), ref(3), ref(2)}); err != nil || fmt.Sprint(out) != "[done already already]" {
			t.Fatal(out, err)
		}
		left()
		if n := len(h.all("orders")); n != 2 {
			t.Fatal(n)
		}
	})
}
