package broker_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

func TestSubmitBatches_PipelinedAreAppendedInOrder(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		var pending []*broker.PendingBatches
		var want []string
		for i := range 300 {
			v := fmt.Sprint(i)
			want = append(want, v)
			pending = append(pending, h.b.SubmitBatches(context.Background(), h.c,
				broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "s", Batch: batch(t, -1, 0, 0, v)}}}))
		}
		for i, p := range pending {
			if r := p.Wait(context.Background())[0]; r.Err != nil || r.Base != record.Offset(i) {
				t.Fatalf("batch %d: %+v", i, r)
			}
		}
		if d := cmp.Diff(want, h.values("s")); d != "" {
			t.Fatal(d)
		}
	})
}

func TestSubmitBatches_EachEntryIsJudgedAlone(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2, Keys: broker.KeysOff})
		bad := batch(t, -1, 0, 0, "bad")
		bad[len(bad)-1] ^= 1
		p := h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: []broker.BatchEntry{
			{Stream: "s", Partition: 0, Batch: batch(t, -1, 0, 0, "a", "b")},
			{Stream: "nowhere", Batch: batch(t, -1, 0, 0, "x")},
			{Stream: "s", Partition: 7, Batch: batch(t, -1, 0, 0, "x")},
			{Stream: "s", Partition: 1, Batch: bad},
			{Stream: "s", Partition: 1, Batch: batch(t, -1, 0, 0, "c")},
		}})
		r := p.Wait(context.Background())
		var kinds []string
		for i := range r {
			k := "ok"
			if r[i].Err != nil {
				k = r[i].Err.Kind.String() + " " + string(r[i].Err.Reason)
			}
			kinds = append(kinds, k)
		}
		if d := cmp.Diff([]string{"ok", "not-found ", "not-found partition", "invalid checksum", "ok"}, kinds); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff([]string{"a", "b", "c"}, h.values("s")); d != "" {
			t.Fatal(d)
		}
	})
}

func TestIdempotentProducer(t *testing.T) {
	type step struct {
		producer int64
		epoch    int16
		seq      int32
		n        int
		want     string // base, "dup base", or a refusal
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		name  string
		steps []step
		idle  map[int]time.Duration // before that step
	}{
		{"in order", []step{{5, 0, 0, 2, "0"}, {5, 0, 2, 1, "2"}, {6, 0, 0, 1, "3"}}, nil},
		{"duplicate of the last", []step{{5, 0, 0, 2, "0"}, {5, 0, 0, 2, "dup 0"}, {5, 0, 2, 1, "2"}}, nil},
		{"duplicate among the last five", []step{{5, 0, 0, 1, "0"}, {5, 0, 1, 1, "1"}, {5, 0, 2, 1, "2"}, {5, 0, 3, 1, "3"}, {5, 0, 4, 1, "4"},
			{5, 0, 0, 1, "dup 0"}, {5, 0, 4, 1, "dup 4"}, {5, 0, 5, 1, "5"}, {5, 0, 0, 1, "out-of-sequence"}}, nil},
		{"a gap", []step{{5, 0, 0, 1, "0"}, {5, 0, 2, 1, "out-of-sequence"}, {5, 0, 1, 1, "1"}}, nil},
		{"another length is no duplicate", []step{{5, 0, 0, 2, "0"}, {5, 0, 0, 1, "out-of-sequence"}}, nil},
		{"wraps", []step{{5, 0, math.MaxInt32 - 1, 2, "0"}, {5, 0, 0, 1, "2"}, {5, 0, math.MaxInt32 - 1, 2, "dup 0"}}, nil},
		{"wraps within a batch", []step{{5, 0, math.MaxInt32, 3, "0"}, {5, 0, 2, 1, "3"}, {5, 0, math.MaxInt32, 3, "dup 0"}}, nil},
		{"a new epoch starts at 0", []step{{5, 0, 0, 3, "0"}, {5, 1, 3, 1, "out-of-sequence"}, {5, 1, 0, 1, "3"}, {5, 1, 1, 1, "4"}}, nil},
		{"a lower epoch is fenced", []step{{5, 3, 0, 1, "0"}, {5, 2, 1, 1, "producer-epoch"}, {5, 3, 1, 1, "1"}}, nil},
		{"unknown starts anywhere", []step{{5, 0, 77, 1, "0"}, {5, 0, 78, 1, "1"}}, nil},
		{"silent for a day is forgotten", []step{{5, 0, 0, 1, "0"}, {5, 0, 9, 1, "1"}, {5, 0, 0, 1, "out-of-sequence"}}, map[int]time.Duration{1: day + time.Second}},
		{"silent for less is not", []step{{5, 0, 0, 1, "0"}, {5, 0, 0, 1, "dup 0"}}, map[int]time.Duration{1: day - time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
				for again := range 3 { // the same with a restart before every step, and with everything replayed
					h.create(fmt.Sprint("s", again), broker.StreamConfig{Keys: broker.KeysOff})
					for i, s := range c.steps {
						h.clock.Advance(c.idle[i])
						switch again {
						case 1:
							h.restart()
						case 2:
							h.forget()
						}
						values := slices.Repeat([]string{"v"}, s.n)
						r := h.send(fmt.Sprint("s", again), batch(t, s.producer, s.epoch, s.seq, values...))
						got := fmt.Sprint(r.Base)
						if r.Duplicate {
							got = "dup " + got
						}
						if r.Err != nil {
							got = string(r.Err.Reason)
						}
						if got != s.want {
							t.Fatalf("round %d, step %d: got %q, want %q (%v)", again, i, got, s.want, r.Err)
						}
					}
				}
			})
		})
	}
}

func TestIdempotentProducer_DuplicateInFlightWaitsForTheFirst(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		a := broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "s", Batch: batch(t, 9, 0, 0, "v")}}}
		b := broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "s", Batch: batch(t, 9, 0, 0, "v")}}}
		first, second := h.b.SubmitBatches(context.Background(), h.c, a), h.b.SubmitBatches(context.Background(), h.c, b)
		if r := second.Wait(context.Background())[0]; !r.Duplicate || r.Base != 0 || r.Err != nil {
			t.Fatalf("second: %+v", r)
		}
		select {
		case <-first.Done():
		default:
			t.Fatal("the duplicate was answered before the first")
		}
		if got := h.values("s"); len(got) != 1 {
			t.Fatalf("stored %v", got)
		}
	})
}

func TestNewProducer_IDsAreNeverGivenTwice(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		seen := map[int64]bool{}
		for i := range 30 {
			switch i {
			case 10:
				h.restart()
			case 20:
				h.forget()
			}
			id, epoch, err := h.b.NewProducer(context.Background(), h.c)
			if err != nil || epoch != 0 || seen[id] {
				t.Fatalf("id %d, epoch %d, %v; seen %v", id, epoch, err, seen[id])
			}
			seen[id] = true
		}
	})
}

func TestAppendEvents_ExpectedVersions(t *testing.T) {
	none, exists := broker.Expect{Kind: broker.ExpectNone}, broker.Expect{Kind: broker.ExpectExists}
	at := func(v uint64) broker.Expect { return broker.Expect{Kind: broker.ExpectVersion, Version: v} }
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysVersioned})
		for i, c := range []struct {
			key    string
			expect broker.Expect
			want   uint64 // version it gets; 0: refused
			now    uint64 // then current
		}{
			{"a", exists, 0, 0}, {"a", at(1), 0, 0}, {"a", none, 1, 0}, {"a", none, 0, 1}, {"a", at(0), 0, 1}, {"a", at(1), 2, 0}, {"a", exists, 3, 0},
			{"b", none, 1, 0}, {"a", broker.Expect{}, 4, 0}, {"a", at(3), 0, 4}, {"b", at(0), 0, 1},
		} {
			if i%4 == 3 {
				h.restart()
			}
			e := event("s", c.key, fmt.Sprint(i))
			e.Expect = c.expect
			r, err := h.append(e)
			if c.want > 0 {
				if err != nil || r[0].Version != c.want {
					t.Fatalf("%d: got %+v, %v, want version %d", i, r, err, c.want)
				}
				continue
			}
			f := wantKind(t, err, fault.Conflict)
			failed, _ := f.Detail.([]broker.FailedCondition)
			if len(failed) != 1 || failed[0].Current != c.now || failed[0].Key != c.key || failed[0].Event != 0 {
				t.Fatalf("%d: detail %+v", i, f.Detail)
			}
		}
	})
}

func TestAppendEvents_AllFailuresAtOnceAndNothingStored(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysVersioned})
		h.create("u", broker.StreamConfig{Keys: broker.KeysVersioned, Partitions: 3})
		h.mustAppend(event("s", "a", "1"), event("s", "a", "2"))
		good, bad1, bad2 := event("u", "x", "x"), event("s", "a", "3"), event("s", "b", "4")
		bad1.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: 1}
		bad2.Expect = broker.Expect{Kind: broker.ExpectExists}
		_, err := h.b.AppendEvents(context.Background(), h.c, broker.EventsAppend{
			Events: []broker.EventEntry{good, bad1, bad2},
			If:     []broker.Condition{{Stream: "s", Key: []byte("a"), Expect: broker.Expect{Kind: broker.ExpectNone}}, {Stream: "s", Key: []byte("a"), Expect: broker.Expect{Kind: broker.ExpectExists}}},
		})
		f := wantKind(t, err, fault.Conflict)
		want := []broker.FailedCondition{
			{Event: -1, If: 0, Stream: "s", Key: "a", Expected: "none", Current: 2},
			{Event: 1, If: -1, Stream: "s", Key: "a", Expected: "1", Current: 2},
			{Event: 2, If: -1, Stream: "s", Key: "b", Expected: "exists", Current: 0},
		}
		if d := cmp.Diff(want, f.Detail); d != "" {
			t.Fatal(d)
		}
		if got := h.values("s", "u"); len(got) != 2 {
			t.Fatalf("stored %v", got)
		}
		// Within one request each event is judged on what the ones before it leave.
		e1, e2 := event("s", "n", "1"), event("s", "n", "2")
		e1.Expect = broker.Expect{Kind: broker.ExpectNone}
		e2.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: 1}
		if r := h.mustAppend(e1, e2); r[1].Version != 2 {
			t.Fatalf("%+v", r)
		}
		e1.Expect, e2.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: 2}, broker.Expect{Kind: broker.ExpectVersion, Version: 2}
		_, err = h.append(e1, e2)
		wantKind(t, err, fault.Conflict)
		if r := h.mustAppend(event("s", "n", "3")); r[0].Version != 3 {
			t.Fatalf("a refused request has moved the version: %+v", r)
		}
	})
}

func TestAppendEvents_OnlyConditions(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysVersioned})
		h.mustAppend(event("s", "a", "1"))
		ask := func(e broker.Expect) error {
			_, err := h.b.AppendEvents(context.Background(), h.c, broker.EventsAppend{If: []broker.Condition{{Stream: "s", Key: []byte("a"), Expect: e}}})
			return err
		}
		if err := ask(broker.Expect{Kind: broker.ExpectVersion, Version: 1}); err != nil {
			t.Fatal(err)
		}
		wantKind(t, ask(broker.Expect{Kind: broker.ExpectNone}), fault.Conflict)
	})
}

func TestAppendEvents_AtomicOverPartitionsIsSeenWhole(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("a", broker.StreamConfig{Partitions: 2})
		h.create("b", broker.StreamConfig{Partitions: 2})
		ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
		defer stop()
		f, err := h.b.Follow(ctx, h.c, broker.FollowRequest{Streams: []string{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		const writers, rounds = 4, 40
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range rounds {
					var es []broker.EventEntry
					for k, s := range []string{"a", "b", "a", "b"} {
						e := event(s, "", fmt.Sprintf("%d-%d-%d", w, i, k))
						e.Partition = record.PartitionID(k / 2)
						es = append(es, e)
					}
					if _, err := h.append(es...); err != nil {
						t.Error(err)
					}
				}
			})
		}
		// A frame's events come one after the other: four of each request, in a row by position.
		bySeq := map[uint64]int{}
		var last record.Position
		for n := 0; n < writers*rounds*4; {
			ds, err := f.Next(ctx, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range ds {
				if n > 0 && d.Position.Compare(last) <= 0 {
					t.Fatalf("position %v after %v", d.Position, last)
				}
				last = d.Position
				bySeq[d.Position.Seq]++
				n++
			}
			// What was handed out so far ends with whole requests.
			if n%4 != 0 && len(ds) < 1000 {
				t.Fatalf("%d events: a part of a request was visible", n)
			}
		}
		wg.Wait()
		for seq, n := range bySeq {
			if n%4 != 0 {
				t.Errorf("frame %d holds %d events", seq, n)
			}
		}
	})
}
