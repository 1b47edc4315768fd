package amqp091

import (
	"strings"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
)

// This file is the only one that knows both vocabularies; doc.go has the table.

// defaultStream holds what is published to the exchange without a name.
const defaultStream = "amqp.default"

// Headers of records that are this protocol's, besides headerPrefix.
const (
	headerProperties = "amqp.properties" // as they came: flags and values
	headerKey        = "amqp.key"        // with which a message was published that is stored under a further key
	headerExchange   = "amqp.exchange"   // to which a message was published, where its stream is another's or does not tell
	headerDeliverAt  = broker.HeaderDeliverAt
)

// streamOf is the stream in which an exchange keeps what is published to it.
func streamOf(exchange string) string {
	if exchange == "" {
		return defaultStream
	}
	return ourName(exchange)
}

// exchangeOf is the exchange that a stream is.
func exchangeOf(stream string) string {
	if stream == defaultStream {
		return ""
	}
	name, _ := theirName(stream)
	return name
}

// Types of exchanges.
const (
	typeDirect  = "direct"
	typeTopic   = "topic"
	typeFanout  = "fanout"
	typeHeaders = "headers"
	typeDelayed = "x-delayed-message" // with x-delayed-type another one, and x-delay in a message
)

// traceExchange is there, and nothing comes by it.
const traceExchange = "amq.rabbitmq.trace"

// predeclared are the exchanges that every virtual host has.
var predeclared = map[string]string{
	"": typeDirect, "amq.direct": typeDirect, "amq.topic": typeTopic, "amq.fanout": typeFanout, "amq.headers": typeHeaders, "amq.match": typeHeaders,
	traceExchange: typeTopic,
}

// newStream is the stream of an exchange: what its queues have is kept for them, and for a day.
func newStream(x *exchange) broker.StreamConfig {
	return broker.StreamConfig{
		Partitions: 1, Keys: broker.KeysOff, Documents: map[string]string{documentExchange: document(x)},
		Keep: broker.Keep{RetentionMS: retentionMS}, BatchBytesMax: broker.BatchBytesLimit,
	}
}

const retentionMS = 24 * 60 * 60 * 1000

// recordOf makes r of a message, whose memory it shares; r.Headers has the memory that headers go to. CloudEvents attributes of the AMQP
// binding become those of the record; all properties go along as they came.
func recordOf(r *record.Record, m *session.Content) {
	r.Value = m.Body
	if r.Value == nil {
		r.Value = []byte{} // without a value it would be a tombstone
	}
	hs := r.Headers[:0]
	if len(m.RoutingKey) > 0 {
		hs = append(hs, record.Header{Key: "ce_subject", Value: m.RoutingKey})
	}
	if len(m.Properties.ContentType) > 0 {
		hs = append(hs, record.Header{Key: "content-type", Value: m.Properties.ContentType})
	}
	for name, v := range m.Properties.Headers.All() {
		attribute, is := cloudAttribute(name)
		if text, ok := v.Text(); is && ok && attribute != "subject" {
			hs = append(hs, record.Header{Key: "ce_" + attribute, Value: text})
		}
	}
	r.Headers = append(hs, record.Header{Key: headerProperties, Value: m.RawProperties})
}

// cloudAttribute is the CloudEvents attribute that a header of a message carries. The AMQP binding has a colon, which some clients cannot
// write and an underscore stands for.
func cloudAttribute(name []byte) (string, bool) {
	const prefix = "cloudEvents"
	if n := len(prefix); len(name) > n+1 && string(name[:n]) == prefix && (name[n] == ':' || name[n] == '_') {
		return string(name[n+1:]), true
	}
	return "", false
}

// message is a delivered record as clients of this protocol get it: as it was published, or made of the headers of a record that came in
// another way. exchange is nil where the stream tells it.
func message(d *broker.Delivered) (exchange, routingKey, properties, body []byte) {
	var own []byte
	for i := range d.Record.Headers {
		switch h := &d.Record.Headers[i]; h.Key {
		case headerProperties:
			properties = h.Value
		case "ce_subject":
			routingKey = h.Value
		case headerExchange:
			exchange = h.Value
		case headerKey:
			own = h.Value
		}
	}
	switch {
	case own != nil:
		routingKey = own
	case routingKey == nil:
		routingKey = []byte(record.SubjectOfKey(d.Record.Key))
	}
	if len(routingKey) > wire.ShortBytesMax {
		routingKey = routingKey[:wire.ShortBytesMax]
	}
	if properties == nil {
		properties = foreignProperties(d.Record)
	}
	return exchange, routingKey, properties, d.Record.Value
}

// foreignProperties are those of a record that was no message of this protocol.
func foreignProperties(r *record.Record) []byte {
	p := wire.Properties{Flags: wire.HasDeliveryMode, DeliveryMode: wire.Persistent}
	for i := range r.Headers {
		h := &r.Headers[i]
		if h.Key == "content-type" && len(h.Value) <= wire.ShortBytesMax {
			p.Flags |= wire.HasContentType
			p.ContentType = h.Value
			continue
		}
		name := h.Key
		if attribute, ok := strings.CutPrefix(name, "ce_"); ok {
			name = "cloudEvents:" + attribute
		}
		if t, err := p.Headers.Add(name, wire.StringBytes(h.Value)); err == nil { // a longer name has no place in a table
			p.Headers = t
			p.Flags |= wire.HasHeaders
		}
	}
	out, err := p.Append(nil)
	if err != nil {
		out, _ = (&wire.Properties{}).Append(nil)
	}
	return out
}
