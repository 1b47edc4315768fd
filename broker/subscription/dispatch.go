package subscription

// settleDown does what follows from a change: records out of time or too many go, what is in turn is handed over, more is asked for.
func (h *Head) settleDown(d *desk) {
	if d == nil || d.closed || d.sub.Policy.Kind != Delivery {
		return
	}
	h.catchUp(d)
	if d.sub.Policy.BytesMax == 1 {
		h.handOver(d) // where nothing may wait, what somebody takes does not
	}
	h.evict(d)
	h.handOver(d)
	h.askFor(d)
	h.tellRests(d)
}

func (h *Head) handOver(d *desk) {
	p := d.sub.Policy
	if p.Suspended {
		return
	}
	for most := d.leased + HandOverStep; d.inTurn > 0 && d.leased < int(p.UnackedMax); {
		if d.leased >= most && d.able > 0 {
			if !d.unfinished {
				d.unfinished = true
				h.unfinished = append(h.unfinished, d)
			}
			return
		}
		i := h.firstInTurn(d)
		if i == 0 {
			return // until more is shown
		}
		m := d.pick()
		if m == nil {
			return
		}
		run := int(p.RunMax)
		for n := 0; i != 0; n++ {
			e := h.slab.at(i)
			if e.state != available || n >= run || n > 0 && (!m.able || d.leased >= int(p.UnackedMax)) {
				break
			}
			follows := slot(0)
			if d.lanes != nil && run > 1 {
				follows = e.links[inLane].next
				if follows != 0 && !d.isShown(h.slab.at(follows)) {
					follows = 0
				}
			}
			h.lease(d, i, m)
			i = follows
		}
	}
}

// firstInTurn is the first of the highest lane that has any, and there of those that came back; 0 when something may have to go before it.
func (h *Head) firstInTurn(d *desk) slot {
	for k := len(d.turns) - 1; k >= 0; k-- {
		if i := d.turns[k][0].head; i != 0 {
			return i
		}
		if i := h.firstFresh(d, k); i != 0 {
			if h.preceded(d, i) {
				return 0
			}
			return i
		}
	}
	return 0
}

func (h *Head) lease(d *desk, i slot, m *member) {
	e := h.slab.at(i)
	lease := m.LeaseMS
	if lease == 0 {
		lease = d.sub.Policy.LeaseMS
	}
	again := e.flags&flagBack != 0
	e.attempts++
	h.grips++
	e.grip = h.grips
	e.DueMS = h.nowMS + lease
	e.member = m.index
	h.become(d, i, leased)
	h.slab.push(&m.has, inTurn, i)
	if m.Credit != Endless {
		m.Credit--
	}
	h.measure(d, m)
	if d.lanes != nil {
		d.lanes[d.laneOf(e)].held++
	}
	l := h.leasedOf(d, i, m, again)
	l.After = h.recordAttempt(d, i)
	h.Out.Deliveries = append(h.Out.Deliveries, l)
}

func (h *Head) leasedOf(d *desk, i slot, m *member, again bool) Leased {
	e := h.slab.at(i)
	at := At{d.sources[e.source].Place, e.Offset}
	l := Leased{
		Handle: Handle{Sub: d.sub.ID, At: at, Attempt: e.attempts, Grip: e.grip, Epoch: h.epoch, Turn: d.sources[e.source].Turn, Size: e.Size},
		Member: m.ID, Lies: at, UntilMS: e.DueMS, Again: again, Seq: e.Seq,
	}
	if e.flags&flagLies != 0 {
		l.Lies = h.lies[i]
	}
	return l
}

// giveBack makes a record available that a member had, after a while.
func (h *Head) giveBack(d *desk, i slot, afterMS int64) {
	e := h.slab.at(i)
	h.letGo(d, i)
	e.flags |= flagBack
	k := d.laneOf(e)
	if p := d.sub.Policy; p.AttemptsMax > 0 && e.attempts >= p.AttemptsMax {
		h.die(d, i, Exhausted)
	} else if afterMS > 0 {
		e.DueMS = min(h.nowMS+afterMS, timeMaxMS)
		h.become(d, i, waiting)
		if afterMS >= CarryAfterMS {
			h.carry(d, i)
		}
	} else {
		h.offer(d, i)
	}
	if d.lanes != nil {
		h.advance(d, k)
	}
}

// offer makes a record available, unless it is past its time or has failed too often.
func (h *Head) offer(d *desk, i slot) {
	e := h.slab.at(i)
	p := d.sub.Policy
	switch {
	case e.ExpiresMS != 0 && e.ExpiresMS <= h.nowMS:
		h.die(d, i, Expired)
	case p.AttemptsMax > 0 && e.attempts >= p.AttemptsMax:
		h.die(d, i, Exhausted)
	default:
		if e.attempts > 0 {
			e.flags |= flagBack
		}
		e.DueMS = 0
		h.become(d, i, available)
	}
}

// backoff is how long a record waits after so many attempts: doubled each time, less a part by chance.
func (h *Head) backoff(p *Policy, attempts int32) int64 {
	if p.BackoffMS == 0 {
		return 0
	}
	wait := p.BackoffMaxMS
	if n := max(attempts-1, 0); n < 40 && p.BackoffMS<<n < wait {
		wait = p.BackoffMS << n
	}
	if p.JitterPercent > 0 {
		wait -= int64(h.random() % uint64(wait*int64(p.JitterPercent)/100+1))
	}
	return max(wait, 1)
}

// die ends a record that nobody shall have any more: for the caller to bury, or here.
func (h *Head) die(d *desk, i slot, why Reason) {
	if !d.sub.Policy.Bury || d.sub.Policy.Volatile {
		h.settle(d, i, why)
		return
	}
	e := h.slab.at(i)
	if e.state == leased {
		h.letGo(d, i)
	}
	e.DueMS = h.nowMS + BuryAgainMS
	h.become(d, i, dying)
	b := Burial{Sub: d.sub.ID, At: At{d.sources[e.source].Place, e.Offset}, Reason: why, Attempts: e.attempts}
	if b.Lies = b.At; e.flags&flagLies != 0 {
		b.Lies = h.lies[i]
	}
	e.member = int32(why)
	h.Out.Burials = append(h.Out.Burials, b)
}

// over reports whether more records wait than may.
func (d *desk) over(n Amount) bool {
	p := d.sub.Policy
	if p.LengthMax == 0 && p.BytesMax == 0 {
		return false
	}
	var w Amount
	for _, ds := range d.sources {
		w.add(ds.backlog)
	}
	w.Count += n.Count - int64(d.leased+d.dying)
	w.Bytes += n.Bytes - d.heldBytes
	return p.LengthMax > 0 && w.Count > p.LengthMax || p.BytesMax > 0 && w.Bytes > p.BytesMax
}

// evict lets the oldest records go that nobody has, while there are too many.
func (h *Head) evict(d *desk) {
	if d.sub.Policy.Overflow != DropHead {
		return
	}
	for d.over(Amount{}) {
		i := h.oldest(d)
		if i == 0 {
			return // when more is shown
		}
		h.die(d, i, Overflown)
	}
}

// oldest finds the oldest record in turn; when none is, the first of a window that nobody has, without looking far.
func (h *Head) oldest(d *desk) slot {
	best := slot(0)
	consider := func(i slot) {
		if i != 0 && (best == 0 || h.slab.at(i).Seq < h.slab.at(best).Seq) {
			best = i
		}
	}
	for k := range d.turns {
		consider(d.turns[k][0].head)
		consider(h.firstFresh(d, k))
	}
	if best != 0 {
		if h.preceded(d, best) {
			return 0
		}
		return best
	}
	for _, ds := range d.sources {
		i := ds.window.head
		for n := 0; i != 0 && n < sortedBackMax; n++ {
			if s := h.slab.at(i).state; s == available || s == waiting {
				consider(i)
				break
			}
			i = h.slab.at(i).links[inWindow].next
		}
	}
	return best
}
