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
	"leat/broker/record"
)

// small makes a house move events to segment files early and read everything from there.
func small(h *house) {
	h.cfg.SegmentWindowBytes, h.cfg.SegmentBacklogBytesMax, h.cfg.KeepInterval, h.cfg.HotTailBytes = 16<<10, 1<<20, 10*time.Millisecond, 0
}

// keeping runs a test in every layout, with events that leave the journal soon.
func keeping(t *testing.T, test func(t *testing.T, h *house)) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, l.shards, l.namespace)
			small(h)
			h.open()
			test(t, h)
		})
	}
}

// moved waits until a shard has moved windows to segment files and trimmed its journal.
func (h *house) moved() {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, k := range h.b.KeepStats() {
			if k.Windows > 0 && k.Pending < h.cfg.SegmentWindowBytes {
				return
			}
		}
	}
	h.t.Fatalf("nothing was moved to segment files: %+v", h.b.KeepStats())
}

const wide = 200 // bytes of a value, so that a few hundred events fill a window

func value(s string) string { return s + strings.Repeat(".", wide-len(s)) }

func TestKeeping_EventsAreTheSameInJournalAndFiles(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		for _, s := range []string{"a", "b"} {
			h.create(s, broker.StreamConfig{Partitions: 2, Keys: broker.KeysVersioned})
		}
		var want []string
		versions := map[string]uint64{}
		for i := range 400 {
			v, key := value(fmt.Sprint("v", i)), fmt.Sprint("k", i%7)
			e := event([]string{"a", "b"}[i%2], key, v)
			e.Partition = record.PartitionID(i / 2 % 2)
			r := h.mustAppend(e)
			want = append(want, v)
			versions[e.Stream+key]++
			if r[0].Version != versions[e.Stream+key] {
				t.Fatalf("event %d has version %d, expected %d", i, r[0].Version, versions[e.Stream+key])
			}
		}
		h.moved()
		check := func(when string) {
			if got := h.values("a", "b"); !slices.Equal(got, want) {
				t.Fatalf("%s: %d events, expected %d", when, len(got), len(want))
			}
			var keyed []string
			for i, v := range want {
				if i%7 == 3 && i%2 == 0 {
					keyed = append(keyed, v)
				}
			}
			p := h.page(broker.PageRequest{Streams: []string{"a"}, Key: []byte("k3")})
			if got := texts(p.Events); !slices.Equal(got, keyed) || !p.CaughtUp {
				t.Fatalf("%s: key k3 has %d events, expected %d", when, len(got), len(keyed))
			}
			for i, d := range p.Events {
				if d.Version != uint64(i+1) {
					t.Fatalf("%s: event %d of k3 has version %d", when, i, d.Version)
				}
			}
			back := h.page(broker.PageRequest{Streams: []string{"a", "b"}, From: broker.Start{Kind: broker.StartLatest}, Backward: true, Limit: 50})
			slices.Reverse(back.Events)
			if got := texts(back.Events); !slices.Equal(got, want[len(want)-50:]) {
				t.Fatalf("%s: backwards: %v", when, got[0][:10])
			}
		}
		check("moved")
		h.restart()
		check("restarted")
		if r := h.mustAppend(event("a", "k3", value("next"))); r[0].Version != versions["ak3"]+1 {
			t.Fatalf("version after a restart is %d, expected %d", r[0].Version, versions["ak3"]+1)
		}
	})
}

func TestKeeping_ReadersMeetNoHoleWhileEventsMove(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysHistory})
		const total = 1000
		done := make(chan error, 2)
		for range cap(done) {
			go func() {
				next := 0
				q := broker.PageRequest{Streams: []string{"s"}, Limit: 100}
				for next < total {
					p, err := h.b.ReadPage(context.Background(), h.c, q)
					if err != nil {
						done <- err
						return
					}
					for _, d := range p.Events {
						if want := fmt.Sprint("v", next); !strings.HasPrefix(string(d.Record.Value), want+".") {
							done <- fmt.Errorf("event %d is %.10q", next, d.Record.Value)
							return
						}
						next++
					}
					q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
				}
				done <- nil
			}()
		}
		for i := range total {
			h.mustAppend(event("s", fmt.Sprint("k", i%100), value(fmt.Sprint("v", i))))
		}
		for range cap(done) {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		h.moved()
	})
}

func TestKeeping_LatestIsTheLastOfEachKey(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysLatest})
		for i := range 500 {
			h.mustAppend(event("s", fmt.Sprint("k", i%10), value(fmt.Sprint("v", i))))
		}
		h.moved()
		for i := range 10 {
			p := h.page(broker.PageRequest{Streams: []string{"s"}, Key: fmt.Append(nil, "k", i)})
			if len(p.Events) != 1 || !strings.HasPrefix(string(p.Events[0].Record.Value), fmt.Sprint("v", 490+i, ".")) {
				t.Fatalf("k%d: %d events", i, len(p.Events))
			}
		}
	})
}

func TestKeeping_DeletedStreamsLeaveNothing(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("t", broker.StreamConfig{})
		for i := range 300 {
			h.mustAppend(event("s", "k", value(fmt.Sprint("v", i))), event("t", "k", value(fmt.Sprint("w", i))))
		}
		h.moved()
		if _, err := h.b.ReadPage(context.Background(), h.c, broker.PageRequest{Streams: []string{"s"}, Limit: 10}); err != nil {
			t.Fatal(err)
		}
		if err := h.b.DeleteStream(context.Background(), h.c, "s"); err != nil {
			t.Fatal(err)
		}
		_, err := h.b.ReadPage(context.Background(), h.c, broker.PageRequest{Streams: []string{"s"}, Limit: 10})
		wantKind(t, err, fault.NotFound)
		h.restart()
		if got := h.values("t"); len(got) != 300 {
			t.Fatalf("%d events of the other stream", len(got))
		}
	})
}
