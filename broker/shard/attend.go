package shard

import (
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// LazyMS is how long what is merely lazy (that a record was handed over for the first time, rows of delayed records, floors) waits for a
// frame that is written anyway, before one is written for it.
const LazyMS = 1000

// settledBytes is about what a settled record takes in a frame.
const settledBytes = 8

// Attendant is what a shard needs of whoever knows names, records and members. Its functions are called by the shard's goroutines.
type Attendant struct {
	// Look reads what a head wants to be shown, from what is published. Skipped are those of its subscription whose content does not match.
	// An error has it asked again after a while.
	Look func(subscription.Want) (f *subscription.Feed, skipped []subscription.Handle, err error)
	// Follow takes what follows from decisions that are durable by now. It must be quick and wait for nobody; the slices are good
	// during the call.
	Follow func(*Follow)
	// Reset tells that head was made anew: members are gone, and what they had is handed over again.
	Reset func()
}

// attends reports whether there are subscriptions at all.
func (c *Core) attends() bool { return len(c.subs.Subs) > 0 }

// collect takes what follows from what was done. A delivery waits for the open frame where a crash must not undo what it rests on: an
// attempt that counts, or the settlement of what came before it in an order.
//
//	attempt 3 of 3 is decided ── frame is written ── handed over ── crash: it is not handed over again
//	                          └─ handed over ── crash before the frame: it would be, a fourth time
func (c *Core) collect() {
	for out := c.subs.Drain(); !out.Empty(); out = c.subs.Drain() {
		c.take(out)
		c.subs.Drained()
	}
	c.wants = c.subs.Wants(c.wants)
	if c.subs.Must() {
		c.needFrame()
	}
	if c.lazyMS == 0 && c.subs.Lazy() {
		c.lazyMS = c.nowMS + LazyMS
	}
}

func (c *Core) take(out *subscription.Output) {
	for i := range out.Deliveries {
		if l := &out.Deliveries[i]; c.waits(l) {
			c.needFrame()
			c.open.Follow.Deliveries = append(c.open.Follow.Deliveries, *l)
		} else {
			c.follow.Deliveries = append(c.follow.Deliveries, *l)
		}
	}
	if len(out.Burials)+len(out.Gaps)+len(out.Rests) > 0 { // a rest comes behind deliveries that wait for frames
		c.needFrame()
		c.open.Follow.Rests = append(c.open.Follow.Rests, out.Rests...)
		c.open.Follow.Burials = append(c.open.Follow.Burials, out.Burials...)
		c.open.Follow.Gaps = append(c.open.Follow.Gaps, out.Gaps...)
	}
}

func (c *Core) waits(l *subscription.Leased) bool {
	x := c.subs.Subs[l.Sub]
	return x == nil || l.After || x.Policy.Order != subscription.OrderNone
}

func (c *Core) needFrame() {
	if c.open == nil {
		c.openFrame(c.nowMS)
	}
}

// Feed takes in what a head wanted to be shown.
func (c *Core) Feed(f *subscription.Feed, skipped []subscription.Handle, nowMS int64) {
	c.setTime(nowMS)
	if len(skipped) > 0 {
		c.subs.Settle(nil, skipped, subscription.Skipped)
		c.settled += settledBytes * int64(len(skipped))
	}
	c.subs.Feed(f)
	c.collect()
}

// Tick does what is due by now. It answers true when there is more to do at once.
func (c *Core) Tick(nowMS int64) bool {
	c.setTime(nowMS)
	more := c.subs.Tick(nowMS)
	more = c.expire() || more
	if c.lazyMS != 0 && c.lazyMS <= c.nowMS {
		c.needFrame()
		c.flushAll = true
	}
	c.collect()
	return more
}

// setTime tells the time between frames.
func (c *Core) setTime(nowMS int64) {
	c.nowMS = max(c.nowMS, nowMS)
	c.subs.Now(c.nowMS)
}

// NextMS is when Tick has something to do at the earliest; false when never.
func (c *Core) NextMS() (int64, bool) {
	at, some := c.subs.NextMS()
	if due, any := c.head.Due(); any && (!some || due < at) {
		at, some = due, true
	}
	if c.lazyMS != 0 && (!some || c.lazyMS < at) {
		return c.lazyMS, true
	}
	return at, some
}

// Lazy reports whether something is to be recorded with the next frame that is written anyway.
func (c *Core) Lazy() bool { return c.subs.Lazy() }

// flushLazily opens a frame for what is lazy.
func (c *Core) flushLazily() {
	c.needFrame()
	c.flushAll = true
}

// appendReaching is an append of which subscriptions have to know, or that settles something in its frame.
func (c *Core) appendReaching(a *Append, r *Request) {
	for i := range a.Entries {
		// Whom the addresses reach was found out on what was published at ResolvedAt. Who has left a class since is not reached by it any more, and
		// was not looked for in the other. Any other change of filters may as well be later than the append: nobody has heard of it yet.
		if since, some := c.filtered[a.Entries[i].Stream]; some && a.ResolvedAt < since {
			a.Stale, a.Outcomes = stream.StaleNow, a.Outcomes[:0]
			return
		}
	}
	if a.Acked = c.subs.Check(a.Acked[:0], a.Acks); !allGood(a.Acked) {
		r.Fault = fault.New(fault.Conflict, "append", "ack", "something to be acknowledged with it is held no longer; nothing was appended").With(a.Acked)
		return
	}
	if a.LetGo != nil && !a.LetGo.may(c) {
		r.Fault = fault.New(fault.Conflict, "append", "", "what is to be settled with it is %s; nothing was appended", a.LetGo.Outcome).With(a.LetGo.Outcome)
		return
	}
	runs := make([][]subscription.RouteRun, len(a.Entries))
	a.Admit = func(i int) (err *fault.Error) {
		e := &a.Entries[i]
		if !c.subs.Reads(e.Stream) {
			return nil
		}
		if runs[i], err = c.runs(a, i); err != nil {
			return err
		}
		return c.subs.Admit(&subscription.Arrival{Place: subscription.Place{Stream: e.Stream, Partition: e.Partition}, Runs: runs[i]})
	}
	c.head.Append(&a.Append, a.ResolvedAt, &c.open.Frame)
	if a.Admit = nil; a.Atomic && (a.Stale != stream.Fresh || !a.recorded()) {
		return
	}
	for i := range a.Outcomes {
		if o := &a.Outcomes[i]; o.Err == nil && !o.Duplicate && runs[i] != nil {
			at := subscription.Place{Stream: a.Entries[i].Stream, Partition: a.Entries[i].Partition}
			c.arrive(&subscription.Arrival{Place: at, Base: o.Base, Runs: runs[i]})
		}
	}
	if len(a.Acks) > 0 {
		a.Acked = c.subs.Settle(a.Acked[:0], a.Acks, subscription.Acked)
		c.settled += settledBytes * int64(len(a.Acks))
	}
	if x := a.LetGo; x != nil {
		x.Outcome = c.subs.Cancel(x.Sub, x.At, x.Size, x.There)
		c.settled += settledBytes
	}
}

func allGood(os []subscription.Outcome) bool {
	for _, o := range os {
		if !o.Good() {
			return false
		}
	}
	return true
}

// recorded reports whether an atomic append was made.
func (a *Append) recorded() bool {
	for i := range a.Outcomes {
		if a.Outcomes[i].Err != nil {
			return false
		}
	}
	return len(a.Failed) == 0 && !a.Unmet
}

// runs says whom a batch reaches, in order. A route that is new is recorded, also where the batch is refused after all.
func (c *Core) runs(a *Append, i int) ([]subscription.RouteRun, *fault.Error) {
	e := &a.Entries[i]
	if len(a.Reach) == 0 || a.Reach[i] == nil {
		return []subscription.RouteRun{{Amount: subscription.Amount{Count: int64(e.Header.LastOffsetDelta) + 1, Bytes: int64(len(e.Batch))}}}, nil
	}
	runs := make([]subscription.RouteRun, len(a.Reach[i]))
	for k := range a.Reach[i] {
		x := &a.Reach[i][k]
		route, err := c.subs.Route(x.Classes, &c.open.Frame)
		if err != nil {
			return nil, err
		}
		runs[k] = subscription.RouteRun{Route: route, Amount: x.Amount, Plain: x.Plain}
	}
	return runs, nil
}

// readNewPartitions has subscriptions to a stream begin with the partitions that it has more now.
func (c *Core) readNewPartitions(id record.StreamID, was int) {
	parts := c.head.Streams[id].Partitions
	if !c.attends() || len(parts) == was {
		return
	}
	for _, x := range c.subs.Subs {
		all, reads := false, false
		for _, src := range x.Sources {
			if src.Stream == id {
				all, reads = src.All, true
			}
		}
		if !reads || len(x.Sources)+len(parts)-was > subscription.SourcesMax {
			continue
		}
		var starts []subscription.Start
		for p := was; p < len(parts); p++ {
			at := subscription.Place{Stream: id, Partition: record.PartitionID(p)}
			starts = append(starts, subscription.Start{Place: at, All: all, From: parts[p].Start, End: parts[p].Next})
		}
		_ = c.subs.Begin(x.ID, starts, &c.open.Frame) // of partitions that were not there before, so it cannot be refused
	}
}
