package subscription

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
	"leat/storage/state/pebble"
)

// bench is a head and a folder without a log: records are made up when they are asked for.
type bench struct {
	tb    testing.TB
	store state.Store
	state *State
	fold  *Folder
	head  *Head
	frame fact.Frame
	seq   uint64
	now   int64
	meta  func(o record.Offset) Meta
	end   map[Place]record.Offset
	rows  int
	bytes int64 // of facts
}

func newBench(tb testing.TB, st state.Store) *bench {
	b := &bench{tb: tb, store: st, state: NewState(), now: 1_000_000, end: map[Place]record.Offset{}}
	b.fold = NewFolder(b.state, b.store)
	b.meta = func(o record.Offset) Meta { return Meta{Offset: o, Size: 1000, Seq: 1, AppendedMS: 1_000_000} }
	b.restart()
	return b
}

func (b *bench) restart() {
	h, err := NewHead(b.state.Clone(), b.store, Options{Epoch: uint32(b.seq + 1), NowMS: b.now, Seq: b.seq})
	if err != nil {
		b.tb.Fatal(err)
	}
	b.head = h
	b.open()
}

func (b *bench) open() {
	b.frame.Reset(fact.Head{TimeMS: b.now})
	b.head.OpenFrame(b.seq+1, b.now, b.seq)
}

func (b *bench) publish(all bool) {
	b.head.Flush(&b.frame, all)
	b.seq++
	b.bytes += int64(len(b.frame.Facts))
	rows := b.store.NewBatch()
	b.fold.Begin(b.seq, b.now, rows)
	_, body, _ := fact.ReadHead(b.frame.Facts)
	if err := fact.Each(body, func(x fact.Fact) error { _, err := b.fold.Apply(x); return err }); err != nil {
		b.tb.Fatal(err)
	}
	if err := b.fold.End(); err != nil {
		b.tb.Fatal(err)
	}
	b.rows += rows.Len()
	if err := b.store.Apply(rows, state.Mark{Seq: b.seq, Place: b.seq}); err != nil {
		b.tb.Fatal(err)
	}
	b.head.Published(b.seq)
	b.open()
}

func (b *bench) feed() {
	for {
		wants := b.head.Wants(nil)
		if len(wants) == 0 {
			return
		}
		for _, w := range wants {
			f := &Feed{Want: w, Through: w.From}
			for ; f.Through < w.To && len(f.Records) < w.Max; f.Through++ {
				f.Records = append(f.Records, b.meta(f.Through))
			}
			b.head.Feed(f)
		}
	}
}

func (b *bench) arrive(at Place, n int64, routes ...RouteRun) {
	if routes == nil {
		routes = []RouteRun{{Amount: Amount{n, n * 1000}}}
	}
	b.head.Arrive(&Arrival{Place: at, Base: b.end[at], Runs: routes}, &b.frame)
	b.end[at] += record.Offset(n)
}

func (b *bench) sub(p Policy, starts ...Start) ID {
	p.Kind = Delivery
	id, err := b.head.Put(0, p, ClassID(b.head.Next), &b.frame)
	if err == nil {
		err = b.head.Begin(id, starts, &b.frame)
	}
	if err != nil {
		b.tb.Fatal(err)
	}
	return id
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func openPebble(tb testing.TB) state.Store {
	st, err := pebble.Open(tb.TempDir(), pebble.Default())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { st.Close() })
	return st
}

var benchPlace = Place{1, 0}

// A million records are handed over and acked in no order, one in ten is held: what that costs in memory, with head and published state
// together, in facts and rows, and how long a start takes.
func BenchmarkOutOfOrder(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		before := heap()
		w := newBench(b, statemem.New())
		id := w.sub(Policy{UnackedMax: UnackedLimit, LeaseMS: LeaseMaxMS}, Start{Place: benchPlace, All: true})
		w.arrive(benchPlace, n)
		w.publish(false)
		if err := w.head.Attach(id, Member{ID: 1, Credit: Endless}); err != nil {
			b.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 1))
		var handles []Handle
		take := func() {
			w.feed()
			for o := w.head.Drain(); !o.Empty(); o = w.head.Drain() {
				for _, l := range o.Deliveries {
					handles = append(handles, l.Handle)
				}
				w.head.Drained()
				w.feed()
			}
		}
		take()
		if len(handles) != n {
			b.Fatalf("%d were handed over", len(handles))
		}
		r.Shuffle(n, func(i, j int) { handles[i], handles[j] = handles[j], handles[i] })
		from := time.Now()
		w.rows, w.bytes = 0, 0
		for k := 0; k < n*9/10; k += 1000 {
			for _, o := range w.head.Settle(nil, handles[k:k+1000], Acked) {
				if o != Done {
					b.Fatal(o)
				}
			}
			w.publish(false)
		}
		acked := time.Since(from)
		handles = nil
		store := w.store
		if st, ok := store.(*statemem.Store); ok {
			w.store = statemem.New() // its rows are not ours
			after := heap()
			b.ReportMetric(float64(after-before)/(1<<20), "MiB")
			runtime.KeepAlive(st)
		}
		w.store = store
		b.ReportMetric(float64(acked.Nanoseconds())/(n*9/10), "ns/ack")
		b.ReportMetric(float64(w.bytes)/(n*9/10), "fact-B/ack")
		b.ReportMetric(float64(w.rows)/900, "rows/frame")
		from = time.Now()
		s, err := Load(store)
		if err != nil {
			b.Fatal(err)
		}
		if _, err = NewHead(s, store, Options{Epoch: 9, NowMS: w.now, Seq: w.seq}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(from).Milliseconds()), "ms/start")
	}
}

// A million records wait for their times, spread over a minute and an hour: memory of it, how long a start takes with the rows in Pebble,
// and how fast they go when time comes, in time.
func BenchmarkDelayed(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		st := openPebble(b)
		w := newBench(b, st)
		r := rand.New(rand.NewPCG(2, 2))
		due := make([]int32, n)
		for i := range due {
			due[i] = 60_000 + int32(r.IntN(100_000))
		}
		w.meta = func(o record.Offset) Meta {
			return Meta{Offset: o, Size: 1000, Seq: 1, AppendedMS: w.now, DueMS: 1_000_000 + int64(due[o])}
		}
		id := w.sub(Policy{UnackedMax: UnackedLimit}, Start{Place: benchPlace, All: true})
		w.arrive(benchPlace, n)
		w.publish(false)
		if err := w.head.Attach(id, Member{ID: 1, Credit: Endless}); err != nil {
			b.Fatal(err)
		}
		for wants := w.head.Wants(nil); len(wants) > 0; wants = w.head.Wants(nil) {
			for _, v := range wants {
				f := &Feed{Want: v, Through: v.From}
				for ; f.Through < v.To && len(f.Records) < v.Max; f.Through++ {
					f.Records = append(f.Records, w.meta(f.Through))
				}
				w.head.Feed(f)
			}
			w.publish(true)
		}
		w.head, w.state, w.fold = nil, nil, nil
		before := heap()
		from := time.Now()
		s, err := Load(st)
		if err != nil {
			b.Fatal(err)
		}
		h, err := NewHead(s, st, Options{Epoch: 9, NowMS: w.now, Seq: w.seq})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(from).Milliseconds()), "ms/start")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		w.head = h
		w.state = s.Clone()
		w.fold = NewFolder(w.state, w.store)
		w.open()
		if err := h.Attach(id, Member{ID: 2, Credit: Endless}); err != nil {
			b.Fatal(err)
		}
		from = time.Now()
		fired, last := 0, int64(0)
		for ms := int64(1_000_000); fired < n; ms += 10 {
			w.now = ms
			for h.Tick(ms) {
			}
			var hs []Handle
			for _, l := range h.Drain().Deliveries {
				if d := 1_000_000 + int64(due[l.At.Offset]); d < last-10 || d > ms || ms-d >= 10 {
					b.Fatalf("due at %d, handed over at %d", d, ms)
				} else {
					last = max(last, d)
				}
				hs = append(hs, l.Handle)
			}
			h.Drained()
			fired += len(hs)
			h.Settle(nil, hs, Acked)
			w.publish(false)
		}
		b.ReportMetric(n/time.Since(from).Seconds(), "fired/s")
	}
}

// One record after the other, acked in batches as they came: what the common case costs.
func BenchmarkInOrder(b *testing.B) {
	w := newBench(b, statemem.New())
	id := w.sub(Policy{}, Start{Place: benchPlace, All: true})
	w.publish(false)
	if err := w.head.Attach(id, Member{ID: 1, Credit: Endless, Prefetch: 1000}); err != nil {
		b.Fatal(err)
	}
	var hs []Handle
	metas := make([]Meta, 100)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 100 {
		for k := range metas {
			metas[k] = w.meta(w.end[benchPlace] + record.Offset(k))
			metas[k].Seq = w.seq + 1
		}
		w.head.Arrive(&Arrival{Place: benchPlace, Base: w.end[benchPlace], Runs: []RouteRun{{Amount: Amount{100, 100_000}}}, Records: metas}, &w.frame)
		w.end[benchPlace] += 100
		w.head.Settle(nil, hs, Acked)
		w.publish(false)
		hs = hs[:0]
		for _, l := range w.head.Drain().Deliveries {
			hs = append(hs, l.Handle)
		}
		w.head.Drained()
	}
	b.ReportMetric(float64(w.bytes)/float64(b.N), "fact-B/op")
}

// 100,000 subscriptions to one stream, each record matching one of them, against one subscription.
func BenchmarkRoutes(b *testing.B) {
	for _, subs := range []int{1, 100_000} {
		b.Run(map[int]string{1: "one", 100_000: "many"}[subs], func(b *testing.B) {
			before := heap()
			w := newBench(b, statemem.New())
			ids := make([]ID, subs)
			for k := range ids {
				ids[k] = w.sub(Policy{}, Start{Place: benchPlace})
				if k%1000 == 999 {
					w.publish(false)
				}
			}
			r := rand.New(rand.NewPCG(3, 3))
			each := float64(heap()-before) / float64(subs)
			b.ResetTimer()
			for i := range b.N {
				k := r.IntN(subs)
				route, err := w.head.Route([]ClassID{ClassID(ids[k])}, &w.frame)
				if err != nil {
					b.Fatal(err)
				}
				w.arrive(benchPlace, 1, RouteRun{Route: route, Amount: Amount{1, 1000}})
				if i%200 == 199 {
					w.publish(false)
				}
			}
			b.ReportMetric(each, "B/sub")
		})
	}
}

// What a subscription costs with one member each, and how fast records go through 10,000 of them.
func BenchmarkAttended(b *testing.B) {
	const subs = 10_000
	before := heap()
	w := newBench(b, statemem.New())
	ids := make([]ID, subs)
	for k := range ids {
		ids[k] = w.sub(Policy{}, Start{Place: benchPlace})
		if err := w.head.Attach(ids[k], Member{ID: MemberID(k), Credit: Endless, Prefetch: 10}); err != nil {
			b.Fatal(err)
		}
		if k%1000 == 999 {
			w.publish(false)
		}
	}
	each := float64(heap()-before) / subs
	r := rand.New(rand.NewPCG(3, 3))
	var hs []Handle
	b.ResetTimer()
	for i := 0; i < b.N; i += 100 {
		runs, metas := make([]RouteRun, 100), make([]Meta, 100)
		for k := range runs {
			n := r.IntN(subs)
			route, err := w.head.Route([]ClassID{ClassID(ids[n])}, &w.frame)
			if err != nil {
				b.Fatal(err)
			}
			runs[k] = RouteRun{Route: route, Amount: Amount{1, 1000}}
			metas[k] = w.meta(w.end[benchPlace] + record.Offset(k))
			metas[k].Seq = w.seq + 1
		}
		w.head.Arrive(&Arrival{Place: benchPlace, Base: w.end[benchPlace], Runs: runs, Records: metas}, &w.frame)
		w.end[benchPlace] += 100
		w.head.Settle(nil, hs, Acked)
		w.publish(false)
		hs = hs[:0]
		for _, l := range w.head.Drain().Deliveries {
			hs = append(hs, l.Handle)
		}
		w.head.Drained()
		if len(hs) != 100 {
			b.Fatalf("%d were handed over", len(hs))
		}
	}
	b.StopTimer()
	b.ReportMetric(each, "B/sub")
	b.ReportMetric(float64(w.bytes)/float64(b.N), "fact-B/op")
}

// A thousand members of one subscription, which take one record each.
func BenchmarkMembers(b *testing.B) {
	w := newBench(b, statemem.New())
	id := w.sub(Policy{}, Start{Place: benchPlace, All: true})
	for k := range 1000 {
		if err := w.head.Attach(id, Member{ID: MemberID(k), Credit: Endless, Prefetch: 1}); err != nil {
			b.Fatal(err)
		}
	}
	w.publish(false)
	var hs []Handle
	b.ResetTimer()
	for i := range b.N {
		if i%1000 == 0 {
			w.arrive(benchPlace, 1000)
			w.publish(false)
			w.feed()
		}
		if len(hs) > 0 {
			w.head.Settle(nil, hs[:1], Acked)
			hs = hs[1:]
		}
		for _, l := range w.head.Drain().Deliveries {
			hs = append(hs, l.Handle)
		}
		w.head.Drained()
	}
}
