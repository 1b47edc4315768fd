package subscription

import (
	"slices"

	"leat/broker/record"
)

// Outcome is what became of one handle.
type Outcome uint8

const (
	Done    Outcome = iota + 1
	Already         // it was settled before: nothing had to be done
	Late            // the lease had run out; it is settled all the same
	Lost            // somebody else has it, or will, and order or the kind of request forbids to take it away; or it was rewound
	Unknown         // there is no such subscription or record
)

var outcomes = [...]string{"", "done", "already", "late", "lost", "unknown"}

func (o Outcome) String() string { return outcomes[o] }

// Good reports whether the record is settled.
func (o Outcome) Good() bool { return o == Done || o == Already || o == Late }

// found is what a handle leads to.
type found struct {
	d   *desk
	ds  *deskSource
	i   slot // 0: not shown yet since the start
	out Outcome
}

// find looks a handle up:
//
//	leased by this handing-over, under this epoch         Done
//	not settled, another handing-over or epoch            Late: the record was handed over once, and settling is what its holder wants.
//	    ... under this epoch and with an order            Lost: the next of its key may be on its way
//	settled                                               Already
//	another turn: rewound since                           Lost
func (h *Head) find(x *Handle) (r found) {
	sub := h.Subs[x.Sub]
	if sub == nil || sub.Policy.Kind != Delivery || sub.source(x.At.Place) == nil || x.At.Offset < 0 {
		r.out = Unknown
		return r
	}
	if src := sub.source(x.At.Place); x.Turn != src.Turn {
		r.out = Lost
		return r
	} else if h.desks[x.Sub] == nil && src.done(x.At.Offset) {
		r.out = Already // and no desk is made for that
		return r
	}
	r.d = h.desk(sub)
	r.ds = r.d.source(x.At.Place)
	r.i = r.ds.entries[x.At.Offset]
	if r.i == 0 {
		switch {
		case x.At.Offset < r.ds.next || r.ds.done(x.At.Offset) || sub.Policy.Volatile:
			r.out = Already
		case x.At.Offset >= h.visible[x.At.Place]:
			r.out = Unknown
		default:
			r.out = Late
		}
		return r
	}
	switch e := h.slab.at(r.i); {
	case x.Epoch == h.epoch && e.state == leased && e.grip == x.Grip:
		r.out = Done
	case x.Epoch == h.epoch && r.d.lanes != nil:
		r.out = Lost
	default:
		r.out = Late
	}
	return r
}

// Check says what Settle would answer, and changes nothing: for a command that settles only together with something else.
func (h *Head) Check(dst []Outcome, handles []Handle) []Outcome {
	for k := range handles {
		dst = append(dst, h.find(&handles[k]).out)
	}
	return dst
}

// Settle is done with records, for a reason: Acked, Skipped when its content did not match, or another. It answers for each handle. What it
// decides is recorded when the frame is flushed, with whatever else stands in it.
func (h *Head) Settle(dst []Outcome, handles []Handle, why Reason) []Outcome {
	for k := range handles {
		x := &handles[k]
		r := h.find(x)
		dst = append(dst, r.out)
		if r.out != Done && r.out != Late {
			continue
		}
		if r.i != 0 {
			h.settle(r.d, r.i, why)
		} else {
			h.settleUnseen(r.d, r.ds, x.At.Offset, int64(x.Size), why)
		}
		h.touch(r.d)
	}
	h.settleTouched()
	return dst
}

// Bury settles a record that the caller was asked to bury, or any that no member has: a delayed one that is cancelled. It reports whether
// there was anything to settle.
func (h *Head) Bury(id ID, at At, why Reason) bool {
	d := h.desks[id]
	if d == nil {
		return false
	}
	ds := d.source(at.Place)
	if ds == nil {
		return false
	}
	i := ds.entries[at.Offset]
	if i == 0 || h.slab.at(i).state == leased || h.slab.at(i).state == coming {
		return false
	}
	h.settle(d, i, why)
	h.settleDown(d)
	return true
}

// Cancel settles a record that no member has, as Cancelled. there: the caller has seen that it is there and reaches the subscription, so that it counts also when
// nobody has shown it yet.
func (h *Head) Cancel(id ID, at At, size int32, there bool) Outcome {
	x := h.Subs[id]
	if x == nil || x.Policy.Kind != Delivery || x.source(at.Place) == nil || at.Offset < 0 {
		return Unknown
	}
	if h.desks[id] == nil && x.source(at.Place).done(at.Offset) {
		return Already
	}
	d := h.desk(x)
	ds := d.source(at.Place)
	switch i := ds.entries[at.Offset]; {
	case i != 0 && h.slab.at(i).state == leased:
		return Lost
	case i != 0:
		h.unready(i)
		h.settle(d, i, Cancelled)
	case at.Offset < ds.next || ds.done(at.Offset) || x.Policy.Volatile:
		return Already
	case !there || at.Offset >= h.Arrivals[at.Place].End:
		return Unknown
	default:
		h.settleAt(d, ds, at.Offset, int64(size), Cancelled, false)
	}
	h.settleDown(d)
	return Done
}

// unready sees to it that an entry which is to be handed over when its frame is published is not.
func (h *Head) unready(i slot) {
	if h.slab.at(i).state != coming {
		return
	}
	for k := range h.ends {
		h.ends[k].ready = slices.DeleteFunc(h.ends[k].ready, func(r slot) bool { return r == i })
	}
}

// Reject ends records that members have: they are dead letters now, or dropped where the policy asks for none.
func (h *Head) Reject(dst []Outcome, handles []Handle) []Outcome {
	return h.each(dst, handles, func(d *desk, i slot) { h.die(d, i, Rejected) })
}

// ByPolicy as a delay is the policy's backoff.
const ByPolicy int64 = -1

// Release gives records back, to be handed over again after a while. counts: the attempt counts towards the policy's most.
func (h *Head) Release(dst []Outcome, handles []Handle, afterMS int64, counts bool) []Outcome {
	return h.each(dst, handles, func(d *desk, i slot) {
		if !counts {
			h.uncountAttempt(d, i)
		}
		wait := min(afterMS, DelayLimitMS)
		if afterMS == ByPolicy {
			wait = h.backoff(d.sub.Policy, h.slab.at(i).attempts)
		}
		h.giveBack(d, i, wait)
	})
}

// Renew makes leases end so long from now.
func (h *Head) Renew(dst []Outcome, handles []Handle, leaseMS int64) []Outcome {
	return h.each(dst, handles, func(d *desk, i slot) {
		e := h.slab.at(i)
		h.wheel.remove(&h.slab, i)
		e.DueMS = h.nowMS + min(max(leaseMS, 1), LeaseMaxMS)
		h.wheel.put(&h.slab, i, e.DueMS)
	})
}

// Postpone keeps records from being handed over for so long from now, whoever has them; with 0 they can be had at once, which counts as an attempt that
// failed. Where there is no order, a handle that is late does it too, as long as the record is not settled: it answers Late then.
func (h *Head) Postpone(dst []Outcome, handles []Handle, afterMS int64) []Outcome {
	for k := range handles {
		r := h.find(&handles[k])
		if r.out == Late && (r.i == 0 || r.d.lanes != nil || !h.slab.at(r.i).movable()) {
			r.out = Lost
		}
		dst = append(dst, r.out)
		if r.out == Done || r.out == Late {
			h.postpone(r.d, r.i, min(afterMS, LeaseMaxMS))
			h.touch(r.d)
		}
	}
	h.settleTouched()
	return dst
}

func (e *entry) movable() bool {
	return e.state == leased || e.state == available || e.state == waiting
}

func (h *Head) postpone(d *desk, i slot, afterMS int64) {
	e := h.slab.at(i)
	switch {
	case afterMS <= 0 && e.state == leased:
		h.giveBack(d, i, 0)
	case afterMS <= 0:
		h.offer(d, i)
	case e.state == leased:
		h.wheel.remove(&h.slab, i)
		e.DueMS = h.nowMS + afterMS
		h.wheel.put(&h.slab, i, e.DueMS)
	default:
		e.DueMS = h.nowMS + afterMS
		h.become(d, i, waiting)
		if afterMS >= CarryAfterMS {
			h.carry(d, i)
		}
	}
}

// each calls fn for the records that handles really hold. Late ones are Lost: there is nothing to give back.
func (h *Head) each(dst []Outcome, handles []Handle, fn func(d *desk, i slot)) []Outcome {
	for k := range handles {
		r := h.find(&handles[k])
		if r.out == Late {
			r.out = Lost
		}
		dst = append(dst, r.out)
		if r.out == Done {
			fn(r.d, r.i)
			h.touch(r.d)
		}
	}
	h.settleTouched()
	return dst
}

// touch notes a desk for settleTouched, which comes once a command and not once a handle.
func (h *Head) touch(d *desk) {
	if n := len(h.touched); n == 0 || h.touched[n-1] != d {
		h.touched = append(h.touched, d)
	}
}

func (h *Head) settleTouched() {
	for _, d := range h.touched {
		h.settleDown(d)
	}
	clear(h.touched)
	h.touched = h.touched[:0]
}

// uncountAttempt takes back the attempt that a member has.
func (h *Head) uncountAttempt(d *desk, i slot) {
	e := h.slab.at(i)
	e.attempts--
	if e.flags&flagStored != 0 || e.attempts == 0 {
		h.carry(d, i) // that it was handed over says one attempt, unless a row says otherwise
	}
}

// settle is done with an entry.
func (h *Head) settle(d *desk, i slot, why Reason) {
	e := h.slab.at(i)
	ds := d.sources[e.source]
	o, size, stored := e.Offset, int64(e.Size), e.flags&flagStored != 0
	h.leave(d, i)
	h.settleAt(d, ds, o, size, why, stored)
}

// settleUnseen is done with a record that nobody has shown since the start.
func (h *Head) settleUnseen(d *desk, ds *deskSource, o record.Offset, size int64, why Reason) {
	h.settleAt(d, ds, o, size, why, false)
}

func (h *Head) settleAt(d *desk, ds *deskSource, o record.Offset, size int64, why Reason, stored bool) {
	ds.backlog.sub(Amount{1, size})
	if d.sub.Policy.Volatile {
		return
	}
	if stored {
		ds.pend.gone = append(ds.pend.gone, o)
	} else {
		ds.pend.done = append(ds.pend.done, o)
		ds.setDone(o) // at once: it may be shown before the frame is flushed
	}
	ds.pend.amount.add(Amount{1, size})
	ds.even()
	ds.pend.reasons[why]++
	h.soil(d, ds)
	h.must = true
}

// recordAttempt sees to it that an attempt outlives a crash: a first one lazily, as a bit; a further one, or any where they are limited, with
// this frame, which it reports. (A crash that forgot the first of three would let a record be handed over a fourth time.)
func (h *Head) recordAttempt(d *desk, i slot) bool {
	e := h.slab.at(i)
	if d.sub.Policy.Volatile {
		return false
	}
	ds := d.sources[e.source]
	limited := d.sub.Policy.AttemptsMax > 0
	if e.attempts == 1 && e.flags&(flagStored|flagCarry) == 0 {
		ds.pend.handed = append(ds.pend.handed, e.Offset)
		h.soil(d, ds)
		h.must = h.must || limited
		return limited
	}
	h.carry(d, i)
	h.must = true
	return true
}

// carry gives an entry a row with the next flush.
func (h *Head) carry(d *desk, i slot) {
	e := h.slab.at(i)
	if d.sub.Policy.Volatile || e.flags&flagCarry != 0 {
		return
	}
	e.flags |= flagCarry
	ds := d.sources[e.source]
	if ds.pend.carry = append(ds.pend.carry, e.Offset); len(ds.pend.carry) >= CarryMost {
		h.must = true
	}
	ds.lowest = min(ds.lowest, e.Offset)
	h.soil(d, ds)
}

// soil notes that something of a source is to be recorded.
func (h *Head) soil(d *desk, ds *deskSource) {
	if d.closed {
		return
	}
	if !ds.soiled {
		ds.soiled = true
		d.soiled = append(d.soiled, ds)
	}
	if !d.dirty {
		d.dirty = true
		h.dirty = append(h.dirty, d)
	}
}
