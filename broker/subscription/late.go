package subscription

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"leat/broker/record"
	"leat/storage/state"
)

// How many records took a route is a row for each route and partition. Where each record takes a route of its own, writing these rows with
// every frame would be a row for each record. So they are late: a frame writes those that have been wrong for longest, and what a row does not
// say yet, the index of routes says.
//
//	place's row     whole ─────────────┐                                  end
//	                                   ▼                                   ▼
//	offsets  ── every row counts these ┼───── some rows count these ───────┤
//	row of route 7   end ──────────────┼──────────▼  + what the index has of 7 from there on
//
// A row tells up to which end it counts, so that nothing is counted twice. Loading reads the index from whole on, and that is bounded:
// lateMax postings, of all partitions together. Before rows of the index go, the rows that would need them are written.

// lateMax is how many postings may have been written since a row became wrong: with more it is written. A start reads about twice as many at
// most; a million take half a second.
const lateMax = 1 << 20

// late is a row that says less than is so.
type late struct {
	at    *Arrivals // nil: it was written meanwhile
	route *Route
	since record.Offset // the first record that it does not count
	mark  uint64        // postings so far, then
}

// lateRows are those rows, of a partition in the order of since: that which is written next has been wrong for longest.
type lateRows struct {
	waiting  []late
	gone     int    // at the front of waiting
	postings uint64 // that a start may have to read, ever
	max      uint64
}

func (l *lateRows) next() *late {
	if l.gone == len(l.waiting) {
		return nil
	}
	return &l.waiting[l.gone]
}

func (l *lateRows) pop() {
	l.waiting[l.gone] = late{}
	if l.gone++; l.gone >= 1024 && l.gone > len(l.waiting)/2 {
		n := copy(l.waiting, l.waiting[l.gone:])
		clear(l.waiting[n:])
		l.waiting, l.gone = l.waiting[:n], 0
		if cap(l.waiting) > 4*n+4096 {
			l.waiting = slices.Clip(slices.Clone(l.waiting)) // a peak is not kept
		}
	}
}

// took notes that records from an offset on have taken a route. x is the route's for a.
func (t *touched) took(a *Arrivals, r *Route, x *taken, base record.Offset) {
	if t == nil {
		return
	}
	if t.late.postings++; x.late {
		return
	}
	x.late = true
	if a.late == 0 {
		a.whole = base
	}
	a.late++
	t.late.waiting = append(t.late.waiting, late{a, r, base, t.late.postings})
}

// wholeTo is up to where every row of a route counts.
func (a *Arrivals) wholeTo() record.Offset {
	if a.late == 0 {
		return a.End
	}
	return a.whole
}

// writeLate writes the rows that have been late for long enough.
func (f *Folder) writeLate() {
	for x := f.touched.late.next(); x != nil && f.touched.late.postings-x.mark >= f.touched.late.max; x = f.touched.late.next() {
		f.writeTaken(f.rows, x)
		if x.at != nil {
			f.touched.arrivals[x.at] = struct{}{}
		}
		f.touched.late.pop()
	}
}

// filled notes that a block is full: a start that reads a part of it reads all of it from now on.
func (f *Folder) filled(at Place, block []posting) {
	a := f.Arrivals[at]
	if a == nil || a.late == 0 {
		return
	}
	n, _ := slices.BinarySearchFunc(block, a.whole, func(p posting, o record.Offset) int { return cmp.Compare(p.base, o) })
	f.touched.late.postings += uint64(n)
}

// writeTaken writes one row, if it is of something that is still there. What is late of its partition from then on is late since the same
// offset, or later.
func (f *Folder) writeTaken(rows state.Batch, x *late) {
	if x.at == nil {
		return
	}
	x.at.late--
	x.at.whole = x.since
	if f.Arrivals[x.at.Place] != x.at || f.Routes[x.route.ID] != x.route {
		return
	}
	n := x.route.takenAt(x.at)
	n.late = false
	f.buf = appendAmount(binary.AppendUvarint(f.buf[:0], uint64(x.at.End)), n.Amount)
	rows.Set(arrivalsKey(x.at.Place, x.route.ID), f.buf)
}

// writePlace writes what is known of a partition as a whole.
func (f *Folder) writePlace(rows state.Batch, a *Arrivals) {
	if f.Arrivals[a.Place] != a {
		return
	}
	f.buf = appendAmount(binary.AppendUvarint(f.buf[:0], uint64(a.End)), a.All)
	f.buf = binary.AppendUvarint(f.buf, uint64(a.Indexed+1))
	if n := a.End - a.wholeTo(); n > 0 {
		f.buf = binary.AppendUvarint(f.buf, uint64(n))
	}
	rows.Set(arrivalsKey(a.Place, 0), f.buf)
}

// writeLateOf writes all late rows of those partitions.
func (f *Folder) writeLateOf(rows state.Batch, of func(*Arrivals) bool) {
	done := map[*Arrivals]struct{}{}
	for i := f.touched.late.gone; i < len(f.touched.late.waiting); i++ {
		if x := &f.touched.late.waiting[i]; x.at != nil && of(x.at) {
			done[x.at] = struct{}{}
			f.writeTaken(rows, x)
			*x = late{mark: x.mark}
		}
	}
	for a := range done {
		f.writePlace(rows, a)
	}
}

// Complete writes all rows that are late. rows go to the store as of the last frame.
func (f *Folder) Complete(rows state.Batch) {
	f.writeLateOf(rows, func(*Arrivals) bool { return true })
}

// TrimReached takes the rows of blocks away that lie before where a partition begins now, after End.
func (f *Folder) TrimReached(rows state.Batch, at Place, start record.Offset) {
	n := blockOf(start)
	if n <= 0 {
		return
	}
	if a := f.Arrivals[at]; a != nil && a.late > 0 && blockOf(a.whole) < n {
		f.writeLateOf(rows, func(x *Arrivals) bool { return x == a })
	}
	rows.DeleteRange(blockKey(at, 0), blockKey(at, n))
}

// DropReached takes the rows of a stream away, after End.
func (f *Folder) DropReached(rows state.Batch, id record.StreamID) {
	for _, p := range f.readers[id].partitions {
		if a := f.Arrivals[Place{id, p}]; a != nil && a.late > 0 {
			f.writeLateOf(rows, func(x *Arrivals) bool { return x.Stream == id })
			break
		}
	}
	dropReached(rows, id)
}

// loading is what Load keeps while it reads rows of arrivals.
type loading struct {
	places []*Arrivals               // with rows that are late, in their order
	ends   map[routeAt]record.Offset // up to where rows count, of those that count something behind whole
}

// complete counts what the rows of routes do not say yet.
func (s *State) complete(st state.Store, l *loading) error {
	for _, a := range l.places {
		from := len(s.late.waiting)
		if err := s.completePlace(st, a, l); err != nil {
			return fmt.Errorf("routes of partition %d of stream %d: %w", a.Partition, a.Stream, err)
		}
		mine := s.late.waiting[from:]
		slices.SortStableFunc(mine, func(x, y late) int { return cmp.Compare(x.since, y.since) })
		for i := 1; i < len(mine); i++ {
			mine[i].mark = max(mine[i].mark, mine[i-1].mark) // pages are in the order of routes
		}
	}
	return nil
}

// completePlace reads the index of a partition from whole on.
func (s *State) completePlace(st state.Store, a *Arrivals, l *loading) error {
	block := blockOf(a.whole)
	it, err := st.Iter(blockKey(a.Place, block), state.After(placeKey([]byte{state.PrefixReached}, a.Place)))
	if err != nil {
		return err
	}
	defer it.Close()
	ok := it.SeekLT(logKey(a.Place, block, a.whole+1)) && bytes.HasPrefix(it.Key(), append(blockKey(a.Place, block), reachedLog))
	if !ok {
		if err := it.Err(); err != nil {
			return err
		}
		ok = it.SeekGE(blockKey(a.Place, block))
	}
	var ps []posting
	for ; ok; ok = it.Next() {
		if ps, err = readReached(ps[:0], it.Key(), it.Value()); err != nil {
			return fmt.Errorf("row %x of the index of routes: %w", it.Key(), err)
		}
		for i := range ps {
			s.completeWith(a, &ps[i], l)
		}
	}
	return it.Err()
}

func readReached(dst []posting, key, value []byte) ([]posting, error) {
	if len(key) <= blockKeyBytes {
		return dst, fmt.Errorf("a key of %d bytes", len(key))
	}
	if key[blockKeyBytes] == reachedLog {
		return readLog(dst, key, value)
	}
	start := record.Offset(be64(key[blockKeyBytes-8:]) * blockOffsets)
	return readPage(dst, key, value, start, func(RouteID) bool { return true })
}

func (s *State) completeWith(a *Arrivals, p *posting, l *loading) {
	s.late.postings++
	rt := s.Routes[p.route]
	if rt == nil || p.base < a.whole || p.base < l.ends[routeAt{a, rt}] {
		return
	}
	n := rt.take(a)
	n.add(Amount{p.count, p.bytes})
	if !n.late {
		n.late = true
		a.late++
		s.late.waiting = append(s.late.waiting, late{a, rt, p.base, s.late.postings})
	}
}
