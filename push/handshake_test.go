package push_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestPush_CloudEventsHandshake(t *testing.T) {
	var consents atomic.Bool
	e := receiver(t, func(r *http.Request, _ []byte, w http.ResponseWriter) {
		if r.Method == http.MethodOptions && consents.Load() {
			w.Header().Set("WebHook-Allowed-Origin", r.Header.Get("WebHook-Request-Origin"))
			w.Header().Set("WebHook-Allowed-Rate", "6000")
		}
	})
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, "", `,"handshake":"cloudevents","origin":"leat.example.com"`)
	s.send(0, 3)
	s.untilIs("billing", "push.state", "refused")
	for _, r := range e.all() {
		if r.method != http.MethodOptions || r.header.Get("WebHook-Request-Origin") != "leat.example.com" {
			t.Fatalf("%v before there was consent", r)
		}
	}
	consents.Store(true)
	s.do(200, "POST", "/v1/subscriptions/billing/resume", "")
	s.untilIs("billing", "state.acked", 3.0)
	if got := s.get("billing", "push.consent.rate_per_minute"); got != 6000.0 {
		t.Errorf("rate %v", got)
	}
	last := e.all()[len(e.all())-1]
	if last.header.Get("WebHook-Request-Origin") != "leat.example.com" {
		t.Errorf("%v", last.header)
	}
	// Consent is for a URL: another one is asked again.
	n := len(e.all())
	s.do(200, "PUT", "/v1/subscriptions/billing", fmt.Sprintf(`{"push":{"url":%q}}`, e.URL+"/other"))
	s.send(3, 4)
	s.untilIs("billing", "state.acked", 4.0)
	if first := e.all()[n]; first.method != http.MethodOptions {
		t.Errorf("%v", first)
	}
}

func TestPush_EventGridHandshake(t *testing.T) {
	e := receiver(t, func(r *http.Request, body []byte, w http.ResponseWriter) {
		if r.Header.Get("Aeg-Event-Type") == "SubscriptionValidation" {
			var list []struct {
				Data struct{ ValidationCode string }
			}
			_ = json.Unmarshal(body, &list)
			fmt.Fprintf(w, `{"validationResponse":%q}`, list[0].Data.ValidationCode)
		}
	})
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, "", `,"handshake":"eventgrid","new_secret":true`)
	s.send(0, 3)
	s.untilIs("billing", "state.acked", 3.0)
	if len(e.all()) != 4 {
		t.Fatalf("%d requests", len(e.all()))
	}
}

func TestPush_HandshakeIsPendingWhileNobodyAnswers(t *testing.T) {
	e := receiver(t, status(503))
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, "", `,"handshake":"cloudevents"`)
	s.untilIs("billing", "push.state", "pending")
	e.set(func(_ *http.Request, _ []byte, w http.ResponseWriter) { w.Header().Set("WebHook-Allowed-Origin", "*") })
	s.untilIs("billing", "push.state", "sending")
}

func TestPush_ChangesTakeEffect(t *testing.T) {
	a, b := receiver(t, nil), receiver(t, nil)
	s := serve(t, "", nil).streams()
	s.push("billing", a.URL, "", "")
	s.send(0, 5)
	s.untilIs("billing", "state.acked", 5.0)
	s.do(200, "PUT", "/v1/subscriptions/billing", fmt.Sprintf(`{"push":{"url":%q}}`, b.URL))
	s.send(5, 10)
	s.untilIs("billing", "state.acked", 10.0)
	if len(a.all()) != 5 || len(b.all()) != 5 {
		t.Fatalf("%d and %d", len(a.all()), len(b.all()))
	}
	s.do(200, "PUT", "/v1/subscriptions/billing", `{"push":null}`)
	s.send(10, 11)
	if s.get("billing", "state.waiting") != 1.0 || s.get("billing", "config.push") != nil || s.get("billing", "push") != nil {
		t.Fatalf("%v", s.get("billing", "state"))
	}
	v := s.do(200, "POST", "/v1/subscriptions/billing/receive", `{"wait":20000}`)
	if n := len(v["deliveries"].([]any)); n != 1 || len(b.all()) != 5 { // nobody else had taken it
		t.Fatalf("%d, and %d were sent", n, len(b.all()))
	}
	s.do(204, "DELETE", "/v1/subscriptions/billing", "")
	s.do(204, "DELETE", "/v1/streams/orders", "")
}

func TestPush_WrongSettings(t *testing.T) {
	s := serve(t, "", nil).streams()
	for more, pointer := range map[string]string{
		`"url":"ftp://x"`:                                                      "/push/url",
		`"url":"nonsense"`:                                                     "/push/url",
		`"format":"binary"`:                                                    "/push/url",
		`"url":"https://example.com","format":"xml"`:                           "/push/format",
		`"url":"https://example.com","handshake":"x"`:                          "/push/handshake",
		`"url":"https://example.com","concurrency":-1`:                         "/push/concurrency",
		`"url":"https://example.com","concurrency":1025`:                       "/push/concurrency",
		`"url":"https://example.com","rate":-1`:                                "/push/rate",
		`"url":"https://example.com","timeout_ms":99`:                          "/push/timeout_ms",
		`"url":"https://example.com","timeout_ms":600001`:                      "/push/timeout_ms",
		`"url":"https://example.com","batch_max":1001`:                         "/push/batch_max",
		`"url":"https://example.com","headers":{"ce-id":"x"}`:                  "/push/headers",
		`"url":"https://example.com","headers":{"host":"x"}`:                   "/push/headers",
		`"url":"https://example.com","secrets":["short"]`:                      "/push/secrets",
		`"url":"https://example.com","ca":"x"`:                                 "/push/ca",
		`"url":"https://example.com","nope":1`:                                 "/push/nope",
		`"url":7`:                                                              "/push/url",
		`"url":"https://example.com","drop_secrets":["00000000"]`:              "/push/drop_secrets/0",
		`"url":"https://example.com","new_secret":true,"add_secret":"whsec_x"`: "/push/new_secret",
		`"url":"http://169.254.169.254/latest"`:                                "/push/url",
	} {
		p := s.do(400, "PUT", "/v1/subscriptions/x", `{"streams":["orders"],"push":{`+more+`}}`)
		if p["pointer"] != pointer {
			t.Errorf("%s: %v, want %s", more, p, pointer)
		}
	}
	p := s.do(400, "PUT", "/v1/subscriptions/x", `{"streams":["orders"],"order":"key","max_run":5,"push":{"url":"https://example.com"}}`)
	if p["pointer"] != "/max_run" {
		t.Errorf("%v", p)
	}
	if !strings.Contains(fmt.Sprint(p["detail"]), "max_run") {
		t.Errorf("%v", p)
	}
}
