package amqp091

import (
	"context"
	"slices"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter/address"
	"leat/broker/record"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// A message lies once in the stream of its exchange, and whom it reaches there is all there is to say: nearly always. Where it is not, since it has
// several routing keys, or since one of the queues must not have it, it is copied for single queues: to the stream of the exchange without a name,
// whose routing keys are names of queues, with what it was published with beside it.
//
//	to ex: k, CC [c]    stream ex:  k          reaches a, b        (a is bound by c too: once is enough)
//	                    amqp.default: "d"      reaches d, as k of ex, which is bound by c

// hop is a binding between exchanges, as far as it matters to a message.
type hop struct {
	from, to string
	clauses  []clause
}

// hops are the bindings by which a message may go on from an exchange.
func (t *topology) hops(name string) (hs []hop) {
	behind := t.behind(name)
	for _, to := range behind[1:] {
		bs := t.bindings(to)
		for i := range bs {
			if x := t.exchange(bs[i].Source); x != nil && slices.Contains(behind, bs[i].Source) {
				hs = append(hs, hop{bs[i].Source, to, clausesOf(x.routing(), &bs[i])})
			}
		}
	}
	return hs
}

// met reports whether a message with a routing key and headers follows a clause.
func (c *clause) met(key string, headers wire.Table) bool {
	r := resolving{stepsMax}
	switch s := c.subject; {
	case s.syntax == address.Exact && s.text != key, s.syntax == address.Words && !r.matches(words(s.text), words(key)):
		return false
	}
	for _, h := range c.headers {
		v, ok := headers.Get(h.Name[len(headerPrefix):])
		if !ok || !h.Present && headerText(v) != h.Value {
			return false
		}
	}
	return true
}

// exchanges are those to which a message comes that has several routing keys, the first one being where it was published.
func (l *lead) exchanges(name string, keys []string, headers wire.Table) []string {
	all := []string{name}
	for grown := true; grown; {
		grown = false
		for i := range l.hops {
			h := &l.hops[i]
			if slices.Contains(all, h.to) || !slices.Contains(all, h.from) {
				continue
			}
			if slices.ContainsFunc(h.clauses, func(c clause) bool {
				return slices.ContainsFunc(keys, func(k string) bool { return c.met(k, headers) })
			}) {
				all, grown = append(all, h.to), true
			}
		}
	}
	return all
}

// spread says whom a message reaches that has several routing keys: by the first where it is stored, and who else. r has the first.
func (g *Gateway) spread(namespace, name string, l *lead, r *record.Record, keys []string, headers wire.Table) (stored, others []string) {
	stored = g.b.Reached(namespace, streamOf(name), r)
	for _, x := range l.exchanges(name, keys, headers) {
		for _, key := range keys {
			own := withSubject(r, key)
			for _, s := range g.b.Reached(namespace, streamOf(x), &own) {
				if !slices.Contains(stored, s) && !slices.Contains(others, s) {
					others = append(others, s)
				}
			}
		}
	}
	return stored, others
}

// withSubject is a record with another routing key.
func withSubject(r *record.Record, key string) record.Record {
	own := *r
	own.Headers = append(make([]record.Header, 0, len(r.Headers)+3), record.Header{Key: "ce_subject", Value: []byte(key)})
	for _, h := range r.Headers {
		if h.Key != "ce_subject" {
			own.Headers = append(own.Headers, h)
		}
	}
	return own
}

// forQueue is a record that reaches one queue, and looks there as it would by its own exchange and routing key.
func forQueue(r *record.Record, queue, exchange string, key []byte) record.Record {
	own := withSubject(r, queue)
	has := func(name string) bool {
		return slices.ContainsFunc(r.Headers, func(h record.Header) bool { return h.Key == name })
	}
	if !has(headerKey) {
		own.Headers = append(own.Headers, record.Header{Key: headerKey, Value: append([]byte{}, key...)})
	}
	if exchange != "" && !has(headerExchange) {
		own.Headers = append(own.Headers, record.Header{Key: headerExchange, Value: []byte(exchange)})
	}
	return own
}

// queuesNamed are the queues that subscriptions are; others, and readers of streams, are left out.
func (g *Gateway) queuesNamed(namespace string, subscriptions []string) (names []string) {
	for _, s := range subscriptions {
		if own, ok := g.b.OwnSubscription(namespace, s); ok && own.Config.Documents[documentQueue] != "" {
			names = append(names, queueNameOf(s, &own.Config))
		}
	}
	return names
}

// subjectOf is the routing key of a record.
func subjectOf(r *record.Record) []byte {
	for _, h := range r.Headers {
		if h.Key == "ce_subject" {
			return h.Value
		}
	}
	return nil
}

// many finds the way of a message that has further keys: where it is stored, and for which queues it is copied. It goes on by alternates while no key
// leads anywhere.
func (k *conn) many(ctx context.Context, t *target, m *session.Content, further [][]byte) (to *target, r record.Record, queues []string, reached bool, err error) {
	now := clock.Now()
	recordOf(&r, m)
	r.Timestamp = now.UnixMilli()
	if err := limit(&r, m, now); err != nil {
		return nil, r, nil, false, err
	}
	t.lead.dress(&r, m.Properties.Headers)
	keys := []string{string(m.RoutingKey)}
	for _, key := range further {
		keys = append(keys, string(key))
	}
	to = t
	for range pathMax {
		stored, others := k.g.spread(k.namespace(), to.exchange, to.lead, &r, keys, m.Properties.Headers)
		if len(stored)+len(others) > 0 {
			return to, r, k.g.queuesNamed(k.namespace(), others), true, nil
		}
		if !to.lead.another {
			break
		}
		name := to.lead.alternate
		l := k.g.leadOf(k.namespace(), name)
		if l == nil {
			break
		}
		if to == t {
			r.Headers = append(r.Headers, record.Header{Key: headerExchange, Value: m.Exchange})
		}
		if to, err = k.lookAt(ctx, k.pub.targets[name], name, l); err != nil {
			return nil, r, nil, false, err
		}
	}
	return t, r, nil, false, nil
}

// targetByQueues is the target of copies for single queues, whatever the user may do there himself.
func (k *conn) targetByQueues(ctx context.Context) (*target, error) {
	if t := k.pub.targets[""]; t != nil && t.lead.changed == k.g.changed.Load() {
		return t, nil
	}
	return k.lookAt(ctx, k.pub.targets[""], "", k.g.leadOf(k.namespace(), ""))
}

// apart stores a record that a full queue has refused for each other one that it reaches, and reports whether all have it: then there was room again.
// Those that want it have what they refuse as a dead letter.
func (k *conn) apart(ctx context.Context, stream string, r *record.Record) bool {
	ns := k.namespace()
	reached := k.g.b.Reached(ns, stream, r)
	all := true
	for _, s := range reached {
		own, ok := k.g.b.OwnSubscription(ns, s)
		if !ok || own.Config.Documents[documentQueue] == "" {
			continue
		}
		if len(reached) > 1 {
			one := forQueue(r, queueNameOf(s, &own.Config), k.g.nameOf(ns, stream), subjectOf(r))
			_, err := k.g.b.AppendEvents(ctx, k.us(), broker.EventsAppend{Events: []broker.EventEntry{{Stream: defaultStream, Partition: record.NoPartition, Record: one}}})
			if err == nil {
				continue
			}
			if !fault.Is(err, fault.QuotaSpent) {
				all = false
				continue
			}
		}
		all = false
		k.g.buryRefused(ctx, ns, &own, stream, r)
	}
	return all && len(reached) > 1
}

// buryRefused makes a dead letter of what a queue refuses, where it has reject-publish-dlx.
func (g *Gateway) buryRefused(ctx context.Context, namespace string, own *broker.OwnSubscription, stream string, r *record.Record) {
	q := queueOf(&own.Config)
	if v, _ := q.get(argumentOverflow); plain(v) != overflowBury || own.Config.Undertaker == "" {
		return
	}
	letters := g.undertake(&broker.Death{ //nolint:contextcheck // as for the broker, which has none for it
		Namespace: namespace, Subscription: own.Name, Config: &own.Config, Reason: "overflown", TimeMS: clock.Now().UnixMilli(),
		Origin: &broker.Delivered{Record: r, Ref: record.Ref{Stream: stream}},
	})
	if len(letters) == 0 {
		return
	}
	if _, err := g.b.AppendEvents(ctx, g.b.OwnCaller(namespace), broker.EventsAppend{Events: letters}); err != nil {
		g.log.Warn("what a full queue refused could not be made a dead letter", "queue", own.Name, "error", err)
	}
}
