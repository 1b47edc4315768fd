package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"leat/gateway/amqp091/wire"
)

// opened is a connection with channel 1 open.
func opened(t testing.TB) *Conn {
	t.Helper()
	c := New(Config{Offer: wire.Limits{ChannelMax: 7, FrameMax: 131072}, ContentBytesMax: 1 << 20, HeldBytesMax: 2 << 20})
	var w wire.Writer
	do := func(channel uint16, m wire.Method) {
		t.Helper()
		w.Reset()
		if err := w.Method(channel, m); err != nil {
			t.Fatal(err)
		}
		f, _, _ := wire.DecodeFrame(w.AppendTo(nil), 131072)
		if _, err := c.Frame(f); err != nil {
			t.Fatal(err)
		}
	}
	do(0, &wire.ConnectionStartOK{})
	if err := c.LoggedIn(&w); err != nil {
		t.Fatal(err)
	}
	do(0, &wire.ConnectionTuneOK{Limits: wire.Limits{ChannelMax: 7, FrameMax: 131072}})
	do(0, &wire.ConnectionOpen{})
	if err := c.Opened(&w); err != nil {
		t.Fatal(err)
	}
	do(1, &wire.ChannelOpen{})
	return c
}

func publishBytes(t testing.TB, size int) []byte {
	t.Helper()
	p := wire.Properties{Flags: wire.HasContentType | wire.HasDeliveryMode | wire.HasMessageID, ContentType: []byte("application/json"),
		DeliveryMode: wire.Persistent, MessageID: []byte("8f14e45f-ceea-467f-a0e6-5c2e5d6d5d1b")}
	properties, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var w wire.Writer
	w.SetFrameMax(131072)
	if err := w.Content(1, &wire.BasicPublish{Exchange: []byte("orders"), RoutingKey: []byte("orders.eu.created")}, properties, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	return w.AppendTo(nil)
}

// feed gives all frames to c and returns the number of publishes.
func feed(t testing.TB, c *Conn, in []byte) (publishes int) {
	for len(in) > 0 {
		f, n, err := wire.DecodeFrame(in, c.FrameMax())
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		in = in[n:]
		step, err := c.Frame(f)
		if err != nil {
			t.Fatal(err)
		}
		if step.Do == Publish {
			publishes++
		}
	}
	return publishes
}

func TestConn_APublishAllocatesNothing(t *testing.T) {
	c, in := opened(t), publishBytes(t, 1024)
	if n := testing.AllocsPerRun(100, func() {
		if feed(t, c, in) != 1 {
			t.Fatal("no publish")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	unacked := Unacked[int]{}
	take := func(uint64, int) {}
	round := func() {
		for range 100 {
			if err := unacked.Take(unacked.Add(1), false, wire.IDBasicAck, take); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations for acks", n)
	}
}

func TestConn_HeartbeatsAreOfTheConnection(t *testing.T) {
	c := opened(t)
	if _, err := c.Frame(wire.Frame{Type: wire.FrameHeartbeat}); err != nil {
		t.Error(err)
	}
	var e *wire.Error
	if _, err := c.Frame(wire.Frame{Type: wire.FrameHeartbeat, Channel: 1}); !errors.As(err, &e) || e.Code != wire.UnexpectedFrame {
		t.Errorf("on a channel: %v", err)
	}
}

// What a publish is made of stays as it is until the channel's next one, wherever the frames were.
func TestConn_ContentOutlivesItsFrames(t *testing.T) {
	c := opened(t)
	in := publishBytes(t, 200_000) // two bodies
	var got *Content
	for len(in) > 0 {
		f, n, err := wire.DecodeFrame(in, 131072)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		f.Payload = bytes.Clone(f.Payload)
		in = in[n:]
		step, err := c.Frame(f)
		if err != nil {
			t.Fatal(err)
		}
		if step.Do == Publish {
			got = step.Content
		}
		clear(f.Payload) // the read buffer is used again
	}
	if got == nil || string(got.Exchange) != "orders" || string(got.RoutingKey) != "orders.eu.created" || got.Properties.DeliveryMode != 2 ||
		string(got.Properties.ContentType) != "application/json" || len(got.Body) != 200_000 || !got.BodyKept || len(got.RawProperties) != 57 {
		t.Errorf("%+v", got)
	}
}

// FuzzConn: frames of any kind end in steps or in errors with an answer, hold no more than allowed, and never panic. The gateway here
// takes part as a real one would.
func FuzzConn(f *testing.F) {
	f.Add(publishBytes(f, 10))
	f.Add(append(publishBytes(f, 10)[:60], publishBytes(f, 2000)...))
	for _, m := range []wire.Method{&wire.ChannelOpen{}, &wire.ChannelClose{}, &wire.ChannelCloseOK{}, &wire.ConnectionClose{}, &wire.ConfirmSelect{}, &wire.TxSelect{},
		&wire.ConnectionCloseOK{}, &wire.BasicAck{}, &wire.BasicRecover{}, &wire.ConnectionStartOK{}} {
		var w wire.Writer
		for channel := range uint16(3) {
			if err := w.Method(channel, m); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(w.AppendTo(nil))
	}
	for _, lines := range captures(f) { // what clients say once channel 1 is open
		var all []byte
		for _, l := range lines {
			if l.client && l.frame.Channel > 0 && (l.frame.Channel > 1 || len(l.frame.Payload) < 4 || binary.BigEndian.Uint32(l.frame.Payload) != uint32(wire.IDChannelOpen)) {
				all = append(all, l.bytes...)
			}
		}
		f.Add(all)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := opened(t)
		var w wire.Writer
		for len(in) > 0 && !c.Ended() {
			frame, n, err := wire.DecodeFrame(in, c.FrameMax())
			if err != nil || n == 0 {
				return
			}
			in = in[n:]
			step, err := c.Frame(frame)
			var e *wire.Error
			switch {
			case errors.As(err, &e):
				_, err = c.Fail(&w, frame.Channel, e)
			case err != nil:
				t.Fatalf("%v is no *wire.Error", err)
			case step.Do == ChannelClose:
				err = c.ChannelCloseOK(&w, step.Channel)
			case step.Do == Close:
				err = c.CloseOK(&w)
			case step.Do == Publish && uint64(len(step.Content.Body)) > 1<<20:
				t.Fatal("a body over its limit")
			}
			if err != nil {
				t.Fatal(err)
			}
			held := 0
			for _, ch := range c.channels {
				held += cap(ch.part.body)
			}
			if held != c.HeldBytes() || held > 2<<20 || c.Channels() > 7 {
				t.Fatalf("%d bytes held, said to be %d; %d channels", held, c.HeldBytes(), c.Channels())
			}
		}
		for b := w.AppendTo(nil); len(b) > 0; {
			_, n, err := wire.DecodeFrame(b, wire.FrameMaxLeast)
			if err != nil || n == 0 {
				t.Fatal("an answer that is no frame", err)
			}
			b = b[n:]
		}
	})
}

func BenchmarkConn_Publish1KiB(b *testing.B) {
	c, in := opened(b), publishBytes(b, 1024)
	b.ReportAllocs()
	for b.Loop() {
		feed(b, c, in)
	}
}

// An ack for each of a thousand that are under way, oldest first.
func BenchmarkUnacked_Take(b *testing.B) {
	var u Unacked[int]
	take := func(uint64, int) {}
	for range 1000 {
		u.Add(0)
	}
	b.ReportAllocs()
	for tag := uint64(1); b.Loop(); tag++ {
		u.Add(0)
		if err := u.Take(tag, false, wire.IDBasicAck, take); err != nil {
			b.Fatal(err)
		}
	}
}
