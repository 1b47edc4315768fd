package http

import (
	"encoding/json"
	"fmt"
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

// A shadow gets what is handed to others, by receiving and by webhook; what it says counts for nothing.
func TestSubscription_Shadow(t *testing.T) {
	s := start(t, nil)
	s.work(`,"dead_letters":"dead"`)
	a := s.want(201, "PUT", "/v1/subscriptions/new", `{"shadow_of":"work","max_length":10}`)
	config, err := json.Marshal(a.get("config"))
	if err != nil {
		t.Fatal(err)
	}
	s.want(200, "PUT", "/v1/subscriptions/new", string(config)) // it can be PUT again
	s.send("orders", 0, 3)
	got, body := s.take(3, "")
	if got != "0 1 2" {
		t.Fatal(got)
	}
	a = s.want(200, "POST", "/v1/subscriptions/new/receive", `{"max":1,"wait":"30s","lease":"1h"}`)
	if a.str("deliveries.0.event.data") != "0" || a.str("deliveries.0.ref") != "orders/0/0" {
		t.Fatalf("%s", a.body)
	}
	h := `{"handles":["` + a.str("deliveries.0.handle") + `"]}`
	s.want(400, "POST", "/v1/subscriptions/work/ack", h)
	if a = s.want(200, "POST", "/v1/subscriptions/new/reject", h); a.str("outcomes.0.outcome") != "done" {
		t.Fatalf("%s", a.body)
	}
	s.until(func() bool {
		return s.want(200, "GET", "/v1/subscriptions/new", "").str("state.waiting") == "2"
	})
	a = s.want(200, "POST", "/v1/subscriptions/new/receive", `{"max":1,"wait":"30s"}`)
	s.want(201, "POST", "/v1/append", `{"events":[{"stream":"dead"}],"ack":["`+a.str("deliveries.0.handle")+`"]}`)
	if a = s.want(200, "GET", "/v1/subscriptions/work", ""); a.str("state.leased") != "3" || a.str("state.dead") != "0" {
		t.Fatalf("%s", a.body)
	}
	s.settled("ack", body, "done")
	if a = s.want(200, "GET", "/v1/subscriptions?prefix=n", ""); a.str("subscriptions.0.shadow_of") != "work" {
		t.Fatalf("%s", a.body)
	}
	if a = s.want(400, "PUT", "/v1/subscriptions/other", `{"shadow_of":"work","where":"true"}`); a.str("field") != "shadow_of" {
		t.Fatalf("%s", a.body)
	}
	s.want(404, "PUT", "/v1/subscriptions/other", `{"shadow_of":"none"}`)
	s.want(400, "POST", "/v1/subscriptions/new/rewind", `{"to":"earliest"}`)
}

func TestSubscription_Selector(t *testing.T) {
	s := start(t, nil)
	s.work(`,"selector":"type = 'placed' AND offset > 1"`)
	s.send("orders", 0, 4)
	if got, body := s.take(2, ""); got != "2 3" {
		t.Fatal(got, body)
	}
	if a := s.want(200, "GET", "/v1/subscriptions/work/explain?ref=orders/0/1", ""); a.str("clause") != "offset > 1" || a.str("matches") != "false" {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(400, "PUT", "/v1/subscriptions/work", `{"selector":"type = "}`); a.str("field") != "selector" || a.str("pointer") != "/selector" {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(200, "PUT", "/v1/subscriptions/work", `{"selector":""}`); a.get("config.selector") != nil {
		t.Fatalf("%s", a.body)
	}
}

func TestSubscription_Marks(t *testing.T) {
	s := start(t, nil)
	s.work(`,"marks":true`)
	for i, n := range []string{"1", "4", "2", "4"} {
		s.want(201, "POST", "/v1/streams/orders/events", fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/shop","type":"placed","sequence":%q}`, i, n), "Content-Type", mediaEvent)
	}
	a := s.want(200, "POST", "/v1/subscriptions/work/receive", `{"max":4,"wait":"30s"}`)
	if a.len("deliveries") != 4 {
		t.Fatalf("%s", a.body)
	}
	if a.get("deliveries.0.marks") != nil || a.str("deliveries.1.marks.gap") != "2" || a.str("deliveries.2.marks.late") != "true" || a.str("deliveries.3.marks.duplicate_of") != "orders/0/1" {
		t.Fatalf("%s", a.body)
	}
	if a.get("deliveries.1.marks.late") != nil || a.str("deliveries.1.ref") != "orders/0/1" {
		t.Fatalf("%s", a.body)
	}
}
