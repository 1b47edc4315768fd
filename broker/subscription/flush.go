package subscription

import (
	"slices"

	"leat/broker/fact"
	"leat/broker/record"
)

// Must reports whether a frame has to be written because of what was decided, also when no command asks for one.
func (h *Head) Must() bool { return h.must }

// Lazy reports whether anything waits to be recorded with a frame that is written anyway: first attempts, rows of delayed records, floors.
// Whoever has no such frame for a while calls Flush with all.
func (h *Head) Lazy() bool { return len(h.dirty) > 0 }

// Flush records what was decided since the last time, once for each source however many commands there were. It has to be called when a
// frame is taken, and writes what is merely lazy only if the frame is written anyway, or all is set.
func (h *Head) Flush(f *fact.Frame, all bool) {
	h.shrink()
	if len(h.dirty) == 0 || !h.must && !all && f.Empty() {
		return
	}
	dirty := h.dirty
	h.dirty = h.dirty[len(h.dirty):]
	for _, d := range dirty {
		d.dirty = false
		h.flushDesk(d, f, all)
	}
	for _, d := range dirty {
		h.closeIfIdle(d)
	}
	h.dirty = append(dirty[:0], h.dirty...)
	h.scratch.runs, h.scratch.rows = emptied(h.scratch.runs), emptied(h.scratch.rows)
	h.must = false
}

func (h *Head) flushDesk(d *desk, f *fact.Frame, all bool) {
	for _, ds := range d.soiled {
		ds.soiled = false
		if ds.counted {
			ds.counted = false
			h.count(ds.Source, ds.pend.missed, f)
		}
		rows := h.flushCarried(d, ds, f)
		h.flushSettled(d, ds, f, all || rows)
		h.flushHanded(d, ds, f)
		ds.pend.reset()
		ds.shrinkIndex()
	}
	d.soiled = d.soiled[:0]
}

// flushCarried comes first: a record with a row does not hold the floor. It reports whether the floor may have moved for that.
func (h *Head) flushCarried(d *desk, ds *deskSource, f *fact.Frame) bool {
	p := &ds.pend
	if len(p.carry) == 0 && p.brought == (Amount{}) {
		return false
	}
	slices.Sort(p.carry)
	rows := h.scratch.rows[:0]
	for k, o := range p.carry {
		i := ds.entries[o]
		if i == 0 || k > 0 && p.carry[k-1] == o {
			continue // settled meanwhile
		}
		e := h.slab.at(i)
		c := Carried{Meta: e.Meta, Attempts: e.attempts, fresh: e.flags&flagStored == 0}
		if e.state != waiting {
			c.DueMS = 0
		}
		if e.flags&flagLies != 0 {
			c.Lies = h.lies[i]
		}
		rows = append(rows, c)
		e.flags |= flagStored
		if e.flags &^= flagCarry; e.flags&flagInWindow != 0 {
			e.flags &^= flagInWindow
			h.slab.remove(&ds.window, inWindow, i)
		}
	}
	if len(rows) > 0 || p.brought != (Amount{}) {
		v := carriedFact{sub: d.sub.ID, at: ds.Place, brought: p.brought, rows: rows}
		f.Add(fact.Carried, 1, v.append)
		h.evolveCarried(ds.Source, &v, nil)
	}
	h.scratch.rows = rows[:0]
	return len(rows) > 0
}

func (h *Head) flushSettled(d *desk, ds *deskSource, f *fact.Frame, all bool) {
	p := &ds.pend
	if d.sub.Policy.Volatile {
		return
	}
	floor := h.floor(ds)
	if len(p.done)+len(p.gone)+len(p.gaps) == 0 && floor-ds.Floor < FloorLag && (!all || floor == ds.Floor) {
		return
	}
	slices.Sort(p.done)
	p.done = slices.Compact(p.done) // settled, brought back and settled again
	slices.Sort(p.gone)
	v := settled{sub: d.sub.ID, at: ds.Place, floor: floor, amount: p.amount, reasons: p.reasons, gone: p.gone}
	h.scratch.runs = h.scratch.runs[:0]
	if len(p.gaps) == 0 {
		h.scratch.runs = runsOf(h.scratch.runs, p.done)
	} else {
		h.scratch.runs = mergeRuns(runsOf(h.scratch.runs, p.done), p.gaps)
	}
	// What the floor passes need not be told.
	v.runs = slices.DeleteFunc(h.scratch.runs, func(r Run) bool { return r.From+record.Offset(r.Len) <= floor })
	f.Add(fact.Settled, 1, v.append)
	h.evolveSettled(ds.Source, &v, nil)
}

// mergeRuns sorts runs and joins those that touch or overlap, as long as they stay short enough to be written.
func mergeRuns(runs, more []Run) []Run {
	runs = append(runs, more...)
	slices.SortFunc(runs, func(a, b Run) int { return int(a.From - b.From) })
	out := runs[:0]
	for _, r := range runs {
		if n := len(out) - 1; n >= 0 {
			end := out[n].From + record.Offset(out[n].Len)
			if r.From < end { // what is there already
				cut := min(int64(end-r.From), r.Len)
				r.From += record.Offset(cut)
				r.Len -= cut
			}
			if r.Len == 0 {
				continue
			}
			if r.From == end && out[n].Len+r.Len <= runOffsetsMax {
				out[n].Len += r.Len
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// floor is before which offset nothing has to be looked at again after a start.
func (h *Head) floor(ds *deskSource) record.Offset {
	o := ds.next
	if ds.caught {
		o = max(o, h.Arrivals[ds.Place].End)
	}
	if ds.window.head != 0 {
		o = h.slab.at(ds.window.head).Offset
	}
	return max(o, ds.Floor)
}

func (h *Head) flushHanded(d *desk, ds *deskSource, f *fact.Frame) {
	p := &ds.pend
	if len(p.handed) == 0 {
		return
	}
	p.handed = slices.DeleteFunc(p.handed, func(o record.Offset) bool { return ds.done(o) })
	if len(p.handed) == 0 {
		return // all of them were settled within the frame, which is the rule
	}
	slices.Sort(p.handed)
	runs := runsOf(h.scratch.runs[:0], slices.Compact(p.handed))
	h.scratch.runs = runs[:0]
	f.Add(fact.Handed, 1, func(dst []byte) []byte { return appendRuns(appendSubPlace(dst, d.sub.ID, ds.Place), runs) })
	h.evolveHanded(ds.Source, runs, nil)
}
