package push_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/hooks"
	"leat/node"
)

func TestPush_BinarySignedAndAcknowledged(t *testing.T) {
	s, e := serve(t, "", nil).streams(), receiver(t, nil)
	made := s.push("billing", e.URL+"/in", "", `,"new_secret":true,"headers":{"authorization":"Bearer abc"}`)
	secret, _ := made["new_secret"].(string)
	v, err := hooks.New(hooks.Config{Scheme: hooks.Standard, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(secret, err)
	}
	s.send(0, 20)
	s.untilIs("billing", "state.acked", 20.0)
	got := e.all()
	if len(got) != 20 || len(e.ids()) != 20 {
		t.Fatalf("%d requests with %d ids", len(got), len(e.ids()))
	}
	for _, r := range got {
		if _, err := v.Verify(r.header, []byte(r.body), time.Now()); err != nil {
			t.Fatal(err)
		}
		h := r.header
		if h.Get("Ce-Id") != "e"+r.body || h.Get("Ce-Source") != "/shop" || h.Get("Ce-Type") != "placed" || h.Get("Authorization") != "Bearer abc" ||
			h.Get("Leat-Subscription") != "billing" || h.Get("Leat-Attempt") != "1" || !strings.HasPrefix(h.Get("Ce-Partitionkey"), "k") {
			t.Fatalf("%v %s", h, r.body)
		}
	}
	// What is secret is not shown, and what is shown can be put again.
	shown := s.do(200, "GET", "/v1/subscriptions/billing", "")
	text, _ := json.Marshal(shown)
	if strings.Contains(string(text), secret) || strings.Contains(string(text), "abc") || shown["push"].(map[string]any)["state"] != "sending" {
		t.Fatalf("%s", text)
	}
	again, _ := json.Marshal(shown["config"])
	s.do(200, "PUT", "/v1/subscriptions/billing", string(again))
	s.send(20, 21)
	s.untilIs("billing", "state.acked", 21.0)
	last := e.all()[20]
	if _, err := v.Verify(last.header, []byte(last.body), time.Now()); err != nil || last.header.Get("Authorization") != "Bearer abc" {
		t.Fatal(err, last.header)
	}
}

func TestPush_SecretsAreExchanged(t *testing.T) {
	s, e := serve(t, "", nil).streams(), receiver(t, nil)
	first, _ := s.push("billing", e.URL, "", `,"new_secret":true`)["new_secret"].(string)
	second, _ := s.do(200, "PUT", "/v1/subscriptions/billing", `{"push":{"new_secret":true}}`)["new_secret"].(string)
	r := s.signed(e, 2)
	for _, secret := range []string{first, second} {
		v, err := hooks.New(hooks.Config{Scheme: hooks.Standard, Secrets: []string{secret}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(r.header, []byte(r.body), time.Now()); err != nil {
			t.Errorf("one of the two is not good: %v", err)
		}
	}
	prints, _ := s.get("billing", "config.push.fingerprints").([]any)
	if len(prints) != 2 {
		t.Fatalf("%v", prints)
	}
	s.do(200, "PUT", "/v1/subscriptions/billing", fmt.Sprintf(`{"push":{"drop_secrets":[%q]}}`, prints[1]))
	s.signed(e, 1)
}

// signed publishes an event and demands so many signatures: what was changed holds when it was answered.
func (s *served) signed(e *endpoint, n int) (r request) {
	s.t.Helper()
	was := len(e.all())
	s.send(was, was+1)
	s.until("a request", func() bool { return len(e.all()) > was })
	if r = e.all()[was]; len(strings.Fields(r.header.Get("Webhook-Signature"))) != n {
		s.t.Fatalf("%s: not %d signatures", r.header.Get("Webhook-Signature"), n)
	}
	return r
}

func TestPush_StructuredAndBatch(t *testing.T) {
	s, e, f := serve(t, "", nil).streams(), receiver(t, nil), receiver(t, nil)
	s.push("one", e.URL, "", `,"format":"structured"`)
	s.do(200, "POST", "/v1/subscriptions/one/suspend", "")
	s.push("many", f.URL, `,"suspended":true`, `,"format":"batch","batch_max":10`)
	s.send(0, 25)
	s.do(200, "POST", "/v1/subscriptions/one/resume", "")
	s.do(200, "POST", "/v1/subscriptions/many/resume", "")
	s.untilIs("one", "state.acked", 25.0)
	s.untilIs("many", "state.acked", 25.0)
	for _, r := range e.all() {
		var ev map[string]any
		if json.Unmarshal([]byte(r.body), &ev) != nil || ev["id"] != fmt.Sprint("e", ev["data"]) || !strings.HasPrefix(r.header.Get("Content-Type"), "application/cloudevents+json") {
			t.Fatalf("%s", r.body)
		}
	}
	events, ids := 0, map[any]bool{}
	for _, r := range f.all() {
		var list []map[string]any
		if json.Unmarshal([]byte(r.body), &list) != nil || len(list) > 10 || !strings.HasPrefix(r.header.Get("Content-Type"), "application/cloudevents-batch+json") {
			t.Fatalf("%s", r.body)
		}
		for _, ev := range list {
			ids[ev["leatdelivery"]] = true
			events++
		}
	}
	if events != 25 || len(ids) != 25 || len(f.all()) > 12 {
		t.Fatalf("%d events, %d ids, %d requests", events, len(ids), len(f.all()))
	}
}

func TestPush_FailuresAreTriedAgainAndDie(t *testing.T) {
	e := receiver(t, func(_ *http.Request, body []byte, w http.ResponseWriter) {
		if string(body) == "3" {
			w.WriteHeader(500)
			fmt.Fprint(w, "no such customer")
		}
	})
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, `,"max_attempts":3,"backoff_ms":20,"dead_letters":"dead"`, "")
	s.send(0, 10)
	s.untilIs("billing", "state.dead", 1.0)
	s.untilIs("billing", "state.acked", 9.0)
	poison := 0
	for _, n := range e.ids() {
		if n > 1 {
			poison = n
		}
	}
	if poison != 3 || len(e.ids()) != 10 {
		t.Fatalf("%v", e.ids())
	}
	var attempts []string
	for _, r := range e.all() {
		if r.body == "3" {
			attempts = append(attempts, r.header.Get("Leat-Attempt"))
		}
	}
	if fmt.Sprint(attempts) != "[1 2 3]" {
		t.Fatalf("%v", attempts)
	}
	letters := s.do(200, "GET", "/v1/subscriptions/billing/dead-letters", "")
	text, _ := json.Marshal(letters)
	for _, want := range []string{"leat-dead-status=500", "leat-dead-answer=no%20such%20customer", "exhausted"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if s.get("billing", "push.last_failure.answer") != "no such customer" {
		t.Errorf("%v", s.get("billing", "push"))
	}
}

func TestPush_RefusedIsADeadLetterAtOnce(t *testing.T) {
	e := receiver(t, status(415))
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, `,"dead_letters":"dead"`, "")
	s.send(0, 1)
	s.untilIs("billing", "state.dead", 1.0)
	if n := len(e.all()); n != 1 {
		t.Fatalf("%d requests", n)
	}
}

func TestPush_GonePausesUntilResumed(t *testing.T) {
	dir := t.TempDir()
	e := receiver(t, status(410))
	s := serve(t, dir, nil).streams()
	s.push("billing", e.URL, `,"max_attempts":2,"dead_letters":"dead"`, "")
	s.send(0, 5)
	s.untilIs("billing", "push.state", "paused")
	if err := s.node.Stop(); err != nil {
		t.Fatal(err)
	}
	e.set(status(204))
	n := len(e.all())
	s = serve(t, dir, nil)
	beside := receiver(t, nil) // what it got, the one that is paused would have got too
	s.push("beside", beside.URL, "", "")
	s.send(5, 6)
	s.untilIs("beside", "state.acked", 1.0)
	if s.get("billing", "push.state") != "paused" || len(e.all()) != n {
		t.Fatalf("it goes on by itself: %v", s.get("billing", "push"))
	}
	s.do(200, "POST", "/v1/subscriptions/billing/resume", "")
	s.untilIs("billing", "state.acked", 6.0)
	s.until("events of the system", func() bool {
		return strings.Contains(s.systemEvents("billing"), "leat.push.paused leat.push.resumed")
	})
}

func TestPush_RetryAfterHoldsTheEndpointAndCostsNoAttempt(t *testing.T) {
	var n atomic.Int32
	e := receiver(t, func(_ *http.Request, _ []byte, w http.ResponseWriter) {
		if n.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}
	})
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, `,"max_attempts":1,"dead_letters":"dead"`, `,"concurrency":1`)
	began := time.Now()
	s.send(0, 4)
	s.untilIs("billing", "state.acked", 4.0)
	if took := time.Since(began); took < 900*time.Millisecond || s.get("billing", "state.dead") != 0.0 {
		t.Fatalf("after %v: %v", took, s.get("billing", "state"))
	}
}

func TestPush_PrivateAddressesAndRedirects(t *testing.T) {
	s := serve(t, "", func(c *node.Config) { c.Outbound.Allow = nil }).streams()
	e := receiver(t, nil)
	s.do(400, "PUT", "/v1/subscriptions/x", fmt.Sprintf(`{"streams":["orders"],"push":{"url":%q}}`, e.URL))
	s.push("billing", strings.Replace(e.URL, "127.0.0.1", "localhost", 1), `,"max_attempts":1,"dead_letters":"dead","backoff_ms":1`, "")
	s.send(0, 1)
	s.untilIs("billing", "push.state", "failing")
	if why := fmt.Sprint(s.get("billing", "push.why")); !strings.Contains(why, "outbound.allow") || s.get("billing", "state.waiting") != 1.0 {
		t.Fatalf("%s %v", why, s.get("billing", "state"))
	}
	if len(e.all()) != 0 {
		t.Fatal("it was reached")
	}
}

func TestPush_RedirectsAreNotFollowed(t *testing.T) {
	other := receiver(t, nil)
	e := receiver(t, func(_ *http.Request, _ []byte, w http.ResponseWriter) {
		w.Header().Set("Location", other.URL)
		w.WriteHeader(302)
	})
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, `,"max_attempts":2,"dead_letters":"dead","backoff_ms":1`, "")
	s.send(0, 1)
	s.untilIs("billing", "state.dead", 1.0)
	if len(other.all()) != 0 || len(e.all()) != 2 {
		t.Fatalf("%d %d", len(other.all()), len(e.all()))
	}
}

// A dead endpoint keeps its events and costs the one beside it nothing; when it comes back, it gets them all.
func TestPush_DeadBesideFastAndFlapping(t *testing.T) {
	var up atomic.Bool
	flap := receiver(t, func(_ *http.Request, _ []byte, w http.ResponseWriter) {
		if !up.Load() {
			w.WriteHeader(500)
		}
	})
	fast := receiver(t, nil)
	s := serve(t, "", nil).streams()
	s.push("flap", flap.URL, `,"max_attempts":50,"dead_letters":"dead","backoff_ms":10`, "")
	s.push("fast", fast.URL, "", "")
	s.send(0, 300)
	s.untilIs("fast", "state.acked", 300.0)
	s.untilIs("flap", "push.state", "failing")
	s.untilIs("flap", "state.leased", 0.0) // what was taken is given back
	if n := len(flap.all()); n > 60 {
		t.Errorf("%d requests to an endpoint that is down", n)
	}
	up.Store(true)
	s.do(200, "POST", "/v1/subscriptions/flap/resume", "")
	s.untilIs("flap", "state.acked", 300.0)
	s.until("events", func() bool { return strings.HasPrefix(s.systemEvents("flap"), "leat.push.failing") })
}

// What stalls is cut by the timeout and holds nobody else up.
func TestPush_Stalled(t *testing.T) {
	release := make(chan struct{})
	var stalled atomic.Int32
	e := receiver(t, func(r *http.Request, _ []byte, w http.ResponseWriter) {
		if stalled.Add(1) <= 3 {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			w.WriteHeader(500)
		}
	})
	defer close(release)
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, `,"backoff_ms":50`, `,"timeout_ms":300,"concurrency":4`)
	s.send(0, 50)
	s.untilIs("billing", "state.acked", 50.0)
}

func TestPush_OrderedWaitsForTheFirst(t *testing.T) {
	var fails atomic.Int32
	e := receiver(t, func(_ *http.Request, body []byte, w http.ResponseWriter) {
		if string(body) == "2" && fails.Add(1) <= 2 {
			w.WriteHeader(503)
		}
	})
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, `,"backoff_ms":20`, `,"ordered":true`)
	s.send(0, 6)
	s.untilIs("billing", "state.acked", 6.0)
	var got []string
	for _, r := range e.all() {
		got = append(got, r.body)
	}
	if strings.Join(got, " ") != "0 1 2 2 2 3 4 5" {
		t.Fatalf("%v", got)
	}
	if s.get("billing", "config.order") != "total" {
		t.Error("order is not total")
	}
}

func TestPush_Rate(t *testing.T) {
	e := receiver(t, nil)
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, "", `,"rate":20`)
	began := time.Now()
	s.send(0, 21)
	s.untilIs("billing", "state.acked", 21.0)
	if took := time.Since(began); took < 900*time.Millisecond { // the most is the machine's affair
		t.Fatalf("21 at 20 a second took %v", took)
	}
}
