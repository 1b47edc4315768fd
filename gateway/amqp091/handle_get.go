package amqp091

import (
	"context"
	"fmt"
	"time"

	"leat/broker"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
)

const (
	// getWait is how long a message that is said to be there is waited for: somebody else may have been faster.
	getWait = 200 * time.Millisecond
	// getTriesMax is how many messages are passed over at most that do not fit into the client's frames.
	getTriesMax = 100
)

// basic.get. What cannot be told to this client is rejected, as consumers do, and the next one is looked at.
func (k *conn) get(ctx context.Context, ch *channel, m *wire.BasicGet) error {
	queue, own, err := k.there(ch, m.Queue, m.ID())
	if err != nil {
		return err
	}
	if !k.may(broker.ActionRead, broker.KindSubscription, own.Name) {
		return k.refusedTo("queue", queue, m.ID())
	}
	k.g.touch(k.key(queue))
	info, err := k.g.b.DescribeSubscription(ctx, k.us(), own.Name)
	if err != nil {
		return refusal(err, m.ID())
	}
	q := queueOf(&info.Config)
	if q.Type == typeStream {
		return &wire.Error{Code: wire.NotImplemented, Method: m.ID(), Text: fmt.Sprintf("basic.get not supported by stream queues queue '%s' in vhost '%s'", queue, k.vhost())}
	}
	left := ready(&info) // it may have to be looked for
	for range getTriesMax {
		if left == 0 || q.holdsNothing() {
			break
		}
		ds, err := k.g.b.Receive(ctx, k.caller, own.Name, broker.ReceiveRequest{Max: 1, Wait: getWait})
		if err != nil {
			return k.denied(err, "queue", queue, m.ID())
		}
		if len(ds) == 0 {
			break
		}
		left--
		if _, _, properties, _ := message(ds[0].Delivered); atOnce(properties) {
			k.giveBack(ctx, ds)
			return k.answer(ch.number, &wire.BasicGetEmpty{})
		}
		err = k.sayGot(ch, m, q.Type == typeQuorum, &ds[0], left)
		if k.unfit(err, queue, &ds[0]) {
			k.settle(ctx, session.Rejected, ds[0].Handle)
			continue
		}
		if err == nil && m.NoAck {
			k.settle(ctx, session.Acked, ds[0].Handle)
		}
		return err
	}
	k.mu.Lock()
	ch.counts.GotNone++
	k.mu.Unlock()
	return k.answer(ch.number, &wire.BasicGetEmpty{})
}

// sayGot answers with a message. When that does not fit, nothing was said and its tag is another's.
func (k *conn) sayGot(ch *channel, m *wire.BasicGet, counts bool, d *broker.Delivery, left uint32) error {
	exchange, key, properties, body := message(d.Delivered)
	if exchange == nil {
		exchange = []byte(exchangeOf(d.Ref.Stream))
	}
	if counts { // also of the first delivery, as RabbitMQ does for basic.get alone
		properties = withNumber(properties, headerDeliveries, int64(d.Attempt-1))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	ok := &wire.BasicGetOK{DeliveryTag: ch.unacked.Next(), Redelivered: d.Again, Exchange: exchange, RoutingKey: key, MessageCount: left}
	if err := k.w.Content(ch.number, ok, properties, body); err != nil {
		return err
	}
	if d.Again {
		ch.counts.Redelivered++
	}
	if m.NoAck {
		ch.counts.GotNoAck++
		ch.unacked.Skip()
	} else {
		ch.counts.Got++
		ch.unacked.Add(delivered{handle: d.Handle})
	}
	return k.flush()
}

// atOnce reports whether a message is only for who waited for it when it came.
func atOnce(properties []byte) bool {
	var p wire.Properties
	return p.Decode(properties) == nil && string(p.Expiration) == "0"
}
