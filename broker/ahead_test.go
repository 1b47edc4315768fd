package broker_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// broad makes a house that has nothing in memory, and a stream with batches of about 300 KiB, each a run of its own.
func broad(t *testing.T, partitions, batches int) *house {
	t.Helper()
	h := newHouse(t, 1, "")
	h.cfg.HotTailBytes = 0
	h.open()
	h.create("s", broker.StreamConfig{Partitions: int32(partitions), Keys: broker.KeysOff})
	h.widen(t, partitions, batches)
	return h
}

const broadBytes = 300 << 10

func (h *house) widen(t *testing.T, partitions, batches int) {
	t.Helper()
	for range batches {
		var entries []broker.BatchEntry
		for p := range partitions {
			entries = append(entries, broker.BatchEntry{Stream: "s", Partition: record.PartitionID(p), Batch: batch(t, -1, 0, 0, strings.Repeat("v", broadBytes))})
		}
		for _, r := range h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: entries}).Wait(context.Background()) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
}

func (h *house) read(most int, cursors ...broker.Cursor) []broker.ReadResult {
	return h.b.Read(context.Background(), h.c, cursors, most)
}

// What a reader may have at most holds for every batch but the very first one.
func TestRead_NoMoreThanThereIsRoomFor(t *testing.T) {
	h := broad(t, 3, 4)
	at := func(p, most int) broker.Cursor {
		return broker.Cursor{Stream: "s", Partition: record.PartitionID(p), BytesMax: most}
	}
	for _, c := range []struct {
		what    string
		most    int
		cursors []broker.Cursor
		want    [3]int
	}{
		{"one is always read", 1, []broker.Cursor{at(0, 1), at(1, 1), at(2, 1)}, [3]int{1, 0, 0}},
		{"as many as fit", 1000 << 10, []broker.Cursor{at(0, 1<<20), at(1, 1<<20), at(2, 1<<20)}, [3]int{3, 0, 0}},
		{"the next ones have what is left", 1300 << 10, []broker.Cursor{at(0, 1000<<10), at(1, 1<<20), at(2, 1<<20)}, [3]int{3, 1, 0}},
		{"a partition has one of its first batches", 5 << 20, []broker.Cursor{at(0, 1), at(1, 1), at(2, 700<<10)}, [3]int{1, 1, 2}},
	} {
		for i, r := range h.read(c.most, c.cursors...) {
			if r.Err != nil || len(r.Batches) != c.want[i] {
				t.Errorf("%s: partition %d: %d batches, %v, want %d", c.what, i, len(r.Batches), r.Err, c.want[i])
			}
		}
	}
}

// What was read ahead is taken as it is, and only for what it is.
func TestRead_Ahead(t *testing.T) {
	h := broad(t, 2, 4)
	q := broker.Cursor{Stream: "s", From: 1, BytesMax: 2 << 20}
	first := h.read(2<<20, q)[0]
	if len(first.Batches) != 3 {
		t.Fatalf("%d batches, %v", len(first.Batches), first.Err)
	}
	q.Ahead = &first
	taken := func(r broker.ReadResult) int {
		n := 0
		for _, b := range r.Batches {
			for _, a := range first.Batches {
				if a == b {
					n++
				}
			}
		}
		return n
	}
	with := func(edit func(*broker.Cursor)) broker.Cursor {
		c := q
		edit(&c)
		return c
	}
	for _, c := range []struct {
		what  string
		q     broker.Cursor
		taken int
		read  int
	}{
		{"the same", q, 3, 3},
		{"less room", with(func(c *broker.Cursor) { c.BytesMax = 700 << 10 }), 2, 2},
		{"room for none is room for one", with(func(c *broker.Cursor) { c.BytesMax = 1 }), 1, 1},
		{"from another offset", with(func(c *broker.Cursor) { c.From = 2 }), 0, 2},
		{"of another partition", with(func(c *broker.Cursor) { c.Partition = 1 }), 0, 3},
	} {
		if r := h.read(4<<20, c.q)[0]; r.Err != nil || taken(r) != c.taken || len(r.Batches) != c.read {
			t.Errorf("%s: %d taken of %d read, %v, want %d of %d", c.what, taken(r), len(r.Batches), r.Err, c.taken, c.read)
		}
	}
	other := broker.Cursor{Stream: "s", Partition: 1, BytesMax: 1 << 20}
	if r := h.read(100<<10, other, q); len(r[1].Batches) != 0 {
		t.Errorf("%d batches where another partition has taken all there is room for", len(r[1].Batches))
	}
	h.widen(t, 1, 1)
	if r := h.read(4<<20, q)[0]; taken(r) != 3 || r.End != 5 {
		t.Errorf("after an append: %d taken, end %d, want 3 and 5", taken(r), r.End)
	}
}

// Whoever may not read any more, or reads what has gone, is not given what was read before.
func TestRead_AheadIsAskedEverythingAgain(t *testing.T) {
	q := broker.Cursor{Stream: "s", From: 1, BytesMax: 2 << 20}
	ahead := func(t *testing.T) (*house, broker.Cursor) {
		h, q := broad(t, 1, 4), q
		first := h.read(2<<20, q)[0]
		if len(first.Batches) != 3 {
			t.Fatalf("%d batches, %v", len(first.Batches), first.Err)
		}
		q.Ahead = &first
		return h, q
	}
	t.Run("truncated", func(t *testing.T) {
		h, q := ahead(t)
		if _, err := h.b.Truncate(context.Background(), h.c, broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartOffset, Offset: 2}}); err != nil {
			t.Fatal(err)
		}
		if r := h.read(2<<20, q)[0]; r.Err == nil || r.Err.Kind != fault.Trimmed {
			t.Errorf("%d batches, %v, want Trimmed", len(r.Batches), r.Err)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		h, q := ahead(t)
		if err := h.b.DeleteStream(context.Background(), h.c, "s"); err != nil {
			t.Fatal(err)
		}
		if r := h.read(2<<20, q)[0]; r.Err == nil || r.Err.Kind != fault.NotFound {
			t.Errorf("%d batches, %v, want NotFound", len(r.Batches), r.Err)
		}
		h.create("s", broker.StreamConfig{Partitions: 1, Keys: broker.KeysOff})
		h.send("s", batch(t, -1, 0, 0, "another"))
		h.send("s", batch(t, -1, 0, 0, "stream"))
		if r := h.read(2<<20, q)[0]; r.Err != nil || len(r.Batches) != 1 || !bytes.Contains(r.Batches[0].Raw, []byte("stream")) {
			t.Errorf("%d batches, %v, want that of the new stream", len(r.Batches), r.Err)
		}
	})
	t.Run("not allowed", func(t *testing.T) {
		h, q := ahead(t)
		root := &broker.Caller{Principal: "root"}
		grant := []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}
		for _, u := range []broker.User{{Name: "root", Password: "wonderland", Grants: grant}, {Name: "bob", Password: "builder-of-things"}} {
			if _, err := h.b.PutUser(context.Background(), root, u); err != nil {
				t.Fatal(err)
			}
		}
		if r := h.b.Read(context.Background(), root, []broker.Cursor{q}, 2<<20)[0]; len(r.Batches) != 3 {
			t.Errorf("root: %d batches, %v", len(r.Batches), r.Err)
		}
		bob := &broker.Caller{Principal: "bob"}
		if r := h.b.Read(context.Background(), bob, []broker.Cursor{q}, 2<<20)[0]; r.Err == nil || r.Err.Kind != fault.Denied {
			t.Errorf("%d batches, %v, want Denied", len(r.Batches), r.Err)
		}
	})
}
