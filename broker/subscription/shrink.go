package subscription

import (
	"maps"

	"leat/broker/record"
)

// After a peak (a million records out at once, most of them settled again) what is left lies scattered over all pages. Each flush moves
// some entries from the last page down, until the pages fit what they hold.

const (
	shrinkStep    = 2_048  // entries that one flush moves
	entriesShrink = 16_384 // a source's index is made anew when it has had so many entries and has a quarter of them left
)

func (h *Head) shrink() {
	for moved := 0; moved < shrinkStep && h.slab.sparse(); {
		last := len(h.slab.pages) - 1
		for i := slot(last * pageEntries); i < slot((last+1)*pageEntries) && len(h.slab.pages) > last; i++ {
			e := h.slab.at(i)
			if e.flags&flagCounted == 0 {
				continue
			}
			if e.state == coming {
				return // its frame knows it by its place; soon
			}
			h.move(i)
			moved++
		}
	}
}

// move gives an entry another place.
func (h *Head) move(from slot) {
	to := h.slab.take()
	e, f := h.slab.at(from), h.slab.at(to)
	*f = *e
	d := h.numbers[e.desk]
	ds := d.sources[e.source]
	ds.entries[e.Offset] = to
	if e.flags&flagLies != 0 {
		h.lies[to] = h.lies[from]
		delete(h.lies, from)
	}
	if e.flags&flagInWindow != 0 {
		h.slab.relink(&ds.window, inWindow, to)
	}
	if d.lanes != nil {
		h.slab.relink(&d.lanes[d.laneOf(e)].list, inLane, to)
	}
	switch {
	case e.state == leased:
		h.slab.relink(&d.members[e.member].has, inTurn, to)
	case e.flags&flagInTurn != 0:
		h.slab.relink(d.turnOf(e), inTurn, to)
	}
	switch {
	case e.bucket == wheelDue:
		h.slab.relink(&h.wheel.due, inWheel, to)
	case e.bucket != 0:
		h.slab.relink(&h.wheel.buckets[e.bucket-1], inWheel, to)
	}
	h.slab.give(from)
}

// relink tells an entry's neighbours in a list where it is now.
func (s *slab) relink(l *list, kind int, i slot) {
	k := s.at(i).links[kind]
	if k.prev != 0 {
		s.at(k.prev).links[kind].next = i
	} else {
		l.head = i
	}
	if k.next != 0 {
		s.at(k.next).links[kind].prev = i
	} else {
		l.tail = i
	}
}

// shrinkIndex makes a source's index anew once it is much too large: maps keep the room they once needed.
func (ds *deskSource) shrinkIndex() {
	ds.peak = max(ds.peak, len(ds.entries))
	if ds.peak < entriesShrink || len(ds.entries) > ds.peak/4 {
		return
	}
	m := make(map[record.Offset]slot, len(ds.entries))
	maps.Copy(m, ds.entries)
	ds.entries, ds.peak = m, len(m)
}
