package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/storage/vfs"
	memfs "leat/storage/vfs/memory"
)

// Large batches, of which single records are read: the first time the whole batch, then the part that has the record.
const (
	largeBatches = 6
	largeRecords = 700
)

// fillLarge appends large batches to s. Record i has the key of i modulo 50.
func fillLarge(h *house) {
	h.create("s", broker.StreamConfig{Keys: broker.KeysHistory, Partitions: 1})
	for b := range largeBatches {
		events := make([]broker.EventEntry, largeRecords)
		for i := range events {
			n := b*largeRecords + i
			events[i] = event("s", fmt.Sprintf("k%d", n%50), value(fmt.Sprintf("record-%d-", n)))
		}
		h.mustAppend(events...)
	}
}

func (h *house) checkLarge(offset int) error {
	d, err := h.b.ReadRef(context.Background(), h.c, record.Ref{Stream: "s", Offset: record.Offset(offset)})
	if err != nil {
		return err
	}
	if got, want := string(d.Record.Value), value(fmt.Sprintf("record-%d-", offset)); got != want || string(d.Record.Key) != fmt.Sprintf("k%d", offset%50) ||
		d.Ref.Offset != record.Offset(offset) || d.Position.Record != uint32(offset%largeRecords) {
		return fmt.Errorf("offset %d: %+v %.40s", offset, d.Position, got)
	}
	return nil
}

func TestLarge_SingleRecordsOfFilesAndOfTheJournal(t *testing.T) {
	for _, where := range []string{"files", "journal"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, "")
			h.cfg.KeptEventsBytes = 0
			if where == "files" {
				small(h)
			} else {
				h.cfg.HotTailBytes = 0
			}
			h.open()
			fillLarge(h)
			if where == "files" {
				h.moved()
			}
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for i := range largeBatches * largeRecords {
						if err := h.checkLarge((i*131 + g*997) % (largeBatches * largeRecords)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			for k := range 50 {
				got := h.page(broker.PageRequest{Streams: []string{"s"}, Key: fmt.Appendf(nil, "k%d", k)})
				if len(got.Events) != largeBatches*largeRecords/50 {
					t.Fatalf("key %d has %d events", k, len(got.Events))
				}
				for i, d := range got.Events {
					if d.Ref.Offset != record.Offset(i*50+k) || !bytes.HasPrefix(d.Record.Value, fmt.Appendf(nil, "record-%d-", i*50+k)) {
						t.Fatalf("key %d, event %d: %s %.40s", k, i, d.Ref, d.Record.Value)
					}
				}
			}
		})
	}
}

// A batch of the largest size is taken whatever comes with it, and read from the journal, from files, and after a start.
func TestLarge_AsLargeAsMayBe(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysOff, BatchBytesMax: broker.BatchBytesLimit, Partitions: 1})
	p := make([]byte, broker.BatchBytesLimit-200)
	for i := range p {
		p[i] = byte(i * i >> 8)
	}
	big := string(p)
	check := func() {
		t.Helper()
		for o := range 3 {
			d, err := h.b.ReadRef(context.Background(), h.c, record.Ref{Stream: "s", Offset: record.Offset(2 * o)})
			if err != nil || string(d.Record.Value) != big {
				t.Fatalf("offset %d: %v", o, err)
			}
		}
	}
	var entries []broker.BatchEntry
	for range 3 {
		entries = append(entries, broker.BatchEntry{Stream: "s", Batch: batch(t, -1, 0, 0, big)}, broker.BatchEntry{Stream: "s", Batch: batch(t, -1, 0, 0, "small")})
	}
	for i, r := range h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: entries}).Wait(context.Background()) {
		if r.Err != nil || r.Base != record.Offset(i) {
			t.Fatalf("entry %d: %+v", i, r)
		}
	}
	check()
	h.moved()
	check()
	h.restart()
	check()
}

// A record that is damaged after its batch was found good is not served, and says so.
func TestLarge_ADamagedPartIsNotServed(t *testing.T) {
	h := newHouse(t, 1, "")
	h.cfg.KeptEventsBytes = 0
	small(h)
	h.open()
	fillLarge(h)
	h.moved()
	for i := range largeRecords {
		if err := h.checkLarge(i); err != nil {
			t.Fatal(err)
		}
	}
	damageValue(t, h.disks[0], "record-333-")
	if err := h.checkLarge(10); err != nil {
		t.Fatalf("another part: %v", err)
	}
	for range 2 {
		wantKind(t, h.checkLarge(333), fault.Corrupt)
		wantKind(t, h.checkLarge(334), fault.Corrupt)
	}
	for i := range (largeBatches - 1) * largeRecords {
		if err := h.checkLarge(i + largeRecords); err != nil {
			t.Fatal(err)
		}
	}
}

// damageValue changes a letter of a value in a segment file.
func damageValue(t *testing.T, fs *memfs.FS, prefix string) {
	t.Helper()
	names, err := fs.List("/segments")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		h, err := fs.Open(path.Join("/segments", name), vfs.Write)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		size, err := h.Size()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		if _, err := h.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(prefix)); at >= 0 {
			if _, err := h.WriteAt([]byte("R"), int64(at)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s is in no file", prefix)
}
