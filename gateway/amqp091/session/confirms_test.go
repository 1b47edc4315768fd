package session

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"leat/gateway/amqp091/wire"
)

// told is what a client makes of the frames of a Writer: the outcome of each number. With multiple, what it knows already stays.
func told(t *testing.T, w *wire.Writer, outcomes map[uint64]bool, low *uint64) {
	t.Helper()
	for b := w.AppendTo(nil); len(b) > 0; {
		f, n, err := wire.DecodeFrame(b, wire.FrameMaxLeast)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		b = b[n:]
		var d wire.Decoder
		m, err := d.DecodeMethod(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var tag uint64
		var multiple, ok bool
		switch m := m.(type) {
		case *wire.BasicAck:
			tag, multiple, ok = m.DeliveryTag, m.Multiple, true
		case *wire.BasicNack:
			tag, multiple = m.DeliveryTag, m.Multiple
		}
		if !multiple {
			if _, known := outcomes[tag]; known {
				t.Fatalf("%d is told twice", tag)
			}
			outcomes[tag] = ok
			continue
		}
		for n := *low + 1; n <= tag; n++ {
			if _, known := outcomes[n]; !known {
				outcomes[n] = ok
			}
		}
		*low = tag
	}
	w.Reset()
}

func TestConfirms_AgainstAModel(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		c := NewConfirms()
		var w wire.Writer
		want, got := map[uint64]bool{}, map[uint64]bool{}
		var open []uint64
		low := uint64(0)
		disorder := 1 + r.IntN(20)
		for range 3000 {
			switch {
			case r.IntN(2) == 0:
				open = append(open, c.Publish())
			case len(open) > 0:
				i := r.IntN(min(disorder, len(open)))
				n := open[i]
				open = append(open[:i], open[i+1:]...)
				want[n] = r.IntN(10) > 0
				c.Settle(n, want[n])
			}
			if r.IntN(7) > 0 {
				continue
			}
			c.Flush(&w, 1)
			told(t, &w, got, &low)
			if !maps.Equal(got, want) {
				t.Fatalf("seed %d: %d are told of %d settled, or otherwise", seed, len(got), len(want))
			}
		}
	}
}

func TestConfirms_AsFewAsCanBe(t *testing.T) {
	for _, c := range []struct{ settle, want string }{
		{"1", "ack 1"},
		{"1 2 3 4", "ack 4 multiple"},
		{"4 3 2 1", "ack 4 multiple"},
		{"1 2 4", "ack 2 multiple, ack 4"},
		{"2 3", "ack 2, ack 3"},
		{"1 -2 -3 4", "ack 1, nack 3 multiple, ack 4"},
		{"2 | 1 3", "ack 2, ack 3 multiple"},
		{"2 | 1", "ack 2, ack 1"},
		{"2 -3 | 1", "ack 2, nack 3, ack 1"},
		{"2 | -1 3", "ack 2, nack 1, ack 3"},
		{"2 4 | 1 3 5", "ack 2, ack 4, ack 5 multiple"},
	} {
		m := NewConfirms()
		var w wire.Writer
		for range 6 {
			m.Publish()
		}
		for word := range strings.FieldsSeq(c.settle) {
			if word == "|" {
				m.Flush(&w, 1)
				continue
			}
			n, ok := strings.CutPrefix(word, "-")
			m.Settle(uint64(n[0]-'0'), !ok)
		}
		m.Flush(&w, 1)
		m.Flush(&w, 1)
		var got []string
		for b := w.AppendTo(nil); len(b) > 0; {
			f, n, _ := wire.DecodeFrame(b, wire.FrameMaxLeast)
			b = b[n:]
			a, err := new(wire.Decoder).DecodeMethod(f.Payload)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.NewReplacer("basic.", "", "delivery-tag=", "").Replace(wire.Text(a)))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %s, want %s", c.settle, s, c.want)
		}
	}
}

func TestConfirms_IdleKeepsLittle(t *testing.T) {
	c := NewConfirms()
	var w wire.Writer
	for range 100_000 {
		c.Publish()
	}
	for n := range uint64(100_000) {
		c.Settle(n+1, true)
	}
	c.Flush(&w, 1)
	if c.Waiting() != 0 || len(c.ring) > confirmsKept || cap(c.beyond) > confirmsKept {
		t.Errorf("%d wait, a ring of %d", c.Waiting(), len(c.ring))
	}
	if n := c.Publish(); n != 100_001 {
		t.Error(n)
	}
}

func TestHeartbeat(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	h := NewHeartbeat(10, start)
	for _, c := range []struct {
		at, received, sent float64 // traffic before the tick
		send, gone         bool
		next               float64
	}{
		{4, 0, 0, false, false, 5},
		{5, 0, 0, true, false, 10},
		{9, 0, 8, false, false, 13},
		{13, 12, 0, true, false, 18},
		{30, 12, 29, false, false, 32}, // the peer will be gone before the next is due
		{31.9, 0, 0, false, false, 32},
		{32, 0, 0, false, true, 0},
	} {
		if c.received > 0 {
			h.Received(at(c.received))
		}
		if c.sent > 0 {
			h.Sent(at(c.sent))
		}
		send, gone, next := h.Tick(at(c.at))
		if send != c.send || gone != c.gone || c.next > 0 && !next.Equal(at(c.next)) || c.next == 0 && !next.IsZero() {
			t.Errorf("at %v: %t %t %v", c.at, send, gone, next.Sub(start))
		}
	}
	if send, gone, next := NewHeartbeat(0, start).Tick(at(1e6)); send || gone || !next.IsZero() {
		t.Error("a heartbeat where none was agreed on")
	}
}
