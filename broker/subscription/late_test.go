package subscription

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// lateWorld is two machines that fold the same facts: one never stops, the other starts again from its rows, now and then.
type lateWorld struct {
	*routedWorld
	other  *routedWorld
	routes map[RouteID]bool
	subs   map[ID][]Place
	next   ID
	route  RouteID
}

func newLateWorld(t *testing.T, seed uint64) *lateWorld {
	w := &lateWorld{routedWorld: newRoutedWorld(t, seed), other: newRoutedWorld(t, seed), routes: map[RouteID]bool{}, subs: map[ID][]Place{}}
	return w
}

// both folds a frame by either machine.
func (w *lateWorld) both(facts []fact.Fact, trim func(f *Folder, rows state.Batch)) {
	for _, m := range []*routedWorld{w.routedWorld, w.other} {
		m.frame(facts, func(rows state.Batch) {
			if trim != nil {
				trim(m.fold, rows)
			}
		})
	}
}

// put makes a subscription of a class of its own that reads those places, and a route that reaches it alone.
func (w *lateWorld) put(places ...Place) (facts []fact.Fact) {
	w.next++
	w.route++
	p := Policy{Kind: Delivery}
	_ = p.Check()
	body := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(w.next)), uint64(w.next))
	facts = append(facts, fact.Fact{Kind: fact.SubscriptionPut, Version: 1, Body: p.append(body)})
	for _, at := range places {
		facts = append(facts, fact.Fact{Kind: fact.SourceStarted, Version: 1, Body: (&started{sub: w.next, at: at, known: true, start: w.end[at], since: w.end[at]}).append(nil)})
	}
	rt := &Route{ID: w.route, Classes: []ClassID{ClassID(w.next)}}
	w.subs[w.next], w.routes[w.route] = places, true
	return append(facts, fact.Fact{Kind: fact.RouteDefined, Version: 1, Body: rt.append(nil)})
}

// same compares what is folded with what rows give, and with the machine that was started again.
func (w *lateWorld) same() *State {
	w.t.Helper()
	want := describe(w.fold.State)
	if got := describe(w.other.fold.State); got != want {
		w.t.Fatalf("seq %d: started again:\n%s\nnever stopped:\n%s", w.seq, got, want)
	}
	s, err := Load(w.other.store)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := describe(s); got != want {
		w.t.Fatalf("seq %d: rows give:\n%s\nfolded:\n%s", w.seq, got, want)
	}
	return s
}

// However late rows are, a start counts what the fold had counted: across blocks, behind what was trimmed or dropped, of subscriptions that come and go, and
// again and again.
func TestLate_AStartCountsWhatRowsDoNotSay(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newLateWorld(t, seed)
			most := []uint64{0, 1, 30, 500, 20_000, 1 << 20}[seed%6]
			w.fold.touched.late.max, w.other.fold.touched.late.max = most, most
			places := []Place{{1, 0}, {1, 1}, {2, 0}, {9, 4}}
			for range 30 {
				w.both(w.put(places[w.r.IntN(2)], places[2+w.r.IntN(2)]), nil)
			}
			for range 120 {
				w.step(places)
				s := w.same()
				if n := s.late.postings; n > 2*most+4*blockOffsets {
					t.Fatalf("a start read %d postings; rows are late by %d at most", n, most)
				}
				if w.r.IntN(4) == 0 {
					w.other.fold = NewFolder(s, w.other.store)
					w.other.fold.touched.late.max = most
				}
			}
		})
	}
}

func (w *lateWorld) step(places []Place) {
	var facts []fact.Fact
	for range 1 + w.r.IntN(3) {
		at := places[w.r.IntN(len(places))]
		n := 1 + w.r.IntN([]int{10, 200, 20_000}[w.r.IntN(40)/19])
		facts = append(facts, w.append(at, n, int(w.route)))
	}
	switch w.r.IntN(16) {
	case 0:
		facts = append(facts, w.put(places[w.r.IntN(2)], places[2+w.r.IntN(2)])...)
	case 1:
		for id := range w.next {
			if w.subs[id+1] != nil && w.r.IntN(8) == 0 {
				delete(w.subs, id+1)
				facts = append(facts, fact.Fact{Kind: fact.SubscriptionDeleted, Version: 1, Body: binary.AppendUvarint(nil, uint64(id+1))})
			}
		}
	}
	trim := func(*Folder, state.Batch) {}
	switch at := places[w.r.IntN(len(places))]; w.r.IntN(10) {
	case 0:
		if n := w.end[at] - w.start[at]; n > 0 {
			w.start[at] += record.Offset(w.r.Int64N(int64(n) + 1))
		}
		start := w.start[at]
		trim = func(f *Folder, rows state.Batch) { f.TrimReached(rows, at, start) }
	case 1:
		if w.r.IntN(4) == 0 {
			trim = func(f *Folder, rows state.Batch) { f.DropReached(rows, at.Stream) }
		}
	}
	w.both(facts, trim)
}

// Once rows were completed, those of routes say all: a program that knows nothing of late ones counts right.
func TestLate_CompleteLeavesNothing(t *testing.T) {
	w := newLateWorld(t, 1)
	at := Place{1, 0}
	for range 5 {
		w.both(w.put(at), nil)
	}
	for range 9 {
		w.both([]fact.Fact{w.append(at, 4000, 5)}, nil)
	}
	if s := w.same(); s.late.postings == 0 {
		t.Fatal("no row was late")
	}
	rows := w.other.store.NewBatch()
	w.other.fold.Complete(rows)
	if n := rows.Len(); n != 6 {
		t.Fatalf("%d rows were written, of 5 routes and a partition", n)
	}
	if err := w.other.store.Apply(rows, state.Mark{Seq: w.other.seq, Place: w.other.seq}); err != nil {
		t.Fatal(err)
	}
	if s := w.same(); s.late.postings != 0 || len(s.late.waiting) != 0 {
		t.Fatalf("%d postings had to be read", s.late.postings)
	}
	w.both([]fact.Fact{w.append(at, 4000, 5)}, nil)
	w.same()
}

// Rows of a program that wrote them with every frame are taken as they are, and are late from then on.
func TestLate_OldRowsSayAll(t *testing.T) {
	w := newLateWorld(t, 2)
	at := Place{1, 0}
	w.other.fold.touched.late.max = 0 // as that program wrote them, but for a number that is left out then
	w.both(w.put(at), nil)
	w.both(w.put(at), nil)
	w.both([]fact.Fact{w.append(at, 3000, 2)}, nil)
	if s := w.same(); s.late.postings != 0 {
		t.Fatalf("%d postings were read", s.late.postings)
	}
	w.other.fold.touched.late.max = lateMax
	for range 8 {
		w.both([]fact.Fact{w.append(at, 3000, 2)}, nil)
	}
	if s := w.same(); s.late.postings == 0 {
		t.Fatal("no row was late")
	}
}

// Each route costs one row for so many postings, not one for each frame.
func TestLate_WritesFewRows(t *testing.T) {
	w := newLateWorld(t, 3)
	at := Place{1, 0}
	for range 50 {
		w.both(w.put(at), nil)
	}
	w.fold.touched.late.max = 1000
	written := 0
	for range 400 {
		w.routedWorld.frame([]fact.Fact{w.append(at, 50, 50)}, func(rows state.Batch) { written += rows.Len() })
	}
	postings := int(w.fold.touched.late.postings)
	if most := 2*400 + 50*(postings/1000+1); written > most || written < 400 {
		t.Fatalf("%d rows for %d postings; %d would be many", written, postings, most)
	}
}

func TestLateRows_KeepTheirOrder(t *testing.T) {
	var l lateRows
	in, out := uint64(0), uint64(0)
	for k := range 20_000 {
		for range []int{1, 3, 0}[k/4000%3] {
			l.waiting = append(l.waiting, late{mark: in})
			in++
		}
		if x := l.next(); x != nil && k%2 == 0 {
			if x.mark != out {
				t.Fatalf("%d came, not %d", x.mark, out)
			}
			l.pop()
			out++
		}
	}
	rest := l.waiting[l.gone:]
	if uint64(len(rest)) != in-out || !slices.IsSortedFunc(rest, func(a, b late) int { return int(a.mark) - int(b.mark) }) {
		t.Fatalf("%d are left of %d", len(rest), in-out)
	}
}
