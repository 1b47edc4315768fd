package broker_test

import (
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// What the reader of a cursor gives up is copied once, its positions stay, and it comes back to a stream that is named.
func TestGiveUp(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2})
		h.create("retry", broker.StreamConfig{})
		h.cursor("group", nil)
		h.cursor("other", nil)
		for i := range 3 {
			e := event("s", "k", []string{"a", "b", "c"}[i])
			e.Record.Headers = []record.Header{{Key: "own", Value: []byte("x")}, {Key: broker.HeaderUnless, Value: []byte("tag=x")}}
			h.mustAppend(e)
		}
		commit := func() {
			if err := h.b.CommitPositions(ctx, h.c, "group", []broker.PositionCommit{{Stream: "s", Offset: 2, LeaderEpoch: -1}}); err != nil {
				t.Fatal(err)
			}
		}
		commit()
		was := h.positions("group")
		ref := func(o record.Offset) record.Ref { return record.Ref{Stream: "s", Offset: o} }
		up := func(name string, events ...broker.GivenUp) ([]broker.EventResult, error) {
			return h.b.GiveUp(ctx, h.c, name, events)
		}
		if ls := h.dead("group"); len(ls) != 0 {
			t.Fatalf("%+v", ls)
		}
		first, err := up("group", broker.GivenUp{Ref: ref(0), Reason: "no such customer"}, broker.GivenUp{Ref: ref(1)})
		if err != nil || len(first) != 2 || first[0].Ref.Stream != "group.dead-letters" {
			t.Fatalf("%+v %v", first, err)
		}
		again, err := up("group", broker.GivenUp{Ref: ref(1)}, broker.GivenUp{Ref: ref(2), Reason: "late"}, broker.GivenUp{Ref: ref(2)})
		if err != nil || !again[0].Duplicate || again[0].Ref != first[1].Ref || again[1].Duplicate || !again[2].Duplicate {
			t.Fatalf("%+v %v", again, err)
		}
		for _, how := range []func(){func() {}, h.restart} {
			how()
			ls := h.dead("group")
			if len(ls) != 3 || ls[0].Reason != "no such customer" || ls[0].Origin != ref(0) || ls[1].Reason != "given up" || ls[2].Reason != "late" || string(ls[0].Record.Value) != "a" ||
				header(ls[0].Delivered, "own") != "x" || header(ls[0].Delivered, broker.HeaderUnless) != "" || ls[0].Died.UnixMilli() != h.clock.Now().UnixMilli() || broker.Deaths(ls[0].Record)[0].Subscription != "group" {
				t.Fatalf("%+v", ls)
			}
			if len(h.dead("other")) != 0 || h.positions("group") != was {
				t.Fatalf("%+v; %s, was %s", h.dead("other"), h.positions("group"), was)
			}
		}
		for _, c := range []struct {
			name string
			up   broker.GivenUp
			kind fault.Kind
		}{
			{"group", broker.GivenUp{Ref: ref(3)}, fault.NotFound}, {"group", broker.GivenUp{Ref: record.Ref{Stream: "no", Offset: 1}}, fault.NotFound}, {"nobody", broker.GivenUp{Ref: ref(1)}, fault.NotFound},
			{"group", broker.GivenUp{Ref: first[0].Ref}, fault.Invalid}, {"group", broker.GivenUp{Ref: ref(1), Reason: "\xff"}, fault.Invalid},
		} {
			_, err := up(c.name, c.up)
			wantKind(t, err, c.kind)
		}
		h.subscribe("hands-over", broker.StartEarliest, nil, "s")
		_, err = up("hands-over", broker.GivenUp{Ref: ref(1)})
		wantKind(t, err, fault.Invalid)

		// All or none.
		if _, err := up("other", broker.GivenUp{Ref: ref(1)}, broker.GivenUp{Ref: ref(9)}); err == nil || len(h.dead("other")) != 0 {
			t.Fatal(err)
		}
		_, err = h.b.Replay(ctx, h.c, "group", []record.Ref{first[0].Ref}, 0)
		wantKind(t, err, fault.Invalid)
		for _, want := range []int{2, 0} { // once, however often
			if n, err := h.b.ReplayTo(ctx, h.c, "group", "retry", []record.Ref{first[0].Ref, first[1].Ref}); err != nil || n != want {
				t.Fatal(n, err)
			}
		}
		p := h.page(broker.PageRequest{Streams: []string{"retry"}})
		if len(p.Events) != 2 || string(p.Events[0].Record.Value) != "a" || header(p.Events[0], "own") != "x" || header(p.Events[0], broker.HeaderDeadReason) != "" || string(p.Events[0].Record.Key) != "k" {
			t.Fatalf("%+v", p.Events)
		}
		_, err = h.b.ReplayTo(ctx, h.c, "group", "retry", []record.Ref{ref(0)})
		wantKind(t, err, fault.Invalid)
		_, err = h.b.ReplayTo(ctx, h.c, "group", "nowhere", []record.Ref{first[0].Ref})
		wantKind(t, err, fault.NotFound)
		if err := h.b.DropDead(ctx, h.c, "group", []record.Ref{first[0].Ref}); err != nil {
			t.Fatal(err)
		}
		if ls := h.dead("group"); len(ls) != 2 || ls[0].Origin != ref(1) {
			t.Fatalf("%+v", ls)
		}
		// After the dedup window it is a new death.
		h.clock.Advance(h.cfg.DedupWindow + 2*time.Minute)
		if r, err := up("group", broker.GivenUp{Ref: ref(0)}); err != nil || r[0].Duplicate {
			t.Fatalf("%+v %v", r, err)
		}
	})
}
