package push_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPush_TLS(t *testing.T) {
	var got atomic.Int32
	e := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) }))
	e.Config.ErrorLog = log.New(io.Discard, "", 0)
	e.StartTLS()
	t.Cleanup(func() { e.CloseClientConnections(); e.Close() })
	s := serve(t, "", nil).streams()
	// Without its certificate nothing is sent, and the reason is told.
	s.push("billing", e.URL, `,"backoff_ms":10`, "")
	s.send(0, 3)
	s.untilIs("billing", "push.state", "failing")
	if why := fmt.Sprint(s.get("billing", "push.why")); !strings.Contains(why, "certificate") || got.Load() != 0 {
		t.Fatalf("%s, %d requests", why, got.Load())
	}
	ca, _ := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw})))
	s.do(200, "PUT", "/v1/subscriptions/billing", `{"push":{"ca":`+string(ca)+`}}`)
	s.untilIs("billing", "state.acked", 3.0)
}

// A node that stops lets what is under way end, and gives the rest back: after a start it goes on at once, and nothing was an attempt.
func TestPush_StopGivesBackAndStartGoesOn(t *testing.T) {
	dir := t.TempDir()
	var slow atomic.Bool
	slow.Store(true)
	e := receiver(t, func(_ *http.Request, _ []byte, _ http.ResponseWriter) {
		if slow.Load() {
			time.Sleep(300 * time.Millisecond)
		}
	})
	s := serve(t, dir, nil).streams()
	s.push("billing", e.URL, `,"max_attempts":1,"dead_letters":"dead","lease_ms":600000`, `,"concurrency":2,"timeout_ms":60000`)
	s.send(0, 40)
	s.until("requests", func() bool { return len(e.all()) >= 2 })
	began := time.Now()
	if err := s.node.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 45*time.Second {
		t.Errorf("it took %v to stop, as if it waited for a lease or a timeout", took)
	}
	slow.Store(false)
	s = serve(t, dir, nil)
	s.untilIs("billing", "state.acked", 40.0)
	if s.get("billing", "state.dead") != 0.0 || len(e.ids()) != 40 || len(e.all()) != 40 {
		t.Errorf("%v, %d requests for %d ids", s.get("billing", "state"), len(e.all()), len(e.ids()))
	}
}

// A slow endpoint is sent no more than it takes, and its deliveries do not lose their leases in a queue of ours.
func TestPush_SlowEndpointLosesNoAttempts(t *testing.T) {
	var under, most atomic.Int32
	e := receiver(t, func(*http.Request, []byte, http.ResponseWriter) {
		n := under.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(40 * time.Millisecond)
		under.Add(-1)
	})
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, `,"max_attempts":1,"dead_letters":"dead"`, `,"concurrency":3`)
	s.send(0, 120)
	s.untilIs("billing", "state.acked", 120.0)
	if most.Load() > 3 || len(e.all()) != 120 || s.get("billing", "state.dead") != 0.0 {
		t.Errorf("%d at once, %d requests, %v", most.Load(), len(e.all()), s.get("billing", "state"))
	}
}

// A push acts as who set it up, and stops when that one may not read any more.
func TestPush_ActsAsItsUser(t *testing.T) {
	e := receiver(t, nil)
	s := serve(t, "", nil).streams()
	s.do(201, "PUT", "/v1/users/root", `{"password":"correct horse","grants":[{"action":"admin","kind":"*","pattern":"*"}]}`)
	s.login = "root:correct horse"
	grants := `{"password":"battery staple","grants":[{"action":"admin","kind":"subscription","pattern":"ann*"},{"action":"read","kind":"stream","pattern":"orders"}]}`
	s.do(201, "PUT", "/v1/users/ann", grants)
	s.login = "ann:battery staple"
	s.push("ann-hook", e.URL, "", "")
	s.login = "root:correct horse"
	s.send(0, 2)
	s.untilIs("ann-hook", "state.acked", 2.0)
	if by := s.get("ann-hook", "push.by"); by != "ann" {
		t.Fatalf("by %v", by)
	}
	s.do(204, "DELETE", "/v1/users/ann", "")
	s.send(2, 5)
	s.untilIs("ann-hook", "push.state", "denied")
	if n := len(e.all()); n != 2 || s.get("ann-hook", "state.waiting") != 3.0 || s.get("ann-hook", "state.leased") != 0.0 {
		t.Fatalf("%d requests, %v", n, s.get("ann-hook", "state"))
	}
	s.do(201, "PUT", "/v1/users/ann", grants)
	s.do(200, "POST", "/v1/subscriptions/ann-hook/resume", "")
	s.untilIs("ann-hook", "state.acked", 5.0)
}

// Two that look after the same subscription would send everything twice; many changes of settings amid deliveries do not make two.
func TestPush_ManyChangesAreOneLine(t *testing.T) {
	var under, most atomic.Int32
	e := receiver(t, func(*http.Request, []byte, http.ResponseWriter) {
		if n := under.Add(1); n > 1 {
			most.Store(n)
		}
		time.Sleep(2 * time.Millisecond)
		under.Add(-1)
	})
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, "", `,"concurrency":1`)
	for i := range 20 {
		s.send(10*i, 10*i+10)
		switch i % 3 {
		case 0:
			s.do(200, "PUT", "/v1/subscriptions/billing", fmt.Sprintf(`{"push":{"headers":{"x-n":"%d"}}}`, i))
		case 1:
			s.do(200, "PUT", "/v1/subscriptions/billing", `{"push":null}`)
			s.do(200, "PUT", "/v1/subscriptions/billing", fmt.Sprintf(`{"push":{"url":%q,"concurrency":1}}`, e.URL))
		}
	}
	s.untilIs("billing", "state.acked", 200.0)
	if most.Load() > 1 {
		t.Errorf("%d requests at once", most.Load())
	}
	if len(e.ids()) != 200 {
		t.Errorf("%d ids", len(e.ids()))
	}
}

func TestPush_Metrics(t *testing.T) {
	e := receiver(t, status(500))
	s := serve(t, "", nil).streams()
	s.push("billing", e.URL, `,"max_attempts":1`, "")
	s.send(0, 1)
	s.untilIs("billing", "state.dead", 1.0)
	e.set(nil)
	s.send(1, 5)
	s.untilIs("billing", "state.acked", 4.0)
	res, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	for _, want := range []string{
		`leat_push_attempts_total{namespace="default",outcome="delivered",subscription="billing"} 4`,
		`leat_push_attempts_total{namespace="default",outcome="retry",subscription="billing"} 1`,
		`leat_push_events_total{namespace="default",subscription="billing"} 4`,
		`leat_push_state{namespace="default",state="sending",subscription="billing"} 1`,
		`leat_push_state{namespace="default",state="paused",subscription="billing"} 0`,
		`leat_push_seconds_count{namespace="default",subscription="billing"} 5`,
		"leat_outbound_connections ",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in /metrics", want)
		}
	}
}
