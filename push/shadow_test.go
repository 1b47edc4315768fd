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
