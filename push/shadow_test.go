package push_test

import (
	"fmt"
	"testing"
)

// New code behind a shadow sees each request of the real endpoint once, and however it fails costs the real one nothing.
func TestPush_Shadow(t *testing.T) {
	s, e, broken := serve(t, "", nil).streams(), receiver(t, nil), receiver(t, status(500))
	s.push("billing", e.URL, `,"dead_letters":"dead"`, "")
	s.do(201, "PUT", "/v1/subscriptions/billing-new", fmt.Sprintf(`{"shadow_of":"billing","push":{"url":%q}}`, broken.URL))
	s.send(0, 50)
	s.untilIs("billing", "state.acked", 50.0)
	s.untilIs("billing", "state.dead", 0.0)
	broken.set(nil) // it would be paused
	s.do(200, "POST", "/v1/subscriptions/billing-new/resume", "{}")
	s.until("the shadow has seen all", func() bool { return len(broken.ids()) == 50 })
	real := e.ids()
	for id := range broken.ids() {
		if real[id] != 1 {
			t.Fatalf("%s came to the real one %d times", id, real[id])
		}
	}
	if n := s.get("billing", "state.waiting"); n != 0.0 {
		t.Fatal(n)
	}
}

// What a sequence says of an event goes along as headers.
func TestPush_Marks(t *testing.T) {
	s, e := serve(t, "", nil).streams(), receiver(t, nil)
	s.push("billing", e.URL, `,"marks":true`, `,"ordered":true`)
	for _, n := range []string{"1", "3", "2", "3"} {
		s.do(201, "POST", "/v1/append", fmt.Sprintf(`{"events":[{"stream":"orders","source":"/shop","sequence":%q}]}`, n))
	}
	s.untilIs("billing", "state.acked", 4.0)
	got := ""
	for _, r := range e.all() {
		got += fmt.Sprintf("%s%s%s,", r.header.Get("Leat-Gap"), r.header.Get("Leat-Late"), r.header.Get("Leat-Duplicate-Of"))
	}
	if got != ",1,true,orders/0/1," {
		t.Fatal(got)
	}
}
