package address

import (
	"slices"
	"sync/atomic"

	"leat/broker/fault"
)

// Limits of routes.
const (
	RouteIDsMax     = 1 << 20  // subscriptions that one route reaches
	RoutesMax       = 1 << 20  // routes at a time
	RouteMembersMax = 16 << 20 // subscriptions of all routes together: 128 MiB
	MemoMax         = 1 << 16  // combinations of places that a matcher remembers the route of
)

// RouteID is the number of a route. NoRoute reaches nobody and is not defined by anyone.
type RouteID uint32

// NoRoute is the route of a record that nobody asked for.
const NoRoute RouteID = 0

// Routes knows the sets of subscriptions that records reach, by number and by content. Like an Index it is never changed: Define and Drop
// give another one. A shard that throws its head away goes on with the Routes it had published, and what the dropped one defined is
// forgotten with it.
type Routes struct {
	generation uint64 // differs between any two Routes that may say different things of a number
	next       RouteID
	members    int
	byID       trie[*route]
	bySet      trie[*route]
}

type route struct {
	id  RouteID
	set []ID
}

var generations atomic.Uint32

// NewRoutes knows no route.
func NewRoutes() *Routes { return &Routes{next: 1, generation: uint64(generations.Add(1))} }

// Next is the number for a route that is not known yet: one that was never given.
func (t *Routes) Next() RouteID { return t.next }

// Len is how many routes there are.
func (t *Routes) Len() int { return t.byID.n }

func dupRoute(to, from **route) { *to = *from }

func setHash(set []ID) uint64 {
	h := uint64(len(set))
	for _, id := range set {
		h = mix(h ^ uint64(id))
	}
	return h
}

// Set gives the subscriptions of a route, ascending. The caller must not change it.
func (t *Routes) Set(id RouteID) (set []ID, ok bool) {
	if id == NoRoute {
		return nil, true
	}
	if l := t.byID.find(mix(uint64(id))); l != nil {
		return l.v.set, true
	}
	return nil, false
}

// Reaches reports whether a route reaches a subscription.
func (t *Routes) Reaches(id RouteID, sub ID) bool {
	set, _ := t.Set(id)
	_, found := slices.BinarySearch(set, sub)
	return found
}

// Find gives the route of exactly that set, ascending and each once.
func (t *Routes) Find(set []ID) (RouteID, bool) {
	if len(set) == 0 {
		return NoRoute, true
	}
	for l := t.bySet.find(setHash(set)); l != nil; l = l.next {
		if slices.Equal(l.v.set, set) {
			return l.v.id, true
		}
	}
	return NoRoute, false
}

// Define gives the Routes that know one more, as a fact says: a number from Next on and a set, ascending and each once, which is copied. A
// number or a set that is known, or wrong, is Invalid; too many routes are TooLarge.
func (t *Routes) Define(id RouteID, set []ID) (*Routes, error) {
	switch {
	case id < t.next || id == 1<<32-1:
		return nil, fault.New(fault.Invalid, "route", "id", "route %d is not after the last one, %d", id, t.next-1)
	case len(set) == 0 || !ascending(set):
		return nil, fault.New(fault.Invalid, "route", "set", "its subscriptions are not ascending, or none")
	case len(set) > RouteIDsMax:
		return nil, fault.New(fault.TooLarge, "route", "set", "it reaches %d subscriptions; a route reaches at most %d", len(set), RouteIDsMax)
	case t.byID.n >= RoutesMax || t.members+len(set) > RouteMembersMax:
		return nil, fault.New(fault.TooLarge, "route", "routes", "there are %d routes with %d subscriptions, which is the limit", t.byID.n, t.members)
	}
	if known, ok := t.Find(set); ok {
		return nil, fault.New(fault.Invalid, "route", "set", "route %d reaches the same subscriptions", known)
	}
	r := &route{id, slices.Clone(set)}
	u := *t
	u.next, u.members = id+1, t.members+len(set)
	u.byID = t.byID.with(mix(uint64(id)), nil, &leaf[*route]{v: r}, dupRoute)
	u.bySet = t.bySet.with(setHash(set), nil, &leaf[*route]{v: r}, dupRoute)
	return &u, nil
}

// Drop gives the Routes without one, for when no record has it any more. Its number is not given again; ok is false when it is unknown.
func (t *Routes) Drop(id RouteID) (u *Routes, ok bool) {
	l := t.byID.find(mix(uint64(id)))
	if l == nil {
		return t, false
	}
	c := *t
	set := l.v.set
	c.members -= len(set)
	c.generation = uint64(generations.Add(1)) // somebody may remember it
	c.byID = t.byID.with(mix(uint64(id)), l, nil, dupRoute)
	for s := t.bySet.find(setHash(set)); s != nil; s = s.next {
		if s.v == l.v {
			c.bySet = t.bySet.with(setHash(set), s, nil, dupRoute)
		}
	}
	return &c, true
}

// Fork gives the same routes as a line of their own. Call it on what is left when definitions are thrown away (a head that is built
// anew from published): their numbers will be given again, and what matchers remember of them must not count.
func (t *Routes) Fork() *Routes {
	u := *t
	u.generation = uint64(generations.Add(1))
	return &u
}

func ascending(set []ID) bool {
	for i := 1; i < len(set); i++ {
		if set[i] <= set[i-1] {
			return false
		}
	}
	return true
}

// memo remembers the route of combinations of places.
type memo struct {
	generation uint64
	routes     map[memoKey]uint64
}

// memoKey is the serials of all that was found. Serials are never given twice, so equal keys are equal sets.
type memoKey [8]uint64

// Route gives the route of the last record. ok is false when its set is not known: then IDs gives it, the caller makes it a fact
// under Next, and Define puts it in.
//
// Where the record came to one place only, that place remembers its route; combinations are remembered by the matcher. So the cost does
// not depend on how many subscriptions a record reaches, but for the first one of each kind.
func (m *Matcher) Route(t *Routes) (id RouteID, ok bool) {
	if len(m.hits) == 0 && len(m.some) == 0 {
		return NoRoute, true
	}
	var alone *atomic.Uint64
	if len(m.hits) == 1 && len(m.some) == 0 {
		alone = &m.hits[0].alone
		if v := alone.Load(); v>>32 == t.generation {
			return RouteID(v), true
		}
	}
	key, short := m.key()
	if alone == nil && short {
		if m.memo.generation != t.generation {
			clear(m.memo.routes)
			m.memo.generation = t.generation
		}
		if v, known := m.memo.routes[key]; known {
			return RouteID(v), true
		}
	}
	if id, ok = t.Find(m.IDs()); !ok {
		return NoRoute, false
	}
	switch {
	case alone != nil:
		alone.Store(t.generation<<32 | uint64(id))
	case short:
		if len(m.memo.routes) >= MemoMax {
			clear(m.memo.routes)
		}
		m.memo.routes[key] = uint64(id)
	}
	return id, true
}

func (m *Matcher) key() (key memoKey, ok bool) {
	if len(m.hits)+len(m.some) > len(key) {
		return key, false
	}
	n := 0
	for _, p := range m.hits {
		key[n] = p.serial
		n++
	}
	for i := range m.some {
		key[n] = m.some[i].clause.serial
		n++
	}
	return key, true
}
