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

// writer is a named producer.
type writer struct {
	h    *house
	name string
	id   broker.ProducerEpoch
	seq  map[string]int32
}

func (h *house) writer(name string) *writer {
	h.t.Helper()
	id, err := h.b.InitTransactor(context.Background(), h.c, name, time.Minute, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &writer{h, name, id, map[string]int32{}}
}

// try sends one batch to partition 0 with its transaction. A value k=v has a key.
func (w *writer) try(stream string, values ...string) *fault.Error {
	w.h.t.Helper()
	var records []record.Record
	for _, v := range values {
		r := record.Record{Timestamp: 1_700_000_000_000, Value: []byte(v)}
		if k, _, keyed := strings.Cut(v, "="); keyed {
			r.Key = []byte(k)
		}
		records = append(records, r)
	}
	b, err := record.BuildBatch(records)
	if err != nil {
		w.h.t.Fatal(err)
	}
	record.StampProducer(b, w.id.ID, w.id.Epoch, w.seq[stream])
	record.StampTransactional(b)
	a := broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: stream, Batch: b}}, Transactor: w.name, Implicit: true}
	r := w.h.b.SubmitBatches(context.Background(), w.h.c, a).Wait(context.Background())[0]
	w.seq[stream] += int32(len(values))
	return r.Err
}

func (w *writer) send(stream string, values ...string) {
	w.h.t.Helper()
	if err := w.try(stream, values...); err != nil {
		w.h.t.Fatal(err)
	}
}

func (w *writer) end(commit bool) {
	w.h.t.Helper()
	id, err := w.h.b.EndTransaction(context.Background(), w.h.c, w.name, w.id, commit, true)
	if err != nil {
		w.h.t.Fatal(err)
	}
	w.id = id
	clear(w.seq)
}

func TestTransactions_ReadersSeeWhatIsCommitted(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{Keys: broker.KeysHistory})
		h.create("r", broker.StreamConfig{Keys: broker.KeysHistory})
		h.subscribe("w", broker.StartEarliest, nil, "s", "r")
		f, err := h.b.Follow(ctx, h.c, broker.FollowRequest{Streams: []string{"s", "r"}})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		followed := []string{}
		check := func(want string) {
			t.Helper()
			if got := strings.Join(h.values("s", "r"), " "); got != want {
				t.Errorf("page: %s, expected %s", got, want)
			}
			ds, err := f.TryNext(100)
			if err != nil {
				t.Fatal(err)
			}
			followed = append(followed, texts(ds)...)
			if got := strings.Join(followed, " "); got != want {
				t.Errorf("followed: %s, expected %s", got, want)
			}
		}
		h.mustAppend(event("s", "k", "k=0"))
		a, b := h.writer("a"), h.writer("b")
		a.send("s", "k=a1", "k=a2")
		h.mustAppend(event("r", "", "r1"))
		b.send("s", "k=b1")
		b.send("r", "b2")
		check("k=0")
		b.end(true)
		check("k=0") // a is still open before it
		a.end(false)
		check("k=0 r1 k=b1 b2")
		back := h.page(broker.PageRequest{Streams: []string{"s", "r"}, Limit: 100, Backward: true, From: broker.Start{Kind: broker.StartLatest}})
		if got := strings.Join(texts(back.Events), " "); got != "b2 k=b1 r1 k=0" {
			t.Errorf("backwards: %s", got)
		}
		a.send("s", "k=a3")
		for _, restarted := range []bool{false, true} {
			if restarted {
				h.restart()
			}
			key := h.page(broker.PageRequest{Streams: []string{"s"}, Limit: 100, Key: []byte("k")})
			if got := strings.Join(texts(key.Events), " "); got != "k=0 k=b1" {
				t.Errorf("restarted %v: by key: %s", restarted, got)
			}
			latest, err := h.b.ReadLatest(ctx, h.c, broker.LatestRequest{Stream: "s", Limit: 10})
			if got := strings.Join(texts(latest.Events), " "); err != nil || got != "k=b1" {
				t.Errorf("restarted %v: latest: %s %v", restarted, got, err)
			}
			for o, want := range map[record.Offset]bool{0: true, 1: false, 2: false, 3: true, 4: false, 5: false, 6: false} {
				_, err := h.b.ReadRef(ctx, h.c, record.Ref{Stream: "s", Offset: o})
				if (err == nil) != want || err != nil && !fault.Is(err, fault.NotFound) {
					t.Errorf("restarted %v: offset %d: %v", restarted, o, err)
				}
			}
		}
		ds := h.receive("w", 4)
		got := payloads(ds)
		if slices.Sort(got); strings.Join(got, " ") != "b2 k=0 k=b1 r1" {
			t.Errorf("received: %s", got)
		}
		if ds, err := h.b.Receive(ctx, h.c, "w", broker.ReceiveRequest{Max: 1}); err != nil || len(ds) > 0 {
			t.Errorf("an open transaction is handed over: %v %v", payloads(ds), err)
		}
		a.end(true) // after a restart it goes on
		last := h.receive("w", 1)
		if got := strings.Join(payloads(last), " "); got != "k=a3" {
			t.Errorf("received once committed: %s", got)
		}
		h.ack(append(ds, last...)...)
		wait(t, func() bool {
			if more, err := h.b.Receive(ctx, h.c, "w", broker.ReceiveRequest{Max: 1}); err != nil || len(more) > 0 {
				t.Fatalf("more than there is: %v %v", payloads(more), err)
			}
			return h.standing("w").Waiting == 0
		})
	})
}

func TestTransactions_TimeAborts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		a := h.writer("a")
		a.send("s", "x")
		h.mustAppend(event("s", "", "behind"))
		if got := h.values("s"); len(got) > 0 {
			t.Fatalf("seen: %v", got)
		}
		h.clock.Advance(time.Minute)
		wait(t, func() bool { return slices.Equal(h.values("s"), []string{"behind"}) })
		if err := a.try("s", "y"); err == nil || err.Reason != fault.ReasonProducerEpoch {
			t.Errorf("after its time: %v", err)
		}
		_, err := h.b.EndTransaction(context.Background(), h.c, "a", a.id, true, true)
		if e := wantKind(t, err, fault.Fenced); e.Reason != fault.ReasonProducerFenced {
			t.Errorf("%v", err)
		}
	})
}

func TestTransactions_PositionsMoveWithThem(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{})
		h.numbers("s", 0, 10)
		h.subscribe("g", broker.StartEarliest, func(c *broker.SubscriptionConfig) { c.Policy.Kind = broker.SubscriptionCursor }, "s")
		at := func() record.Offset {
			ps, err := h.b.Positions(ctx, h.c, "g", nil)
			if err != nil || len(ps) != 1 {
				t.Fatalf("%v %v", ps, err)
			}
			return ps[0].Offset
		}
		a := h.writer("a")
		defers := func(o record.Offset) {
			t.Helper()
			if err := h.b.DeferPositions(ctx, h.c, "a", a.id, "g", []broker.PositionCommit{{Stream: "s", Offset: o, LeaderEpoch: -1}}, true); err != nil {
				t.Fatal(err)
			}
		}
		defers(4)
		if at() != 0 {
			t.Errorf("before the end it is at %d", at())
		}
		pending, err := h.b.PendingPositions(ctx, h.c, "g")
		if err != nil || len(pending) != 1 {
			t.Errorf("pending: %v %v", pending, err)
		}
		a.end(false)
		defers(6)
		h.restart()
		a.end(true)
		if at() != 6 {
			t.Errorf("it is at %d", at())
		}
	})
}

// A position below 0 is none: what is kept goes with the commit, in the order in which it was said, and not with an abort.
func TestTransactions_PositionsAreTakenAway(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{Partitions: 2})
		h.subscribe("g", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.Kind = broker.SubscriptionCursor })
		a := h.writer("a")
		kept := func() string {
			t.Helper()
			ps, err := h.b.Positions(ctx, h.c, "g", nil)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, p := range ps {
				out = append(out, fmt.Sprintf("%d:%d", p.Partition, p.Offset))
			}
			return strings.Join(out, " ")
		}
		defers := func(offsets ...record.Offset) {
			t.Helper()
			for i, o := range offsets {
				ps := []broker.PositionCommit{{Stream: "s", Partition: record.PartitionID(i), Offset: o, LeaderEpoch: -1}}
				if err := h.b.DeferPositions(ctx, h.c, "a", a.id, "g", ps, true); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, x := range []struct {
			commit bool
			says   [][]record.Offset
			want   string
		}{
			{true, [][]record.Offset{{4, 5}}, "0:4 1:5"},
			{false, [][]record.Offset{{-1, -1}}, "0:4 1:5"},
			{true, [][]record.Offset{{-1, 6}}, "1:6"},
			{true, [][]record.Offset{{-1, -7}}, ""},
			{true, [][]record.Offset{{-1, 8}, {9, -1}}, "0:9"},
		} {
			for _, offsets := range x.says {
				defers(offsets...)
			}
			if i%2 == 1 {
				h.restart()
			}
			a.end(x.commit)
			if got := kept(); got != x.want {
				t.Errorf("%v: %q, want %q", x.says, got, x.want)
			}
			h.forget() // all of it is told by the journal
			if got := kept(); got != x.want {
				t.Errorf("%v, replayed: %q, want %q", x.says, got, x.want)
			}
		}
	})
}

// What was aborted supersedes nothing, and goes; what is open holds compaction back.
func TestTransactions_Compaction(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysLatest})
	a := h.writer("a")
	keys := func(from string) (vs []string) {
		for i := range 20 {
			vs = append(vs, fmt.Sprintf("k%d=%s %s", i, from, value("")))
		}
		return vs
	}
	a.send("s", keys("good")...)
	a.end(true)
	a.send("s", keys("bad")...)
	a.end(false)
	filler := func(n int) {
		for range n {
			h.mustAppend(event("s", "filler", value("f")))
		}
	}
	check := func() {
		t.Helper()
		found := 0
		for _, d := range h.all("s") {
			if k := string(d.Record.Key); k != "filler" {
				if found++; !strings.Contains(string(d.Record.Value), "good") {
					t.Fatalf("%s has %.20s", k, d.Record.Value)
				}
			}
		}
		if found != 20 {
			t.Fatalf("%d of 20 keys are left", found)
		}
		p, err := h.b.ReadLatest(context.Background(), h.c, broker.LatestRequest{Stream: "s", Limit: 100})
		if err != nil || len(p.Events) != 21 {
			t.Fatalf("%d keys by the index: %v", len(p.Events), err)
		}
	}
	// markers are those that are stored: what committed, what aborted.
	markers := func() (commits, aborts int) {
		t.Helper()
		for from := record.Offset(0); ; {
			r := h.b.Read(context.Background(), h.c, []broker.Cursor{{Stream: "s", From: from, BytesMax: 1 << 20}}, 1<<20)
			if r[0].Err != nil {
				t.Fatal(r[0].Err)
			}
			if len(r[0].Batches) == 0 {
				return commits, aborts
			}
			for _, b := range r[0].Batches {
				switch bh, err := record.ParseBatchHeader(b.Raw); {
				case err != nil:
					t.Fatal(err)
				case record.Commits(b.Raw, &bh):
					commits++
				case bh.Control():
					aborts++
				}
				from = b.Next
			}
		}
	}
	filler(400)
	h.compacted(300)
	check()
	if c, a := markers(); c != 1 || a != 1 {
		t.Fatalf("%d markers that committed and %d that aborted are there before their time", c, a)
	}
	h.clock.Advance(25 * time.Hour)
	b := h.writer("b")
	b.send("s", keys("open")...)
	filler(400)
	h.still()
	check2 := len(h.all("s")) // up to what is stable
	if check2 < 21 {
		t.Fatalf("%d are left", check2)
	}
	b.end(false)
	filler(400)
	h.compacted(800)
	check()
	for n := 1; ; n++ { // n+1 have committed; a file is rewritten when enough of it is superseded, and the marker in it goes
		a.send("s", keys("good")...)
		a.end(true)
		h.clock.Advance(25 * time.Hour)
		filler(200)
		h.still()
		c, aborted := markers()
		if aborted != 2 {
			t.Fatalf("%d markers that aborted are there, expected 2", aborted)
		}
		if c < n {
			break
		}
		if n == 20 {
			t.Fatalf("%d markers that committed are there after %d transactions", c, n+1)
		}
	}
	h.restart()
	check()
}
