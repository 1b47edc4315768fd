package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

func identified(stream, id, value string) broker.EventEntry {
	e := event(stream, "", value)
	e.Source, e.ID = "/test", id
	return e
}

func TestDedup_TheSameRequestHasItOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		r := h.mustAppend(identified("s", "1", "a"), identified("s", "2", "b"), identified("s", "1", "c"))
		if r[2].Ref != r[0].Ref || !r[2].Duplicate || r[0].Duplicate || r[1].Duplicate {
			t.Fatalf("%+v", r)
		}
		if got := h.values("s"); len(got) != 2 {
			t.Fatalf("stored %v", got)
		}
	})
}

func TestDedup_LaterAndAfterRestarts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 3})
		h.create("other", broker.StreamConfig{})
		e := identified("s", "1", "a")
		e.Partition = record.NoPartition
		first := h.mustAppend(e)[0]
		for i, again := range []func(){func() {}, h.restart, h.forget, func() { h.clock.Advance(9 * time.Minute) }} {
			again()
			if r := h.mustAppend(e)[0]; !r.Duplicate || r.Ref != first.Ref || r.Position != first.Position || r.AppendTime != first.AppendTime {
				t.Fatalf("%d: first %+v, then %+v", i, first, r)
			}
		}
		if r := h.mustAppend(identified("other", "1", "a"))[0]; r.Duplicate {
			t.Fatal("the same id in another stream is another event")
		}
		e.Source = "/other"
		if r := h.mustAppend(e)[0]; r.Duplicate {
			t.Fatal("the same id of another source is another event")
		}
	})
}

func TestDedup_AnswersWithTheVersionOfTheFirstTime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("v", broker.StreamConfig{Keys: broker.KeysVersioned, Partitions: 3})
		h.create("h", broker.StreamConfig{Keys: broker.KeysHistory})
		e := identified("v", "1", "a")
		e.Record.Key = []byte("k")
		h.mustAppend(event("v", "k", "before"))
		first := h.mustAppend(e)[0]
		h.mustAppend(event("v", "k", "after"))
		for i, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			if r := h.mustAppend(e)[0]; !r.Duplicate || r.Version != 2 || r.Ref != first.Ref {
				t.Fatalf("%d: first %+v, then %+v", i, first, r)
			}
		}
		e.Record.Key = []byte("other")
		if r := h.mustAppend(e)[0]; !r.Duplicate || r.Version != 0 {
			t.Fatalf("with a key that it was not stored under: %+v", r)
		}
		e = identified("h", "1", "a")
		e.Record.Key = []byte("k")
		h.mustAppend(e)
		if r := h.mustAppend(e)[0]; !r.Duplicate || r.Version != 0 {
			t.Fatalf("where no versions are kept: %+v", r)
		}
	})
}

// A quiet node keeps the last frames' identities where commands are judged, for longer than the window: they must not get in the way.
func TestDedup_AfterTheWindowItIsANewEvent(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		first := h.mustAppend(identified("s", "1", "a"))[0]
		for range 3 {
			h.clock.Advance(h.cfg.DedupWindow + time.Second)
			r := h.mustAppend(identified("s", "1", "a"))[0]
			if r.Duplicate || r.Ref == first.Ref {
				t.Fatalf("after the window: %+v, first %+v", r, first)
			}
			first = r
		}
	})
}

func TestDedup_OfManyAtOnceOneIsAppended(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 4})
		const askers, ids = 12, 25
		refs := make([][ids]broker.EventResult, askers)
		var wg sync.WaitGroup
		for a := range askers {
			wg.Go(func() {
				for i := range ids {
					e := identified("s", fmt.Sprint(i), "v")
					e.Partition = record.NoPartition
					r, err := h.append(e)
					if err != nil {
						t.Error(err)
						return
					}
					refs[a][i] = r[0]
				}
			})
		}
		wg.Wait()
		for i := range ids {
			fresh := 0
			for a := range askers {
				if refs[a][i].Ref != refs[0][i].Ref {
					t.Errorf("id %d is %s and %s", i, refs[0][i].Ref, refs[a][i].Ref)
				}
				if !refs[a][i].Duplicate {
					fresh++
				}
			}
			if fresh != 1 {
				t.Errorf("id %d was new %d times", i, fresh)
			}
		}
		if got := h.values("s"); len(got) != ids {
			t.Fatalf("%d stored", len(got))
		}
	})
}

func TestDedup_OffWithoutWindow(t *testing.T) {
	h := newHouse(t, 1, "")
	h.cfg.DedupWindow = 0
	h.open()
	h.create("s", broker.StreamConfig{})
	if h.mustAppend(identified("s", "1", "a")); h.mustAppend(identified("s", "1", "a"))[0].Duplicate {
		t.Fatal("a duplicate without a window")
	}
}

func TestKeys_WhatEachModeKeeps(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, m := range []broker.KeyMode{broker.KeysOff, broker.KeysLatest, broker.KeysHistory, broker.KeysVersioned} {
			name := m.String()
			h.create(name, broker.StreamConfig{Keys: m, Partitions: 2})
			for i := range 4 {
				e := event(name, "k", fmt.Sprint(i))
				e.Partition = 1
				h.mustAppend(e, event(name, "j", "other"))
			}
			r := h.mustAppend(func() broker.EventEntry { e := event(name, "k", "4"); e.Partition = 1; return e }())[0]
			wantVersion := uint64(0)
			if m == broker.KeysVersioned {
				wantVersion = 5
			}
			if r.Version != wantVersion {
				t.Errorf("%s: version %d", m, r.Version)
			}
			want := "[0 1 2 3 4]"
			if m == broker.KeysLatest {
				want = "[4]"
			}
			for _, again := range []func(){func() {}, h.restart, h.forget} {
				again()
				p := h.page(broker.PageRequest{Streams: []string{name}, Key: []byte("k")})
				if got := fmt.Sprint(texts(p.Events)); got != want || !p.CaughtUp {
					t.Errorf("%s: by key %s, want %s", m, got, want)
				}
				for i, d := range p.Events {
					if wantVersion > 0 && d.Version != uint64(i+1) {
						t.Errorf("%s: event %d has version %d", m, i, d.Version)
					}
				}
			}
		}
		_, err := h.append(event("latest", "", "no key"))
		wantKind(t, err, fault.Invalid)
		e := event("history", "k", "x")
		e.Expect = broker.Expect{Kind: broker.ExpectNone}
		_, err = h.append(e)
		wantKind(t, err, fault.Unsupported)
	})
}

func TestKeys_HistoryBecomesVersioned(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{}) // says nothing: keeps history until somebody asks for a version
		for i := range 3 {
			h.mustAppend(event("s", "k", fmt.Sprint(i)))
		}
		e := event("s", "k", "3")
		e.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: 3}
		if r := h.mustAppend(e)[0]; r.Version != 4 {
			t.Fatalf("version %d after three of history", r.Version)
		}
		for _, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			e := event("s", "fresh", "x")
			e.Expect = broker.Expect{Kind: broker.ExpectExists}
			_, err := h.append(e)
			wantKind(t, err, fault.Conflict)
			p := h.page(broker.PageRequest{Streams: []string{"s"}, Key: []byte("k")})
			if got := fmt.Sprint(texts(p.Events)); got != "[0 1 2 3]" {
				t.Fatalf("by key %s", got)
			}
		}
		for m, want := range map[broker.KeyMode]string{broker.KeysHistory: "[0 1 2 3]", broker.KeysLatest: "[3]"} {
			if _, err := h.b.AlterStream(context.Background(), h.c, "s", func(c *broker.StreamConfig) error { c.Keys = m; return nil }, 0); err != nil {
				t.Fatal(err)
			}
			p := h.page(broker.PageRequest{Streams: []string{"s"}, Key: []byte("k")})
			if got := fmt.Sprint(texts(p.Events)); got != want {
				t.Fatalf("with keys %s, by key %s", m, got)
			}
		}
	})
}

// While a stream's key mode changes back and forth, an expected version is either judged or refused, never passed over.
func TestKeys_AnExpectedVersionIsNeverPassedOver(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		for round := range 30 {
			name := fmt.Sprint("s", round)
			h.create(name, broker.StreamConfig{})
			h.mustAppend(event(name, "k", "first"))
			var wg sync.WaitGroup
			wg.Go(func() { // in the way of the change that the first expected version asks for
				for i := range 5 {
					_, _ = h.b.AlterStream(ctx, h.c, name, func(c *broker.StreamConfig) error { c.DefaultType = fmt.Sprint("t", i); return nil }, 0)
				}
			})
			for range 4 {
				wg.Go(func() {
					e := event(name, "k", "second")
					e.Expect = broker.Expect{Kind: broker.ExpectNone} // never true: the key has an event
					if r, err := h.append(e); err == nil {
						t.Errorf("an event was appended as the first of its key: %+v", r)
					}
				})
			}
			wg.Wait()
		}
	})
}

// An event can be the same for a shorter time than the node remembers; from its second coming on it is that one that is found.
func TestDedup_WithinAShorterTime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		e := identified("s", "1", "a")
		e.Within = 5 * time.Minute
		first := h.mustAppend(e)[0]
		h.clock.Advance(4 * time.Minute)
		if r := h.mustAppend(e)[0]; !r.Duplicate || r.Ref != first.Ref {
			t.Fatalf("after 4 minutes %+v", r)
		}
		h.clock.Advance(2 * time.Minute)
		second := h.mustAppend(e)[0]
		if second.Duplicate || second.Ref == first.Ref {
			t.Fatalf("after 6 minutes %+v", second)
		}
		h.restart()
		h.clock.Advance(4 * time.Minute)
		if r := h.mustAppend(e)[0]; !r.Duplicate || r.Ref != second.Ref {
			t.Fatalf("4 minutes after the second %+v, which was %+v", r, second)
		}
	})
}
