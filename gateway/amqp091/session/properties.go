package session

import (
	"leat/gateway/amqp091/wire"
	"leat/internal/assert"
)

// What the server says it is. Clients ask: kombu, and with it Celery, reads a product other than RabbitMQ, or one before 3.3, as a server
// that takes basic.qos as the specification means it. 4.x would stand for the loss of things that are here: prefetch over a channel,
// queues that are neither durable nor exclusive.
const (
	product        = "RabbitMQ"
	productVersion = "3.13.7"
)

// capabilities are those that clients look for before they use what they name.
var capabilities = []string{
	"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked", "consumer_priorities",
	"authentication_failure_close", "per_consumer_qos", "direct_reply_to",
}

// ServerProperties are those of connection.start, for a node of this name and version of ours.
func ServerProperties(node, version string) wire.Table {
	var able, t wire.Table
	for _, name := range capabilities {
		able = add(able, name, wire.Bool(true))
	}
	t = add(t, "capabilities", wire.TableValue(able))
	t = add(t, "cluster_name", wire.String(node))
	t = add(t, "information", wire.String("Leat "+version+", which speaks the protocol of RabbitMQ "+productVersion))
	t = add(t, "platform", wire.String("Leat "+version))
	t = add(t, "product", wire.String(product))
	return add(t, "version", wire.String(productVersion))
}

func add(t wire.Table, name string, v wire.Value) wire.Table {
	t, err := t.Add(name, v)
	assert.That(err == nil, "the names of server properties are short")
	return t
}
