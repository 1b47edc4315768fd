package http

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// send appends events that are numbered.
func (s *served) send(stream string, from, to int) {
	s.t.Helper()
	for i := from; i < to; i++ {
		s.want(201, "POST", "/v1/streams/"+stream+"/events", event(fmt.Sprint(stream, i), "placed", fmt.Sprint("k", i), fmt.Sprint(i)), "Content-Type", mediaEvent)
	}
}

// work makes streams orders and dead, and a subscription work to orders.
func (s *served) work(config string) {
	s.t.Helper()
	s.want(201, "PUT", "/v1/streams/orders", "{}")
	s.want(201, "PUT", "/v1/streams/dead", "{}")
	s.want(201, "PUT", "/v1/subscriptions/work", `{"streams":["orders"]`+config+`}`)
}

// take receives so many deliveries and gives their data, in order, and their handles as a body.
func (s *served) take(n int, more string) (data, body string) {
	s.t.Helper()
	var got, handles []string
	for len(got) < n {
		a := s.want(200, "POST", "/v1/subscriptions/work/receive", fmt.Sprintf(`{"max":%d,"wait":"5s"%s}`, n-len(got), more))
		if a.len("deliveries") == 0 {
			s.t.Fatalf("%d of %d came: %v", len(got), n, got)
		}
		for i := range a.len("deliveries") {
			at := fmt.Sprint("deliveries.", i, ".")
			got = append(got, a.str(at+"event.data"))
			handles = append(handles, `"`+a.str(at+"handle")+`"`)
		}
	}
	return strings.Join(got, " "), `{"handles":[` + strings.Join(handles, ",") + `]}`
}

// settle does something with handles and demands one outcome for all.
func (s *served) settled(verb, body, outcome string) {
	s.t.Helper()
	a := s.want(200, "POST", "/v1/subscriptions/work/"+verb, body)
	for i := range a.len("outcomes") {
		if a.str(fmt.Sprint("outcomes.", i, ".outcome")) != outcome {
			s.t.Fatalf("%s: %s; want %s", verb, a.body, outcome)
		}
	}
	if n := strings.Count(body, `"`)/2 - 1; a.len("outcomes") < 1 || a.len("outcomes") > n {
		s.t.Fatalf("%s: %d outcomes", verb, a.len("outcomes"))
	}
}

func (s *served) none() {
	s.t.Helper()
	if a := s.want(200, "POST", "/v1/subscriptions/work/receive", `{"max":10,"wait":100}`); a.len("deliveries") != 0 {
		s.t.Fatalf("came: %s", a.body)
	}
}

func TestSubscription_WorkIsSharedOut(t *testing.T) {
	s := start(t, nil)
	s.work(`,"lease_ms":60000`)
	s.send("orders", 0, 6)
	one, mine := s.take(3, "")
	two, theirs := s.take(3, "")
	if one != "0 1 2" || two != "3 4 5" {
		t.Fatalf("got %s and %s", one, two)
	}
	s.none()
	s.settled("ack", mine, "done")
	s.settled("ack", mine, "already")
	s.settled("release", strings.Replace(theirs, "}", `,"after":0,"counts":false}`, 1), "done")
	s.settled("renew", strings.Replace(theirs, "}", `,"lease":"1m"}`, 1), "lost")
	again, theirs := s.take(3, "")
	if again != "3 4 5" {
		t.Fatalf("got %s", again)
	}
	s.settled("renew", strings.Replace(theirs, "}", `,"lease":60000}`, 1), "done")
	s.settled("ack", theirs, "done")
	a := s.want(200, "GET", "/v1/subscriptions/work", "")
	if a.str("state.waiting") != "0" || a.str("state.acked") != "6" || a.header.Get("ETag") == "" {
		t.Fatalf("%s", a.body)
	}
	s.want(204, "DELETE", "/v1/subscriptions/work", "")
	s.want(404, "GET", "/v1/subscriptions/work", "")
	s.want(404, "POST", "/v1/subscriptions/work/receive", "")
}

func TestSubscription_ComesAgainAfterItsLease(t *testing.T) {
	s := start(t, nil)
	s.work("")
	s.send("orders", 0, 1)
	a := s.want(200, "POST", "/v1/subscriptions/work/receive", `{"lease":"50ms"}`)
	b := s.want(200, "POST", "/v1/subscriptions/work/receive", `{"wait":5000}`)
	if b.str("deliveries.0.attempt") != "2" || b.str("deliveries.0.again") != "true" || a.str("deliveries.0.id") != b.str("deliveries.0.id") ||
		a.str("deliveries.0.handle") == b.str("deliveries.0.handle") {
		t.Fatalf("%s then %s", a.body, b.body)
	}
}

func TestSubscription_LongPoll(t *testing.T) {
	s := start(t, nil)
	s.work("")
	got := make(chan string, 1)
	go func() {
		a := s.do("POST", "/v1/subscriptions/work/receive", `{"wait":"10s"}`)
		got <- a.str("deliveries.0.event.data")
	}()
	time.Sleep(50 * time.Millisecond)
	s.send("orders", 0, 1)
	if v := <-got; v != "0" {
		t.Fatalf("got %q", v)
	}
}
