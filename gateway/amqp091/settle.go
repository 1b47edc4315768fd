package amqp091

import (
	"context"
	"sync"

	"leat/broker"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// settler settles deliveries beside the reader: clients hear nothing of it, so nobody need wait. What comes while one call is on its way is
// settled together by the next. It is bounded by what can be unacknowledged.
//
//	reader   ack 7, ack 8 … → list        list → broker.Ack  settler, a goroutine as long as there is something
//	         ack 9, nack 10 … → list  ┄┄→ list → broker.Ack, broker.Release
type settler struct {
	mu    sync.Mutex
	idle  sync.Cond // with mu
	lists [3][]broker.Handle
	spare [3][]broker.Handle
	busy  bool

	windows []*channel  // that have room again
	leaving []*consumer // cancelled, and nothing of them is unacknowledged any more
}

// settle has deliveries settled.
func (k *conn) settle(ctx context.Context, how session.Settled, hs ...broker.Handle) {
	if len(hs) == 0 {
		return
	}
	a := &k.acks
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lists[how] = append(a.lists[how], hs...)
	k.wake(ctx)
}

// wake has the settler begin, where it has not. Its lock is held.
func (k *conn) wake(ctx context.Context) {
	if !k.acks.busy {
		k.acks.busy = true
		go k.settleAll(context.WithoutCancel(ctx))
	}
}

// settleAll is the settler.
func (k *conn) settleAll(ctx context.Context) {
	a := &k.acks
	for {
		a.mu.Lock()
		a.lists, a.spare = a.spare, a.lists
		work, windows, leaving := a.spare, a.windows, a.leaving
		a.windows, a.leaving = nil, nil
		if len(windows)+len(leaving)+len(work[session.Acked])+len(work[session.Requeued])+len(work[session.Rejected]) == 0 {
			a.busy = false
			a.idle.Broadcast()
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		for how, hs := range work {
			k.settleList(ctx, session.Settled(how), hs)
			if a.spare[how] = hs[:0]; cap(hs) > settleKept {
				a.spare[how] = nil
			}
		}
		for _, u := range leaving {
			u.leave(ctx)
		}
		for _, ch := range windows {
			k.topUp(ctx, ch)
		}
	}
}

// settleKept is how many handles an idle list keeps room for.
const settleKept = 4096

func (k *conn) settleList(ctx context.Context, how session.Settled, hs []broker.Handle) {
	for len(hs) > 0 {
		n := min(len(hs), broker.SettleMax)
		begun := clock.Now()
		var err error
		op := wire.IDBasicAck
		switch how {
		case session.Acked:
			_, err = k.g.b.Ack(ctx, k.caller, hs[:n])
		case session.Requeued:
			_, err = k.g.b.Release(ctx, k.caller, hs[:n], 0, true)
			op = wire.IDBasicNack
		case session.Rejected:
			_, err = k.g.b.Reject(ctx, k.caller, hs[:n])
			op = wire.IDBasicReject
		}
		k.ops[op].DoneMany(clock.Since(begun), err, n)
		if err != nil {
			k.c.Log().Debug("deliveries could not be settled: they are delivered again when their leases have run out", "deliveries", n, "error", err)
		}
		hs = hs[n:]
	}
}

// wait waits until all is settled that was to be.
func (a *settler) wait() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.busy {
		a.idle.Wait()
	}
}

// settles reports whether a method settles deliveries.
func settles(m wire.Method) bool {
	switch m.(type) {
	case *wire.BasicAck, *wire.BasicNack, *wire.BasicReject:
		return true
	}
	return false
}

// acknowledge is basic.ack, basic.nack and basic.reject.
func (k *conn) acknowledge(ctx context.Context, ch *channel, m wire.Method) error {
	var tag uint64
	multiple, how := false, session.Acked
	switch m := m.(type) {
	case *wire.BasicAck:
		tag, multiple = m.DeliveryTag, m.Multiple
	case *wire.BasicNack:
		tag, multiple, how = m.DeliveryTag, m.Multiple, refusedAs(m.Requeue)
	case *wire.BasicReject:
		tag, how = m.DeliveryTag, refusedAs(m.Requeue)
	}
	a := &k.acks
	k.mu.Lock()
	defer k.mu.Unlock()
	if ch.tx != nil {
		return k.settleLater(ch, tag, multiple, how, m.ID())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err := ch.unacked.Take(tag, multiple, m.ID(), func(_ uint64, d delivered) {
		if how == session.Acked {
			ch.counts.Acked++
		}
		if d.u != nil && d.u.reader != nil {
			a.lists[session.Acked] = append(a.lists[session.Acked], d.handle) // it makes room for the next, and no more
		} else {
			a.lists[how] = append(a.lists[how], d.handle)
		}
		a.let(ch, d)
	})
	if err == nil {
		k.wake(ctx)
	}
	return err
}

func refusedAs(requeue bool) session.Settled {
	if requeue {
		return session.Requeued
	}
	return session.Rejected
}
