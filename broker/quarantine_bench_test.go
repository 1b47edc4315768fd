package broker_test

import (
	"context"
	"testing"

	"leat/broker"
	"leat/broker/record"
	"leat/contract/registry"
)

// What contracts cost a batch of 500 orders, uncompressed: none at all, one of another stream, one that is off, one that counts, and one of which one order goes
// into quarantine.
func BenchmarkQuarantine(b *testing.B) {
	for _, x := range []struct {
		name, stream string
		enforce      registry.Enforce
		bad          []int
	}{{"none", "", "", nil}, {"elsewhere", "other", registry.Quarantine, nil}, {"off", "s", registry.Off, nil}, {"quarantine", "s", registry.Quarantine, nil}, {"quarantine-one", "s", registry.Quarantine, []int{321}}} {
		b.Run(x.name, func(b *testing.B) {
			h := benchHouse(b)
			if x.stream != "" {
				h.putSchema("orders", "JSON", orderSchema)
				if err := h.bindContract(registry.Binding{Name: "c", Stream: x.stream, Subject: "orders", Enforce: x.enforce}); err != nil {
					b.Fatal(err)
				}
			}
			if len(x.bad) > 0 { // so much does not fit otherwise
				h.mustAppend(event("s", "", badOrder))
				_, err := h.b.PutSubscription(context.Background(), h.c, broker.QuarantineStream, func(c *broker.SubscriptionConfig) error { c.Policy.LengthMax, c.Policy.BytesMax = 0, 0; return nil }, broker.Start{}, 0)
				if err != nil {
					b.Fatal(err)
				}
			}
			p, err := record.BuildBatch(orders(500, x.bad...))
			if err != nil {
				b.Fatal(err)
			}
			room := make([]byte, len(p))
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				copy(room, p) // the broker takes what it is given
				if r := h.send("s", room); r.Err != nil {
					b.Fatal(r.Err)
				}
			}
		})
	}
}
