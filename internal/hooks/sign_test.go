package hooks

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSign_PublishedVector(t *testing.T) {
	s, err := NewSigner(standardSecret)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if err := s.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 999), []byte(`{"test": 2432232314}`)); err != nil {
		t.Fatal(err)
	}
	if got := h.Get("webhook-signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

// keyPair is a new pair: the first signs, the second checks.
func keyPair() (private, public string) {
	_, k, _ := ed25519.GenerateKey(nil)
	return privatePrefix + base64.StdEncoding.EncodeToString(k), publicPrefix + base64.StdEncoding.EncodeToString(k[ed25519.SeedSize:])
}

func TestSign_RotationIsAcceptedByEither(t *testing.T) {
	private, public := keyPair()
	older, newer := NewSecret(), NewSecret()
	s, err := NewSigner(newer, older, private)
	if err != nil {
		t.Fatal(err)
	}
	h, now := http.Header{}, time.Unix(1700000000, 0)
	for _, body := range []string{"", "x", strings.Repeat("long ", 10000)} {
		if err := s.Sign(h, "msg_1", now, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(h.Get("webhook-signature"), " "); got != 2 {
			t.Errorf("%d spaces in %s", got, h.Get("webhook-signature"))
		}
		for _, one := range []string{newer, older, public} {
			if v, err := verifier(t, Config{Scheme: Standard, Secrets: []string{one}}).Verify(h, []byte(body), now); err != nil || v.ID != "msg_1" {
				t.Errorf("%v %v", v, err)
			}
		}
		if _, err := verifier(t, Config{Scheme: Standard, Secrets: []string{NewSecret()}}).Verify(h, []byte(body), now); err == nil {
			t.Error("a secret that signed nothing")
		}
	}
}

func TestSign_Refuses(t *testing.T) {
	s, _ := NewSigner(standardSecret)
	for _, id := range []string{"", "a.b", "a b", "a\nb", "ä", strings.Repeat("x", IDBytesMax+1)} {
		if err := s.Sign(http.Header{}, id, time.Unix(1, 0), nil); err == nil {
			t.Errorf("%q was signed", id)
		}
	}
	if err := s.Sign(http.Header{}, "a", time.Time{}, nil); err == nil {
		t.Error("a time before 1970 was signed")
	}
	_, public := keyPair()
	for _, keys := range [][]string{{}, {public}, {"x"}, {"whsec_AAAA"}, {"whsk_AAAA"}, make([]string, KeysMax+1)} {
		if _, err := NewSigner(keys...); err == nil {
			t.Errorf("%d keys were taken", len(keys))
		}
	}
}

func TestMembers(t *testing.T) {
	for _, c := range []struct{ body, id, kind string }{
		{`{"id":"a","type":"b"}`, "a", "b"},
		{` {"x":{"id":"no"},"type":"b","y":[{"id":"no"}],"id":"a","id":"second"}`, "a", "b"},
		{`{"id":7,"id":"second"}`, "", ""},
		{`{"ID":"a"}`, "", ""},
		{`{"id":"a\nb"}`, "", ""},
		{`{"id":"a"`, "a", ""},
		{`[{"id":"a"}]`, "", ""},
		{`"id"`, "", ""}, {``, "", ""}, {`id=a`, "", ""}, {`{"id":"` + strings.Repeat("x", IDBytesMax+1) + `"}`, "", ""},
	} {
		if id, kind := members([]byte(c.body), "id", "type"); id != c.id || kind != c.kind {
			t.Errorf("%s: got %q %q", c.body, id, kind)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	private, _ := keyPair()
	for name, key := range map[string]string{"hmac": NewSecret(), "ed25519": private} {
		b.Run(name, func(b *testing.B) {
			s, _ := NewSigner(key)
			body, now := make([]byte, 1024), time.Unix(1700000000, 0)
			b.ReportAllocs()
			for b.Loop() {
				h := make(http.Header, 8)
				if err := s.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", now, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, v := range []vector{vectors[0], vectors[3], vectors[5]} {
		b.Run(string(v.config.Scheme), func(b *testing.B) {
			f, h, body, now := verifier(b, v.config), v.headers(), []byte(v.body), v.now()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Verify(h, body, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
