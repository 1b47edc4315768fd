package amqp091

import (
	"bytes"
	"strings"
	"testing"

	"leat/gateway/amqp091/wire"
)

// The largest message that may be comes out as it went in; a larger one closes the channel as RabbitMQ does, and costs nobody anything.
func TestLarge_MessageOfTheLargestSize(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	c.queue(t, "jobs")
	p := make([]byte, messageBytesLimit)
	for i := range p {
		p[i] = byte(i * i >> 8)
	}
	c.fill(t, "jobs", string(p))
	c.prefetch(t, 1, false)
	c.consume(t, "jobs", "x", false)
	d := c.delivery(t)
	if !bytes.Equal([]byte(d.body), p) {
		t.Fatalf("%d bytes came of %d, or others", len(d.body), len(p))
	}
	c.ack(t, d.tag, false)
	c.done(t)
	c.publish(t, "", "jobs", strings.Repeat("x", messageBytesLimit+1), false)
	c.closed(t, wire.PreconditionFailed, "is larger than configured max size")
	c.fill(t, "jobs", "small")
}
