package http

import (
	"log/slog"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
)

// The platform's own stream is read like any other, and not listed unless asked for; writing to it is refused, and says why.
func TestSystem(t *testing.T) {
	b, err := broker.Open(broker.Options{
		Config: broker.Default(), Lineage: 7, Cluster: "test", Node: 1, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Shards: gatewaytest.MemoryShards(t, 1), System: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	s := startOn(t, b, nil)
	s.want(201, "POST", "/v1/streams/orders/events", "x")
	for _, r := range [][2]string{{"POST", "/v1/streams/leat.system/events"}, {"PUT", "/v1/streams/leat.mine"}, {"DELETE", "/v1/streams/leat.system"}, {"POST", "/v1/streams/leat.system/truncate"}} {
		body := "{}"
		if r[1] == "/v1/streams/leat.system/truncate" {
			body = `{"before":{"offset":1}}`
		}
		checkProblem(t, s.do(r[0], r[1], body), 403)
	}
	if a := s.want(200, "GET", "/v1/streams", ""); a.len("streams") != 1 {
		t.Errorf("listed: %s", a.body)
	}
	if a := s.want(200, "GET", "/v1/streams?internal=true", ""); a.len("streams") != 2 {
		t.Errorf("listed: %s", a.body)
	}
	s.addUser("root", "password", "admin * *")
	checkProblem(t, s.do("GET", "/v1/streams/orders/events", "", "Authorization", "Basic cm9vdDp3cm9uZw=="), 401)
	s.auth = "Basic cm9vdDpwYXNzd29yZA=="
	for range 200 {
		if a := s.want(200, "GET", "/v1/streams/leat.system/events?type=leat.login.refused", ""); a.len("events") == 1 {
			if a.str("events.0.data.address") != "127.0.0.1" || a.str("events.0.data.gateway") != "http" || a.str("events.0.subject") != "root" {
				t.Errorf("%s", a.body)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a refused login was not told")
}
