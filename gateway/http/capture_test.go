package http

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// capture is what a real client sent, byte for byte. A file has a header of lines with #, then the bytes in hex:
//
//	# client: curl 8.14.1
//	# taken: a socket that prints what it gets
//	# answer: 201
//	504f5354…
type capture struct {
	file   string
	answer int
	bytes  []byte
}

func captures(t testing.TB) (out []capture) {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := capture{file: filepath.Base(file)}
		for line := range strings.SplitSeq(string(text), "\n") {
			if comment, ok := strings.CutPrefix(line, "#"); ok {
				if code, ok := strings.CutPrefix(strings.TrimSpace(comment), "answer: "); ok {
					c.answer, _ = strconv.Atoi(code)
				}
				continue
			}
			b, err := hex.DecodeString(strings.TrimSpace(line))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			c.bytes = append(c.bytes, b...)
		}
		out = append(out, c)
	}
	return out
}

func (c *capture) request(t testing.TB) *nethttp.Request {
	t.Helper()
	r, err := nethttp.ReadRequest(bufio.NewReader(bytes.NewReader(c.bytes)))
	if err != nil {
		t.Fatalf("%s: %v", c.file, err)
	}
	return r
}

func (c *capture) body(t testing.TB) string {
	t.Helper()
	b, err := io.ReadAll(c.request(t).Body)
	if err != nil {
		t.Fatalf("%s: %v", c.file, err)
	}
	return string(b)
}

// What real clients sent is answered as it should be, and what they published can be read.
func TestCaptures(t *testing.T) {
	s := start(t, nil)
	s.fill("orders", 3)
	published := 3
	for _, c := range captures(t) {
		conn, err := net.Dial("tcp", s.l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		// The port was another one when it was taken.
		if _, err := conn.Write(c.bytes); err != nil {
			t.Fatal(err)
		}
		res, err := nethttp.ReadResponse(bufio.NewReader(conn), c.request(t))
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if res.StatusCode == nethttp.StatusContinue {
			t.Fatalf("%s: unexpected 100", c.file)
		}
		var body []byte
		if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") && res.StatusCode != 101 {
			if body, err = io.ReadAll(res.Body); err != nil {
				t.Fatalf("%s: %v", c.file, err)
			}
		}
		if res.StatusCode != c.answer {
			t.Errorf("%s: %d %s; want %d", c.file, res.StatusCode, body, c.answer)
		}
		if res.StatusCode == 201 && strings.HasSuffix(c.request(t).URL.Path, "/events") {
			published += max(1, bytes.Count(body, []byte(`"ref"`)))
		}
		_ = conn.Close()
	}
	if page := s.want(200, "GET", "/v1/streams/orders/events?limit=1000", ""); page.len("events") < published {
		t.Errorf("%d events are there; %d were published", page.len("events"), published)
	}
}
