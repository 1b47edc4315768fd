package amqp091

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

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
		return k.locked(queue, by)
	}
	return nil
}

func (k *conn) locked(queue string, by wire.ID) error {
	return &wire.Error{Code: wire.ResourceLocked, Method: by, Text: fmt.Sprintf(
		"cannot obtain exclusive access to locked queue '%s' in vhost '%s'. It could be originally declared on another connection or the exclusive "+
			"property value does not match that of the original declaration.", queue, k.vhost())}
}

// exchangeStream has the stream of a predeclared exchange made when it is first needed.
func (k *conn) exchangeStream(ctx context.Context, exchange string) (broker.StreamInfo, error) {
	x := k.g.exchangeOf(k.namespace(), exchange)
	if x == nil {
		return broker.StreamInfo{}, fault.New(fault.NotFound, "publish", exchange, "there is no exchange %q", exchange)
	}
	if err := k.g.makeStream(ctx, k.namespace(), exchange, x); err != nil {
		return broker.StreamInfo{}, err
	}
	return k.g.b.DescribeStream(ctx, k.us(), streamOf(exchange))
}

// queue.declare: a queue is a subscription of its name. One that others made is taken as a durable queue.
func (k *conn) declareQueue(ctx context.Context, ch *channel, m *wire.QueueDeclare) error {
	name := string(m.Queue)
	own, there := k.ownQueue(name)
	switch {
	case strings.HasPrefix(name, replyPrefix) && k.g.replyAlive(name): // a replier asks whether the requester is still there
		return k.unless(m.NoWait, ch, &wire.QueueDeclareOK{Queue: m.Queue, ConsumerCount: 1})
	case m.Passive && !there:
		return k.noQueue(name, m.ID())
	case m.Passive:
		if err := k.mayUse(name, m.ID()); err != nil {
			return err
		}
		return k.declared(ctx, ch, name, m)
	case name == "":
	case !k.may(broker.ActionCreate, broker.KindSubscription, ourName(name)):
		return k.refusedTo("queue", name, m.ID())
	case !there && strings.HasPrefix(name, "amq."):
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: fmt.Sprintf("queue name '%s' contains reserved prefix 'amq.*'", name)}
	case !there && strings.HasPrefix(name, platform):
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: fmt.Sprintf("queue name '%s' contains reserved prefix 'leat.*'", name)}
	case !utf8.ValidString(name):
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "the name of a queue is UTF-8"}
	}
	if err := k.mayUse(name, m.ID()); err != nil {
		return err
	}
	if there {
		if err := k.sameQueue(name, queueOf(&own.Config), m); err != nil {
			return err
		}
		return k.declared(ctx, ch, name, m)
	}
	if err := k.checkQueue(name, m); err != nil {
		return err
	}
	if name == "" {
		name = "amq.gen-" + rand.Text()
	}
	if m.Exclusive { // it is locked before anybody can see it
		k.g.mu.Lock()
		k.g.owners[k.key(name)] = k
		k.g.mu.Unlock()
		k.own = append(k.own, name)
	}
	if err := k.makeQueue(ctx, name, m); err != nil {
		if m.Exclusive {
			k.disown(name)
		}
		if fault.Is(err, fault.Exists) { // somebody was faster
			return k.declareQueue(ctx, ch, m)
		}
		return k.denied(err, "queue", name, m.ID())
	}
	return k.declared(ctx, ch, name, m)
}

func (k *conn) disown(name string) {
	k.g.mu.Lock()
	delete(k.g.owners, k.key(name))
	k.g.mu.Unlock()
	k.own = slices.DeleteFunc(k.own, func(s string) bool { return s == name })
}

// declared answers with how many messages are ready.
func (k *conn) declared(ctx context.Context, ch *channel, name string, m *wire.QueueDeclare) error {
	info, err := k.g.b.DescribeSubscription(ctx, k.us(), ourName(name))
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return k.noQueue(name, m.ID())
		}
		return refusal(err, m.ID())
	}
	q := queueOf(&info.Config)
	k.g.used(k.key(name), &q)
	ch.lastQueue = name
	consumers := k.consumers(name)
	if q.Type == typeStream {
		consumers = 0 // RabbitMQ tells none of those either
	}
	return k.unless(m.NoWait, ch, &wire.QueueDeclareOK{Queue: []byte(name), MessageCount: ready(&info), ConsumerCount: consumers})
}

// ownQueue is the subscription that a queue is. One without a document was made by others.
func (k *conn) ownQueue(name string) (broker.OwnSubscription, bool) {
	if name == "" {
		return broker.OwnSubscription{}, false
	}
	return k.g.b.OwnSubscription(k.namespace(), ourName(name))
}

// makeQueue makes the subscription.
func (k *conn) makeQueue(ctx context.Context, name string, m *wire.QueueDeclare) error {
	if !k.may(broker.ActionCreate, broker.KindSubscription, ourName(name)) {
		return k.refusedTo("queue", name, m.ID())
	}
	if v, ok := m.Arguments.Get(argumentDeadExchange); ok {
		dead, _ := v.Text()
		if !k.may(broker.ActionRead, broker.KindSubscription, ourName(name)) {
			return k.refusedTo("queue", name, m.ID())
		}
		if !k.may(broker.ActionWrite, broker.KindStream, streamOf(string(dead))) {
			return k.refusedTo("exchange", string(dead), m.ID())
		}
	}
	if err := k.g.makeStream(ctx, k.namespace(), "", k.g.exchangeOf(k.namespace(), "")); err != nil {
		return err
	}
	q := queue{
		Type: queueType(m.Arguments), Durable: m.Durable, Exclusive: m.Exclusive, AutoDelete: m.AutoDelete,
		Arguments: told(m.Arguments), Table: append(wire.Table(nil), m.Arguments...),
	}
	if ourName(name) != name {
		q.Name = name
	}
	k.g.topology.RLock()
	defer k.g.topology.RUnlock()
	edit := func(c *broker.SubscriptionConfig) error {
		c.Routed, c.Documents = true, map[string]string{}
		policySet(k.g.policies(k.namespace())).give(&q, name)
		c.Documents[documentQueue] = document(&q)
		setPolicy(c, q.Type, q.effective())
		return k.g.topologyOf(k.namespace()).put(c, name, nil)
	}
	_, err := k.g.b.PutSubscription(ctx, k.us(), ourName(name), edit, broker.Start{Kind: broker.StartLatest}, broker.NewOnly)
	return err
}

// sameQueue refuses a declaration that does not fit the queue that is there.
func (k *conn) sameQueue(name string, q queue, m *wire.QueueDeclare) error {
	if q.Exclusive != m.Exclusive {
		return k.locked(name, m.ID())
	}
	refuse := func(arg, how string) error {
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: fmt.Sprintf("inequivalent arg '%s' for queue '%s' in vhost '%s': %s", arg, name, k.vhost(), how)}
	}
	if q.Durable != m.Durable {
		return refuse("durable", fmt.Sprintf("received '%v' but current is '%v'", m.Durable, q.Durable))
	}
	if q.AutoDelete != m.AutoDelete {
		return refuse("auto_delete", fmt.Sprintf("received '%v' but current is '%v'", m.AutoDelete, q.AutoDelete))
	}
	if is, asked := q.Type, queueType(m.Arguments); is != asked {
		return refuse(argumentType, otherwise(argumentType, q.Table, m.Arguments))
	}
	for _, name := range compared[q.Type] {
		if how := otherwise(name, q.Table, m.Arguments); how != "" {
			return refuse(name, how)
		}
	}
	return nil
}

// ready is how many messages nobody has yet and that are due.
func ready(i *broker.SubscriptionInfo) uint32 {
	return uint32(max(0, i.Waiting-int64(i.Leased)-int64(i.Delayed)-int64(i.Dying)))
}

func (k *conn) consumers(queue string) uint32 {
	k.g.mu.Lock()
	defer k.g.mu.Unlock()
	return uint32(k.g.users[k.key(queue)])
}

// there finds a queue that a method is about and that this connection may use.
func (k *conn) there(ch *channel, queue []byte, by wire.ID) (name string, own broker.OwnSubscription, err error) {
	if name, err = ch.queueName(queue, by); err != nil {
		return name, own, err
	}
	own, there := k.ownQueue(name)
	if !there {
		return name, own, k.noQueue(name, by)
	}
	return name, own, k.mayUse(name, by)
}

// queue.purge drops what is ready. What consumers have is theirs until they settle it.
func (k *conn) purge(ctx context.Context, ch *channel, m *wire.QueuePurge) error {
	name, own, err := k.there(ch, m.Queue, m.ID())
	if err != nil {
		return err
	}
	if queueOf(&own.Config).Type == typeStream {
		return &wire.Error{Code: wire.NotImplemented, Method: m.ID(), Text: fmt.Sprintf("queue.purge not supported by stream queues queue '%s' in vhost '%s'", name, k.vhost())}
	}
	if !k.may(broker.ActionRead, broker.KindSubscription, own.Name) {
		return k.refusedTo("queue", name, m.ID())
	}
	n, err := k.g.b.Drain(ctx, k.us(), own.Name)
	if err != nil {
		return refusal(err, m.ID())
	}
	return k.unless(m.NoWait, ch, &wire.QueuePurgeOK{MessageCount: uint32(n)})
}

// queue.delete. One that is not there is deleted with success, as RabbitMQ does.
func (k *conn) deleteQueue(ctx context.Context, ch *channel, m *wire.QueueDelete) error {
	name, err := ch.queueName(m.Queue, m.ID())
	if err != nil {
		return err
	}
	if !k.may(broker.ActionDelete, broker.KindSubscription, ourName(name)) {
		return k.refusedTo("queue", name, m.ID())
	}
	own, there := k.ownQueue(name)
	if !there {
		return k.unless(m.NoWait, ch, &wire.QueueDeleteOK{})
	}
	if err := k.mayUse(name, m.ID()); err != nil {
		return err
	}
	info, err := k.g.b.DescribeSubscription(ctx, k.us(), own.Name)
	count := ready(&info)
	if queueOf(&own.Config).Type == typeStream {
		count = 0 // RabbitMQ does not count those
	}
	switch {
	case fault.Is(err, fault.NotFound):
		return k.unless(m.NoWait, ch, &wire.QueueDeleteOK{})
	case err != nil:
		return refusal(err, m.ID())
	case m.IfUnused && k.consumers(name) > 0:
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: fmt.Sprintf("queue '%s' in vhost '%s' in use", name, k.vhost())}
	case m.IfEmpty && ready(&info) > 0:
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: fmt.Sprintf("queue '%s' in vhost '%s' not empty", name, k.vhost())}
	}
	if err := k.g.dropQueue(ctx, k.us(), k.key(name)); err != nil {
		return refusal(err, m.ID())
	}
	k.disown(name)
	return k.unless(m.NoWait, ch, &wire.QueueDeleteOK{MessageCount: count})
}

// dropQueue deletes a queue, and the exchanges that delete themselves when nothing leads from them any more.
func (g *Gateway) dropQueue(ctx context.Context, c *broker.Caller, key queueKey) error {
	own, there := g.b.OwnSubscription(key.namespace, ourName(key.name))
	if !there {
		return nil
	}
	err := g.b.DeleteSubscription(ctx, c, own.Name)
	g.forget(key)
	g.endReaders(ctx, key)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if names := g.selfDeleting(key.namespace, readBindings(own.Config.Documents[documentBindings])); len(names) > 0 {
		g.topology.Lock()
		defer g.topology.Unlock()
		g.tidyUp(ctx, key.namespace, names)
	}
	return nil
}

// dropOwned deletes an exclusive queue whose connection ends.
func (g *Gateway) dropOwned(ctx context.Context, k *conn, name string) {
	g.mu.Lock()
	owned := g.owners[k.key(name)] == k
	g.mu.Unlock()
	if !owned {
		return
	}
	if err := g.dropQueue(ctx, k.us(), k.key(name)); err != nil {
		k.c.Log().Warn("an exclusive queue could not be deleted", "queue", name, "error", err)
	}
	g.mu.Lock()
	delete(g.owners, k.key(name))
	g.mu.Unlock()
}

// queue.bind adds what reaches a queue, from now on.
func (k *conn) bind(ctx context.Context, ch *channel, m *wire.QueueBind) error {
	name, own, err := k.there(ch, m.Queue, m.ID())
	if err != nil {
		return err
	}
	key := m.RoutingKey
	if len(m.Queue) == 0 && len(key) == 0 {
		key = []byte(name)
	}
	if len(m.Exchange) == 0 {
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "operation not permitted on the default exchange"}
	}
	b := newBinding(m.Exchange, key, m.Arguments)
	if err := k.mayBind("queue", name, broker.KindSubscription, b, m.ID()); err != nil {
		return err
	}
	k.g.topology.RLock()
	defer k.g.topology.RUnlock()
	t := k.g.topologyOf(k.namespace())
	x := t.exchange(b.Source)
	if x == nil {
		return k.noExchange(b.Source, m.ID())
	}
	if err := checkBinding(x.routing(), b, m.ID()); err != nil {
		return err
	}
	if err := k.rebind(ctx, t, own, name, b, true); err != nil {
		if fault.Is(err, fault.NotFound) {
			return k.noQueue(name, m.ID())
		}
		return refusal(err, m.ID())
	}
	return k.unless(m.NoWait, ch, &wire.QueueBindOK{})
}

// queue.unbind takes it back. What is not there is taken back with success.
func (k *conn) unbind(ctx context.Context, ch *channel, m *wire.QueueUnbind) error {
	name, err := ch.queueName(m.Queue, m.ID())
	if err != nil {
		return err
	}
	if len(m.Exchange) == 0 {
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "operation not permitted on the default exchange"}
	}
	own, there := k.ownQueue(name)
	if there {
		key := m.RoutingKey
		if len(m.Queue) == 0 && len(key) == 0 {
			key = []byte(name)
		}
		b := newBinding(m.Exchange, key, m.Arguments)
		if err := k.mayUse(name, m.ID()); err != nil {
			return err
		}
		if err := k.mayBind("queue", name, broker.KindSubscription, b, m.ID()); err != nil {
			return err
		}
		if err := k.unbound(ctx, own, name, b); err != nil {
			return refusal(err, m.ID())
		}
	}
	return k.answer(ch.number, &wire.QueueUnbindOK{})
}

func (k *conn) unbound(ctx context.Context, own broker.OwnSubscription, name string, b *binding) error {
	k.g.topology.RLock()
	err := k.rebind(ctx, k.g.topologyOf(k.namespace()), own, name, b, false)
	k.g.topology.RUnlock()
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if names := k.g.selfDeleting(k.namespace(), []binding{*b}); len(names) > 0 {
		k.g.topology.Lock()
		defer k.g.topology.Unlock()
		k.g.tidyUp(ctx, k.namespace(), names)
	}
	return nil
}

// rebind adds or takes a binding of a queue. The topology is held for reading.
func (k *conn) rebind(ctx context.Context, t *topology, own broker.OwnSubscription, queue string, b *binding, add bool) error {
	if own.Config.Documents[documentQueue] == "" {
		return fault.New(fault.Denied, "bind", queue, "the subscription was not declared as a queue: those who made it say what reaches it")
	}
	had := slices.ContainsFunc(readBindings(own.Config.Documents[documentBindings]), func(c binding) bool { return c.same(b) })
	if had == add {
		return nil
	}
	if add {
		filters, err := t.resolve(queue, []binding{*b})
		if err != nil {
			return err
		}
		if err := t.streams(ctx, filters); err != nil {
			return err
		}
	}
	_, err := k.g.b.PutSubscription(ctx, k.us(), own.Name, func(c *broker.SubscriptionConfig) error {
		if len(c.Streams) == 0 {
			return fault.New(fault.NotFound, "bind", queue, "the queue was deleted")
		}
		if c.Documents == nil {
			c.Documents = map[string]string{}
		}
		bs := readBindings(c.Documents[documentBindings])
		at := slices.IndexFunc(bs, func(c binding) bool { return c.same(b) })
		switch {
		case add && at < 0:
			return t.add(c, queue, b)
		case !add && at >= 0:
			return t.put(c, queue, slices.Delete(bs, at, at+1))
		}
		return nil // somebody was faster
	}, broker.Start{Kind: broker.StartLatest}, 0)
	if err == nil {
		k.g.readersAgain(ctx, k.key(queue))
	}
	return err
}
