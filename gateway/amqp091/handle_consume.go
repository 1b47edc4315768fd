package amqp091

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// consumer is a member of a queue's subscription. One that was cancelled stays a member without credit as long as deliveries of it are
// unacknowledged: until then they can be acknowledged.
type consumer struct {
	ch       *channel
	tag      string
	queue    string
	noAck    bool
	options  broker.MemberOptions
	stop     context.CancelFunc
	done     sync.WaitGroup
	counted  bool
	member   *broker.Member // of feed once it runs
	deliver  wire.BasicDeliver
	stream   string // whose name is in deliver.Exchange
	acks     []broker.Handle
	refused  []broker.Handle
	excluded bool   // exclusive
	counts   bool   // deliveries say how many there were before
	from     string // the subscription
	reader   *reader

	// Guarded by mu.
	cancelled bool
	limited   bool // by the channel's window
	ahead     bool // it sets no prefetch: what was written is granted again
	written   int  // and not granted again yet
	credit    int  // of one that is limited: what the member may still be handed
	held      int  // unacknowledged

	left atomic.Bool // the member is out
}

// deliverMax is how many deliveries are written at once.
const deliverMax = 128

// noAckPrefetch is how many deliveries are under way to a consumer that acknowledges by taking them.
const noAckPrefetch = 1000

// consumersMax is of one channel.
const consumersMax = 10_000

// basic.consume
func (k *conn) consume(ctx context.Context, ch *channel, m *wire.BasicConsume) error {
	if string(m.Queue) == replyQueue {
		return k.consumeReplies(ch, m)
	}
	queue, own, err := k.there(ch, m.Queue, m.ID())
	if err != nil {
		return err
	}
	tag := string(m.ConsumerTag)
	if tag == "" {
		tag = "amq.ctag-" + rand.Text()
	}
	rank, err := priorityOf(m)
	if err != nil {
		return err
	}
	u := &consumer{ch: ch, tag: tag, queue: queue, noAck: m.NoAck, excluded: m.Exclusive, counts: queueOf(&own.Config).Type == typeQuorum}
	u.deliver.ConsumerTag = []byte(tag)
	u.options = broker.MemberOptions{Rank: rank, Prefetch: k.prefetchOf(ch, m.NoAck)}
	if u.from = own.Name; queueOf(&own.Config).Type == typeStream {
		if err := k.mayRead(ch, queue, m); err != nil {
			return err
		}
	}
	if err := k.mayConsume(ch, u, m); err != nil {
		return err
	}
	if queueOf(&own.Config).Type == typeStream {
		if err := k.readStream(ctx, u, m); err != nil {
			k.g.releaseQueue(k.key(queue), u)
			return err
		}
	}
	if u.options.Prefetch == 0 {
		u.ahead, u.options.Credit = true, k.g.cfg.AheadMax
	}
	k.mu.Lock()
	if u.limited = !u.noAck && ch.window > 0; u.limited {
		u.credit = ch.room()
		u.options.Credit = max(u.credit, 1) // without any it would be endless
	}
	k.mu.Unlock()
	if u.member, err = k.g.b.Attach(ctx, k.caller, u.from, u.options); err != nil {
		k.g.endReader(ctx, u)
		k.g.releaseQueue(k.key(queue), u)
		return k.refusedConsumer(err, queue)
	}
	if u.limited && u.credit == 0 {
		_ = u.member.Grant(ctx, -1) // fails when the queue is gone
	}
	run, stop := context.WithCancel(ctx)
	u.stop, u.counted = stop, true
	k.mu.Lock()
	ended := ch.ended
	if !ended {
		ch.consumers[tag] = u
	}
	k.mu.Unlock()
	if ended {
		stop()
		u.leave(ctx)
		k.uncount(ctx, u)
		return nil
	}
	if err := k.unless(m.NoWait, ch, &wire.BasicConsumeOK{ConsumerTag: []byte(tag)}); err != nil {
		return err
	}
	u.done.Go(func() { k.feed(run, u) })
	return nil
}

func (k *conn) prefetchOf(ch *channel, noAck bool) int {
	if noAck {
		return noAckPrefetch
	}
	return ch.prefetch
}

// priorityOf is a consumer's rank. Arguments without meaning here are let pass, as RabbitMQ does.
func priorityOf(m *wire.BasicConsume) (broker.MemberRank, error) {
	v, ok := m.Arguments.Get("x-priority")
	if !ok {
		return 0, nil
	}
	n, is := v.Int()
	if !is {
		return 0, &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "invalid arg 'x-priority': it is not a number"}
	}
	const most = 1 << 30
	return broker.MemberRank(max(-most, min(most, n))), nil
}

// mayConsume refuses a tag that is in use, and a consumer beside an exclusive one.
func (k *conn) mayConsume(ch *channel, u *consumer, m *wire.BasicConsume) error {
	k.mu.Lock()
	taken, many := ch.consumers[u.tag] != nil, len(ch.consumers) >= consumersMax
	k.mu.Unlock()
	switch {
	case taken:
		return &wire.Error{Code: wire.NotAllowed, Method: m.ID(), Text: "attempt to reuse consumer tag '" + clip(u.tag) + "'"}
	case many:
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "the channel has too many consumers"}
	case !k.g.takeQueue(k.key(u.queue), u):
		return &wire.Error{
			Code: wire.AccessRefused, Method: m.ID(),
			Text: fmt.Sprintf("queue '%s' in vhost '%s' in exclusive use", clip(u.queue), k.host),
		}
	}
	return nil
}

func (k *conn) refusedConsumer(err error, queue string) error {
	if fault.Is(err, fault.NotFound) {
		return &wire.Error{Code: wire.NotFound, Method: wire.IDBasicConsume, Text: fmt.Sprintf("no queue '%s' in vhost '%s'", clip(queue), k.host)}
	}
	return k.denied(err, "queue", queue, wire.IDBasicConsume)
}

// attachPause is how long a consumer waits before it looks for its queue again when the node has recovered from a failed write.
const attachPause = 100 * time.Millisecond

// feed writes deliveries until the consumer or its queue ends.
func (k *conn) feed(ctx context.Context, u *consumer) {
	for {
		ds, err := u.member.Next(ctx, deliverMax)
		if len(ds) > 0 && !k.hand(ctx, u, ds) {
			return
		}
		for err != nil && ctx.Err() == nil && fault.Is(err, fault.Unavailable) && u.reader == nil {
			if clock.Sleep(ctx, attachPause) != nil {
				return
			}
			var again *broker.Member
			if again, err = k.g.b.Attach(ctx, k.caller, u.from, u.options); err == nil {
				k.mu.Lock()
				u.member, u.credit = again, u.options.Credit
				k.mu.Unlock()
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				k.cancelled(ctx, u)
			}
			return
		}
	}
}

// cancelled tells the client that its queue is gone.
func (k *conn) cancelled(ctx context.Context, u *consumer) {
	k.mu.Lock()
	told := !u.ch.ended && !u.cancelled
	if told {
		u.cancelled = true
		u.left.Store(true)
		delete(u.ch.consumers, u.tag)
		if k.cancelNotify {
			_ = k.w.Method(u.ch.number, &wire.BasicCancel{ConsumerTag: []byte(u.tag), NoWait: true})
			_ = k.flush() // a connection that is gone is found out by its reader
		}
	}
	k.mu.Unlock()
	if told {
		k.uncount(ctx, u)
	}
}

// hand writes deliveries. What comes for a consumer that has ended meanwhile, or has no room, goes back to the queue.
func (k *conn) hand(ctx context.Context, u *consumer, ds []broker.Delivery) bool {
	k.mu.Lock()
	if u.ch.ended || u.cancelled {
		k.mu.Unlock()
		k.giveBack(ctx, ds)
		return false
	}
	n := len(ds)
	if u.limited {
		n = min(n, u.ch.room())
		u.credit -= len(ds)
	}
	u.acks, u.refused = u.acks[:0], u.refused[:0]
	var err error
	for i := range ds[:n] {
		if err = k.addDelivery(u, &ds[i]); err != nil {
			break
		}
	}
	if ferr := k.flush(); err == nil {
		err = ferr
	}
	k.mu.Unlock()
	if n < len(ds) {
		k.giveBack(ctx, ds[n:])
	}
	if err != nil {
		_ = k.c.Close() // the reader ends the connection, and all goes back to the queue
		return false
	}
	k.settle(ctx, session.Acked, u.acks...)
	k.settle(ctx, session.Rejected, u.refused...)
	k.regrant(ctx, u, n)
	return true
}

// regrant gives a consumer without prefetch credit for what was written to it. So what it has not acknowledged has no limit but the queue's, and
// what waits for a peer that reads nothing has one.
func (k *conn) regrant(ctx context.Context, u *consumer, n int) {
	k.mu.Lock()
	u.written += n
	n = u.written
	if !u.ahead || u.limited || n < k.g.cfg.AheadMax/2 {
		k.mu.Unlock()
		return
	}
	u.written = 0
	member := u.member
	k.mu.Unlock()
	_ = member.Grant(ctx, n) // fails when the queue is gone
}

// addDelivery adds one delivery to what is written. mu is held. One that cannot be said to this client is rejected: it would come back for ever.
func (k *conn) addDelivery(u *consumer, d *broker.Delivery) error {
	u.named(d.Ref.Stream)
	m := &u.deliver
	var properties, body []byte
	var exchange []byte
	exchange, m.RoutingKey, properties, body = message(d.Delivered)
	if exchange != nil {
		u.stream, m.Exchange = "", exchange // the next one's is its stream's again
	}
	m.Redelivered = d.Again
	if u.reader != nil {
		properties = withNumber(properties, headerOffset, u.reader.number())
	}
	if u.counts && d.Attempt > 1 {
		properties = withNumber(properties, headerDeliveries, int64(d.Attempt-1))
	}
	if d.Again {
		u.ch.counts.Redelivered++
	}
	if u.noAck {
		u.ch.counts.DeliveredNoAck++
		m.DeliveryTag = u.ch.unacked.Skip()
		u.acks = append(u.acks, d.Handle)
	} else {
		u.ch.counts.Delivered++
		m.DeliveryTag = u.ch.unacked.Add(delivered{d.Handle, u})
		u.held++
		u.ch.held++
	}
	err := k.w.Content(u.ch.number, m, properties, body)
	if k.unfit(err, u.queue, d) {
		return u.unsay(d, m.DeliveryTag)
	}
	return err
}

// unfit reports, and says, that a message could not be written because its properties do not fit into a frame of this client's.
func (k *conn) unfit(err error, queue string, d *broker.Delivery) bool {
	if !errors.Is(err, wire.ErrFrameTooLarge) && !errors.Is(err, wire.ErrTooLong) {
		return false
	}
	k.c.Log().Warn("a message cannot be delivered to this client and is rejected: its properties do not fit into a frame", "queue", queue, "message", d.Ref, "error", err)
	return true
}

// unsay takes a delivery back that was given its tag and cannot be written. mu is held.
func (u *consumer) unsay(d *broker.Delivery, tag uint64) error {
	u.refused = append(u.refused, d.Handle)
	if u.noAck {
		u.acks = u.acks[:len(u.acks)-1]
		return nil
	}
	u.held--
	u.ch.held--
	return u.ch.unacked.Take(tag, false, wire.IDBasicDeliver, func(uint64, delivered) {})
}

// named notes which exchange deliveries come from.
func (u *consumer) named(stream string) {
	if u.stream != stream {
		u.stream, u.deliver.Exchange = stream, []byte(exchangeOf(stream))
	}
}

// giveBack returns deliveries that were not written. It is no attempt.
func (k *conn) giveBack(ctx context.Context, ds []broker.Delivery) {
	hs := make([]broker.Handle, len(ds))
	for i := range ds {
		hs[i] = ds[i].Handle
	}
	_, _ = k.g.b.Release(context.WithoutCancel(ctx), k.caller, hs, 0, false) // otherwise they go back when the member leaves
}

// basic.cancel
func (k *conn) cancel(ctx context.Context, ch *channel, m *wire.BasicCancel) error {
	tag := string(m.ConsumerTag)
	k.mu.Lock()
	u := ch.consumers[tag]
	if u != nil {
		u.cancelled = true
		delete(ch.consumers, tag)
	}
	k.mu.Unlock()
	switch {
	case u != nil:
		u.stop()
		u.done.Wait()
		_ = u.member.Grant(ctx, -1)                                                    // fails when the queue is gone
		if ds, err := u.member.TryNext(broker.ReceiveMax); err == nil && len(ds) > 0 { //nolint:contextcheck // what cannot be read is given back beside
			k.giveBack(ctx, ds)
		}
		k.mu.Lock()
		empty := u.held == 0
		if !empty {
			ch.retired = append(ch.retired, u)
		}
		k.mu.Unlock()
		if empty {
			u.leave(ctx)
		}
		k.uncount(ctx, u)
	case tag == ch.replyTag && ch.reply != "":
		k.g.dropReply(ch.reply)
		ch.reply, ch.replyTag = "", ""
	}
	return k.unless(m.NoWait, ch, &wire.BasicCancelOK{ConsumerTag: []byte(tag)})
}

// leave takes the member out, once.
func (u *consumer) leave(ctx context.Context) {
	if !u.left.Swap(true) {
		_ = u.member.Detach(ctx, false) // fails when the queue is gone
	}
}

// uncount notes that a consumer has ended. The last one takes a queue along that was declared so.
func (k *conn) uncount(ctx context.Context, u *consumer) {
	if !u.counted {
		return
	}
	u.counted = false
	k.g.endReader(ctx, u)
	if !k.g.releaseQueue(k.key(u.queue), u) {
		return
	}
	k.g.touch(k.key(u.queue))
	if own, there := k.ownQueue(u.queue); there && queueOf(&own.Config).AutoDelete {
		if err := k.g.dropQueue(ctx, k.us(), k.key(u.queue)); err != nil {
			k.c.Log().Warn("a queue that deletes itself could not be deleted", "queue", u.queue, "error", err)
		}
	}
}

// recover is basic.recover: everything unacknowledged goes back to its queue.
func (k *conn) recover(ctx context.Context, ch *channel, answered bool) error {
	var hs []broker.Handle
	k.mu.Lock()
	k.acks.mu.Lock()
	ch.unacked.All(func(_ uint64, d delivered) {
		hs = append(hs, d.handle)
		k.acks.let(ch, d)
	})
	k.acks.mu.Unlock()
	k.mu.Unlock()
	k.settle(ctx, session.Requeued, hs...)
	k.acks.wait()
	return k.unless(!answered, ch, &wire.BasicRecoverOK{})
}
