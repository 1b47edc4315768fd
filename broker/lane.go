package broker

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"leat/broker/fault"
	"leat/broker/shard"
	"leat/broker/stream"
)

// Lane keeps the requests of one connection in order that are handed in before those before them are answered. The zero value is ready.
//
// What a request is resolved against may change before it is decided: the stream's key mode, whom a record reaches. Then it is stale, and resolved
// again. Meanwhile others have been handed in behind it:
//
//	reader of the connection    A ─ B ─ C ───────── waits ─ D
//	shard                       A stale, B and C are therefore as well (shard.Lane)
//	who waits for A             ─────────────── A ─ B ─ C resolved again, each behind the one before it
//
// So the log has them as A, B, C, D. It is whoever waits for the first that is stale who does this for all; those who wait for the others find it done.
//
// The lock is held while portions are handed in, so that nothing comes between those that are handed in again.
type Lane struct {
	in   shard.Lane
	mu   sync.Mutex
	turn uint64
	sent []*portion // in order; those that are not collected are among them
}

// portion is as much of a request as one command may hold. Nearly every request is one portion; a larger one becomes several, submitted in
// order, so that their appends are in order too.
type portion struct {
	of      *PendingBatches
	shard   *shard.Shard
	command shard.Append
	request *shard.Request
	place   []int // of each of the command's entries in results
	bytes   int64

	try       int          // how often it was resolved before
	err       *fault.Error // why it was not submitted, of one that should have been again
	next      *portion     // what is left of it, submitted again; written under the lane's lock
	collected atomic.Bool  // whoever waits has all there is to know
}

// resolveTriesMax is how often a command is resolved, when what it is resolved against keeps changing.
const resolveTriesMax = 20

// submit hands a portion in, behind all others.
func (l *Lane) submit(o *portion) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := 0
	for done < len(l.sent) && l.sent[done].collected.Load() {
		done++
	}
	if done > 0 {
		l.sent = slices.Delete(l.sent, 0, done)
	}
	return l.hand(o)
}

func (l *Lane) hand(o *portion) error {
	o.command.Lane, o.command.Turn = &l.in, l.turn
	o.request = shard.NewRequest(&o.command)
	o.request.Stages.Reserved = o.of.began
	if err := o.shard.Submit(o.of.ctx, o.request); err != nil {
		return err
	}
	l.sent = append(l.sent, o)
	return nil
}

// again returns what is left of a portion that was stale, submitted again with all that were handed in behind it.
func (l *Lane) again(o *portion) *portion {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer o.collected.Store(true)
	if o.next != nil {
		return o.next
	}
	l.turn = max(l.turn, o.command.Turn+1)
	sent := l.sent
	l.sent = nil
	for _, x := range sent {
		if x.collected.Load() {
			continue
		}
		if err := x.shard.Wait(context.Background(), x.request); err != nil || x.request.Fault != nil || x.command.Stale == stream.Fresh {
			continue // whoever waits for it is told what became of it
		}
		x.next = x.rest()
		if x.next.err == nil {
			x.next.err = fault.As(l.hand(x.next))
		}
	}
	return o.next
}

// rest is what is left of a portion that was stale, resolved once more.
func (o *portion) rest() *portion {
	n, p := len(o.command.Outcomes), o.of
	rest := &portion{of: p, shard: o.shard, place: o.place[n:], try: o.try + 1}
	if rest.try > resolveTriesMax {
		rest.err = fault.New(fault.Unavailable, "append", "", "the stream is changing too fast; try again")
		return rest
	}
	at := slices.Index(p.b.shards, o.shard)
	rest.command.Transactor, rest.command.Implicit = o.command.Transactor, o.command.Implicit
	rest.command.Origin, rest.command.ResolvedAt = o.command.Origin, o.shard.Published().Seq()
	for _, e := range o.command.Entries[n:] {
		e.Keys, e.Encoded = nil, stream.EncodedKeys{}
		if err := p.b.resolveKeys(&rest.command, &e, &named{id: e.Stream, shard: at}); err != nil {
			rest.err = fault.As(err)
			return rest
		}
		rest.command.Entries = append(rest.command.Entries, e)
	}
	rest.err = fault.As(p.b.reach(at, &rest.command))
	return rest
}
