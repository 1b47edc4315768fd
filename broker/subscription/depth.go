package subscription

import (
	"errors"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// Depth is how a subscription stands.
type Depth struct {
	Total   Amount // unsettled
	Exact   bool   // else records from before it began are still to be counted
	Leased  int    // of them, with members
	Waiting int    // for their time: delayed, or tried again later
	Dying   int    // about to be buried
	Settled Amount
	Reasons [reasonEnd]int64
	Gaps    int64
	Members int
}

// Settled by reason.
func (d *Depth) By(r Reason) int64 { return d.Reasons[r] }

// Depth says how a subscription stands as facts have it; a head knows more. Of a cursor it does not say Total: that is up to where its
// partitions end.
func (s *State) Depth(id ID) (d Depth, ok bool) {
	x := s.Subs[id]
	if x == nil {
		return d, false
	}
	d.Exact = true
	for _, src := range x.Sources {
		n, exact := s.Backlog(x, src)
		if x.Policy.Volatile || x.Policy.Kind == Cursor {
			n, exact = Amount{}, true // a head knows; who knows where partitions end
		}
		if !exact {
			n = Amount{max(n.Count, 0), max(n.Bytes, 0)} // what was settled of those not counted yet
		}
		d.Total.add(n)
		d.Exact = d.Exact && exact
		d.Settled.add(src.Settled)
		for r := range reasonEnd {
			d.Reasons[r] += src.Reasons.of(r)
		}
		d.Gaps += src.Gaps
	}
	return d, true
}

// Depth says how a subscription stands now, with what is not recorded yet.
func (h *Head) Depth(id ID) (d Depth, ok bool) {
	if d, ok = h.State.Depth(id); !ok || h.desks[id] == nil {
		return d, ok
	}
	k := h.desks[id]
	if k.sub.Policy.Kind == Delivery {
		d.Total, d.Exact = Amount{}, true
		for _, ds := range k.sources {
			d.Exact = d.Exact && (ds.Known || ds.counted || k.sub.Policy.Volatile)
		}
		for _, ds := range k.sources {
			n := ds.backlog
			if !d.Exact {
				n = Amount{max(n.Count, 0), max(n.Bytes, 0)}
			}
			d.Total.add(n)
		}
	}
	for _, ds := range k.sources {
		d.Settled.add(ds.pend.amount)
		for r, c := range ds.pend.reasons {
			d.Reasons[r] += c
		}
	}
	d.Leased, d.Waiting, d.Dying, d.Members = k.leased, k.waiting, k.dying, len(k.order)
	return d, true
}

// Oldest names the oldest unsettled record that has no row, for each source that has any, and when it was appended; 0 when the head has not
// been shown it: then the log says. Of those with rows, CarriedRows begins with the oldest.
func (h *Head) Oldest(id ID, fn func(at At, appendedMS int64)) {
	x := h.Subs[id]
	if x == nil {
		return
	}
	d := h.desks[id]
	for _, src := range x.Sources {
		if d == nil {
			if n, exact := h.Backlog(x, src); n.Count > src.Carried || !exact {
				fn(At{src.Place, src.Floor}, 0)
			}
			continue
		}
		ds := d.source(src.Place)
		if i := ds.window.head; i != 0 {
			fn(At{src.Place, h.slab.at(i).Offset}, h.slab.at(i).AppendedMS)
		} else if !ds.caught && int64(len(ds.entries)) < ds.backlog.Count {
			fn(At{src.Place, ds.next}, 0)
		}
	}
}

// Condition is how one record stands with a subscription.
type Condition struct {
	State    string // ahead: not looked at yet; settled; coming, available, leased, waiting, dying
	Attempts int32
	UntilMS  int64 // of leased and waiting ones
	Member   MemberID
	Lies     At
}

var states = [...]string{"coming", "available", "leased", "waiting", "dying"}

// Explain says how one record stands. Whether it matched at all is for the filter to say.
func (h *Head) Explain(id ID, at At) (c Condition, ok bool) {
	x := h.Subs[id]
	if x == nil || x.source(at.Place) == nil {
		return c, false
	}
	src, d := x.source(at.Place), h.desks[id]
	if d != nil {
		if i := d.source(at.Place).entries[at.Offset]; i != 0 {
			e := h.slab.at(i)
			c = Condition{State: states[e.state], Attempts: e.attempts, Lies: h.lies[i]}
			if e.state == leased || e.state == waiting {
				c.UntilMS = e.DueMS
			}
			if e.state == leased {
				c.Member = d.members[e.member].ID
			}
			return c, true
		}
	}
	switch next := src.Floor; {
	case d != nil && at.Offset < d.source(at.Place).next, at.Offset < next, src.done(at.Offset):
		c.State = "settled"
	default:
		c.State = "ahead"
		if src.handed(at.Offset) {
			c.Attempts = 1
		}
	}
	return c, true
}

var errDone = errors.New("done")

func isDone(err error) bool { return errors.Is(err, errDone) }

// CarriedRows calls fn for the records of a source that have rows, by offset, until it returns an error, which is returned wrapped.
func CarriedRows(st state.Store, id ID, at Place, fn func(*Carried) error) error {
	return eachRow(st, sourceKey(state.PrefixCarried, id, at), func(key, value []byte) error {
		_, _, o, err := readKey(key, 8)
		if err != nil {
			return err
		}
		b := fact.ReadBody(value)
		c := Carried{Meta: Meta{Offset: record.Offset(o)}}
		if c.read(b); b.Err() != nil {
			return b.Err()
		}
		return fn(&c)
	})
}
