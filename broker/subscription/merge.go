package subscription

import "cmp"

// A subscription without order that reads what reaches it from several partitions hands over what has waited in the order of its arrival. It
// merges its sources, by frame and by the steps of the frame:
//
//	1/0  a3 a5 a9 ···         the first of all is a3. a9 waits until 2/0 has been shown up to the frame of a9:
//	2/0  b4 b7 |? ···         there may be a b8
//
// Each source is shown a part of the window; the one that is furthest behind is asked, and what others have more waits for it. Who has caught up
// merges nothing: records come in their order by themselves. What comes back goes first, as without a merge.

// mergeMax is of how many sources a subscription merges what waits. Finding the next of more would cost more than it is worth.
const mergeMax = 64

// merging reports whether records wait for the sources that are behind.
func (d *desk) merging() bool {
	return d.merges && d.behind > 0 && len(d.sources) > 1 && len(d.sources) <= mergeMax
}

// fresh is the list of what was not handed over yet, of a source.
func (d *desk) fresh(source int32, priority uint8) *list {
	if !d.merges || source == 0 || source >= mergeMax {
		return &d.turns[priority][1]
	}
	ds := d.sources[source]
	if ds.fresh == nil {
		ds.fresh = make([]list, len(d.turns))
	}
	return &ds.fresh[priority]
}

// compare says which of two records of different partitions arrived first.
func (a *Meta) compare(b *Meta) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Step, b.Step))
}

// turnOf is the list that an entry in turn stands in.
func (d *desk) turnOf(e *entry) *list {
	if e.flags&flagTurnBack != 0 {
		return &d.turns[e.Priority][0]
	}
	return d.fresh(e.source, e.Priority)
}

// firstFresh is the record of a lane that arrived first of those not handed over yet.
func (h *Head) firstFresh(d *desk, priority int) slot {
	best := d.turns[priority][1].head
	if !d.merges {
		return best
	}
	for _, ds := range d.sources[min(1, len(d.sources)):min(len(d.sources), mergeMax)] {
		if ds.fresh == nil {
			continue
		}
		if i := ds.fresh[priority].head; i != 0 && (best == 0 || h.slab.at(i).compare(&h.slab.at(best).Meta) < 0) {
			best = i
		}
	}
	return best
}

// preceded reports whether a source may have something that goes before a record and is about to be shown. One that is not asked for more, since
// enough is known of it in other lanes, is not waited for; nor is what is not published, which is behind all that is.
func (h *Head) preceded(d *desk, i slot) bool {
	if !d.merging() {
		return false
	}
	e := h.slab.at(i)
	if e.Seq <= d.shown {
		return false
	}
	for _, ds := range d.sources {
		if ds.caught || ds.ended || ds.number == e.source || ds.shown >= e.Seq || ds.last.compare(&e.Meta) >= 0 {
			continue
		}
		if ds.asked || ds.next < h.visible[ds.Place] && h.looksAheadOf(d, ds) > 0 {
			return true
		}
	}
	return false
}

// freshOf counts what a source has in turn.
func (d *desk) freshOf(ds *deskSource) (n int) {
	for p := range d.turns {
		n += d.fresh(ds.number, uint8(p)).n
	}
	return n
}

// looksAheadOf is how many records more should be known of a source.
func (h *Head) looksAheadOf(d *desk, ds *deskSource) int {
	if !d.merging() {
		return h.looksAhead(d)
	}
	window, step := h.windowOf(d)
	if window == 0 {
		return step
	}
	window = max(window/len(d.sources), gatedStep)
	switch ready := d.freshOf(ds); {
	case ready > window/2:
		return 0
	case ready > 0 && (d.ready+d.coming >= BehindMax || h.slab.used >= h.trackedMax):
		return 0
	default:
		return window - ready // all others may wait for this one, so limits cannot keep it
	}
}
