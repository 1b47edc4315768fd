package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
)

// shadow makes a shadow.
func (h *house) shadow(name, of string, edit func(*broker.SubscriptionConfig)) {
	h.t.Helper()
	h.subscribe(name, broker.StartLatest, func(c *broker.SubscriptionConfig) {
		c.ShadowOf = of
		if edit != nil {
			edit(c)
		}
	})
}

// comes takes n deliveries of a subscription, however long they are on their way.
func (h *house) comes(name string, n int) []broker.Delivery {
	h.t.Helper()
	var out []broker.Delivery
	for len(out) < n {
		ds, err := h.b.Receive(context.Background(), h.c, name, broker.ReceiveRequest{Max: n - len(out), Wait: 30 * time.Second})
		if err != nil || len(ds) == 0 {
			h.t.Fatalf("%d of %d came to %s: %v, %v", len(out), n, name, payloads(out), err)
		}
		out = append(out, ds...)
	}
	return out
}

// waits sees to it that so many wait for a subscription.
func (h *house) waits(name string, n int64) {
	h.t.Helper()
	for began := time.Now(); h.standing(name).Waiting != n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			h.t.Fatalf("%d wait for %s, not %d", h.standing(name).Waiting, name, n)
		}
	}
}

func said(ds []broker.Delivery) string {
	var out []string
	for i := range ds {
		out = append(out, fmt.Sprintf("%s#%d", ds[i].Record.Value, ds[i].Attempt))
	}
	return strings.Join(out, " ")
}

func ids(ds []broker.Delivery) (out []string) {
	for i := range ds {
		out = append(out, ds[i].ID)
	}
	return out
}

func TestShadow_GetsTheSameAndChangesNothing(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{})
		h.create("dead", broker.StreamConfig{})
		h.subscribe("real", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.Where, c.DeadLetters, c.Policy.AttemptsMax = `offset != 1`, "dead", 2
		}, "s")
		h.shadow("new", "real", nil)
		h.numbers("s", 0, 5)
		h.nothing("new") // the real one has handed nothing over
		real := h.receive("real", 4)
		shade := h.comes("new", 4)
		if said(real) != "0#1 2#1 3#1 4#1" || said(shade) != said(real) || !slices.Equal(ids(shade), ids(real)) || shade[3].Ref != real[3].Ref {
			t.Fatalf("%s; the shadow %s", said(real), said(shade))
		}
		// Whatever it does counts for nothing.
		for _, do := range []func() ([]broker.Outcome, error){
			func() ([]broker.Outcome, error) { return h.b.Ack(ctx, h.c, handles(shade[:1])) },
			func() ([]broker.Outcome, error) { return h.b.Reject(ctx, h.c, handles(shade[1:2])) },
			func() ([]broker.Outcome, error) { return h.b.Release(ctx, h.c, handles(shade[2:3]), 0, true) },
			func() ([]broker.Outcome, error) { return h.b.Renew(ctx, h.c, handles(shade[3:]), time.Hour) },
		} {
			if out, err := do(); err != nil || out[0] != broker.OutcomeDone {
				t.Fatal(out, err)
			}
		}
		if i := h.standing("real"); i.Waiting != 4 || i.Leased != 4 || i.Acked != 0 || i.Dead != 0 {
			t.Fatalf("%+v", i)
		}
		if i := h.standing("new"); i.Waiting != 1 || i.Leased != 1 || i.Acked != 1 || i.Dead != 1 || i.Oldest.IsZero() {
			t.Fatalf("%+v", i)
		}
		h.nothing("new")
		h.ack(real[0], real[1])
		// What the real one hands over again, the shadow gets again.
		if _, err := h.b.Release(ctx, h.c, handles(real[2:3]), 0, true); err != nil {
			t.Fatal(err)
		}
		again := h.receive("real", 1)
		if got := h.comes("new", 1); said(got) != "3#2" || !got[0].Again {
			t.Fatal(said(got))
		}
		h.ack(again[0], real[3])
		if err := h.b.Rewind(ctx, h.c, "real", broker.Start{Kind: broker.StartEarliest}); err != nil {
			t.Fatal(err)
		}
		h.ack(h.receive("real", 4)...)
		if got := h.comes("new", 4); said(got) != "0#1 2#1 3#1 4#1" {
			t.Fatal(said(got))
		}
		// It stays over a restart, and what waited for it does not.
		h.numbers("s", 5, 6)
		h.ack(h.receive("real", 1)...)
		h.waits("new", 7) // six that it has said nothing of
		h.restart()
		h.nothing("new")
		h.numbers("s", 6, 7)
		h.ack(h.receive("real", 1)...)
		if got := h.comes("new", 1); said(got) != "6#1" {
			t.Fatal(said(got))
		}
		wantKind(t, h.b.Rewind(ctx, h.c, "new", broker.Start{Kind: broker.StartEarliest}), fault.Invalid)
	})
}

// What nobody has seen can be given back; a slow one loses the oldest; a member's prefetch holds.
func TestShadow_IsBounded(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{})
		h.subscribe("real", broker.StartLatest, nil, "s")
		h.shadow("slow", "real", func(c *broker.SubscriptionConfig) { c.Policy.LengthMax = 3 })
		h.shadow("tiny", "real", nil)
		m, err := h.b.Attach(ctx, h.c, "tiny", broker.MemberOptions{Prefetch: 2})
		if err != nil {
			t.Fatal(err)
		}
		h.numbers("s", 0, 5)
		h.ack(h.receive("real", 5)...)
		h.waits("tiny", 5)
		h.waits("slow", 3)
		if i := h.standing("slow"); i.Gaps != 2 {
			t.Fatalf("%+v", i)
		}
		ds := h.comes("slow", 2)
		if said(ds) != "2#1 3#1" {
			t.Fatal(said(ds))
		}
		if _, err := h.b.Release(ctx, h.c, handles(ds[1:]), 0, false); err != nil {
			t.Fatal(err)
		}
		if ds = h.comes("slow", 2); said(ds) != "3#1 4#1" {
			t.Fatal(said(ds))
		}
		first, err := m.Next(ctx, 10)
		if err != nil || said(first) != "0#1 1#1" {
			t.Fatal(said(first), err)
		}
		if more, _ := m.TryNext(10); len(more) > 0 {
			t.Fatal(said(more))
		}
		h.ack(first[0])
		if more, _ := m.TryNext(10); said(more) != "2#1" {
			t.Fatal(said(more))
		}
		if err := m.Detach(ctx, true); err != nil {
			t.Fatal(err)
		}
		if ds = h.comes("tiny", 2); said(ds) != "3#1 4#1" {
			t.Fatal(said(ds))
		}
		// Suspended, it keeps what comes, and drops it when told.
		if err := h.b.Suspend(ctx, h.c, "tiny"); err != nil {
			t.Fatal(err)
		}
		h.numbers("s", 5, 7)
		h.ack(h.receive("real", 2)...)
		h.waits("slow", 5) // three held, and two
		h.nothing("tiny")
		if err := h.b.Rewind(ctx, h.c, "tiny", broker.Start{Kind: broker.StartLatest}); err != nil {
			t.Fatal(err)
		}
		if err := h.b.Resume(ctx, h.c, "tiny"); err != nil {
			t.Fatal(err)
		}
		h.nothing("tiny")
	})
}

// A shadow holds no record back: what goes before it was read is counted.
func TestShadow_HoldsNothingBack(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{})
		h.subscribe("real", broker.StartLatest, nil, "s")
		h.shadow("new", "real", nil)
		h.numbers("s", 0, 4)
		h.ack(h.receive("real", 4)...)
		h.waits("new", 4)
		if _, err := h.b.Truncate(ctx, h.c, broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartOffset, Offset: 2}}); err != nil {
			t.Fatal(err)
		}
		if got := h.comes("new", 2); said(got) != "2#1 3#1" {
			t.Fatal(said(got))
		}
		for began := time.Now(); h.standing("new").Gaps != 2; time.Sleep(time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%+v", h.standing("new"))
			}
		}
	})
}

func TestShadow_IsBoundToAName(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{})
		h.subscribe("real", broker.StartLatest, nil, "s")
		h.shadow("new", "real", func(c *broker.SubscriptionConfig) { c.Policy.Members = broker.MembersExclusive })
		if err := h.b.DeleteSubscription(ctx, h.c, "real"); err != nil {
			t.Fatal(err)
		}
		h.subscribe("real", broker.StartEarliest, nil, "s")
		h.numbers("s", 0, 1)
		h.ack(h.receive("real", 1)...)
		m, err := h.b.Attach(ctx, h.c, "new", broker.MemberOptions{Credit: 5})
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.b.Attach(ctx, h.c, "new", broker.MemberOptions{Credit: 5})
		wantKind(t, err, fault.Conflict)
		if ds, err := m.Next(ctx, 5); err != nil || said(ds) != "0#1" {
			t.Fatal(said(ds), err)
		}
		if err := h.b.DeleteSubscription(ctx, h.c, "new"); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Next(ctx, 5); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		h.numbers("s", 1, 2)
		h.ack(h.receive("real", 1)...)
	})
}

func TestShadow_Refused(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{})
	h.subscribe("real", broker.StartLatest, nil, "s")
	h.subscribe("positions", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.Kind = broker.SubscriptionCursor }, "s")
	h.shadow("new", "real", nil)
	put := func(name string, from broker.StartKind, edit func(*broker.SubscriptionConfig)) error {
		_, err := h.b.PutSubscription(context.Background(), h.c, name, func(c *broker.SubscriptionConfig) error {
			edit(c)
			return nil
		}, broker.Start{Kind: from}, 0)
		return err
	}
	for what, edit := range map[string]func(*broker.SubscriptionConfig){
		"streams":  func(c *broker.SubscriptionConfig) { c.Streams = []string{"s"} },
		"where":    func(c *broker.SubscriptionConfig) { c.Where = "true" },
		"order":    func(c *broker.SubscriptionConfig) { c.Policy.Order = broker.OrderKey },
		"attempts": func(c *broker.SubscriptionConfig) { c.Policy.AttemptsMax = 3 },
		"letters":  func(c *broker.SubscriptionConfig) { c.DeadLetters = "s" },
		"length":   func(c *broker.SubscriptionConfig) { c.Policy.LengthMax = broker.ShadowWaitingLimit + 1 },
		"cursor":   func(c *broker.SubscriptionConfig) { c.ShadowOf = "positions" },
		"shadow":   func(c *broker.SubscriptionConfig) { c.ShadowOf = "new" },
	} {
		t.Run(what, func(t *testing.T) {
			wantKind(t, put("x", broker.StartLatest, func(c *broker.SubscriptionConfig) {
				c.ShadowOf = "real"
				edit(c)
			}), fault.Invalid)
		})
	}
	wantKind(t, put("x", broker.StartEarliest, func(c *broker.SubscriptionConfig) { c.ShadowOf = "real" }), fault.Invalid)
	wantKind(t, put("x", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.ShadowOf = "none" }), fault.NotFound)
	wantKind(t, put("new", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.ShadowOf = "" }), fault.Conflict)
	wantKind(t, put("real", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.ShadowOf = "new" }), fault.Conflict)
	for i := 1; i < broker.ShadowsMax; i++ {
		if err := put(fmt.Sprint("n", i), broker.StartLatest, func(c *broker.SubscriptionConfig) { c.ShadowOf = "real" }); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, put("more", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.ShadowOf = "real" }), fault.QuotaSpent)
}
