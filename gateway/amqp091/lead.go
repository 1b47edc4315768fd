package amqp091

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// Arguments of exchanges.
const (
	argumentAlternate = "alternate-exchange"
	argumentDelayed   = "x-delayed-type"
)

// lead is what of an exchange matters to those who publish to it, beyond its stream.
type lead struct {
	changed   uint64 // Gateway.changed when it was found out
	internal  bool
	headers   bool // it leads to an exchange of type headers, itself maybe
	delayed   bool
	name      string // where the stream does not tell it
	alternate string // ".": itself without a name
	another   bool   // there is an alternate
	hops      []hop  // by which messages go on to other exchanges
}

// special reports whether messages need more than to be stored.
func (l *lead) special() bool { return l.headers || l.delayed || l.another || l.name != "" }

// leadOf finds out about an exchange, nil when there is none. What was found holds until some exchange changes.
func (g *Gateway) leadOf(namespace, name string) *lead {
	changed, key := g.changed.Load(), queueKey{namespace, name}
	if v, ok := g.leads.Load(key); ok && v.(*lead).changed == changed {
		return v.(*lead)
	}
	x := g.exchangeOf(namespace, name)
	if x == nil {
		g.leads.Delete(key)
		return nil
	}
	l := &lead{changed: changed, internal: x.Internal, delayed: x.Type == typeDelayed}
	if _, whole := theirName(streamOf(name)); !whole {
		l.name = name
	}
	l.alternate, l.another = x.alternate()
	t := g.topologyOf(namespace)
	l.hops = t.hops(name)
	for at, i := name, 0; i < pathMax; i++ { // an alternate may be one
		y := t.exchange(at)
		if y == nil {
			break
		}
		for _, b := range t.behind(at) {
			if z := t.exchange(b); z != nil && z.routing() == typeHeaders {
				l.headers = true
			}
		}
		next, is := y.alternate()
		if !is {
			break
		}
		at = next
	}
	g.leads.Store(key, l)
	return l
}

// dress gives the record of a message what it needs to find its way.
func (l *lead) dress(r *record.Record, headers wire.Table) {
	if l.name != "" {
		r.Headers = append(r.Headers, record.Header{Key: headerExchange, Value: []byte(l.name)})
	}
	if l.headers {
		for name, v := range headers.All() {
			r.Headers = append(r.Headers, record.Header{Key: headerPrefix + string(name), Value: []byte(headerText(v))})
		}
	}
	if l.delayed {
		if v, ok := headers.Get("x-delay"); ok {
			if ms, ok := v.Int(); ok && ms > 0 {
				due := clock.Now().UnixMilli() + min(ms, delayMax)
				r.Headers = append(r.Headers, record.Header{Key: headerDeliverAt, Value: strconv.AppendInt(nil, due, 10)})
			}
		}
	}
}

// delayMax is the longest delay, RabbitMQ's.
const delayMax = 1<<32 - 1

// limit gives the record of a message its priority and the time after which it is not delivered any more.
func limit(r *record.Record, m *session.Content, now time.Time) error {
	if m.Properties.Flags&wire.HasPriority != 0 && m.Properties.Priority > 0 {
		r.Headers = append(r.Headers, record.Header{Key: broker.HeaderPriority, Value: strconv.AppendUint(nil, min(uint64(m.Properties.Priority), lanesMax-1), 10)})
	}
	if m.Properties.Flags&wire.HasExpiration == 0 {
		return nil
	}
	text := string(m.Properties.Expiration)
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 || ms > timeToLiveMax {
		return &wire.Error{Code: wire.PreconditionFailed, Method: wire.IDBasicPublish, Text: fmt.Sprintf("invalid expiration '%s': %s", text, badExpiration(text, ms))}
	}
	r.Headers = append(r.Headers, record.Header{Key: broker.HeaderExpiresAt, Value: strconv.AppendInt(nil, now.UnixMilli()+max(ms, neverHeld), 10)})
	return nil
}

// badExpiration says what is wrong with an expiration, in RabbitMQ's words.
func badExpiration(text string, ms int64) string {
	digits := len(text) - len(strings.TrimLeft(strings.TrimPrefix(text, "-"), "0123456789"))
	switch {
	case digits == 0 || text == "-":
		return "no_integer"
	case digits < len(text):
		return fmt.Sprintf("{leftover_string,%q}", text[digits:])
	case ms < 0:
		return fmt.Sprintf("{value_negative,%d}", ms)
	}
	return "{value_too_large," + text + "}"
}
