package amqp091

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/amqp091/wire"
)

func (k *conn) namespace() string { return cmp.Or(k.caller.Namespace, broker.DefaultNamespace) }

func (k *conn) key(queue string) queueKey { return queueKey{k.namespace(), queue} }

// queueName is the queue that a method means: without a name, the one that was declared last on the channel.
func (ch *channel) queueName(name []byte, by wire.ID) (string, error) {
	if len(name) > 0 {
		return string(name), nil
	}
	if ch.lastQueue == "" {
		return "", &wire.Error{Code: wire.NotFound, Method: by, Text: "no previously declared queue"}
	}
	return ch.lastQueue, nil
}

// mayUse refuses an exclusive queue of another connection.
func (k *conn) mayUse(queue string, by wire.ID) error {
	k.g.mu.Lock()
	owner := k.g.owners[k.key(queue)]
	k.g.mu.Unlock()
	if owner != nil && owner != k {
		return &wire.Error{Code: wire.ResourceLocked, Method: by, Text: "cannot obtain exclusive access to locked queue '" + clip(queue) + "'"}
	}
	return nil
}

// exchangeStream has the stream of a predeclared exchange made when it is first needed.
func (k *conn) exchangeStream(ctx context.Context, exchange string) (broker.StreamInfo, error) {
	info, err := k.g.b.DescribeStream(ctx, k.caller, streamOf(exchange))
	if kind, is := predeclared[exchange]; is && fault.Is(err, fault.NotFound) {
		if _, err := k.g.b.CreateStream(ctx, k.caller, streamOf(exchange), newStream(kind)); err != nil && !fault.Is(err, fault.Exists) {
			return info, err
		}
		return k.g.b.DescribeStream(ctx, k.caller, streamOf(exchange))
	}
	return info, err
}

// queue.declare: a queue is a subscription of its name. One that others made is taken as a durable queue.
func (k *conn) declareQueue(ctx context.Context, ch *channel, m *wire.QueueDeclare) error {
	name := string(m.Queue)
	if name == "" && m.Passive {
		return &wire.Error{Code: wire.NotFound, Method: m.ID(), Text: "a passive declaration needs a name"}
	}
	if name == "" {
		name = "amq.gen-" + rand.Text()
	} else if strings.HasPrefix(name, "amq.") && !m.Passive {
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "queue name '" + clip(name) + "' contains reserved prefix 'amq.*'"}
	}
	if err := k.mayUse(name, m.ID()); err != nil {
		return err
	}
	info, err := k.g.b.DescribeSubscription(ctx, k.caller, name)
	switch {
	case err == nil && m.Passive:
	case err == nil:
		if err := sameQueue(&info.Config, m); err != nil {
			return err
		}
	case !fault.Is(err, fault.NotFound) || m.Passive:
		return refusal(err, m.ID())
	default:
		if info, err = k.makeQueue(ctx, name, m); err != nil {
			return refusal(err, m.ID())
		}
	}
	if m.Exclusive && !m.Passive {
		k.g.mu.Lock()
		k.g.owners[k.key(name)] = k
		k.g.mu.Unlock()
		if !slices.Contains(k.own, name) {
			k.own = append(k.own, name)
		}
	}
	ch.lastQueue = name
	return k.unless(m.NoWait, ch, &wire.QueueDeclareOK{Queue: []byte(name), MessageCount: ready(&info), ConsumerCount: k.consumers(name)})
}

func (k *conn) makeQueue(ctx context.Context, name string, m *wire.QueueDeclare) (broker.SubscriptionInfo, error) {
	for argument, v := range m.Arguments.All() {
		kind, _ := v.Text()
		if string(argument) != "x-queue-type" || string(kind) != "classic" && string(kind) != "quorum" {
			return broker.SubscriptionInfo{}, &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "the argument " + clip(string(argument)) + " is not offered"}
		}
	}
	if _, err := k.exchangeStream(ctx, ""); err != nil {
		return broker.SubscriptionInfo{}, err
	}
	edit := func(c *broker.SubscriptionConfig) error {
		newQueue(c, name, queueLetters(m))
		return nil
	}
	return k.g.b.PutSubscription(ctx, k.caller, name, edit, broker.Start{Kind: broker.StartLatest}, broker.NewOnly)
}

// sameQueue refuses a declaration that does not fit the queue that is there.
func sameQueue(c *broker.SubscriptionConfig, m *wire.QueueDeclare) error {
	was, is := lettersOf(c), queueLetters(m)
	for _, x := range []struct{ letter, name string }{{"d", "durable"}, {"x", "exclusive"}, {"a", "auto_delete"}} {
		if strings.Contains(was, x.letter) != strings.Contains(is, x.letter) {
			return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "inequivalent arg '" + x.name + "' for queue '" + clip(string(m.Queue)) + "'"}
		}
	}
	return nil
}

// ready is how many messages nobody has yet.
func ready(i *broker.SubscriptionInfo) uint32 { return uint32(max(0, i.Waiting-int64(i.Leased))) }

func (k *conn) consumers(queue string) uint32 {
	k.g.mu.Lock()
	defer k.g.mu.Unlock()
	return uint32(k.g.users[k.key(queue)])
}

// queue.purge drops what is ready. What consumers have is theirs until they settle it, and gone then.
func (k *conn) purge(ctx context.Context, ch *channel, m *wire.QueuePurge) error {
	name, err := ch.queueName(m.Queue, m.ID())
	if err == nil {
		err = k.mayUse(name, m.ID())
	}
	if err != nil {
		return err
	}
	info, err := k.g.b.DescribeSubscription(ctx, k.caller, name)
	if err == nil {
		err = k.g.b.Rewind(ctx, k.caller, name, broker.Start{Kind: broker.StartLatest})
	}
	if err != nil {
		return refusal(err, m.ID())
	}
	return k.unless(m.NoWait, ch, &wire.QueuePurgeOK{MessageCount: ready(&info)})
}

// queue.delete. One that is not there is deleted with success, as RabbitMQ does.
func (k *conn) deleteQueue(ctx context.Context, ch *channel, m *wire.QueueDelete) error {
	name, err := ch.queueName(m.Queue, m.ID())
	if err == nil {
		err = k.mayUse(name, m.ID())
	}
	if err != nil {
		return err
	}
	info, err := k.g.b.DescribeSubscription(ctx, k.caller, name)
	switch {
	case err != nil:
	case m.IfUnused && k.consumers(name) > 0:
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "queue '" + clip(name) + "' in use"}
	case m.IfEmpty && info.Waiting > 0:
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "queue '" + clip(name) + "' not empty"}
	default:
		err = k.g.b.DeleteSubscription(ctx, k.caller, name)
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return refusal(err, m.ID())
	}
	k.g.mu.Lock()
	delete(k.g.owners, k.key(name))
	k.g.mu.Unlock()
	k.own = slices.DeleteFunc(k.own, func(s string) bool { return s == name })
	return k.unless(m.NoWait, ch, &wire.QueueDeleteOK{MessageCount: ready(&info)})
}

// dropOwned deletes an exclusive queue whose connection ends.
func (g *Gateway) dropOwned(ctx context.Context, k *conn, name string) {
	g.mu.Lock()
	owned := g.owners[k.key(name)] == k
	g.mu.Unlock()
	if !owned {
		return
	}
	if err := g.b.DeleteSubscription(ctx, k.caller, name); err != nil && !fault.Is(err, fault.NotFound) {
		k.c.Log().Warn("an exclusive queue could not be deleted", "queue", name, "error", err)
	}
	g.mu.Lock()
	delete(g.owners, k.key(name))
	g.mu.Unlock()
}

// queue.bind adds what reaches a queue, from now on.
func (k *conn) bind(ctx context.Context, ch *channel, m *wire.QueueBind) error {
	name, err := ch.queueName(m.Queue, m.ID())
	if err == nil {
		err = k.mayUse(name, m.ID())
	}
	switch {
	case err != nil:
		return err
	case len(m.Exchange) == 0:
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "operation not permitted on the default exchange"}
	case len(m.Arguments) > 0:
		return notImplemented(m, "a binding with arguments")
	}
	err = k.rebind(ctx, name, string(m.Exchange), string(m.RoutingKey), true)
	if err != nil {
		return refusal(err, m.ID())
	}
	return k.unless(m.NoWait, ch, &wire.QueueBindOK{})
}

// queue.unbind takes it back.
func (k *conn) unbind(ctx context.Context, ch *channel, m *wire.QueueUnbind) error {
	name, err := ch.queueName(m.Queue, m.ID())
	if err == nil {
		err = k.mayUse(name, m.ID())
	}
	if err != nil {
		return err
	}
	if len(m.Exchange) == 0 {
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "operation not permitted on the default exchange"}
	}
	if err := k.rebind(ctx, name, string(m.Exchange), string(m.RoutingKey), false); err != nil && !fault.Is(err, fault.NotFound) {
		return refusal(err, m.ID())
	}
	return k.answer(ch.number, &wire.QueueUnbindOK{})
}

func (k *conn) rebind(ctx context.Context, queue, exchange, key string, add bool) error {
	if _, err := k.g.b.DescribeSubscription(ctx, k.caller, queue); err != nil {
		return err
	}
	info, err := k.exchangeStream(ctx, exchange)
	if err != nil {
		return err
	}
	stream := streamOf(exchange)
	want := binding(typeOf(&info.Config), stream, key)
	same := func(f broker.AddressFilter) bool {
		return f.Stream == want.Stream && f.Subject == want.Subject && len(f.Headers) == 0 && f.Key == want.Key && f.Type == want.Type
	}
	edit := func(c *broker.SubscriptionConfig) error {
		switch {
		case !add:
			c.Address = slices.DeleteFunc(c.Address, same)
		case !slices.ContainsFunc(c.Address, same):
			if !slices.Contains(c.Streams, stream) {
				c.Streams = append(c.Streams, stream)
			}
			c.Address = append(c.Address, want)
		}
		return nil
	}
	_, err = k.g.b.PutSubscription(ctx, k.caller, queue, edit, broker.Start{Kind: broker.StartLatest}, 0)
	return err
}
