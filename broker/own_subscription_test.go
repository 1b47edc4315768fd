package broker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/filter/address"
	"leat/broker/record"
	"leat/broker/subscription"
)

// What a subscription gives up is what its undertaker makes of it, in the frame that settles it; until there is an undertaker, it waits.
func TestUndertaker_SaysWhatBecomesOfIt(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("after", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.Undertaker, c.Documents = "test", map[string]string{"mine": "yes"}
		}, "s")
		h.subscribe("after", broker.StartLatest, nil, "after")
		h.mustAppend(event("s", "k", "one"))
		h.mustAppend(event("s", "k", "dropped"))
		h.mustAppend(event("s", "k", "lost"))
		h.reject(h.receive("w", 3)...)
		h.nothing("after")
		if d := h.standing("w"); d.Waiting != 3 || d.Dying != 3 {
			t.Fatalf("without an undertaker %+v", d)
		}
		deaths := make(chan broker.Death, 16)
		h.b.SetUndertaker("test", func(d *broker.Death) []broker.EventEntry {
			deaths <- *d
			r := *d.Origin.Record
			r.Headers = append(slices.Clone(r.Headers), record.Header{Key: "why", Value: []byte(d.Reason)})
			switch string(r.Value) {
			case "one":
				return []broker.EventEntry{{Stream: "after", Record: r}, {Stream: "after", Record: r}}
			case "lost":
				return []broker.EventEntry{{Stream: "no such stream", Record: r}}
			}
			return nil
		})
		for h.standing("w").Waiting > 0 { // those that wait are asked for again
			h.clock.Advance(10 * time.Second)
			time.Sleep(10 * time.Millisecond)
		}
		d := <-deaths
		if d.Subscription != "w" || d.Reason != "rejected" || d.Attempts != 1 || d.Config.Documents["mine"] != "yes" || d.Origin.Ref.Stream != "s" {
			t.Errorf("told %+v", d)
		}
		for _, got := range h.receive("after", 2) {
			if hs := got.Record.Headers; string(got.Record.Value) != "one" || len(hs) == 0 || hs[len(hs)-1].Key != "why" || string(hs[len(hs)-1].Value) != "rejected" {
				t.Errorf("%q with %v came", got.Record.Value, hs)
			}
		}
		h.nothing("after")
		if d := h.standing("w"); d.Dead != 3 {
			t.Errorf("%d died", d.Dead)
		}
		h.restart()
		h.nothing("w")
	})
}

// What a member has stays its, what it gives back comes again, what waits for its time stays.
func TestDrain_LeavesWhatSomebodyHas(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, nil, "s")
		for i := range 10 {
			h.mustAppend(event("s", "k", fmt.Sprint(i)))
		}
		had := h.receive("w", 3)
		if n, err := h.b.Drain(ctx, h.c, "w"); n != 7 || err != nil {
			t.Fatalf("drained %d, %v", n, err)
		}
		if n, err := h.b.Drain(ctx, h.c, "w"); n != 0 || err != nil {
			t.Fatalf("drained %d again, %v", n, err)
		}
		h.ack(had[0])
		if _, err := h.b.Release(ctx, h.c, handles(had[1:2]), 0, true); err != nil {
			t.Fatal(err)
		}
		if got := h.receive("w", 1); string(got[0].Record.Value) != "1" {
			t.Errorf("%q came back", got[0].Record.Value)
		}
		h.nothing("w")
		if d := h.standing("w"); d.Waiting != 2 {
			t.Errorf("%d wait", d.Waiting)
		}
		h.subscribe("all", broker.StartEarliest, nil, "s")
		wait(t, func() bool { return h.standing("all").Exact })
		if n, err := h.b.Drain(ctx, h.c, "all"); n != 10 || err != nil { // nobody has anything
			t.Errorf("drained %d, %v", n, err)
		}
		h.subscribe("some", broker.StartEarliest, nil, "s")
		if n, err := h.b.Skip(ctx, h.c, "some", 4); n != 4 || err != nil {
			t.Errorf("skipped %d, %v", n, err)
		}
		if got := payloads(h.receive("some", 6)); !slices.Equal(got, []string{"4", "5", "6", "7", "8", "9"}) {
			t.Errorf("behind that came %v", got)
		}
	})
}

// Also where one member alone is served: it keeps what it has, and is served again when the rest has been drained.
func TestDrain_WhereOneAloneIsServed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		patience, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		h.create("s", broker.StreamConfig{})
		for name, members := range map[string]subscription.Membership{"exclusive": broker.MembersExclusive, "single": broker.MembersSingleActive} {
			h.subscribe(name, broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.Members = members }, "s")
			for i := range 5 {
				h.mustAppend(event("s", "k", fmt.Sprint(i)))
			}
			m, err := h.b.Attach(ctx, h.c, name, broker.MemberOptions{Prefetch: 2})
			if err != nil {
				t.Fatal(err)
			}
			var had []broker.Delivery
			for len(had) < 2 {
				ds, err := m.Next(patience, 2)
				if err != nil {
					t.Fatal(err)
				}
				had = append(had, ds...)
			}
			if n, err := h.b.Drain(ctx, h.c, name); n != 3 || err != nil {
				t.Fatalf("%s: drained %d, %v", name, n, err)
			}
			if _, err := h.b.Release(ctx, h.c, handles(had[:1]), 0, true); err != nil {
				t.Fatal(err)
			}
			if ds, err := m.Next(patience, 2); err != nil || !slices.Equal(payloads(ds), []string{"0"}) {
				t.Fatalf("%s: %v came back, %v", name, payloads(ds), err)
			}
			if d := h.standing(name); d.Waiting != 2 || d.Leased != 2 {
				t.Errorf("%s: %d wait, %d of them with a member", name, d.Waiting, d.Leased)
			}
			if err := m.Detach(ctx, false); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestReached_IsWhoWouldGetIt(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		for name, subject := range map[string]string{"a": "x.y", "b": "x.*", "c": "z", "d": "x.y"} {
			h.subscribe(name, broker.StartLatest, func(c *broker.SubscriptionConfig) {
				c.Documents = map[string]string{"mine": subject}
				c.Address = []broker.AddressFilter{{Subject: address.Pattern{Syntax: address.Words, Text: subject}}}
			}, "s")
		}
		h.subscribe("everything", broker.StartLatest, nil, "s")
		r := record.Record{Value: []byte("v"), Headers: []record.Header{{Key: "ce_subject", Value: []byte("x.y")}}}
		if got := h.b.Reached(h.c.Namespace, "s", &r); !slices.Equal(got, []string{"a", "b", "d"}) {
			t.Errorf("reached %v", got)
		}
		if got := h.b.Reached(h.c.Namespace, "nope", &r); got != nil {
			t.Errorf("reached %v by a stream that is not there", got)
		}
		own := h.b.OwnSubscriptions(h.c.Namespace, "mine")
		if len(own) != 4 || own[1].Name != "b" || own[1].Config.Documents["mine"] != "x.*" {
			t.Errorf("own: %+v", own)
		}
		if s, ok := h.b.OwnSubscription(h.c.Namespace, "everything"); !ok || s.Config.Routed {
			t.Errorf("%+v, %v", s, ok)
		}
		if _, ok := h.b.OwnSubscription("elsewhere", "a"); ok {
			t.Error("found in another namespace")
		}
	})
}
