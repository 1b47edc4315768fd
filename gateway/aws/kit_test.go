package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/aws/wire"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
	"leat/internal/outbound"
)

func newBroker(t testing.TB) *broker.Broker {
	t.Helper()
	opt := broker.Options{Config: broker.Default(), Lineage: 7, Cluster: "test", Node: 1, Clock: clock.Real, Log: slog.New(slog.DiscardHandler)}
	opt.Shards = gatewaytest.MemoryShards(t, 1)
	b, err := broker.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("broker: close: %v", err)
		}
	})
	return b
}

// served is a gateway on a listener.
type served struct {
	t       testing.TB
	broker  *broker.Broker
	gateway *Gateway
	url     string
}

func start(t testing.TB) *served {
	t.Helper()
	return startWith(t, Default())
}

func startWith(t testing.TB, cfg Config) *served {
	t.Helper()
	b := newBroker(t)
	log := slog.New(slog.DiscardHandler)
	sends := outbound.Default()
	sends.Allow = []string{"127.0.0.1"}
	client, err := outbound.New(sends)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	g, err := New(b, cfg, client, log)
	if err != nil {
		t.Fatal(err)
	}
	d := g.Descriptor()
	limits := gateway.Default()
	limits.DrainTimeout = 2 * time.Second
	l, err := gateway.Listen(context.Background(), gateway.Options{
		Name: d.Name, Addr: "127.0.0.1:0", Protocol: d.Name, Known: d.Operations, Limits: limits, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		l.Drain(context.Background())
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &served{t, b, g, "http://" + l.Addr().String()}
}

// post sends a request and returns the status, the refusal's header and the body.
func (s *served) post(header map[string]string, path string, body []byte) (int, http.Header, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.Header.Get("X-Amzn-Requestid") == "" {
		s.t.Error("an answer without a request id")
	}
	return res.StatusCode, res.Header, b
}

// call1 asks in JSON and returns the answer; refused is the header with the older name of a refusal's code.
func call1[In, Out any](s *served, a *wire.Action[In, Out], in *In) (answer map[string]any, refused string) {
	s.t.Helper()
	code, h, b := s.post(map[string]string{"X-Amz-Target": "AmazonSQS." + a.Action, "Content-Type": "application/x-amz-json-1.0"}, "/",
		a.AppendRequest(nil, wire.JSON, in))
	if err := json.Unmarshal(b, &answer); err != nil && len(b) > 0 {
		s.t.Fatalf("%s: %v: %s", a.Action, err, b)
	}
	if code != http.StatusOK {
		if h.Get("X-Amzn-Query-Error") == "" {
			s.t.Fatalf("%s: %d %s", a.Action, code, b)
		}
		return answer, h.Get("X-Amzn-Query-Error")
	}
	return answer, ""
}

// ok is call1 where nothing may be refused.
func ok[In, Out any](s *served, a *wire.Action[In, Out], in In) map[string]any {
	s.t.Helper()
	answer, refused := call1(s, a, &in)
	if refused != "" {
		s.t.Fatalf("%s: %s %v", a.Action, refused, answer)
	}
	return answer
}

// refuses is call1 where a code is wanted.
func refuses[In, Out any](s *served, want string, a *wire.Action[In, Out], in In) {
	s.t.Helper()
	if answer, got := call1(s, a, &in); got != want+";Sender" {
		s.t.Errorf("%s: %q %v; want %s", a.Action, got, answer, want)
	}
}

func (s *served) queue(name string, attributes ...string) string {
	s.t.Helper()
	in := wire.CreateQueueInput{Name: name}
	for i := 0; i < len(attributes); i += 2 {
		in.Attributes = append(in.Attributes, wire.Pair{Name: attributes[i], Value: attributes[i+1]})
	}
	return ok(s, wire.CreateQueue, in)["QueueUrl"].(string)
}

func (s *served) send(url, body string, more ...func(*wire.Message)) map[string]any {
	s.t.Helper()
	m := wire.Message{Body: body}
	for _, f := range more {
		f(&m)
	}
	return ok(s, wire.SendMessage, wire.SendMessageInput{QueueURL: url, Message: m})
}

func (s *served) receive(url string, more ...func(*wire.ReceiveMessageInput)) []map[string]any {
	s.t.Helper()
	in := wire.ReceiveMessageInput{
		QueueURL: url, MaxMessages: wire.Some(int64(10)), SystemAttributeNames: []string{"All"}, MessageAttributes: []string{"All"},
	}
	for _, f := range more {
		f(&in)
	}
	list, _ := ok(s, wire.ReceiveMessage, in)["Messages"].([]any)
	var out []map[string]any
	for _, m := range list {
		out = append(out, m.(map[string]any))
	}
	return out
}

func text(v any, path ...string) string {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	t, _ := v.(string)
	return t
}
