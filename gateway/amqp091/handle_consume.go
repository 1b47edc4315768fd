package amqp091

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
)

// channel is what a channel holds. What deliveries and acknowledgements share is guarded by the connection's mu; the rest is the reader's.
type channel struct {
	number    uint16
	prefetch  int
	lastQueue string
	consumers map[string]*consumer
	confirms  *session.Confirms

	ended   bool // mu
	unacked session.Unacked[broker.Handle]
}

// consumer is a member of a queue's subscription. One that was cancelled stays a member without credit until its channel ends: what it
// has can still be acknowledged.
type consumer struct {
	ch        *channel
	tag       string
	queue     string
	noAck     bool
	member    *broker.Member
	stop      context.CancelFunc
	done      sync.WaitGroup
	cancelled bool // mu
	counted   bool
}

// deliverMax is how many deliveries are written at once.
const deliverMax = 64

// noAckPrefetch is how many deliveries are under way to a consumer that acknowledges by taking them.
const noAckPrefetch = 256

// consumersMax is of one channel, those that were cancelled included.
const consumersMax = 1000

// basic.consume
func (k *conn) consume(ctx context.Context, ch *channel, m *wire.BasicConsume) error {
	queue, err := ch.queueName(m.Queue, m.ID())
	if err == nil {
		err = k.mayUse(queue, m.ID())
	}
	if err != nil {
		return err
	}
	tag := string(m.ConsumerTag)
	if tag == "" {
		tag = "amq.ctag-" + rand.Text()
	}
	switch {
	case ch.consumers[tag] != nil:
		return &wire.Error{Code: wire.NotAllowed, Method: m.ID(), Text: "attempt to reuse consumer tag '" + clip(tag) + "'"}
	case len(ch.consumers) >= consumersMax:
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "the channel has too many consumers"}
	case m.Exclusive:
		return notImplemented(m, "an exclusive consumer")
	case len(m.Arguments) > 0:
		return notImplemented(m, "a consumer with arguments")
	}
	prefetch := ch.prefetch
	if prefetch == 0 {
		prefetch = k.g.cfg.PrefetchMax
	}
	if m.NoAck {
		prefetch = noAckPrefetch
	}
	member, err := k.g.b.Attach(ctx, k.caller, queue, broker.MemberOptions{Prefetch: prefetch})
	if err != nil {
		return refusal(err, m.ID())
	}
	run, stop := context.WithCancel(ctx)
	u := &consumer{ch: ch, tag: tag, queue: queue, noAck: m.NoAck, member: member, stop: stop, counted: true}
	ch.consumers[tag] = u
	k.g.mu.Lock()
	k.g.users[k.key(queue)]++
	k.g.mu.Unlock()
	if err := k.unless(m.NoWait, ch, &wire.BasicConsumeOK{ConsumerTag: []byte(tag)}); err != nil {
		return err
	}
	u.done.Go(func() { k.feed(run, u) })
	return nil
}

// feed writes deliveries until the consumer or its queue ends.
func (k *conn) feed(ctx context.Context, u *consumer) {
	for {
		ds, err := u.member.Next(ctx, deliverMax)
		if len(ds) > 0 && !k.deliver(ctx, u, ds) {
			return
		}
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			k.mu.Lock()
			if !u.ch.ended && !u.cancelled && k.s.Abilities().ConsumerCancelNotify {
				_ = k.w.Method(u.ch.number, &wire.BasicCancel{ConsumerTag: []byte(u.tag), NoWait: true})
				_ = k.flush() // a connection that is gone is found out by its reader
			}
			k.mu.Unlock()
		}
		return
	}
}

// deliver writes deliveries. What comes for a consumer that has ended meanwhile goes back to the queue.
func (k *conn) deliver(ctx context.Context, u *consumer, ds []broker.Delivery) bool {
	hs := make([]broker.Handle, len(ds))
	for i := range ds {
		hs[i] = ds[i].Handle
	}
	k.mu.Lock()
	if u.ch.ended || u.cancelled {
		k.mu.Unlock()
		_, _ = k.g.b.Release(context.WithoutCancel(ctx), k.caller, hs, 0, false) // otherwise they go back when the member leaves
		return false
	}
	var err error
	for i := range ds {
		exchange, key, properties, body := message(ds[i].Delivered)
		m := &wire.BasicDeliver{ConsumerTag: []byte(u.tag), Redelivered: ds[i].Again, Exchange: exchange, RoutingKey: key}
		if u.noAck {
			m.DeliveryTag = u.ch.unacked.Skip()
		} else {
			m.DeliveryTag = u.ch.unacked.Add(ds[i].Handle)
		}
		if err = k.w.Content(u.ch.number, m, properties, body); err != nil {
			break
		}
	}
	if ferr := k.flush(); err == nil {
		err = ferr
	}
	k.mu.Unlock()
	if err != nil {
		_ = k.c.Close() // the reader ends the connection, and all goes back to the queue
		return false
	}
	if u.noAck {
		_, err = k.g.b.Ack(ctx, k.caller, hs)
	}
	return err == nil
}

// basic.cancel
func (k *conn) cancel(ctx context.Context, ch *channel, m *wire.BasicCancel) error {
	tag := string(m.ConsumerTag)
	if u := ch.consumers[tag]; u != nil {
		k.mu.Lock()
		u.cancelled = true
		k.mu.Unlock()
		u.stop()
		u.done.Wait()
		_ = u.member.Grant(ctx, -broker.MemberCreditMax)                               // fails when the queue is gone
		if ds, err := u.member.TryNext(broker.ReceiveMax); err == nil && len(ds) > 0 { //nolint:contextcheck // what cannot be read is given back beside
			hs := make([]broker.Handle, len(ds))
			for i := range ds {
				hs[i] = ds[i].Handle
			}
			_, _ = k.g.b.Release(ctx, k.caller, hs, 0, false) // otherwise they go back when the channel ends
		}
		delete(ch.consumers, tag)
		ch.consumers["\x00"+rand.Text()] = u
		k.uncount(ctx, u)
	}
	return k.unless(m.NoWait, ch, &wire.BasicCancelOK{ConsumerTag: []byte(tag)})
}

// uncount notes that a consumer has ended. The last one takes a queue along that was declared so.
func (k *conn) uncount(ctx context.Context, u *consumer) {
	if !u.counted {
		return
	}
	u.counted = false
	key := k.key(u.queue)
	k.g.mu.Lock()
	k.g.users[key]--
	last := k.g.users[key] <= 0
	if last {
		delete(k.g.users, key)
	}
	k.g.mu.Unlock()
	if !last {
		return
	}
	info, err := k.g.b.DescribeSubscription(ctx, k.caller, u.queue)
	if err == nil && strings.Contains(info.Config.Documents[documentQueue], "a") {
		if err := k.g.b.DeleteSubscription(ctx, k.caller, u.queue); err != nil && !fault.Is(err, fault.NotFound) {
			k.c.Log().Warn("a queue that deletes itself could not be deleted", "queue", u.queue, "error", err)
		}
	}
}

// endChannel gives back what a channel held.
func (k *conn) endChannel(ctx context.Context, number uint16) {
	ch := k.channels[number]
	if ch == nil {
		return
	}
	delete(k.channels, number)
	var hs []broker.Handle
	k.mu.Lock()
	ch.ended = true
	ch.unacked.All(func(_ uint64, h broker.Handle) { hs = append(hs, h) })
	k.mu.Unlock()
	for _, u := range ch.consumers {
		u.stop()
	}
	for _, u := range ch.consumers {
		u.done.Wait()
	}
	k.giveBack(ctx, hs)
	for _, u := range ch.consumers {
		_ = u.member.Detach(ctx, false) // fails when the queue is gone
		k.uncount(ctx, u)
	}
}

func (k *conn) giveBack(ctx context.Context, hs []broker.Handle) {
	for len(hs) > 0 {
		n := min(len(hs), broker.SettleMax)
		if _, err := k.g.b.Release(ctx, k.caller, hs[:n], 0, true); err != nil {
			k.c.Log().Debug("deliveries could not be given back: their leases run out", "error", err)
		}
		hs = hs[n:]
	}
}

// getWait is how long a message that is said to be there is waited for: somebody else may have been faster.
const getWait = 200 * time.Millisecond

// basic.get
func (k *conn) get(ctx context.Context, ch *channel, m *wire.BasicGet) error {
	queue, err := ch.queueName(m.Queue, m.ID())
	if err == nil {
		err = k.mayUse(queue, m.ID())
	}
	if err != nil {
		return err
	}
	info, err := k.g.b.DescribeSubscription(ctx, k.caller, queue)
	if err != nil {
		return refusal(err, m.ID())
	}
	var ds []broker.Delivery
	if ready(&info) > 0 { // it may have to be looked for
		if ds, err = k.g.b.Receive(ctx, k.caller, queue, broker.ReceiveRequest{Max: 1, Wait: getWait}); err != nil {
			return refusal(err, m.ID())
		}
	}
	if len(ds) == 0 {
		return k.answer(ch.number, &wire.BasicGetEmpty{})
	}
	d := &ds[0]
	exchange, key, properties, body := message(d.Delivered)
	ok := &wire.BasicGetOK{Redelivered: d.Again, Exchange: exchange, RoutingKey: key, MessageCount: ready(&info) - 1}
	k.mu.Lock()
	if m.NoAck {
		ok.DeliveryTag = ch.unacked.Skip()
	} else {
		ok.DeliveryTag = ch.unacked.Add(d.Handle)
	}
	err = k.w.Content(ch.number, ok, properties, body)
	if err == nil {
		err = k.flush()
	}
	k.mu.Unlock()
	if err == nil && m.NoAck {
		_, err = k.g.b.Ack(ctx, k.caller, []broker.Handle{d.Handle})
	}
	return err
}

// settles reports whether a step settles deliveries.
func settles(s session.Step) bool {
	_, is := s.Method.(*wire.BasicAck)
	return s.Do == session.Call && is
}

// acknowledge gathers acknowledged deliveries.
func (k *conn) acknowledge(s session.Step) error {
	m := s.Method.(*wire.BasicAck)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.channels[s.Channel].unacked.Take(m.DeliveryTag, m.Multiple, m.ID(), func(_ uint64, h broker.Handle) {
		k.gathered.acks = append(k.gathered.acks, h)
	})
}

// refuse is basic.nack and basic.reject: back to the queue, or away.
func (k *conn) refuse(ctx context.Context, ch *channel, by wire.ID, tag uint64, multiple, requeue bool) error {
	var hs []broker.Handle
	k.mu.Lock()
	err := ch.unacked.Take(tag, multiple, by, func(_ uint64, h broker.Handle) { hs = append(hs, h) })
	k.mu.Unlock()
	if err != nil || len(hs) == 0 {
		return err
	}
	if requeue {
		k.giveBack(ctx, hs)
		return nil
	}
	for len(hs) > 0 && err == nil {
		n := min(len(hs), broker.SettleMax)
		_, err = k.g.b.Reject(ctx, k.caller, hs[:n])
		hs = hs[n:]
	}
	if err != nil {
		return refusal(err, by)
	}
	return nil
}

// recover is basic.recover: everything unacknowledged goes back to its queue.
func (k *conn) recover(ctx context.Context, ch *channel, answered bool) error {
	var hs []broker.Handle
	k.mu.Lock()
	ch.unacked.All(func(_ uint64, h broker.Handle) { hs = append(hs, h) })
	k.mu.Unlock()
	k.giveBack(ctx, hs)
	return k.unless(!answered, ch, &wire.BasicRecoverOK{})
}
