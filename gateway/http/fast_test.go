package http

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"leat/gateway"
)

// raw is a request as bytes; fast ones are what the fast lane takes, and a query makes the same one net/http's.
func raw(target, body string, fields ...string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n" + body
}

const fastPath, slowPath = "/v1/streams/orders/events", "/v1/streams/orders/events?"

func dial(t *testing.T, s *served) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// goodbye is a last request, after which the server closes. Closing our side instead would be leaving, to net/http.
const goodbye = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

// exchange sends and reads all until the server closes. Without goodbye, our side is closed behind what is sent.
func exchange(t *testing.T, s *served, sent string) string {
	t.Helper()
	c := dial(t, s)
	if _, err := io.WriteString(c, sent); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(sent, goodbye) {
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(c)
	if err != nil && !(errors.Is(err, syscall.ECONNRESET) && len(b) > 0) { // net/http resets when much is left unread
		t.Fatalf("%v behind %q", err, b)
	}
	return string(b)
}

// changing is what differs between two equal answers: time, places, lengths of numbers, names of requests, ids.
var changing = regexp.MustCompile(`Date: [^\r]*|Content-Length: \d+|"(ref|position|id|instance)":"[^"]*"`)

func TestFast_AnswersAsNetHTTPDoes(t *testing.T) {
	s := start(t, func(c *Config) { c.Origins = []string{"https://app.example"} })
	event := event("", "t", "", "1")
	for _, c := range []struct {
		name, body string
		fields     []string
	}{
		{"plain", "hello", nil},
		{"empty", "", []string{"Content-Type: text/plain"}},
		{"binary", "1", []string{"ce-specversion: 1.0", "ce-id: ${lane}", "ce-source: /s", "ce-type: t"}},
		{"binary, wrong", "1", []string{"ce-specversion: 2.0", "ce-id: b", "ce-source: /s", "ce-type: t"}},
		{"structured", strings.Replace(event, `"id":""`, `"id":"s-${lane}"`, 1), []string{"Content-Type: " + mediaEvent}},
		{"structured, wrong", "{", []string{"Content-Type: " + mediaEvent}},
		{"batch", "[" + strings.Replace(event, `"id":""`, `"id":"c-${lane}"`, 1) + "]", []string{"Content-Type: " + mediaBatch}},
		{"empty batch", "[]", []string{"Content-Type: " + mediaBatch}},
		{"foreign origin", "x", []string{"Origin: https://evil.example"}},
		{"configured origin", "x", []string{"Origin: https://app.example"}},
		{"compressed", "x", []string{"Content-Encoding: gzip"}},
		{"compressed, long", strings.Repeat("x", 100<<10), []string{"Content-Encoding: gzip"}},
		{"compressed, too long to read on", strings.Repeat("x", unreadBytesMax+1), []string{"Content-Encoding: gzip"}},
		{"scheme of login", "x", []string{"Authorization: Digest x"}},
		{"expected version", "x", []string{"Leat-Expected-Version: 7", "Leat-Key: k"}},
		{"wrong namespace", "x", []string{"Leat-Namespace: a b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got [2]string
			for i, path := range []string{fastPath, slowPath} {
				lane := strings.NewReplacer("${lane}", fmt.Sprint("lane-", i))
				got[i] = changing.ReplaceAllString(exchange(t, s, lane.Replace(raw(path, lane.Replace(c.body), c.fields...))+goodbye), "…")
			}
			if got[0] != got[1] || !strings.HasPrefix(got[0], "HTTP/1.1 ") {
				t.Errorf("fast lane:\n%s\nnet/http:\n%s", got[0], got[1])
			}
		})
	}
}

func TestFast_AppendAnswersAsNetHTTPDoes(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct{ name, body string }{
		{"taken", `{"events":[{"stream":"${lane}","partitionkey":"k"},{"stream":"${lane}"}],"if":[{"stream":"${lane}","key":"k","version":"none"}]}`},
		{"conflict", `{"events":[{"stream":"${lane}","partitionkey":"k"}],"if":[{"stream":"${lane}","key":"k","version":7}]}`},
		{"no JSON", `{"events":[`},
		{"no events", `{}`},
		{"wrong attribute", `{"events":[{"stream":"${lane}"},{"stream":"${lane}","time":"noon"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got [2]string
			for i, path := range []string{"/v1/append", "/v1/append?"} {
				lane := fmt.Sprint("lane-", i)
				answer := exchange(t, s, raw(path, strings.ReplaceAll(c.body, "${lane}", lane), "Content-Type: application/json")+goodbye)
				got[i] = strings.ReplaceAll(changing.ReplaceAllString(answer, "…"), lane, "lane")
			}
			if got[0] != got[1] || !strings.HasPrefix(got[0], "HTTP/1.1 ") {
				t.Errorf("fast lane:\n%s\nnet/http:\n%s", got[0], got[1])
			}
		})
	}
}

func TestFast_PassesOnWhatItDoesNotTake(t *testing.T) {
	s := start(t, nil)
	one := raw(fastPath, "a")
	for _, c := range []struct{ name, sent, want string }{
		{"pipelined", one + one + one + goodbye, "201 201 201 200"},
		{"read between", one + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + one + goodbye, "201 200 201 200"},
		{"chunked", one + "POST " + fastPath + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + one + goodbye, "201 201 201 200"},
		{"both lengths", one + "POST " + fastPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + one + goodbye, ""},
		{"two lengths", one + raw(fastPath, "a", "Content-Length: 2"), "201 400"},
		{"close", raw(fastPath, "a", "Connection: close") + one + goodbye, "201"},
		{"empty lines", one + "\r\n\r\n" + one + "\r\n" + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + goodbye, "201 201 200 200"},
		{"half a head", one + one[:40], "201 400"},
		{"half a body", one + "POST " + fastPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab", "201 408"},
		{"refused and on", raw(fastPath, "a", "Content-Encoding: gzip") + one + goodbye, "415 201 200"},
		{"long head", raw(fastPath, "a", "X: "+strings.Repeat("x", 5000)) + one + goodbye, "201 201 200"},
		{"garbage", one + "\x16\x03\x01", "201 400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := codes(exchange(t, s, c.sent))
			if c.name == "both lengths" { // net/http alone says what becomes of it: the same without a request before
				c.want = strings.TrimSpace("201 " + codes(exchange(t, s, c.sent[len(one):])))
			}
			if got != c.want {
				t.Errorf("%s; want %s", got, c.want)
			}
		})
	}
}

var statusLine = regexp.MustCompile(`HTTP/1\.1 (\d+) `)

// codes lists the statuses of answers.
func codes(answers string) string {
	var out []string
	for _, m := range statusLine.FindAllStringSubmatch(answers, -1) {
		out = append(out, m[1])
	}
	return strings.Join(out, " ")
}

func TestFast_ByteByByte(t *testing.T) {
	s := start(t, nil)
	c := dial(t, s)
	sent := raw(fastPath, "ab") + "\r\n" + raw(fastPath, "cd") + "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	if _, err := io.Copy(c, struct{ io.Reader }{iotest.OneByteReader(strings.NewReader(sent))}); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if got := codes(string(b)); err != nil || got != "201 201 200" {
		t.Fatalf("%s, %v", got, err)
	}
}

func TestFast_NumbersRequestsAcrossLanes(t *testing.T) {
	s := start(t, nil)
	wrong := raw(fastPath, "{", "Content-Type: "+mediaEvent)
	got := exchange(t, s, wrong+wrong+strings.Replace(wrong, fastPath, slowPath, 1)+goodbye)
	for i := range 3 {
		if want := fmt.Sprintf("urn:leat:request:http-1.%d\"", i+1); !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}

func TestFast_DrainAndTimeouts(t *testing.T) {
	limits := gateway.Default()
	limits.IdleTimeout, limits.ReadTimeout, limits.DrainTimeout = 300*time.Millisecond, 400*time.Millisecond, 3*time.Second
	s := startWith(t, newBroker(t, 1), nil, limits)

	for _, c := range []struct{ name, sent, want string }{
		{"idle from the start", "", ""},
		{"idle", raw(fastPath, "a"), "201"},
		{"half a head", raw(fastPath, "a")[:60], ""},
		{"half a body", raw(fastPath, "abc")[:len(raw(fastPath, "abc"))-1], "408"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			_, _ = io.WriteString(conn, c.sent)
			began := time.Now()
			b, err := io.ReadAll(conn)
			if got := codes(string(b)); err != nil || got != c.want || time.Since(began) > 20*time.Second {
				t.Errorf("%q, %v after %v", b, err, time.Since(began))
			}
		})
	}
}

func TestFast_Drain(t *testing.T) {
	s := start(t, nil)
	idle, busy := dial(t, s), dial(t, s)
	warmUp := func(c net.Conn) {
		if err := roundTrip(c, 201, raw(fastPath, "a")); err != nil {
			t.Fatal(err)
		}
	}
	warmUp(idle)
	warmUp(busy)
	request := raw(fastPath, "ab")
	if _, err := io.WriteString(busy, request[:len(request)-1]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // it has been read
	done := make(chan int)
	go func() { done <- s.l.Drain(context.Background()) }()
	began := time.Now()
	if b, err := io.ReadAll(idle); err != nil || len(b) > 0 || time.Since(began) > 20*time.Second {
		t.Errorf("idle: %q, %v after %v", b, err, time.Since(began))
	}
	if _, err := io.WriteString(busy, request[len(request)-1:]); err != nil {
		t.Fatal(err)
	}
	res, err := nethttp.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 201 || !res.Close {
		t.Errorf("%s, close %v", res.Status, res.Close)
	}
	_ = idle.Close()
	_ = busy.Close()
	if cut := <-done; cut != 0 {
		t.Errorf("%d were cut", cut)
	}
}
