package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func fullProperties(t testing.TB) Properties {
	return Properties{
		Flags: ^unknownProperties, ContentType: []byte("text/plain"), ContentEncoding: []byte("utf-8"), Headers: table(t, "a", Int32(1)),
		DeliveryMode: Persistent, Priority: 3, CorrelationID: []byte("c"), ReplyTo: []byte("r"), Expiration: []byte("1000"), MessageID: []byte("m"),
		Timestamp: 99, Type: []byte("t"), UserID: []byte("u"), AppID: []byte("app"), ClusterID: []byte("cl"),
	}
}

func TestProperties_EachAloneAndAll(t *testing.T) {
	full := fullProperties(t)
	for bit := range 15 {
		p := full
		if bit < 14 {
			p.Flags = HasContentType >> bit
		}
		b, err := p.Append([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		b = b[len("before"):]
		var got Properties
		if err := got.Decode(b); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if got.String() != p.String() || got.Flags != p.Flags || got.String() == "" {
			t.Errorf("%s, want %s", got.String(), p.String())
		}
		again, err := got.Append(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x, then %x", b, again)
		}
		for n := range b {
			var e *Error
			if err := got.Decode(b[:n]); !errors.As(err, &e) || e.Code != FrameError {
				t.Errorf("%x: %v", b[:n], err)
			}
		}
	}
}

func TestProperties_GoldenBytes(t *testing.T) {
	full := fullProperties(t)
	b, err := full.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "fffc 0a746578742f706c61696e 057574662d38 00000007 0161 49 00000001 02 03 0163 0172 0431303030 016d 0000000000000063 0174 0175 03617070 02636c")
	if !bytes.Equal(b, want) {
		t.Errorf("\n%x\n%x", b, want)
	}
}

func TestProperties_Refusals(t *testing.T) {
	var p Properties
	for in, code := range map[string]ReplyCode{
		"": FrameError, "00": FrameError, "0001 0000": SyntaxError, "0002": SyntaxError, "0000 00": FrameError,
		"2000 00000003 0161 5a": SyntaxError, "2000 00000009 0161 56": FrameError, "8000 05 61": FrameError,
	} {
		var e *Error
		if err := p.Decode(unhex(t, in)); !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: %v, want %d", in, err, code)
		}
	}
	p = Properties{Flags: HasMessageID, MessageID: []byte(strings.Repeat("m", 256))}
	if b, err := p.Append([]byte("x")); !errors.Is(err, ErrTooLong) || string(b) != "x" {
		t.Errorf("%x %v", b, err)
	}
}

func TestContentHeader(t *testing.T) {
	h, err := DecodeContentHeader(unhex(t, "003c 0000 0000000000000005 1000 02"))
	if err != nil || h.Class != ClassBasic || h.BodyBytes != 5 || !bytes.Equal(h.Properties, unhex(t, "1000 02")) {
		t.Fatalf("%+v %v", h, err)
	}
	for in, code := range map[string]ReplyCode{"003c 0000 0000000000000005": FrameError, "003c 0001 0000000000000005 0000": SyntaxError} {
		var e *Error
		if _, err := DecodeContentHeader(unhex(t, in)); !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: %v", in, err)
		}
	}
}
