package subscription

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
)

// world is a shard with nothing but this machine: a log that hands out offsets, frames that are published or lost, a caller that answers
// what the head wants to be shown.
type world struct {
	t     testing.TB
	store *statemem.Store
	state *State
	fold  *Folder
	head  *Head
	frame *fact.Frame
	seq   uint64 // published
	now   int64
	epoch uint32
	log   map[Place][]logged
	show  map[Place]int           // of the log, published
	quiet bool                    // arrivals do not carry their records
	begin map[Place]record.Offset // of the log: what lies before is gone
}

type logged struct {
	Meta
	to      []ID // classes it matches
	reached []ID // subscriptions of these, when it was appended
	missing bool // compacted away
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, store: statemem.New(), state: NewState(), log: map[Place][]logged{}, show: map[Place]int{}, now: 1000}
	w.fold = NewFolder(w.state, w.store)
	w.start()
	return w
}

func (w *world) start() {
	w.epoch++
	h, err := NewHead(w.state.Clone(), w.store, Options{Epoch: w.epoch, NowMS: w.now, Seq: w.seq})
	if err != nil {
		w.t.Fatal(err)
	}
	w.head, w.frame = h, nil
	for at := range w.log {
		w.log[at] = w.log[at][:w.show[at]]
	}
	w.feed()
}

func (w *world) open() *fact.Frame {
	if w.frame == nil {
		w.frame = &fact.Frame{}
		w.frame.Reset(fact.Head{TimeMS: w.now})
		w.head.OpenFrame(w.seq+1, w.now, w.seq*7919)
	}
	return w.frame
}

// classes are those of subscriptions that have one of their own, of the same number.
func classes(ids []ID) (cs []ClassID) {
	for _, id := range ids {
		if c := ClassID(id); !slices.Contains(cs, c) {
			cs = append(cs, c)
		}
	}
	return cs
}

func (w *world) ends(at Place) record.Offset { return record.Offset(w.show[at]) }

// append adds records to the log and tells the head.
func (w *world) append(at Place, rs []logged) {
	f := w.open()
	a := Arrival{Place: at, Base: record.Offset(len(w.log[at]))}
	for i := range rs {
		r := &rs[i]
		r.Offset, r.Seq = a.Base+record.Offset(i), w.seq+1
		if r.AppendedMS == 0 {
			r.AppendedMS = w.now
		}
		for _, c := range r.to {
			if k := w.head.Classes[ClassID(c)]; k != nil {
				r.reached = append(r.reached, k.Members...)
			}
		}
		route, err := w.head.Route(classes(r.to), f)
		if err != nil {
			w.t.Fatal(err)
		}
		n := Amount{1, int64(r.Size)}
		if k := len(a.Runs) - 1; k >= 0 && a.Runs[k].Route == route {
			a.Runs[k].add(n)
		} else {
			a.Runs = append(a.Runs, RouteRun{Route: route, Amount: n})
		}
		if !w.quiet {
			a.Records = append(a.Records, r.Meta)
		}
	}
	w.head.Arrive(&a, f)
	for i := range rs {
		rs[i].Step = w.head.steps.n
	}
	w.log[at] = append(w.log[at], rs...)
}

// publish makes the open frame durable and folds it.
func (w *world) publish() {
	f := w.open()
	w.head.Flush(f, false)
	w.frame = nil
	h, body, err := fact.ReadHead(f.Facts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seq++
	rows := w.store.NewBatch()
	w.fold.Begin(w.seq, h.TimeMS, rows)
	if err := fact.Each(body, func(x fact.Fact) error {
		_, err := w.fold.Apply(x)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.fold.End(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Apply(rows, state.Mark{Seq: w.seq, Place: w.seq}); err != nil {
		w.t.Fatal(err)
	}
	for at, rs := range w.log {
		w.show[at] = len(rs)
	}
	w.head.Published(w.seq)
	w.feed()
	if w.head.Must() {
		w.publish() // as the loop does: what follows from a frame is recorded though nobody asks
	}
}

// feed answers what the head wants, as a reader of the published log does.
func (w *world) feed() {
	for range 1000 {
		wants := w.head.Wants(nil)
		if len(wants) == 0 {
			return
		}
		for _, v := range wants {
			w.head.Feed(w.look(v))
		}
	}
	w.t.Fatal("the head never has enough")
}

func (w *world) look(v Want) *Feed {
	f := &Feed{Want: v, Through: v.From}
	rs := w.log[v.Place][:w.show[v.Place]]
	x := w.head.Subs[v.Sub]
	since := record.Offset(0) // what is older than the subscription is looked at with the filter of today
	if src := x.source(v.Place); src.Turn == 0 {
		since = src.Since
	}
	for o := v.From; int(o) < len(rs) && len(f.Records) < v.Max; o++ {
		r := &rs[o]
		if !r.missing && o >= w.begin[v.Place] && (v.All || slices.Contains(r.reached, v.Sub) || o < since && slices.Contains(r.to, ID(x.Class))) {
			f.Records = append(f.Records, r.Meta)
		}
		f.Through = o + 1
	}
	return f
}

// check: published state, what rows give, and head agree. It is for frame boundaries.
func (w *world) check() {
	w.t.Helper()
	again, err := Load(w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	folded := describe(w.state)
	if got := describe(again); got != folded {
		w.t.Fatalf("rows give another state:\n%s\nfolded:\n%s", got, folded)
	}
	if got := describe(w.head.State); w.frame == nil && !w.head.Must() && got != folded {
		w.t.Fatalf("head:\n%s\nfolded:\n%s", got, folded)
	}
	stored := map[string]bool{}
	if err := eachCarried(w.store, func(id ID, at Place, c *Carried) error {
		stored[fmt.Sprint(id, at, c.Offset)] = true
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	n := int64(0)
	for _, x := range w.state.Subs {
		for _, src := range x.Sources {
			n += src.Carried
		}
	}
	if n != int64(len(stored)) {
		w.t.Fatalf("%d carried records are counted, %d rows are there", n, len(stored))
	}
	if w.frame == nil && !w.head.Must() {
		for id, d := range w.head.desks {
			for _, ds := range d.sources {
				for o, i := range ds.entries {
					if e := w.head.slab.at(i); e.flags&flagStored != 0 {
						k := fmt.Sprint(id, ds.Place, o)
						if !stored[k] {
							w.t.Fatalf("head holds %s to be stored; no row is there", k)
						}
						delete(stored, k)
					}
				}
			}
		}
		if len(stored) > 0 {
			w.t.Fatalf("rows that no head knows of: %v", stored)
		}
	}
}

func describe(s *State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "next %d, route %d\n", s.Next, s.NextRoute)
	for _, id := range sortedIDs(s.Subs) {
		x := s.Subs[id]
		fmt.Fprintf(&b, "sub %d %+v class %d\n", id, *x.Policy, x.Class)
		for _, src := range x.Sources {
			c := *src
			c.chunks, c.Reasons = nil, nil
			fmt.Fprintf(&b, "  %+v by reason %v\n", c, append([]int64(nil), reasonsOf(src)...))
			var ks []int64
			for k := range src.chunks {
				ks = append(ks, k)
			}
			slices.Sort(ks)
			for _, k := range ks {
				fmt.Fprintf(&b, "    chunk %d: %x\n", k, *src.chunks[k])
			}
		}
	}
	var rs []RouteID
	for r := range s.Routes {
		rs = append(rs, r)
	}
	slices.Sort(rs)
	for _, r := range rs {
		fmt.Fprintf(&b, "route %d: %v\n", r, s.Routes[r].Classes)
	}
	var cs []ClassID
	for c := range s.Classes {
		cs = append(cs, c)
	}
	slices.Sort(cs)
	for _, c := range cs {
		fmt.Fprintf(&b, "class %d: %v by %v\n", c, s.Classes[c].Members, numbers(s.Classes[c].Routes))
	}
	var places []Place
	for at := range s.Arrivals {
		places = append(places, at)
	}
	slices.SortFunc(places, Place.compare)
	for _, at := range places {
		a := s.Arrivals[at]
		fmt.Fprintf(&b, "%v ends at %d, indexed from %d, %v by route %v\n", at, a.End, a.Indexed, a.All, by(s, rs, a))
	}
	return b.String()
}

func reasonsOf(src *Source) (ns []int64) {
	for r := range reasonEnd {
		ns = append(ns, src.Reasons.of(r))
	}
	return ns
}

func numbers(rs []*Route) (ids []RouteID) {
	for _, r := range rs {
		ids = append(ids, r.ID)
	}
	return ids
}

// by is how many records of a partition took which route.
func by(s *State, rs []RouteID, a *Arrivals) (out []string) {
	for _, r := range rs {
		if t := s.Routes[r].takenAt(a); t != nil {
			out = append(out, fmt.Sprint(r, t.Amount))
		}
	}
	return out
}
