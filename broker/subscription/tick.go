package subscription

// Tick does what is due by now: leases that ran out, delays, times to live. It does so much at most; when it answers true, there is more.
func (h *Head) Tick(nowMS int64) (more bool) {
	h.Now(nowMS)
	n := 0
	for ; n < TimersPerTick; n++ {
		i := h.wheel.pop(&h.slab, h.nowMS)
		if i == 0 {
			break
		}
		h.ring(i)
	}
	h.settleTouched()
	h.feedStarved()
	return n == TimersPerTick
}

// NextMS is when Tick has something to do at the earliest; false when never. It may be early, never late.
func (h *Head) NextMS() (int64, bool) { return h.wheel.next() }

// feedStarved looks again at those that had to wait for others to settle something, once a tenth of all that may be known is free.
func (h *Head) feedStarved() {
	if len(h.starved) == 0 || h.slab.used > h.trackedMax/10*9 {
		return
	}
	starved := h.starved
	h.starved = nil
	for _, d := range starved {
		d.starved = false
		h.settleDown(d)
	}
}

func (h *Head) ring(i slot) {
	e := h.slab.at(i)
	d := h.numbers[e.desk]
	h.touch(d)
	switch e.state {
	case leased:
		m := d.members[e.member]
		h.Out.Lost = append(h.Out.Lost, h.leasedOf(d, i, m, false))
		h.giveBack(d, i, h.backoff(d.sub.Policy, e.attempts))
	case waiting:
		h.offer(d, i)
	case dying:
		why := Reason(e.member)
		h.become(d, i, waiting) // leaves the count of the dying
		h.die(d, i, why)
	case available:
		h.die(d, i, Expired)
	}
}
