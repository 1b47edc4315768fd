package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

func in(e broker.EventEntry, p int) broker.EventEntry {
	e.Partition = record.PartitionID(p)
	return e
}

func from(p record.Position) broker.Start {
	return broker.Start{Kind: broker.StartPosition, Position: p}
}

// fill appends n single events over two streams with two partitions each and returns their values.
func fill(h *house, n int) (want []string) {
	h.create("a", broker.StreamConfig{Partitions: 2})
	h.create("b", broker.StreamConfig{Partitions: 2})
	for i := range n {
		v := fmt.Sprint(i)
		h.mustAppend(in(event([]string{"a", "b"}[i%2], fmt.Sprint("k", i%3), v), i/2%2))
		h.clock.Advance(time.Second)
		want = append(want, v)
	}
	return want
}

func TestReadPage_ForwardAndBackwardInPagesOfAnySize(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		want := fill(h, 23)
		back := slices.Clone(want)
		slices.Reverse(back)
		for round, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			for _, limit := range []int{1, 4, 23, 100} {
				for _, q := range []struct {
					broker.PageRequest
					want []string
				}{
					{broker.PageRequest{}, want},
					{broker.PageRequest{Backward: true, From: broker.Start{Kind: broker.StartLatest}}, back},
				} {
					q.Streams, q.Limit = []string{"a", "b"}, limit
					var got []string
					for range 50 {
						p := h.page(q.PageRequest)
						got = append(got, texts(p.Events)...)
						if p.CaughtUp {
							break
						}
						q.From = from(p.Next)
					}
					if d := cmp.Diff(q.want, got); d != "" {
						t.Fatalf("round %d, limit %d, backward %v: %s", round, limit, q.Backward, d)
					}
				}
			}
		}
	})
}

func TestReadPage_ByKey(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		fill(h, 20)
		for _, limit := range []int{1, 3, 50} {
			for _, c := range []struct {
				backward bool
				start    broker.Start
				want     string
			}{
				{false, broker.Start{}, "1 4 7 10 13 16 19"},
				{true, broker.Start{Kind: broker.StartLatest}, "19 16 13 10 7 4 1"},
				{false, broker.Start{Kind: broker.StartTime, Time: 1_700_000_000_000 + 7000}, "7 10 13 16 19"},
				{false, broker.Start{Kind: broker.StartLatest}, ""},
			} {
				q := broker.PageRequest{Streams: []string{"a", "b"}, Key: []byte("k1"), Limit: limit, From: c.start, Backward: c.backward}
				var got []string
				for range 20 {
					p := h.page(q)
					got = append(got, texts(p.Events)...)
					q.From = from(p.Next)
					if p.CaughtUp {
						break
					}
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("limit %d, %+v: got %v, want %s", limit, c, got, c.want)
				}
			}
		}
	})
}

func TestReadPage_FromEveryPositionBothWays(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		fill(h, 12)
		all := h.page(broker.PageRequest{Streams: []string{"a", "b"}})
		for i, d := range all.Events {
			p := h.page(broker.PageRequest{Streams: []string{"a", "b"}, From: from(d.Position)})
			if got, want := texts(p.Events), texts(all.Events[i+1:]); !slices.Equal(got, want) {
				t.Fatalf("after %d: %v, want %v", i, got, want)
			}
			p = h.page(broker.PageRequest{Streams: []string{"a", "b"}, From: from(d.Position), Backward: true})
			want := texts(all.Events[:i])
			slices.Reverse(want)
			if got := texts(p.Events); !slices.Equal(got, want) {
				t.Fatalf("before %d: %v, want %v", i, got, want)
			}
		}
	})
}

// A frame may hold more of a partition than is read ahead at once.
func TestReadPage_BackwardFromDeepInALargeFrame(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		big := strings.Repeat("x", 300<<10)
		var pending []*broker.PendingBatches
		for i := range 12 {
			pending = append(pending, h.b.SubmitBatches(context.Background(), h.c,
				broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "s", Batch: batch(t, -1, 0, 0, fmt.Sprint(i, " ", big))}}}))
		}
		for _, p := range pending {
			if r := p.Wait(context.Background())[0]; r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		h.restart()
		all := h.page(broker.PageRequest{Streams: []string{"s"}}).Events
		for i, d := range all {
			p := h.page(broker.PageRequest{Streams: []string{"s"}, From: from(d.Position), Backward: true})
			if len(p.Events) != i {
				t.Fatalf("before event %d: %d events", i, len(p.Events))
			}
		}
	})
}

func TestReadPage_NothingYetGoesOnAfterwards(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("a", broker.StreamConfig{})
		h.mustAppend(event("a", "", "old"), event("a", "", "older"))
		now := h.clock.Now().UnixMilli()
		for _, start := range []broker.Start{
			{Kind: broker.StartTime, Time: now + 5000}, {Kind: broker.StartOffset, Offset: 2}, {Kind: broker.StartLatest},
		} {
			p := h.page(broker.PageRequest{Streams: []string{"a"}, From: start})
			if len(p.Events) != 0 || !p.CaughtUp {
				t.Fatalf("%+v: %v", start, texts(p.Events))
			}
			if p = h.page(broker.PageRequest{Streams: []string{"a"}, From: from(p.Next)}); len(p.Events) != 0 {
				t.Fatalf("%+v: going on gives %v, which lies before the start", start, texts(p.Events))
			}
			next := p.Next
			h.clock.Advance(10 * time.Second)
			h.mustAppend(event("a", "", "new"))
			if p = h.page(broker.PageRequest{Streams: []string{"a"}, From: from(next)}); fmt.Sprint(texts(p.Events)) != "[new]" {
				t.Fatalf("%+v: then %v", start, texts(p.Events))
			}
			h.create(fmt.Sprint("x", start.Kind), broker.StreamConfig{})
			if err := h.b.DeleteStream(context.Background(), h.c, "a"); err != nil {
				t.Fatal(err)
			}
			h.create("a", broker.StreamConfig{})
			h.mustAppend(event("a", "", "old"), event("a", "", "older"))
		}
	})
}

func TestReadPage_Refusals(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		fill(h, 4)
		ask := func(q broker.PageRequest) error {
			if q.Limit == 0 {
				q.Limit = 1
			}
			_, err := h.b.ReadPage(context.Background(), h.c, q)
			return err
		}
		last := h.page(broker.PageRequest{Streams: []string{"a"}}).Next
		future, otherShard, otherLineage := last, last, last
		future.Seq += 1000
		otherShard.Shard += 9
		otherLineage.Lineage++
		wantKind(t, ask(broker.PageRequest{}), fault.Invalid)
		wantKind(t, ask(broker.PageRequest{Streams: []string{"a"}, Limit: 1001}), fault.Invalid)
		if f := wantKind(t, ask(broker.PageRequest{Streams: []string{"aa"}}), fault.NotFound); !strings.Contains(f.Text, `"a"`) {
			t.Errorf("no nearest name in %q", f.Text)
		}
		wantKind(t, ask(broker.PageRequest{Streams: []string{"a"}, From: from(future)}), fault.Trimmed)
		wantKind(t, ask(broker.PageRequest{Streams: []string{"a"}, From: from(otherShard)}), fault.Invalid)
		wantKind(t, ask(broker.PageRequest{Streams: []string{"a"}, From: from(otherLineage)}), fault.Trimmed)
		wantKind(t, ask(broker.PageRequest{Streams: []string{"a"}, From: from(otherLineage), Key: []byte("k0")}), fault.Trimmed)
	})
}

func TestRead_ColdAndHotGiveTheSameBatches(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		var sent [][]byte
		for i := range 40 {
			b := batch(t, -1, 0, 0, slices.Repeat([]string{fmt.Sprint(i)}, 1+i%3)...)
			if r := h.send("s", b); r.Err != nil {
				t.Fatal(r.Err)
			}
			sent = append(sent, b) // patched with its offset by the broker
		}
		for _, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			for _, max := range []int{1, 300, 1 << 20} {
				at, n := record.Offset(0), 0
				for {
					r := h.b.Read(context.Background(), h.c, []broker.Cursor{{Stream: "s", From: at, BytesMax: max}}, 1<<20)[0]
					if r.Err != nil {
						t.Fatal(r.Err)
					}
					if len(r.Batches) == 0 {
						break
					}
					for _, b := range r.Batches {
						if !slices.Equal(b.Raw, sent[n]) || b.Base != at {
							t.Fatalf("batch %d at %d is not what was sent", n, b.Base)
						}
						at, n = b.Next, n+1
					}
				}
				if n != len(sent) {
					t.Fatalf("%d batches of %d", n, len(sent))
				}
			}
			r := h.b.Read(context.Background(), h.c, []broker.Cursor{{Stream: "s", From: 1000, BytesMax: 1}}, 1)[0]
			if wantKind(t, r.Err, fault.Invalid).Reason != fault.ReasonOffset {
				t.Fatal(r.Err)
			}
		}
	})
}

func TestOffsets_ByTime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		begin := h.clock.Now().UnixMilli()
		for i, created := range []int64{100, 50, 300, 200, 400, 10} {
			e := event("s", "", fmt.Sprint(i))
			e.Record.Timestamp = created
			h.mustAppend(e)
			h.clock.Advance(time.Second)
		}
		for _, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			for _, c := range []struct {
				at   broker.StartKind
				time int64
				want record.Offset
				ts   int64
			}{
				{broker.StartEarliest, 0, 0, -1}, {broker.StartLatest, 0, 6, -1},
				{broker.StartCreateTime, 0, 0, 100}, {broker.StartCreateTime, 100, 0, 100}, {broker.StartCreateTime, 101, 2, 300},
				{broker.StartCreateTime, 301, 4, 400}, {broker.StartCreateTime, 401, -1, -1},
				{broker.StartMaxTime, 0, 4, 400},
				{broker.StartTime, begin, 0, begin}, {broker.StartTime, begin + 1, 1, begin + 1000}, {broker.StartTime, begin + 5001, -1, -1},
			} {
				r := h.b.Offsets(context.Background(), h.c, []broker.OffsetSpec{{Stream: "s", At: c.at, Time: c.time}})[0]
				if r.Err != nil || r.Offset != c.want || r.Timestamp != c.ts {
					t.Errorf("kind %d, time %d: got %+v, want %d at %d", c.at, c.time, r, c.want, c.ts)
				}
			}
		}
		h.create("empty", broker.StreamConfig{})
		for _, at := range []broker.StartKind{broker.StartCreateTime, broker.StartMaxTime, broker.StartTime} {
			if r := h.b.Offsets(context.Background(), h.c, []broker.OffsetSpec{{Stream: "empty", At: at}})[0]; r.Err != nil || r.Offset != -1 {
				t.Errorf("of an empty partition: %+v", r)
			}
		}
	})
}

// Append time is the frame's: what the answer says is what readers see, and it never runs backwards with the clock.
func TestAppendTime_IsTheSameForEverybodyAndNeverRunsBackwards(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		last := int64(0)
		for i, by := range []time.Duration{0, time.Minute, -time.Hour, time.Second} {
			h.clock.Advance(by)
			r := h.mustAppend(event("s", "", fmt.Sprint(i)))[0]
			d, err := h.b.ReadRef(context.Background(), h.c, r.Ref)
			if err != nil {
				t.Fatal(err)
			}
			if r.AppendTime != d.AppendTime || d.AppendTime < last {
				t.Fatalf("event %d: answered %d, read %d, the one before %d", i, r.AppendTime, d.AppendTime, last)
			}
			last = d.AppendTime
		}
	})
}
