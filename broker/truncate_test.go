package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

func (h *house) truncate(t broker.Truncation) error {
	_, err := h.b.Truncate(ctx, h.c, t)
	return err
}

func (h *house) mustTruncate(stream string, before broker.Start) {
	h.t.Helper()
	if err := h.truncate(broker.Truncation{Stream: stream, Partition: record.NoPartition, Before: before}); err != nil {
		h.t.Fatal(err)
	}
}

func offset(n record.Offset) broker.Start { return broker.Start{Kind: broker.StartOffset, Offset: n} }

func TestTruncate_InsideABatch(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysHistory})
		h.mustAppend(event("s", "k", "a"), event("s", "l", "b"), event("s", "k", "c"), event("s", "l", "d"))
		h.mustAppend(event("s", "k", "e"))
		infos, err := h.b.Truncate(ctx, h.c, broker.Truncation{Stream: "s", Before: offset(2)})
		if err != nil || len(infos) != 1 || infos[0] != (broker.PartitionInfo{Start: 2, End: 5}) {
			t.Fatalf("got %v, %v", infos, err)
		}
		check := func() {
			t.Helper()
			h.wantEnds("s", "2-5")
			h.wantValues("c d e", "s")
			latest := broker.Start{Kind: broker.StartLatest}
			for want, q := range map[string]broker.PageRequest{
				"e d c": {Backward: true, From: latest},
				"c e":   {Key: []byte("k")},
				"e c":   {Key: []byte("k"), Backward: true, From: latest},
				"d":     {Key: []byte("l"), From: broker.Start{Kind: broker.StartTime}},
				"c d e": {From: offset(2)},
			} {
				q.Streams = []string{"s"}
				if p := h.page(q); strings.Join(texts(p.Events), " ") != want || !p.CaughtUp {
					t.Errorf("%+v: got %v, caught up %v, want %s", q, texts(p.Events), p.CaughtUp, want)
				}
			}
			// A reader of batches gets the whole one that holds the start.
			r := h.b.Read(ctx, h.c, []broker.Cursor{{Stream: "s", From: 2, BytesMax: 1 << 20}}, 1<<20)[0]
			if r.Err != nil || len(r.Batches) != 2 || r.Batches[0].Base != 0 || r.Start != 2 {
				t.Errorf("read: %+v", r)
			}
			_, err := h.b.ReadRef(ctx, h.c, record.Ref{Stream: "s", Offset: 1})
			if f := wantKind(t, err, fault.Trimmed); f.Detail != record.Offset(2) {
				t.Errorf("earliest is %v", f.Detail)
			}
			for _, k := range []broker.StartKind{broker.StartEarliest, broker.StartTime, broker.StartCreateTime, broker.StartMaxTime} {
				if o := h.b.Offsets(ctx, h.c, []broker.OffsetSpec{{Stream: "s", At: k}})[0]; o.Err != nil || o.Offset < 2 {
					t.Errorf("offset asked by %d: %+v", k, o)
				}
			}
		}
		check()
		h.restart()
		check()
		h.forget()
		check()
		h.mustTruncate("s", offset(1)) // further back: nothing happens
		check()
	})
}

func TestTruncate_Places(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2})
		at := func(p record.PartitionID, values ...string) []broker.EventEntry {
			var out []broker.EventEntry
			for _, v := range values {
				e := event("s", "", v)
				e.Partition = p
				out = append(out, e)
			}
			return out
		}
		r := h.mustAppend(append(at(0, "a", "b", "c"), at(1, "x", "y")...)...)
		h.clock.Advance(time.Hour)
		noon := h.clock.Now().UnixMilli()
		h.mustAppend(append(at(0, "d"), at(1, "z")...)...)
		position := func(i int) broker.Start { return broker.Start{Kind: broker.StartPosition, Position: r[i].Position} }

		for _, bad := range []struct {
			t broker.Truncation
			k fault.Kind
		}{
			{broker.Truncation{Stream: "s", Partition: record.NoPartition, Before: offset(1)}, fault.Invalid},
			{broker.Truncation{Stream: "s", Before: offset(5)}, fault.Invalid},
			{broker.Truncation{Stream: "s", Partition: 2, Before: offset(1)}, fault.NotFound},
			{broker.Truncation{Stream: "t", Before: offset(1)}, fault.NotFound},
			{broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartMaxTime}}, fault.Unsupported},
			{broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartPosition, Position: record.Position{Lineage: 8}}}, fault.Trimmed},
		} {
			if err := h.truncate(bad.t); !fault.Is(err, bad.k) {
				t.Errorf("%+v: %v, want %s", bad.t, err, bad.k)
			}
		}
		h.wantEnds("s", "0-4 0-3")
		for _, x := range []struct {
			before broker.Start
			want   string
			left   string
		}{
			{broker.Start{Kind: broker.StartEarliest}, "0-4 0-3", "a b c x y d z"},
			{position(1), "2-4 0-3", "c x y d z"},
			{position(3), "3-4 1-3", "y d z"}, // of a later batch of the same frame: all before it is read, too
			{position(0), "3-4 1-3", "y d z"},
			{broker.Start{Kind: broker.StartTime, Time: noon}, "3-4 2-3", "d z"},
			{broker.Start{Kind: broker.StartLatest}, "4-4 3-3", ""},
		} {
			h.mustTruncate("s", x.before)
			h.wantEnds("s", x.want)
			h.wantValues(x.left, "s")
		}
	})
}

// Who has read up to what is gone goes on; who has not is told.
func TestTruncate_ResumingAtAPosition(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("other", broker.StreamConfig{})
		r := h.mustAppend(event("s", "", "a"), event("s", "", "b"), event("s", "", "c"))
		r = append(r, h.mustAppend(event("other", "", "X"))...)
		r = append(r, h.mustAppend(event("s", "", "d"))...)
		h.mustTruncate("s", offset(2))
		check := func() {
			t.Helper()
			for i, want := range []string{"", "c X d", "X d", "d", ""} {
				p, err := h.b.ReadPage(ctx, h.c, broker.PageRequest{Streams: []string{"s", "other"}, Limit: 10, From: broker.Start{Kind: broker.StartPosition, Position: r[i].Position}})
				if i == 0 {
					if f := wantKind(t, err, fault.Trimmed); f.Detail != record.Offset(2) {
						t.Errorf("the earliest is %v", f.Detail)
					}
					continue
				}
				if got := strings.Join(texts(p.Events), " "); err != nil || got != want {
					t.Errorf("from %d: %q, %v; want %q", i, got, err, want)
				}
			}
			// Of the other stream nothing is gone.
			if p := h.page(broker.PageRequest{Streams: []string{"other"}, From: broker.Start{Kind: broker.StartPosition, Position: r[0].Position}}); len(p.Events) != 1 {
				t.Errorf("other: %v", texts(p.Events))
			}
		}
		check()
		h.restart()
		check()
		h.forget()
		check()
	})
}

// Readers, appends and truncation race: a reader gets every record, or is told from where on there are some.
func TestTruncate_RacesReaders(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cfg.HotTailBytes = 0 // everything is read from the journal
		h.restart()
		h.create("s", broker.StreamConfig{Keys: broker.KeysHistory})
		const rounds = 100
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(stop)
			for i := range rounds {
				if _, err := h.append(event("s", "k", fmt.Sprint(2*i)), event("s", "k", fmt.Sprint(2*i+1))); err != nil {
					t.Error(err)
					return
				}
				if i%3 == 2 {
					if err := h.truncate(broker.Truncation{Stream: "s", Before: offset(record.Offset(2*i - 7))}); err != nil && i > 3 {
						t.Errorf("truncate: %v", err)
						return
					}
				}
			}
		})
		wg.Go(func() { h.readAlong(t, stop) })
		wg.Go(func() { h.pageAlong(t, stop) })
		wg.Go(func() { h.keyAlong(t, stop) })
		wg.Wait()
	})
}

func running(stop chan struct{}) bool {
	select {
	case <-stop:
		return false
	default:
		return true
	}
}

// readAlong reads batches by offset.
func (h *house) readAlong(t *testing.T, stop chan struct{}) {
	for next := record.Offset(0); running(stop); {
		r := h.b.Read(ctx, h.c, []broker.Cursor{{Stream: "s", From: next, BytesMax: 300}}, 300)[0]
		if r.Err != nil {
			start, ok := r.Err.Detail.(record.Offset)
			if r.Err.Kind != fault.Trimmed || !ok || start <= next {
				t.Errorf("at %d: %v", next, r.Err)
				return
			}
			next = start
			continue
		}
		for _, b := range r.Batches {
			if b.Base > next || b.Next <= next {
				t.Errorf("a hole: at %d the next batch is %d-%d", next, b.Base, b.Next)
				return
			}
			next = b.Next
		}
	}
}

// pageAlong reads events by position.
func (h *house) pageAlong(t *testing.T, stop chan struct{}) {
	var last record.Offset = -1
	from := broker.Start{}
	for running(stop) {
		p, err := h.b.ReadPage(ctx, h.c, broker.PageRequest{Streams: []string{"s"}, From: from, Limit: 5})
		if fault.Is(err, fault.Trimmed) && from.Kind == broker.StartPosition {
			last, from = -1, broker.Start{}
			continue
		}
		if err != nil {
			t.Errorf("behind %d: %v", last, err)
			return
		}
		for _, d := range p.Events {
			if last >= 0 && d.Ref.Offset != last+1 {
				t.Errorf("a hole: %d follows %d", d.Ref.Offset, last)
				return
			}
			if last = d.Ref.Offset; string(d.Record.Value) != fmt.Sprint(last) {
				t.Errorf("offset %d holds %s", last, d.Record.Value)
				return
			}
		}
		from = broker.Start{Kind: broker.StartPosition, Position: p.Next}
	}
}

// keyAlong reads a key's events, and all of them backwards, which never fails.
func (h *house) keyAlong(t *testing.T, stop chan struct{}) {
	for running(stop) {
		for _, q := range []broker.PageRequest{
			{Streams: []string{"s"}, Limit: 50, Key: []byte("k")},
			{Streams: []string{"s"}, Limit: 50, Backward: true, From: broker.Start{Kind: broker.StartLatest}},
		} {
			p, err := h.b.ReadPage(ctx, h.c, q)
			if err != nil {
				t.Errorf("%+v: %v", q, err)
				return
			}
			step := record.Offset(1)
			if q.Backward {
				step = -1
			}
			for i := 1; i < len(p.Events); i++ {
				if p.Events[i].Ref.Offset != p.Events[i-1].Ref.Offset+step {
					t.Errorf("a hole: %d follows %d", p.Events[i].Ref.Offset, p.Events[i-1].Ref.Offset)
					return
				}
			}
		}
	}
}

// A follower that waits is told, and so is one that is behind.
func TestTruncate_TellsFollowers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.mustAppend(event("s", "", "a"), event("s", "", "b"), event("s", "", "c"))
		follow := func() *broker.Follower {
			f, err := h.b.Follow(ctx, h.c, broker.FollowRequest{Streams: []string{"s"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(f.Close)
			return f
		}
		ahead, behind := follow(), follow()
		if got, err := ahead.Next(ctx, 10); err != nil || len(got) != 3 {
			t.Fatalf("got %v, %v", got, err)
		}
		h.mustTruncate("s", offset(2))
		_, err := behind.Next(ctx, 10)
		wantKind(t, errors.Join(err), fault.Trimmed)
		h.mustTruncate("s", broker.Start{Kind: broker.StartLatest})
		h.mustAppend(event("s", "", "d"))
		if got, err := ahead.Next(ctx, 10); err != nil || len(got) != 1 || string(got[0].Record.Value) != "d" {
			t.Fatalf("got %v, %v", got, err)
		}
	})
}
