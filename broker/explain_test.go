package broker_test

import (
	"testing"
	"time"

	"leat/broker"
	"leat/broker/record"
)

// It is said which clause fails, and when an event was handed over and settled.
func TestExplain_WhyAndWhen(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.Where = `data.total > 10 && (data.kind == "a && b" || data.kind == "c") && data.deep.x == 1`
		}, "s")
		h.mustAppend(
			event("s", "", `{"total":5,"kind":"c","deep":{"x":1}}`), event("s", "", `{"total":50,"kind":"z","deep":{"x":1}}`), event("s", "", `{"total":50,"kind":"a && b","deep":{"x":2}}`),
			event("s", "", `{"total":50,"kind":"c","deep":{"x":1}}`),
		)
		explain := func(o record.Offset) broker.Explanation {
			t.Helper()
			v, err := h.b.Explain(ctx, h.c, "w", record.Ref{Stream: "s", Offset: o})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		for o, clause := range []string{`data.total > 10`, `(data.kind == "a && b" || data.kind == "c")`, `data.deep.x == 1`, ""} {
			if v := explain(record.Offset(o)); v.Clause != clause || v.Matches != (clause == "") {
				t.Errorf("%d: %+v, want clause %s", o, v, clause)
			}
		}
		d := h.receive("w", 1)
		at := h.clock.Now().UnixMilli()
		if v := explain(3); v.State != "leased" || v.DeliveredMS != at || v.SettledMS != 0 {
			t.Fatalf("%+v", v)
		}
		h.clock.Advance(time.Second)
		h.ack(d...)
		if v := explain(3); v.State != "settled" || v.DeliveredMS != at || v.SettledMS != at+1000 {
			t.Fatalf("%+v", v)
		}
		if v := explain(0); v.DeliveredMS != 0 {
			t.Fatalf("%+v", v)
		}
	})
}
