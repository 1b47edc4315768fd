package amqp091

import (
	"context"

	"leat/broker/record"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// Sender-selected distribution: the headers CC and BCC have further routing keys of a message, and BCC is taken out before anybody gets it. A
// message has one subject here, so it is stored once more for each key by which it reaches somebody. What RabbitMQ does not do: a queue that is
// bound by two of the keys gets it twice.

// furtherKeys are the routing keys in the headers CC and BCC. BCC is taken out of the message.
func furtherKeys(m *session.Content) ([][]byte, error) {
	if m.Properties.Flags&wire.HasHeaders == 0 {
		return nil, nil
	}
	var keys [][]byte
	blind := false
	for name, v := range m.Properties.Headers.All() {
		switch string(name) {
		case "BCC":
			blind = true
		case "CC":
		default:
			continue
		}
		list, is := v.Array()
		if !is {
			return nil, badKeys(name)
		}
		for v := range list.All() {
			key, is := v.Text()
			if !is || len(key) > wire.ShortBytesMax {
				return nil, badKeys(name)
			}
			keys = append(keys, key)
		}
	}
	if blind {
		p := m.Properties
		p.Headers = p.Headers.Without("BCC")
		raw, err := p.Append(nil)
		if err != nil {
			return nil, badKeys([]byte("BCC"))
		}
		m.Properties, m.RawProperties = p, raw
	}
	return keys, nil
}

func badKeys(name []byte) *wire.Error {
	return &wire.Error{Code: wire.PreconditionFailed, Method: wire.IDBasicPublish, Text: "the header '" + string(name) + "' is no array of routing keys"}
}

// copies gives add a record for each further key by which a message reaches somebody, and reports whether there is any.
func (k *conn) copies(ctx context.Context, t *target, m *session.Content, keys [][]byte, add func(*target, *record.Record) error) (any bool, err error) {
	now := clock.Now()
	for _, key := range keys {
		if string(key) == string(m.RoutingKey) {
			continue
		}
		own := *m
		own.RoutingKey = key
		var r record.Record
		to, err := k.recordFor(ctx, t, &own, now, &r)
		if err != nil {
			return any, err
		}
		reached, err := k.g.b.Reaches(k.us(), to.stream, &r)
		if err != nil {
			return any, noExchange(err, k.host, to.exchange)
		}
		if !reached {
			continue
		}
		any = true
		r.Headers = append(r.Headers, record.Header{Key: headerKey, Value: m.RoutingKey})
		if err := add(to, &r); err != nil {
			return any, err
		}
	}
	return any, nil
}

// publishMany stores a message that has further keys. What is stored first is of the copies: the message is confirmed when all are there.
func (k *conn) publishMany(ctx context.Context, ch *channel, t *target, m *session.Content, keys [][]byte) error {
	own := k.pub.rec
	own.Headers = append([]record.Header(nil), own.Headers...)
	copied, err := k.copies(ctx, t, m, keys, func(t *target, r *record.Record) error { return k.store(ctx, ch, t, r, 0) })
	if err != nil {
		return err
	}
	if m.Mandatory && !copied {
		if err := k.mandatory(ch, t, m, &own); err != nil {
			return err
		}
	}
	return k.store(ctx, ch, t, &own, ch.nextNumber())
}
