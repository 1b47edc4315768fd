package broker_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/contract/registry"
)

// seen is the catalogue as text: a line for each sighting.
func (h *house) seen(q broker.CatalogueQuery) string {
	var out strings.Builder
	for _, s := range h.b.Catalogue(h.c, q).Sightings {
		fmt.Fprintln(&out, s.Type, s.Stream, s.Role, s.Service, s.Via, s.Contract, s.Version, s.Latest, s.Says, s.Tags, s.Records)
	}
	return out.String()
}

func typed(stream, kind, value string) broker.EventEntry {
	e := event(stream, "", value)
	e.Record.Headers = []record.Header{{Key: "ce_type", Value: []byte(kind)}}
	return e
}

func TestCatalogue_SeesWhoDoesWhat(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("orders", broker.StreamConfig{})
		h.subscribe("billing-queue", broker.StartEarliest, nil, "orders")
		shop, reader := h.as("", "shop/2.1"), h.as("", "reports")
		h.appendAs(shop, typed("orders", "placed", "a"), typed("orders", "placed", "b"), typed("orders", "paid", "c"))
		var batch record.Builder
		for range 10 {
			batch.Add(&record.Record{Key: []byte("k"), Value: []byte("v"), Headers: []record.Header{{Key: "ce_type", Value: []byte("shipped")}}})
		}
		for _, codec := range []record.Codec{record.None, record.Zstd} {
			raw, err := batch.Finish(nil, codec)
			if err != nil {
				t.Fatal(err)
			}
			if r := h.b.SubmitBatches(context.Background(), h.as("", "kfk"), broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "orders", Batch: raw}}}).Wait(context.Background()); r[0].Err != nil {
				t.Fatal(r[0].Err)
			}
		}
		h.receive("billing-queue", 23)
		if r := h.b.Read(context.Background(), reader, []broker.Cursor{{Stream: "orders", BytesMax: 1 << 20}}, 1<<20); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
		if _, err := h.b.ReadPage(context.Background(), h.as("", "pager"), broker.PageRequest{Streams: []string{"orders"}, From: broker.Start{Kind: broker.StartEarliest}, Limit: 3}); err != nil {
			t.Fatal(err)
		}
		want := `paid orders produces shop   0 0  [] 1
paid orders consumes kit billing-queue  0 0  [] 1
paid orders consumes pager   0 0  [] 1
paid orders consumes reports   0 0  [] 1
placed orders produces shop   0 0  [] 2
placed orders consumes kit billing-queue  0 0  [] 2
placed orders consumes pager   0 0  [] 2
placed orders consumes reports   0 0  [] 2
shipped orders produces kfk   0 0  [] 20
shipped orders consumes kit billing-queue  0 0  [] 20
shipped orders consumes reports   0 0  [] 20
`
		if got := h.seen(broker.CatalogueQuery{}); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if got := h.seen(broker.CatalogueQuery{Type: "p*", Role: "produces", Service: "shop", Within: time.Hour}); strings.Count(got, "\n") != 2 {
			t.Error(got)
		}
		h.clock.Advance(2 * time.Hour)
		if got := h.seen(broker.CatalogueQuery{Within: time.Hour}); got != "" {
			t.Error(got)
		}
	})
}

func TestCatalogue_KnowsSchemasAndContracts(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("orders", broker.StreamConfig{})
	h.create("plain", broker.StreamConfig{})
	avro := `{"type":"record","name":"Placed","namespace":"shop","fields":[{"name":"mail","type":"string","confluent:tags":["PII"]}%s]}`
	id := h.putSchema("orders-value", "AVRO", fmt.Sprintf(avro, ""))
	h.putSchema("orders-value", "AVRO", fmt.Sprintf(avro, `,{"name":"note","type":["null","string"],"default":null}`))
	payload := append([]byte{0, 0, 0, 0, byte(id)}, "\x02a"...)
	h.mustAppend(event("orders", "", string(payload)))
	h.putSchema("plain-json", "JSON", `{"type":"object","properties":{"who":{"type":"string","confluent:tags":["PII"]}}}`)
	if err := h.bindContract(registry.Binding{Name: "plain", Stream: "plain", Subject: "plain-json"}); err != nil {
		t.Fatal(err)
	}
	h.mustAppend(event("plain", "", `{"who":"me"}`))
	h.mustAppend(event("orders", "", "\x00\x00\x00\x00\x63xx")) // no schema has that number
	want := `shop.Placed orders produces kit   1 2 payload [PII] 1
stream:orders orders produces kit   0 0  [] 1
stream:plain plain produces kit  plain 1 1 contract [PII] 1
`
	if got := h.seen(broker.CatalogueQuery{}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A group that keeps positions is named with who reads for it, also where its gateway commits in its own way.
func TestCatalogue_NamesGroups(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("orders", broker.StreamConfig{})
	h.cursor("billing-group", nil)
	reader := h.as("", "rdkafka")
	h.appendAs(h.b.OwnCallerFor(h.as("", "shop")), typed("orders", "placed", "a"))
	h.b.Read(context.Background(), reader, []broker.Cursor{{Stream: "orders", BytesMax: 1 << 20}}, 1<<20)
	if err := h.b.CommitPositions(context.Background(), h.b.OwnCallerFor(reader), "billing-group", []broker.PositionCommit{{Stream: "orders", Offset: 1}}); err != nil {
		t.Fatal(err)
	}
	want := "placed orders produces shop   0 0  [] 1\nplaced orders consumes billing-group billing-group  0 0  [] 1\n"
	if got := h.seen(broker.CatalogueQuery{}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What was seen outlives a stop, and comes together with what is seen after it.
func TestCatalogue_OutlivesAStop(t *testing.T) {
	h := newHouse(t, 1, "")
	h.system = true
	h.open()
	h.create("orders", broker.StreamConfig{})
	h.mustAppend(typed("orders", "placed", "a"))
	h.restart()
	h.mustAppend(typed("orders", "placed", "b"))
	if got := h.seen(broker.CatalogueQuery{}); got != "placed orders produces kit   0 0  [] 2\n" {
		t.Error(got)
	}
	for range 2 { // a summary is no contract that somebody sees
		if got := h.b.Contracts("").Subjects(registry.AllContexts, registry.WithDeleted); len(got) != 0 {
			t.Error(got)
		}
		h.restart()
	}
}

// A first record is looked at for each batch, whatever was seen last, so that no type is missed that comes alone.
func TestCatalogue_MissesNoTypeThatComesInABatchOfItsOwn(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("orders", broker.StreamConfig{})
	for i := range 40 {
		var batch record.Builder
		for range 1 + i%2 {
			batch.Add(&record.Record{Value: []byte("v"), Headers: []record.Header{{Key: "ce_type", Value: fmt.Append(nil, "t", i%20)}}})
		}
		raw, err := batch.Finish(nil, record.None)
		if err != nil {
			t.Fatal(err)
		}
		if r := h.send("orders", raw); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	all := h.b.Catalogue(h.c, broker.CatalogueQuery{}).Sightings
	sum := int64(0)
	for _, s := range all {
		sum += s.Records
	}
	if len(all) != 20 || sum != 60 {
		t.Errorf("%d types, %d records\n%s", len(all), sum, h.seen(broker.CatalogueQuery{}))
	}
}

// cpuTime is what the process has used, which tells more than a clock where others use the machine too.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSawAppended is what counting adds to a batch; BenchmarkSubmitBatches is the whole of it.
func BenchmarkSawAppended(b *testing.B) {
	h := benchHouse(b)
	h.c.Client, h.c.Principal = "order-service", "shop"
	for _, codec := range []record.Codec{record.None, record.Zstd} {
		var build record.Builder
		for range 100 {
			build.Add(&record.Record{Key: []byte("key"), Value: make([]byte, 100), Headers: []record.Header{{Key: "ce_id", Value: []byte("1234")}, {Key: "ce_type", Value: []byte("com.shop.order.placed")}}})
		}
		raw, err := build.Finish(nil, codec)
		if err != nil {
			b.Fatal(err)
		}
		header, err := record.ParseBatchHeader(raw)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(codec.String(), func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			for range b.N {
				h.b.SawAppended(h.c, "s", &header, raw)
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkSubmitBatches is what a batch costs on its way in: one record of 100 bytes, and a hundred.
func BenchmarkSubmitBatches(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n, " records"), func(b *testing.B) {
			h := benchHouse(b)
			var build record.Builder
			for range n {
				build.Add(&record.Record{Key: []byte("key"), Value: make([]byte, 100), Headers: []record.Header{{Key: "ce_type", Value: []byte("com.shop.order.placed")}}})
			}
			raw, err := build.Finish(nil, record.None)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			before := cpuTime(b)
			defer func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") }()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if r := h.send("s", append([]byte(nil), raw...)); r.Err != nil {
						b.Error(r.Err)
					}
				}
			})
		})
	}
}
