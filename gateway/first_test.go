package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"leat/gateway"
)

// startFirst serves lines until one says something else: "ok" is answered, "panic" panics, "end" ends, the rest is net/http's.
func startFirst(t *testing.T, limits gateway.Config) *gateway.Listener {
	t.Helper()
	l, err := gateway.Listen(t.Context(), gateway.Options{Name: "first", Addr: "127.0.0.1:0", Protocol: "test", Limits: limits, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	first := func(ctx context.Context, c *gateway.Conn) ([]byte, bool) {
		if gateway.ConnOf(ctx) != c || ctx.Value(http.LocalAddrContextKey) == nil {
			t.Error("the context does not know the connection")
		}
		br := bufio.NewReader(c)
		for await := c.AwaitFirst; ; await = c.Await {
			if await(br) != nil {
				return nil, false
			}
			line, _ := br.ReadString('\n')
			rest, _ := br.Peek(br.Buffered())
			c.NextRequest()
			switch line {
			case "ok\n":
				_, _ = c.Write([]byte("ok\n"))
			case "panic\n":
				panic("first")
			case "abort\n":
				panic(http.ErrAbortHandler)
			case "end\n":
				return nil, false
			default:
				return append([]byte(line), rest...), true
			}
		}
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, gateway.ConnOf(r.Context()).LastRequest())
	})
	done := make(chan error, 1)
	go func() { done <- l.ServeHTTPFirst(context.Background(), &http.Server{Handler: handler}, first) }() //nolint:gosec // filled in by the harness
	t.Cleanup(func() {
		if cut := l.Drain(context.Background()); cut != 0 {
			t.Errorf("%d were cut", cut)
		}
		if err := <-done; err != nil {
			t.Errorf("ServeHTTPFirst: %v", err)
		}
	})
	return l
}

func TestServeHTTPFirst(t *testing.T) {
	limits := gateway.Default()
	limits.HandshakeTimeout, limits.DrainTimeout = 300*time.Millisecond, 3*time.Second
	l := startFirst(t, limits)
	const get = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, c := range []struct{ name, sent, want string }{
		{"ends", "ok\nok\nend\n", "ok\nok\n"},
		{"panics", "ok\npanic\n", "ok\n"},
		{"aborts", "ok\nabort\n", "ok\n"},
		{"silent from the start", "", ""},
		{"is passed on", "ok\n" + get, "ok\nHTTP/1.1 200 OK\r\n"},
		{"is passed on at once", get, "HTTP/1.1 200 OK\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
			if _, err := io.WriteString(conn, c.sent); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(conn)
			if err != nil || len(b) < len(c.want) || string(b[:len(c.want)]) != c.want || len(c.want) == 0 && len(b) > 0 {
				t.Errorf("%q, %v; want %q", b, err, c.want)
			}
		})
	}
}

func TestServeHTTPFirst_ADrainWakesWhoWaits(t *testing.T) {
	l := startFirst(t, gateway.Default())
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "ok\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	cut := make(chan int)
	go func() { cut <- l.Drain(context.Background()) }()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if b, err := io.ReadAll(conn); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	_ = conn.Close()
	if n := <-cut; n != 0 {
		t.Errorf("%d were cut", n)
	}
}
