package amqp091

import (
	"context"

	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
)

// Sender-selected distribution: the headers CC and BCC have further routing keys of a message, and BCC is taken out before anybody gets it. A
// message has one subject here, so it is copied for queues that only the others lead to (route.go).

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
		case headerCC:
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

// publishMany stores a message that has further keys. What is stored first is of the copies: the message is confirmed when all are there.
func (k *conn) publishMany(ctx context.Context, ch *channel, t *target, m *session.Content, keys [][]byte) error {
	to, r, queues, reached, err := k.many(ctx, t, m, keys)
	if err != nil {
		return err
	}
	if m.Mandatory && !reached {
		if err := k.giveBackMessage(ch, m); err != nil {
			return err
		}
	}
	if len(queues) > 0 {
		direct, err := k.targetByQueues(ctx)
		if err != nil {
			return err
		}
		for _, q := range queues {
			one := forQueue(&r, q, to.exchange, m.RoutingKey)
			if err := k.store(ctx, ch, direct, &one, 0); err != nil {
				return err
			}
		}
	}
	return k.store(ctx, ch, to, &r, ch.nextNumber())
}
