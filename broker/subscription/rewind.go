package subscription

import (
	"slices"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// ReviveMax is how many records one call brings back.
const ReviveMax = 10_000

// Taken is how many records of a subscription members have.
func (h *Head) Taken(id ID) int {
	if d := h.desks[id]; d != nil {
		return d.leased
	}
	return 0
}

// Rewind starts sources again at another offset, back or forth. What members have of them is theirs no longer: their handles are Lost. From
// the end on it is a purge.
func (h *Head) Rewind(id ID, starts []Start, f *fact.Frame) *fault.Error {
	x := h.Subs[id]
	if x == nil {
		return noSub("rewind")
	}
	for i := range starts {
		s := &starts[i]
		src := x.source(s.Place)
		if src == nil {
			return fault.New(fault.NotFound, "rewind", "", "the subscription does not read partition %d", s.Partition).Because(fault.ReasonPartition)
		}
		if s.From < 0 || s.From > s.End {
			return fault.New(fault.Invalid, "rewind", "from", "offset %d is outside partition %d, which ends at %d", s.From, s.Partition, s.End).
				Because(fault.ReasonOffset).With(s.End)
		}
		s.All = src.All
	}
	d := h.desks[id]
	if d != nil {
		h.flushDesk(d, f, true)
	}
	for _, s := range starts {
		if d != nil {
			h.empty(d, d.source(s.Place))
		}
		h.start(x, s, f)
		if d != nil {
			ds := d.source(s.Place)
			ds.next, ds.asked = ds.Floor, false
			d.catch(ds, false)
			ds.backlog, _ = h.Backlog(x, ds.Source)
			ds.shown, d.shown, ds.last = 0, 0, Meta{}
			h.gateAgain(d)
		}
	}
	h.settleDown(d)
	return nil
}

// gateAgain takes records out of turn that something will be before again.
func (h *Head) gateAgain(d *desk) {
	if d.lanes == nil {
		return
	}
	for k := range d.turns {
		for w := range d.turns[k] {
			for i := d.turns[k][w].head; i != 0; i = d.turns[k][w].head {
				h.outOfTurn(d, i)
				d.gated = append(d.gated, d.laneOf(h.slab.at(i)))
			}
		}
	}
}

// empty forgets the entries of a source.
func (h *Head) empty(d *desk, ds *deskSource) {
	for k := range h.ends {
		h.ends[k].ready = slices.DeleteFunc(h.ends[k].ready, func(i slot) bool {
			e := h.slab.at(i)
			return e.desk == d.number && e.source == ds.number
		})
	}
	slots := make([]slot, 0, len(ds.entries))
	for _, i := range ds.entries {
		slots = append(slots, i)
	}
	h.forgetAll(d, slots)
	ds.lowest = noOffset
}

// forgetAll forgets some entries of a source, which no frame that is to come knows, in order, and answers how much they were and which of them had rows.
func (h *Head) forgetAll(d *desk, slots []slot) (n Amount, stored []record.Offset) {
	if len(slots) == 0 {
		return n, nil
	}
	slices.SortFunc(slots, func(a, b slot) int { return compareRecords(h.slab.at(a), h.slab.at(b)) })
	for _, i := range slots {
		e := h.slab.at(i)
		n.add(Amount{1, int64(e.Size)})
		if e.flags&flagStored != 0 {
			stored = append(stored, e.Offset)
		}
		h.leave(d, i)
	}
	slices.Sort(stored)
	return n, stored
}

// Revival is a settled record that is to be handed over again.
type Revival struct {
	Meta
	Lies At // where its bytes are: a copy, perhaps a mended one. Stream 0: where it always was
}

// Revive brings settled records back, to this subscription only: those of a key, those that failed. Such that are not settled, or are still
// to come, are left as they are. It answers how many were brought back.
func (h *Head) Revive(id ID, at Place, rs []Revival, f *fact.Frame) (int, *fault.Error) {
	x := h.Subs[id]
	switch {
	case x == nil:
		return 0, noSub("rewind")
	case x.Policy.Kind != Delivery || x.Policy.Volatile || x.source(at) == nil:
		return 0, fault.New(fault.Invalid, "rewind", "", "the subscription does not remember what became of records of partition %d", at.Partition)
	case len(rs) > ReviveMax:
		return 0, fault.New(fault.TooLarge, "rewind", "", "%d records at once; the limit is %d", len(rs), ReviveMax)
	}
	d := h.desk(x)
	ds, n := d.source(at), 0
	if len(ds.pend.gone) > 0 {
		h.flushDesk(d, f, true) // their rows go first, then the same may have rows again
	}
	for k := range rs {
		m := &rs[k].Meta
		if ds.entries[m.Offset] != 0 || m.Offset >= ds.next && !ds.done(m.Offset) || m.Offset < 0 || m.Offset >= h.visible[at] {
			continue
		}
		i := h.enter(d, ds, m)
		if e := h.slab.at(i); d.sub.Policy.TTLMS > 0 {
			e.ExpiresMS = h.nowMS + d.sub.Policy.TTLMS // it would be gone at once
		}
		if rs[k].Lies.Stream != 0 {
			h.slab.at(i).flags |= flagLies
			h.lies[i] = rs[k].Lies
		}
		one := Amount{1, int64(h.slab.at(i).Size)}
		ds.pend.brought.add(one)
		ds.backlog.add(one)
		h.carry(d, i)
		h.come(d, i)
		n++
	}
	h.must = h.must || n > 0
	h.settleDown(d)
	return n, nil
}

// Aside is a record that has been copied.
type Aside struct {
	Offset record.Offset
	Lies   At
}

// StragglersMax is how many records of a source are set aside at most; with more that wait before a place, the subscription is behind, and has no stragglers.
const StragglersMax = 1_024

// Straggle lists the unsettled records without a copy of a source that lie before an offset. known: they were all found, and there are not too many; else the
// head begins to look there, also for a subscription that nobody attends to, and it is asked again later.
//
//	retention would cut here ─────────────────────▼
//	■ ■ □ ■ ■ ■ ■ ■ ■ ■ ■ □ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ □ ■ □     □ unsettled: the first two hold everything between back
func (h *Head) Straggle(dst []record.Offset, id ID, at Place, before record.Offset) (_ []record.Offset, known bool) {
	x := h.Subs[id]
	if x == nil || x.Policy.Kind != Delivery || x.Policy.Volatile || x.source(at) == nil {
		return dst, false
	}
	d := h.desk(x)
	ds := d.source(at)
	if !ds.caught && ds.next < min(before, h.visible[at]) {
		if ds.sweep == 0 {
			d.sweeps++
		}
		ds.sweep = before
		h.settleDown(d)
		return dst, false
	}
	from := len(dst)
	for i := ds.window.head; i != 0 && h.slab.at(i).Offset < before && len(dst)-from <= StragglersMax; i = h.slab.at(i).links[inWindow].next {
		if e := h.slab.at(i); e.state != coming && e.flags&flagLies == 0 {
			dst = append(dst, e.Offset)
		}
	}
	if ds.lowest < before {
		for _, i := range ds.entries {
			if e := h.slab.at(i); e.flags&(flagInWindow|flagLies) == 0 && e.Offset < before && e.state != coming {
				dst = append(dst, e.Offset)
			}
		}
	}
	if len(dst) == from || len(dst)-from > StragglersMax {
		h.swept(d, ds)
		return dst[:from], false
	}
	slices.Sort(dst[from:])
	return dst, true
}

// swept ends the looking for stragglers of a source.
func (h *Head) swept(d *desk, ds *deskSource) {
	if ds.sweep != 0 {
		ds.sweep = 0
		d.sweeps--
		h.soil(d, ds) // and the desk closes if that was all it was there for
	}
}

// SetAside says where copies of unsettled records lie, which from then on hold back nothing where they came from. It is recorded with the
// frame that holds the copies. It answers how many were still there to be set aside.
func (h *Head) SetAside(id ID, at Place, as []Aside) int {
	d := h.desks[id]
	if d == nil || d.sub.Policy.Volatile || d.source(at) == nil {
		return 0
	}
	n := 0
	for _, a := range as {
		i := d.source(at).entries[a.Offset]
		if i == 0 || a.Lies.Stream == 0 {
			continue
		}
		h.slab.at(i).flags |= flagLies
		h.lies[i] = a.Lies
		h.carry(d, i)
		n++
	}
	h.swept(d, d.source(at))
	h.must = h.must || n > 0
	return n
}
