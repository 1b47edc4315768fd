package broker

import (
	"cmp"
	"slices"

	"leat/broker/record"
	"leat/broker/subscription"
)

func (x *subscribed) own() OwnSubscription {
	return OwnSubscription{Namespace: x.namespace, Name: x.name, ID: uint32(x.id), Revision: x.revision, Config: x.doc.SubscriptionConfig}
}

// OwnSubscription is the subscription of a name, false when there is none. What its configuration refers to is shared and never changed. An empty
// namespace is the default one.
func (b *Broker) OwnSubscription(namespace, name string) (OwnSubscription, bool) {
	x := b.subs.get(cmp.Or(namespace, DefaultNamespace), name)
	if x == nil {
		return OwnSubscription{}, false
	}
	return x.own(), true
}

// OwnSubscriptions are the subscriptions of a namespace that have a document under a key, by name, as OwnSubscription gives them.
func (b *Broker) OwnSubscriptions(namespace, key string) []OwnSubscription {
	namespace = cmp.Or(namespace, DefaultNamespace)
	var out []OwnSubscription
	b.subs.mu.RLock()
	for k, x := range b.subs.byName {
		if k.namespace == namespace && x.doc.Documents[key] != "" {
			out = append(out, x.own())
		}
	}
	b.subs.mu.RUnlock()
	slices.SortFunc(out, func(x, y OwnSubscription) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

// Reached are the names of the subscriptions that a record would reach by its address, were it appended to a stream now, of those that are
// routed. Nobody is asked whether he may; a stream that is not there leads nowhere.
func (b *Broker) Reached(namespace, stream string, rec *record.Record) []string {
	n := b.names.get(cmp.Or(namespace, DefaultNamespace), stream)
	if n == nil {
		return nil
	}
	index := b.subs.routing[n.shard].Load()
	if !index.Reads(n.id) {
		return nil
	}
	typ := cmp.Or(n.config.DefaultType, DefaultEventType)
	x := b.subs.matchers.Get().(*matching)
	defer b.subs.matchers.Put(x)
	x.rec.Of(n.id, rec, typ, &x.scratch)
	if !x.m.Match(index, &x.rec) {
		return nil
	}
	var out []string
	for _, class := range x.m.IDs() {
		for _, id := range b.shards[n.shard].Published().Members(subscription.ClassID(class)) {
			if s := b.subs.of(n.shard, id); s != nil {
				out = append(out, s.name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// OwnCaller is who a gateway is when it does what nobody has asked for: ending what lives as long as a connection or a program. No request of
// a client's is done as this caller.
func (b *Broker) OwnCaller(namespace string) *Caller {
	return platformIn(cmp.Or(namespace, DefaultNamespace))
}

// OwnCallerFor is c when a gateway does, in its own way, what c has asked for and the gateway has found that c may: what is told of it names c.
func (b *Broker) OwnCallerFor(c *Caller) *Caller {
	own := *c
	own.platform = true
	return &own
}

// Death is a record that a subscription has given up.
type Death struct {
	Namespace    string
	Subscription string
	Config       *SubscriptionConfig // shared, never changed
	Reason       string              // rejected, exhausted, expired, overflown
	Attempts     int
	TimeMS       int64
	Origin       *Delivered // shared, never changed
}

// Undertaker says what becomes of a record that a subscription has given up: the events are appended in the frame that settles it; without
// any it is dropped. It may be called again for the same record, and by several goroutines.
type Undertaker func(*Death) []EventEntry

// SetUndertaker has an undertaker serve the subscriptions that ask for it by name. Until it is there, what they give up waits.
func (b *Broker) SetUndertaker(name string, u Undertaker) { b.subs.undertakers.Store(name, u) }

// undertaker is that of a subscription, nil when it asks for none.
func (b *Broker) undertaker(x *subscribed) (u Undertaker, there bool) {
	if x.doc.Undertaker == "" {
		return nil, true
	}
	v, ok := b.subs.undertakers.Load(x.doc.Undertaker)
	if !ok {
		return nil, false
	}
	return v.(Undertaker), true
}

// death is what an undertaker is told.
func (b *Broker) death(x *subscribed, v subscription.Burial, d *Delivered) *Death {
	return &Death{
		Namespace: x.namespace, Subscription: x.name, Config: &x.doc.SubscriptionConfig, Reason: v.Reason.String(), Attempts: int(v.Attempts),
		TimeMS: b.nowMS(), Origin: d,
	}
}
