package wire

import (
	"bytes"
	"testing"
)

// frames adds what the captures have of one type of frame to the seeds.
func frames(f *testing.F, want FrameType, add func(payload []byte)) {
	for _, lines := range captures(f) {
		for _, c := range lines {
			if FrameType(c.bytes[0]) == want {
				add(payload(f, c.bytes).Payload)
			}
		}
	}
}

// FuzzDecodeFrame: no panic, what is decoded lies within its input, and encodes to it; the head alone decides alike.
func FuzzDecodeFrame(f *testing.F) {
	for _, lines := range captures(f) {
		for _, c := range lines {
			f.Add(c.bytes, uint16(FrameMaxLeast))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, max uint16) {
		frame, n, err := DecodeFrame(b, int(max))
		if len(b) >= FrameHeaderBytes {
			h, headErr := DecodeFrameHead(b, int(max))
			if headErr != nil && err == nil || headErr == nil && h.PayloadBytes > int(max) {
				t.Fatalf("the head says %+v %v, the frame %v", h, headErr, err)
			}
		}
		if err != nil || n == 0 {
			if n != 0 {
				t.Fatalf("%d bytes used of a frame that is refused", n)
			}
			return
		}
		if CheckFrameEnd(b[n-1]) != nil {
			t.Fatal("a frame without end")
		}
		again := append(append(appendFrameHead(nil, frame.Type, frame.Channel, len(frame.Payload)), frame.Payload...), FrameEnd)
		if !bytes.Equal(again, b[:n]) {
			t.Fatalf("%x became %x", b[:n], again)
		}
	})
}

// FuzzDecodeMethod: no panic; what is decoded encodes to the same bytes but for bits without meaning, and that is stable.
func FuzzDecodeMethod(f *testing.F) {
	frames(f, FrameMethod, func(b []byte) { f.Add(b) })
	for id := range methods {
		m := New(id)
		fill(m, 3)
		f.Add(payload(f, encode(f, m)).Payload)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Decoder
		m, err := d.DecodeMethod(b)
		if err != nil {
			if e, ok := err.(*Error); !ok || !e.Code.Hard() || len(e.ReplyText()) > ShortBytesMax {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		text := Text(m)
		once := payload(t, encode(t, m)).Payload
		if len(once) != len(b) {
			t.Fatalf("%x became %x", b, once)
		}
		if m, err = d.DecodeMethod(once); err != nil || Text(m) != text {
			t.Fatalf("%s became %s, %v", text, Text(m), err)
		}
		if twice := payload(t, encode(t, m)).Payload; !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}

// FuzzDecodeTable: no panic; a table that is accepted can be gone through to its end and put together again to the same bytes.
func FuzzDecodeTable(f *testing.F) {
	for _, k := range kinds {
		f.Add(append([]byte{1, 'k'}, unhex(f, k.hex)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = Table(b).String() // also one that was not checked
		decoded, err := DecodeTable(b)
		if err != nil {
			return
		}
		var again Table
		for name, v := range decoded.All() {
			if got, ok := decoded.Get(string(name)); !ok || got.Kind() == 0 {
				t.Fatalf("%q is not found", name)
			}
			if again, err = again.Add(string(name), rebuild(v)); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

// rebuild takes tables and arrays apart and puts them together again.
func rebuild(v Value) Value {
	if a, ok := v.Array(); ok {
		again := Array{}
		for w := range a.All() {
			again = again.Add(rebuild(w))
		}
		return ArrayValue(again)
	}
	if t, ok := v.Table(); ok {
		again := Table{}
		for name, w := range t.All() {
			again, _ = again.Add(string(name), rebuild(w))
		}
		return TableValue(again)
	}
	return v
}

// FuzzDecodeContentHeader: no panic; header and properties encode to the same bytes.
func FuzzDecodeContentHeader(f *testing.F) {
	frames(f, FrameHeader, func(b []byte) { f.Add(b) })
	full := fullProperties(f)
	b, err := full.Append(unhex(f, "003c 0000 0000000000000005"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeContentHeader(b)
		if err != nil {
			return
		}
		var p Properties
		if err := p.Decode(h.Properties); err != nil {
			return
		}
		again, err := p.Append(nil)
		if err != nil || !bytes.Equal(again, h.Properties) {
			t.Fatalf("%x became %x, %v", h.Properties, again, err)
		}
	})
}

// FuzzDecodeProtocol: an answer does not change when more bytes come, and never needs more than eight.
func FuzzDecodeProtocol(f *testing.F) {
	for _, s := range []string{Header, "AMQP\x03\x01\x00\x00", "GET / HTTP/1.1", "\x16\x03\x01\x02\x00\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, done := DecodeProtocol(b)
		if !done && len(b) >= ProtocolBytes {
			t.Fatal("more than eight bytes are wanted")
		}
		if q, still := DecodeProtocol(append(bytes.Clone(b), "abcdefgh"...)); done && (!still || p != q) {
			t.Fatalf("%d, with more bytes %d", p, q)
		}
	})
}
