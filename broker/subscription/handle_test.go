package subscription

import (
	"bytes"
	"testing"

	"leat/broker/fault"
)

var sealed = Handle{Sub: 7, At: At{Place{3, 1}, 1 << 40}, Attempt: 60_000, Grip: 1 << 31, Epoch: 9, Turn: 2, Size: 1 << 30}

func TestSealer_RefusesWhatItDidNotSeal(t *testing.T) {
	s := NewSealer([]byte("key"))
	p := s.Seal([]byte("x"), &sealed)[1:]
	if got, err := s.Open(p); err != nil || got != sealed {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i := range p {
		q := bytes.Clone(p)
		if q[i] ^= 1; true {
			if _, err := s.Open(q); !fault.Is(err, fault.Invalid) {
				t.Fatalf("byte %d changed: %v", i, err)
			}
		}
		if _, err := s.Open(p[:i]); !fault.Is(err, fault.Invalid) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := NewSealer([]byte("other")).Open(p); !fault.Is(err, fault.Invalid) {
		t.Fatalf("another key: %v", err)
	}
}

func FuzzSealer(f *testing.F) {
	s := NewSealer([]byte("key"))
	f.Add(s.Seal(nil, &sealed))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := s.Open(p)
		if err != nil {
			return
		}
		if again := s.Seal(nil, &h); !bytes.Equal(again, p) {
			t.Fatalf("another text for the same handle: %x, %x", p, again)
		}
	})
}
