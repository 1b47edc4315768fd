package subscription

import (
	"encoding/binary"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// Move moves a cursor's position of one partition, forwards or back.
type Move struct {
	Place
	To       record.Offset
	Epoch    int32  // of the leader from whom the record before came, plus one; 0: not known. It is kept, not looked at
	Metadata []byte // kept with the position
}

// Commit moves positions, all or none of them. Partitions that the cursor does not read yet it does from here on.
func (h *Head) Commit(id ID, moves []Move, f *fact.Frame) *fault.Error {
	x := h.Subs[id]
	if x == nil {
		return noSub("commit")
	}
	if x.Policy.Kind != Cursor {
		return fault.New(fault.Invalid, "commit", "", "the subscription keeps what became of each record, not positions: receive and ack")
	}
	fresh := map[Place]bool{}
	for i := range moves {
		m := &moves[i]
		switch {
		case m.To < 0:
			return fault.New(fault.Invalid, "commit", "offset", "offset %d is less than 0", m.To).Because(fault.ReasonOffset)
		case len(m.Metadata) > CursorMetadataMax:
			return fault.New(fault.TooLarge, "commit", "metadata", "%d bytes; the limit is %d", len(m.Metadata), CursorMetadataMax)
		}
		if x.source(m.Place) == nil {
			fresh[m.Place] = true
		}
	}
	if len(x.Sources)+len(fresh) > SourcesMax {
		return fault.New(fault.QuotaSpent, "commit", "", "a subscription reads at most %d partitions", SourcesMax)
	}
	for i := range moves {
		m := &moves[i]
		if x.source(m.Place) == nil {
			h.start(x, Start{Place: m.Place, All: true, From: m.To, End: m.To}, f)
		}
		f.Add(fact.CursorMoved, 1, func(dst []byte) []byte {
			dst = fact.AppendBytes(binary.AppendUvarint(appendSubPlace(dst, id, m.Place), uint64(m.To)), m.Metadata)
			return binary.AppendVarint(dst, int64(m.Epoch))
		})
		x.source(m.Place).moveCursor(m, h.frameMS)
	}
	if len(fresh) > 0 {
		h.noteReads(x)
	}
	return nil
}

func (src *Source) moveCursor(m *Move, nowMS int64) {
	src.Floor, src.MovedMS, src.Epoch = m.To, nowMS, m.Epoch
	src.Metadata = nil
	if len(m.Metadata) > 0 {
		src.Metadata = append([]byte(nil), m.Metadata...)
	}
}

// End has a subscription read partitions no more: what it had of them, and what members have, is forgotten. Those that it does not read are passed over.
func (h *Head) End(id ID, places []Place, f *fact.Frame) {
	x := h.Subs[id]
	if x == nil {
		return
	}
	d := h.desks[id]
	if d != nil {
		h.flushDesk(d, f, true)
	}
	for _, at := range places {
		if x.source(at) == nil {
			continue
		}
		if d != nil {
			h.endAt(d, at)
		}
		f.Add(fact.SourceEnded, 1, func(dst []byte) []byte { return appendSubPlace(dst, id, at) })
		h.evolveEnded(id, at)
		if h.Arrivals[at] == nil {
			delete(h.visible, at)
			delete(h.unstable, at)
		}
		h.unreads(x, at.Stream)
	}
	if d != nil {
		h.measureShown(d)
		h.settleDown(d)
	}
}

// endAt takes a source from a desk. Its place among the desk's sources stays: entries name theirs by number.
func (h *Head) endAt(d *desk, at Place) {
	ds := d.source(at)
	h.empty(d, ds)
	h.swept(d, ds)
	d.catch(ds, true)
	ds.ended, ds.asked, ds.backlog, ds.counted = true, false, Amount{}, false
	ds.pend.reset()
	if d.places != nil {
		delete(d.places, at)
	}
	h.notWide(d, at)
}

// Position is a cursor's position of one partition.
type Position struct {
	Move
	MovedMS int64 // 0: nobody has, it is where the cursor began
}

// Positions are those of a cursor, in the order of their places. They share their metadata, which is never changed.
func (s *State) Positions(id ID) []Position {
	x := s.Subs[id]
	if x == nil || x.Policy.Kind != Cursor {
		return nil
	}
	ps := make([]Position, len(x.Sources))
	for i, src := range x.Sources {
		ps[i] = Position{Move{src.Place, src.Floor, src.Epoch, src.Metadata}, src.MovedMS}
	}
	return ps
}
