package broker_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter/address"
	"leat/broker/record"
)

func (h *house) dead(name string) []broker.DeadLetter {
	h.t.Helper()
	ls, _, _, err := h.b.DeadLetters(ctx, h.c, name, broker.Start{}, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	return ls
}

func (h *house) reject(ds ...broker.Delivery) {
	h.t.Helper()
	if out, err := h.b.Reject(ctx, h.c, handles(ds)); err != nil || slices.ContainsFunc(out, func(o broker.Outcome) bool { return !o.Good() }) {
		h.t.Fatal(out, err)
	}
}

func subject(r *record.Record) string {
	for _, h := range r.Headers {
		if h.Key == "ce_subject" {
			return string(h.Value)
		}
	}
	return "none"
}

// A letter goes to another subject and key, says what it was, and is what it was when it comes back: also when it dies again.
func TestDeadLetter_OfAnotherSubjectAndBackAgain(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("dead", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.DeadLetters, c.DeadSubject, c.DeadKey = "dead", new("failed"), new("")
		}, "s")
		// A second subscription takes the letters and gives them up as well: deaths add up.
		h.subscribe("retry", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.Address = []broker.AddressFilter{{Subject: address.Pattern{Syntax: address.Exact, Text: "failed"}}}
			c.DeadLetters, c.DeadSubject = "s", new("again")
		}, "dead")
		e := event("s", "k", "v")
		e.Record.Headers = []record.Header{{Key: "ce_subject", Value: []byte("orders.new")}, {Key: "own", Value: []byte("x")}}
		h.mustAppend(e)
		h.reject(h.receive("w", 1)...)
		wait(t, func() bool { return len(h.dead("w")) == 1 })
		l := h.dead("w")[0]
		if subject(l.Record) != "failed" || l.Record.Key != nil || l.Origin.String() != "s/0/0" || l.Reason != "rejected" {
			t.Fatalf("%+v %v", l, l.Record)
		}
		if ds := broker.Deaths(l.Record); len(ds) != 1 || ds[0] != (broker.PastDeath{Subscription: "w", Reason: "rejected", Count: 1, Stream: "s", Subject: "orders.new", TimeMS: h.clock.Now().UnixMilli()}) {
			t.Fatalf("%+v", ds)
		}
		h.restart()
		if n, err := h.b.Replay(ctx, h.c, "w", []record.Ref{l.Ref}, 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		back := h.receive("w", 1)[0]
		if back.Ref != l.Origin || subject(back.Record) != "orders.new" || string(back.Record.Key) != "k" || back.Record.Headers[0].Key != "own" || len(back.Record.Headers) != 2 {
			t.Fatalf("%v %q %q %v", back.Ref, subject(back.Record), back.Record.Key, back.Record.Headers)
		}
		h.clock.Advance(time.Second)
		h.reject(back)
		wait(t, func() bool { return len(h.dead("w")) == 2 })
		again := h.dead("w")[1]
		if again.Origin.String() != "s/0/0" || len(broker.Deaths(again.Record)) != 1 {
			t.Fatalf("%+v %+v", again, broker.Deaths(again.Record))
		}
		// What retry takes: the first letter dies there too, goes back to where it came from, and dies again in w.
		first := h.receive("retry", 2)[0]
		h.reject(first)
		wait(t, func() bool { return len(h.dead("retry")) == 1 })
		h.reject(h.receive("w", 1)...)
		wait(t, func() bool { return len(h.dead("w")) == 3 })
		ds := broker.Deaths(h.dead("w")[2].Record)
		if len(ds) != 2 || ds[0].Subscription != "w" || ds[0].Count != 2 || ds[0].Subject != "again" || ds[1].Subscription != "retry" || ds[1].Subject != "failed" || ds[1].Stream != "dead" {
			t.Fatalf("%+v", ds)
		}
		if ds[0].TimeMS >= ds[1].TimeMS {
			t.Fatalf("the time of the first death of a subscription stays: %+v", ds)
		}
	})
}

// However often something dies, what it carries is bounded.
func TestDeadLetter_DeathsAreBounded(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{})
	old := make([]broker.PastDeath, broker.DeathsMax)
	for i := range old {
		old[i] = broker.PastDeath{Subscription: "old", Reason: string(rune('a' + i)), Count: 1}
	}
	text, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	h.create("dead", broker.StreamConfig{})
	h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.DeadLetters = "dead" }, "s")
	e := event("s", "", "v")
	e.Record.Headers = []record.Header{{Key: broker.HeaderDeaths, Value: text}}
	f := event("s", "", "w")
	f.Record.Headers = []record.Header{{Key: broker.HeaderDeaths, Value: []byte(`{"made":"up"`)}}
	h.mustAppend(e, f)
	h.reject(h.receive("w", 2)...)
	wait(t, func() bool { return len(h.dead("w")) == 2 })
	ls := h.dead("w")
	slices.SortFunc(ls, func(x, y broker.DeadLetter) int { return strings.Compare(x.Origin.String(), y.Origin.String()) })
	if ds := broker.Deaths(ls[0].Record); len(ds) != broker.DeathsMax || ds[0].Subscription != "w" || ds[1].Reason != "a" {
		t.Fatalf("%+v", ds)
	}
	if ds := broker.Deaths(ls[1].Record); len(ds) != 1 {
		t.Fatalf("%+v", ds)
	}
}

// Replays come at the rate that was asked for, and what is not due yet can be cancelled.
func TestDeadLetter_ReplayedNoFasterThanAsked(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("dead", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.DeadLetters = "dead" }, "s")
		h.numbers("s", 0, 6)
		h.reject(h.receive("w", 6)...)
		wait(t, func() bool { return len(h.dead("w")) == 6 })
		var refs []record.Ref
		for _, l := range h.dead("w") {
			refs = append(refs, l.Ref)
		}
		if n, err := h.b.Replay(ctx, h.c, "w", refs, 2); n != 6 || err != nil {
			t.Fatal(n, err)
		}
		for n := range 4 {
			if ds := h.poll("w", 10); len(ds) != 1 {
				t.Fatalf("%d: %v", n, payloads(ds))
			} else {
				h.ack(ds...)
			}
			h.clock.Advance(500 * time.Millisecond)
			wait(t, func() bool { return h.standing("w").Delayed == 4-n })
		}
		h.restart() // the rest is due later still
		if _, err := h.b.Replay(ctx, h.c, "w", refs, -1); !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		h.clock.Advance(time.Second)
		h.ack(h.receive("w", 2)...)
	})
}

// What was dropped is shown no more, over restarts, and the newest of what comes then is.
func TestDeadLetter_DroppedIsShownNoMore(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("dead", broker.StreamConfig{})
		for _, name := range []string{"w", "other"} {
			h.subscribe(name, broker.StartLatest, func(c *broker.SubscriptionConfig) { c.DeadLetters = "dead" }, "s")
		}
		h.numbers("s", 0, 5)
		for _, name := range []string{"w", "other"} {
			h.reject(h.receive(name, 5)...)
			wait(t, func() bool { return len(h.dead(name)) == 5 })
		}
		ls := h.dead("w")
		if err := h.b.DropDead(ctx, h.c, "w", []record.Ref{ls[1].Ref, ls[3].Ref, ls[1].Ref}); err != nil {
			t.Fatal(err)
		}
		want := []record.Ref{ls[0].Ref, ls[2].Ref, ls[4].Ref}
		refs := func(name string) (rs []record.Ref) {
			for _, l := range h.dead(name) {
				rs = append(rs, l.Ref)
			}
			return rs
		}
		h.restart()
		if got := refs("w"); !slices.Equal(got, want) || len(refs("other")) != 5 {
			t.Fatalf("%v and %d, want %v", got, len(refs("other")), want)
		}
		if err := h.b.DropDead(ctx, h.c, "w", refs("other")[:1]); !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		if err := h.b.DropAllDead(ctx, h.c, "w"); err != nil {
			t.Fatal(err)
		}
		h.numbers("s", 5, 6)
		h.reject(h.receive("w", 1)...)
		wait(t, func() bool { return len(h.dead("w")) == 1 })
		if len(refs("other")) != 5 {
			t.Fatal("letters of another subscription were dropped")
		}
	})
}

// Single events are cancelled: such as wait for their time, such as nobody has looked at yet; not such as somebody has.
func TestSubscription_Cancel(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("elsewhere", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.DelayMS, c.Where = 60_000, `data != "no"` }, "s")
		cancel := func(want string, offsets ...record.Offset) {
			t.Helper()
			var refs []record.Ref
			for _, o := range offsets {
				refs = append(refs, record.Ref{Stream: "s", Offset: o})
			}
			out, err := h.b.Cancel(ctx, h.c, "w", refs)
			var got []string
			for _, o := range out {
				got = append(got, o.String())
			}
			if err != nil || strings.Join(got, " ") != want {
				t.Fatalf("%v, %v; want %s", got, err, want)
			}
		}
		h.numbers("s", 0, 3)
		h.mustAppend(event("s", "", `"no"`))
		cancel("done", 0) // nobody has looked yet
		if ds := h.poll("w", 10); len(ds) > 0 {
			t.Fatal(payloads(ds))
		}
		cancel("done already unknown unknown", 1, 0, 3, 17)
		for range 2 {
			if i := h.standing("w"); i.Cancelled != 2 || i.Waiting != 1 || !i.Exact {
				t.Fatalf("%+v", i)
			}
			h.restart()
		}
		h.clock.Advance(2 * time.Minute)
		ds := h.receive("w", 1)
		if string(ds[0].Record.Value) != "2" {
			t.Fatal(payloads(ds))
		}
		cancel("lost already", 2, 0)
		h.ack(ds...)
		cancel("already", 2)
		h.nothing("w")
		if out, err := h.b.Cancel(ctx, h.c, "w", []record.Ref{{Stream: "elsewhere"}}); err != nil || out[0] != broker.OutcomeUnknown {
			t.Fatal(out, err)
		}
	})
}
