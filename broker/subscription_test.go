package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter/address"
	"leat/broker/record"
	"leat/storage/journal"
	journalmem "leat/storage/journal/memory"
)

// subscribe makes a delivery subscription to streams.
func (h *house) subscribe(name string, from broker.StartKind, edit func(*broker.SubscriptionConfig), streams ...string) broker.SubscriptionInfo {
	h.t.Helper()
	info, err := h.b.PutSubscription(context.Background(), h.c, name, func(c *broker.SubscriptionConfig) error {
		c.Streams = streams
		c.Policy.Kind = broker.SubscriptionDelivery
		if edit != nil {
			edit(c)
		}
		return nil
	}, broker.Start{Kind: from}, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return info
}

// receive takes what comes until n are there.
func (h *house) receive(name string, n int) []broker.Delivery {
	h.t.Helper()
	var out []broker.Delivery
	for len(out) < n {
		ds, err := h.b.Receive(context.Background(), h.c, name, broker.ReceiveRequest{Max: n - len(out), Wait: 5 * time.Second})
		if err != nil {
			h.t.Fatal(err)
		}
		if len(ds) == 0 {
			h.t.Fatalf("%d of %d came: %v", len(out), n, payloads(out))
		}
		out = append(out, ds...)
	}
	return out
}

// nothing sees to it that nothing is handed over.
func (h *house) nothing(name string) {
	h.t.Helper()
	ds, err := h.b.Receive(context.Background(), h.c, name, broker.ReceiveRequest{Max: 10, Wait: 150 * time.Millisecond})
	if err != nil || len(ds) > 0 {
		h.t.Fatalf("got %v, %v", payloads(ds), err)
	}
}

func payloads(ds []broker.Delivery) []string {
	out := make([]string, len(ds))
	for i := range ds {
		out[i] = string(ds[i].Record.Value)
	}
	return out
}

func handles(ds []broker.Delivery) []broker.Handle {
	out := make([]broker.Handle, len(ds))
	for i := range ds {
		out[i] = ds[i].Handle
	}
	return out
}

func (h *house) ack(ds ...broker.Delivery) {
	h.t.Helper()
	out, err := h.b.Ack(context.Background(), h.c, handles(ds))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, o := range out {
		if !o.Good() {
			h.t.Fatalf("ack: %v", out)
		}
	}
}

func (h *house) standing(name string) broker.SubscriptionInfo {
	h.t.Helper()
	info, err := h.b.DescribeSubscription(context.Background(), h.c, name)
	if err != nil {
		h.t.Fatal(err)
	}
	return info
}

func (h *house) numbers(stream string, from, to int) {
	h.t.Helper()
	for i := from; i < to; i++ {
		h.mustAppend(event(stream, "", fmt.Sprint(i)))
	}
}

func TestSubscription_AckedIsNeverHandedOverAgain(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.numbers("s", 0, 2) // before it began
		h.subscribe("w", broker.StartLatest, nil, "s")
		h.numbers("s", 2, 7)
		ds := h.receive("w", 5)
		if got := strings.Join(payloads(ds), " "); got != "2 3 4 5 6" {
			t.Fatal(got)
		}
		h.nothing("w")
		h.ack(ds[0], ds[2], ds[4])
		if i := h.standing("w"); i.Waiting != 2 || i.Leased != 2 || i.Acked != 3 || !i.Exact || i.Oldest.IsZero() {
			t.Fatalf("%+v", i)
		}
		for _, again := range []func(){h.restart, h.forget} {
			again()
			h.clock.Advance(10 * time.Second) // whoever had them may settle them for a while
			ds = h.receive("w", 2)
			if got := strings.Join(payloads(ds), " "); got != "3 5" || ds[0].Attempt < 2 || !ds[0].Again {
				t.Fatalf("%s, attempt %d", got, ds[0].Attempt)
			}
		}
		h.ack(ds...)
		h.restart()
		h.clock.Advance(10 * time.Second)
		h.nothing("w")
		if i := h.standing("w"); i.Waiting != 0 || i.WaitingBytes != 0 || i.Acked != 5 {
			t.Fatalf("%+v", i)
		}
	})
}

func TestSubscription_AttemptsSurviveAndThePoisonedIsBuried(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("dead", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.DeadLetters, c.Policy.AttemptsMax = "dead", 3 }, "s")
		h.mustAppend(event("s", "k", "poison"))
		for n := 1; n <= 3; n++ {
			if d := h.receive("w", 1)[0]; d.Attempt != n {
				t.Fatalf("attempt %d, want %d", d.Attempt, n)
			}
			h.restart() // the process is killed each time
			h.clock.Advance(10 * time.Second)
		}
		h.nothing("w")
		wait(t, func() bool { return h.standing("w").Dead == 1 })
		ls, _, _, err := h.b.DeadLetters(context.Background(), h.c, "w", broker.Start{}, 10)
		if err != nil || len(ls) != 1 {
			t.Fatalf("%v, %v", ls, err)
		}
		if l := ls[0]; l.Reason != "exhausted" || l.Attempts != 3 || l.Origin != (record.Ref{Stream: "s"}) || string(l.Record.Value) != "poison" {
			t.Fatalf("%+v", l)
		}
		if n, err := h.b.Replay(context.Background(), h.c, "w", []record.Ref{ls[0].Ref}, 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		h.ack(h.receive("w", 1)...)
		if i := h.standing("w"); i.Waiting != 0 {
			t.Fatalf("%+v", i)
		}
	})
}

// wait waits until something holds that happens in the background.
func wait(t testing.TB, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it does not come to that")
}

func TestSubscription_OrderByKeyHoldsUnderRetries(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.Order = broker.OrderKey }, "s")
		var want []string
		for i := range 20 {
			k := string(rune('a' + i%4))
			e := event("s", k, fmt.Sprint(k, i))
			e.Partition = record.NoPartition
			h.mustAppend(e)
			want = append(want, fmt.Sprint(k, i))
		}
		failed := map[string]bool{}
		got := map[string][]string{}
		for n := 0; n < 20; {
			for _, d := range h.receive("w", 1) {
				v := string(d.Record.Value)
				if !failed[v] {
					failed[v] = true
					if out, err := h.b.Release(context.Background(), h.c, []broker.Handle{d.Handle}, 0, true); err != nil || out[0] != broker.OutcomeDone {
						t.Fatal(out, err)
					}
					continue
				}
				got[v[:1]] = append(got[v[:1]], v)
				h.ack(d)
				if n++; n == 10 {
					h.restart()
				}
			}
		}
		for _, k := range []string{"a", "b", "c", "d"} {
			var of []string
			for _, v := range want {
				if v[:1] == k {
					of = append(of, v)
				}
			}
			if !slices.Equal(got[k], of) {
				t.Errorf("%s: got %v, want %v", k, got[k], of)
			}
		}
	})
}

func TestSubscription_Members(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{})
		h.subscribe("one", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.Members = broker.MembersExclusive }, "s")
		h.subscribe("active", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.Members = broker.MembersSingleActive }, "s")
		m, err := h.b.Attach(ctx, h.c, "one", broker.MemberOptions{Credit: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.b.Attach(ctx, h.c, "one", broker.MemberOptions{Credit: 1})
		wantKind(t, err, fault.Conflict)
		first, err := h.b.Attach(ctx, h.c, "active", broker.MemberOptions{Prefetch: 2})
		if err != nil {
			t.Fatal(err)
		}
		second, err := h.b.Attach(ctx, h.c, "active", broker.MemberOptions{Prefetch: 2})
		if err != nil {
			t.Fatal(err)
		}
		h.numbers("s", 0, 4)
		next := func(m *broker.Member, n int) []broker.Delivery {
			t.Helper()
			ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
			defer cancel()
			var out []broker.Delivery
			for len(out) < n {
				ds, err := m.Next(ctx, n-len(out))
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, ds...)
			}
			return out
		}
		if got := payloads(next(m, 1)); got[0] != "0" {
			t.Fatal(got)
		}
		ds := next(first, 2)
		time.Sleep(50 * time.Millisecond)
		if more, err := m.TryNext(10); len(more) > 0 || err != nil {
			t.Fatal("more than the credit: ", payloads(more), err)
		}
		if more, err := second.TryNext(10); len(more) > 0 || err != nil {
			t.Fatal("the one in waiting: ", payloads(more), err)
		}
		if err := m.Grant(ctx, 2); err != nil {
			t.Fatal(err)
		}
		next(m, 2)
		h.ack(ds[0])
		if got := payloads(next(first, 1)); got[0] != "2" {
			t.Fatal(got)
		}
		if err := first.Detach(ctx, false); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(payloads(next(second, 2)), " "); got != "1 2" {
			t.Fatal(got)
		}
		if err := h.b.DeleteSubscription(ctx, h.c, "active"); err != nil {
			t.Fatal(err)
		}
		_, err = second.Next(ctx, 1)
		wantKind(t, err, fault.NotFound)
		_, err = h.b.DescribeSubscription(ctx, h.c, "active")
		wantKind(t, err, fault.NotFound)
	})
}

func TestSubscription_DelayAndTimeToLive(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.subscribe("late", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.DelayMS = 60_000 }, "s")
		h.subscribe("brief", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.TTLMS = 30_000 }, "s")
		h.numbers("s", 0, 2)
		h.nothing("late")
		h.clock.Advance(31 * time.Second)
		wait(t, func() bool { return h.standing("brief").Dead == 2 })
		h.nothing("brief")
		h.restart()
		h.nothing("late")
		h.clock.Advance(30 * time.Second)
		if got := strings.Join(payloads(h.receive("late", 2)), " "); got != "0 1" {
			t.Fatal(got)
		}
	})
}

func TestSubscription_ExpiredIsDroppedWhereAskedFor(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("dead", broker.StreamConfig{})
		for _, drop := range []bool{false, true} {
			h.subscribe(fmt.Sprint("brief-", drop), broker.StartLatest, func(c *broker.SubscriptionConfig) {
				c.Policy.TTLMS, c.DeadLetters, c.DropExpired = 30_000, "dead", drop
			}, "s")
		}
		h.numbers("s", 0, 2)
		h.clock.Advance(31 * time.Second)
		wait(t, func() bool { return h.standing("brief-true").Dead == 2 && h.standing("brief-false").Dead == 2 })
		if got := h.values("dead"); len(got) != 2 {
			t.Fatalf("dead letters %v; want those of one subscription", got)
		}
	})
}

func TestSubscription_FiltersByAddressAndContent(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		to := func(pattern string) func(*broker.SubscriptionConfig) {
			return func(c *broker.SubscriptionConfig) {
				c.Address = []broker.AddressFilter{{Key: address.Pattern{Syntax: address.Words, Text: pattern}}}
			}
		}
		h.subscribe("eu", broker.StartLatest, to("eu.#"), "s")
		h.subscribe("de", broker.StartLatest, to("*.de"), "s")
		h.subscribe("big", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Where = `key.startsWith("us")` }, "s")
		send := func() {
			for _, k := range []string{"eu.de", "eu.fr", "us.ny", "ap.de"} {
				h.mustAppend(event("s", k, k))
			}
		}
		send()
		if i := h.standing("eu"); i.Waiting != 2 || !i.Exact {
			t.Fatalf("%+v", i)
		}
		if i := h.standing("de"); i.Waiting != 2 {
			t.Fatalf("%+v", i)
		}
		// What is changed counts from the change on.
		if _, err := h.b.PutSubscription(context.Background(), h.c, "eu", func(c *broker.SubscriptionConfig) error { to("us.#")(c); return nil }, broker.Start{Kind: broker.StartLatest}, 0); err != nil {
			t.Fatal(err)
		}
		send()
		h.restart()
		h.clock.Advance(10 * time.Second)
		for name, want := range map[string]string{"eu": "eu.de eu.fr us.ny", "de": "eu.de ap.de eu.de ap.de", "big": "us.ny us.ny"} {
			ds := h.receive(name, len(strings.Fields(want)))
			if got := strings.Join(payloads(ds), " "); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
			h.nothing(name)
			h.ack(ds...)
			if i := h.standing(name); i.Waiting != 0 || i.WaitingBytes != 0 {
				t.Errorf("%s: %+v", name, i)
			}
		}
		v, err := h.b.Explain(context.Background(), h.c, "big", record.Ref{Stream: "s", Offset: 0})
		if err != nil || !v.Reads || !v.Reaches || v.Matches || v.State != "settled" {
			t.Fatalf("%+v, %v", v, err)
		}
	})
}

func TestSubscription_RewindsAndCounts(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.numbers("s", 0, 5)
		h.subscribe("w", broker.StartEarliest, nil, "s")
		wait(t, func() bool { i := h.standing("w"); return i.Exact && i.Waiting == 5 && i.WaitingBytes > 0 })
		old := h.receive("w", 5)
		h.ack(old[:3]...)
		if err := h.b.Rewind(context.Background(), h.c, "w", broker.Start{Kind: broker.StartOffset, Offset: 2}); err != nil {
			t.Fatal(err)
		}
		if out, err := h.b.Ack(context.Background(), h.c, handles(old[3:])); err != nil || out[0] != broker.OutcomeLost {
			t.Fatal(out, err)
		}
		ds := h.receive("w", 3)
		if got := strings.Join(payloads(ds), " "); got != "2 3 4" {
			t.Fatal(got)
		}
		h.ack(ds...)
		wait(t, func() bool { i := h.standing("w"); return i.Exact && i.Waiting == 0 })
		h.numbers("s", 5, 7)
		if err := h.b.Suspend(context.Background(), h.c, "w"); err != nil {
			t.Fatal(err)
		}
		h.nothing("w")
		if err := h.b.Resume(context.Background(), h.c, "w"); err != nil {
			t.Fatal(err)
		}
		h.receive("w", 2)
	})
}

func TestSubscription_AppendWithAcksIsOne(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("in", broker.StreamConfig{})
		h.create("out", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, nil, "in")
		h.numbers("in", 0, 2)
		ds := h.receive("w", 2)
		if _, err := h.b.AppendEvents(ctx, h.c, broker.EventsAppend{Events: []broker.EventEntry{event("out", "", "a")}, Acks: handles(ds[:1])}); err != nil {
			t.Fatal(err)
		}
		if err := h.b.Rewind(ctx, h.c, "w", broker.Start{Kind: broker.StartLatest}); err != nil {
			t.Fatal(err)
		}
		_, err := h.b.AppendEvents(ctx, h.c, broker.EventsAppend{Events: []broker.EventEntry{event("out", "", "b")}, Acks: handles(ds[1:])})
		wantKind(t, err, fault.Conflict)
		if got := h.values("out"); !slices.Equal(got, []string{"a"}) {
			t.Fatal(got)
		}
		// A condition that fails acks nothing either.
		h.numbers("in", 2, 3)
		ds = h.receive("w", 1)
		e := event("out", "k", "c")
		e.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: 7}
		_, err = h.b.AppendEvents(ctx, h.c, broker.EventsAppend{Events: []broker.EventEntry{e}, Acks: handles(ds)})
		wantKind(t, err, fault.Conflict)
		if i := h.standing("w"); i.Waiting != 1 {
			t.Fatalf("%+v", i)
		}
		text, err := h.b.HandleText(ds[0].Handle)
		if err != nil {
			t.Fatal(err)
		}
		h.restart()
		back, err := h.b.ParseHandle(h.c, text)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := h.b.Ack(ctx, h.c, []broker.Handle{back}); err != nil || out[0] != broker.OutcomeLate {
			t.Fatal(out, err)
		}
		_, err = h.b.ParseHandle(h.c, "AAAA"+text[4:])
		wantKind(t, err, fault.Invalid)
		h.clock.Advance(10 * time.Second)
		h.nothing("w")
	})
}

func TestSubscription_RetentionWaitsUpToALimit(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keep: broker.Keep{RetentionMS: 1000}})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.BacklogMax = 5 }, "s")
		h.numbers("s", 0, 4)
		h.clock.Advance(time.Minute)
		keep := func(want record.Offset) {
			t.Helper()
			if err := h.b.KeepOnce(context.Background()); err != nil {
				t.Fatal(err)
			}
			i, err := h.b.DescribeStream(context.Background(), h.c, "s")
			if err != nil || i.Partitions[0].Start != want {
				t.Fatalf("starts at %d, want %d: %v", i.Partitions[0].Start, want, err)
			}
		}
		keep(0)
		h.ack(h.receive("w", 1)...)
		h.numbers("s", 4, 10)
		h.clock.Advance(time.Minute)
		keep(5) // nine waited, which is more than it may hold back: the newest five stay
		if i := h.standing("w"); i.Gaps != 4 || i.Waiting != 5 {
			t.Fatalf("%+v", i)
		}
		h.numbers("s", 10, 11)
		h.ack(h.receive("w", 6)...)
		keep(10)
	})
}

func TestSubscription_ADiskThatFailsGivesLeasesBack(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("other", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, nil, "s")
		h.numbers("s", 0, 3)
		ds := h.receive("w", 3)
		h.ack(ds[0])
		for _, failing := range []journalmem.Outcome{journalmem.NoSpace, journalmem.Lost} {
			for _, j := range h.journals {
				j.SetHook(func(journal.Frame) journalmem.Outcome { return failing })
			}
			if _, err := h.append(event("s", "", "lost")); err == nil {
				t.Fatal("an append on a broken disk")
			}
			for _, j := range h.journals {
				j.SetHook(nil)
			}
			wait(t, func() bool { _, err := h.append(event("other", "", "x")); return err == nil })
		}
		h.clock.Advance(10 * time.Second)
		if got := strings.Join(payloads(h.receive("w", 2)), " "); got != "1 2" {
			t.Fatal(got)
		}
	})
}

func TestSubscription_FullOnesRefuseAppends(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.Policy.LengthMax, c.Policy.Overflow = 2, broker.OverflowRejectAppend
			c.Address = []broker.AddressFilter{{Key: address.Pattern{Syntax: address.Exact, Text: "k"}}}
		}, "s")
		h.mustAppend(event("s", "k", "1"), event("s", "k", "2"))
		_, err := h.append(event("s", "k", "3"))
		wantKind(t, err, fault.QuotaSpent)
		h.mustAppend(event("s", "other", "4"))
		h.ack(h.receive("w", 1)...)
		h.mustAppend(event("s", "k", "5"))
		if got := h.values("s"); !slices.Equal(got, []string{"1", "2", "4", "5"}) {
			t.Fatal(got)
		}
	})
}

func TestSubscription_StreamsThatGrowAndGo(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.cfg.UndeleteWindow = 0
		h.restart()
		h.create("a", broker.StreamConfig{})
		h.create("b", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, nil, "a")
		if _, err := h.b.AlterStream(ctx, h.c, "a", func(c *broker.StreamConfig) error { c.Partitions = 3; return nil }, 0); err != nil {
			t.Fatal(err)
		}
		e := event("a", "", "third")
		e.Partition = 2
		h.mustAppend(e)
		h.ack(h.receive("w", 1)...)
		if _, err := h.b.PutSubscription(ctx, h.c, "w", func(c *broker.SubscriptionConfig) error {
			c.Streams = append(c.Streams, "b")
			return nil
		}, broker.Start{Kind: broker.StartLatest}, 0); err != nil {
			t.Fatal(err)
		}
		h.mustAppend(event("a", "", "gone"))
		h.mustAppend(event("b", "", "there"))
		if err := h.b.DeleteStream(ctx, h.c, "a"); err != nil {
			t.Fatal(err)
		}
		wait(t, func() bool { return h.standing("w").Waiting == 1 })
		if got := payloads(h.receive("w", 1)); got[0] != "there" {
			t.Fatal(got)
		}
		h.forget()
		h.clock.Advance(10 * time.Second)
		h.ack(h.receive("w", 1)...)
	})
}

func TestSubscription_TakesRights(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, nil, "s")
		h.mustAppend(event("s", "", "v"))
		root := broker.User{Name: "root", Password: "root-password", Grants: []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}}
		if _, err := h.b.PutUser(ctx, h.c, root); err != nil {
			t.Fatal(err)
		}
		c := *h.c
		c.Principal = "root"
		reader := broker.User{Name: "reader", Password: "some-password", Grants: []broker.Grant{
			{Action: broker.ActionRead, Kind: broker.KindSubscription, Pattern: "w"}, {Action: broker.ActionCreate, Kind: broker.KindSubscription, Pattern: "*"},
		}}
		if _, err := h.b.PutUser(ctx, &c, reader); err != nil {
			t.Fatal(err)
		}
		r := *h.c
		r.Principal = "reader"
		ds, err := h.b.Receive(ctx, &r, "w", broker.ReceiveRequest{Wait: 5 * time.Second})
		if err != nil || len(ds) != 1 {
			t.Fatal(ds, err)
		}
		_, err = h.b.Ack(ctx, h.c, handles(ds)) // nobody
		wantKind(t, err, fault.Denied)
		if _, err := h.b.Ack(ctx, &r, handles(ds)); err != nil {
			t.Fatal(err)
		}
		wantKind(t, h.b.DeleteSubscription(ctx, &r, "w"), fault.Denied)
		// Who may make subscriptions may not read streams through them.
		_, err = h.b.PutSubscription(ctx, &r, "mine", func(c *broker.SubscriptionConfig) error {
			c.Streams, c.Policy.Kind = []string{"s"}, broker.SubscriptionDelivery
			return nil
		}, broker.Start{}, 0)
		wantKind(t, err, fault.Denied)
		other := broker.Caller{Namespace: "elsewhere", Principal: "root"}
		_, err = h.b.Ack(ctx, &other, handles(ds))
		wantKind(t, err, fault.Denied)
	})
}

// Whoever gives up at whatever moment leaves no credit behind, by which events would be handed to nobody.
func TestSubscription_WhoGivesUpLeavesNoCredit(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, nil, "s")
		for i := range 400 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%40)*time.Microsecond)
			_, _ = h.b.Receive(ctx, h.c, "w", broker.ReceiveRequest{Max: 1, Wait: time.Second}) // fails or not: both are right
			cancel()
		}
		h.numbers("s", 0, 3)
		time.Sleep(50 * time.Millisecond)
		if i := h.standing("w"); i.Leased != 0 || i.Waiting != 3 {
			t.Fatalf("%+v", i)
		}
		if ds := h.receive("w", 3); ds[0].Attempt != 1 {
			t.Fatalf("attempt %d", ds[0].Attempt)
		}
	})
}

// A filter may be changed as often as one likes; only so many versions are kept that events wait for.
func TestSubscription_FiltersAreForgotten(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		change := func(name string, i int) error {
			_, err := h.b.PutSubscription(context.Background(), h.c, name, func(c *broker.SubscriptionConfig) error {
				c.Where = fmt.Sprintf(`key == "k%d"`, i)
				return nil
			}, broker.Start{Kind: broker.StartLatest}, 0)
			return err
		}
		where := func(c *broker.SubscriptionConfig) { c.Where = `key == "k0"` }
		h.subscribe("done", broker.StartLatest, where, "s")
		h.subscribe("late", broker.StartLatest, where, "s")
		refused := 0
		for i := range broker.FilterVersionsMax + 10 {
			h.mustAppend(event("s", fmt.Sprint("k", i), "yes"), event("s", "other", "no"))
			ds := h.receive("done", 1)
			if got := payloads(ds); len(got) != 1 || got[0] != "yes" {
				t.Fatalf("change %d: %v", i, got)
			}
			h.ack(ds...)
			if err := change("done", i+1); err != nil {
				t.Fatalf("change %d: %v", i, err)
			}
			if i == broker.FilterVersionsMax+5 {
				h.restart()
				h.clock.Advance(10 * time.Second)
			}
			if err := change("late", i+1); err != nil { // the first still waits
				wantKind(t, err, fault.QuotaSpent)
				refused++
			}
		}
		h.nothing("done")
		if refused == 0 {
			t.Error("versions that events wait for were forgotten")
		}
		ds := h.receive("late", broker.FilterVersionsMax)
		h.ack(ds...)
		for _, p := range payloads(ds) {
			if p != "yes" {
				t.Fatalf("%v", payloads(ds))
			}
		}
	})
}

// What is handed over of one key goes to one receiver at a time, however many wait and whatever each asks for.
func TestReceive_OfAKeyIsOneReceivers(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 1})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.Order, c.Policy.RunMax = broker.OrderKey, 10 }, "s")
		const keys, each = 3, 8
		for i := range each {
			for k := range keys {
				h.mustAppend(event("s", fmt.Sprint("k", k), fmt.Sprint(i)))
			}
		}
		var mu sync.Mutex
		holder, next, left := map[string]int{}, map[string]int{}, keys*each
		one := func(worker int) {
			for {
				mu.Lock()
				done := left == 0
				mu.Unlock()
				if done {
					return
				}
				ds, err := h.b.Receive(context.Background(), h.c, "w", broker.ReceiveRequest{Max: 1 + 3*worker, Wait: 20 * time.Millisecond})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i := range ds {
					k, v := string(ds[i].Record.Key), string(ds[i].Record.Value)
					if by, held := holder[k]; held && by != worker {
						t.Errorf("%s is with %d and %d", k, by, worker)
					}
					if v != fmt.Sprint(next[k]) {
						t.Errorf("%s: got %s, want %d", k, v, next[k])
					}
					holder[k] = worker
					next[k]++
				}
				left -= len(ds)
				mu.Unlock()
				if len(ds) > 0 {
					time.Sleep(time.Millisecond)
					mu.Lock()
					for i := range ds {
						delete(holder, string(ds[i].Record.Key)) // before the ack: after it, it may be with another at once
					}
					mu.Unlock()
					if _, err := h.b.Ack(context.Background(), h.c, handles(ds)); err != nil {
						t.Error(err)
					}
				}
			}
		}
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() { one(w) })
		}
		wg.Wait()
	})
}
