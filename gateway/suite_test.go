package gateway_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"leat/broker/fault"
	"leat/gateway"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
)

// frames is a raw gateway: a request is a length (u32) and that many bytes, which come back. It shows how a raw one is written.
// "wait" is answered after a while, "login" on a gateway with users needs "user" to be sent before, "boom" panics.
type frames struct{ users bool }

const frameBytesMax = 1 << 16

func (frames) Descriptor() gateway.Descriptor {
	return gateway.Descriptor{Name: "frames", Title: "Frames", DefaultAddr: "127.0.0.1:7", Operations: []string{"echo"}}
}

func (f frames) Serve(ctx context.Context, l *gateway.Listener) error {
	echo := l.Operation("echo")
	return l.ServeConns(ctx, func(ctx context.Context, c *gateway.Conn) {
		br := bufio.NewReaderSize(c, 4<<10)
		for known := !f.users; ; {
			if err := c.Await(br); err != nil {
				return
			}
			start := clock.Now()
			c.NextRequest()
			answer, err := f.request(ctx, c, br, &known)
			if err != nil && answer == nil {
				return
			}
			_, werr := c.WriteBuffers(net.Buffers{binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer})
			echo.Done(clock.Since(start), err)
			if werr != nil {
				return
			}
		}
	})
}

func (f frames) request(ctx context.Context, c *gateway.Conn, br *bufio.Reader, known *bool) ([]byte, error) {
	var head [4]byte
	if err := c.ReadFull(br, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > frameBytesMax {
		return nil, fault.New(fault.TooLarge, "echo", "", "%d bytes; at most %d", n, frameBytesMax)
	}
	body := make([]byte, n)
	if err := c.ReadFull(br, body); err != nil {
		return nil, err
	}
	switch string(body) {
	case "boom":
		panic("boom")
	case "wait":
		return body, clock.Sleep(ctx, 500*time.Millisecond)
	case "user":
		*known = true
	case "login":
		if !*known {
			return []byte("no"), fault.New(fault.Denied, "echo", "", "who are you")
		}
	case "shout":
		return []byte("no"), fault.New(fault.Unsupported, "echo", "", "shouting")
	}
	return body, nil
}

func frame(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }

// call is a client of frames.
func call(c net.Conn, s string) (string, error) {
	if _, err := c.Write(frame(s)); err != nil {
		return "", err
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return "", err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c, body)
	return string(body), err
}

func mustEcho(c net.Conn, s string) error {
	got, err := call(c, s)
	switch {
	case err != nil:
		return err
	case got == "no":
		return fmt.Errorf("%s: %w", s, gatewaytest.ErrRefused)
	case got != s:
		return fmt.Errorf("%s came back as %q", s, got)
	}
	return nil
}

func TestFrames(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.Kit{
		New:      func(_ *testing.T, users bool) gateway.Gateway { return frames{users} },
		Hello:    frame("hello, who is there?"),
		Exchange: func(c net.Conn) error { return mustEcho(c, "hello") },
		Login: func(c net.Conn, good bool) error {
			if good {
				if err := mustEcho(c, "user"); err != nil {
					return err
				}
			}
			return mustEcho(c, "login")
		},
		Long: func(c net.Conn, sent func()) error {
			if _, err := c.Write(frame("wait")[:6]); err != nil {
				return err
			}
			if _, err := c.Write(frame("wait")[6:]); err != nil {
				return err
			}
			sent()
			got := make([]byte, 8)
			if _, err := io.ReadFull(c, got); err != nil || string(got[4:]) != "wait" {
				return fmt.Errorf("got %q, %w", got, err)
			}
			return nil
		},
		Oversize: [][]byte{{0xff, 0xff, 0xff, 0xff}, {0x7f, 0xff, 0xff, 0xff, 'x'}, {0, 1, 0, 1}},
		Abilities: []gatewaytest.Ability{
			{Name: "echo", Offered: true, Try: func(c net.Conn) error { return mustEcho(c, "x") }},
			{Name: "shout", Try: func(c net.Conn) error { return mustEcho(c, "shout") }},
		},
	})
}

// web is the same by HTTP.
type web struct{ users bool }

func (web) Descriptor() gateway.Descriptor {
	return gateway.Descriptor{Name: "web", Title: "Web", DefaultAddr: "127.0.0.1:80", Operations: []string{"get"}}
}

func (w web) Serve(ctx context.Context, l *gateway.Listener) error {
	get := l.Operation("get")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) {
		defer func(start time.Time) { get.Done(clock.Since(start), nil) }(clock.Now())
		_, _ = io.WriteString(rw, "hello")
	})
	mux.HandleFunc("GET /wait", func(rw http.ResponseWriter, r *http.Request) {
		_ = clock.Sleep(r.Context(), 500*time.Millisecond)
		_, _ = io.WriteString(rw, "waited")
	})
	mux.HandleFunc("GET /login", func(rw http.ResponseWriter, r *http.Request) {
		if _, pass, ok := r.BasicAuth(); w.users && (!ok || pass != "secret") {
			rw.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("GET /boom", func(http.ResponseWriter, *http.Request) { panic("boom") })
	return l.ServeHTTP(ctx, &http.Server{Handler: mux, WriteTimeout: 3 * l.Limits().WriteTimeout}) //nolint:gosec // the rest is filled in by the harness
}

func get(c net.Conn, path, more string, sent func()) error {
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n"+more+"\r\n"); err != nil {
		return err
	}
	sent()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusMethodNotAllowed:
		return fmt.Errorf("%s: %w", resp.Status, gatewaytest.ErrRefused)
	case resp.StatusCode != http.StatusOK:
		return errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

func TestWeb(t *testing.T) {
	nothing := func() {}
	gatewaytest.Run(t, gatewaytest.Kit{
		New:      func(_ *testing.T, users bool) gateway.Gateway { return web{users} },
		Hello:    []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		Exchange: func(c net.Conn) error { return get(c, "/", "", nothing) },
		Login: func(c net.Conn, good bool) error {
			if good {
				return get(c, "/login", "Authorization: Basic dTpzZWNyZXQ=\r\n", nothing) // u:secret
			}
			return get(c, "/login", "", nothing)
		},
		Long:     func(c net.Conn, sent func()) error { return get(c, "/wait", "", sent) },
		Oversize: [][]byte{append([]byte("GET / HTTP/1.1\r\nX: "), make([]byte, 128<<10)...)},
		Abilities: []gatewaytest.Ability{
			{Name: "get", Offered: true, Try: func(c net.Conn) error { return get(c, "/", "", nothing) }},
		},
	})
}
