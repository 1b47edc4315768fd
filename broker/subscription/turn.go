package subscription

import "cmp"

// Whose turn it is: the lists of records that may be handed over, and the lanes of those that wait for one another.

// compareRecords orders records of a subscription by where they are in everything; within a frame by partition.
func compareRecords(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.source, b.source), cmp.Compare(a.Offset, b.Offset))
}

// laneOf is the number of an entry's lane.
func (d *desk) laneOf(e *entry) uint64 {
	if d.sub.Policy.Order == OrderTotal {
		return 0
	}
	return e.Key
}

// joinLane puts an entry where it belongs among those of its lane: last, but after a start, when records with a row are there already.
func (h *Head) joinLane(d *desk, i slot) {
	e := h.slab.at(i)
	k := d.laneOf(e)
	l := d.lanes[k]
	if l == nil {
		l = &lane{}
		d.lanes[k] = l
	}
	at := slot(0)
	for prev := l.tail; prev != 0; prev = h.slab.at(prev).links[inLane].prev {
		if compareRecords(h.slab.at(prev), e) < 0 {
			break
		}
		at = prev
	}
	if at != 0 && at == l.head {
		h.outOfTurn(d, at) // something is before it now
	}
	h.slab.before(&l.list, inLane, at, i)
}

// takeTurn puts an available entry in turn, unless something has to go before it.
func (h *Head) takeTurn(d *desk, i slot) {
	e := h.slab.at(i)
	if d.sub.Policy.Order != OrderNone {
		h.advance(d, d.laneOf(e))
		return
	}
	h.putInTurn(d, i)
}

// advance puts a lane's first record in turn when nothing of the lane is with a member, and everything before it has been shown: of its
// own source, and, as order is by position, of the others up to its frame.
//
// Of a run the first may come back while a member has others behind it. It goes again at once, alone: who was given a2 had a1 before it.
func (h *Head) advance(d *desk, k uint64) {
	l := d.lanes[k]
	if l == nil || l.held > 0 && d.sub.Policy.RunMax <= 1 {
		return
	}
	if l.head == 0 {
		delete(d.lanes, k)
		return
	}
	e := h.slab.at(l.head)
	if e.state != available || e.flags&flagInTurn != 0 {
		return
	}
	if !d.isShown(e) {
		d.gated = append(d.gated, k)
		return
	}
	h.putInTurn(d, l.head)
}

// isShown reports whether everything before a record has been shown. Of a source that is caught up with all is known, also where its last records came from rows
// and nobody had to look as far.
func (d *desk) isShown(e *entry) bool {
	ds := d.sources[e.source]
	return e.Seq <= d.shown && (ds.caught || e.Offset < ds.next)
}

func (h *Head) putInTurn(d *desk, i slot) {
	e := h.slab.at(i)
	at := slot(0)
	// A run that came back goes behind the other lanes: one that fails for ever must not keep all the others from their turn.
	if runs := d.lanes != nil && d.sub.Policy.RunMax > 1; e.flags&flagBack != 0 && !runs {
		e.flags |= flagTurnBack
	}
	l := d.turnOf(e)
	if e.flags&flagBack != 0 && d.lanes == nil {
		at = h.whereItStood(l, e)
	}
	h.slab.before(l, inTurn, at, i)
	e.flags |= flagInTurn
	d.inTurn++
}

// whereItStood looks among those that came back for the first one after e. It does not look far: then e goes last.
func (h *Head) whereItStood(l *list, e *entry) slot {
	at := slot(0)
	n := 0
	for prev := l.tail; prev != 0; prev = h.slab.at(prev).links[inTurn].prev {
		if compareRecords(h.slab.at(prev), e) < 0 {
			break
		}
		if n++; n > sortedBackMax {
			return at
		}
		at = prev
	}
	return at
}

func (h *Head) outOfTurn(d *desk, i slot) {
	e := h.slab.at(i)
	if e.flags&flagInTurn == 0 {
		return
	}
	l := d.turnOf(e)
	e.flags &^= flagInTurn | flagTurnBack
	h.slab.remove(l, inTurn, i)
	d.inTurn--
}
