package http

import (
	"testing"
)

// One request lists all with what waits for them.
func TestSubscription_ListedWithState(t *testing.T) {
	s := start(t, nil)
	s.work("")
	s.want(201, "PUT", "/v1/subscriptions/also", `{"streams":["orders"]}`)
	s.send("orders", 0, 3)
	s.take(2, "")
	a := s.want(200, "GET", "/v1/subscriptions?state=true&limit=1", "")
	if a.str("subscriptions.0.name") != "also" || a.str("subscriptions.0.state.waiting") != "3" || a.str("next") != "also" {
		t.Fatalf("%s", a.body)
	}
	a = s.want(200, "GET", "/v1/subscriptions?state=true&from=also", "")
	if a.len("subscriptions") != 1 || a.str("subscriptions.0.state.leased") != "2" || a.str("subscriptions.0.config.order") != "none" {
		t.Fatalf("%s", a.body)
	}
	s.want(400, "GET", "/v1/subscriptions?state=2", "")
}

func TestSubscription_VolatileBeginsWithWhatComes(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/streams/orders", "{}")
	if a := s.want(400, "PUT", "/v1/subscriptions/w", `{"streams":["orders"],"volatile":true,"from":"earliest"}`); a.str("field") != "from" {
		t.Fatalf("%s", a.body)
	}
	s.want(201, "PUT", "/v1/subscriptions/w", `{"streams":["orders"],"volatile":true,"from":"latest"}`)
}
