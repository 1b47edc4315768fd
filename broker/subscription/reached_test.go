package subscription

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
)

// routedWorld folds routed facts and remembers what they said.
type routedWorld struct {
	t     *testing.T
	r     *rand.Rand
	store *statemem.Store
	fold  *Folder
	seq   uint64
	end   map[Place]record.Offset
	start map[Place]record.Offset
	took  map[Place][]tookRoute // by offset
	steps steps
}

type tookRoute struct {
	route RouteID
	Hit
}

func newRoutedWorld(t *testing.T, seed uint64) *routedWorld {
	w := &routedWorld{
		t: t, r: rand.New(rand.NewPCG(seed, 3)), store: statemem.New(), end: map[Place]record.Offset{}, start: map[Place]record.Offset{}, took: map[Place][]tookRoute{},
	}
	w.fold = NewFolder(NewState(), w.store)
	return w
}

// frame folds one frame. trim: what becomes of the rows besides.
func (w *routedWorld) frame(facts []fact.Fact, trim func(rows state.Batch)) {
	w.t.Helper()
	w.seq += uint64(w.r.IntN(3) + 1)
	w.steps = steps{}
	rows := w.store.NewBatch()
	w.fold.Begin(w.seq, int64(w.seq)*7, rows)
	for _, x := range facts {
		if _, err := w.fold.Apply(x); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.fold.End(); err != nil {
		w.t.Fatal(err)
	}
	if trim != nil {
		trim(rows)
	}
	if err := w.store.Apply(rows, state.Mark{Seq: w.seq, Place: w.seq}); err != nil {
		w.t.Fatal(err)
	}
}

// append makes a routed fact of n records, each by one of so many routes or by none.
func (w *routedWorld) append(at Place, n, routes int) fact.Fact {
	w.steps.next(at)
	x := routed{at: at, base: w.end[at]}
	for n > 0 {
		k := min(n, 1+w.r.IntN(4)*w.r.IntN(4))
		r := RouteRun{Route: RouteID(w.r.IntN(routes + 1)), Amount: Amount{int64(k), int64(k*10 + w.r.IntN(7))}, Plain: w.r.IntN(2) == 0}
		for i := range int64(k) {
			size := r.Bytes*(i+1)/r.Count - r.Bytes*i/r.Count
			w.took[at] = append(w.took[at], tookRoute{r.Route, Hit{Offset: w.end[at], Size: int32(size), Step: w.steps.n, Plain: r.Plain}})
			w.end[at]++
		}
		x.runs = append(x.runs, r)
		n -= k
	}
	return fact.Fact{Kind: fact.Routed, Version: routedPlain, Body: x.append(nil)}
}

// begin has a subscription read the places.
func (w *routedWorld) begin(places ...Place) {
	p := Policy{Kind: Delivery}
	if err := p.Check(); err != nil {
		w.t.Fatal(err)
	}
	facts := []fact.Fact{{Kind: fact.SubscriptionPut, Version: 1, Body: p.append([]byte{1, 1})}}
	for _, at := range places {
		facts = append(facts, fact.Fact{Kind: fact.SourceStarted, Version: 1, Body: (&started{sub: 1, at: at, known: true}).append(nil)})
	}
	w.frame(facts, nil)
}

func (w *routedWorld) check(at Place, routes []RouteID, from, to record.Offset, most int) {
	w.t.Helper()
	var want []Hit
	for _, x := range w.took[at][from:to] {
		if slices.Contains(routes, x.route) && len(want) < most {
			want = append(want, x.Hit)
		}
	}
	var got []Hit
	for at0 := from; at0 < to && len(got) < most; {
		through, err := EachHit(w.store, at, &Ways{Routes: routes}, at0, to, func(h *Hit) bool {
			got = append(got, *h)
			return len(got) < most
		})
		if err != nil {
			w.t.Fatal(err)
		}
		if through <= at0 || through > to {
			w.t.Fatalf("from %d to %d it came through %d", at0, to, through)
		}
		at0 = through
	}
	same := func(g, x Hit) bool { // of a run that a block's end cuts, a byte may be counted on the other side
		d := g.Size - x.Size
		g.Size = x.Size
		return g == x && -1 <= d && d <= 1
	}
	if !slices.EqualFunc(got, want, same) {
		w.t.Fatalf("%v routes %v from %d to %d: %d hits, want %d\n%+v\n%+v", at, routes, from, to, len(got), len(want), head(got), head(want))
	}
}

func head[T any](s []T) []T { return s[:min(len(s), 5)] }

// Whoever looks up routes finds the records that took them, in order, whatever frames they came with, across blocks, and behind what was trimmed.
func TestReached_IsWhatWasRouted(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newRoutedWorld(t, seed)
			routes := []int{1, 3, 40, 5000, 300, 20}[seed]
			places := []Place{{1, 0}, {1, 1}, {9, 4}}
			w.begin(places...)
			for range 60 {
				var facts []fact.Fact
				for range 1 + w.r.IntN(3) {
					at := places[w.r.IntN(2)]
					facts = append(facts, w.append(at, 1+w.r.IntN([]int{10, 800, 3000, 40_000}[w.r.IntN(40)/10*w.r.IntN(2)]), routes))
				}
				w.frame(facts, func(rows state.Batch) {
					if w.r.IntN(10) == 0 {
						at := places[w.r.IntN(2)]
						w.start[at] += record.Offset(w.r.Int64N(int64(w.end[at]-w.start[at]) + 1))
						w.fold.TrimReached(rows, at, w.start[at])
					}
				})
				w.stamp()
				at := places[w.r.IntN(2)]
				if w.end[at] > w.start[at] {
					from := w.start[at] + record.Offset(w.r.Int64N(int64(w.end[at]-w.start[at])))
					to := from + record.Offset(w.r.Int64N(int64(w.end[at]-from)+1))
					w.check(at, w.some(routes), from, to, 1+w.r.IntN(1<<w.r.IntN(17)))
				}
			}
			for _, at := range places {
				w.check(at, w.some(routes), w.start[at], w.end[at], 1<<40)
			}
		})
	}
}

// stamp notes with which frame the new records came.
func (w *routedWorld) stamp() {
	for at := range w.took {
		xs := w.took[at]
		for i := len(xs) - 1; i >= 0 && xs[i].Seq == 0; i-- {
			xs[i].Seq, xs[i].AppendedMS = w.seq, int64(w.seq)*7
		}
	}
}

func (w *routedWorld) some(routes int) (rs []RouteID) {
	for range 1 + w.r.IntN(1<<w.r.IntN(8)) {
		if r := RouteID(1 + w.r.IntN(routes)); !slices.Contains(rs, r) {
			rs = append(rs, r)
		}
	}
	slices.Sort(rs)
	return rs
}

// What is left of a block's log when it is full is nothing, and of a stream that nobody reads any more nothing at all.
func TestReached_LeavesNothingBehind(t *testing.T) {
	w := newRoutedWorld(t, 1)
	at := Place{1, 0}
	w.begin(at)
	rows := func() (logs, pages int) {
		err := eachRow(w.store, []byte{state.PrefixReached}, func(key, _ []byte) error {
			if key[blockKeyBytes] == reachedLog {
				logs++
			} else {
				pages++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return logs, pages
	}
	for w.end[at] < 2*blockOffsets {
		w.frame([]fact.Fact{w.append(at, 100, 1000)}, nil)
	}
	if logs, pages := rows(); logs > 1 || pages < 30 || pages > 400 {
		t.Fatalf("%d rows of the log, %d pages", logs, pages)
	}
	w.frame(nil, func(rows state.Batch) { w.fold.TrimReached(rows, at, blockOffsets+5) })
	if _, pages := rows(); pages < 15 || pages > 200 {
		t.Fatalf("%d pages after a trim", pages)
	}
	w.frame([]fact.Fact{{Kind: fact.SubscriptionDeleted, Version: 1, Body: []byte{1}}}, nil)
	if logs, pages := rows(); logs+pages > 0 {
		t.Fatalf("%d rows of the log and %d pages of a stream that nobody reads", logs, pages)
	}
}

// Rows from before routes were indexed read back, and say so.
func TestReached_OldRowsSayThatTheyAreOld(t *testing.T) {
	w := newRoutedWorld(t, 1)
	at := Place{1, 0}
	w.begin(at)
	w.frame([]fact.Fact{w.append(at, 5, 1)}, nil)
	// As the program before wrote them: without the last number of each.
	batch := w.store.NewBatch()
	for _, key := range [][]byte{arrivalsKey(at, 0), sourceKey(state.PrefixSource, 1, at)} {
		v, err := w.store.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		batch.Set(key, v[:len(v)-1])
	}
	if err := w.store.Apply(batch, state.Mark{Seq: w.seq, Place: w.seq}); err != nil {
		t.Fatal(err)
	}
	s, err := Load(w.store)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Ways(1, at); ok {
		t.Fatal("routes can be looked up that nobody wrote down")
	}
	w.fold = NewFolder(s, w.store)
	w.frame([]fact.Fact{w.append(at, 5, 1)}, nil)
	if ways, ok := s.Ways(1, at); !ok || ways.From != 5 {
		t.Fatalf("%+v, %v: routes can be looked up from the first record on that was appended since", ways, ok)
	}
}

// FuzzReached: no row makes a reader panic or allocate much, and what it reads it writes again.
func FuzzReached(f *testing.F) {
	ps := []posting{{1, 5, 2, 20, 9, 63, true, 0}, {1, 9, 1, 10, 10, 70, false, 300}, {7, 8, 1, 11, 9, 63, true, 1}}
	page, _ := appendPage(nil, ps, 0)
	f.Add(true, page)
	f.Add(false, appendLog(nil, ps[:2]))
	f.Add(false, []byte{1, 2, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1})
	f.Fuzz(func(t *testing.T, isPage bool, value []byte) {
		if isPage {
			got, err := readPage(nil, pageKey(Place{1, 0}, 0, 1), value, 0, func(RouteID) bool { return true })
			if err != nil || len(got) == 0 {
				return
			}
			for i := range got {
				if got[i].base < 0 || got[i].end() > blockOffsets {
					t.Fatalf("%+v is outside of the block", got[i])
				}
			}
			return
		}
		got, err := readLog(nil, logKey(Place{1, 0}, 0, 5), value)
		if err != nil || len(got) == 0 {
			return
		}
		if got[0].base != 5 {
			return // never written
		}
		again, err := readLog(nil, logKey(Place{1, 0}, 0, got[0].base), appendLog(nil, got))
		if err != nil || !slices.Equal(again, got) {
			t.Fatalf("%+v read again is %+v, %v", got, again, err)
		}
	})
}
