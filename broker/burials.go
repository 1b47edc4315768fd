package broker

import (
	"sync"

	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// burials are the records of one shard that are to be buried: very many at once, when what was put aside together expires together. One goroutine at
// a time takes from them, in their order, and waits for the disk once for each burialStep:
//
//	read, match, submit · read, match, submit · … · wait for all        the frames take what is submitted together
//
// So letters come in the order of the deaths. What there is no room for is asked for again later (subscription.BuryAgainMS).
type burials struct {
	mu   sync.Mutex
	list []subscription.Burial
	busy bool
}

// Limits of burials.
const (
	burialsMax     = 1 << 18 // waiting
	burialStep     = 256     // written together
	burialStepSize = 4 << 20 // bytes of them, but for a larger one
)

// buryAll has records buried, without waiting.
func (b *Broker) buryAll(sh int, vs []subscription.Burial) {
	if len(vs) == 0 {
		return
	}
	q := &b.subs.burials[sh]
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, vs[:min(len(vs), max(0, burialsMax-len(q.list)))]...)
	if q.busy {
		return
	}
	b.subs.stopMu.Lock()
	defer b.subs.stopMu.Unlock()
	if b.subs.stopping {
		return
	}
	q.busy = true
	b.subs.stopped.Go(func() { b.buryWaiting(sh) })
}

// buryWaiting buries what there is.
func (b *Broker) buryWaiting(sh int) {
	select {
	case <-b.subs.opened:
	case <-b.subs.stop:
		return
	}
	q := &b.subs.burials[sh]
	for {
		select {
		case <-b.subs.stop:
			return
		default:
		}
		q.mu.Lock()
		n := min(len(q.list), burialStep)
		step := q.list[:n:n]
		if q.list = q.list[n:]; n == 0 {
			q.list, q.busy = nil, false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		for len(step) > 0 {
			step = step[b.buryStep(sh, step):]
		}
	}
}

// buryStep buries the first of some records, and answers how many those were.
func (b *Broker) buryStep(sh int, vs []subscription.Burial) (n int) {
	type pending struct {
		v   subscription.Burial
		cmd *buryCommand
		r   *shard.Request
	}
	ctx, size := b.choreContext(), 0
	waiting := make([]pending, 0, len(vs))
	for n < len(vs) && (n == 0 || size < burialStepSize) {
		v := vs[n]
		n++
		x := b.subs.of(sh, v.Sub)
		if x == nil {
			continue
		}
		cmd, err := b.burial(x, v)
		if err != nil {
			b.opt.Log.Warn("a dead letter could not be made; it is tried again", "subscription", x.name, "error", err)
			continue
		}
		for i := range cmd.Entries {
			size += len(cmd.Entries[i].Batch)
		}
		r := shard.NewRequest(cmd)
		if err := b.shards[sh].Submit(ctx, r); err != nil {
			b.opt.Log.Warn("a dead letter could not be written; it is tried again", "subscription", x.name, "error", err)
			continue
		}
		waiting = append(waiting, pending{v, cmd, r})
	}
	for i := range waiting {
		p := &waiting[i]
		switch err := b.shards[sh].Wait(ctx, p.r); {
		case err != nil:
			b.opt.Log.Warn("a dead letter could not be written; it is tried again", "error", err)
		case p.r.Fault != nil || p.cmd.Stale != stream.Fresh || p.cmd.refusal() != nil:
			b.bury(sh, p.v) // by itself, for what has changed meanwhile
		default:
			b.subs.causes.forget(causeKey{sh, p.v.Sub, p.v.At})
		}
	}
	return n
}
