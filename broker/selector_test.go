package broker_test

import (
	"context"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// A condition in SQL-92 holds together with one in CEL; a changed one counts from the change on, and it is said which clause fails.
func TestSelector(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.Selector, c.Where = `region LIKE 'eu-%' AND (qty BETWEEN 2 AND 9 OR data.vip = TRUE) AND JMSType <> 'test'`, `offset != 1`
		}, "s")
		send := func(value string, headers ...string) {
			e := event("s", "", value)
			for i := 0; i < len(headers); i += 2 {
				e.Record.Headers = append(e.Record.Headers, record.Header{Key: headers[i], Value: []byte(headers[i+1])})
			}
			h.mustAppend(e)
		}
		send(`{"n":0}`, "region", "eu-west", "qty", "3")
		send(`{"n":1}`, "region", "eu-west", "qty", "3")
		send(`{"n":2}`, "region", "us", "qty", "3")
		send(`{"n":3}`, "region", "eu-west", "qty", "10")
		send(`{"n":4,"vip":true}`, "region", "eu-north", "qty", "10")
		send(`{"n":5}`, "region", "eu-west", "qty", "3", "ce_type", "test", "ce_id", "1", "ce_source", "/x", "ce_specversion", "1.0")
		if got := strings.Join(payloads(h.receive("w", 2)), " "); got != `{"n":0} {"n":4,"vip":true}` {
			t.Fatal(got)
		}
		for o, clause := range []string{"", "offset != 1", "region LIKE 'eu-%'", "(qty BETWEEN 2 AND 9 OR data.vip = TRUE)", "", "JMSType <> 'test'"} {
			v, err := h.b.Explain(ctx, h.c, "w", record.Ref{Stream: "s", Offset: record.Offset(o)})
			if err != nil || v.Clause != clause {
				t.Errorf("%d: %q, %v; want %q", o, v.Clause, err, clause)
			}
		}
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Selector, c.Where = `qty = 10`, "" }, "s")
		send(`{"n":6}`, "qty", "10")
		if got := strings.Join(payloads(h.receive("w", 1)), " "); got != `{"n":6}` {
			t.Fatal(got)
		}
		if err := h.b.Rewind(ctx, h.c, "w", broker.Start{Kind: broker.StartEarliest}); err != nil {
			t.Fatal(err)
		}
		h.restart()
		if got := strings.Join(payloads(h.receive("w", 3)), " "); got != `{"n":0} {"n":4,"vip":true} {"n":6}` {
			t.Fatal(got)
		}
		_, err := h.b.PutSubscription(context.Background(), h.c, "w", func(c *broker.SubscriptionConfig) error {
			c.Selector = "qty = 1 AND data"
			return nil
		}, broker.Start{Kind: broker.StartLatest}, 0)
		if f := wantKind(t, err, fault.Invalid); f.Subject != "selector" {
			t.Fatal(f)
		}
	})
}
