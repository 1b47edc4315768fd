package sim

import (
	"errors"

	"leat/broker/fault"
	"leat/storage/journal"
	"leat/storage/vfs/memory"
)

// The stages of shard.Shard's loop, one step at a time, in any interleaving that its three goroutines could have.

// decide judges the request that waits longest.
func (w *World) decide() {
	core := w.node.Core()
	if len(w.waiting) == 0 || core.Full() {
		return
	}
	a := w.waiting[0]
	w.waiting = w.waiting[1:]
	core.Step(a.request, w.clock.Now().UnixMilli())
	w.open = append(w.open, a)
	w.tracef("decide %s seq=%d", a, a.request.Seq)
	w.handOut()
}

// take closes the open frame, when the writer is free.
func (w *World) take() {
	if w.taken != nil {
		return
	}
	frame := w.node.Core().Take()
	if frame == nil {
		return
	}
	w.taken = &flight{frame, w.open}
	w.open = nil
	w.tracef("take frame %d with %d requests", w.taken.frame.Seq, len(w.taken.attempts))
}

func (w *World) write() {
	f := w.taken
	if f == nil || len(w.written) >= 2 {
		return
	}
	err := w.node.Write(f.frame)
	w.tracef("write frame %d: %v", f.frame.Seq, err)
	if err == nil {
		w.taken, w.written = nil, append(w.written, f)
		return
	}
	for len(w.written) > 0 {
		w.publish()
	}
	w.taken = nil
	w.leave()
	kind := fault.Unknown
	if errors.Is(err, journal.ErrNoSpace) {
		kind = fault.Unavailable
	}
	w.lives++
	next := f.frame.Seq + 1
	for _, a := range f.attempts {
		w.release(a, fault.New(kind, "append", "", "failed").From(err))
	}
	if rest := w.node.Core().Take(); rest != nil {
		next = rest.Seq + 1
	}
	for _, a := range w.open {
		w.release(a, fault.New(fault.Unavailable, "append", "", "not tried").From(err))
	}
	w.open = nil
	if kind == fault.Unavailable {
		if err := w.node.Forget(next); err != nil {
			w.failf("head is not made again: %v", err)
		}
		return
	}
	w.reopen()
}

// reopen recovers as the loop does: until it works.
func (w *World) reopen() {
	w.reopened++
	for range openTries {
		err := w.node.Reopen()
		w.tracef("reopen: %v", err)
		if err == nil {
			w.checkStored("after reopening")
			return
		}
		var ce *journal.CorruptError
		if errors.As(err, &ce) {
			w.failf("the journal calls damage what only failed to be written: %v", err)
			return
		}
	}
	w.failf("the shard does not recover after %d tries", openTries)
}

// publish shows the oldest written frame and answers what waited for it.
func (w *World) publish() {
	if len(w.written) == 0 {
		return
	}
	f := w.written[0]
	w.written = w.written[1:]
	w.checkSynced(f)
	w.follow(f.frame)
	if err := w.node.Publish(f.frame); err != nil {
		w.failf("publish frame %d: %v", f.frame.Seq, err)
		return
	}
	w.tracef("publish frame %d", f.frame.Seq)
	w.handOver(&f.frame.Follow)
	w.handOut()
	for _, a := range f.attempts {
		w.release(a, a.request.Fault)
	}
	w.hash()
}

// checkSynced: a reply never leaves before the sync of its frame.
func (w *World) checkSynced(f *flight) {
	if f.frame.Empty() {
		return
	}
	// Files of later frames and indexes may be dirty; this frame's file is synced before Write returns, so with one frame in flight nothing is.
	if w.taken == nil && len(w.written) == 0 && len(w.dirty) > 0 && w.faults == 0 {
		w.failf("frame %d is answered while files are not synced: %v", f.frame.Seq, w.dirty)
	}
	if w.rng.IntN(16) > 0 {
		return
	}
	clone := w.disk.CrashClone(w.rng, memory.KeepNone)
	j, err := w.openJournal(clone)
	if err != nil {
		w.failf("frame %d is answered, but what is synced does not open: %v", f.frame.Seq, err)
		return
	}
	if got := uint64(j.Tail().Seq); got < f.frame.Seq {
		w.failf("frame %d is answered, but what is synced ends at %d", f.frame.Seq, got)
	}
	_ = j.Close() // of a clone that nobody uses again
}

// answer lets a client see one reply, not always the first, or loses it.
func (w *World) answer() {
	if len(w.answers) == 0 {
		return
	}
	i := w.rng.IntN(min(3, len(w.answers)))
	a := w.answers[i]
	w.answers = append(w.answers[:i], w.answers[i+1:]...)
	if w.dice.loseReply > 0 && w.rng.IntN(w.dice.loseReply) == 0 {
		w.tracef("answer to %s is lost", a.to)
		a.ok = false
	}
	a.to.op.client.take(a)
}

// rest ends all faults, lets everything in flight come to its end, loses power once more and checks.
func (w *World) rest() {
	w.fs.SetRule(nil)
	w.dice.crash, w.dice.callFault, w.dice.jump = 0, 0, 0
	for range 2 {
		for w.node == nil && w.err == nil {
			w.boot()
		}
		for range 400 {
			if w.err != nil {
				return
			}
			w.steps++
			w.decide()
			w.take()
			w.write()
			w.publish()
			w.answer()
			if len(w.waiting)+len(w.open)+len(w.written) == 0 && w.taken == nil && w.building() {
				w.build()
				continue
			}
			if len(w.waiting) == 0 && len(w.open) == 0 && w.taken == nil && len(w.written) == 0 && len(w.answers) == 0 {
				break
			}
		}
		if w.err == nil {
			w.checkStored("at rest")
		}
		if w.err == nil {
			w.closeTill()
			w.checkTill("when all has taken too long")
		}
		if w.err == nil {
			w.drain()
		}
		if w.err == nil {
			w.settle()
		}
		if w.err == nil {
			w.guarded(w.crash)
		}
	}
	if w.node == nil && w.err == nil {
		w.boot()
	}
}
