package push_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"leat/broker"
	"leat/gateway"
	leathttp "leat/gateway/http"
	"leat/node"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// served is a node with its HTTP listener.
type served struct {
	t     testing.TB
	node  *node.Node
	url   string
	login string // NAME:PASSWORD
}

// as makes a request one of the user.
func (s *served) as(r *http.Request) *http.Request {
	if name, password, ok := strings.Cut(s.login, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	return r
}

func protocols() []node.Protocol {
	cfg := leathttp.Default()
	return []node.Protocol{{Name: "http", Config: &cfg, New: func(b *broker.Broker, env node.Env) (gateway.Gateway, error) {
		g, err := leathttp.New(b, *env.Config.(*leathttp.Config), env.Registry, env.Log)
		if err != nil {
			return nil, err
		}
		g.UsePush(env.Push)
		return g, nil
	}}}
}

// serve starts a node on a data directory, "" for memory, that may reach this machine.
func serve(t testing.TB, data string, change func(*node.Config)) *served {
	t.Helper()
	ps := protocols()
	cfg := node.DefaultConfig(ps)
	cfg.Outbound.Allow = []string{"127.0.0.0/8", "::1"}
	cfg.Listeners.DrainTimeout = time.Second
	cfg.Journal.RingBytes = 0
	if change != nil {
		change(cfg)
	}
	h := slog.DiscardHandler
	if os.Getenv("LEAT_TEST_LOG") != "" {
		h = slog.NewTextHandler(os.Stderr, nil)
	}
	n, err := node.Open(node.Options{Data: data, Config: cfg, Protocols: ps, Listen: map[string]string{"http": "127.0.0.1:0"}, Log: slog.New(h)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, node: n, url: "http://" + n.Addr("http")}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// do sends a request and demands a status.
func (s *served) do(want int, method, path, body string) map[string]any {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(s.as(req))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if res.StatusCode != want {
		s.t.Fatalf("%s %s: %d %s; want %d", method, path, res.StatusCode, b, want)
	}
	var v map[string]any
	_ = json.Unmarshal(b, &v)
	return v
}

// streams makes orders and dead.
func (s *served) streams() *served {
	s.t.Helper()
	s.do(201, "PUT", "/v1/streams/orders", "{}")
	s.do(201, "PUT", "/v1/streams/dead", "{}")
	return s
}

// push makes a subscription that pushes to url.
func (s *served) push(name, url, more, pushMore string) map[string]any {
	s.t.Helper()
	return s.do(201, "PUT", "/v1/subscriptions/"+name, fmt.Sprintf(`{"streams":["orders"]%s,"push":{"url":%q%s}}`, more, url, pushMore))
}

// send appends events 0 to n-1.
func (s *served) send(from, to int) {
	s.t.Helper()
	for from < to {
		var b bytes.Buffer
		b.WriteString("[")
		for i := from; i < min(from+500, to); i++ {
			if i > from {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, `{"specversion":"1.0","id":"e%d","source":"/shop","type":"placed","partitionkey":"k%d","data":%d}`, i, i%7, i)
		}
		b.WriteString("]")
		req, _ := http.NewRequestWithContext(context.Background(), "POST", s.url+"/v1/streams/orders/events", &b)
		req.Header.Set("Content-Type", "application/cloudevents-batch+json")
		res, err := http.DefaultClient.Do(s.as(req))
		if err != nil || res.StatusCode > 299 {
			s.t.Fatal(err, res)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		from = min(from+500, to)
	}
}

// get is the member of a subscription's description at a path.
func (s *served) get(name, path string) any {
	s.t.Helper()
	var v any = s.do(200, "GET", "/v1/subscriptions/"+name, "")
	for p := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

// patience is how long is waited for what has to come.
const patience = 60 * time.Second

// until waits for what happens in the background.
func (s *served) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it does not come to that: %s", what)
		}
	}
}

func (s *served) untilIs(name, path string, want any) {
	s.t.Helper()
	var got any
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = s.get(name, path); got == want {
			return
		}
	}
	s.t.Fatalf("%s of %s is %v, want %v: %v", path, name, got, want, s.get(name, "push"))
}

// systemEvents are the types of the events in leat.system about a subject.
func (s *served) systemEvents(subject string) string {
	s.t.Helper()
	v := s.do(200, "GET", "/v1/streams/leat.system/events?limit=1000", "")
	var types []string
	events, _ := v["events"].([]any)
	for _, e := range events {
		m := e.(map[string]any)
		if in, ok := m["event"].(map[string]any); ok {
			m = in
		}
		if m["subject"] == subject {
			types = append(types, fmt.Sprint(m["type"]))
		}
	}
	return strings.Join(types, " ")
}

// endpoint is a receiver that remembers what came.
type endpoint struct {
	*httptest.Server
	mu     sync.Mutex
	got    []request
	answer func(r *http.Request, body []byte, w http.ResponseWriter)
}

type request struct {
	header http.Header
	body   string
	method string
}

func receiver(t testing.TB, answer func(r *http.Request, body []byte, w http.ResponseWriter)) *endpoint {
	t.Helper()
	e := &endpoint{answer: answer}
	e.Server = httptest.NewUnstartedServer(e)
	e.Server.Start()
	t.Cleanup(func() { e.CloseClientConnections(); e.Close() })
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	e.got = append(e.got, request{r.Header.Clone(), string(body), r.Method})
	answer := e.answer
	e.mu.Unlock()
	if answer != nil {
		answer(r, body, w)
	}
}

func (e *endpoint) set(answer func(r *http.Request, body []byte, w http.ResponseWriter)) {
	e.mu.Lock()
	e.answer = answer
	e.mu.Unlock()
}

func (e *endpoint) all() []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got[:len(e.got):len(e.got)]
}

// ids are how often each delivery came.
func (e *endpoint) ids() map[string]int {
	out := map[string]int{}
	for _, r := range e.all() {
		out[r.header.Get("Webhook-Id")]++
	}
	return out
}

func status(code int) func(*http.Request, []byte, http.ResponseWriter) {
	return func(_ *http.Request, _ []byte, w http.ResponseWriter) { w.WriteHeader(code) }
}
