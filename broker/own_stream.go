package broker

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
)

// OwnStream is a stream with a document of a gateway's, for that gateway: nobody is asked whether he may.
type OwnStream struct {
	Name     string
	ID       record.StreamID
	Revision uint64
	Created  time.Time
	Document string // under the gateway's key
}

func (n *named) own(key string) (OwnStream, bool) {
	doc, ok := n.config.Documents[key]
	return OwnStream{n.name, n.id, n.revision, n.created, doc}, ok
}

// OwnStream is the stream of a name with what a gateway keeps with it under a key; false when there is none, or no such document. An empty
// namespace is the default one.
func (b *Broker) OwnStream(namespace, name, key string) (OwnStream, bool) {
	n := b.names.get(cmp.Or(namespace, DefaultNamespace), name)
	if n == nil {
		return OwnStream{}, false
	}
	return n.own(key)
}

// OwnStreams are the streams of a namespace that have a document under a key, by name.
func (b *Broker) OwnStreams(namespace, key string) []OwnStream {
	namespace = cmp.Or(namespace, DefaultNamespace)
	var out []OwnStream
	b.names.mu.RLock()
	for k, n := range b.names.streams {
		if k.namespace == namespace {
			if s, ok := n.own(key); ok {
				out = append(out, s)
			}
		}
	}
	b.names.mu.RUnlock()
	slices.SortFunc(out, func(x, y OwnStream) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

// OwnSecret is bytes of a gateway's that are kept for ever and told to nobody; make is asked for them the first time. Of several who ask at once
// all get the same.
func (b *Broker) OwnSecret(name string, make func() ([]byte, error)) ([]byte, error) {
	n := catalog.Name{Kind: catalog.Secret, Name: name}
	if e := b.shards[0].Published().Entry(n); e != nil {
		return e.Document, nil
	}
	p, err := make()
	if err != nil {
		return nil, err
	}
	put := &shard.PutDocument{Name: n, Document: p, Expected: catalog.NoRevision}
	if _, err := b.shards[0].Do(b.choreContext(), put); err != nil && !fault.Is(err, fault.Exists) {
		return nil, err
	}
	if e := b.shards[0].Published().Entry(n); e != nil {
		return e.Document, nil
	}
	return nil, fault.New(fault.Unavailable, "make", name, "a secret is being made; try again")
}

// SubscriptionWith is the subscription of a name that has a document under a key; false when there is none. As with OwnStream, nobody is asked.
func (b *Broker) SubscriptionWith(namespace, name, key string) (SubscriptionSummary, bool) {
	x := b.subs.get(cmp.Or(namespace, DefaultNamespace), name)
	if x == nil || x.doc.Documents[key] == "" {
		return SubscriptionSummary{}, false
	}
	return x.summary(), true
}

// SubscriptionsWith are the subscriptions of a namespace that have a document under a key, by name.
func (b *Broker) SubscriptionsWith(namespace, key string) []SubscriptionSummary {
	namespace = cmp.Or(namespace, DefaultNamespace)
	var out []SubscriptionSummary
	b.subs.mu.RLock()
	for k, x := range b.subs.byName {
		if k.namespace == namespace && x.doc.Documents[key] != "" {
			out = append(out, x.summary())
		}
	}
	b.subs.mu.RUnlock()
	slices.SortFunc(out, func(x, y SubscriptionSummary) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

func (x *subscribed) summary() SubscriptionSummary {
	return SubscriptionSummary{x.name, uint32(x.id), x.config(), x.created(), x.revision}
}

// OwnNamespaces are the namespaces in which there are streams or subscriptions.
func (b *Broker) OwnNamespaces() []string {
	seen := map[string]struct{}{}
	b.names.mu.RLock()
	for k := range b.names.streams {
		seen[k.namespace] = struct{}{}
	}
	b.names.mu.RUnlock()
	b.subs.mu.RLock()
	for k := range b.subs.byName {
		seen[k.namespace] = struct{}{}
	}
	b.subs.mu.RUnlock()
	return slices.Sorted(maps.Keys(seen))
}
