package amqp091

import (
	"context"
	"slices"
	"sync/atomic"

	"leat/broker"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
)

// channel is what a channel holds. What deliveries and acknowledgements share is guarded by the connection's mu; the rest is the reader's.
type channel struct {
	number     uint16
	prefetch   int // of each consumer that begins from now on
	lastQueue  string
	confirms   bool
	published  uint64       // number of the last publish, of a channel that confirms
	sent       atomic.Int64 // messages published
	txReleases []func()
	reply      string // what replies are sent to, see reply.go
	replyTag   string // of their consumer

	// Guarded by mu.
	tx        *session.Tx[delivered] // nil: the channel has no transactions
	consumers map[string]*consumer
	counts    Counts
	ended     bool
	unacked   session.Unacked[delivered]
	window    int         // unacknowledged deliveries of all consumers, at most; 0: any number
	held      int         // of them there are
	retired   []*consumer // cancelled, and something of them is unacknowledged
}

// nextNumber is that of a publish, by which it will be confirmed; 0 where nobody wants to know.
func (ch *channel) nextNumber() uint64 {
	if !ch.confirms {
		return 0
	}
	ch.published++
	return ch.published
}

// delivered is a delivery that waits for its ack.
type delivered struct {
	handle broker.Handle
	u      *consumer // nil: basic.get
}

// room is how many more deliveries the channel may have. mu is held.
func (ch *channel) room() int {
	if ch.window == 0 {
		return broker.MemberCreditMax / 2
	}
	return max(0, ch.window-ch.held)
}

// let notes that a delivery waits no more, and which of its channel's windows have room for that. mu is held, and the settler's.
func (a *settler) let(ch *channel, d delivered) {
	u := d.u
	if u == nil {
		return
	}
	u.held--
	ch.held--
	if u.cancelled && u.held == 0 {
		a.leaving = append(a.leaving, u)
		ch.retired = slices.DeleteFunc(ch.retired, func(r *consumer) bool { return r == u })
	}
	if u.limited && (len(a.windows) == 0 || a.windows[len(a.windows)-1] != ch) {
		a.windows = append(a.windows, ch)
	}
}

// endChannel gives back what a channel held. It may be called by any goroutine; the first does it.
func (k *conn) endChannel(ctx context.Context, number uint16) {
	k.sm.Lock()
	ch := k.channels[number]
	delete(k.channels, number)
	k.sm.Unlock()
	if ch == nil {
		return
	}
	k.mu.Lock()
	ch.ended = true
	consumers, retired := ch.consumers, ch.retired
	ch.consumers, ch.retired = nil, nil
	k.mu.Unlock()
	k.g.dropReply(ch.reply)
	for _, u := range consumers {
		u.stop()
	}
	for _, u := range consumers {
		u.done.Wait()
	}
	k.acks.wait() // what was acknowledged does not go back
	var hs []broker.Handle
	k.mu.Lock()
	ch.unacked.All(func(_ uint64, d delivered) { hs = append(hs, d.handle) })
	if ch.tx != nil {
		for _, s := range ch.tx.Settlements {
			hs = append(hs, s.Handle.handle)
		}
		ch.tx.Done()
	}
	k.mu.Unlock()
	ch.freeTx()
	k.settle(ctx, session.Requeued, hs...)
	k.acks.wait()
	for _, u := range retired {
		u.leave(ctx)
	}
	for _, u := range consumers {
		u.leave(ctx)
		k.uncount(ctx, u)
	}
}

// qos is basic.qos: of a channel at once, of consumers from the next one on.
func (k *conn) qos(ctx context.Context, ch *channel, m *wire.BasicQoS) error {
	if !m.Global {
		k.mu.Lock() // for those who look at the channel
		ch.prefetch = int(m.PrefetchCount)
		k.mu.Unlock()
		return k.answer(ch.number, &wire.BasicQoSOK{})
	}
	k.mu.Lock()
	ch.window = int(m.PrefetchCount)
	var fresh []*consumer
	for _, u := range ch.consumers {
		if !u.limited && !u.noAck && !u.cancelled && ch.window > 0 {
			u.limited = true
			fresh = append(fresh, u)
		}
	}
	k.mu.Unlock()
	for _, u := range fresh {
		_ = u.member.Grant(ctx, -1) // fails when the queue is gone
	}
	k.topUp(ctx, ch)
	return k.answer(ch.number, &wire.BasicQoSOK{})
}

// topUp gives the consumers of a channel with a window what credit there is room for, each all of it: what comes to one of them beyond the
// room that others took meanwhile goes back to its queue.
func (k *conn) topUp(ctx context.Context, ch *channel) {
	type grant struct {
		m *broker.Member
		n int
	}
	var grants []grant
	k.mu.Lock()
	room := ch.room()
	for _, u := range ch.consumers {
		if u.limited && !u.cancelled && u.credit < room {
			grants = append(grants, grant{u.member, room - u.credit})
			u.credit = room
		}
	}
	k.mu.Unlock()
	for _, g := range grants {
		_ = g.m.Grant(ctx, g.n) // fails when the queue is gone
	}
}
