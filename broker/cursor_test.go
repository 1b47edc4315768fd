package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter/address"
	"leat/broker/record"
)

func (h *house) cursor(name string, edit func(*broker.SubscriptionConfig), streams ...string) {
	h.t.Helper()
	h.subscribe(name, broker.StartEarliest, func(c *broker.SubscriptionConfig) {
		c.Policy.Kind = broker.SubscriptionCursor
		if edit != nil {
			edit(c)
		}
	}, streams...)
}

func (h *house) positions(name string, streams ...string) string {
	h.t.Helper()
	ps, err := h.b.Positions(ctx, h.c, name, streams)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, p := range ps {
		out = append(out, fmt.Sprintf("%s/%d at %d of %d-%d epoch %d lag %d %q", p.Stream, p.Partition, p.Offset, p.Start, p.End, p.LeaderEpoch, p.Lag, p.Metadata))
	}
	return strings.Join(out, "; ")
}

// Positions are kept, all of a call or none, over restarts, of streams that are named or of any; forgotten when they are to be, and with their stream.
func TestCursor_KeepsPositions(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2})
		h.create("t", broker.StreamConfig{})
		h.numbers("s", 0, 5)
		h.cursor("group", nil)
		h.cursor("reader", nil, "s")
		commit := func(ps ...broker.PositionCommit) error { return h.b.CommitPositions(ctx, h.c, "group", ps) }
		if err := commit(broker.PositionCommit{Stream: "s", Offset: 3, LeaderEpoch: 7, Metadata: "m"}, broker.PositionCommit{Stream: "t", Offset: 9, LeaderEpoch: -1}); err != nil {
			t.Fatal(err)
		}
		const want = `s/0 at 3 of 0-5 epoch 7 lag 2 "m"; t/0 at 9 of 0-0 epoch -1 lag 0 ""`
		for _, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			if got := h.positions("group"); got != want {
				t.Fatalf("%s; want %s", got, want)
			}
			if got := h.positions("reader"); got != `s/0 at 0 of 0-5 epoch -1 lag 5 ""; s/1 at 0 of 0-0 epoch -1 lag 0 ""` {
				t.Fatal(got)
			}
		}
		if ps, _ := h.b.Positions(ctx, h.c, "reader", nil); !ps[0].Committed.IsZero() {
			t.Fatal("nobody has committed that")
		}
		for kind, p := range map[fault.Kind]broker.PositionCommit{
			fault.NotFound: {Stream: "s", Partition: 2, Offset: 1}, fault.Invalid: {Stream: "t", Offset: -1}, fault.TooLarge: {Stream: "t", Metadata: strings.Repeat("x", 4097)},
		} {
			wantKind(t, commit(broker.PositionCommit{Stream: "s", Offset: 5}, p), kind)
		}
		wantKind(t, h.b.CommitPositions(ctx, h.c, "reader", []broker.PositionCommit{{Stream: "t"}}), fault.Invalid)
		if got := h.positions("group"); got != want {
			t.Fatalf("half of a call was kept: %s", got)
		}
		if i := h.standing("group"); i.Waiting != 2 || i.Oldest.IsZero() {
			t.Fatalf("%+v", i)
		}
		if err := commit(broker.PositionCommit{Stream: "s", Offset: 1, LeaderEpoch: -1}); err != nil { // back
			t.Fatal(err)
		}
		if err := h.b.ForgetPositions(ctx, h.c, "group", []broker.StreamPartition{{Stream: "t"}, {Stream: "t", Partition: 4}, {Stream: "never"}}); err != nil {
			t.Fatal(err)
		}
		h.restart()
		if got := h.positions("group"); got != `s/0 at 1 of 0-5 epoch -1 lag 4 ""` {
			t.Fatal(got)
		}
		if got := h.positions("group", "t"); got != "" {
			t.Fatal(got)
		}
		_, err := h.b.Receive(ctx, h.c, "group", broker.ReceiveRequest{})
		wantKind(t, err, fault.Invalid)
		h.subscribe("w", broker.StartLatest, nil, "s")
		_, err = h.b.Positions(ctx, h.c, "w", nil)
		wantKind(t, err, fault.Invalid)
		_, err = h.b.PutSubscription(ctx, h.c, "group", func(c *broker.SubscriptionConfig) error {
			c.Policy.Kind = broker.SubscriptionDelivery
			c.Streams = []string{"s"}
			return nil
		}, broker.Start{}, 0)
		wantKind(t, err, fault.Conflict)
		_, err = h.b.PutSubscription(ctx, h.c, "no", func(c *broker.SubscriptionConfig) error {
			c.Policy.Kind = broker.SubscriptionCursor
			c.Where = "true"
			return nil
		}, broker.Start{}, 0)
		wantKind(t, err, fault.Invalid)
	})
}

// Retention waits for a cursor, unless it yields: then its position stays where it was, for its client to see.
func TestCursor_HoldsRetentionBackOrYields(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("held", broker.StreamConfig{Keep: broker.Keep{RetentionMS: 1000}})
		h.create("free", broker.StreamConfig{Keep: broker.Keep{RetentionMS: 1000}})
		h.cursor("w", nil, "held")
		h.cursor("y", func(c *broker.SubscriptionConfig) { c.Policy.Yields = true }, "free")
		h.numbers("held", 0, 5)
		h.numbers("free", 0, 5)
		if err := h.b.CommitPositions(ctx, h.c, "w", []broker.PositionCommit{{Stream: "held", Offset: 2}}); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Minute)
		h.keep()
		h.wantEnds("held", "2-5")
		h.wantEnds("free", "5-5")
		if got := h.positions("y"); got != `free/0 at 0 of 5-5 epoch -1 lag 0 ""` {
			t.Fatal(got)
		}
	})
}

// A stream is taken away from a subscription and comes back later: what waited of it is gone, the rest is as it was.
func TestSubscription_StreamsAreTakenAway(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		for _, s := range []string{"a", "b", "c"} {
			h.create(s, broker.StreamConfig{})
		}
		put := func(name string, streams ...string) {
			t.Helper()
			_, err := h.b.PutSubscription(ctx, h.c, name, func(c *broker.SubscriptionConfig) error { c.Streams = streams; return nil }, broker.Start{Kind: broker.StartLatest}, 0)
			if err != nil {
				t.Fatal(err)
			}
		}
		put("w", "a", "b")
		h.mustAppend(event("a", "", "a1"), event("b", "", "b1"), event("c", "", "c1"))
		had := h.receive("w", 2)
		put("w", "c", "b")
		if got := strings.Join(h.standing("w").Config.Streams, " "); got != "b c" {
			t.Fatal(got)
		}
		h.mustAppend(event("a", "", "a2"), event("b", "", "b2"), event("c", "", "c2"))
		ds := h.receive("w", 2)
		got := strings.Join(payloads(ds), " ")
		if got != "b2 c2" && got != "c2 b2" {
			t.Fatal(got)
		}
		out, err := h.b.Ack(ctx, h.c, handles(had))
		if err != nil || out[0] == out[1] || !out[0].Good() && !out[1].Good() {
			t.Fatal(out, err)
		}
		h.restart()
		h.clock.Advance(10 * time.Second)
		if i := h.standing("w"); i.Waiting != 2 {
			t.Fatalf("%+v", i)
		}
		h.ack(h.receive("w", 2)...)
		put("w", "b", "a")
		h.mustAppend(event("a", "", "a3"), event("c", "", "c3"))
		if ds := h.receive("w", 1); string(ds[0].Record.Value) != "a3" {
			t.Fatal(payloads(ds))
		}
		h.nothing("w")
		_, err = h.b.PutSubscription(ctx, h.c, "w", func(c *broker.SubscriptionConfig) error { c.Streams = nil; return nil }, broker.Start{}, 0)
		wantKind(t, err, fault.Invalid)
	})
}

// By an address, too: what is appended to a stream that was taken away reaches the subscription no more.
func TestSubscription_RoutedStreamsAreTakenAway(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("a", broker.StreamConfig{})
		h.create("b", broker.StreamConfig{})
		for _, name := range []string{"w", "other"} {
			h.subscribe(name, broker.StartLatest, func(c *broker.SubscriptionConfig) {
				c.Address = []broker.AddressFilter{{Key: address.Pattern{Syntax: address.Exact, Text: "k"}}}
			}, "a", "b")
		}
		h.mustAppend(event("a", "k", "a1"), event("b", "k", "b1"))
		if _, err := h.b.PutSubscription(ctx, h.c, "w", func(c *broker.SubscriptionConfig) error { c.Streams = []string{"b"}; return nil }, broker.Start{}, 0); err != nil {
			t.Fatal(err)
		}
		h.mustAppend(event("a", "k", "a2"), event("b", "k", "b2"))
		if got := strings.Join(payloads(h.receive("w", 2)), " "); got != "b1 b2" {
			t.Fatal(got)
		}
		h.nothing("w")
		h.receive("other", 4)
		if i := h.standing("w"); i.Waiting != 2 || !i.Exact {
			t.Fatalf("%+v", i)
		}
	})
}

// What was settled of a key comes again, and nothing else; what failed comes again since when it is asked for.
func TestSubscription_RewindsAKeyAndWhatFailed(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2})
		h.create("dead", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.DeadLetters = "dead" }, "s")
		for i := range 12 {
			e := event("s", fmt.Sprint("k", i%3), fmt.Sprint(i))
			e.Partition = record.NoPartition
			h.mustAppend(e)
		}
		ds := h.receive("w", 12)
		h.ack(ds[:11]...) // one is somebody's still
		n, err := h.b.RewindKey(ctx, h.c, "w", broker.Start{Kind: broker.StartEarliest}, []byte("k1"))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{"1": true, "4": true, "7": true, "10": true}
		delete(want, string(ds[11].Record.Value))
		again := h.receive("w", n)
		for _, v := range payloads(again) {
			if !want[v] {
				t.Fatalf("%v came again", payloads(again))
			}
			delete(want, v)
		}
		if len(want) > 0 {
			t.Fatalf("%v did not come again", want)
		}
		h.ack(ds[11])
		h.nothing("w")
		h.reject(again[0])
		wait(t, func() bool { return len(h.dead("w")) == 1 })
		h.clock.Advance(time.Hour)
		h.reject(again[1])
		wait(t, func() bool { return len(h.dead("w")) == 2 })
		h.ack(again[2:]...)
		since := broker.Start{Kind: broker.StartTime, Time: h.clock.Now().Add(-time.Minute).UnixMilli()}
		if n, err := h.b.ReplayFailed(ctx, h.c, "w", since, 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if got := h.receive("w", 1); got[0].Ref != again[1].Ref {
			t.Fatal(got[0].Ref)
		} else {
			h.ack(got...)
		}
		if n, err := h.b.ReplayFailed(ctx, h.c, "w", broker.Start{Kind: broker.StartEarliest}, 0); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		h.ack(h.receive("w", 2)...)
		if i := h.standing("w"); i.Waiting != 0 {
			t.Fatalf("%+v", i)
		}
	})
}

// A cursor of no streams of its own is rewound with all partitions of which it keeps a position, unless somebody is in it.
func TestCursor_RewindOfAGroup(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2})
		h.create("t", broker.StreamConfig{})
		h.numbers("s", 0, 5)
		h.cursor("group", func(c *broker.SubscriptionConfig) { c.Documents = map[string]string{"clients": "{}"} })
		members := 2
		h.b.SetOccupants("clients", func(_, name string) int {
			if name != "group" {
				t.Errorf("asked for %q", name)
			}
			return members
		})
		if err := h.b.CommitPositions(ctx, h.c, "group", []broker.PositionCommit{{Stream: "s", Offset: 4, LeaderEpoch: -1}, {Stream: "t", LeaderEpoch: -1}}); err != nil {
			t.Fatal(err)
		}
		if i := h.standing("group"); i.Members != 2 {
			t.Fatalf("%d members", i.Members)
		}
		to := broker.Start{Kind: broker.StartEarliest}
		wantKind(t, h.b.Rewind(ctx, h.c, "group", to), fault.Conflict)
		members = 0
		for want, to := range map[string]broker.Start{
			`s/0 at 0 of 0-5 epoch -1 lag 5 ""; t/0 at 0 of 0-0 epoch -1 lag 0 ""`: to,
			`s/0 at 5 of 0-5 epoch -1 lag 0 ""; t/0 at 0 of 0-0 epoch -1 lag 0 ""`: {Kind: broker.StartLatest},
		} {
			if err := h.b.Rewind(ctx, h.c, "group", to); err != nil {
				t.Fatal(err)
			}
			if got := h.positions("group"); got != want {
				t.Fatalf("%s; want %s", got, want)
			}
		}
	})
}
