package http

import (
	"context"
	"fmt"
	"log/slog"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
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

// until waits for what happens in the background.
func (s *served) until(ok func() bool) {
	s.t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("it does not come to that")
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

// Without a wait the answer is what there is, and not empty for being quick.
func TestSubscription_WithoutWaiting(t *testing.T) {
	s := start(t, nil)
	s.work(`,"members":"exclusive"`)
	for i := range 10 {
		s.send("orders", i, i+1)
		if a := s.want(200, "POST", "/v1/subscriptions/work/receive", `{"max":10}`); a.len("deliveries") != 1 || a.str("deliveries.0.event.data") != fmt.Sprint(i) {
			t.Fatalf("right after %d was appended: %s", i, a.body)
		}
	}
	if a := s.want(200, "POST", "/v1/subscriptions/work/receive", `{"max":10}`); a.len("deliveries") != 0 {
		t.Fatalf("%s", a.body)
	}
}

// Whoever leaves while waiting is handed nothing, and a gateway that stops ends the wait.
func TestSubscription_LongPollEndsWithTheClientAndTheGateway(t *testing.T) {
	s := start(t, nil)
	s.work(`,"lease_ms":3600000`)
	ctx, cancel := context.WithCancel(context.Background())
	req, err := nethttp.NewRequestWithContext(ctx, "POST", s.url+"/v1/subscriptions/work/receive", strings.NewReader(`{"wait":"1m"}`))
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() {
		res, err := nethttp.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
		}
		left <- err
	}()
	s.until(func() bool { return s.want(200, "GET", "/v1/subscriptions/work", "").str("state.members") == "1" })
	cancel()
	if err := <-left; err == nil {
		t.Fatal("the client did not leave")
	}
	time.Sleep(200 * time.Millisecond) // until then its going is not known here either
	s.send("orders", 0, 1)
	if got, _ := s.take(1, ""); got != "0" {
		t.Fatal(got)
	}
	got := make(chan answer, 1)
	go func() { got <- s.do("POST", "/v1/subscriptions/work/receive", `{"wait":"5m"}`) }()
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	s.l.Drain(context.Background())
	if a := <-got; a.code != 200 || a.len("deliveries") != 0 || time.Since(began) > 20*time.Second {
		t.Fatalf("%d %s after %s", a.code, a.body, time.Since(began))
	}
}

// What was acknowledged does not come again when the node was stopped in between; what was not does, with its attempts.
func TestSubscription_SurvivesARestart(t *testing.T) {
	opt := broker.Options{
		Config: broker.Default(), Lineage: 7, Cluster: "test", Node: 1, Clock: clock.Real, Log: slog.New(slog.DiscardHandler),
		Shards: gatewaytest.MemoryShards(t, 1),
	}
	open := func() *broker.Broker {
		b, err := broker.Open(opt)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open()
	s := startOn(t, b, nil)
	s.work(`,"lease_ms":200`)
	s.send("orders", 0, 3)
	_, body := s.take(2, "")
	s.settled("ack", body, "done")
	last := s.want(200, "POST", "/v1/subscriptions/work/receive", "").str("deliveries.0.handle")
	s.l.Drain(context.Background())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	fresh := gatewaytest.MemoryShards(t, 1)[0] // all but the journal is made anew from it
	fresh.OpenJournal = opt.Shards[0].OpenJournal
	opt.Shards[0] = fresh
	b = open()
	t.Cleanup(func() { _ = b.Close() })
	s = startOn(t, b, nil)
	a := s.want(200, "POST", "/v1/subscriptions/work/receive", `{"max":10,"wait":"5s"}`)
	if a.len("deliveries") != 1 || a.str("deliveries.0.event.data") != "2" || a.str("deliveries.0.attempt") != "2" {
		t.Fatalf("%s", a.body)
	}
	s.settled("ack", `{"handles":["`+last+`"]}`, "late")
	s.none()
}

// A wait is longer than a request may take to arrive or an answer to be written.
func TestSubscription_LongPollOutlastsTheTimeouts(t *testing.T) {
	limits := gateway.Default()
	limits.ReadTimeout, limits.WriteTimeout = 150*time.Millisecond, 150*time.Millisecond
	s := startWith(t, newBroker(t, 1), nil, limits)
	s.work("")
	began := time.Now()
	if a := s.want(200, "POST", "/v1/subscriptions/work/receive", `{"wait":700}`); a.len("deliveries") != 0 || time.Since(began) < 700*time.Millisecond {
		t.Fatalf("%s after %s", a.body, time.Since(began))
	}
}

func TestSubscription_DeadLettersAreGroupedAndReplayed(t *testing.T) {
	s := start(t, nil)
	s.work(`,"dead_letters":"dead","max_attempts":2,"backoff_ms":1`)
	s.send("orders", 0, 3)
	_, body := s.take(3, "")
	s.settled("release", body, "done")
	_, body = s.take(3, "")
	s.settled("release", body, "done")
	const path = "/v1/subscriptions/work/dead-letters"
	s.until(func() bool { return s.want(200, "GET", path, "").len("dead_letters") == 3 })
	s.none()
	g := s.want(200, "GET", path+"?group=cause", "")
	if g.len("groups") != 1 || g.str("groups.0.reason") != "exhausted" || g.str("groups.0.count") != "3" || g.str("groups.0.type") != "placed" || g.len("groups.0.refs") != 3 {
		t.Fatalf("%s", g.body)
	}
	page := s.want(200, "GET", path+"?limit=2", "")
	if page.len("dead_letters") != 2 || page.str("caught_up") != "false" || page.str("dead_letters.0.attempts") != "2" ||
		page.str("dead_letters.0.origin") != "orders/0/"+page.str("dead_letters.0.event.data") {
		t.Fatalf("%s", page.body)
	}
	rest := s.want(200, "GET", path+"?from="+page.str("next"), "")
	if rest.len("dead_letters") != 1 || rest.str("caught_up") != "true" {
		t.Fatalf("%s", rest.body)
	}
	if n := s.want(200, "POST", path+"/replay", `{"refs":["`+rest.str("dead_letters.0.ref")+`"]}`).str("replayed"); n != "1" {
		t.Fatalf("%s replayed", n)
	}
	got, body := s.take(1, "")
	if got != rest.str("dead_letters.0.event.data") {
		t.Fatal(got)
	}
	s.settled("ack", body, "done")
	for _, verb := range []string{"/replay", "/drop"} {
		if a := s.want(400, "POST", path+verb, `{"refs":["dead/0/0","orders/0/0"]}`); a.str("pointer") != "/refs/1" {
			t.Fatalf("%s", a.body)
		}
	}
	for body, pointer := range map[string]string{`{"refs":[]}`: "/refs", `{"refs":["x"]}`: "/refs/0", `{"all":true,"refs":["dead/0/0"]}`: "/all"} {
		if a := s.want(400, "POST", path+"/drop", body); a.str("pointer") != pointer {
			t.Fatalf("%s: %s", body, a.body)
		}
	}
	if a := s.want(400, "POST", path+"/replay", `{"refs":["dead/0/0"],"per_second":0}`); a.str("pointer") != "/per_second" {
		t.Fatalf("%s", a.body)
	}
	s.want(204, "POST", path+"/drop", `{"refs":["dead/0/1"]}`)
	if l := s.want(200, "GET", path, ""); l.len("dead_letters") != 2 || strings.Contains(string(l.body), `"ref":"dead/0/1"`) {
		t.Fatalf("%s", l.body)
	}
	s.want(204, "POST", path+"/drop", `{"all":true}`)
	if l := s.want(200, "GET", path, ""); l.len("dead_letters") != 0 {
		t.Fatalf("%s", l.body)
	}
}

// What is said of dead letters stays as it was said, and null takes it back. Delayed events are cancelled one by one.
func TestSubscription_DeadSubjectAndCancel(t *testing.T) {
	s := start(t, nil)
	s.work(`,"dead_letters":"dead","dead_subject":"failed","dead_key":"","delay_ms":60000`)
	const path = "/v1/subscriptions/work"
	if a := s.want(200, "GET", path, ""); a.str("config.dead_subject") != "failed" || !strings.Contains(string(a.body), `"dead_key":""`) {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(200, "PUT", path, `{"dead_key":null}`); a.str("config.dead_subject") != "failed" || strings.Contains(string(a.body), `"dead_key"`) {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(400, "PUT", path, `{"dead_letters":""}`); a.str("pointer") != "/dead_letters" {
		t.Fatalf("%s", a.body)
	}
	s.send("orders", 0, 2)
	a := s.want(200, "POST", path+"/cancel", `{"refs":["orders/0/1","orders/0/1","orders/0/9"]}`)
	if a.str("outcomes.0.outcome") != "done" || a.str("outcomes.1.outcome") != "already" || a.str("outcomes.2.outcome") != "unknown" || a.str("outcomes.0.ref") != "orders/0/1" {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(200, "GET", path, ""); a.str("state.cancelled") != "1" || a.str("state.waiting") != "1" {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(400, "POST", path+"/cancel", `{"refs":["orders"]}`); a.str("pointer") != "/refs/0" {
		t.Fatalf("%s", a.body)
	}
}

// A subscription of kind cursor keeps what is committed to it, and says how far it is behind.
func TestSubscription_Positions(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/streams/orders", "{}")
	const path = "/v1/subscriptions/reader"
	if a := s.want(201, "PUT", path, `{"kind":"cursor","streams":["orders"],"from":"earliest"}`); a.str("config.kind") != "cursor" || strings.Contains(string(a.body), "lease_ms") {
		t.Fatalf("%s", a.body)
	}
	s.send("orders", 0, 4)
	if a := s.want(200, "GET", path+"/positions", ""); a.str("positions.0.offset") != "0" || a.str("lag") != "4" || strings.Contains(string(a.body), "committed") {
		t.Fatalf("%s", a.body)
	}
	s.want(204, "POST", path+"/commit", `{"positions":[{"stream":"orders","partition":0,"offset":3,"leader_epoch":2,"metadata":"m"}]}`)
	a := s.want(200, "GET", path+"/positions?stream=orders", "")
	if a.str("positions.0.offset") != "3" || a.str("positions.0.leader_epoch") != "2" || a.str("positions.0.metadata") != "m" || a.str("positions.0.end") != "4" || a.str("lag") != "1" || !strings.Contains(string(a.body), "committed") {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(200, "PUT", path, `{"yields":true}`); a.str("state.waiting") != "1" || a.str("config.yields") != "true" {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(200, "GET", path+"/positions?stream=never", ""); a.len("positions") != 0 {
		t.Fatalf("%s", a.body)
	}
	for body, pointer := range map[string]string{
		`{"positions":[]}`: "/positions", `{"positions":[{"stream":"orders","partition":0}]}`: "/positions/0/offset", `{"positions":[{"stream":"orders","partition":0,"offset":1,"lag":1}]}`: "/positions/0",
	} {
		if a := s.want(400, "POST", path+"/commit", body); a.str("pointer") != pointer {
			t.Fatalf("%s: %s", body, a.body)
		}
	}
	s.want(400, "POST", path+"/receive", `{}`)
	s.want(400, "PUT", path, `{"where":"true"}`)
	s.want(404, "POST", path+"/commit", `{"positions":[{"stream":"orders","partition":7,"offset":1}]}`)
}

// One key is rewound, or what failed.
func TestSubscription_RewindOfAKeyAndOfWhatFailed(t *testing.T) {
	s := start(t, nil)
	s.work(`,"dead_letters":"dead"`)
	s.send("orders", 0, 3)
	_, body := s.take(3, "")
	s.settled("ack", body, "done")
	const path = "/v1/subscriptions/work"
	if a := s.want(200, "POST", path+"/rewind", `{"to":"earliest","key":"k1"}`); a.str("replayed") != "1" {
		t.Fatalf("%s", a.body)
	}
	got, body := s.take(1, "")
	if got != "1" {
		t.Fatal(got)
	}
	s.settled("reject", body, "done")
	s.until(func() bool { return s.want(200, "GET", path+"/dead-letters", "").len("dead_letters") == 1 })
	if a := s.want(200, "POST", path+"/rewind", `{"to":"-1h","failed":true,"per_second":5}`); a.str("replayed") != "1" {
		t.Fatalf("%s", a.body)
	}
	if got, _ := s.take(1, ""); got != "1" {
		t.Fatal(got)
	}
	for body, pointer := range map[string]string{
		`{"to":"-1h","failed":true,"key":"k"}`: "/failed", `{"to":"-1h","key":""}`: "/key", `{"to":"-1h","per_second":1}`: "/per_second", `{"failed":true}`: "/to",
	} {
		if a := s.want(400, "POST", path+"/rewind", body); a.str("pointer") != pointer {
			t.Fatalf("%s: %s", body, a.body)
		}
	}
}

func TestSubscription_AckedInTheSameFrame(t *testing.T) {
	s := start(t, nil)
	s.work("")
	s.send("orders", 0, 2)
	_, body := s.take(2, "")
	acks := strings.TrimSuffix(strings.TrimPrefix(body, `{"handles":`), "}")
	made := `{"events":[{"stream":"made","type":"made","id":"1","source":"/w"}],"ack":` + acks + `}`
	s.want(201, "POST", "/v1/append", made)
	s.want(200, "POST", "/v1/append", made) // an answer that was lost
	s.settled("ack", body, "already")
	s.send("orders", 2, 3)
	_, body = s.take(1, "")
	s.want(200, "POST", "/v1/subscriptions/work/rewind", `{"to":"latest"}`)
	acks = strings.TrimSuffix(strings.TrimPrefix(body, `{"handles":`), "}")
	a := s.want(409, "POST", "/v1/append", `{"events":[{"stream":"made","type":"made"}],"ack":`+acks+`}`)
	if a.str("outcomes.0") != "lost" || s.want(200, "GET", "/v1/streams/made/events", "").len("events") != 1 {
		t.Fatalf("%s", a.body)
	}
	for body, pointer := range map[string]string{
		`[7]`: "/ack/0", `["AAAA"]`: "/ack/0", `{}`: "/ack", `[],"ack":[]`: "",
	} {
		a := s.want(400, "POST", "/v1/append", `{"events":[{"stream":"made","type":"made"}],"ack":`+body+`}`)
		if pointer != "" && (a.str("pointer") != pointer || a.str("field") != "ack") {
			t.Errorf("%s: %s", body, a.body)
		}
	}
}

func TestSubscription_RewindSuspendExplain(t *testing.T) {
	s := start(t, nil)
	s.work(`,"where":"data < 2.0"`)
	s.send("orders", 0, 3)
	got, body := s.take(2, "")
	if got != "0 1" {
		t.Fatal(got)
	}
	s.settled("ack", body, "done")
	a := s.want(200, "GET", "/v1/subscriptions/work/explain?ref=orders/0/2", "")
	if a.str("reads") != "true" || a.str("matches") != "false" {
		t.Fatalf("%s", a.body)
	}
	s.want(200, "POST", "/v1/subscriptions/work/suspend", "")
	s.want(200, "POST", "/v1/subscriptions/work/rewind", `{"to":"offset:1"}`)
	s.none()
	if a := s.want(200, "POST", "/v1/subscriptions/work/resume", "{}"); a.str("config.suspended") != "false" {
		t.Fatalf("%s", a.body)
	}
	if got, _ := s.take(1, ""); got != "1" {
		t.Fatal(got)
	}
	if a := s.want(200, "GET", "/v1/subscriptions/work/explain?ref=orders/0/1", ""); a.str("state") != "leased" || a.str("until") == "" {
		t.Fatalf("%s", a.body)
	}
	m := string(s.want(200, "GET", "/metrics", "").body)
	for _, want := range []string{
		`leat_subscription_events{namespace="default",state="leased",subscription="work"} 1`, `leat_subscription_lag_seconds{namespace="default",subscription="work"} `,
		"leat_subscriptions_hidden 0",
	} {
		if !strings.Contains(m, want) {
			t.Errorf("no %s in /metrics: %s", want, m[strings.Index(m, "# HELP leat_subscr"):])
		}
	}
}

func TestSubscription_ListsPages(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/streams/orders", "{}")
	for _, name := range []string{"a", "b1", "b2", "b3", "c"} {
		a := s.want(201, "PUT", "/v1/subscriptions/"+name, `{"streams":["orders"]}`, "If-None-Match", "*")
		if a.header.Get("Location") != "/v1/subscriptions/"+name {
			t.Error(a.header)
		}
	}
	a := s.want(200, "GET", "/v1/subscriptions?prefix=b&limit=2", "")
	b := s.want(200, "GET", "/v1/subscriptions?prefix=b&limit=2&from="+a.str("next"), "")
	if a.str("subscriptions.1.name") != "b2" || b.str("subscriptions.0.name") != "b3" || b.len("subscriptions") != 1 || b.get("next") != nil {
		t.Fatalf("%s then %s", a.body, b.body)
	}
	s.want(409, "PUT", "/v1/subscriptions/a", `{"streams":["orders"]}`, "If-None-Match", "*")
	s.want(409, "PUT", "/v1/subscriptions/a", `{"lease_ms":5}`, "If-Match", `"99999"`)
	// What is described can be put again, and what is left out stays.
	full := s.want(200, "PUT", "/v1/subscriptions/a", `{"max_attempts":3}`)
	if again := s.want(200, "PUT", "/v1/subscriptions/a", full.str("config")); again.str("config") != full.str("config") || again.str("config.max_attempts") != "3" {
		t.Fatalf("%s then %s", full.body, again.body)
	}
}

func TestSubscription_WrongInput(t *testing.T) {
	s := start(t, nil)
	s.work("")
	s.want(201, "PUT", "/v1/subscriptions/other", `{"streams":["orders"]}`)
	s.send("orders", 0, 1)
	handle := s.want(200, "POST", "/v1/subscriptions/other/receive", "").str("deliveries.0.handle")
	for _, c := range []struct {
		method, path, body string
		code               int
		field, pointer     string
	}{
		{"PUT", "new", `{}`, 400, "streams", "/streams"},
		{"PUT", "new", `{"streams":["nothing"]}`, 404, "", ""},
		{"PUT", "new", `{"streams":["orders","orders"]}`, 400, "streams", "/streams"},
		{"PUT", "new", `{"streams":"orders"}`, 400, "streams", "/streams"},
		{"PUT", "new", `{"streams":["orders"],"name":"old"}`, 400, "name", "/name"},
		{"PUT", "new", `{"streams":["orders"],"from":"soon"}`, 400, "from", "/from"},
		{"PUT", "new", `{"streams":["orders"],"order":"wild"}`, 400, "order", "/order"},
		{"PUT", "new", `{"streams":["orders"],"members":"all"}`, 400, "members", "/members"},
		{"PUT", "new", `{"streams":["orders"],"overflow":"yes"}`, 400, "overflow", "/overflow"},
		{"PUT", "new", `{"streams":["orders"],"kind":"lap"}`, 400, "kind", "/kind"},
		{"PUT", "new", `{"streams":["orders"],"lease_ms":-1}`, 400, "lease_ms", "/lease_ms"},
		{"PUT", "new", `{"streams":["orders"],"max_attempts":60001}`, 400, "max_attempts", "/max_attempts"},
		{"PUT", "new", `{"streams":["orders"],"backoff_ms":-1}`, 400, "backoff_ms", "/backoff_ms"},
		{"PUT", "new", `{"streams":["orders"],"backoff_ms":9,"backoff_max_ms":3}`, 400, "backoff_max_ms", "/backoff_max_ms"},
		{"PUT", "new", `{"streams":["orders"],"jitter_percent":101}`, 400, "jitter_percent", "/jitter_percent"},
		{"PUT", "new", `{"streams":["orders"],"delay_ms":-1}`, 400, "delay_ms", "/delay_ms"},
		{"PUT", "new", `{"streams":["orders"],"ttl_ms":-1}`, 400, "ttl_ms", "/ttl_ms"},
		{"PUT", "new", `{"streams":["orders"],"priorities":33}`, 400, "priorities", "/priorities"},
		{"PUT", "new", `{"streams":["orders"],"max_unacked":-1}`, 400, "max_unacked", "/max_unacked"},
		{"PUT", "new", `{"streams":["orders"],"max_run":1001}`, 400, "max_run", "/max_run"},
		{"PUT", "new", `{"streams":["orders"],"max_length":-1}`, 400, "max_length", "/max_length"},
		{"PUT", "new", `{"streams":["orders"],"max_bytes":-1}`, 400, "max_bytes", "/max_bytes"},
		{"PUT", "new", `{"streams":["orders"],"backlog_limit":-1}`, 400, "backlog_limit", "/backlog_limit"},
		{"PUT", "new", `{"streams":["orders"],"where":"data.x >"}`, 400, "where", "/where"},
		{"PUT", "new", `{"streams":["orders"],"address":[{"stream":"dead"}]}`, 400, "address", "/address"},
		{"PUT", "new", `{"streams":["orders"],"address":[{},{"key":{"exact":"a","prefix":"b"}}]}`, 400, "key", "/address/1/key"},
		{"PUT", "new", `{"streams":["orders"],"address":[{"headers":[{"value":"x"}]}]}`, 400, "headers", "/address/0/headers/0/name"},
		{"PUT", "work", `{"streams":[]}`, 400, "streams", "/streams"},
		{"PUT", "work", `{"routed":true}`, 409, "routed", "/routed"},
		{"PUT", "a%2Fb", `{"streams":["orders"]}`, 400, "name", "/name"},
		{"POST", "work/receive", `{"max":0}`, 400, "max", "/max"},
		{"POST", "work/receive", `{"max":1001}`, 400, "max", "/max"},
		{"POST", "work/receive", `{"wait":"6m"}`, 400, "wait", "/wait"},
		{"POST", "work/receive", `{"wait":"soon"}`, 400, "wait", "/wait"},
		{"POST", "work/receive", `{"wait":1.5}`, 400, "wait", "/wait"},
		{"POST", "work/receive", `{"wait":99999999999999999999}`, 400, "wait", "/wait"},
		{"POST", "work/receive", `{"lease":0}`, 400, "lease", "/lease"},
		{"POST", "work/receive", `{"lease":"13h"}`, 400, "lease", "/lease"},
		{"POST", "work/receive", `{"many":1}`, 400, "many", "/many"},
		{"POST", "nothing/receive", `{}`, 404, "", ""},
		{"POST", "work/ack", `{}`, 400, "handles", "/handles"},
		{"POST", "work/ack", `{"handles":["x"]}`, 400, "handles", "/handles/0"},
		{"POST", "work/ack", `{"handles":["` + handle + `"]}`, 400, "handles", "/handles/0"},
		{"POST", "other/release", `{"handles":["` + handle + `"],"after":-5}`, 400, "after", "/after"},
		{"POST", "other/renew", `{"handles":["` + handle + `"]}`, 400, "lease", "/lease"},
		{"POST", "other/reject", `{"handles":"` + handle + `"}`, 400, "handles", "/handles"},
		{"POST", "work/rewind", `{}`, 400, "to", "/to"},
		{"POST", "work/rewind", `{"to":"then"}`, 400, "to", "/to"},
		{"POST", "work/rewind", `{"to":"offset:99"}`, 400, "to", "/to"},
		{"POST", "work/suspend", `{"now":1}`, 400, "now", "/now"},
		{"GET", "work/explain?ref=x", "", 400, "ref", ""},
		{"GET", "work/dead-letters?group=color", "", 400, "group", ""},
		{"GET", "work/dead-letters?group=cause&limit=3", "", 400, "limit", ""},
		{"POST", "work/dead-letters/replay", `{"refs":[]}`, 400, "refs", "/refs"},
		{"POST", "work/dead-letters/replay", `{"refs":["x"]}`, 400, "refs", "/refs/0"},
		{"POST", "work/dead-letters/replay", `{"refs":["orders/0/0"]}`, 400, "refs", "/refs/0"},
	} {
		a := s.do(c.method, "/v1/subscriptions/"+c.path, c.body)
		if a.code != c.code || a.str("field") != c.field || a.str("pointer") != c.pointer {
			t.Errorf("%s %s %s: %d %s; want %d %q %q", c.method, c.path, c.body, a.code, a.body, c.code, c.field, c.pointer)
		}
	}
	s.want(404, "GET", "/v1/subscriptions/new", "")
	if a := s.want(200, "GET", "/v1/subscriptions/other", ""); a.str("state.leased") != "1" {
		t.Fatalf("%s", a.body)
	}
}
