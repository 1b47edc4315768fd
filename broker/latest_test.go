package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// latest reads all pages of so many events, and checks each of them.
func (h *house) latest(q broker.LatestRequest) (out []*broker.Delivered, err error) {
	h.t.Helper()
	for pages := 0; ; pages++ {
		p, err := h.b.ReadLatest(context.Background(), h.c, q)
		if err != nil {
			return nil, err
		}
		if len(p.Events) > q.Limit || pages > 1000 {
			h.t.Fatalf("page %d has %d events, the limit is %d", pages, len(p.Events), q.Limit)
		}
		for _, d := range p.Events {
			if bytes.Compare(d.Record.Key, p.Next) > 0 {
				h.t.Fatalf("next %q lies before the event of %q", p.Next, d.Record.Key)
			}
		}
		out = append(out, p.Events...)
		if p.CaughtUp {
			return out, nil
		}
		if bytes.Compare(p.Next, q.After) <= 0 && q.After != nil {
			h.t.Fatalf("a page after %q goes on after %q", q.After, p.Next)
		}
		q.After = p.Next
	}
}

// shown are keys with their values, in the order in which they come.
func shown(ds []*broker.Delivered) (out []string) {
	for _, d := range ds {
		out = append(out, fmt.Sprintf("%q=%s", d.Record.Key, strings.TrimRight(string(d.Record.Value), ".")))
	}
	return out
}

// latestModel is a map beside a stream.
type latestModel struct {
	name       string
	tombstones bool // are shown
	last       map[string]string
}

const tombstone = "(tombstone)"

// want are the keys for which in holds.
func (m *latestModel) want(in func(string) bool) (out []string) {
	for _, key := range slices.Sorted(maps.Keys(m.last)) {
		v := m.last[key]
		if !in(key) || v == tombstone && !m.tombstones {
			continue
		}
		if v == tombstone {
			v = ""
		}
		out = append(out, fmt.Sprintf("%q=%s", key, v))
	}
	return out
}

// appendSome appends n events of a few keys, in batches over two partitions, some of them tombstones.
func (m *latestModel) appendSome(h *house, r *rand.Rand, n int) {
	keys := []string{"", "\xff", "\xff\xff", "\xffz", "a", "a\x00", "a\xff", "b", "o", "o/"}
	for i := range 30 {
		keys = append(keys, fmt.Sprint("o/", i))
	}
	for range n {
		var batch []broker.EventEntry
		partition := record.PartitionID(r.IntN(2)) // one for all: a request has no order across partitions
		for range 1 + r.IntN(8) {
			key := keys[r.IntN(len(keys))]
			v := fmt.Sprint("v", r.IntN(1000))
			e := event(m.name, "", value(v))
			e.Record.Key, e.Partition = []byte(key), partition
			if r.IntN(6) == 0 {
				e.Record.Value, v = nil, tombstone
			}
			batch = append(batch, e)
			m.last[key] = v
		}
		h.mustAppend(batch...)
	}
}

func (m *latestModel) check(h *house, when string) {
	h.t.Helper()
	for _, c := range []struct {
		name string
		q    broker.LatestRequest
		in   func(string) bool
	}{
		{"all", broker.LatestRequest{}, func(string) bool { return true }},
		{"a prefix", broker.LatestRequest{Prefix: []byte("o/1")}, func(k string) bool { return strings.HasPrefix(k, "o/1") }},
		{"the prefix with nothing behind", broker.LatestRequest{Prefix: []byte("\xff")}, func(k string) bool { return strings.HasPrefix(k, "\xff") }},
		{"a prefix of none", broker.LatestRequest{Prefix: []byte("q")}, func(string) bool { return false }},
		{"a range", broker.LatestRequest{From: []byte("a\x00"), To: []byte("o/2")}, func(k string) bool { return k >= "a\x00" && k < "o/2" }},
		{"below the empty key", broker.LatestRequest{To: []byte{}}, func(string) bool { return false }},
		{"a range that is none", broker.LatestRequest{From: []byte("o"), To: []byte("a")}, func(string) bool { return false }},
		{
			"a range in a prefix", broker.LatestRequest{Prefix: []byte("o/"), From: []byte("a"), To: []byte("o/15")},
			func(k string) bool { return strings.HasPrefix(k, "o/") && k < "o/15" },
		},
		{"after a key", broker.LatestRequest{After: []byte("o/3")}, func(k string) bool { return k > "o/3" }},
		{"after the empty key", broker.LatestRequest{After: []byte{}}, func(k string) bool { return k != "" }},
		{"after the last", broker.LatestRequest{Prefix: []byte("a"), After: []byte("b")}, func(string) bool { return false }},
	} {
		for _, limit := range []int{3, broker.PageLimitMax} {
			c.q.Stream, c.q.Limit = m.name, limit
			got, err := h.latest(c.q)
			if err != nil {
				h.t.Fatalf("%s: %s: %v", when, c.name, err)
			}
			if got, want := shown(got), m.want(c.in); !slices.Equal(got, want) {
				h.t.Fatalf("%s: %s, limit %d:\n got %q\nwant %q", when, c.name, limit, got, want)
			}
		}
	}
}

func TestLatest_IsAMap(t *testing.T) {
	for _, mode := range []broker.KeyMode{broker.KeysLatest, broker.KeysHistory, broker.KeysVersioned} {
		t.Run(mode.String(), func(t *testing.T) {
			keeping(t, func(t *testing.T, h *house) {
				m := &latestModel{name: "s", tombstones: mode != broker.KeysLatest, last: map[string]string{}}
				h.create("s", broker.StreamConfig{Keys: mode, Partitions: 2, Keep: broker.Keep{TombstoneRetentionMS: tombstoneMS(mode)}})
				h.create("other", broker.StreamConfig{Keys: broker.KeysHistory})
				r := rand.New(rand.NewPCG(1, uint64(mode)))
				m.check(h, "empty")
				for round := range 3 {
					m.appendSome(h, r, 60)
					h.mustAppend(event("other", "o/1", "another stream's"))
					if mode != broker.KeysLatest {
						h.mustAppend(event("s", "", "without a key"))
					}
					m.check(h, fmt.Sprint("round ", round))
					h.moved()
					m.check(h, fmt.Sprint("round ", round, ", moved"))
					h.restart()
					m.check(h, fmt.Sprint("round ", round, ", restarted"))
				}
			})
		})
	}
}

// tombstoneMS lets tombstones go soon where they go at all.
func tombstoneMS(mode broker.KeyMode) int64 {
	if mode == broker.KeysLatest {
		return 1
	}
	return 0
}

func TestLatest_VersionsAreThoseOfTheEvents(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysVersioned})
		for i := range 9 {
			h.mustAppend(event("s", fmt.Sprint("k", i%4), fmt.Sprint("v", i)))
		}
		got, err := h.latest(broker.LatestRequest{Stream: "s", Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		var versions []uint64
		for _, d := range got {
			versions = append(versions, d.Version)
		}
		if !slices.Equal(versions, []uint64{3, 2, 2, 2}) {
			t.Errorf("versions %v", versions)
		}
	})
}

// What is trimmed is left out, unless another partition has an older event. Passing over keys is bounded.
func TestLatest_TrimmedEventsAreLeftOut(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			h := newHouse(t, l.shards, l.namespace)
			h.cfg.PageScanMax = 100
			h.open()
			h.create("s", broker.StreamConfig{Keys: broker.KeysHistory, Partitions: 2})
			old := event("s", "a000", "older, elsewhere")
			old.Partition = 1
			h.mustAppend(old)
			for i := range 250 {
				h.mustAppend(event("s", fmt.Sprintf("a%03d", i), "gone"))
			}
			if _, err := h.b.Truncate(context.Background(), h.c, broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartLatest}, Partition: 0}); err != nil {
				t.Fatal(err)
			}
			h.mustAppend(event("s", "a007", "again"), event("s", "b", "new"))
			for _, when := range []string{"truncated", "restarted"} {
				got, err := h.latest(broker.LatestRequest{Stream: "s", Limit: 10})
				if err != nil {
					t.Fatal(err)
				}
				if got := shown(got); !slices.Equal(got, []string{`"a000"=older, elsewhere`, `"a007"=again`, `"b"=new`}) {
					t.Errorf("%s: %q", when, got)
				}
				if when == "truncated" {
					p, err := h.b.ReadLatest(context.Background(), h.c, broker.LatestRequest{Stream: "s", Limit: 10, After: []byte("a050")})
					if err != nil || len(p.Events) != 0 || p.CaughtUp || string(p.Next) <= "a050" || string(p.Next) > "a150" {
						t.Errorf("a page that only passes over keys has %d events, goes on after %q, caught up %v, %v", len(p.Events), p.Next, p.CaughtUp, err)
					}
				}
				h.restart()
			}
		})
	}
}

func TestLatest_PagesEndAtTheirBytes(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysHistory})
	large := strings.Repeat("x", 1<<20-100)
	for i := range 20 {
		h.mustAppend(event("s", fmt.Sprintf("k%02d", i), large))
	}
	p, err := h.b.ReadLatest(context.Background(), h.c, broker.LatestRequest{Stream: "s", Limit: 100})
	if err != nil || len(p.Events) != 17 || p.CaughtUp || string(p.Next) != "k16" {
		t.Fatalf("%d events, next %q, caught up %v, %v", len(p.Events), p.Next, p.CaughtUp, err)
	}
	p, err = h.b.ReadLatest(context.Background(), h.c, broker.LatestRequest{Stream: "s", Limit: 3, After: p.Next})
	if err != nil || len(p.Events) != 3 || !p.CaughtUp || string(p.Next) != "k19" {
		t.Fatalf("the rest: %d events, next %q, caught up %v, %v", len(p.Events), p.Next, p.CaughtUp, err)
	}
}

func TestLatest_Refusals(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("off", broker.StreamConfig{Keys: broker.KeysOff})
		h.create("s", broker.StreamConfig{Keys: broker.KeysHistory})
		ask := func(q broker.LatestRequest) error {
			_, err := h.b.ReadLatest(context.Background(), h.c, q)
			return err
		}
		for _, limit := range []int{-1, 0, broker.PageLimitMax + 1} {
			wantKind(t, ask(broker.LatestRequest{Stream: "s", Limit: limit}), fault.Invalid)
		}
		wantKind(t, ask(broker.LatestRequest{Stream: "nothing", Limit: 1}), fault.NotFound)
		if e := wantKind(t, ask(broker.LatestRequest{Stream: "off", Limit: 1}), fault.Unsupported); !strings.Contains(e.Text, "set its `keys`") {
			t.Errorf("it does not say what to do: %s", e.Text)
		}
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := h.b.ReadLatest(gone, h.c, broker.LatestRequest{Stream: "s", Limit: 1})
		wantKind(t, err, fault.Unavailable)
		if _, err := h.b.PutUser(context.Background(), h.c, broker.User{Name: "root", Password: "correct horse", Grants: []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}}); err != nil {
			t.Fatal(err)
		}
		wantKind(t, ask(broker.LatestRequest{Stream: "s", Limit: 1}), fault.Denied)
	})
}

// What goes between the look into the index and the read is stood for by what came, or by what another partition has.
func TestLatest_WhatGoesMeanwhileIsLookedForAgain(t *testing.T) {
	ctx := context.Background()
	const keys = 20
	name := func(i int) string { return fmt.Sprintf("k%02d", i%keys) }
	truncate := func(t *testing.T, h *house, p record.PartitionID) {
		t.Helper()
		if _, err := h.b.Truncate(ctx, h.c, broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartLatest}, Partition: p}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		mode    broker.KeyMode
		between func(t *testing.T, h *house)
		want    func(i int) string // "" is none
	}{
		{"compacted", broker.KeysLatest, func(t *testing.T, h *house) {
			for i := range 30 * keys {
				h.mustAppend(event("s", name(i), value(fmt.Sprint("new", i/keys))))
			}
			h.compacted(20 * keys)
		}, func(int) string { return "new29" }},
		{"removed and compacted", broker.KeysLatest, func(t *testing.T, h *house) {
			for i := range 30 * keys {
				e := event("s", name(i), value("new"))
				if i >= 29*keys && i%2 == 0 {
					e.Record.Value = nil
				}
				h.mustAppend(e)
			}
			h.compacted(20 * keys)
		}, func(i int) string { return []string{"", "new"}[i%2] }},
		{"truncated", broker.KeysHistory, func(t *testing.T, h *house) {
			truncate(t, h, record.NoPartition)
		}, func(int) string { return "" }},
		{"truncated where it was newest", broker.KeysHistory, func(t *testing.T, h *house) {
			truncate(t, h, 0)
		}, func(i int) string { return []string{"older", ""}[i%2] }},
		{"truncated and appended again", broker.KeysHistory, func(t *testing.T, h *house) {
			truncate(t, h, record.NoPartition)
			for i := range keys / 2 {
				h.mustAppend(event("s", name(i), value("new")))
			}
		}, func(i int) string { return []string{"new", ""}[i/(keys/2)] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			keeping(t, func(t *testing.T, h *house) {
				h.create("s", broker.StreamConfig{Keys: c.mode, Partitions: 2})
				for i := range keys {
					if e := event("s", name(i), value("older")); i%2 == 0 {
						e.Partition = 1
						h.mustAppend(e)
					}
				}
				for i := range keys {
					h.mustAppend(event("s", name(i), value("old")))
				}
				p, err := h.b.ReadLatestAfter(ctx, h.c, broker.LatestRequest{Stream: "s", Limit: 100}, func() { c.between(t, h) })
				if err != nil || !p.CaughtUp {
					t.Fatalf("caught up %v, %v", p.CaughtUp, err)
				}
				var want []string
				for i := range keys {
					if v := c.want(i); v != "" {
						want = append(want, fmt.Sprintf("%q=%s", name(i), v))
					}
				}
				if got := shown(p.Events); !slices.Equal(got, want) {
					t.Errorf("got %q\nwant %q", got, want)
				}
			})
		})
	}
}

// While the index of a stream that kept no keys is made, nobody is shown a part of it.
func TestLatest_KeysAreBuilt(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		const keys = 300
		for i := range keys {
			h.mustAppend(event("s", fmt.Sprintf("k%03d", i), value("v")))
		}
		h.moved()
		h.change("s", broker.KeysHistory)
		h.mustAppend(event("s", "k007", value("new")))
		for {
			got, err := h.latest(broker.LatestRequest{Stream: "s", Limit: 100})
			if fault.Is(err, fault.Unavailable) && strings.Contains(err.Error(), "being built") {
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil || len(got) != keys || !strings.HasPrefix(string(got[7].Record.Value), "new.") {
				t.Fatalf("%d keys, %v", len(got), err)
			}
			return
		}
	})
}

// A key that always has an event is in every walk, with one that is not older than what was acknowledged when the walk began, whatever is
// compacted meanwhile.
func TestLatest_NoKeyIsMissedWhileEventsAreCompacted(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysLatest, Partitions: 2})
	const keys, total, readers = 37, 1500, 2
	name := func(i int) string { return fmt.Sprintf("k%02d", i%keys) }
	for i := range keys {
		h.mustAppend(event("s", name(i), value(fmt.Sprintf("%06d", i))))
	}
	stop, failed := make(chan struct{}), make(chan error, readers)
	for range readers {
		go func() {
			seen := map[string]string{}
			for running(stop) {
				q := broker.LatestRequest{Stream: "s", Limit: 10}
				n := 0
				for {
					p, err := h.b.ReadLatest(context.Background(), h.c, q)
					if err != nil {
						failed <- err
						return
					}
					for _, d := range p.Events {
						k, v := string(d.Record.Key), string(d.Record.Value[:6])
						if k != name(n) || v < seen[k] {
							failed <- fmt.Errorf("event %d is of %s with %s, and %s was seen before", n, k, v, seen[k])
							return
						}
						seen[k] = v
						n++
					}
					if p.CaughtUp {
						break
					}
					q.After = p.Next
				}
				if n != keys {
					failed <- fmt.Errorf("%d keys came", n)
					return
				}
			}
			failed <- nil
		}()
	}
	for i := keys; i < total; i++ {
		h.mustAppend(event("s", name(i), value(fmt.Sprintf("%06d", i))))
	}
	h.compacted(250)
	close(stop)
	for range readers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
