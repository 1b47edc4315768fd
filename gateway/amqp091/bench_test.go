package amqp091

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"leat/gateway/amqp091/wire"
)

// A message of 1 KiB, published and confirmed, with client and broker in this process: what it allocates, all in.
func BenchmarkPublish_1KiB(b *testing.B) {
	addr := serve(b, newBroker(b))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	c, err := start(conn, "guest", "guest")
	if err == nil {
		_, err = call[*wire.QueueDeclareOK](c, &wire.QueueDeclare{Queue: []byte("jobs"), Durable: true})
	}
	if err == nil {
		_, err = call[*wire.ConfirmSelectOK](c, &wire.ConfirmSelect{})
	}
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), 1024)
	const atOnce = 500
	for range atOnce {
		if err := c.w.Content(1, &wire.BasicPublish{RoutingKey: []byte("jobs")}, []byte{0, 0}, body); err != nil {
			b.Fatal(err)
		}
	}
	many := c.w.AppendTo(nil)
	message := len(many) / atOnce
	acked := make(chan uint64, 1024)
	go func() {
		defer close(acked)
		var head [7]byte
		payload := make([]byte, 64)
		for {
			if _, err := io.ReadFull(c.br, head[:]); err != nil {
				return
			}
			n := int(head[6]) + 1
			if _, err := io.ReadFull(c.br, payload[:n]); err != nil {
				return
			}
			m, err := c.dec.DecodeMethod(payload[:n-1])
			if a, is := m.(*wire.BasicAck); err == nil && is {
				acked <- a.DeliveryTag
			}
		}
	}()
	b.ReportAllocs()
	b.SetBytes(1024)
	b.ResetTimer()
	sent, confirmed := uint64(0), uint64(0)
	for confirmed < uint64(b.N) {
		if n := min(uint64(b.N)-sent, atOnce); n > 0 && sent-confirmed <= 4*atOnce {
			if _, err := conn.Write(many[:int(n)*message]); err != nil {
				b.Fatal(err)
			}
			sent += n
			continue
		}
		tag, ok := <-acked
		if !ok {
			b.Fatal("the connection ended")
		}
		confirmed = tag
	}
}
