package broker

import "cmp"

// StreamBrief is what a gateway that shares out partitions needs to know of a stream.
type StreamBrief struct {
	Name       string
	UID        StreamUID
	Partitions int32
}

// StreamsVersion is another number once a stream came, went or was changed, whichever: who has looked since, and finds it as it was, need not look again.
func (b *Broker) StreamsVersion() uint64 { return b.names.changed.Load() }

// OwnStreamBrief is a stream by its name; false: there is none. Nobody is asked whether he may know.
func (b *Broker) OwnStreamBrief(namespace, name string) (StreamBrief, bool) {
	n := b.names.get(cmp.Or(namespace, DefaultNamespace), name)
	if n == nil {
		return StreamBrief{}, false
	}
	return StreamBrief{n.name, n.uid, n.config.Partitions}, true
}

// OwnStreamBriefs calls fn for the streams of a namespace that c may describe, in no order. fn must be quick and must not call back.
func (b *Broker) OwnStreamBriefs(c *Caller, fn func(StreamBrief)) {
	may := b.allowed(c, ActionDescribe, KindStream)
	namespace := c.namespace()
	b.names.mu.RLock()
	defer b.names.mu.RUnlock()
	for k, n := range b.names.streams {
		if k.namespace == namespace && may(n.name) {
			fn(StreamBrief{n.name, n.uid, n.config.Partitions})
		}
	}
}
