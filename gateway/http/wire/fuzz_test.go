package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// bodyMost is the limit of the content length in tests.
const bodyMost = 1 << 20

const simple = "POST /v1/streams/orders/events HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 2\r\n\r\n"

func FuzzPublishDecode(f *testing.F) {
	for _, c := range taken {
		f.Add([]byte(c))
	}
	for _, c := range others {
		f.Add([]byte(c.head))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var h Publish
		n, v := h.Decode(p, bodyMost)
		switch v {
		case More:
			if len(p) >= HeadBytesMax || bytes.Contains(p, []byte("\r\n\r\n")) {
				t.Fatalf("%q waits for more", p)
			}
		case Taken:
			sameAsNetHTTP(t, p[:n], &h)
			// It was as good when less was there, it stays as good with more behind it, and it can be used again.
			for cut := range n {
				var part Publish
				if _, v := part.Decode(p[:cut], bodyMost); v != More {
					t.Fatalf("the first %d bytes of %q are %v", cut, p, v)
				}
			}
			again, v := h.Decode(append(bytes.Clone(p[:n]), "GET / HTTP/1.1\r\n\r\n"...), bodyMost)
			if v != Taken || again != n {
				t.Fatalf("%q is %v of %d bytes the second time", p, v, again)
			}
			sameAsNetHTTP(t, p[:n], &h)
		}
	})
}

// sameAsNetHTTP holds what was taken against what net/http reads, and against what its server asks for beyond that.
func sameAsNetHTTP(t *testing.T, head []byte, h *Publish) {
	t.Helper()
	// A body as long as was said and a second request behind it show where net/http sees the end.
	all := append(append(bytes.Clone(head), strings.Repeat("b", int(h.ContentLength))...), "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"...)
	br := bufio.NewReader(bytes.NewReader(all))
	r, err := http.ReadRequest(br)
	if err != nil {
		t.Fatalf("%q was taken; net/http: %v", head, err)
	}
	delete(r.Header, "Host") // as its server does
	if r.Method != "POST" || r.RequestURI != h.Path || r.URL.Path != h.Path || r.URL.RawPath != "" || r.URL.RawQuery != "" || r.Host != h.Host ||
		r.ContentLength != h.ContentLength || r.TransferEncoding != nil || r.Trailer != nil || r.Close || r.Proto != "HTTP/1.1" {
		t.Fatalf("%q was taken as %s, %s, %d; net/http has %+v", head, h.Path, h.Host, h.ContentLength, r)
	}
	if !reflect.DeepEqual(map[string][]string(r.Header), h.Header) {
		t.Fatalf("%q: fields %v; net/http has %v", head, h.Header, r.Header)
	}
	for name, values := range h.Header {
		for _, v := range append(values, name) {
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				t.Fatalf("a control character was taken in %q", head)
			}
		}
	}
	if strings.ContainsFunc(h.Host, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '/' || c == '@' }) {
		t.Fatalf("host %q was taken", h.Host)
	}
	var rest bytes.Buffer
	if n, err := rest.ReadFrom(r.Body); err != nil || n != h.ContentLength {
		t.Fatalf("%q: body of %d bytes, %v", head, n, err)
	}
	if next, err := http.ReadRequest(br); err != nil || next.RequestURI != "/next" {
		t.Fatalf("%q: the next request was not found where it is: %v", head, err)
	}
}
