package amqp091

import (
	"net"
	"strings"
	"testing"
	"time"

	"leat/gateway/amqp091/wire"
)

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(testPatience))
	c, err := start(conn, "guest", "guest")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must[M wire.Method](t *testing.T, c *client, m wire.Method) M {
	t.Helper()
	got, err := call[M](c, m)
	if err != nil {
		t.Fatalf("%s: %v", wire.Text(m), err)
	}
	return got
}

func next[M wire.Method](t *testing.T, c *client) M {
	t.Helper()
	m, err := expect[M](c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (c *client) publish(t *testing.T, exchange, key, body string, mandatory bool) {
	t.Helper()
	p := wire.Properties{Flags: wire.HasContentType, ContentType: []byte("text/plain")}
	raw, err := p.Append(nil)
	if err == nil {
		err = c.w.Content(1, &wire.BasicPublish{Exchange: []byte(exchange), RoutingKey: []byte(key), Mandatory: mandatory}, raw, []byte(body))
	}
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// content reads the header and the body behind a method.
func (c *client) content(t *testing.T) (contentType, body string) {
	t.Helper()
	f, err := c.frame()
	if err != nil {
		t.Fatal(err)
	}
	h, err := wire.DecodeContentHeader(f.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var p wire.Properties
	if err := p.Decode(h.Properties); err != nil {
		t.Fatal(err)
	}
	contentType = string(p.ContentType)
	for uint64(len(body)) < h.BodyBytes {
		if f, err = c.frame(); err != nil {
			t.Fatal(err)
		}
		body += string(f.Payload)
	}
	return contentType, body
}

func TestPublish_ConfirmedConsumedSettled(t *testing.T) {
	addr := serve(t, newBroker(t))
	c := dial(t, addr)
	must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("jobs"), Durable: true})
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	for _, body := range []string{"one", "two"} {
		c.publish(t, "", "jobs", body, true)
		next[*wire.BasicAck](t, c)
	}
	c.publish(t, "", "nobody", "lost", true)
	if r := next[*wire.BasicReturn](t, c); r.ReplyCode != wire.NoRoute {
		t.Errorf("returned with %d", r.ReplyCode)
	}
	if _, body := c.content(t); body != "lost" {
		t.Errorf("%q came back", body)
	}
	if a := next[*wire.BasicAck](t, c); a.DeliveryTag != 3 {
		t.Errorf("confirmed %d, want 3", a.DeliveryTag)
	}

	d := dial(t, addr)
	must[*wire.BasicQoSOK](t, d, &wire.BasicQoS{PrefetchCount: 1})
	must[*wire.BasicConsumeOK](t, d, &wire.BasicConsume{Queue: []byte("jobs"), ConsumerTag: []byte("a")})
	first := next[*wire.BasicDeliver](t, d)
	if first.DeliveryTag != 1 || first.Redelivered || string(first.RoutingKey) != "jobs" || len(first.Exchange) != 0 {
		t.Errorf("first delivery: %s", wire.Text(first))
	}
	if kind, body := d.content(t); body != "one" || kind != "text/plain" {
		t.Errorf("first delivery: %q of type %q", body, kind)
	}
	if err := d.send(1, &wire.BasicNack{DeliveryTag: 1, Requeue: true}); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for tag := uint64(2); tag <= 3; tag++ {
		m := next[*wire.BasicDeliver](t, d)
		if m.DeliveryTag != tag {
			t.Errorf("tag %d, want %d", m.DeliveryTag, tag)
		}
		again := m.Redelivered
		_, body := d.content(t)
		if again != (body == "one") {
			t.Errorf("%q redelivered: %v", body, again)
		}
		got[body]++
		if err := d.send(1, &wire.BasicAck{DeliveryTag: tag}); err != nil {
			t.Fatal(err)
		}
	}
	if got["one"] != 1 || got["two"] != 1 {
		t.Errorf("after the nack came %v", got)
	}
	must[*wire.BasicCancelOK](t, d, &wire.BasicCancel{ConsumerTag: []byte("a")})
	must[*wire.BasicGetEmpty](t, d, &wire.BasicGet{Queue: []byte("jobs")})
	if m := must[*wire.ChannelClose](t, d, &wire.BasicAck{DeliveryTag: 2}); m.ReplyCode != wire.PreconditionFailed {
		t.Errorf("a second ack is answered with %d", m.ReplyCode)
	}
}

func TestBind_TopicReachesItsQueuesOnly(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	must[*wire.ExchangeDeclareOK](t, c, &wire.ExchangeDeclare{Exchange: []byte("logs"), Type: []byte("topic"), Durable: true})
	for queue, key := range map[string]string{"errors": "*.error", "all": "#"} {
		must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte(queue), Durable: true})
		must[*wire.QueueBindOK](t, c, &wire.QueueBind{Queue: []byte(queue), Exchange: []byte("logs"), RoutingKey: []byte(key)})
	}
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	for _, key := range []string{"disk.error", "disk.info"} {
		c.publish(t, "logs", key, key, false)
		next[*wire.BasicAck](t, c)
	}
	count := func(queue string) uint32 {
		return must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte(queue), Passive: true}).MessageCount
	}
	if e, a := count("errors"), count("all"); e != 1 || a != 2 {
		t.Errorf("errors has %d and all has %d, want 1 and 2", e, a)
	}
	m := must[*wire.BasicGetOK](t, c, &wire.BasicGet{Queue: []byte("errors"), NoAck: true})
	if string(m.Exchange) != "logs" || string(m.RoutingKey) != "disk.error" {
		t.Errorf("got %s", wire.Text(m))
	}
	c.content(t)
	must[*wire.QueueUnbindOK](t, c, &wire.QueueUnbind{Queue: []byte("errors"), Exchange: []byte("logs"), RoutingKey: []byte("*.error")})
	c.publish(t, "logs", "disk.error", "late", false)
	next[*wire.BasicAck](t, c)
	if n := count("errors"); n != 0 {
		t.Errorf("after unbind %d came", n)
	}
	if n := must[*wire.QueuePurgeOK](t, c, &wire.QueuePurge{Queue: []byte("all")}).MessageCount; n != 3 {
		t.Errorf("purged %d, want 3", n)
	}
	if n := count("all"); n != 0 {
		t.Errorf("after the purge there are %d", n)
	}
}

func TestQueue_ExclusiveEndsWithItsConnection(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, d := dial(t, addr), dial(t, addr)
	name := append([]byte(nil), must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Exclusive: true}).Queue...)
	if m := must[*wire.ChannelClose](t, d, &wire.QueueDeclare{Queue: name, Passive: true}); m.ReplyCode != wire.ResourceLocked {
		t.Errorf("another connection is answered with %d", m.ReplyCode)
	}
	if err := c.send(0, &wire.ConnectionClose{ReplyCode: 200}); err != nil {
		t.Fatal(err)
	}
	next[*wire.ConnectionCloseOK](t, c)
	if m := must[*wire.ChannelClose](t, dial(t, addr), &wire.QueueDeclare{Queue: name, Passive: true}); m.ReplyCode != wire.NotFound {
		t.Errorf("afterwards it is answered with %d", m.ReplyCode)
	}
}

func TestPublish_NoSuchExchangeEndsTheChannel(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	c.publish(t, "nope", "k", "x", false)
	if m := next[*wire.ChannelClose](t, c); m.ReplyCode != wire.NotFound {
		t.Errorf("answered with %d", m.ReplyCode)
	}
}

func TestPublish_WhatFollowsARefusedOneIsNotHeard(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	raw, _ := (&wire.Properties{}).Append(nil)
	for _, exchange := range []string{"nope", "amq.topic"} {
		if err := c.w.Content(1, &wire.BasicPublish{Exchange: []byte(exchange)}, raw, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.send(1, &wire.QueueDeclare{Queue: []byte("q")}); err != nil { // all in one piece
		t.Fatal(err)
	}
	if m := next[*wire.ChannelClose](t, c); m.ReplyCode != wire.NotFound {
		t.Errorf("answered with %d", m.ReplyCode)
	}
	if err := c.send(1, &wire.ChannelCloseOK{}); err != nil {
		t.Fatal(err)
	}
	must[*wire.ChannelOpenOK](t, c, &wire.ChannelOpen{})
	if m := must[*wire.ChannelClose](t, c, &wire.QueueDeclare{Queue: []byte("q"), Passive: true}); m.ReplyCode != wire.NotFound {
		t.Errorf("the queue was declared: %d", m.ReplyCode)
	}
}

// What the single active consumer of a queue has outlives a purge, as what any other has.
func TestPurge_LeavesWhatTheSingleActiveConsumerHas(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	single, err := wire.Table(nil).Add("x-single-active-consumer", wire.Bool(true))
	if err != nil {
		t.Fatal(err)
	}
	must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("one"), Arguments: single})
	c.fill(t, "one", "a", "b", "c")
	c.prefetch(t, 1, false)
	c.consume(t, "one", "x", false)
	d := c.delivery(t)
	if n := must[*wire.QueuePurgeOK](t, c, &wire.QueuePurge{Queue: []byte("one")}).MessageCount; n != 2 {
		t.Errorf("%d were purged", n)
	}
	if err := c.send(1, &wire.BasicNack{DeliveryTag: d.tag, Requeue: true}); err != nil {
		t.Fatal(err)
	}
	if again := c.delivery(t); again.body != "a" {
		t.Errorf("%q came back", again.body)
	}
}

// What the platform makes of its own does not meet a queue there.
func TestQueue_NamesOfThePlatform(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	if err := c.send(1, &wire.QueueDeclare{Queue: []byte("leat.quarantine")}); err != nil {
		t.Fatal(err)
	}
	if m := next[*wire.ChannelClose](t, c); m.ReplyCode != wire.AccessRefused || !strings.Contains(string(m.ReplyText), "leat.*") {
		t.Errorf("%d %s", m.ReplyCode, m.ReplyText)
	}
}
