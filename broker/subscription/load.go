package subscription

import (
	"errors"
	"fmt"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// Load reads the State that the rows of a store hold.
func Load(st state.Store) (*State, error) {
	s := NewState()
	if v, err := st.Get(nextKey); err == nil {
		b := fact.ReadBody(v)
		s.Next, s.NextRoute = ID(b.Uvarint()), RouteID(b.Uvarint())
		if err := b.Err(); err != nil {
			return nil, fmt.Errorf("load subscription counters: %w", err)
		}
	} else if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	l := &loading{ends: map[routeAt]record.Offset{}}
	for _, step := range []struct {
		prefix byte
		row    func(key, value []byte) error
	}{
		{state.PrefixSub, s.loadSub},
		{state.PrefixSource, s.loadSource},
		{state.PrefixRoute, s.loadRoute},
		{state.PrefixArrivals, func(key, value []byte) error { return s.loadArrivals(key, value, l) }},
		{state.PrefixChunk, s.loadChunk},
	} {
		if err := eachRow(st, []byte{step.prefix}, step.row); err != nil {
			return nil, fmt.Errorf("load rows %q: %w", step.prefix, err)
		}
	}
	if err := s.complete(st, l); err != nil {
		return nil, fmt.Errorf("load arrivals: %w", err)
	}
	return s, nil
}

func eachRow(st state.Store, lo []byte, row func(key, value []byte) error) error {
	it, err := st.Iter(lo, state.After(lo))
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		if err := row(it.Key(), it.Value()); err != nil {
			return fmt.Errorf("row %x: %w", it.Key(), err)
		}
	}
	return it.Err()
}

func (s *State) loadSub(key, value []byte) error {
	if len(key) != 5 {
		return fmt.Errorf("key has %d bytes", len(key))
	}
	b := fact.ReadBody(value)
	class, p := ClassID(b.Uvarint()), readPolicy(b)
	if err := b.Err(); err != nil {
		return err
	}
	s.evolvePut(ID(be32(key[1:])), p, class, nil)
	return nil
}

func be32(p []byte) uint32 {
	return uint32(p[0])<<24 | uint32(p[1])<<16 | uint32(p[2])<<8 | uint32(p[3])
}

func (s *State) loadSource(key, value []byte) error {
	id, at, _, err := readKey(key, 0)
	if err != nil {
		return err
	}
	x := s.Subs[id]
	if x == nil {
		return fmt.Errorf("subscription %d does not exist", id)
	}
	src := Source{Place: at, Sub: id}
	if err := src.readRow(value); err != nil {
		return err
	}
	x.insertSource(len(x.Sources), src) // rows come in the order of places
	if x.Policy.Kind == Delivery {
		s.reads(at.Stream)
	}
	return nil
}

func (s *State) loadRoute(key, value []byte) error {
	r, err := readRoute(value)
	if err != nil {
		return err
	}
	s.evolveRoute(r)
	return nil
}

func (s *State) loadArrivals(key, value []byte, l *loading) error {
	if len(key) != 13 {
		return fmt.Errorf("key has %d bytes", len(key))
	}
	at := Place{record.StreamID(be32(key[1:])), record.PartitionID(be32(key[5:]))}
	r := RouteID(be32(key[9:]))
	b := fact.ReadBody(value)
	end, n, indexed := readOffset(b), readAmount(b), record.Offset(-1)
	if r == 0 && b.Rest() > 0 { // else the row is from before routes were indexed
		indexed = readOffset(b) - 1
	}
	whole := end
	if r == 0 && b.Rest() > 0 { // else the rows of routes say all
		whole -= readOffset(b)
	}
	if whole < 0 {
		return fmt.Errorf("rows count up to %d", whole)
	}
	if err := b.Err(); err != nil {
		return err
	}
	a := s.arrivals(at)
	if r == 0 {
		a.End, a.All, a.Indexed, a.whole = end, n, indexed, whole
		if whole < end {
			l.places = append(l.places, a)
		}
		return nil
	}
	if rt := s.Routes[r]; rt != nil {
		rt.take(a).Amount = n
		if end > a.whole {
			l.ends[routeAt{a, rt}] = end
		}
	}
	return nil
}

func (s *State) loadChunk(key, value []byte) error {
	id, at, k, err := readKey(key, 8)
	if err != nil {
		return err
	}
	x := s.Subs[id]
	if x == nil || x.source(at) == nil {
		return fmt.Errorf("subscription %d does not read this place", id)
	}
	return x.source(at).chunk(int64(k)).readRow(value)
}

// eachCarried calls fn for every carried record that rows tell of.
func eachCarried(st state.Store, fn func(id ID, at Place, c *Carried) error) error {
	return eachRow(st, []byte{state.PrefixCarried}, func(key, value []byte) error {
		id, at, o, err := readKey(key, 8)
		if err != nil {
			return err
		}
		b := fact.ReadBody(value)
		c := Carried{Meta: Meta{Offset: record.Offset(o)}}
		c.read(b)
		if err := b.Err(); err != nil {
			return err
		}
		return fn(id, at, &c)
	})
}
