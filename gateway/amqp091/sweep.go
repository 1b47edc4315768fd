package amqp091

import (
	"context"
	"sync"
	"time"

	"leat/internal/clock"
)

// Queues that go when nobody has used them for a while (x-expires), and what a start finds of a life before.

// idle is a queue that goes when it is not used.
type idle struct {
	after time.Duration
	used  time.Time
}

// Sweeping.
const (
	sweepPause = 50 * time.Millisecond // between looks, while there are queues that expire
	sweepers   = 16                    // that delete at a time after a start
)

// used notes that a queue was declared or asked for a message.
func (g *Gateway) used(key queueKey, q *queue) {
	v, ok := q.get(argumentExpires)
	if !ok {
		return
	}
	ms, _ := v.Int()
	g.mu.Lock()
	g.idles[key] = idle{time.Duration(ms) * time.Millisecond, clock.Now()}
	g.mu.Unlock()
}

// touch notes that a queue of which it is known that it expires was used.
func (g *Gateway) touch(key queueKey) {
	g.mu.Lock()
	if i, ok := g.idles[key]; ok {
		i.used = clock.Now()
		g.idles[key] = i
	}
	g.mu.Unlock()
}

// forget notes that a queue is gone.
func (g *Gateway) forget(key queueKey) {
	g.mu.Lock()
	delete(g.idles, key)
	g.mu.Unlock()
}

// sweep deletes queues that nobody has used, until ctx ends.
func (g *Gateway) sweep(ctx context.Context) {
	for clock.Sleep(ctx, sweepPause) == nil {
		now := clock.Now()
		var due []queueKey
		g.mu.Lock()
		for key, i := range g.idles {
			switch {
			case g.users[key] > 0:
				i.used = now
				g.idles[key] = i
			case now.Sub(i.used) >= i.after:
				due = append(due, key)
			}
		}
		g.mu.Unlock()
		for _, key := range due {
			if err := g.dropQueue(ctx, g.b.OwnCaller(key.namespace), key); err != nil {
				g.log.Warn("a queue that expired could not be deleted", "queue", key.name, "error", err)
			}
		}
	}
}

// begin is done once, before anybody is served: what is not durable, and what belonged to a connection, is gone with the program that had it;
// what leads to queues is made again, in case a change of exchanges was cut short.
func (g *Gateway) begin(ctx context.Context) {
	for _, ns := range g.b.OwnNamespaces() {
		g.topology.Lock()
		for _, s := range g.b.OwnStreams(ns, documentExchange) {
			x := readExchange(s.Document)
			if x.Durable || x.Deleted {
				continue
			}
			if _, err := g.removeExchange(ctx, g.b.OwnCaller(ns), ns, ownExchange(s)); err != nil {
				g.log.Warn("an exchange that is not durable could not be deleted", "exchange", s.Name, "error", err)
			}
		}
		g.topology.Unlock()
		g.beginQueues(ctx, ns)
	}
}

func (g *Gateway) beginQueues(ctx context.Context, ns string) {
	all := g.b.OwnSubscriptions(ns, documentReader)
	for _, s := range all {
		g.dropReader(ctx, ns, s.Name)
	}
	all = g.b.OwnSubscriptions(ns, documentQueue)
	var workers sync.WaitGroup
	for w := range min(sweepers, len(all)) {
		workers.Go(func() {
			for i := w; i < len(all); i += sweepers {
				s := &all[i]
				q := queueOf(&s.Config)
				key := queueKey{ns, queueNameOf(s.Name, &s.Config)}
				if q.Durable && !q.Exclusive {
					g.used(key, &q)
					continue
				}
				if err := g.dropQueue(ctx, g.b.OwnCaller(key.namespace), key); err != nil {
					g.log.Warn("a queue that is not durable could not be deleted", "queue", key.name, "error", err)
				}
			}
		})
	}
	workers.Wait()
	g.topology.Lock()
	defer g.topology.Unlock()
	t := g.topologyOf(ns)
	for _, s := range g.b.OwnSubscriptions(ns, documentBindings) {
		gone := func(b *binding) bool { return t.exchange(b.Source) == nil }
		if err := g.rebindQueue(ctx, t, s, gone); err != nil {
			g.log.Warn("what leads to a queue could not be made again", "queue", s.Name, "error", err)
		}
	}
}
