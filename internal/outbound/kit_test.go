package outbound

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain finds goroutines that an attempt or a client leaves behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// local is a client that may reach this machine.
func local(t testing.TB, change func(*Config)) *Client {
	t.Helper()
	cfg := Default()
	cfg.Allow = []string{"127.0.0.0/8", "::1"}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func endpoint(t testing.TB, c *Client, url string, change func(*EndpointConfig)) *Endpoint {
	t.Helper()
	cfg := EndpointConfig{URL: url, Policy: DefaultPolicy(), Timeout: 10 * time.Second}
	if change != nil {
		change(&cfg)
	}
	e, err := c.Endpoint(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// serve runs a handler. Its connections are closed before the server waits for them.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// raw runs a TCP server that does with each connection what it is told, and closes them all at the end.
func raw(t testing.TB, each func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { <-stop; c.Close() }()
			go each(c)
		}
	}()
	t.Cleanup(func() { l.Close(); close(stop); <-done })
	return "http://" + l.Addr().String()
}

// until waits for what happens in the background.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to that: %s", what)
		}
	}
}

func send(t testing.TB, e *Endpoint, body string) Result {
	t.Helper()
	ctx := context.Background()
	tk, err := e.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e.Send(ctx, tk, &Request{Body: []byte(body)})
}

func (r Result) expect(t testing.TB, o Outcome, status int) Result {
	t.Helper()
	if r.Outcome != o || r.Status != status {
		t.Errorf("got %v %d (%v), want %v %d", r.Outcome, r.Status, r.Err, o, status)
	}
	return r
}
