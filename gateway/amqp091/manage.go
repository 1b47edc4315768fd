package amqp091

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/amqp091/wire"
)

// What the management API tells of exchanges, queues and bindings. Each caller is told of what it may describe.

// ExchangeInfo is an exchange as described.
type ExchangeInfo struct {
	Name                          string
	Type                          string
	Durable, AutoDelete, Internal bool
	Arguments                     wire.Table
	stream                        string
}

// QueueInfo is a queue as listed.
type QueueInfo struct {
	Name                           string
	Type                           string // classic, quorum or stream
	Durable, AutoDelete, Exclusive bool
	Arguments                      wire.Table
	Consumers                      int
	Policy                         string     // its name
	Applied                        wire.Table // arguments that it gives the queue
	subscription                   string
}

// BindingInfo is what leads from an exchange to a queue or another exchange.
type BindingInfo struct {
	Source, Destination string
	ToExchange          bool
	Key                 string
	Arguments           wire.Table
}

// platform is the prefix of streams and subscriptions that are no exchanges and queues of anybody's.
const platform = "leat."

func namespaceOf(c *broker.Caller) string { return cmp.Or(c.Namespace, broker.DefaultNamespace) }

// StreamOf is the stream that an exchange is, SubscriptionOf the subscription that a queue is: what grants are about.
func StreamOf(exchange string) string { return streamOf(exchange) }

// SubscriptionOf is told with StreamOf.
func SubscriptionOf(queue string) string { return ourName(queue) }

// Exchanges lists the exchanges, by name; those that every virtual host has are among them.
func (g *Gateway) Exchanges(ctx context.Context, c *broker.Caller) ([]ExchangeInfo, error) {
	streams, err := g.b.ListStreams(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make([]ExchangeInfo, 0, len(streams)+len(predeclared))
	for _, name := range slices.Sorted(maps.Keys(predeclared)) {
		out = append(out, ExchangeInfo{Name: name, Type: predeclared[name], Durable: true, Internal: name == traceExchange, stream: streamOf(name)})
	}
	for i := range streams {
		d, _ := g.b.OwnStream(namespaceOf(c), streams[i].Name, documentExchange)
		x := readExchange(d.Document)
		name := ownExchange(broker.OwnStream{Name: streams[i].Name, Document: d.Document})
		if _, is := predeclared[name]; is || x.Deleted || streams[i].Internal {
			continue
		}
		out = append(out, ExchangeInfo{name, x.Type, x.Durable, x.AutoDelete, x.Internal, x.Table, streams[i].Name})
	}
	slices.SortFunc(out, func(a, b ExchangeInfo) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Published is how many messages an exchange has taken since its stream was made.
func (g *Gateway) Published(ctx context.Context, c *broker.Caller, x *ExchangeInfo) (n int64, err error) {
	info, err := g.b.DescribeStream(ctx, c, x.stream)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	for _, p := range info.Partitions {
		n += int64(p.End)
	}
	return n, err
}

// Queues lists the queues, by name.
func (g *Gateway) Queues(ctx context.Context, c *broker.Caller) ([]QueueInfo, error) {
	subs, err := g.b.ListSubscriptions(ctx, c)
	if err != nil {
		return nil, err
	}
	namespace := namespaceOf(c)
	out := make([]QueueInfo, 0, len(subs))
	for i := range subs {
		if strings.HasPrefix(subs[i].Name, platform) {
			continue
		}
		q := queueOf(&subs[i].Config)
		name := queueNameOf(subs[i].Name, &subs[i].Config)
		out = append(out, QueueInfo{name, q.Type, q.Durable, q.AutoDelete, q.Exclusive, q.Table, g.consumersOf(queueKey{namespace, name}), q.Policy, q.Applied, subs[i].Name})
	}
	slices.SortFunc(out, func(a, b QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Depth is how a queue stands.
func (g *Gateway) Depth(ctx context.Context, c *broker.Caller, q *QueueInfo) (broker.SubscriptionInfo, error) {
	return g.b.DescribeSubscription(ctx, c, q.subscription)
}

// Bindings lists all bindings; each queue has one to the exchange without a name.
func (g *Gateway) Bindings(ctx context.Context, c *broker.Caller) ([]BindingInfo, error) {
	subs, err := g.b.ListSubscriptions(ctx, c)
	if err != nil {
		return nil, err
	}
	var out []BindingInfo
	for i := range subs {
		if strings.HasPrefix(subs[i].Name, platform) {
			continue
		}
		name := queueNameOf(subs[i].Name, &subs[i].Config)
		out = append(out, BindingInfo{Destination: name, Key: name})
		for _, b := range readBindings(subs[i].Config.Documents[documentBindings]) {
			out = append(out, BindingInfo{b.Source, name, false, b.Key, b.Table})
		}
	}
	streams, err := g.b.ListStreams(ctx, c)
	if err != nil {
		return nil, err
	}
	for i := range streams {
		d, _ := g.b.OwnStream(namespaceOf(c), streams[i].Name, documentBindings)
		for _, b := range readBindings(d.Document) {
			out = append(out, BindingInfo{b.Source, g.nameOf(namespaceOf(c), streams[i].Name), true, b.Key, b.Table})
		}
	}
	slices.SortStableFunc(out, func(a, b BindingInfo) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Destination, b.Destination), strings.Compare(a.Key, b.Key))
	})
	return out, nil
}

// consumersOf is how many consumers a queue has.
func (g *Gateway) consumersOf(q queueKey) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.users[q]
}
