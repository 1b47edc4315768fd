package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestDecodeFrame_InPieces(t *testing.T) {
	whole := append(encode(t, &QueueDeclare{Queue: []byte("q")}), encode(t, &BasicAck{DeliveryTag: 3})...)
	first := len(encode(t, &QueueDeclare{Queue: []byte("q")}))
	for n := range whole {
		f, used, err := DecodeFrame(whole[:n], FrameMaxLeast)
		if err != nil || (used != 0) != (n >= first) || used != 0 && (used != first || len(f.Payload) != first-8 || cap(f.Payload) != len(f.Payload)) {
			t.Fatalf("%d bytes: %d %v", n, used, err)
		}
	}
}

func TestDecodeFrame_Limits(t *testing.T) {
	frame := func(size int) []byte {
		return append(append(appendFrameHead(nil, FrameBody, 1, size), make([]byte, size)...), FrameEnd)
	}
	for _, c := range []struct {
		b    []byte
		code ReplyCode
	}{
		{frame(FrameMaxLeast - FrameOverheadBytes), 0},
		{frame(FrameMaxLeast), 0}, // the excess that is suffered
		{frame(FrameMaxLeast + 1), FrameError},
		{appendFrameHead(nil, FrameBody, 1, 1<<32-1), FrameError}, // refused by its head alone
		{unhex(t, "08 0000 00000000 ce"), 0},
		{unhex(t, "08 0001 00000000 ce"), 0}, // whose channel is the session's to refuse
		{unhex(t, "08 0000 00000001 00 ce"), FrameError},
		{unhex(t, "04 0000 00000000 ce"), FrameError},
		{unhex(t, "03 0000 00000000 cf"), FrameError},
		{[]byte("HTTP/1.1 400 Bad Request"), FrameError},
	} {
		_, n, err := DecodeFrame(c.b, FrameMaxLeast)
		var e *Error
		if c.code == 0 && (err != nil || n != len(c.b)) || c.code != 0 && (!errors.As(err, &e) || e.Code != c.code) {
			t.Errorf("%.20x: %d %v, want %d", c.b, n, err, c.code)
		}
	}
}

func TestDecodeProtocol(t *testing.T) {
	for _, c := range []struct {
		in   string
		p    Protocol
		done bool
	}{
		{Header, AMQP091, true}, {"AMQP\x01\x01\x00\x09", AMQP091, true}, {"AMQP\x00\x01\x00\x00", AMQP10, true}, {"AMQP\x02\x01\x00\x00", AMQP10TLS, true},
		{"AMQP\x03\x01\x00\x00", AMQP10SASL, true}, {"AMQP\x00\x00\x0a\x00", AMQPOther, true}, {"AMQP\x01\x01\x00\x0a", AMQPOther, true},
		{"", NotAMQP, false}, {"A", NotAMQP, false}, {Header[:7], NotAMQP, false}, {"AMQ\x00", NotAMQP, true},
		{"\x16", LooksLikeTLS, false}, {"\x16\x03\x01", LooksLikeTLS, true}, {"\x16\x04", NotAMQP, true},
		{"GE", LooksLikeHTTP, false}, {"GET / HT", LooksLikeHTTP, true}, {"PUT ", LooksLikeHTTP, true}, {"PRI * HT", LooksLikeHTTP, true}, {"XYZ", NotAMQP, true},
		{"\x00\x00\x00\x20", NotAMQP, true},
	} {
		if p, done := DecodeProtocol([]byte(c.in)); p != c.p && c.done || done != c.done {
			t.Errorf("%q: %d %t, want %d %t", c.in, p, done, c.p, c.done)
		}
	}
}

func TestLimits_Agree(t *testing.T) {
	offer := Limits{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60}
	for _, c := range []struct {
		answer Limits
		wrong  string
	}{
		{Limits{2047, 131072, 60}, ""}, {Limits{1, FrameMaxLeast, 0}, ""}, {Limits{10, 8192, 600}, ""},
		{Limits{2048, 131072, 60}, "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"},
		{Limits{0, 131072, 60}, "negotiated channel_max = 0 is higher"}, {Limits{1, 0, 60}, "negotiated frame_max = 0 is higher"},
		{Limits{1, 4095, 60}, "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"}, {Limits{1, 131073, 60}, "frame_max = 131073 is higher"},
	} {
		got, err := offer.Agree(c.answer)
		if c.wrong == "" && (err != nil || got != c.answer) || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%+v: %+v %v", c.answer, got, err)
		}
	}
	open := Limits{}
	if got, err := open.Agree(Limits{}); err != nil || got.Channels() != 65535 || offer.Channels() != 2047 {
		t.Error(got, err)
	}
}

func TestWriter_SplitsAndRefersToBodies(t *testing.T) {
	deliver := &BasicDeliver{ConsumerTag: []byte("t"), DeliveryTag: 1, RoutingKey: []byte("k")}
	for _, size := range []int{0, 1, BodyBytesCopied, BodyBytesCopied + 1, FrameMaxLeast - 8, FrameMaxLeast - 7, 3 * FrameMaxLeast} {
		body := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		var w Writer
		w.SetFrameMax(FrameMaxLeast)
		w.Ack(3, 9, true)
		if err := w.Content(3, deliver, []byte{0x10, 0, 2}, body); err != nil {
			t.Fatal(err)
		}
		w.Heartbeat()
		pieces := w.Pieces(nil)
		b := bytes.Join(pieces, nil)
		if !bytes.Equal(w.AppendTo([]byte("before")), append([]byte("before"), b...)) {
			t.Error("the pieces and the whole differ")
		}
		if len(b) != w.Len() {
			t.Errorf("%d bytes, said to be %d", len(b), w.Len())
		}
		if size > BodyBytesCopied && &pieces[1][0] != &body[0] {
			t.Error("the body was copied")
		}
		got := decodeAll(t, b, FrameMaxLeast)
		want := []string{"basic.ack delivery-tag=9 multiple", `basic.deliver consumer-tag="t" delivery-tag=1 routing-key="k"`, "header delivery-mode=2", string(body), "heartbeat"}
		if size == 0 {
			want = append(want[:3], "heartbeat")
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%d: %.300q", size, got)
		}
		w.Reset()
		if w.Len() != 0 || len(w.Pieces(nil)) != 0 {
			t.Error("not empty after Reset")
		}
		if w.Free(); cap(w.c.b) != 0 || cap(w.cuts) != 0 {
			t.Error("memory is kept after Free")
		}
	}
}

// decodeAll is frames as text; bodies put together.
func decodeAll(t testing.TB, b []byte, frameMax int) (out []string) {
	t.Helper()
	left := 0
	for len(b) > 0 {
		f, n, err := DecodeFrame(b, frameMax-FrameExcessBytes)
		if err != nil || n == 0 {
			t.Fatalf("%d %v", n, err)
		}
		b = b[n:]
		switch f.Type {
		case FrameMethod:
			var d Decoder
			m, err := d.DecodeMethod(f.Payload)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, Text(m))
		case FrameHeader:
			h, err := DecodeContentHeader(f.Payload)
			var p Properties
			if err = errors.Join(err, p.Decode(h.Properties)); err != nil {
				t.Fatal(err)
			}
			out = append(out, "header "+p.String())
			if left = int(h.BodyBytes); left > 0 {
				out = append(out, "")
			}
		case FrameBody:
			out[len(out)-1] += string(f.Payload)
			if left -= len(f.Payload); left < 0 {
				t.Fatal("a body too long")
			}
		case FrameHeartbeat:
			out = append(out, "heartbeat")
		}
	}
	if left != 0 {
		t.Fatalf("%d bytes of the body are missing", left)
	}
	return out
}

func TestWriter_RefusesAndStaysAsItWas(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 256)
	headers := table(t, "h", Bytes(make([]byte, FrameMaxLeast)))
	big := Properties{Flags: HasHeaders, Headers: headers}
	properties, err := big.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var w Writer
	w.SetFrameMax(FrameMaxLeast)
	w.Ack(1, 1, false)
	before := bytes.Join(w.Pieces(nil), nil)
	for name, c := range map[string]struct{ got, want error }{
		"a long name":            {w.Method(1, &QueueDeclareOK{Queue: long}), ErrTooLong},
		"a long key":             {w.Content(1, &BasicDeliver{RoutingKey: long}, []byte{0, 0}, nil), ErrTooLong},
		"large headers":          {w.Content(1, &BasicDeliver{}, properties, []byte("body")), ErrFrameTooLarge},
		"large arguments":        {w.Method(1, &QueueDeclare{Arguments: headers}), ErrFrameTooLarge},
		"a name of all there is": {w.Method(1, &QueueDeclareOK{Queue: long[:255]}), nil},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	after := bytes.Join(w.Pieces(nil), nil)
	if !bytes.HasPrefix(after, before) || len(after) != len(before)+8+4+256+8 {
		t.Errorf("%d bytes after %d", len(after), len(before))
	}
	w.SetFrameMax(0)
	if err := w.Content(1, &BasicDeliver{}, properties, make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
}

// A frame of exactly frame-max bytes is sent; one byte more is not.
func TestWriter_ExactlyFrameMax(t *testing.T) {
	var w Writer
	empty := len(encode(t, &ConnectionSecure{}))
	w.SetFrameMax(FrameMaxLeast)
	if err := w.Method(0, &ConnectionSecure{Challenge: make([]byte, FrameMaxLeast-empty)}); err != nil || w.Len() != FrameMaxLeast {
		t.Error(w.Len(), err)
	}
	if err := w.Method(0, &ConnectionSecure{Challenge: make([]byte, FrameMaxLeast-empty+1)}); !errors.Is(err, ErrFrameTooLarge) {
		t.Error(err)
	}
}
