package outbound

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestSend_Delivers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		w.WriteHeader(202)
		fmt.Fprintf(w, "%s %s %s %s %s:%s %v", r.Method, r.URL, r.UserAgent(), body, user, password, r.Header["Idempotency-Key"])
	})
	e := endpoint(t, local(t, nil), strings.Replace(s.URL, "//", "//anna:pa%20ss@", 1)+"/hook?a=1#top", nil)
	r := send(t, e, "hello").expect(t, Delivered, 202)
	if got, want := string(r.Body), "POST /hook?a=1 leat hello anna:pa ss []"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.Phase != PhaseAnswer || !r.Reached || !r.Remote.IsValid() || r.Took <= 0 || r.Err != nil {
		t.Errorf("%+v", r)
	}
	if strings.Contains(e.URL(), "anna") {
		t.Error("the password is shown: " + e.URL())
	}
}

func TestSend_OutcomeIsThatOfTheStatus(t *testing.T) {
	var status atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := status.Load(); {
		case n == 1422:
			w.Header().Set("Webhook-Delivery", "abort-message")
			w.WriteHeader(422)
		case n == 302:
			w.Header().Set("Location", "http://"+r.Host+"/elsewhere")
			w.WriteHeader(302)
		case r.URL.Path == "/elsewhere":
			t.Error("a redirect was followed")
		default:
			w.WriteHeader(int(n))
		}
	})
	c := local(t, nil)
	for n, want := range map[int32]Outcome{
		200: Delivered, 201: Delivered, 204: Delivered, 299: Delivered, 302: Retry, 304: Retry, 400: Retry, 401: Denied, 403: Denied, 404: Retry, 407: Denied,
		408: Retry, 410: Gone, 413: Refused, 415: Refused, 422: Retry, 1422: Refused, 429: Retry, 500: Retry, 502: Retry, 503: Retry, 504: Retry,
	} {
		status.Store(n)
		e := endpoint(t, c, s.URL, nil)
		r := send(t, e, "x").expect(t, want, int(n%1000))
		if paused := r.Change != nil && r.Change.To == Paused; paused != (n == 410) {
			t.Errorf("%d: %+v", n, r.Change)
		}
		e.Close()
	}
	status.Store(400)
	send(t, endpoint(t, c, s.URL, func(e *EndpointConfig) { e.Refuse = []int{400, 401} }), "x").expect(t, Refused, 400)
}

func TestSend_RetryAfterHoldsTheEndpoint(t *testing.T) {
	var after atomic.Value
	after.Store("3000")
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", after.Load().(string))
		w.WriteHeader(429)
	})
	c := local(t, nil)
	e := endpoint(t, c, s.URL, nil)
	if r := send(t, e, "x").expect(t, Retry, 429); r.RetryAfter != 3000*time.Second {
		t.Errorf("Retry-After %v", r.RetryAfter)
	}
	if f := e.Figures(); f.Wait < 2000*time.Second || f.Wait > 3000*time.Second || f.State != Closed {
		t.Errorf("%v, wait %v", f.State, f.Wait)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := e.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it was not waited for: %v", err)
	}
	after.Store("1000000")
	e = endpoint(t, c, s.URL, nil)
	if r := send(t, e, "x"); r.RetryAfter != time.Hour {
		t.Errorf("Retry-After %v; the limit is an hour", r.RetryAfter)
	}
}

func TestSend_HeadersThatCannotBeSentAreRefused(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	e := endpoint(t, local(t, nil), s.URL, nil)
	for _, h := range []http.Header{
		{"A": {"x\r\nInjected: 1"}}, {"A": {"\x00"}}, {"A B": {"x"}}, {"": {"x"}}, {"Host": {"other"}}, {"Content-Length": {"5"}}, {"Transfer-Encoding": {"chunked"}}, {"connection": {"x"}},
	} {
		tk, _ := e.Acquire(context.Background())
		e.Send(context.Background(), tk, &Request{Header: h}).expect(t, Refused, 0)
	}
	if f := e.Figures(); f.Failures != 0 || f.Outcomes[Refused] != 8 {
		t.Errorf("%+v", f)
	}
}

func TestSend_ServersThatMisbehave(t *testing.T) {
	answer := func(c net.Conn, text string) {
		http.ReadRequest(bufio.NewReader(c))
		io.WriteString(c, text)
	}
	for _, m := range []struct {
		name    string
		server  func(net.Conn)
		want    Outcome
		status  int
		phase   Phase
		reached bool
		stalls  bool // it ends by the endpoint's timeout
	}{
		{"stalls", func(c net.Conn) { io.Copy(io.Discard, c) }, Retry, 0, PhaseWait, true, true},
		{"never reads", func(net.Conn) {}, Retry, 0, PhaseWrite, true, false},
		{"closes", func(c net.Conn) { answer(c, ""); c.Close() }, Retry, 0, PhaseWait, true, false},
		{"resets", func(c net.Conn) { answer(c, ""); c.(*net.TCPConn).SetLinger(0); c.Close() }, Retry, 0, PhaseWait, true, false},
		{"speaks something else", func(c net.Conn) { answer(c, "220 smtp.example ESMTP\r\n") }, Retry, 0, PhaseWait, true, false},
		{"has much to say", func(c net.Conn) { answer(c, strings.Repeat("\x01ä", 9000)+"\r\n") }, Retry, 0, PhaseWait, true, false},
		{"trickles its header", func(c net.Conn) {
			answer(c, "HTTP/1.1 200 OK\r\nX: ")
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}, Retry, 0, PhaseWait, true, true},
		{"has a header without end", func(c net.Conn) {
			answer(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, "X-Y: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}, Retry, 0, PhaseWait, true, false},
		{"trickles its body", func(c net.Conn) {
			answer(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}, Delivered, 200, PhaseAnswer, true, false},
		{"breaks its body off", func(c net.Conn) { answer(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"); c.Close() }, Delivered, 200, PhaseAnswer, true, false},
		{"answers a gigabyte", func(c net.Conn) {
			answer(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
			for b := make([]byte, 1<<16); ; {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}, Delivered, 200, PhaseAnswer, true, false},
		{"answers chunks without end", func(c net.Conn) {
			answer(c, "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
			for b := "1000\r\n" + strings.Repeat("x", 4096) + "\r\n"; ; {
				if _, err := io.WriteString(c, b); err != nil {
					return
				}
			}
		}, Retry, 500, PhaseAnswer, true, false},
		{"asks for patience for ever", func(c net.Conn) {
			answer(c, "")
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
					return
				}
			}
		}, Retry, 0, PhaseWait, true, true},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			const long, short = time.Minute, 2 * time.Second // what ends by itself has all the time of a busy machine
			timeout, write, body := long, long, "hello"
			if m.stalls {
				timeout = short
			}
			if m.phase == PhaseWrite {
				write, body = short, strings.Repeat("x", 32<<20) // more than the kernel takes
			}
			c := local(t, func(c *Config) {
				c.BodyTimeout, c.WriteTimeout, c.ResponseBytesMax = 50*time.Millisecond, write, 100
			})
			e := endpoint(t, c, raw(t, m.server), func(e *EndpointConfig) { e.Timeout = timeout })
			began := time.Now()
			r := send(t, e, body).expect(t, m.want, m.status)
			if r.Phase != m.phase || r.Reached != m.reached {
				t.Errorf("phase %v, reached %v (%v)", r.Phase, r.Reached, r.Err)
			}
			if took := time.Since(began); took > long/2 {
				t.Errorf("it took %v", took)
			}
			if r.Err != nil && len(r.Err.Error()) > 350 {
				t.Errorf("an error of %d bytes", len(r.Err.Error()))
			}
			if len(r.Body) > 100 {
				t.Errorf("%d bytes were kept", len(r.Body))
			}
			e.Close()
			until(t, "no connection is left", func() bool { return c.Figures().Conns == 0 })
		})
	}
}

func TestSend_NothingListens(t *testing.T) {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	l.Close()
	r := send(t, endpoint(t, local(t, nil), "http://"+l.Addr().String(), nil), "x").expect(t, Retry, 0)
	if r.Phase != PhaseConnect || r.Reached {
		t.Errorf("%v %v", r.Phase, r.Reached)
	}
}

func TestSend_TLS(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	for _, h2 := range []bool{false, true} {
		s := httptest.NewUnstartedServer(hello)
		s.EnableHTTP2 = h2
		s.Config.ErrorLog = silent
		s.StartTLS()
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		c := local(t, nil)
		if r := send(t, endpoint(t, c, s.URL, nil), "x").expect(t, Retry, 0); r.Phase != PhaseTLS || r.Reached {
			t.Errorf("an unknown CA: %v, %v", r.Phase, r.Err)
		}
		e := endpoint(t, c, s.URL, func(e *EndpointConfig) { e.CAs = ca })
		r := send(t, e, strings.Repeat("x", 1<<20)).expect(t, Delivered, 200)
		if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[h2]; string(r.Body) != want || !r.Remote.IsValid() {
			t.Errorf("%s from %v, want %s", r.Body, r.Remote, want)
		}
		c.Close()
		s.Close()
	}
}

// By HTTP/2 a body without end costs a stream, and what was received before it was given up: not the connection, and not memory.
func TestSend_HTTP2BodyWithoutEnd(t *testing.T) {
	var sent atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			return
		}
		for b := make([]byte, 1<<14); ; sent.Add(1 << 14) {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = silent
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c := local(t, nil)
	defer c.Close()
	e := endpoint(t, c, s.URL, func(e *EndpointConfig) { e.CAs = ca })
	for range 20 {
		send(t, e, "x").expect(t, Delivered, 200)
	}
	if n := sent.Load(); n > 20<<20 {
		t.Errorf("%d bytes were taken from it", n)
	}
	if d := c.Figures().Dials; d > 3 {
		t.Errorf("%d connections for it", d)
	}
}

func TestSend_OldTLSAndStalledHandshake(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = tlsOld()
	s.Config.ErrorLog = silent
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c := local(t, func(c *Config) { c.TLSTimeout = 50 * time.Millisecond })
	r := send(t, endpoint(t, c, s.URL, func(e *EndpointConfig) { e.CAs = ca }), "x").expect(t, Retry, 0)
	if r.Phase != PhaseTLS {
		t.Errorf("TLS 1.1: %v %v", r.Phase, r.Err)
	}
	mute := strings.Replace(raw(t, func(c net.Conn) { io.Copy(io.Discard, c) }), "http:", "https:", 1)
	if r := send(t, endpoint(t, c, mute, nil), "x").expect(t, Retry, 0); r.Phase != PhaseTLS || r.Took > time.Minute {
		t.Errorf("a handshake that never ends: %v after %v", r.Phase, r.Took)
	}
}

// A peer may close a kept connection in the moment it is used again. The receiver has not seen the request; the delivery must not lose an
// attempt for it.
func TestSend_KeptConnectionThatIsDead(t *testing.T) {
	var conns atomic.Int32
	url := raw(t, func(c net.Conn) {
		first := conns.Add(1) == 1
		br := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			if first {
				// The second request on this connection is read, and never answered.
				http.ReadRequest(br)
				c.Close()
				return
			}
		}
	})
	e := endpoint(t, local(t, nil), url, nil)
	send(t, e, "one").expect(t, Delivered, 204)
	send(t, e, "two").expect(t, Delivered, 204)

	conns.Store(0)
	e = endpoint(t, local(t, nil), url, nil)
	send(t, e, "one").expect(t, Delivered, 204)
	tk, _ := e.Acquire(context.Background())
	e.Send(context.Background(), tk, &Request{Body: []byte("two"), Once: true}).expect(t, Retry, 0)
}

func TestSend_CallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	url := raw(t, func(c net.Conn) {
		http.ReadRequest(bufio.NewReader(c))
		cancel() // while it is waited for an answer
	})
	e := endpoint(t, local(t, nil), url, func(e *EndpointConfig) { e.Policy.FailuresMax = 1 })
	tk, _ := e.Acquire(ctx)
	r := e.Send(ctx, tk, &Request{}).expect(t, Retry, 0)
	if !errors.Is(r.Err, context.Canceled) || !r.Reached {
		t.Errorf("%v %v", r.Err, r.Reached)
	}
	if f := e.Figures(); f.State != Closed || f.Failures != 0 {
		t.Errorf("our own haste counts against the endpoint: %v", f.State)
	}
	tk, _ = e.Acquire(context.Background())
	e.Send(ctx, tk, &Request{}).expect(t, Unsent, 0) // ctx has ended: nothing is sent
	tk, _ = e.Acquire(context.Background())
	e.Close()
	e.Send(context.Background(), tk, &Request{}).expect(t, Unsent, 0)
	if _, err := e.Acquire(context.Background()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestEndpoint_RefusesWhatCannotBe(t *testing.T) {
	c := local(t, func(c *Config) { c.Allow = nil })
	for url, blocked := range map[string]bool{
		"ftp://h/": false, "h": false, "": false, "http://": false, "http:opaque": false, "http://h:0/": false, "http://a b/": false,
		"http://[::1/": false, "http://h\x00/": false, "http://user:secret word@/": false,
		"http://127.0.0.1/": true, "https://10.0.0.1:8443/x": true, "http://[::ffff:127.0.0.1]/": true, "http://[fe80::1%25lo]/": true, "http://169.254.169.254/latest": true,
	} {
		e, err := c.Endpoint(EndpointConfig{URL: url, Policy: DefaultPolicy()})
		if err == nil {
			t.Errorf("%s was taken", url)
			e.Close()
			continue
		}
		if _, got := errors.AsType[*BlockedError](err); got != blocked {
			t.Errorf("%s: %v", url, err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("a password in an error: %v", err)
		}
	}
	for name, change := range map[string]func(*EndpointConfig){
		"framing header": func(e *EndpointConfig) { e.Header = http.Header{"content-length": {"1"}} },
		"method":         func(e *EndpointConfig) { e.Method = "PO ST" },
		"CA":             func(e *EndpointConfig) { e.CAs = []byte("x") },
		"certificate":    func(e *EndpointConfig) { e.ClientCert = []byte("x") },
		"timeout":        func(e *EndpointConfig) { e.Timeout = TimeoutMost + 1 },
		"policy":         func(e *EndpointConfig) { e.Policy = Policy{} },
		"long URL":       func(e *EndpointConfig) { e.URL += strings.Repeat("x", URLBytesMax) },
	} {
		cfg := EndpointConfig{URL: "https://example.com/", Policy: DefaultPolicy()}
		change(&cfg)
		if e, err := c.Endpoint(cfg); err == nil {
			t.Errorf("%s was taken", name)
			e.Close()
		}
	}
	c = local(t, func(c *Config) { c.HTTPSOnly = true })
	if _, err := c.Endpoint(EndpointConfig{URL: "http://example.com", Policy: DefaultPolicy()}); err == nil {
		t.Error("http where https is asked for")
	}
}

func TestConfig_Limits(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no connections":  func(c *Config) { c.ConnsMax = 0 },
		"connections":     func(c *Config) { c.ConnsMax = ConnsMost + 1 },
		"connect timeout": func(c *Config) { c.ConnectTimeout = 0 },
		"body timeout":    func(c *Config) { c.BodyTimeout = TimeoutMost + 1 },
		"response bytes":  func(c *Config) { c.ResponseBytesMax = ResponseBytesMost + 1 },
		"header bytes":    func(c *Config) { c.HeaderBytesMax = HeaderBytesLeast - 1 },
		"retry after":     func(c *Config) { c.RetryAfterMax = RetryAfterMost + 1 },
		"allow":           func(c *Config) { c.Allow = []string{"10.0.0.1/8"} },
		"user agent":      func(c *Config) { c.UserAgent = "a\n" },
	} {
		c := Default()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
