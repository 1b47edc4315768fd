package subscription

import (
	"slices"
	"sort"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/internal/assert"
	"leat/storage/state"
)

// Trimmed takes note that a partition begins further on now. Subscriptions that had not got everything before have a gap: it is recorded, and
// told by Out.Gaps. Only what is published may go. lost says what was there for whom, of records that were not shown yet; without it a gap is known to be there, but not how
// wide it is, unless the subscription is to all records.
func (h *Head) Trimmed(at Place, start record.Offset, lost map[ID]Amount, f *fact.Frame) {
	for _, id := range h.readers[at.Stream] {
		x := h.Subs[id]
		src := x.source(at)
		if src == nil {
			continue
		}
		d := h.desks[id]
		switch n, exact := h.Backlog(x, src); {
		case x.Policy.Kind == Cursor:
			if src.Floor < start && !x.Policy.Volatile && !x.Policy.Yields {
				h.gap(&gapped{sub: id, at: at, to: start, lost: Amount{Count: int64(start - src.Floor)}}, src, f)
			}
			continue
		case src.Floor >= start && !x.Policy.Volatile && (d == nil && src.Carried == 0 || d != nil && d.source(at).lowest >= start), d == nil && exact && n.Count == 0, d == nil && x.Policy.Volatile:
			continue
		}
		h.trimDesk(h.desk(x), at, start, lost, f)
	}
}

// Vanish ends what subscriptions have of a stream that is being deleted. Its partitions stay theirs, without records; cursors keep their positions.
func (h *Head) Vanish(id record.StreamID, f *fact.Frame) {
	for _, sub := range h.readers[id] {
		x := h.Subs[sub]
		var starts []Start
		for _, src := range x.Sources {
			if a := h.Arrivals[src.Place]; a != nil && src.Stream == id && x.Policy.Kind == Delivery {
				starts = append(starts, Start{Place: src.Place, From: a.End, End: a.End})
			}
		}
		if err := h.Rewind(sub, starts, f); err != nil {
			assert.That(false, "subscription %d reads stream %d: %s", sub, id, err.Text)
		}
	}
}

func (h *Head) trimDesk(d *desk, at Place, start record.Offset, lost map[ID]Amount, f *fact.Frame) {
	h.flushDesk(d, f, true)
	ds := d.source(at)
	v := gapped{sub: d.sub.ID, at: at, to: start}
	from := ds.next
	if ds.caught {
		from = start
	}
	v.lost, v.gone = h.forgetAll(d, h.entriesBefore(ds, start))
	if n, told := lost[d.sub.ID]; told && from < start {
		v.lost.add(n)
	} else if from < start {
		if ds.All {
			v.lost.add(h.share(ds, from, start, v.lost))
		} else {
			v.unknown = ds.backlog.Count > v.lost.Count || !ds.Known
		}
	}
	ds.next, ds.asked = max(ds.next, start), false
	ds.backlog.sub(v.lost)
	if ds.backlog.Count == 0 && (ds.Known || ds.counted) {
		v.lost.Bytes += ds.backlog.Bytes // which were an estimate
		ds.backlog.Bytes = 0
	}
	if !d.sub.Policy.Volatile && (v.lost.Count > 0 || v.unknown) {
		h.gap(&v, ds.Source, f)
	}
	h.advanceGated(d)
	h.settleDown(d)
}

// entriesBefore finds what has to go with the records before start: what has no copy elsewhere.
func (h *Head) entriesBefore(ds *deskSource, start record.Offset) (slots []slot) {
	for i := ds.window.head; i != 0 && h.slab.at(i).Offset < start && h.slab.at(i).state != coming; i = h.slab.at(i).links[inWindow].next {
		if h.slab.at(i).flags&flagLies == 0 {
			slots = append(slots, i)
		}
	}
	if ds.lowest >= start {
		return slots
	}
	ds.lowest = noOffset
	for _, i := range ds.entries {
		switch e := h.slab.at(i); {
		case e.flags&(flagInWindow|flagLies) != 0:
		case e.Offset < start:
			slots = append(slots, i)
		default:
			ds.lowest = min(ds.lowest, e.Offset)
		}
	}
	return slots
}

// share is what a subscription to all records has between two offsets, as part of what it was not shown: of bytes it is an estimate.
func (h *Head) share(ds *deskSource, from, to record.Offset, taken Amount) Amount {
	left := ds.backlog
	left.sub(taken)
	for _, i := range ds.entries {
		left.sub(Amount{1, int64(h.slab.at(i).Size)})
	}
	n := ds.undone(from, to)
	if left.Count <= 0 {
		return Amount{Count: n}
	}
	return Amount{n, left.Bytes/left.Count*n + left.Bytes%left.Count*n/left.Count}
}

func (h *Head) gap(v *gapped, src *Source, f *fact.Frame) {
	g := Gap{Sub: v.sub, At: v.at, From: src.Floor, To: v.to, Lost: v.lost, More: v.unknown}
	f.Add(fact.Gapped, 1, v.append)
	h.evolveGapped(src, v, nil)
	h.Out.Gaps = append(h.Out.Gaps, g)
}

// Needed says for every partition that somebody reads from where on records are needed: what lies before may go. A subscription
// with more than its BacklogMax unsettled needs the newest of them only, and gets a gap instead of the others; one by routes needs none. Partitions that nobody needs anything of are not in the map.
//
// It reads published state and rows, one pass over all sources, and belongs where a stall harms nobody. end says where a partition ends.
func (s *State) Needed(st state.Store, end func(Place) record.Offset) (map[Place]record.Offset, error) {
	needed := map[Place]record.Offset{}
	for _, x := range s.Subs {
		if x.Policy.Volatile {
			continue
		}
		for _, src := range x.Sources {
			from, ok, err := s.neededBy(x, src, st, end)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			if o, there := needed[src.Place]; !there || from < o {
				needed[src.Place] = from
			}
		}
	}
	return needed, nil
}

func (s *State) neededBy(x *Sub, src *Source, st state.Store, end func(Place) record.Offset) (record.Offset, bool, error) {
	n, exact := s.Backlog(x, src)
	if x.Policy.Kind == Cursor {
		n, exact = Amount{Count: int64(end(src.Place) - src.Floor)}, true
	}
	if x.Policy.Yields || exact && n.Count <= 0 {
		return 0, false, nil
	}
	if most := x.Policy.BacklogMax; exact && most > 0 && n.Count > most {
		from, err := s.newest(x, src, st, n.Count-most)
		return from, err == nil && src.All, err
	}
	from := src.Floor
	if src.Carried == 0 {
		return from, true, nil
	}
	done := errDone
	err := CarriedRows(st, x.ID, src.Place, func(c *Carried) error {
		if c.Offset >= from {
			return done
		}
		if c.Lies.Stream == 0 {
			from = c.Offset
			return done
		}
		return nil
	})
	if err != nil && !isDone(err) {
		return 0, false, err
	}
	return from, true, nil
}

// Holder is a subscription that needs records of a place from an offset on.
type Holder struct {
	Sub  ID
	From record.Offset
}

// HoldersOf lists the subscriptions that need records of a place that lie before an offset. It reads published state and rows.
func (s *State) HoldersOf(st state.Store, at Place, before record.Offset) (hs []Holder, err error) {
	for _, id := range sortedIDs(s.Subs) {
		x := s.Subs[id]
		src := x.source(at)
		if src == nil || x.Policy.Volatile {
			continue
		}
		from, ok, err := s.neededBy(x, src, st, func(Place) record.Offset { return before })
		if err != nil {
			return nil, err
		}
		if ok && from < before {
			hs = append(hs, Holder{id, from})
		}
	}
	return hs, nil
}

// newest is the offset before which so many records of a source are unsettled that gets all.
//
//	Floor  ■ □ ■ ■ □ □ ■ □ …     □ unsettled, ■ done; two too many: from the third □ on they are needed
func (s *State) newest(x *Sub, src *Source, st state.Store, many int64) (record.Offset, error) {
	if x.Policy.Kind == Cursor {
		return src.Floor + record.Offset(many), nil
	}
	var carried []record.Offset
	if src.Carried > 0 {
		err := CarriedRows(st, x.ID, src.Place, func(c *Carried) error {
			if carried = append(carried, c.Offset); int64(len(carried)) > many {
				return errDone
			}
			return nil
		})
		if err != nil && !isDone(err) {
			return 0, err
		}
	}
	end := src.Floor
	if a := s.Arrivals[src.Place]; a != nil {
		end = max(end, a.End)
	}
	n := sort.Search(int(end), func(o int) bool {
		c, _ := slices.BinarySearch(carried, record.Offset(o))
		return src.undone(src.Floor, record.Offset(o))+int64(c) > many
	})
	return record.Offset(n - 1), nil // the first with more before it is one behind the last that has to go
}

// NeededCopies says of the partitions to which records were set aside from where on they are needed still. It reads the rows of all carried
// records.
func NeededCopies(st state.Store) (map[Place]record.Offset, error) {
	needed := map[Place]record.Offset{}
	err := eachCarried(st, func(_ ID, _ Place, c *Carried) error {
		if c.Lies.Stream == 0 {
			return nil
		}
		if o, there := needed[c.Lies.Place]; !there || c.Lies.Offset < o {
			needed[c.Lies.Place] = c.Lies.Offset
		}
		return nil
	})
	return needed, err
}
