package rabbitmq

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/amqp091"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
)

func newBroker(t testing.TB, users bool) *broker.Broker {
	t.Helper()
	opt := broker.Options{Config: broker.Default(), Lineage: 1, Cluster: "test", Node: 1, Clock: clock.Real, Log: slog.New(slog.DiscardHandler)}
	opt.Shards = gatewaytest.MemoryShards(t, 1)
	b, err := broker.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if _, _, err := b.NewProducer(t.Context(), &broker.Caller{}); err != nil { // when it has answered, its goroutines run: the suite looks for others
		t.Fatal(err)
	}
	if users {
		u := broker.User{Name: "alice", Password: "wonderland", Grants: []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}}
		if _, err := b.PutUser(t.Context(), &broker.Caller{}, u); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func newGateway(t testing.TB, users bool) *Gateway {
	b := newBroker(t, users)
	cfg := amqp091.Default()
	cfg.LoginDelay = time.Millisecond
	return New(b, amqp091.New(b, cfg), Default())
}

// roundTrip sends a request as it stands and wants an answer of a status.
func roundTrip(c net.Conn, want int, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode == http.StatusUnauthorized && want != r.StatusCode {
		return gatewaytest.ErrRefused
	}
	if r.StatusCode != want {
		return fmt.Errorf("%s: %s", r.Status, body)
	}
	return nil
}

func TestSuite(t *testing.T) {
	get := func(path string) string { return "GET /api/" + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }
	gatewaytest.Run(t, gatewaytest.Kit{
		New:      func(t *testing.T, users bool) gateway.Gateway { return newGateway(t, users) },
		Hello:    []byte(get("whoami")),
		Exchange: func(c net.Conn) error { return roundTrip(c, http.StatusOK, get("queues")) },
		Login: func(c net.Conn, good bool) error {
			password := "looking-glass"
			if good {
				password = "wonderland"
			}
			return roundTrip(c, http.StatusCreated, "PUT /api/queues/%2F/mine HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nAuthorization: Basic "+
				base64.StdEncoding.EncodeToString([]byte("alice:"+password))+"\r\n\r\n{}")
		},
		Long: func(c net.Conn, sent func()) error {
			if _, err := io.WriteString(c, "PUT /api/exchanges/%2F/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{"); err != nil {
				return err
			}
			sent()
			time.Sleep(150 * time.Millisecond)
			return roundTrip(c, http.StatusCreated, "}")
		},
		Garbage: [][]byte{
			[]byte("PUT /api/queues/%2F/q HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n" + strings.Repeat("[", 20)),
			[]byte("GET /api/queues/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
			[]byte(get("queues?page=x&page_size=-1&name=(&use_regex=true")),
		},
		Oversize: [][]byte{
			[]byte("POST /api/definitions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"),
			[]byte("GET /api/" + strings.Repeat("x", 1<<20)),
		},
		Abilities: []gatewaytest.Ability{
			{Name: "aliveness test", Offered: true, Try: func(c net.Conn) error { return roundTrip(c, http.StatusOK, get("aliveness-test/%2F")) }},
			{Name: "foreign hosts", Try: func(c net.Conn) error {
				if err := roundTrip(c, http.StatusForbidden, "GET /api/overview HTTP/1.1\r\nHost: evil.example\r\n\r\n"); err != nil {
					return err
				}
				return gatewaytest.ErrRefused
			}},
			{Name: "hashes of passwords", Try: func(c net.Conn) error {
				body := `{"password_hash":"x","tags":""}`
				if err := roundTrip(c, http.StatusBadRequest, fmt.Sprintf("PUT /api/users/bob HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)); err != nil {
					return err
				}
				return gatewaytest.ErrRefused
			}},
		},
	})
}

// api is a client of a gateway.
type api struct {
	t    *testing.T
	base string
	auth string
}

func serve(t *testing.T, g *Gateway) *api {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := gateway.Listen(ctx, gateway.Options{
		Name: "rabbitmq-management", Addr: "127.0.0.1:0", Protocol: "rabbitmq-management", Known: g.Descriptor().Operations, Limits: gateway.Default(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &api{t: t, base: "http://" + l.Addr().String() + "/api/"}
}

// do asks, and returns the status and the answer.
func (a *api) do(method, path, body string) (int, any) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if a.auth != "" {
		user, password, _ := strings.Cut(a.auth, ":")
		r.SetBasicAuth(user, password)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	var v any
	if err := json.NewDecoder(answer.Body).Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer.StatusCode, v
}

// want asks for a status.
func (a *api) want(status int, method, path, body string) any {
	a.t.Helper()
	got, v := a.do(method, path, body)
	if got != status {
		a.t.Errorf("%s %s: %d %v, want %d", method, path, got, v, status)
	}
	return v
}

// at looks something up in an answer: numbers in the path are places of lists.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		case string:
			o, _ := v.(map[string]any)
			v = o[p]
		}
	}
	return v
}
