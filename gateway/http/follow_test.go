package http

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"leat/gateway"
)

// sseEvent is one event as a client sees it.
type sseEvent struct{ id, kind, data, comment, retry string }

// sseClient reads a stream of server-sent events.
type sseClient struct {
	t   testing.TB
	res *nethttp.Response
	in  *bufio.Reader
}

func (s *served) follow(path string, header ...string) *sseClient {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	s.t.Cleanup(cancel)
	req, err := nethttp.NewRequestWithContext(ctx, "GET", s.url+path, nethttp.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := nethttp.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		b, _ := io.ReadAll(res.Body)
		s.t.Fatalf("follow %s: %d %s", path, res.StatusCode, b)
	}
	c := &sseClient{s.t, res, bufio.NewReader(res.Body)}
	if first := c.next(); first.retry != "1000" {
		s.t.Fatalf("the first field is %+v; want a retry", first)
	}
	return c
}

// next reads up to the next empty line. At the end the event is empty.
func (c *sseClient) next() (e sseEvent) {
	c.t.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err == io.EOF {
			return sseEvent{}
		}
		if err != nil {
			c.t.Fatalf("reading events: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return e
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			e.comment = value
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "retry":
			e.retry = value
		case "data":
			if e.data != "" {
				c.t.Fatal("an event over two lines")
			}
			e.data = value
		default:
			c.t.Fatalf("field %q", line)
		}
	}
}

func (e sseEvent) n(t testing.TB) int {
	t.Helper()
	var v struct{ Data struct{ N int } }
	if err := json.Unmarshal([]byte(e.data), &v); err != nil {
		t.Fatalf("data %q: %v", e.data, err)
	}
	return v.Data.N
}

func TestSSE_LiveAndResume(t *testing.T) {
	s := start(t, nil)
	s.fill("orders", 3)
	const path = "/v1/streams/orders/events"
	all := s.follow(path + "?from=earliest")
	ids := []string{}
	for i := range 3 {
		e := all.next()
		if e.n(t) != i || e.id == "" {
			t.Fatalf("event %d: %+v", i, e)
		}
		ids = append(ids, e.id)
	}
	live := s.follow(path)
	s.want(201, "POST", path, event("x", "t", "", "{\"n\":\n3}"), "Content-Type", mediaEvent)
	for _, c := range []*sseClient{all, live} {
		if e := c.next(); e.n(t) != 3 {
			t.Errorf("live: %+v", e)
		}
	}
	resumed := s.follow(path+"?from=earliest", "Last-Event-ID", ids[1])
	for i := 2; i < 4; i++ {
		if e := resumed.next(); e.n(t) != i {
			t.Errorf("resumed: %+v; want %d", e, i)
		}
	}
	byFrom := s.follow(path + "?from=" + ids[0])
	if e := byFrom.next(); e.n(t) != 1 {
		t.Errorf("from a position: %+v", e)
	}
}

func TestSSE_Selection(t *testing.T) {
	s := start(t, nil)
	s.fill("a", 6)
	s.fill("b", 2)
	for _, c := range []struct {
		path string
		want []int
	}{
		{"/v1/streams/a/events?from=earliest&key=k1", []int{1, 4}},
		{"/v1/streams/a/events?from=earliest&type=odd", []int{1, 3, 5}},
		{"/v1/streams/a/events?from=earliest&where=data.n%20%3E%203.0", []int{4, 5}},
		{"/v1/streams/a/events?from=offset:4", []int{4, 5}},
		{"/v1/events?streams=a,b&from=earliest&type=odd", []int{1, 3, 5, 1}},
	} {
		f := s.follow(c.path)
		for _, want := range c.want {
			if e := f.next(); e.n(t) != want {
				t.Errorf("%s: %+v; want %d", c.path, e, want)
			}
		}
	}
}

func TestFollow_Refusals(t *testing.T) {
	s := start(t, func(c *Config) { c.FollowersMax = 1 })
	s.fill("orders", 1)
	const path = "/v1/streams/orders/events"
	for _, c := range []struct {
		path string
		code int
		more []string
	}{
		{"/v1/streams/nothing/events", 404, nil},
		{path + "?limit=3", 400, nil},
		{path + "?direction=backward", 400, nil},
		{path + "?where=1", 400, nil},
		{path, 400, []string{"Last-Event-ID", "non sense"}},
		{path, 410, []string{"Last-Event-ID", "AQAJAQAA"}},
		{path, 426, []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "8"}},
		{path, 400, []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "short"}},
		{path, 400, []string{"Upgrade", "websocket"}},
	} {
		a := s.do("GET", c.path, "", append([]string{"Accept", "text/event-stream"}, c.more...)...)
		checkProblem(t, a, c.code)
	}
	s.follow(path)
	a := s.do("GET", path, "", "Accept", "text/event-stream")
	checkProblem(t, a, 503)
	if a.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

func TestSSE_HeartbeatAndGoneClients(t *testing.T) {
	s := start(t, func(c *Config) { c.HeartbeatInterval = 100 * time.Millisecond })
	s.fill("orders", 1)
	f := s.follow("/v1/streams/orders/events")
	if e := f.next(); e.comment == "" || e.id != "" {
		t.Errorf("want a comment, got %+v", e)
	}
	_ = f.res.Body.Close()
	s.eventually("the follower to go", func() bool { return s.metric("leat_http_followers") == 0 })
}

// Over HTTP/2 a connection cannot be taken over; following works all the same.
func TestSSE_HTTP2(t *testing.T) {
	s := start(t, func(c *Config) { c.HeartbeatInterval = 100 * time.Millisecond })
	s.fill("orders", 2)
	srv := s.g.newServer("h2", gateway.Default(), s.l.Operation)
	web := httptest.NewUnstartedServer(srv)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	req, err := nethttp.NewRequestWithContext(ctx, "GET", web.URL+"/v1/streams/orders/events?from=earliest", nethttp.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := web.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Fatalf("spoke %s", res.Proto)
	}
	c := &sseClient{t, res, bufio.NewReader(res.Body)}
	if e := c.next(); e.retry != "1000" {
		t.Errorf("first: %+v", e)
	}
	for i := range 2 {
		if e := c.next(); e.n(t) != i || e.id == "" {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if e := c.next(); e.comment == "" {
		t.Errorf("want a comment, got %+v", e)
	}
	s.want(201, "POST", "/v1/streams/orders/events", event("x", "t", "", `{"n":2}`), "Content-Type", mediaEvent)
	for e := c.next(); ; e = c.next() {
		if e.comment == "" {
			if e.n(t) != 2 {
				t.Errorf("live: %+v", e)
			}
			break
		}
	}
	srv.followers.stop()
	s.eventually("the follower to end", func() bool { return s.metric("leat_http_followers") == 0 })
}

func TestSSE_DrainEndsFollowersAndTheyResume(t *testing.T) {
	b := newBroker(t, 1)
	s := startOn(t, b, nil)
	s.fill("orders", 2)
	f := s.follow("/v1/streams/orders/events?from=earliest")
	last := f.next()
	f.next()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if cut := s.l.Drain(ctx); cut != 0 {
		t.Errorf("the drain had to cut %d connections", cut)
	}
	if e := f.next(); e != (sseEvent{}) {
		t.Errorf("after the drain: %+v", e)
	}
	again := startOn(t, b, nil).follow("/v1/streams/orders/events", "Last-Event-ID", last.id)
	if e := again.next(); e.n(t) != 1 {
		t.Errorf("resumed: %+v", e)
	}
}

func TestSSE_SlowFollowerIsLetGoAndHurtsNobody(t *testing.T) {
	limits := gateway.Default()
	limits.WriteTimeout, limits.DrainTimeout = 300*time.Millisecond, time.Second
	s := startWith(t, newBroker(t, 1), nil, limits)
	s.fill("big", 1)
	slow, err := net.Dial("tcp", s.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprintf(slow, "GET /v1/streams/big/events?from=earliest HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	quick := s.follow("/v1/streams/big/events")
	body := `{"n":1,"pad":"` + strings.Repeat("x", 900_000) + `"}`
	for i := range 24 {
		s.want(201, "POST", "/v1/streams/big/events", event(strconv.Itoa(i), "t", "", body), "Content-Type", mediaEvent)
		if e := quick.next(); e.n(t) != 1 {
			t.Fatal("the quick follower missed an event")
		}
	}
	s.eventually("the slow follower to be dropped", func() bool { return s.metric("leat_http_followers_dropped_total") == 1 })
}

func TestWebSocket_FramesAndResume(t *testing.T) {
	s := start(t, func(c *Config) { c.HeartbeatInterval = 100 * time.Millisecond })
	s.fill("orders", 3)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	dial := func(query string, protocols ...string) *websocket.Conn {
		t.Helper()
		c, _, err := websocket.Dial(ctx, s.url+"/v1/streams/orders/events"+query, &websocket.DialOptions{Subprotocols: protocols})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
	type frame struct {
		Ref, Position string
		Event         struct{ Data struct{ N int } }
	}
	next := func(c *websocket.Conn) (f frame) {
		t.Helper()
		kind, b, err := c.Read(ctx)
		if err != nil || kind != websocket.MessageText {
			t.Fatalf("read: %v %v", kind, err)
		}
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		return f
	}
	c := dial("?from=earliest")
	first := next(c)
	if first.Ref != "orders/0/0" || first.Position == "" || first.Event.Data.N != 0 {
		t.Fatalf("first: %+v", first)
	}
	if f := next(dial("?from=" + first.Position)); f.Event.Data.N != 1 {
		t.Errorf("resumed: %+v", f)
	}
	bare := dial("?from=earliest", "cloudevents.json")
	_, b, err := bare.Read(ctx)
	if err != nil || bare.Subprotocol() != "cloudevents.json" || !strings.HasPrefix(string(b), `{"specversion":"1.0"`) {
		t.Errorf("bare: %v %q %s", err, bare.Subprotocol(), b)
	}
	for range 2 {
		next(c)
	}
	posted := make(chan struct{})
	time.AfterFunc(250*time.Millisecond, func() {
		defer close(posted)
		s.do("POST", "/v1/streams/orders/events", `{"n":9}`, "Content-Type", "application/json")
	})
	if f := next(c); f.Event.Data.N != 9 { // pings have gone to and fro meanwhile
		t.Errorf("live: %+v", f)
	}
	<-posted // the drain below is cut short by the end of the test, and an answer on its way with it
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("a client that talks: %v", err)
	}
	go s.l.Drain(ctx)
	for {
		if _, _, err = bare.Read(ctx); err != nil {
			break
		}
	}
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("drain: %v", err)
	}
}

// A stream that is deleted under its followers ends them with a problem.
func TestFollow_ProblemInTheMiddle(t *testing.T) {
	s := start(t, nil)
	s.fill("orders", 1)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, s.url+"/v1/streams/orders/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	f := s.follow("/v1/streams/orders/events")
	s.want(204, "DELETE", "/v1/streams/orders", "")
	e := f.next()
	var p struct{ Kind, Instance string }
	if err := json.Unmarshal([]byte(e.data), &p); e.kind != "problem" || err != nil || p.Kind != "not-found" || p.Instance == "" {
		t.Errorf("SSE: %+v", e)
	}
	_, b, err := c.Read(ctx)
	if err != nil || !strings.HasPrefix(string(b), `{"problem":{`) || !json.Valid(b) {
		t.Errorf("WebSocket: %v %s", err, b)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 4404 {
		t.Errorf("WebSocket close: %v", err)
	}
}

func (s *served) eventually(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// metric reads a number without labels from /metrics.
func (s *served) metric(name string) float64 {
	s.t.Helper()
	for line := range strings.SplitSeq(string(s.want(200, "GET", "/metrics", "").body), "\n") {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return f
		}
	}
	s.t.Fatalf("there is no metric %s", name)
	return 0
}
