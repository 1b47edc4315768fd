package broker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/subscription"
)

// A gateway that has something to do for subscriptions keeps what it needs to know in their Documents, under a key of its own. What is here is for
// that gateway: nobody is asked whether he may.

// OwnSubscription is a subscription with a document of the gateway's.
type OwnSubscription struct {
	Namespace string
	Name      string
	ID        uint32
	Revision  uint64
	Config    SubscriptionConfig // a copy
}

// SubscriptionWatch follows the subscriptions that have a document under one key.
type SubscriptionWatch struct {
	key     string
	changed chan struct{}
	mu      sync.Mutex
	found   map[subKey]*subscribed
}

// WatchSubscriptions follows the subscriptions that have a document under a key, from now on and as long as the broker is open.
func (b *Broker) WatchSubscriptions(key string) *SubscriptionWatch {
	w := &SubscriptionWatch{key: key, changed: make(chan struct{}, 1), found: map[subKey]*subscribed{}}
	s := &b.subs
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = append(s.watches, w)
	for k, x := range s.byID {
		w.take(k, x)
	}
	return w
}

// Changed fires when something may have changed since All was called. It holds one token.
func (w *SubscriptionWatch) Changed() <-chan struct{} { return w.changed }

// All are the subscriptions as they are now, by namespace and name.
func (w *SubscriptionWatch) All() []OwnSubscription {
	w.mu.Lock()
	out := make([]OwnSubscription, 0, len(w.found))
	for _, x := range w.found {
		out = append(out, OwnSubscription{Namespace: x.namespace, Name: x.name, ID: uint32(x.id), Revision: x.revision, Config: x.config()})
	}
	w.mu.Unlock()
	slices.SortFunc(out, func(x, y OwnSubscription) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	return out
}

// take notes what a subscription is now; nil: it is gone.
func (w *SubscriptionWatch) take(k subKey, x *subscribed) {
	w.mu.Lock()
	was := w.found[k]
	if x != nil && x.doc.Documents[w.key] != "" {
		w.found[k] = x
	} else {
		delete(w.found, k)
	}
	changed := was != nil || w.found[k] != nil
	w.mu.Unlock()
	if changed {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// tellWatches tells of a subscription that is there, or gone. mu is held.
func (s *subscriptions) tellWatches(k subKey, x *subscribed) {
	for _, w := range s.watches {
		w.take(k, x)
	}
}

// SetOwnDocument changes the document that a gateway keeps with a subscription; edit may be called again when somebody else was faster. NotFound when
// the subscription of that number is gone.
func (b *Broker) SetOwnDocument(ctx context.Context, namespace, name string, id uint32, key string, edit func(old string) (string, error)) error {
	c := platformIn(namespace)
	var err error
	for range alterTriesMax {
		x := b.subs.get(namespace, name)
		if x == nil || uint32(x.id) != id {
			return fault.New(fault.NotFound, "put", name, "there is no subscription %q", name)
		}
		err = b.putSubscription(ctx, c, name, func(s *SubscriptionConfig) error {
			doc, err := edit(s.Documents[key])
			if err != nil {
				return err
			}
			s.Documents = maps.Clone(s.Documents)
			if s.Documents == nil {
				s.Documents = map[string]string{}
			}
			if s.Documents[key] = doc; doc == "" {
				delete(s.Documents, key)
			}
			return nil
		}, Start{Kind: StartLatest}, x.revision)
		if !again(err) {
			return err
		}
	}
	return err
}

// Headers of a dead letter whose receiver said why it failed.
const (
	HeaderDeadStatus = "leat-dead-status" // what it answered, such as 500
	HeaderDeadAnswer = "leat-dead-answer" // the first bytes of that
	HeaderDeadError  = "leat-dead-error"  // in words
)

// causesMax bounds what is remembered of failures until their letters are written.
const causesMax = 10_000

// causes is why deliveries failed that are about to become dead letters. It is volatile: after a crash in between the letter says less.
type causes struct {
	mu sync.Mutex
	of map[causeKey][]record.Header
}

type causeKey struct {
	shard int
	id    subscription.ID
	at    subscription.At
}

// Because remembers why a delivery failed, in case that it becomes a dead letter now: call it before Release or Reject of what may be its last attempt.
func (b *Broker) Because(h Handle, why []record.Header) {
	c := &b.subs.causes
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil || len(c.of) >= causesMax {
		c.of = map[causeKey][]record.Header{} // what did not become a letter was left here
	}
	c.of[causeKey{h.shard, h.h.Sub, h.h.At}] = why
}

// cause is what is remembered of a record: until forget, since a letter may have to be written more than once.
func (c *causes) cause(k causeKey) []record.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[k]
}

func (c *causes) forget(k causeKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.of, k)
}
