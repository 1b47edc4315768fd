package broker_test

import (
	"fmt"
	"testing"

	"leat/broker"
	"leat/contract/registry"
)

// BenchmarkContract is an append of 100 events by HTTP's way with nothing bound, with a contract that is off, with one of another stream, and with one
// that is kept: the first three cost the same.
func BenchmarkContract(b *testing.B) {
	for _, c := range []struct {
		what    string
		binding *registry.Binding
	}{
		{"none", nil},
		{"off", &registry.Binding{Name: "c", Stream: "s", Subject: "orders", Enforce: registry.Off}},
		{"elsewhere", &registry.Binding{Name: "c", Stream: "t", Subject: "orders", Enforce: registry.Reject}},
		{"reject", &registry.Binding{Name: "c", Stream: "s", Subject: "orders", Enforce: registry.Reject}},
	} {
		b.Run(c.what, func(b *testing.B) {
			h := newHouse(b, 1, "")
			h.open()
			h.create("s", broker.StreamConfig{})
			h.putSchema("orders", "JSON", orderSchema)
			if c.binding != nil {
				if err := h.bindContract(*c.binding); err != nil {
					b.Fatal(err)
				}
			}
			var events []broker.EventEntry
			for i := range 100 {
				events = append(events, event("s", "", fmt.Sprintf(`{"id":"order-%d","total":%d.5}`, i, i)))
			}
			b.ReportAllocs()
			for b.Loop() {
				h.mustAppend(events...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
		})
	}
}
