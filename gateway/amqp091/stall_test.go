package amqp091

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway/amqp091/wire"
)

// A consumer that takes all there is and reads nothing has no more than its share: what others publish and consume goes on, and what it had
// goes to them when it is gone.
func TestStall_AConsumerThatReadsNothingHoldsNobody(t *testing.T) {
	addr := serve(t, newBroker(t))
	stalled, c := dial(t, addr), dial(t, addr)
	c.queue(t, "jobs")
	c.queue(t, "other")
	stalled.prefetch(t, 60, false)
	stalled.consume(t, "jobs", "s", false)
	const n, size = 100, 100_000 // 60 of them are more than sockets take
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = fmt.Sprintf("%03d", i) + strings.Repeat("x", size)
	}
	c.fill(t, "jobs", bodies...)
	got := map[string]bool{}
	c.consume(t, "jobs", "c", false)
	for len(got) < n-60 {
		d := c.delivery(t)
		got[d.body[:3]] = true
		c.ack(t, d.tag, false)
	}
	d := dial(t, addr)
	d.fill(t, "other", "one", "two")
	d.consume(t, "other", "d", false)
	if a, b := d.delivery(t), d.delivery(t); a.body != "one" || b.body != "two" {
		t.Error(a, b)
	}
	_ = stalled.c.Close()
	for len(got) < n {
		d := c.delivery(t)
		got[d.body[:3]] = true
		c.ack(t, d.tag, false)
	}
}

// Clients that vanish with deliveries unacknowledged and publishes unconfirmed lose nothing of what was confirmed, and leave nothing behind.
func TestVanish_WhatTheyHadComesBack(t *testing.T) {
	b := newBroker(t)
	addr := serve(t, b)
	c := dial(t, addr)
	c.queue(t, "jobs")
	const n = 500
	for i := range n {
		c.fill(t, "jobs", fmt.Sprint(i))
	}
	acked := map[string]bool{}
	for i := range 20 {
		v := dial(t, addr)
		v.prefetch(t, 50, false)
		v.consume(t, "jobs", "v", false)
		for range i {
			d := v.delivery(t)
			acked[d.body] = true
			v.ack(t, d.tag, false)
		}
		v.done(t)
		v.publish(t, "", "nowhere", "unconfirmed", true)
		_ = v.c.Close()
	}
	last := dial(t, addr)
	last.consume(t, "jobs", "l", false)
	for len(acked) < n {
		d := last.delivery(t)
		if acked[d.body] {
			t.Fatalf("%s came again after it was acknowledged", d.body)
		}
		acked[d.body] = true
		last.ack(t, d.tag, false)
	}
	for deadline := time.Now().Add(testPatience); ; time.Sleep(10 * time.Millisecond) {
		m := must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("jobs"), Passive: true})
		if m.MessageCount == 0 && m.ConsumerCount == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(wire.Text(m))
		}
	}
	c.fill(t, "jobs", strings.Repeat("x", 3_000_000)) // a buffer that has grown
	_, _ = c.c.Close(), last.c.Close()
	for deadline := time.Now().Add(testPatience); b.MemoryReserved() != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes of the node's memory are still taken", b.MemoryReserved())
		}
	}
}

// A message that is given back again and again is delivered again and again, first of all; the others are delivered where the prefetch has room
// beside it. RabbitMQ does the same.
func TestPoison_OthersArePassedOn(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, other := dial(t, addr), dial(t, addr)
	c.queue(t, "jobs")
	other.fill(t, "jobs", append([]string{"poison"}, strings.Split("abcdefghij", "")...)...)
	c.prefetch(t, 2, false)
	c.consume(t, "jobs", "x", false)
	good, bad := map[string]bool{}, 0
	for len(good) < 10 || bad < 50 {
		d := c.delivery(t)
		if d.body != "poison" {
			good[d.body] = true
			c.ack(t, d.tag, false)
			continue
		}
		if d.again != (bad > 0) {
			t.Errorf("redelivered: %v, after %d times", d.again, bad)
		}
		if bad++; bad > 10_000 {
			t.Fatalf("poison came %d times, and of the others %v", bad, good)
		}
		if err := c.send(1, &wire.BasicNack{DeliveryTag: d.tag, Requeue: true}); err != nil {
			t.Fatal(err)
		}
	}
	if d := c.delivery(t); d.body != "poison" {
		t.Fatal(d)
	} else if err := c.send(1, &wire.BasicReject{DeliveryTag: d.tag}); err != nil { // away with it
		t.Fatal(err)
	}
	if m := must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("jobs"), Passive: true}); m.MessageCount != 0 {
		t.Error(wire.Text(m))
	}
}

// While the disk is full publishers are told, and wait; what they have sent is stored when there is room.
func TestBlocked_WhileTheDiskIsFull(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 30)
	b := newBrokerWith(t, func(o *broker.Options) { o.FreeBytes = func() (int64, int64) { return free.Load(), 1 << 20 } })
	addr := serve(t, b)
	c, worker := dial(t, addr), dial(t, addr)
	c.queue(t, "jobs")
	c.fill(t, "jobs", "before")
	free.Store(1)
	for b.DiskFull() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	c.publish(t, "", "jobs", "while", false)
	if m := next[*wire.ConnectionBlocked](t, c); string(m.Reason) != "low on disk" {
		t.Error(wire.Text(m))
	}
	worker.consume(t, "jobs", "w", false) // who does not publish goes on
	d := worker.delivery(t)
	worker.ack(t, d.tag, false)
	c.nothing(t, "while the disk is full")
	free.Store(1 << 30)
	next[*wire.ConnectionUnblocked](t, c)
	c.confirmed(t, 1)
	if d := worker.delivery(t); d.body != "while" {
		t.Error(d)
	}
}

// A message whose properties do not fit into the frames of a client is no reason for it to come back for ever.
func TestPoison_WhatCannotBeSaidIsRejected(t *testing.T) {
	addr := serve(t, newBroker(t))
	c := dial(t, addr)
	c.queue(t, "jobs")
	c.queue(t, "others")
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	headers, err := wire.Table(nil).Add("much", wire.String(strings.Repeat("x", 10_000)))
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"jobs", "others"} {
		c.message(t, 1, &wire.BasicPublish{RoutingKey: []byte(queue)}, wire.Properties{Flags: wire.HasHeaders, Headers: headers}, "large head")
		c.message(t, 1, &wire.BasicPublish{RoutingKey: []byte(queue)}, wire.Properties{}, "small head")
	}
	c.confirmed(t, 4)

	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testPatience))
	small, err := startWith(conn, "guest", "guest", func(l *wire.Limits) { l.FrameMax = wire.FrameMaxLeast })
	if err != nil {
		t.Fatal(err)
	}
	small.consume(t, "jobs", "s", false)
	d := small.delivery(t)
	if d.body != "small head" {
		t.Fatal(d)
	}
	small.ack(t, d.tag, true)
	for i, want := range []string{"small head", ""} { // and asked for one by one
		if err := small.send(1, &wire.BasicGet{Queue: []byte("others"), NoAck: true}); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			next[*wire.BasicGetEmpty](t, small)
			continue
		}
		ok := next[*wire.BasicGetOK](t, small)
		if _, body := small.content(t); body != want || ok.MessageCount != 0 || ok.DeliveryTag != d.tag+1 {
			t.Errorf("%d: %s %q", i, wire.Text(ok), body)
		}
	}
	for _, queue := range []string{"jobs", "others"} {
		if m := must[*wire.QueueDeclareOK](t, small, &wire.QueueDeclare{Queue: []byte(queue), Passive: true}); m.MessageCount != 0 {
			t.Error(wire.Text(m))
		}
	}
}
