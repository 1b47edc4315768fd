package wire

import (
	"strconv"
	"strings"
	"testing"
)

// with is the simple head with more fields.
func with(fields string) string {
	return strings.Replace(simple, "\r\n\r\n", "\r\n"+fields+"\r\n\r\n", 1)
}

var taken = []string{
	simple,
	strings.Replace(simple, "/v1/streams/orders/events", "/v1/append", 1),
	with("Content-Type: application/json"),
	with("content-type:text/plain; charset=utf-8  "),
	with("ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\nce-subject: \xe2\x82\xac"),
	with("Connection: Keep-Alive"),
	with("Authorization: Bearer abc\r\nAuthorization: Basic def"),
	with("Accept:"),
	with("X-A: 1\r\nX-B: 2\r\nX-A: 3"),
	strings.Replace(simple, "Content-Length: 2", "CONTENT-LENGTH:0", 1),
	strings.Replace(simple, "localhost:8080", "[::1]:8080", 1),
	strings.Replace(simple, "Length: 2", "Length: "+strconv.Itoa(bodyMost), 1),
}

var others = []struct{ name, head string }{
	{"another method", strings.Replace(simple, "POST", "GET", 1)},
	{"method in lower case", strings.Replace(simple, "POST", "post", 1)},
	{"empty line first", "\r\n" + simple},
	{"another path", strings.Replace(simple, "/v1/streams", "/v1/users", 1)},
	{"another path of a stream", strings.Replace(simple, "/events", "/event", 1)},
	{"a path under append", strings.Replace(simple, "/v1/streams/orders/events", "/v1/append/x", 1)},
	{"append and more", strings.Replace(simple, "/v1/streams/orders/events", "/v1/appends", 1)},
	{"append with a query", strings.Replace(simple, "/v1/streams/orders/events", "/v1/append?x=1", 1)},
	{"absolute target", strings.Replace(simple, "/v1", "http://localhost/v1", 1)},
	{"query", strings.Replace(simple, "/events", "/events?namespace=x", 1)},
	{"percent", strings.Replace(simple, "orders", "or%2Fders", 1)},
	{"no name", strings.Replace(simple, "orders", "", 1)},
	{"two names", strings.Replace(simple, "orders", "a/b", 1)},
	{"HTTP/1.0", strings.Replace(simple, "HTTP/1.1", "HTTP/1.0", 1)},
	{"two spaces", strings.Replace(simple, " HTTP", "  HTTP", 1)},
	{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	{"TLS", "\x16\x03\x01\x02\x00"},
	{"bare LF behind the line", strings.Replace(simple, "1.1\r\n", "1.1\n", 1)},
	{"bare LF behind a field", with("X: a\nY: b")},
	{"bare CR", with("X: a\rY: b")},
	{"NUL", with("X: a\x00")},
	{"tab", with("X: a\tb")},
	{"DEL", with("X: \x7f")},
	{"folded line", with("X: a\r\n b")},
	{"folded first line", strings.Replace(simple, "\r\nHost", "\r\n Host", 1)},
	{"space before the colon", with("X : a")},
	{"no colon", with("X")},
	{"no name of a field", with(": a")},
	{"name is no token", with("X(: a")},
	{"name beyond ASCII", with("X\xe9: a")},
	{"no host", strings.Replace(simple, "Host", "Hos", 1)},
	{"two hosts", with("Host: localhost:8080")},
	{"empty host", strings.Replace(simple, "localhost:8080", "", 1)},
	{"host with a slash", strings.Replace(simple, "localhost", "a/b", 1)},
	{"no length", strings.Replace(simple, "Content-Length", "Content-Lengt", 1)},
	{"two lengths", with("Content-Length: 2")},
	{"two different lengths", with("content-length: 3")},
	{"length with a sign", strings.Replace(simple, "Length: 2", "Length: +2", 1)},
	{"negative length", strings.Replace(simple, "Length: 2", "Length: -2", 1)},
	{"leading zero", strings.Replace(simple, "Length: 2", "Length: 02", 1)},
	{"list of lengths", strings.Replace(simple, "Length: 2", "Length: 2, 2", 1)},
	{"hexadecimal length", strings.Replace(simple, "Length: 2", "Length: 0x2", 1)},
	{"empty length", strings.Replace(simple, "Length: 2", "Length: ", 1)},
	{"length over the limit", strings.Replace(simple, "Length: 2", "Length: "+strconv.Itoa(bodyMost+1), 1)},
	{"length that overflows", strings.Replace(simple, "Length: 2", "Length: 18446744073709551618", 1)},
	{"Transfer-Encoding", with("Transfer-Encoding: chunked")},
	{"transfer-encoding", with("transfer-encoding: identity")},
	{"Trailer", with("Trailer: X")},
	{"TE", with("TE: trailers")},
	{"Expect", with("Expect: 100-continue")},
	{"Upgrade", with("Upgrade: h2c")},
	{"HTTP2-Settings", with("HTTP2-Settings: x")},
	{"Connection: close", with("Connection: close")},
	{"Connection: upgrade", with("Connection: keep-alive, upgrade")},
	{"Connection twice", with("Connection: keep-alive\r\nConnection: keep-alive")},
	{"Proxy-Connection", with("Proxy-Connection: close")},
	{"Pragma", with("Pragma: no-cache")},
	{"too many fields", with(strings.Repeat("X: y\r\n", FieldsMax) + "X: y")},
	{"too long", with("X: " + strings.Repeat("y", HeadBytesMax))},
	{"too long so far", simple[:len(simple)-2] + "X: " + strings.Repeat("y", HeadBytesMax)},
}

func TestPublish_Decode(t *testing.T) {
	for _, head := range taken {
		var h Publish
		n, v := h.Decode([]byte(head+"hi"), bodyMost)
		if v != Taken || n != len(head) || !strings.HasPrefix(head, "POST "+h.Path+" HTTP/1.1\r\n") {
			t.Errorf("%q: %v of %d bytes", head, v, n)
			continue
		}
		sameAsNetHTTP(t, []byte(head), &h)
	}
	for _, c := range others {
		var h Publish
		if _, v := h.Decode([]byte(c.head+"hi"), bodyMost); v != Other {
			t.Errorf("%s: %v for %q", c.name, v, c.head)
		}
	}
	var h Publish
	for n := range len(simple) {
		if _, v := h.Decode([]byte(simple[:n]), bodyMost); v != More {
			t.Errorf("%v for %q", v, simple[:n])
		}
	}
}

func TestPublish_NothingOfTheLastRequestIsLeft(t *testing.T) {
	var h Publish
	if _, v := h.Decode([]byte(with("Authorization: Bearer secret\r\nX: 1\r\nX: 2")), bodyMost); v != Taken || len(h.Header["X"]) != 2 {
		t.Fatalf("%v, %v", v, h.Header)
	}
	if _, v := h.Decode([]byte(with("X: 3")), bodyMost); v != Taken || len(h.Header) != 2 || len(h.Header["X"]) != 1 || h.Header["X"][0] != "3" {
		t.Fatalf("%v, %v", v, h.Header)
	}
}

func BenchmarkPublish_Decode(b *testing.B) {
	head := []byte(with("User-Agent: bench\r\nContent-Type: application/json\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t"))
	var h Publish
	b.ReportAllocs()
	for b.Loop() {
		if _, v := h.Decode(head, bodyMost); v != Taken {
			b.Fatal(v)
		}
	}
}
