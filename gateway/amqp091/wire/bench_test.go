package wire

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"testing"
)

// publishFrames is a basic.publish of a body of this size as amqp091-go sends it: method, header with a few properties, body.
func publishFrames(b *testing.B, size int) []byte {
	b.Helper()
	p := Properties{Flags: HasContentType | HasHeaders | HasDeliveryMode | HasMessageID | HasTimestamp, ContentType: []byte("application/json"),
		Headers: table(b, "trace", String("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), "n", Int32(3)), DeliveryMode: Persistent,
		MessageID: []byte("8f14e45f-ceea-467f-a0e6-5c2e5d6d5d1b"), Timestamp: 1767323045}
	properties, err := p.Append(nil)
	if err != nil {
		b.Fatal(err)
	}
	var w Writer
	w.SetFrameMax(131072)
	if err := w.Content(1, &BasicPublish{Exchange: []byte("orders"), RoutingKey: []byte("orders.eu.created")}, properties, make([]byte, size)); err != nil {
		b.Fatal(err)
	}
	return bytes.Join(w.Pieces(nil), nil)
}

func BenchmarkPublish_Decode1KiB(b *testing.B) {
	in := publishFrames(b, 1024)
	var d Decoder
	var p Properties
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for rest := in; len(rest) > 0; {
			f, n, err := DecodeFrame(rest, 131072)
			if err != nil || n == 0 {
				b.Fatal(n, err)
			}
			rest = rest[n:]
			switch f.Type {
			case FrameMethod:
				_, err = d.DecodeMethod(f.Payload)
			case FrameHeader:
				var h ContentHeader
				if h, err = DecodeContentHeader(f.Payload); err == nil {
					err = p.Decode(h.Properties)
				}
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDeliver_Encode1KiB(b *testing.B) {
	var w Writer
	w.SetFrameMax(131072)
	m := &BasicDeliver{ConsumerTag: []byte("ctag-1"), Exchange: []byte("orders"), RoutingKey: []byte("orders.eu.created")}
	properties := []byte{0x10, 0, 2}
	body := make([]byte, 1024)
	var pieces [][]byte
	b.SetBytes(1024)
	b.ReportAllocs()
	for b.Loop() {
		m.DeliveryTag++
		if err := w.Content(1, m, properties, body); err != nil {
			b.Fatal(err)
		}
		if m.DeliveryTag%64 == 0 {
			pieces = w.Pieces(pieces[:0])
			w.Reset()
		}
	}
}

func BenchmarkAck_Encode(b *testing.B) {
	var w Writer
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		w.Ack(1, i, true)
		if i%64 == 0 {
			w.Reset()
		}
	}
}

func BenchmarkAck_Decode(b *testing.B) {
	in := encode(b, &BasicAck{DeliveryTag: 1000, Multiple: true})
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		f, _, _ := DecodeFrame(in, FrameMaxLeast)
		if _, err := d.DecodeMethod(f.Payload); err != nil {
			b.Fatal(err)
		}
	}
}

// What BodyBytesCopied is chosen by: deliveries, 64 in a write, to a peer that reads them.
func BenchmarkDeliver_ToSocket(b *testing.B) {
	for _, size := range []int{512, 1024, 2048, 4096} {
		for _, copied := range []bool{true, false} {
			name := strconv.Itoa(size) + "/referred"
			if copied {
				name = strconv.Itoa(size) + "/copied"
			}
			b.Run(name, func(b *testing.B) { deliverToSocket(b, size, copied) })
		}
	}
}

func deliverToSocket(b *testing.B, size int, copied bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var w Writer
	m := &BasicDeliver{ConsumerTag: []byte("ctag-1"), Exchange: []byte("orders"), RoutingKey: []byte("orders.eu.created")}
	bodies := make([][]byte, 64)
	for i := range bodies {
		bodies[i] = make([]byte, size)
	}
	var pieces [][]byte
	b.SetBytes(int64(size))
	for i := 0; b.Loop(); i++ {
		m.DeliveryTag++
		body := bodies[i%64]
		if err := w.Method(1, m); err != nil {
			b.Fatal(err)
		}
		w.c.b = appendFrameHead(w.c.b, FrameBody, 1, len(body))
		if copied {
			w.c.b = append(w.c.b, body...)
		} else {
			w.cuts = append(w.cuts, cut{at: len(w.c.b), body: body})
		}
		w.c.b = append(w.c.b, FrameEnd)
		if i%64 == 63 {
			pieces = w.Pieces(pieces[:0])
			v := net.Buffers(pieces)
			if _, err := v.WriteTo(c); err != nil {
				b.Fatal(err)
			}
			w.Reset()
		}
	}
}
