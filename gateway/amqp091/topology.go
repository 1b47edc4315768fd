package amqp091

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter/address"
	"leat/gateway/amqp091/wire"
)

// topology is exchanges and what binds them in one namespace, as it is looked up. Whoever changes an exchange or a binding between exchanges holds
// Gateway.topology for writing, whoever binds a queue holds it for reading: so what leads to a queue is made of exchanges that stay.
type topology struct {
	g         *Gateway
	namespace string
	exchanges map[string]*exchange // as looked up; nil: there is none
	sources   map[string][]binding // of an exchange that is a destination
}

func (g *Gateway) topologyOf(namespace string) *topology {
	return &topology{g: g, namespace: namespace, exchanges: map[string]*exchange{}, sources: map[string][]binding{}}
}

// exchange is the exchange of a name, nil when there is none.
func (t *topology) exchange(name string) *exchange {
	x, looked := t.exchanges[name]
	if !looked {
		x = t.g.exchangeOf(t.namespace, name)
		t.exchanges[name] = x
	}
	return x
}

// exchangeOf is the exchange of a name, nil when there is none. Those that each virtual host has are there although their stream may not be.
func (g *Gateway) exchangeOf(namespace, name string) *exchange {
	if kind, is := predeclared[name]; is {
		return &exchange{Type: kind, Durable: true, Internal: name == traceExchange}
	}
	s, is := g.b.OwnStream(namespace, streamOf(name), documentExchange)
	if !is && s.Name == "" {
		return nil
	}
	x := readExchange(s.Document)
	if x.Deleted {
		return nil
	}
	return &x
}

// bindings are those of which an exchange is the destination.
func (t *topology) bindings(name string) []binding {
	bs, looked := t.sources[name]
	if !looked {
		s, _ := t.g.b.OwnStream(t.namespace, streamOf(name), documentBindings)
		bs = readBindings(s.Document)
		t.sources[name] = bs
	}
	return bs
}

// filterKey is an address filter as something that can be looked up.
func filterKey(f *broker.AddressFilter) string {
	k := make([]byte, 0, 64)
	k = append(append(append(k, f.Stream...), 0, byte(f.Subject.Syntax)), f.Subject.Text...)
	for _, h := range f.Headers {
		k = append(append(append(append(k, 0), h.Name...), 0), h.Value...)
		if h.Present {
			k = append(k, 1)
		}
	}
	return string(k)
}

// resolve is what reaches a queue: by its name, and by its bindings with all that leads to their exchanges. It fails when that is too much.
func (t *topology) resolve(queue string, bs []binding) ([]broker.AddressFilter, error) {
	out := []broker.AddressFilter{(&clause{subject: subject{address.Exact, queue}}).filter(defaultStream)}
	r, known := &resolving{stepsMax}, map[string]bool{filterKey(&out[0]): true}
	add := func(source string, cs []clause) {
		for i := range cs {
			f := cs[i].filter(streamOf(source))
			if k := filterKey(&f); !known[k] {
				known[k] = true
				out = append(out, f)
			}
		}
	}
	deep := false
	var follow func(b *binding, behind []clause, path []string)
	follow = func(b *binding, behind []clause, path []string) {
		x := t.exchange(b.Source)
		if x == nil || slices.Contains(path, b.Source) {
			return
		}
		if len(path) >= pathMax {
			deep = true
			return
		}
		cs := clausesOf(x.routing(), b)
		if len(path) > 0 {
			cs = r.both(cs, behind)
		}
		if len(cs) == 0 {
			return
		}
		add(b.Source, cs)
		path = append(slices.Clip(path), b.Source)
		ups := t.bindings(b.Source)
		for i := range ups {
			follow(&ups[i], cs, path)
		}
	}
	for i := range bs {
		follow(&bs[i], nil, nil)
	}
	if deep || r.steps <= 0 || len(out) > clausesMax {
		return nil, tooMuch(queue)
	}
	return out, nil
}

// put sets what reaches a queue.
func (t *topology) put(c *broker.SubscriptionConfig, queue string, bs []binding) error {
	filters, err := t.resolve(queue, bs)
	if err != nil {
		return err
	}
	t.set(c, filters, bs)
	return nil
}

// add adds a binding to those that a queue has, whose clauses stay as they are.
func (t *topology) add(c *broker.SubscriptionConfig, queue string, b *binding) error {
	more, err := t.resolve(queue, []binding{*b})
	if err != nil {
		return err
	}
	filters := slices.Clone(c.Address)
	for _, f := range more {
		if !slices.ContainsFunc(filters, func(g broker.AddressFilter) bool { return sameFilter(f, g) }) {
			filters = append(filters, f)
		}
	}
	if len(filters) > clausesMax {
		return tooMuch(queue)
	}
	t.set(c, filters, append(readBindings(c.Documents[documentBindings]), *b))
	return nil
}

func tooMuch(queue string) error {
	return fault.New(fault.TooLarge, "bind", queue, "what leads to the queue is too much: %d clauses, or %d exchanges one behind another, are the limit", clausesMax, pathMax)
}

// set sets clauses and bindings. Streams that the queue does not read yet are added.
func (t *topology) set(c *broker.SubscriptionConfig, filters []broker.AddressFilter, bs []binding) {
	c.Address = filters
	for i := range bs {
		if x := t.exchange(bs[i].Source); x != nil && x.Type == typeDelayed {
			c.Policy.Expires = true // what is delayed is known as such before anybody looks
		}
	}
	for i := range filters {
		if !slices.Contains(c.Streams, filters[i].Stream) {
			c.Streams = append(c.Streams, filters[i].Stream)
		}
	}
	if len(bs) > 0 {
		c.Documents[documentBindings] = document(bs)
	} else {
		delete(c.Documents, documentBindings)
	}
}

// streams makes the streams of exchanges that each virtual host has, where they are not there.
func (t *topology) streams(ctx context.Context, filters []broker.AddressFilter) error {
	for i := range filters {
		name := exchangeOf(filters[i].Stream)
		if kind, is := predeclared[name]; is {
			if err := t.g.makeStream(ctx, t.namespace, name, &exchange{Type: kind, Durable: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeStream makes the stream of an exchange unless it is there.
func (g *Gateway) makeStream(ctx context.Context, namespace, name string, x *exchange) error {
	if s, _ := g.b.OwnStream(namespace, streamOf(name), documentExchange); s.Name != "" {
		return nil
	}
	_, err := g.b.CreateStream(ctx, g.b.OwnCaller(namespace), streamOf(name), newStream(x))
	if fault.Is(err, fault.Exists) {
		return nil
	}
	return err
}

// behind are the exchanges to which something leads from one, itself the first.
func (t *topology) behind(name string) []string {
	down := map[string][]string{}
	for _, s := range t.g.b.OwnStreams(t.namespace, documentBindings) {
		to := t.g.nameOf(t.namespace, s.Name)
		for _, b := range readBindings(s.Document) {
			down[b.Source] = append(down[b.Source], to)
		}
	}
	all := []string{name}
	for i := 0; i < len(all); i++ {
		for _, to := range down[all[i]] {
			if !slices.Contains(all, to) {
				all = append(all, to)
			}
		}
	}
	return all
}

// again sets anew what reaches the queues that are bound to some exchanges, after what leads there has changed. drop says which bindings are no
// more. Nobody binds meanwhile: that takes the reading lock.
func (g *Gateway) again(ctx context.Context, namespace string, exchanges []string, drop func(*binding) bool) error {
	marks := make([]string, len(exchanges))
	for i := range marks {
		marks[i] = `"source":` + document(exchanges[i])
	}
	t := g.topologyOf(namespace)
	for _, s := range g.b.OwnSubscriptions(namespace, documentBindings) {
		if !slices.ContainsFunc(marks, func(m string) bool { return strings.Contains(s.Config.Documents[documentBindings], m) }) {
			continue
		}
		if err := g.rebindQueue(ctx, t, s, drop); err != nil {
			return err
		}
	}
	return nil
}

// rebindQueue sets anew what reaches a queue, if it is something else.
func (g *Gateway) rebindQueue(ctx context.Context, t *topology, s broker.OwnSubscription, drop func(*binding) bool) error {
	bs := readBindings(s.Config.Documents[documentBindings])
	left := slices.DeleteFunc(slices.Clone(bs), func(b binding) bool { return drop(&b) })
	name := queueNameOf(s.Name, &s.Config)
	filters, err := t.resolve(name, left)
	if err != nil {
		return err
	}
	if len(left) == len(bs) && slices.EqualFunc(filters, s.Config.Address, sameFilter) {
		return nil
	}
	if err := t.streams(ctx, filters); err != nil {
		return err
	}
	_, err = g.b.PutSubscription(ctx, g.b.OwnCaller(t.namespace), s.Name, func(c *broker.SubscriptionConfig) error {
		if len(c.Streams) == 0 {
			return fault.New(fault.NotFound, "bind", name, "the queue was deleted")
		}
		return t.put(c, name, left)
	}, broker.Start{Kind: broker.StartLatest}, 0)
	g.readersAgain(ctx, queueKey{t.namespace, name})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func sameFilter(f, g broker.AddressFilter) bool {
	return f.Stream == g.Stream && f.Subject == g.Subject && slices.Equal(f.Headers, g.Headers)
}

// queueNameOf is the queue that a subscription is.
func queueNameOf(subscription string, c *broker.SubscriptionConfig) string {
	if q := queueOf(c); q.Name != "" {
		return q.Name
	}
	name, _ := theirName(subscription)
	return name
}

// ownExchange is the exchange that a stream is.
func ownExchange(s broker.OwnStream) string {
	if x := readExchange(s.Document); x.Name != "" {
		return x.Name
	}
	return exchangeOf(s.Name)
}

// nameOf is the exchange that a stream is, whose document is not at hand.
func (g *Gateway) nameOf(namespace, stream string) string {
	s, _ := g.b.OwnStream(namespace, stream, documentExchange)
	return ownExchange(s)
}

// leaves reports whether anything leads from an exchange to a queue or another exchange.
func (g *Gateway) leaves(namespace, name string) bool {
	from := func(text string) bool {
		return slices.ContainsFunc(readBindings(text), func(b binding) bool { return b.Source == name })
	}
	for _, s := range g.b.OwnStreams(namespace, documentBindings) {
		if from(s.Document) {
			return true
		}
	}
	for _, s := range g.b.OwnSubscriptions(namespace, documentBindings) {
		if from(s.Config.Documents[documentBindings]) {
			return true
		}
	}
	return false
}

// tidyUp deletes exchanges that delete themselves and from which nothing leads any more, of those from which something has led until now. The
// topology is held for writing.
func (g *Gateway) tidyUp(ctx context.Context, namespace string, names []string) {
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		x := g.exchangeOf(namespace, name)
		if x == nil || !x.AutoDelete || g.leaves(namespace, name) {
			continue
		}
		more, err := g.removeExchange(ctx, g.b.OwnCaller(namespace), namespace, name)
		if err != nil {
			g.log.Warn("an exchange that deletes itself could not be deleted", "exchange", name, "error", err)
			continue
		}
		names = append(names, more...)
	}
}

// selfDeleting are those of the sources that delete themselves.
func (g *Gateway) selfDeleting(namespace string, bs []binding) (names []string) {
	for i := range bs {
		if x := g.exchangeOf(namespace, bs[i].Source); x != nil && x.AutoDelete && !slices.Contains(names, bs[i].Source) {
			names = append(names, bs[i].Source)
		}
	}
	return names
}

// removeExchange ends an exchange. Its stream stays while queues read it, for what they have not had yet. It answers from which exchanges
// something has led to this one. The topology is held for writing.
func (g *Gateway) removeExchange(ctx context.Context, c *broker.Caller, namespace, name string) (upstream []string, err error) {
	s := streamOf(name)
	behind := g.topologyOf(namespace).behind(name)
	own, _ := g.b.OwnStream(namespace, s, documentBindings)
	for _, b := range readBindings(own.Document) {
		upstream = append(upstream, b.Source)
	}
	_, err = g.b.AlterStream(ctx, c, s, func(c *broker.StreamConfig) error {
		x := readExchange(c.Documents[documentExchange])
		x.Deleted = true
		c.Documents[documentExchange] = document(&x)
		delete(c.Documents, documentBindings)
		return nil
	}, 0)
	if err != nil {
		return nil, err
	}
	g.changed.Add(1)
	for _, d := range g.b.OwnStreams(namespace, documentBindings) {
		if !slices.ContainsFunc(readBindings(d.Document), func(b binding) bool { return b.Source == name }) {
			continue
		}
		if err := g.dropSource(ctx, c, d.Name, func(b binding) bool { return b.Source == name }); err != nil {
			return nil, err
		}
	}
	if err := g.again(ctx, namespace, behind, func(b *binding) bool { return b.Source == name }); err != nil {
		return nil, err
	}
	if !g.read(ctx, namespace, s) {
		err = g.b.DeleteStream(ctx, c, s)
		if fault.Is(err, fault.NotFound) {
			err = nil
		}
	}
	return upstream, err
}

// dropSource takes bindings away from an exchange that is their destination.
func (g *Gateway) dropSource(ctx context.Context, c *broker.Caller, stream string, drop func(binding) bool) error {
	_, err := g.b.AlterStream(ctx, c, stream, func(c *broker.StreamConfig) error {
		bs := slices.DeleteFunc(readBindings(c.Documents[documentBindings]), drop)
		if delete(c.Documents, documentBindings); len(bs) > 0 {
			c.Documents[documentBindings] = document(bs)
		}
		return nil
	}, 0)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// read reports whether any subscription reads a stream.
func (g *Gateway) read(ctx context.Context, namespace, stream string) bool {
	all, err := g.b.ListSubscriptions(ctx, g.b.OwnCaller(namespace))
	return err != nil || slices.ContainsFunc(all, func(s broker.SubscriptionSummary) bool { return slices.Contains(s.Config.Streams, stream) })
}

func (k *conn) noExchange(name string, by wire.ID) error {
	return &wire.Error{Code: wire.NotFound, Method: by, Text: fmt.Sprintf("no exchange '%s' in vhost '%s'", name, k.vhost())}
}

func (k *conn) noQueue(name string, by wire.ID) error {
	return &wire.Error{Code: wire.NotFound, Method: by, Text: fmt.Sprintf("no queue '%s' in vhost '%s'", name, k.vhost())}
}

// us is who does what the client has asked for and was found to be allowed.
func (k *conn) us() *broker.Caller { return k.g.b.OwnCallerFor(k.caller) }

// vhost is the virtual host as the client calls it.
func (k *conn) vhost() string {
	if k.host == "" {
		return "/"
	}
	return k.host
}

// denied is a refusal of the broker in RabbitMQ's words.
func (k *conn) denied(err error, kind, name string, by wire.ID) error {
	if !fault.Is(err, fault.Denied) {
		return refusal(err, by)
	}
	return k.refusedTo(kind, name, by)
}

// refusedTo refuses a user an exchange or a queue.
func (k *conn) refusedTo(kind, name string, by wire.ID) error {
	if kind == "exchange" {
		name = exchangeName(name)
	}
	return &wire.Error{
		Code: wire.AccessRefused, Method: by,
		Text: fmt.Sprintf("access to %s '%s' in vhost '%s' refused for user '%s'", kind, name, k.vhost(), k.caller.Principal),
	}
}
