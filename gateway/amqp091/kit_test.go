package amqp091

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"leat/gateway/amqp091/wire"
)

// testPatience is how long a test waits for what must come. Nothing is proven by its end but that it does not come.
const testPatience = time.Minute

// message sends a message with properties on a channel.
func (c *client) message(t *testing.T, channel uint16, m *wire.BasicPublish, p wire.Properties, body string) {
	t.Helper()
	raw, err := p.Append(nil)
	if err == nil {
		err = c.w.Content(channel, m, raw, []byte(body))
	}
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// queue declares a durable queue.
func (c *client) queue(t *testing.T, name string) {
	t.Helper()
	must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte(name), Durable: true})
}

// fill publishes messages to a queue and waits until they are there.
func (c *client) fill(t *testing.T, queue string, bodies ...string) {
	t.Helper()
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	for _, b := range bodies {
		c.publish(t, "", queue, b, false)
	}
	c.confirmed(t, len(bodies))
}

// confirmed reads confirmations of n more messages, all of them acks.
func (c *client) confirmed(t *testing.T, n int) {
	t.Helper()
	for want := c.seen + uint64(n); c.seen < want; {
		a := next[*wire.BasicAck](t, c)
		if a.DeliveryTag <= c.seen || !a.Multiple && a.DeliveryTag != c.seen+1 {
			t.Fatalf("%s after %d", wire.Text(a), c.seen)
		}
		c.seen = a.DeliveryTag
	}
}

// delivery is what was delivered.
type delivery struct {
	tag                 uint64
	consumer, key, body string
	exchange            string
	again               bool
}

func (c *client) delivery(t *testing.T) delivery {
	t.Helper()
	m := next[*wire.BasicDeliver](t, c)
	d := delivery{tag: m.DeliveryTag, consumer: string(m.ConsumerTag), key: string(m.RoutingKey), exchange: string(m.Exchange), again: m.Redelivered}
	_, d.body = c.content(t)
	return d
}

// nothing fails when anything comes within a while. Outside a bubble it may miss what is late.
func (c *client) nothing(t *testing.T, why string) {
	t.Helper()
	_ = c.c.SetReadDeadline(time.Now().Add(60 * time.Millisecond))
	m, err := c.method()
	_ = c.c.SetReadDeadline(time.Now().Add(testPatience))
	var timeout net.Error
	if err == nil {
		t.Fatalf("%s: %s", why, wire.Text(m))
	} else if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%s: %v", why, err)
	}
}

// closed reads the close of channel 1 and checks code and text.
func (c *client) closed(t *testing.T, code wire.ReplyCode, text string) {
	t.Helper()
	m := next[*wire.ChannelClose](t, c)
	if m.ReplyCode != code || !strings.Contains(string(m.ReplyText), text) {
		t.Fatalf("closed with %d %q, want %d %q", m.ReplyCode, m.ReplyText, code, text)
	}
	if err := c.send(1, &wire.ChannelCloseOK{}); err != nil {
		t.Fatal(err)
	}
	must[*wire.ChannelOpenOK](t, c, &wire.ChannelOpen{})
	c.seen = 0
}

func (c *client) ack(t *testing.T, tag uint64, multiple bool) {
	t.Helper()
	if err := c.send(1, &wire.BasicAck{DeliveryTag: tag, Multiple: multiple}); err != nil {
		t.Fatal(err)
	}
}

func (c *client) consume(t *testing.T, queue, tag string, noAck bool, args ...wire.Table) {
	t.Helper()
	m := &wire.BasicConsume{Queue: []byte(queue), ConsumerTag: []byte(tag), NoAck: noAck}
	if len(args) > 0 {
		m.Arguments = args[0]
	}
	must[*wire.BasicConsumeOK](t, c, m)
}

func (c *client) prefetch(t *testing.T, n uint16, global bool) {
	t.Helper()
	must[*wire.BasicQoSOK](t, c, &wire.BasicQoS{PrefetchCount: n, Global: global})
}

// done waits until what was sent is done, whatever is delivered meanwhile.
func (c *client) done(t *testing.T) {
	t.Helper()
	if err := c.send(1, &wire.ChannelFlow{Active: true}); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type != wire.FrameMethod {
			continue
		}
		m, err := c.dec.DecodeMethod(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if _, is := m.(*wire.ChannelFlowOK); is {
			return
		}
	}
}
