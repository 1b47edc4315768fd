package amqp091

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/amqp091/wire"
)

// What a queue gives up goes by its dead letter exchange to whatever is bound to that, with the story of its deaths in the header x-death:
//
//	x-death = [ {count, reason, queue, time, exchange, routing-keys, original-expiration}, … ]    the last death first, one for each queue and reason
//
// A message that would come to a queue again through which it has come since somebody rejected it is dropped for that queue: it would go round for ever.
// Others that it reaches get copies (route.go).

// deathReasons are RabbitMQ's words.
var deathReasons = map[string]string{"overflown": "maxlen", "exhausted": "delivery_limit"}

// deathRejected is the reason that is somebody's doing.
const deathRejected = "rejected"

// Headers of deaths.
const (
	headerDeath              = "x-death"
	headerCC                 = "CC"
	headerFirstDeathExchange = "x-first-death-exchange"
	headerFirstDeathQueue    = "x-first-death-queue"
	headerFirstDeathReason   = "x-first-death-reason"
)

// death is what is told of one.
type death struct {
	queue, reason, exchange, key string
	seconds                      int64
	expiration                   []byte // that the message had
}

// undertake says what becomes of a message that a queue has given up.
func (g *Gateway) undertake(d *broker.Death) []broker.EventEntry {
	q := queueOf(d.Config)
	v, _ := q.get(argumentDeadExchange)
	dead, ok := v.Text()
	if !ok {
		return nil
	}
	from, key, raw, body := message(d.Origin)
	if from == nil {
		from = []byte(exchangeOf(d.Origin.Ref.Stream))
	}
	one := death{
		queue: queueNameOf(d.Subscription, d.Config), reason: cmp.Or(deathReasons[d.Reason], d.Reason),
		exchange: string(from), key: string(key), seconds: d.TimeMS / 1000,
	}
	var p wire.Properties
	if p.Decode(raw) != nil {
		p = wire.Properties{}
	}
	one.expiration = p.Expiration
	p.Flags &^= wire.HasExpiration
	p.Expiration = nil
	deaths := one.write(&p)
	if v, ok := q.get(argumentDeadKey); ok {
		key, _ = v.Text()
		p.Headers = p.Headers.Without(headerCC)
	}
	keys := append([]string{string(key)}, copiedKeys(p.Headers)...)
	raw, err := p.Append(nil)
	if err != nil {
		return nil
	}
	if body == nil {
		body = []byte{}
	}
	x := string(dead)
	for range pathMax {
		to := g.exchangeOf(d.Namespace, x)
		if to == nil || g.makeStream(context.Background(), d.Namespace, x, to) != nil {
			return nil
		}
		r := record.Record{Value: body, Headers: []record.Header{{Key: "ce_subject", Value: key}, {Key: headerProperties, Value: raw}}}
		if p.Flags&wire.HasContentType != 0 {
			r.Headers = append(r.Headers, record.Header{Key: "content-type", Value: p.ContentType})
		}
		l := g.leadOf(d.Namespace, x)
		if l == nil {
			return nil // just now
		}
		if x != string(dead) && l.name == "" {
			r.Headers = append(r.Headers, record.Header{Key: headerExchange, Value: dead})
		}
		l.dress(&r, p.Headers)
		reached, others := g.spread(d.Namespace, x, l, &r, keys, p.Headers)
		if len(reached)+len(others) == 0 {
			next, is := to.alternate()
			if !is {
				return nil
			}
			x = next
			continue
		}
		entry := func(stream string, r record.Record) broker.EventEntry {
			return broker.EventEntry{Stream: stream, Partition: record.NoPartition, Record: r}
		}
		again := func(q string) bool { return circles(q, deaths) }
		queues := g.queuesNamed(d.Namespace, reached)
		copied := slices.DeleteFunc(g.queuesNamed(d.Namespace, others), again)
		var out []broker.EventEntry
		if slices.ContainsFunc(queues, again) {
			copied = append(copied, slices.DeleteFunc(queues, again)...)
		} else if len(reached) > 0 {
			out = append(out, entry(streamOf(x), r))
		}
		for _, q := range copied {
			out = append(out, entry(defaultStream, forQueue(&r, q, string(dead), key)))
		}
		return out
	}
	return nil
}

// copiedKeys are the routing keys in the header CC of a message that was published.
func copiedKeys(headers wire.Table) (keys []string) {
	v, _ := headers.Get(headerCC)
	list, _ := v.Array()
	for v := range list.All() {
		if key, is := v.Text(); is {
			keys = append(keys, string(key))
		}
	}
	return keys
}

// write adds a death to the headers of a message and answers all deaths, the last first.
func (d *death) write(p *wire.Properties) []wire.Table {
	old, _ := p.Headers.Get(headerDeath)
	array, was := old.Array()
	count, told := int64(1), wire.Table(nil)
	var others []wire.Table
	for v := range array.All() {
		t, ok := v.Table()
		if !ok {
			continue
		}
		if textOf(t, "queue") == d.queue && textOf(t, "reason") == d.reason {
			if n, ok := t.Get("count"); ok {
				c, _ := n.Int()
				count += max(c, 0)
			} else {
				count++
			}
			if told == nil {
				told = t.Without("count")
			}
			continue
		}
		others = append(others, t)
	}
	if told == nil {
		told = d.table(p.Headers)
	}
	first, _ := wire.Table(nil).Add("count", wire.Int64(count))
	first = append(first, told...)
	if was {
		first = sorted(first)
	}
	deaths := append([]wire.Table{first}, others...)
	var out wire.Array
	for _, t := range deaths {
		out = out.Add(wire.TableValue(t))
	}
	add := func(name string, v wire.Value) { p.Headers, _ = p.Headers.Without(name).Add(name, v) } // our names are short
	add(headerDeath, wire.ArrayValue(out))
	if !was {
		add(headerFirstDeathReason, wire.String(d.reason))
		add(headerFirstDeathQueue, wire.String(d.queue))
		add(headerFirstDeathExchange, wire.String(d.exchange))
	}
	p.Headers = sorted(p.Headers)
	p.Flags |= wire.HasHeaders
	return deaths
}

// table is a new death. The keys of the header CC are among the routing keys.
func (d *death) table(headers wire.Table) (t wire.Table) {
	keys := wire.Array(nil).Add(wire.String(d.key))
	for _, key := range copiedKeys(headers) {
		if key != d.key {
			keys = keys.Add(wire.String(key))
		}
	}
	add := func(name string, v wire.Value) { t, _ = t.Add(name, v) } // our names are short
	add("reason", wire.String(d.reason))
	add("queue", wire.String(d.queue))
	add("time", wire.Timestamp(d.seconds))
	add("exchange", wire.String(d.exchange))
	add("routing-keys", wire.ArrayValue(keys))
	if d.expiration != nil {
		add("original-expiration", wire.StringBytes(d.expiration))
	}
	return t
}

func textOf(t wire.Table, name string) string {
	v, _ := t.Get(name)
	s, _ := v.Text()
	return string(s)
}

// sorted is a table by names, as RabbitMQ leaves those that it has changed.
func sorted(t wire.Table) wire.Table {
	type entry struct {
		name string
		v    wire.Value
	}
	var es []entry
	for name, v := range t.All() {
		es = append(es, entry{string(name), v})
	}
	slices.SortStableFunc(es, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	out := make(wire.Table, 0, len(t))
	for _, e := range es {
		out, _ = out.Add(e.name, e.v) // it was in a table
	}
	return out
}

// circles reports whether a message that has died so comes to a queue again without anybody's having rejected it since.
func circles(queue string, deaths []wire.Table) bool {
	for _, t := range deaths {
		if textOf(t, "reason") == deathRejected {
			return false
		}
		if textOf(t, "queue") == queue {
			return true
		}
	}
	return false
}

// withNumber are properties with a header of the broker's own.
func withNumber(raw []byte, name string, n int64) []byte {
	var p wire.Properties
	if p.Decode(raw) != nil {
		return raw
	}
	p.Headers, _ = p.Headers.Without(name).Add(name, wire.Int64(n)) // our names are short
	p.Flags |= wire.HasHeaders
	out, err := p.Append(nil)
	if err != nil {
		return raw
	}
	return out
}

// Headers of deliveries.
const (
	headerDeliveries = "x-delivery-count" // how often before
	headerOffset     = "x-stream-offset"  // which message of a stream
)
