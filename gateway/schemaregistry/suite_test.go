package schemaregistry

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway"
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

const aSchema = `{"schema":"\"string\""}`

func TestSuite(t *testing.T) {
	get := func(path string) string { return "GET /" + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }
	post := func(path, body string) string {
		return "POST /" + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	gatewaytest.Run(t, gatewaytest.Kit{
		New:      func(t *testing.T, users bool) gateway.Gateway { return New(newBroker(t, users), Default()) },
		Hello:    []byte(get("subjects")),
		Exchange: func(c net.Conn) error { return roundTrip(c, http.StatusOK, get("config")) },
		Login: func(c net.Conn, good bool) error {
			password := "looking-glass"
			if good {
				password = "wonderland"
			}
			return roundTrip(c, http.StatusOK, strings.Replace(post("subjects/s/versions", aSchema), "\r\n\r\n",
				"\r\nAuthorization: Basic "+base64.StdEncoding.EncodeToString([]byte("alice:"+password))+"\r\n\r\n", 1))
		},
		Long: func(c net.Conn, sent func()) error {
			r := post("subjects/s/versions", aSchema)
			if _, err := io.WriteString(c, r[:len(r)-1]); err != nil {
				return err
			}
			sent()
			time.Sleep(150 * time.Millisecond)
			return roundTrip(c, http.StatusOK, "}")
		},
		Garbage: [][]byte{
			[]byte(post("subjects/s/versions", strings.Repeat("[", 20))),
			[]byte(get("subjects/%zz")),
			[]byte(get("subjects?offset=x&limit=-9")),
			[]byte(post("subjects/s/versions", `{"schema":"`+strings.Repeat("[", 5000)+`"}`)),
		},
		Oversize: [][]byte{
			[]byte("POST /subjects/s/versions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"),
			[]byte("GET /" + strings.Repeat("x", 1<<20)),
		},
		Abilities: []gatewaytest.Ability{
			{Name: "contexts", Offered: true, Try: func(c net.Conn) error { return roundTrip(c, http.StatusOK, get("contexts/.c/subjects")) }},
			{Name: "foreign hosts", Try: func(c net.Conn) error {
				if err := roundTrip(c, http.StatusForbidden, "GET /subjects HTTP/1.1\r\nHost: evil.example\r\n\r\n"); err != nil {
					return err
				}
				return gatewaytest.ErrRefused
			}},
			{Name: "exporters", Try: func(c net.Conn) error {
				if err := roundTrip(c, http.StatusNotFound, get("exporters")); err != nil {
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
		Name: "schema-registry", Addr: "127.0.0.1:0", Protocol: "schema-registry", Known: g.Descriptor().Operations, Limits: gateway.Default(), Log: slog.New(slog.DiscardHandler),
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
	return &api{t: t, base: "http://" + l.Addr().String() + "/"}
}

// do asks, and returns the status and the answer as text.
func (a *api) do(method, path, body string, header ...string) (int, string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", mediaTypes[0])
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
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
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// want asks, and wants an answer: members that are not named may be anything.
func (a *api) want(status int, want, method, path, body string, header ...string) {
	a.t.Helper()
	got, text := a.do(method, path, body, header...)
	if got != status || !covers(text, want) {
		a.t.Errorf("%s %s %s: %d %s\nwant %d %s", method, path, body, got, text, status, want)
	}
}

// covers reports whether JSON says all that want says. A want that is no JSON is a part of the text.
func covers(text, want string) bool {
	var g, w any
	if json.Unmarshal([]byte(want), &w) != nil {
		return strings.Contains(text, want)
	}
	if json.Unmarshal([]byte(text), &g) != nil {
		return false
	}
	gm, ok := g.(map[string]any)
	wm, also := w.(map[string]any)
	if !ok || !also {
		return fmt.Sprint(g) == fmt.Sprint(w)
	}
	for k, v := range wm {
		if fmt.Sprint(gm[k]) != fmt.Sprint(v) {
			return false
		}
	}
	return true
}

// TestCaptures sends what confluent-kafka for Python sent, byte for byte and in order, and wants the statuses that it got. A file has a header of
// lines with #, then the bytes in hex.
func TestCaptures(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	files, err := filepath.Glob("testdata/captures/*.hex")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		status, digits := 0, ""
		for line := range strings.Lines(string(b)) {
			if s, ok := strings.CutPrefix(line, "# answer: "); ok {
				status, _ = strconv.Atoi(strings.TrimSpace(s))
			}
			if !strings.HasPrefix(line, "#") {
				digits += strings.TrimSpace(line)
			}
		}
		raw, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(f, err)
		}
		c, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(a.base, "http://"), "/"))
		if err != nil {
			t.Fatal(err)
		}
		if err := roundTrip(c, status, string(raw)); err != nil && !errors.Is(err, gatewaytest.ErrRefused) {
			t.Errorf("%s: %v", f, err)
		}
		_ = c.Close()
	}
}
