package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// fill gives every field of a method a value that is not zero; seed makes them differ.
func fill(m Method, seed byte) {
	var set func(v reflect.Value)
	set = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Field(i)
			seed++
			switch f.Kind() {
			case reflect.Bool:
				f.SetBool(seed%3 != 0)
			case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
				f.SetUint(uint64(seed))
			case reflect.Struct:
				set(f)
			case reflect.Slice:
				if f.Type() == reflect.TypeFor[Table]() {
					t, err := Table(nil).Add("name", Int32(int32(seed)))
					if err != nil {
						panic(err)
					}
					f.SetBytes(t)
				} else {
					f.SetBytes([]byte(strings.Repeat("x", int(seed)%7)))
				}
			default:
				panic("a field of kind " + f.Kind().String())
			}
		}
	}
	set(reflect.ValueOf(m).Elem())
}

func encode(t testing.TB, m Method) []byte {
	t.Helper()
	var w Writer
	if err := w.Method(7, m); err != nil {
		t.Fatal(err)
	}
	return bytes.Join(w.Pieces(nil), nil)
}

func payload(t testing.TB, b []byte) Frame {
	t.Helper()
	f, n, err := DecodeFrame(b, 1<<20)
	if err != nil || n != len(b) {
		t.Fatalf("%d bytes of %d, %v", n, len(b), err)
	}
	return f
}

func TestMethods_ThereAndBack(t *testing.T) {
	for id, info := range methods {
		for seed := range byte(9) {
			m := New(id)
			if seed > 0 {
				fill(m, seed)
			}
			if m.ID() != id {
				t.Fatalf("%s is made as %s", info.name, m.ID())
			}
			b := encode(t, m)
			f := payload(t, b)
			if f.Type != FrameMethod || f.Channel != 7 {
				t.Fatalf("%s: %+v", info.name, f)
			}
			var d Decoder
			got, err := d.DecodeMethod(f.Payload)
			if err != nil {
				t.Fatalf("%s: %v", info.name, err)
			}
			if Text(got) != Text(m) || reflect.TypeOf(got) != reflect.TypeOf(m) {
				t.Errorf("%s, want %s", Text(got), Text(m))
			}
			if again := encode(t, got); !bytes.Equal(again, b) {
				t.Errorf("%s encodes to\n%x, then\n%x", Text(m), b, again)
			}
			// Cut anywhere, it is refused with its name; so is a byte too many.
			for n := 4; n < len(f.Payload); n++ {
				wantError(t, f.Payload[:n], FrameError, id)
			}
			wantError(t, append(bytes.Clone(f.Payload), 0), FrameError, id)
		}
	}
}

func wantError(t testing.TB, payload []byte, code ReplyCode, id ID) {
	t.Helper()
	var d Decoder
	m, err := d.DecodeMethod(payload)
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Method != id {
		t.Fatalf("%x: %v, %v; want %d of %s", payload, m, err, code, id)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.ReplaceAll(s, " ", ""), "|", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are written here by hand from the grammar, so that a mistake that decoder and encoder share is found.
func TestMethods_GoldenBytes(t *testing.T) {
	for _, c := range []struct {
		m    Method
		want string
	}{
		{&ConnectionTune{Limits{2047, 131072, 60}}, "01 0000 0000000c | 000a 001e | 07ff 00020000 003c | ce"},
		{&QueueDeclare{Queue: []byte("q"), Durable: true, NoWait: true}, "01 0000 0000000d | 0032 000a | 0000 0171 12 00000000 | ce"},
		{&ExchangeDeclare{Exchange: []byte("e"), Type: []byte("topic"), Passive: true, AutoDelete: true, Internal: true},
			"01 0000 00000013 | 0028 000a | 0000 0165 05746f706963 0d 00000000 | ce"},
		{&AccessRequest{Realm: []byte("/"), Exclusive: true, Read: true}, "01 0000 00000007 | 001e 000a | 012f 11 | ce"},
		{&BasicPublish{Exchange: []byte("e"), RoutingKey: []byte("k"), Mandatory: true}, "01 0000 0000000b | 003c 0028 | 0000 0165 016b 01 | ce"},
		{&BasicDeliver{ConsumerTag: []byte("t"), DeliveryTag: 5, Redelivered: true, RoutingKey: []byte("k")},
			"01 0000 00000012 | 003c 003c | 0174 0000000000000005 01 00 016b | ce"},
		{&BasicNack{DeliveryTag: 1, Requeue: true}, "01 0000 0000000d | 003c 0078 | 0000000000000001 02 | ce"},
		{&ExchangeUnbindOK{}, "01 0000 00000004 | 0028 0033 | ce"},
		{&ConnectionClose{ReplyCode: FrameError, ReplyText: []byte("x"), ClassID: 60, MethodID: 40}, "01 0000 0000000c | 000a 0032 | 01f5 0178 003c 0028 | ce"},
	} {
		var w Writer
		if err := w.Method(0, c.m); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Join(w.Pieces(nil), nil); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s:\n%x, want\n%x", Text(c.m), got, unhex(t, c.want))
		}
	}
}

func TestDecodeMethod_Refusals(t *testing.T) {
	wantError(t, unhex(t, "003c"), FrameError, 0)
	wantError(t, unhex(t, "003c 00ff"), NotImplemented, 60<<16|255)
	wantError(t, unhex(t, "0063 000a"), NotImplemented, 99<<16|10)
	wantError(t, unhex(t, "0032 000a 0000 00 00 00000003 0161 5a"), SyntaxError, IDQueueDeclare) // a value of type Z
	wantError(t, unhex(t, "0032 000a 0000 00 00 00000003 0161 53"), FrameError, IDQueueDeclare)  // a string without its length
}

func TestDecodeMethod_StrayBitsMeanNothing(t *testing.T) {
	var d Decoder
	m, err := d.DecodeMethod(unhex(t, "003c 0050 0000000000000001 ff"))
	if err != nil || Text(m) != "basic.ack delivery-tag=1 multiple" {
		t.Fatal(m, err)
	}
}

func TestID_WhoSendsWhat(t *testing.T) {
	for _, c := range []struct {
		id             ID
		client, server bool
	}{
		{IDConnectionStart, false, true}, {IDConnectionStartOK, true, false}, {IDConnectionClose, true, true}, {IDConnectionUpdateSecret, true, false},
		{IDConnectionBlocked, false, true}, {IDChannelFlow, true, true}, {IDBasicPublish, true, false}, {IDBasicCancel, true, true}, {IDBasicCancelOK, true, true},
		{IDBasicNack, true, true}, {IDBasicReject, true, false}, {IDConfirmSelectOK, false, true}, {IDTxCommit, true, false}, {IDAccessRequest, true, false},
	} {
		if c.id.FromClient() != c.client || c.id.FromServer() != c.server {
			t.Errorf("%s: client %t server %t", c.id, c.id.FromClient(), c.id.FromServer())
		}
	}
}

func TestError_ReplyTextFits(t *testing.T) {
	e := errorf(PreconditionFailed, IDQueueDeclare, "%s", strings.Repeat("ä", 200))
	if text := e.ReplyText(); len(text) > ShortBytesMax || !strings.HasPrefix(text, "PRECONDITION_FAILED - ää") || !strings.HasSuffix(text, "ä...") {
		t.Error(text)
	}
	if text := e.Error(); !strings.HasPrefix(text, "406 PRECONDITION_FAILED") || !strings.HasSuffix(text, "(queue.declare)") {
		t.Error(text)
	}
	if e.Code.Hard() || !FrameError.Hard() || !ReplyCode(999).Hard() {
		t.Error("406 ends a channel; 501 and what nobody knows end the connection")
	}
}

func TestText_KeepsSecrets(t *testing.T) {
	for _, m := range []Method{&ConnectionStartOK{Response: []byte("hidden")}, &ConnectionSecure{Challenge: []byte("hidden")},
		&ConnectionSecureOK{Response: []byte("hidden")}, &ConnectionUpdateSecret{NewSecret: []byte("hidden")}} {
		if text := Text(m); strings.Contains(text, "hidden") || !strings.HasSuffix(text, "=(6 bytes)") {
			t.Error(text)
		}
	}
}
