package subscription

import (
	"slices"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// Arrival is a batch that is being appended.
type Arrival struct {
	Place
	Base     record.Offset
	Runs     []RouteRun    // all its records, in order
	Stable   record.Offset // up to where records of the place may be handed over then, where that is not the end of this one
	Unstable uint64        // the first frame of which not all may; 0: all may
	Frees    bool          // what came before may be handed over with it
	Records  []Meta        // of them, when the caller knows: then whoever waits is served without looking again. Else nil
}

// Reads reports whether any subscription keeps account of a stream's records: if none does, Admit and Arrive have nothing to do.
func (h *Head) Reads(id record.StreamID) bool { return h.State.readers[id].sources > 0 }

// Admit says whether records may be appended, as far as subscriptions have a say: one that is full and would rather refuse.
func (h *Head) Admit(a *Arrival) *fault.Error {
	if len(h.refusing) == 0 {
		return nil
	}
	sums := map[*desk]Amount{}
	for _, r := range a.Runs {
		h.reached(a.Place, r.Route, func(d *desk, _ *deskSource) {
			if h.refusing[d.sub.ID] {
				n := sums[d]
				n.add(r.Amount)
				sums[d] = n
			}
		})
	}
	full := (*desk)(nil)
	for d, n := range sums {
		if d.over(n) && (full == nil || d.sub.ID < full.sub.ID) {
			full = d
		}
	}
	if full == nil {
		return nil
	}
	return fault.New(fault.QuotaSpent, "append", "", "a subscription to the stream is full: it may hold %d records and %d bytes (0: any number)",
		full.sub.Policy.LengthMax, full.sub.Policy.BytesMax).With(full.sub.ID)
}

// Arrive takes note of records that were appended with the open frame.
func (h *Head) Arrive(a *Arrival, f *fact.Frame) {
	if h.Arrivals[a.Place] == nil {
		return
	}
	v := routed{at: a.Place, base: a.Base, runs: a.Runs}
	f.Add(fact.Routed, routedPlain, v.append)
	h.evolveRouted(&v, nil)
	h.steps.next(a.Place)
	h.ends = append(h.ends, end{seq: h.openSeq, step: h.steps.n, at: a.Place, end: a.Base, all: len(h.desks) == 0})
	e := &h.ends[len(h.ends)-1]
	if !e.all {
		e.runs = slices.Clone(a.Runs)
	}
	e.unstable, e.frees = a.Unstable, a.Frees
	k := 0
	for _, r := range a.Runs {
		e.end += record.Offset(r.Count)
		var rs []Meta
		if n := k + int(r.Count); n <= len(a.Records) {
			rs, k = a.Records[k:n], n
		}
		if len(h.desks) > 0 {
			h.reached(a.Place, r.Route, func(d *desk, ds *deskSource) { h.reach(d, ds, r.Amount, rs, e) })
		}
	}
	if e.stable = e.end; a.Unstable != 0 {
		e.stable = a.Stable
	}
}

// reached calls fn for every desk that records with a route reach.
func (h *Head) reached(at Place, r RouteID, fn func(d *desk, ds *deskSource)) {
	for _, d := range h.wide[at] {
		fn(d, d.source(at))
	}
	rt := h.Routes[r]
	if rt == nil {
		return
	}
	for _, c := range rt.Classes {
		for _, d := range h.attended[c] {
			if ds := d.source(at); ds != nil && !ds.All {
				fn(d, ds)
			}
		}
	}
}

// reach counts records for a desk. One that has caught up takes them in, to be handed over when their frame is durable; any other will be
// shown them in its turn.
func (h *Head) reach(d *desk, ds *deskSource, n Amount, rs []Meta, e *end) {
	ds.backlog.add(n)
	switch {
	case !ds.caught:
	case len(rs) > 0 && h.looksAheadOf(d, ds) > 0:
		for k := range rs {
			i := h.enter(d, ds, &rs[k])
			h.slab.at(i).Step = e.step
			h.window(ds, i)
			h.become(d, i, coming)
			e.ready = append(e.ready, i)
		}
		ds.next = e.end
	default:
		d.catch(ds, false)
		if !ds.All {
			ds.next = max(ds.next, e.end-record.Offset(n.Count)) // what came since the last one is others'
		}
		ds.shown = h.openSeq - 1
		d.shown = min(d.shown, ds.shown)
	}
	h.evict(d)
}

func (h *Head) window(ds *deskSource, i slot) {
	h.slab.push(&ds.window, inWindow, i)
	h.slab.at(i).flags |= flagInWindow
}

// Published tells how far frames are published. Records of these are handed over from now on.
func (h *Head) Published(seq uint64) {
	h.published = max(h.published, seq)
	n := 0
	for ; n < len(h.ends) && h.ends[n].seq <= seq; n++ {
		e := &h.ends[n]
		h.visible[e.at] = max(h.visible[e.at], e.stable)
		if e.unstable != 0 {
			h.unstable[e.at] = e.unstable
		} else if len(h.unstable) > 0 {
			delete(h.unstable, e.at)
		}
		if e.frees {
			h.wakeReaders(e.at)
		}
		for _, i := range e.ready {
			x := h.slab.at(i)
			d := h.numbers[x.desk]
			h.come(d, i)
			h.wake = append(h.wake, d)
		}
		h.wake = append(h.wake, h.wide[e.at]...)
		if d := h.desks[e.sub]; d != nil {
			h.wake = append(h.wake, d)
		}
		if e.all && len(h.desks) > 0 {
			for _, d := range h.numbers { // they came after the records
				if d != nil && d.source(e.at) != nil {
					h.wake = append(h.wake, d)
				}
			}
		}
		for _, r := range e.runs {
			if rt := h.Routes[r.Route]; rt != nil {
				for _, c := range rt.Classes {
					h.wake = append(h.wake, h.attended[c]...)
				}
			}
		}
		e.ready, e.runs = nil, nil
	}
	if n == 0 {
		return
	}
	h.ends = slices.Delete(h.ends, 0, n)
	h.wake = append(h.wake, h.resting...) // what came before it may have reached others
	for i, d := range h.wake {
		if i == 0 || h.wake[i-1] != d {
			h.settleDown(d)
		}
	}
	clear(h.wake)
	h.wake = h.wake[:0]
}

// wakeReaders has all look that read a place.
func (h *Head) wakeReaders(at Place) {
	for _, id := range h.readers[at.Stream] {
		if d := h.desks[id]; d != nil && d.source(at) != nil {
			h.wake = append(h.wake, d)
		}
	}
}

// shownTo is the frame up to which everything of a place has been shown when what is visible of it has.
func (h *Head) shownTo(at Place) uint64 {
	if seq, some := h.unstable[at]; some {
		return min(h.published, seq-1)
	}
	return h.published
}

// come gives a record that was shown its first state.
func (h *Head) come(d *desk, i slot) {
	e := h.slab.at(i)
	switch {
	case e.ExpiresMS != 0 && e.ExpiresMS <= h.nowMS:
		h.dieInTurn(d, i)
	case e.DueMS > h.nowMS:
		h.become(d, i, waiting)
		if e.DueMS-h.nowMS >= CarryAfterMS {
			h.carry(d, i)
		}
	default:
		h.offer(d, i)
	}
}

// dieInTurn ends a record that comes too late, behind those that have expired before it and are still on the wheel:
//
//	0 … 1999 on the wheel, due at 1000 · it is 1500 · 2000 … are shown before the tick: they go on the wheel, and all die in their order
func (h *Head) dieInTurn(d *desk, i slot) {
	if at, some := h.wheel.next(); !some || at > h.nowMS {
		h.die(d, i, Expired)
		return
	}
	e := h.slab.at(i)
	e.DueMS, e.member = e.ExpiresMS, int32(Expired)
	h.become(d, i, dying)
}

// Want asks the caller to look at a partition for records of a subscription, from an offset on, and to tell with Feed.
type Want struct {
	Sub  ID
	Turn uint32
	Place
	All  bool
	From record.Offset
	To   record.Offset // what is published ends here
	Max  int           // records
}

// Wants returns what has to be looked for, each once until it is fed.
func (h *Head) Wants(dst []Want) []Want {
	for _, d := range h.hungry {
		d.hungry = false
		for _, ds := range d.sources {
			to := h.visible[ds.Place]
			if ds.next >= to || !h.behind(d, ds) {
				continue
			}
			if n := h.looksAheadOf(d, ds); n > 0 {
				ds.asked = true
				dst = append(dst, Want{Sub: d.sub.ID, Turn: ds.Turn, Place: ds.Place, All: ds.All, From: ds.next, To: to, Max: n})
			}
		}
	}
	h.hungry = h.hungry[:0]
	return dst
}

// windowOf is how many records should be ready; when it is none, so many as step shall be looked at nevertheless.
func (h *Head) windowOf(d *desk) (window, step int) {
	p := d.sub.Policy
	window = int(min(2*d.demand(), WindowMax))
	if p.TTLMS > 0 || d.over(Amount{}) {
		window = WindowMax // of one time to live the oldest goes first
	}
	if d.sweeps > 0 && window == 0 {
		if d.ready+d.coming+d.waiting > StragglersMax || h.slab.used >= h.trackedMax {
			return 0, 0
		}
		return 0, gatedStep
	}
	if p.Expires || p.Priorities > 1 && window > 0 {
		window = BehindMax
	}
	return window, 0
}

// looksAhead is how many records more should be known.
func (h *Head) looksAhead(d *desk) int {
	window, step := h.windowOf(d)
	ready, known := d.inTurn, d.ready+d.coming
	switch {
	case window == 0:
		return step
	case ready > window/2:
		return 0
	case ready == 0 && len(d.gated) > 0:
		return gatedStep // everything waits for a source that is behind
	case known >= BehindMax || h.slab.used >= h.trackedMax && known > 0:
		return 0
	}
	return min(max(window-ready-d.coming, 0), WindowMax, BehindMax-known)
}

// behind reports whether a source is to be looked at. Where order is by position, that is the one that is furthest behind: what the others
// have more waits for it.
func (h *Head) behind(d *desk, ds *deskSource) bool {
	return !ds.asked && !ds.caught && (d.lanes == nil || ds.shown <= d.shown)
}

// catchUp notes where nothing is left to be shown: all there is of a source is known, and the rest is somebody else's; or it stands at the end,
// since what was to be shown was truncated, and nobody will feed it.
func (h *Head) catchUp(d *desk) {
	if d.behind == 0 || d.sub.Policy.Volatile {
		return
	}
	moved := false
	for _, ds := range d.sources {
		if ds.caught || ds.asked {
			continue
		}
		if a := h.Arrivals[ds.Place]; a != nil && ds.next >= a.End {
			d.catch(ds, true)
			h.countSelf(d, ds)
			moved = true
		} else if ds.Known && ds.backlog.Count == int64(len(ds.entries)) {
			d.catch(ds, true)
			moved = true
			h.soil(d, ds)
		}
	}
	if moved {
		h.measureShown(d)
	}
}

// askFor puts a desk on the list of those for which the caller has to look, if there is anything to look for.
func (h *Head) askFor(d *desk) {
	if d.behind == 0 || d.hungry {
		return
	}
	full := false
	for _, ds := range d.sources {
		if !h.behind(d, ds) || ds.next >= h.visible[ds.Place] {
			continue
		}
		if h.looksAheadOf(d, ds) > 0 {
			d.hungry = true
			h.hungry = append(h.hungry, d)
			return
		}
		full = true
	}
	if full && h.slab.used >= h.trackedMax && !d.starved {
		d.starved = true
		h.starved = append(h.starved, d)
	}
}

// Feed answers a Want: Records are all those of the subscription in From <= offset < Through, in order.
type Feed struct {
	Want
	Through record.Offset
	Records []Meta
}

// Feed takes records in. Those of one that was deleted or rewound meanwhile are left.
func (h *Head) Feed(v *Feed) {
	d := h.desks[v.Sub]
	if d == nil {
		return
	}
	ds := d.source(v.Place)
	if ds == nil || !ds.asked || ds.Turn != v.Turn {
		return
	}
	ds.asked = false
	through := min(v.Through, h.visible[v.Place])
	if v.From <= ds.next && through > ds.next {
		from := ds.next
		for k := range v.Records {
			m := &v.Records[k]
			if m.Offset < ds.next || m.Offset >= through || ds.done(m.Offset) || ds.entries[m.Offset] != 0 {
				continue
			}
			if ds.All {
				h.vanished(d, ds, from, m.Offset)
			}
			from = m.Offset + 1
			i := h.enter(d, ds, m)
			h.window(ds, i)
			if ds.handed(m.Offset) {
				h.resume(d, i, 1)
			} else {
				h.come(d, i)
			}
		}
		if ds.All {
			h.vanished(d, ds, from, through)
		}
		if ds.next = through; through >= h.Arrivals[v.Place].End {
			d.catch(ds, true)
			h.countSelf(d, ds)
		}
		if through >= h.visible[v.Place] {
			ds.shown = max(ds.shown, h.shownTo(v.Place))
		}
		if k := len(v.Records) - 1; k >= 0 {
			m := &v.Records[k]
			ds.shown = max(ds.shown, m.Seq-1) // of its own frame there may be more
			ds.last = Meta{Seq: m.Seq, Step: m.Step}
		}
		h.advanceGated(d)
		h.measureShown(d)
		h.soil(d, ds)
	}
	h.settleDown(d)
}

// countSelf counts a source of which everything unsettled has been shown: what is known of it is all there is. So a subscription that began
// with records from before, or lost some that nobody had counted, is exact from when it has caught up.
func (h *Head) countSelf(d *desk, ds *deskSource) {
	if ds.Known || ds.counted || d.sub.Policy.Volatile {
		return
	}
	var n Amount
	for _, i := range ds.entries {
		n.add(Amount{1, int64(h.slab.at(i).Size)})
	}
	n.sub(ds.backlog)
	ds.pend.missed.add(n)
	ds.backlog.add(n)
	ds.counted = true
	h.soil(d, ds)
}

// resume takes a record up again that somebody may still have from before the start.
func (h *Head) resume(d *desk, i slot, attempts int32) {
	e := h.slab.at(i)
	e.attempts = attempts
	if until := h.started + min(d.sub.Policy.LeaseMS, GraceMS); attempts > 0 && max(until, e.DueMS) > h.nowMS {
		e.DueMS = max(until, e.DueMS)
		e.flags |= flagBack
		h.become(d, i, waiting)
		return
	}
	h.come(d, i)
}

// vanished settles what is not there, between from and to, of a subscription to all of a partition.
func (h *Head) vanished(d *desk, ds *deskSource, from, to record.Offset) {
	if d.sub.Policy.Volatile {
		return
	}
	n := ds.undone(from, to)
	if n == 0 {
		return
	}
	for from < to {
		r := Run{from, min(int64(to-from), runOffsetsMax)}
		ds.pend.gaps = append(ds.pend.gaps, r)
		from += record.Offset(r.Len)
	}
	ds.pend.amount.Count += n
	ds.pend.reasons[Vanished] += n
	ds.backlog.Count -= n
	ds.even()
	h.soil(d, ds)
}

// even gives up what bytes are left of no records: what was compacted away has taken a size along that nobody knows any more. They would count
// towards a limit for ever.
func (ds *deskSource) even() {
	if ds.backlog.Count == 0 && ds.backlog.Bytes != 0 && (ds.Known || ds.counted) {
		ds.pend.amount.Bytes += ds.backlog.Bytes
		ds.backlog.Bytes = 0
	}
}

// loadCarried takes in a record that a row tells of.
func (h *Head) loadCarried(id ID, at Place, c *Carried) error {
	x := h.Subs[id]
	if x == nil || x.source(at) == nil {
		return errNoSource
	}
	d := h.desk(x)
	i := h.enter(d, d.source(at), &c.Meta)
	e := h.slab.at(i)
	e.DueMS, e.ExpiresMS = c.DueMS, c.ExpiresMS
	e.flags |= flagStored
	d.source(at).lowest = min(d.source(at).lowest, c.Offset)
	if c.Lies.Stream != 0 {
		e.flags |= flagLies
		h.lies[i] = c.Lies
	}
	h.resume(d, i, c.Attempts)
	return nil
}
