package amqp091

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/gateway/amqp091/wire"
)

// However what a client sends is cut into reads, and however long its frames are, the same comes out.
func TestInput_AnyCutOfTheBytes(t *testing.T) {
	addr := serve(t, newBroker(t))
	c := dial(t, addr)
	c.queue(t, "jobs")
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	r := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 100, 1000, inputBytesLeast - 60, inputBytesLeast, inputBytesMost - 8, inputBytesMost, inputBytesMost + 1, 300_000, 5, 70_000}
	var want [][]byte
	var all []byte
	for i := range 40 {
		body := bytes.Repeat([]byte{byte('a' + i%26)}, sizes[r.IntN(len(sizes))])
		want = append(want, body)
		if err := c.w.Content(1, &wire.BasicPublish{RoutingKey: []byte("jobs")}, []byte{0, 0}, body); err != nil {
			t.Fatal(err)
		}
	}
	all = c.w.AppendTo(nil)
	c.w.Reset()
	go func() {
		for len(all) > 0 {
			n := min(len(all), 1+r.IntN([]int{1, 20, 5000, 200_000}[r.IntN(4)]))
			if _, err := c.c.Write(all[:n]); err != nil {
				return
			}
			all = all[n:]
		}
	}()
	c.confirmed(t, len(want))
	c.consume(t, "jobs", "x", true)
	for i := range want {
		if d := c.delivery(t); d.body != string(want[i]) {
			t.Fatalf("message %d has %d bytes, want %d", i, len(d.body), len(want[i]))
		}
	}
}

// The largest message that is taken can be stored and delivered; one byte more ends its channel.
func TestPublish_TheLargest(t *testing.T) {
	addr := serve(t, newBroker(t))
	c := dial(t, addr)
	c.queue(t, "jobs")
	most := Default().MessageBytesMax
	body := string(bytes.Repeat([]byte("m"), most))
	c.fill(t, "jobs", body)
	m := must[*wire.BasicGetOK](t, c, &wire.BasicGet{Queue: []byte("jobs"), NoAck: true})
	if _, got := c.content(t); got != body || m.MessageCount != 0 {
		t.Errorf("%d bytes came back of %d", len(got), most)
	}
	if err := c.w.Content(1, &wire.BasicPublish{RoutingKey: []byte("jobs")}, []byte{0, 0}, []byte(body+"m")); err != nil {
		t.Fatal(err)
	}
	all := c.w.AppendTo(nil)
	c.w.Reset()
	go func() { _, _ = c.c.Write(all) }()
	c.closed(t, wire.PreconditionFailed, fmt.Sprintf("message size %d is larger than configured max size %d", most+1, most))
}
