package subscription

import (
	"slices"

	"leat/broker/record"
)

// desk is what a head keeps of a subscription that somebody attends to, or that has something to remember. 100,000 subscriptions that
// nobody asks have none.
type desk struct {
	sub     *Sub
	number  int32
	sources []*deskSource
	places  map[Place]int32 // of sources, where there are many
	soiled  []*deskSource   // with something to record
	behind  int             // sources that are not caught up with
	turns   [][2]list       // by priority: those that came back, and those that were not handed over yet
	lanes   map[uint64]*lane
	merges  bool      // what waits is handed over in the order of its arrival; see merge.go
	gated   []uint64  // lanes whose first record waits for sources to be shown
	shown   uint64    // frames up to here have been shown of all sources
	members []*member // by entry.member; nil: left
	order   []*member // by rank
	next    int       // whose turn it is among the first rank that can take something
	sweeps  int       // sources with a sweep
	rests   []rest    // whom it is told when nothing more can be handed over; the first ones at once
	able    int       // members that can take something

	ready, leased, waiting, dying, coming      int   // entries by state; ready: available ones
	inTurn                                     int   // of the ready ones, those that nothing is before
	heldBytes                                  int64 // of leased and dying ones
	hungry, dirty, closed, unfinished, starved bool
}

// deskSource is one source, seen from the desk.
type deskSource struct {
	*Source
	next    record.Offset // nothing before it has to be asked for
	caught  bool          // there is nothing of this subscription at or after next, as of the head
	asked   bool          // the caller is looking
	soiled  bool
	counted bool          // and a fact will say so
	sweep   record.Offset // to be looked at up to here, also when nobody asks for records; see Straggle
	ended   bool          // the subscription reads it no more
	number  int32
	shown   uint64 // its records of frames up to here have been shown
	last    Meta   // frame and step of the last one that was shown: what comes is not before it
	fresh   []list // where records of all sources are merged, by priority: those in turn that were not handed over yet; of the first source the desk has them
	entries map[record.Offset]slot
	window  list // entries without a row, in the order of their offsets
	backlog Amount
	lowest  record.Offset // no entry with a row, or about to get one, that lies where it always was is before it
	peak    int           // entries since the index was made
	pend    pending
}

// pending is what the next flush records of a source.
type pending struct {
	done    []record.Offset
	gaps    []Run // of offsets that hold nothing
	gone    []record.Offset
	amount  Amount
	reasons [reasonEnd]int64
	handed  []record.Offset
	carry   []record.Offset
	brought Amount
	missed  Amount // to be counted
}

func (p *pending) reset() {
	*p = pending{done: emptied(p.done), gaps: emptied(p.gaps), gone: emptied(p.gone), handed: emptied(p.handed), carry: emptied(p.carry)}
}

// lane is a key's records, or, in total order, all.
type lane struct {
	list
	held int // that members have
}

// desk returns the subscription's desk, a new one if there is none.
func (h *Head) desk(x *Sub) *desk {
	if d := h.desks[x.ID]; d != nil {
		return d
	}
	d := &desk{sub: x, turns: make([][2]list, max(x.Policy.Priorities, 1)), merges: x.Policy.Order == OrderNone && x.Class != 0}
	if x.Policy.Order != OrderNone {
		d.lanes = map[uint64]*lane{}
	}
	if n := len(h.vacant); n > 0 {
		d.number = h.vacant[n-1]
		h.vacant = h.vacant[:n-1]
		h.numbers[d.number] = d
	} else {
		d.number = int32(len(h.numbers))
		h.numbers = append(h.numbers, d)
	}
	h.desks[x.ID] = d
	h.attend(d, 0, x.Class)
	h.sitDown(d)
	return d
}

// sitDown takes over sources that the desk does not have yet.
func (h *Head) sitDown(d *desk) {
	for _, src := range d.sub.Sources {
		if d.source(src.Place) != nil {
			continue
		}
		ds := &deskSource{Source: src, next: src.Floor, entries: map[record.Offset]slot{}, lowest: noOffset}
		if d.sub.Policy.Volatile {
			ds.next = h.visible[src.Place]
			ds.caught = true
		} else {
			ds.backlog, _ = h.Backlog(d.sub, src)
		}
		ds.number = int32(len(d.sources))
		if !ds.caught {
			d.behind++
		}
		if d.sources = append(d.sources, ds); d.places != nil {
			d.places[src.Place] = ds.number
		} else if len(d.sources) > 8 {
			d.places = map[Place]int32{}
			for n, ds := range d.sources {
				if !ds.ended {
					d.places[ds.Place] = int32(n)
				}
			}
		}
		if src.All {
			h.wide[src.Place] = append(h.wide[src.Place], d)
		}
	}
	h.measureShown(d)
}

// noOffset is behind all.
const noOffset = record.Offset(1<<63 - 1)

const shownAll = ^uint64(0)

// measureShown finds how far all sources have been shown. Lanes that waited for that are looked at again.
func (h *Head) measureShown(d *desk) {
	was := d.shown
	if d.shown = shownAll; d.behind == 0 {
		h.advanceGated(d)
		return
	}
	for _, ds := range d.sources {
		if !ds.caught {
			d.shown = min(d.shown, ds.shown)
		}
	}
	if d.shown > was {
		h.advanceGated(d)
	}
}

// advanceGated looks again at lanes whose first record waited for something to be shown.
func (h *Head) advanceGated(d *desk) {
	if len(d.gated) == 0 {
		return
	}
	gated := d.gated
	d.gated = nil
	heads := h.scratch.slots[:0]
	for _, k := range gated {
		if l := d.lanes[k]; l != nil && l.head != 0 {
			heads = append(heads, l.head)
		}
	}
	slices.SortFunc(heads, func(a, b slot) int { return compareRecords(h.slab.at(a), h.slab.at(b)) })
	for _, i := range slices.Compact(heads) {
		h.advance(d, d.laneOf(h.slab.at(i)))
	}
	h.scratch.slots = heads[:0]
}

func (d *desk) source(at Place) *deskSource {
	if d.places != nil {
		if n, ok := d.places[at]; ok {
			return d.sources[n]
		}
		return nil
	}
	for _, ds := range d.sources {
		if ds.Place == at && !ds.ended {
			return ds
		}
	}
	return nil
}

// catch notes that nothing is left to be shown of a source, or that something is again.
func (d *desk) catch(ds *deskSource, caught bool) {
	if ds.caught == caught {
		return
	}
	if ds.caught = caught; caught {
		d.behind--
	} else {
		d.behind++
	}
}

// clear forgets all records and what was to be recorded of them.
func (h *Head) clear(d *desk) {
	for i := range h.ends {
		h.ends[i].ready = slices.DeleteFunc(h.ends[i].ready, func(i slot) bool { return h.slab.at(i).desk == d.number })
	}
	for _, ds := range d.sources {
		for _, i := range ds.entries {
			h.wheel.remove(&h.slab, i)
			delete(h.lies, i)
			h.slab.give(i)
		}
		ds.entries = map[record.Offset]slot{}
		ds.window, ds.asked, ds.fresh = list{}, false, nil
		ds.pend.reset()
		ds.soiled = false
	}
	d.soiled = d.soiled[:0]
	clear(d.turns)
	clear(d.lanes)
	d.gated = nil
	for k, m := range d.members {
		if m == nil {
			continue
		}
		if m.has = (list{}); m.left {
			d.members[k] = nil
		}
	}
	d.ready, d.leased, d.waiting, d.dying, d.coming, d.inTurn, d.heldBytes = 0, 0, 0, 0, 0, 0, 0
	for _, m := range d.members {
		if m != nil {
			h.measure(d, m)
		}
	}
}

// close takes the desk away.
func (h *Head) close(d *desk) {
	d.closed = true // somebody may still be about to look at it
	delete(h.desks, d.sub.ID)
	h.numbers[d.number] = nil
	h.attend(d, d.sub.Class, 0)
	for _, ds := range d.sources {
		h.notWide(d, ds.Place)
	}
	h.vacant = append(h.vacant, d.number)
	h.hungry = slices.DeleteFunc(h.hungry, func(x *desk) bool { return x == d })
	h.dirty = slices.DeleteFunc(h.dirty, func(x *desk) bool { return x == d })
	h.starved = slices.DeleteFunc(h.starved, func(x *desk) bool { return x == d })
	h.unfinished = slices.DeleteFunc(h.unfinished, func(x *desk) bool { return x == d })
	h.resting = slices.DeleteFunc(h.resting, func(x *desk) bool { return x == d })
}

// notWide notes that not every record of a place goes to a desk.
func (h *Head) notWide(d *desk, at Place) {
	if w := slices.DeleteFunc(h.wide[at], func(x *desk) bool { return x == d }); len(w) > 0 {
		h.wide[at] = w
	} else {
		delete(h.wide, at)
	}
}

// enter takes a record in. It is in no state yet.
func (h *Head) enter(d *desk, ds *deskSource, m *Meta) slot {
	i := h.slab.take()
	e := h.slab.at(i)
	e.Meta, e.desk, e.source = *m, d.number, ds.number
	p := d.sub.Policy
	if p.DelayMS > 0 {
		e.DueMS = max(e.DueMS, m.AppendedMS+p.DelayMS)
	}
	if p.TTLMS > 0 && (e.ExpiresMS == 0 || e.ExpiresMS > m.AppendedMS+p.TTLMS) {
		e.ExpiresMS = m.AppendedMS + p.TTLMS
	}
	e.DueMS, e.ExpiresMS = min(e.DueMS, timeMaxMS), min(e.ExpiresMS, timeMaxMS)
	e.Priority = min(e.Priority, uint8(max(p.Priorities, 1)-1))
	e.Size = max(e.Size, 0)
	ds.entries[m.Offset] = i
	if p.Order != OrderNone {
		h.joinLane(d, i)
	}
	return i
}

// become moves an entry into a state, and keeps what is counted and timed.
func (h *Head) become(d *desk, i slot, to uint8) {
	e := h.slab.at(i)
	h.outOfTurn(d, i)
	h.wheel.remove(&h.slab, i)
	h.uncount(d, e)
	e.state = to
	switch to {
	case coming:
		d.coming++
	case available:
		d.ready++
	case leased:
		d.leased++
		d.heldBytes += int64(e.Size)
	case waiting:
		d.waiting++
	case dying:
		d.dying++
		d.heldBytes += int64(e.Size)
	}
	e.flags |= flagCounted
	if t := e.timer(); t < timeMaxMS && to != coming {
		h.wheel.put(&h.slab, i, t)
	}
	if to == available {
		h.takeTurn(d, i)
	}
}

func (h *Head) uncount(d *desk, e *entry) {
	if e.flags&flagCounted == 0 {
		return
	}
	e.flags &^= flagCounted
	switch e.state {
	case coming:
		d.coming--
	case available:
		d.ready--
	case leased:
		d.leased--
		d.heldBytes -= int64(e.Size)
	case waiting:
		d.waiting--
	case dying:
		d.dying--
		d.heldBytes -= int64(e.Size)
	}
}

// leave takes a record out for good.
func (h *Head) leave(d *desk, i slot) {
	e := h.slab.at(i)
	ds := d.sources[e.source]
	h.letGo(d, i)
	h.outOfTurn(d, i)
	h.wheel.remove(&h.slab, i)
	h.uncount(d, e)
	if e.flags&flagInWindow != 0 {
		h.slab.remove(&ds.window, inWindow, i)
	}
	if e.flags&flagLies != 0 {
		delete(h.lies, i)
	}
	delete(ds.entries, e.Offset)
	if d.lanes != nil {
		k := d.laneOf(e)
		h.slab.remove(&d.lanes[k].list, inLane, i)
		h.slab.give(i)
		h.advance(d, k)
		return
	}
	h.slab.give(i)
}

// letGo ends a member's having a record, which is in no state then.
func (h *Head) letGo(d *desk, i slot) {
	e := h.slab.at(i)
	if e.state != leased {
		return
	}
	m := d.members[e.member]
	h.uncount(d, e)
	e.state = coming
	h.slab.remove(&m.has, inTurn, i)
	if m.left && m.has.n == 0 {
		d.vacate(m)
	}
	h.measure(d, m)
	if d.lanes != nil {
		d.lanes[d.laneOf(e)].held--
	}
}
