package subscription

import (
	"cmp"
	"maps"
	"slices"

	"leat/broker/record"
)

// ID is the number of a subscription. It is never reused; names are the catalog's.
type ID uint32

// ClassID is the number of what several subscriptions look for alike: whoever keeps filters gives equal ones the same. 0: none, for those that
// get everything. So a hundred thousand sessions with one filter are one class, and a set of filters stays the same when one more joins.
type ClassID uint32

// RouteID is the number of a set of classes that a record reaches. 0 is no set: only subscriptions to all of a stream.
type RouteID uint32

// Place is a partition of a stream.
type Place struct {
	Stream    record.StreamID
	Partition record.PartitionID
}

// At names one record.
type At struct {
	Place
	Offset record.Offset
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Stream, q.Stream), cmp.Compare(p.Partition, q.Partition))
}

// Limits of a shard's subscriptions.
const (
	SourcesMax        = 10_000     // partitions that one subscription reads
	RoutesMax         = 4_000_000  // sets of classes
	RouteMembersMax   = 32_000_000 // numbers in all of these sets together: 128 MiB
	SubscriptionsMax  = 4_000_000
	CursorMetadataMax = 4096 // bytes kept with a position
)

// State is what facts have made of all subscriptions of a shard so far.
type State struct {
	Subs      map[ID]*Sub
	Next      ID
	Classes   map[ClassID]*Class
	Routes    map[RouteID]*Route
	NextRoute RouteID
	Arrivals  map[Place]*Arrivals // of partitions that somebody reads

	readers  map[record.StreamID]reading
	members  int // in all routes
	policies map[Policy]*Policy

	late lateRows // as Load found them, for a folder
}

// policiesMax is how many different policies are looked up, to be shared: most subscriptions have the same.
const policiesMax = 1024

func (s *State) sharedPolicy(p Policy) *Policy {
	if q := s.policies[p]; q != nil {
		return q
	}
	if s.policies == nil || len(s.policies) >= policiesMax {
		s.policies = map[Policy]*Policy{}
	}
	s.policies[p] = &p
	return &p
}

// Sub is one subscription.
type Sub struct {
	ID      ID
	Policy  *Policy // never changed; those with equal ones share it
	Class   ClassID
	Sources []*Source // in the order of their places

	one     Source // room for what most subscriptions have, see insertSource
	oneList [1]*Source
}

// Source is one partition as a subscription sees it.
//
//	Start          Floor                         the caller has shown it up to Next (volatile)   end of the partition
//	  |--- settled ---|-- Chunks: done, handed ----|------------------ nobody looked ---------------|
//	  '------------------ uncounted ----|Since
//
// Everything below Floor is done. A record that is done has been settled, or is carried: it has a row of its own that says all
// that has to be known of it, wherever it is.
type Source struct {
	Place
	Sub   ID
	All   bool          // every record reaches it; otherwise those whose route says so
	Start record.Offset // where it began or was rewound to
	Since record.Offset // arrivals count from here on
	// Routed is from where on routes tell what reached it; -1: from where they are indexed on.
	Routed record.Offset
	Floor  record.Offset
	Known  bool // the records between Start and Since have been counted

	Owed     Amount // counted between Start and Since, and what was brought back
	Base     Amount // arrivals that were there at Since
	Settled  Amount
	Reasons  *counts // settled, by reason; nil: nothing is
	Carried  int64   // rows
	Gaps     int64   // records that went before it had them
	chunks   map[int64]*chunk
	Turn     uint32 // how often it was rewound: handles from before are void
	Metadata []byte // of a cursor's position, which is Floor
	MovedMS  int64  // of a cursor: when
	Epoch    int32  // of a cursor: see Move
}

// counts is a number for each reason.
type counts [reasonEnd]int64

// of is a number that may not be there yet.
func (c *counts) of(r Reason) int64 {
	if c == nil {
		return 0
	}
	return c[r]
}

func (s *Source) count(r Reason, n int64) {
	if s.Reasons == nil {
		s.Reasons = &counts{}
	}
	s.Reasons[r] += n
}

// Amount is how many records and how many bytes they have.
type Amount struct{ Count, Bytes int64 }

func (a *Amount) add(b Amount) { a.Count += b.Count; a.Bytes += b.Bytes }
func (a *Amount) sub(b Amount) { a.Count -= b.Count; a.Bytes -= b.Bytes }

// reading is who reads a stream.
type reading struct {
	sources    int                  // of all subscriptions that count arrivals
	partitions []record.PartitionID // whose arrivals are counted
}

// Route is a set of classes. Their members read the partitions of the records it was given to.
type Route struct {
	ID       RouteID
	oneClass [1]ClassID // room for what most routes have, see room
	Classes  []ClassID  // ascending
	taken    []taken
	oneTaken [1]taken
}

// Most subscriptions read one partition, most classes have one member and one route, most routes reach one class and are taken in one partition.
// What is there once lies in what it belongs to: a hundred thousand subscriptions are half as many pieces of memory to be collected. These
// slices are replaced when they outgrow that; a value that has one is never copied.

// room is where the classes of a new route go.
func (r *Route) room(n int) []ClassID {
	if n <= 1 {
		return r.oneClass[:0]
	}
	return make([]ClassID, 0, n)
}

func newClass(id ClassID) *Class {
	k := &Class{ID: id}
	k.Members, k.Routes = k.oneMember[:0], k.oneRoute[:0]
	return k
}

// insertSource puts a source in at i. The first that a subscription ever has lies in it.
func (x *Sub) insertSource(i int, src Source) {
	p := &x.one
	if x.oneList[0] == nil {
		x.oneList[0] = p
		*p = src
	} else {
		p = &src
	}
	if len(x.Sources) == 0 && p == &x.one {
		x.Sources = x.oneList[:]
		return
	}
	x.Sources = slices.Insert(x.Sources, i, p)
}

// taken is how many records of a partition took a route.
type taken struct {
	at *Arrivals // if it is that of its place still
	Amount
	late bool // of a folder: its row says less
}

func (r *Route) takenAt(a *Arrivals) *taken {
	for i := range r.taken {
		if r.taken[i].at == a {
			return &r.taken[i]
		}
	}
	return nil
}

// take is takenAt where there is to be something.
func (r *Route) take(a *Arrivals) *taken {
	if t := r.takenAt(a); t != nil {
		return t
	}
	if len(r.taken) == 0 {
		r.taken = r.oneTaken[:0]
	}
	r.taken = append(r.taken, taken{at: a})
	return &r.taken[len(r.taken)-1]
}

// Class is the subscriptions that look for the same.
type Class struct {
	ID        ClassID
	Members   []ID     // ascending
	Routes    []*Route // that reach it, in the order in which they were defined
	alone     *Route   // one that reaches nothing else, if there is one
	oneMember [1]ID
	oneRoute  [1]*Route
}

// Arrivals counts a partition's records; those that took a route, the route counts.
type Arrivals struct {
	Place
	End     record.Offset
	Indexed record.Offset // routes of its records can be looked up from here on; -1: not known yet, from the next record on
	All     Amount

	late  int           // of a folder: rows of routes that say less than is so
	whole record.Offset // where there are any: up to here all of them count, at least
}

// Reason is why a record is done with.
type Reason uint8

const (
	Acked     Reason = iota + 1
	Skipped          // no match, when its content was looked at
	Rejected         // by a member
	Exhausted        // attempts
	Expired          // its time to live
	Overflown        // length or bytes
	Cancelled        // before it was due
	Vanished         // compacted away, or never to be seen: aborted
	reasonEnd
)

var reasons = [...]string{"", "acked", "skipped", "rejected", "exhausted", "expired", "overflown", "cancelled", "vanished"}

func (r Reason) String() string {
	if r < reasonEnd {
		return reasons[r]
	}
	return "unknown"
}

// NewState is the state before the first fact.
func NewState() *State {
	return &State{
		Subs: map[ID]*Sub{}, Next: 1, Classes: map[ClassID]*Class{}, Routes: map[RouteID]*Route{}, NextRoute: 1, Arrivals: map[Place]*Arrivals{}, readers: map[record.StreamID]reading{},
	}
}

// Clone returns a copy that shares nothing that changes.
func (s *State) Clone() *State {
	c := *s
	c.policies = maps.Clone(s.policies)
	c.readers = make(map[record.StreamID]reading, len(s.readers))
	for id, r := range s.readers {
		c.readers[id] = reading{r.sources, slices.Clone(r.partitions)}
	}
	c.Subs = make(map[ID]*Sub, len(s.Subs))
	for id, x := range s.Subs {
		n := &Sub{ID: x.ID, Policy: x.Policy, Class: x.Class}
		for _, src := range x.Sources {
			m := *src
			if src.Reasons != nil {
				reasons := *src.Reasons
				m.Reasons = &reasons
			}
			if src.chunks != nil {
				m.chunks = make(map[int64]*chunk, len(src.chunks))
				for k, ch := range src.chunks {
					d := *ch
					m.chunks[k] = &d
				}
			}
			n.insertSource(len(n.Sources), m)
		}
		c.Subs[id] = n
	}
	c.Arrivals = make(map[Place]*Arrivals, len(s.Arrivals))
	for at, a := range s.Arrivals {
		n := *a
		c.Arrivals[at] = &n
	}
	c.Routes = make(map[RouteID]*Route, len(s.Routes))
	for id, r := range s.Routes {
		n := &Route{ID: r.ID}
		n.Classes = append(n.room(len(r.Classes)), r.Classes...)
		for _, t := range r.taken {
			if a := c.Arrivals[t.at.Place]; a != nil && s.Arrivals[t.at.Place] == t.at {
				n.take(a).Amount = t.Amount
			}
		}
		c.Routes[id] = n
	}
	c.Classes = make(map[ClassID]*Class, len(s.Classes))
	for id, k := range s.Classes {
		n := newClass(k.ID)
		n.Members = append(n.Members, k.Members...)
		for _, r := range k.Routes {
			n.Routes = append(n.Routes, c.Routes[r.ID])
		}
		if k.alone != nil {
			n.alone = c.Routes[k.alone.ID]
		}
		c.Classes[id] = n
	}
	return &c
}

// source returns the subscription's source, nil when it does not read that partition.
func (x *Sub) source(at Place) *Source {
	if i, ok := x.sourceIndex(at); ok {
		return x.Sources[i]
	}
	return nil
}

func (x *Sub) sourceIndex(at Place) (int, bool) {
	return slices.BinarySearchFunc(x.Sources, at, func(s *Source, at Place) int { return s.compare(at) })
}

// arrived is how many records have reached the source, ever.
func (s *State) arrived(x *Sub, src *Source) Amount {
	a := s.Arrivals[src.Place]
	if a == nil {
		return Amount{}
	}
	if src.All {
		return a.All
	}
	var sum Amount
	k := s.Classes[x.Class]
	if k == nil {
		return sum
	}
	for _, r := range k.Routes {
		if t := r.takenAt(a); t != nil {
			sum.add(t.Amount)
		}
	}
	return sum
}

// Backlog is what of a source is not settled. It is exact when ok; otherwise records before Since are still to be counted.
func (s *State) Backlog(x *Sub, src *Source) (n Amount, ok bool) {
	n = s.arrived(x, src)
	n.sub(src.Base)
	n.add(src.Owed)
	n.sub(src.Settled)
	return n, src.Known
}
