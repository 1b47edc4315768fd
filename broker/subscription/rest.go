package subscription

import (
	"slices"

	"leat/broker/record"
)

// A member that does not want to wait has to know when looking further is of no use: records may be there and not be known yet, since they
// are shown, not fetched.
//
//	credit ─▶ AskRest: how far do the sources go? ─▶ Wants, Feed … ─▶ all shown so far, nothing in turn that somebody could take ─▶ Out.Rests
//
// It is told in order with deliveries: whoever is told and has none gets none.

// rest is one who asked.
type rest struct {
	member MemberID
	number uint64
	seq    uint64 // the last frame then that brought something
	upTo   []record.Offset
}

// AskRest has it told by Out.Rests, once, when what is there now has been handed over as far as members can take it. Numbers rise; 0 is
// no answer: there is no such member.
func (h *Head) AskRest(id ID, who MemberID) uint64 {
	d := h.desks[id]
	if d == nil || d.find(who) == nil {
		return 0
	}
	h.restsAsked++
	r := rest{member: who, number: h.restsAsked}
	if n := len(h.ends); n > 0 {
		r.seq = h.ends[n-1].seq
	}
	r.upTo = make([]record.Offset, len(d.sources))
	for i, ds := range d.sources {
		if a := h.Arrivals[ds.Place]; a != nil {
			r.upTo[i] = a.End
		}
	}
	if d.rests = append(d.rests, r); len(d.rests) == 1 {
		h.resting = append(h.resting, d)
	}
	h.settleDown(d)
	return r.number
}

// tellRests tells those whose time has come.
func (h *Head) tellRests(d *desk) {
	if len(d.rests) == 0 {
		return
	}
	for len(d.rests) > 0 && h.rested(d, &d.rests[0]) {
		m := d.find(d.rests[0].member)
		h.Out.Rests = append(h.Out.Rests, Rest{d.sub.ID, d.rests[0].member, d.rests[0].number, m == nil || m.Credit != 0})
		d.rests = d.rests[1:]
	}
	if len(d.rests) == 0 {
		d.rests = nil
		h.resting = slices.DeleteFunc(h.resting, func(x *desk) bool { return x == d })
	}
}

func (h *Head) rested(d *desk, r *rest) bool {
	switch p := d.sub.Policy; {
	case p.Suspended || d.able == 0 || d.leased >= int(p.UnackedMax):
		return true
	case d.unfinished || len(h.ends) > 0 && h.ends[0].seq <= r.seq:
		return false
	}
	for i, ds := range d.sources {
		if i < len(r.upTo) && !ds.caught && ds.next < r.upTo[i] && (ds.asked || h.looksAheadOf(d, ds) > 0) {
			return false
		}
	}
	return true
}
