package broker_test

import (
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// What was given out before a restore holds up to where the restore went, and is refused behind it.
func TestLineage_PositionsOfBeforeARestore(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("a", broker.StreamConfig{Keys: broker.KeysHistory})
		var at []record.Position
		for _, v := range []string{"one", "two", "three"} {
			at = append(at, h.mustAppend(event("a", "k", v))[0].Position)
		}
		cut := at[1].Seq
		if at[2].Seq <= cut {
			t.Fatal("the third event is in the frame of the second")
		}
		until := make([]uint64, int(at[0].Shard)+1)
		until[at[0].Shard] = cut
		h.past = []broker.PastLineage{{Short: 5, Until: until}}
		h.restart()
		old := func(p record.Position) broker.Start {
			p.Lineage = 5
			return broker.Start{Kind: broker.StartPosition, Position: p}
		}
		for name, q := range map[string]broker.PageRequest{
			"forward": {}, "by key": {Key: []byte("k")}, "backward": {Backward: true}, "by key, backward": {Key: []byte("k"), Backward: true},
		} {
			q.Streams, q.Limit = []string{"a"}, 10
			q.From = old(at[1])
			want := "three"
			if q.Backward {
				want = "one"
			}
			p := h.page(q)
			if got := strings.Join(texts(p.Events), " "); got != want || p.Next.Lineage != 7 {
				t.Errorf("%s from a position of before: %q, next is of %d", name, got, p.Next.Lineage)
			}
			q.From = old(at[2])
			_, err := h.b.ReadPage(t.Context(), h.c, q)
			if f := wantKind(t, err, fault.Trimmed); f != nil && !strings.Contains(f.Text, "restored away") {
				t.Errorf("%s: %s", name, f.Text)
			}
			last := q.From.Position
			last.Lineage = 9
			q.From = broker.Start{Kind: broker.StartPosition, Position: last}
			_, err = h.b.ReadPage(t.Context(), h.c, q)
			wantKind(t, err, fault.Trimmed)
		}
		f, err := h.b.Follow(t.Context(), h.c, broker.FollowRequest{Streams: []string{"a"}, From: old(at[0])})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Next(t.Context(), 10); err != nil || strings.Join(texts(got), " ") != "two three" {
			t.Errorf("following from a position of before: %v, %v", texts(got), err)
		}
		f.Close()
		if _, err := h.b.Follow(t.Context(), h.c, broker.FollowRequest{Streams: []string{"a"}, From: old(at[2])}); !fault.Is(err, fault.Trimmed) {
			t.Errorf("following from a lost future: %v", err)
		}
		if p, err := h.b.OwnPosition("until", old(at[0]).Position); err != nil || p != at[0] {
			t.Errorf("own position %+v, %v", p, err)
		}
		if _, err := h.b.Truncate(t.Context(), h.c, broker.Truncation{Stream: "a", Partition: record.NoPartition, Before: old(at[2])}); !fault.Is(err, fault.Trimmed) {
			t.Errorf("truncate before a lost future: %v", err)
		}
		info, err := h.b.Truncate(t.Context(), h.c, broker.Truncation{Stream: "a", Partition: record.NoPartition, Before: old(at[0])})
		if err != nil || info[0].Start != 1 {
			t.Errorf("truncate up to a position of before: %+v, %v", info, err)
		}
	})
}
