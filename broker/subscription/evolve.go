package subscription

import (
	"slices"

	"leat/broker/record"
)

// The functions here are the only ones that change a State. Head calls them with what it has just recorded, Folder with what it reads
// from a durable frame; that is why both arrive at the same state. touched collects which rows that concerns; Head has none.

type touched struct {
	sources  map[*Source]struct{}
	chunks   map[chunkAt]struct{}
	arrivals map[*Arrivals]struct{}
	late     lateRows
}

type chunkAt struct {
	src *Source
	k   int64
}

func (t *touched) source(src *Source) {
	if t != nil {
		t.sources[src] = struct{}{}
	}
}

func (t *touched) chunk(src *Source, k int64) {
	if t != nil {
		t.chunks[chunkAt{src, k}] = struct{}{}
	}
}

func (t *touched) offsets(src *Source, r Run) {
	if t != nil && r.Len > 0 {
		for k := int64(r.From) / chunkBits; k <= (int64(r.From)+r.Len-1)/chunkBits; k++ {
			t.chunks[chunkAt{src, k}] = struct{}{}
		}
	}
}

// evolvePut makes a subscription, or changes it. Of one that looks for something else now, what arrived so far stays what it was.
func (s *State) evolvePut(id ID, p Policy, class ClassID, t *touched) (*Sub, deserted) {
	x := s.Subs[id]
	if x == nil {
		x = &Sub{ID: id}
		s.Subs[id] = x
		s.Next = max(s.Next, id+1)
	}
	x.Policy = s.sharedPolicy(p)
	if x.Class == class {
		return x, deserted{}
	}
	was := make([]Amount, len(x.Sources))
	for i, src := range x.Sources {
		was[i] = s.arrived(x, src)
	}
	old := x.Class
	if x.Class = class; class != 0 {
		k := s.Classes[class]
		if k == nil {
			k = newClass(class)
			s.Classes[class] = k
		}
		if i, there := slices.BinarySearch(k.Members, id); !there {
			k.Members = slices.Insert(k.Members, i, id)
		}
	}
	for i, src := range x.Sources {
		src.Base.add(s.arrived(x, src))
		src.Base.sub(was[i])
		if a := s.Arrivals[src.Place]; a != nil {
			src.Routed = a.End
		}
		t.source(src)
	}
	return x, s.leaveClass(old, x)
}

// deserted is what the end of a class changes: routes that reach fewer classes, or none and are gone, and where those had been counted.
type deserted struct {
	routes  []*Route
	counted []routeAt
}

// leaveClass takes a subscription out of a class. With the last one the class goes.
func (s *State) leaveClass(class ClassID, x *Sub) (d deserted) {
	k := s.Classes[class]
	if k == nil {
		return d
	}
	if i, there := slices.BinarySearch(k.Members, x.ID); there {
		k.Members = slices.Delete(k.Members, i, i+1)
	}
	if len(k.Members) > 0 {
		return d
	}
	delete(s.Classes, class)
	d.routes = k.Routes
	for _, rt := range k.Routes {
		rt.Classes = slices.DeleteFunc(slices.Clone(rt.Classes), func(c ClassID) bool { return c == class })
		if s.members--; len(rt.Classes) > 0 {
			continue
		}
		delete(s.Routes, rt.ID)
		for _, t := range rt.taken {
			d.counted = append(d.counted, routeAt{t.at, rt})
		}
	}
	return d
}

func (s *State) evolveDeleted(id ID) (d deserted) {
	x := s.Subs[id]
	if x == nil {
		return d
	}
	d = s.leaveClass(x.Class, x)
	if x.Policy.Kind == Delivery {
		for _, src := range x.Sources {
			s.forget(src)
		}
	}
	delete(s.Subs, id)
	return d
}

// evolveEnded has a subscription read a partition no more.
func (s *State) evolveEnded(id ID, at Place) {
	x := s.Subs[id]
	i, ok := x.sourceIndex(at)
	if !ok {
		return
	}
	if x.Policy.Kind == Delivery {
		s.forget(x.Sources[i])
	}
	x.Sources = slices.Delete(x.Sources, i, i+1)
}

type routeAt struct {
	at    *Arrivals
	route *Route
}

func (s *State) reads(id record.StreamID) {
	r := s.readers[id]
	r.sources++
	s.readers[id] = r
}

// arrivals returns those of a place, which begin to be counted if they were not.
func (s *State) arrivals(at Place) *Arrivals {
	a := s.Arrivals[at]
	if a == nil {
		a = &Arrivals{Place: at, Indexed: -1}
		s.Arrivals[at] = a
		r := s.readers[at.Stream]
		r.partitions = append(r.partitions, at.Partition)
		s.readers[at.Stream] = r
	}
	return a
}

// forget stops counting arrivals of a stream that nobody reads any more.
func (s *State) forget(src *Source) {
	r := s.readers[src.Stream]
	if r.sources--; r.sources > 0 {
		s.readers[src.Stream] = r
		return
	}
	delete(s.readers, src.Stream)
	for _, p := range r.partitions {
		delete(s.Arrivals, Place{src.Stream, p})
	}
}

func (s *State) evolveStarted(x *started, t *touched) {
	sub := s.Subs[x.sub]
	if sub == nil {
		return
	}
	i, ok := sub.sourceIndex(x.at)
	if !ok {
		sub.insertSource(i, Source{Place: x.at, Routed: x.since})
		if sub.Policy.Kind == Delivery {
			s.reads(x.at.Stream)
		}
	}
	src := sub.Sources[i]
	for k := range src.chunks {
		t.chunk(src, k)
	}
	*src = Source{
		Place: x.at, Sub: x.sub, All: x.all, Start: x.start, Since: x.since, Floor: x.start, Known: x.known, Settled: src.Settled, Reasons: src.Reasons, Gaps: src.Gaps, Turn: x.turn,
		Routed: src.Routed,
	}
	t.source(src)
	if sub.Policy.Kind == Cursor {
		return // where partitions end, the machine of streams knows
	}
	if s.Arrivals[x.at] == nil {
		a := s.arrivals(x.at)
		a.End, a.Indexed = x.since, x.since
		t.arrival(a)
	}
	src.Base = s.arrived(sub, src)
	src.Base.sub(src.Settled) // what was settled before does not count against what comes
}

func (t *touched) arrival(a *Arrivals) {
	if t != nil {
		t.arrivals[a] = struct{}{}
	}
}

func (s *State) evolveRoute(r *Route) {
	r.Classes = slices.DeleteFunc(r.Classes, func(c ClassID) bool { return s.Classes[c] == nil })
	s.Routes[r.ID] = r
	s.NextRoute = max(s.NextRoute, r.ID+1)
	s.members += len(r.Classes)
	for _, c := range r.Classes {
		k := s.Classes[c]
		if k.Routes = append(k.Routes, r); len(r.Classes) == 1 && k.alone == nil {
			k.alone = r
		}
	}
}

func (s *State) evolveRouted(x *routed, t *touched) {
	a := s.Arrivals[x.at]
	if a == nil {
		return
	}
	if a.Indexed < 0 {
		a.Indexed = x.base
	}
	end := x.base
	for _, r := range x.runs {
		base := end
		end += record.Offset(r.Count)
		a.All.add(r.Amount)
		if r.Route == 0 {
			continue
		}
		if rt := s.Routes[r.Route]; rt != nil {
			n := rt.take(a)
			n.add(r.Amount)
			t.took(a, rt, n, base)
		}
	}
	a.End = max(a.End, end)
	t.arrival(a)
}

func (s *State) evolveSettled(src *Source, x *settled, t *touched) {
	// The floor first: bits that it passes are never set.
	s.raiseFloor(src, x.floor, t)
	for _, r := range x.runs {
		from, to := max(r.From, src.Floor), r.From+record.Offset(r.Len)
		if from < to {
			src.setDoneRange(from, to)
			t.offsets(src, Run{from, int64(to - from)})
		}
	}
	src.Settled.add(x.amount)
	for r, n := range x.reasons {
		if n != 0 {
			src.count(Reason(r), n)
		}
	}
	src.Carried -= int64(len(x.gone))
	t.source(src)
}

func (s *State) evolveHanded(src *Source, runs []Run, t *touched) {
	for _, r := range runs {
		for o := r.From; o < r.From+record.Offset(r.Len); o++ {
			src.setHanded(o)
		}
		t.offsets(src, r)
	}
}

func (s *State) evolveCarried(src *Source, x *carriedFact, t *touched) {
	for i := range x.rows {
		c := &x.rows[i]
		if c.Offset >= src.Floor {
			src.setDone(c.Offset)
			t.offsets(src, Run{c.Offset, 1})
		}
		if c.fresh {
			src.Carried++
		}
	}
	src.Owed.add(x.brought)
	t.source(src)
}

func (src *Source) evolveCounted(n Amount) {
	src.Owed.add(n)
	src.Known = true
}

func (s *State) evolveGapped(src *Source, x *gapped, t *touched) {
	src.Settled.add(x.lost)
	src.Gaps += x.lost.Count
	src.Carried -= int64(len(x.gone))
	src.Known = src.Known && !x.unknown
	s.raiseFloor(src, x.to, t)
	t.source(src)
}

func (s *State) raiseFloor(src *Source, to record.Offset, t *touched) {
	if to <= src.Floor {
		return
	}
	src.raise(to, func(k int64) { t.chunk(src, k) })
	if len(src.chunks) > 0 {
		t.chunk(src, int64(src.Floor)/chunkBits) // its bits below the floor are cleared
	}
}
