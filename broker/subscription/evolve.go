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
	arrivals map[Place]map[RouteID]struct{}
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

func (s *State) evolvePut(id ID, p Policy) *Sub {
	x := s.Subs[id]
	if x == nil {
		x = &Sub{ID: id}
		s.Subs[id] = x
		s.Next = max(s.Next, id+1)
	}
	x.Policy = p
	return x
}

// evolveDeleted returns the routes that reach nobody any more, and where they had been counted.
func (s *State) evolveDeleted(id ID) (dropped []RouteID, counted []routeAt) {
	x := s.Subs[id]
	if x == nil {
		return nil, nil
	}
	for _, r := range x.Routes {
		rt := s.Routes[r]
		members := slices.Clone(rt.Members)
		if i, ok := slices.BinarySearch(members, id); ok {
			members = slices.Delete(members, i, i+1)
			s.members--
		}
		if rt.Members = members; len(members) == 0 {
			delete(s.Routes, r)
			dropped = append(dropped, r)
			for _, src := range x.Sources { // it has been nowhere else
				a := s.Arrivals[src.Place]
				if a == nil {
					continue
				}
				if _, ok := a.ByRoute[r]; ok {
					delete(a.ByRoute, r)
					counted = append(counted, routeAt{src.Place, r})
				}
			}
		}
	}
	if x.Policy.Kind == Delivery {
		for _, src := range x.Sources {
			s.forget(src)
		}
	}
	delete(s.Subs, id)
	return dropped, counted
}

type routeAt struct {
	Place
	route RouteID
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
		a = &Arrivals{}
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

func (s *State) evolveStarted(x *started, t *touched) *Source {
	sub := s.Subs[x.sub]
	if sub == nil {
		return nil
	}
	i, ok := sub.sourceIndex(x.at)
	if !ok {
		sub.Sources = slices.Insert(sub.Sources, i, &Source{Place: x.at})
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
	}
	t.source(src)
	if sub.Policy.Kind == Cursor {
		return src // where partitions end, the machine of streams knows
	}
	if s.Arrivals[x.at] == nil {
		s.arrivals(x.at).End = x.since
		t.arrival(x.at, 0)
	}
	src.Base = s.arrived(sub, src)
	src.Base.sub(src.Settled) // what was settled before does not count against what comes
	return src
}

func (t *touched) arrival(at Place, r RouteID) {
	if t == nil {
		return
	}
	m := t.arrivals[at]
	if m == nil {
		m = map[RouteID]struct{}{}
		t.arrivals[at] = m
	}
	m[r] = struct{}{}
}

func (s *State) evolveRoute(r *Route) {
	r.Members = slices.DeleteFunc(r.Members, func(id ID) bool { return s.Subs[id] == nil })
	s.Routes[r.ID] = r
	s.NextRoute = max(s.NextRoute, r.ID+1)
	s.members += len(r.Members)
	for _, id := range r.Members {
		s.Subs[id].Routes = append(s.Subs[id].Routes, r.ID)
	}
}

func (s *State) evolveRouted(x *routed, t *touched) {
	a := s.Arrivals[x.at]
	if a == nil {
		return
	}
	end := x.base
	for _, r := range x.runs {
		end += record.Offset(r.Count)
		a.All.add(r.Amount)
		if r.Route != 0 && s.Routes[r.Route] != nil {
			if a.ByRoute == nil {
				a.ByRoute = map[RouteID]Amount{}
			}
			n := a.ByRoute[r.Route]
			n.add(r.Amount)
			a.ByRoute[r.Route] = n
			t.arrival(x.at, r.Route)
		}
	}
	a.End = max(a.End, end)
	t.arrival(x.at, 0)
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
		src.Reasons[r] += n
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
