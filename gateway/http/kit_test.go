package http

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	nethttp "net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
	"leat/link"
)

// newBroker is a real broker over memory.
func newBroker(t testing.TB, shards int) *broker.Broker {
	t.Helper()
	opt := broker.Options{
		Config: broker.Default(), Lineage: 7, Cluster: "test", Node: 1, Clock: clock.Real, Log: slog.New(slog.DiscardHandler),
	}
	opt.Shards = gatewaytest.MemoryShards(t, shards)
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
	t      testing.TB
	broker *broker.Broker
	g      *Gateway
	l      *gateway.Listener
	url    string
	auth   string
}

func start(t testing.TB, change func(*Config)) *served { return startOn(t, newBroker(t, 1), change) }

func startOn(t testing.TB, b *broker.Broker, change func(*Config)) *served {
	t.Helper()
	limits := gateway.Default()
	limits.DrainTimeout = 2 * time.Second
	return startWith(t, b, change, limits)
}

func startWith(t testing.TB, b *broker.Broker, change func(*Config), limits gateway.Config) *served {
	t.Helper()
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	level := slog.DiscardHandler
	if testing.Verbose() && os.Getenv("LEAT_TEST_LOG") != "" {
		level = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	g, err := New(b, cfg, prometheus.NewRegistry(), slog.New(level))
	if err != nil {
		t.Fatal(err)
	}
	g.UseLink(link.New(b, slog.New(level))) // nobody runs it: nothing is copied
	d := g.Descriptor()
	l, err := gateway.Listen(context.Background(), gateway.Options{
		Name: d.Name, Addr: "127.0.0.1:0", Protocol: d.Name, Known: d.Operations, Limits: limits, Log: slog.New(level),
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
	return &served{t: t, broker: b, g: g, l: l, url: "http://" + l.Addr().String()}
}

// addUser makes a user with grants, each "action kind pattern".
func (s *served) addUser(name, password string, grants ...string) {
	s.t.Helper()
	u := broker.User{Name: name, Password: password}
	for _, g := range grants {
		f := strings.Fields(g)
		u.Grants = append(u.Grants, broker.Grant{Action: broker.Action(f[0]), Kind: broker.Kind(f[1]), Pattern: f[2]})
	}
	admin := &broker.Caller{Principal: "root"}
	if _, err := s.broker.PutUser(context.Background(), admin, u); err != nil {
		s.t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	code   int
	header nethttp.Header
	body   []byte
}

// get reads a member of a JSON answer by its path: "events.0.id".
func (a answer) get(path string) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	for p := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[p]
		case []any:
			i := 0
			for _, c := range p {
				i = i*10 + int(c-'0')
			}
			if i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) str(path string) string {
	switch v := a.get(path).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	case nil:
		return ""
	default:
		b, _ := json.Marshal(v)
		return string(b)
	}
}

func (a answer) len(path string) int {
	list, _ := a.get(path).([]any)
	return len(list)
}

// do sends a request. header is name, value, name, value.
func (s *served) do(method, path, body string, header ...string) answer {
	s.t.Helper()
	req, err := nethttp.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.auth != "" {
		req.Header.Set("Authorization", s.auth)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	res, err := nethttp.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, b}
}

// want sends a request and demands a status.
func (s *served) want(code int, method, path, body string, header ...string) answer {
	s.t.Helper()
	a := s.do(method, path, body, header...)
	if a.code != code {
		s.t.Fatalf("%s %s: %d %s; want %d", method, path, a.code, a.body, code)
	}
	return a
}

// event is a CloudEvent in JSON.
func event(id, kind, key, data string) string {
	e := `{"specversion":"1.0","id":"` + id + `","source":"/shop","type":"` + kind + `"`
	if key != "" {
		e += `,"partitionkey":"` + key + `"`
	}
	return e + `,"data":` + data + `}`
}
