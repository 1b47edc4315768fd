package hooks

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzVerify throws headers and bodies at every scheme. What is accepted must be what the seeds' senders signed.
func FuzzVerify(f *testing.F) {
	for i, v := range vectors {
		var lines []string
		for k, s := range v.header {
			lines = append(lines, k+": "+s)
		}
		f.Add(i, strings.Join(lines, "\n"), []byte(v.body), v.now().Unix())
	}
	var verifiers []*Verifier
	for _, v := range vectors {
		verifiers = append(verifiers, verifier(f, v.config))
	}
	f.Fuzz(func(t *testing.T, i int, headers string, body []byte, now int64) {
		if i < 0 || i >= len(vectors) {
			return
		}
		h := http.Header{}
		for line := range strings.SplitSeq(headers, "\n") {
			k, v, _ := strings.Cut(line, ": ")
			h.Add(k, v)
		}
		got, err := verifiers[i].Verify(h, body, time.Unix(now, 0))
		if err != nil {
			if _, ok := err.(*Refusal); !ok || err.Error() == "" {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if string(body) != vectors[i].body {
			t.Fatalf("%s: a forged body was accepted: %q", vectors[i].name, body)
		}
		if len(got.ID) > IDBytesMax || len(got.Type) > IDBytesMax || got.IDSigned && got.ID == "" {
			t.Fatalf("%+v", got)
		}
	})
}

func FuzzHandshakes(f *testing.F) {
	f.Add("SubscriptionValidation", "a.example", "120", "https://a/b", []byte(gridSample))
	f.Add("", "*", "*", "", []byte(`{"type":"url_verification","challenge":"x"}`))
	f.Fuzz(func(t *testing.T, kind, origin, rate, callback string, body []byte) {
		h := http.Header{
			"Aeg-Event-Type": {kind}, "Webhook-Request-Origin": {origin}, "Webhook-Request-Rate": {rate}, "Webhook-Request-Callback": {callback},
			"Webhook-Allowed-Origin": {origin}, "Webhook-Allowed-Rate": {rate},
		}
		if v, ok, err := ReadGridValidation(h, body); ok && err == nil && !GridAnswered(200, v.Answer(), v.Code) {
			t.Errorf("%q is not answered by its own answer", v.Code)
		}
		if a, ok, err := ReadAsk(h); ok && err == nil {
			out := http.Header{}
			if err := a.SetHeader(out); err != nil {
				t.Errorf("%+v was read and cannot be written: %v", a, err)
			}
		}
		if g, granted, err := (Ask{Origin: "a.example", Rate: 5}).ReadGrant(h); granted && (err != nil || g.Rate < 0 || g.Rate > RateMost) {
			t.Errorf("%+v %v", g, err)
		}
		SlackChallenge(body)
		GridAnswered(200, body, "x")
	})
}
