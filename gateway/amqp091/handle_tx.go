package amqp091

import (
	"context"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// tx.select, tx.commit, tx.rollback: what a channel publishes and settles waits for its commit. Publishes and acks of a commit are one append:
// all is done or nothing is, up to the events that the node appends at once (request_events_max); nacks and rejects follow it.

// publishLater keeps a message until the commit.
func (k *conn) publishLater(ctx context.Context, ch *channel, m *session.Content) error {
	release, err := k.reserve(ctx, len(m.Body)+len(m.RawProperties)+recordOverhead)
	if err != nil {
		return err
	}
	ch.txReleases = append(ch.txReleases, release)
	return ch.tx.Publish(m)
}

// settleLater keeps what was settled until the commit. mu is held.
func (k *conn) settleLater(ch *channel, tag uint64, multiple bool, how session.Settled, by wire.ID) error {
	var full error
	err := ch.unacked.Take(tag, multiple, by, func(tag uint64, d delivered) {
		if err := ch.tx.Settle(tag, d, how); err != nil {
			full = err
		}
	})
	if err != nil {
		return err
	}
	return full
}

// selectTx begins transactions.
func (k *conn) selectTx(ch *channel) error {
	k.mu.Lock()
	if ch.tx == nil {
		ch.tx = &session.Tx[delivered]{}
	}
	k.mu.Unlock()
	return k.answer(ch.number, &wire.TxSelectOK{})
}

// rollback forgets what was published; what was settled waits for its ack again.
func (k *conn) rollback(ch *channel) error {
	k.mu.Lock()
	ch.tx.Rollback(&ch.unacked)
	k.mu.Unlock()
	ch.freeTx()
	return k.answer(ch.number, &wire.TxRollbackOK{})
}

// commit does what was kept.
func (k *conn) commit(ctx context.Context, ch *channel) error {
	var lists [3][]broker.Handle
	for i := range ch.tx.Settlements {
		s := &ch.tx.Settlements[i]
		lists[s.How] = append(lists[s.How], s.Handle.handle)
	}
	events := make([]broker.EventEntry, 0, len(ch.tx.Publishes))
	add := func(t *target, r *record.Record) {
		events = append(events, broker.EventEntry{Stream: t.stream, Partition: record.NoPartition, Record: *r})
	}
	for i := range ch.tx.Publishes {
		if err := k.commitPublish(ctx, ch, &ch.tx.Publishes[i], add); err != nil {
			return err
		}
	}
	if err := k.appendTx(ctx, events, lists[session.Acked]); err != nil {
		return refusal(err, wire.IDTxCommit)
	}
	k.mu.Lock()
	k.acks.mu.Lock()
	for i := range ch.tx.Settlements {
		k.acks.let(ch, ch.tx.Settlements[i].Handle)
	}
	k.wake(ctx)
	k.acks.mu.Unlock()
	ch.tx.Done()
	k.mu.Unlock()
	ch.freeTx()
	err := k.answer(ch.number, &wire.TxCommitOK{}) // before anything comes back
	k.settle(ctx, session.Requeued, lists[session.Requeued]...)
	k.settle(ctx, session.Rejected, lists[session.Rejected]...)
	return err
}

// commitPublish gives add the records of a message.
func (k *conn) commitPublish(ctx context.Context, ch *channel, m *session.Content, add func(*target, *record.Record)) error {
	t, err := k.target(ctx, m.Exchange)
	if err != nil {
		return err
	}
	keys, err := furtherKeys(m)
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		return k.commitMany(ctx, ch, t, m, keys, add)
	}
	var r record.Record
	if t, err = k.recordFor(ctx, t, m, clock.Now(), &r); err != nil {
		return err
	}
	if m.Mandatory {
		if err := k.mandatory(ch, t, m, &r); err != nil {
			return err
		}
	}
	add(t, &r)
	return nil
}

// commitMany gives add the records of a message that has further keys.
func (k *conn) commitMany(ctx context.Context, ch *channel, t *target, m *session.Content, keys [][]byte, add func(*target, *record.Record)) error {
	to, r, queues, reached, err := k.many(ctx, t, m, keys)
	if err == nil && m.Mandatory && !reached {
		err = k.giveBackMessage(ch, m)
	}
	if err != nil {
		return err
	}
	if len(queues) > 0 {
		direct, err := k.targetByQueues(ctx)
		if err != nil {
			return err
		}
		for _, q := range queues {
			one := forQueue(&r, q, to.exchange, m.RoutingKey)
			add(direct, &one)
		}
	}
	add(to, &r)
	return nil
}

// txTriesMax is how often a commit is tried when some of its acks turn out to come too late.
const txTriesMax = 3

// appendTx appends and acknowledges in one frame. Acks of what the channel has no more are left out, as outside of transactions.
func (k *conn) appendTx(ctx context.Context, events []broker.EventEntry, acks []broker.Handle) error {
	if len(events)+len(acks) == 0 {
		return nil
	}
	for try := 0; ; try++ {
		_, err := k.g.b.AppendEvents(ctx, k.caller, broker.EventsAppend{Events: events, Acks: acks})
		if err == nil {
			return nil
		}
		outcomes, lost := fault.As(err).Detail.([]broker.Outcome)
		if !lost || try >= txTriesMax {
			return err
		}
		held := acks[:0]
		for i, o := range outcomes {
			if o != broker.OutcomeLost && o != broker.OutcomeUnknown {
				held = append(held, acks[i])
			}
		}
		if acks = held; len(events)+len(acks) == 0 {
			return nil
		}
	}
}

func (ch *channel) freeTx() {
	for _, release := range ch.txReleases {
		release()
	}
	ch.txReleases = nil
}
