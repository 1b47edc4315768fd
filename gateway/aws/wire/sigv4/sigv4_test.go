package sigv4

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/gateway/aws/wire"
)

// The keys of Amazon's published examples.
const (
	exampleKey    = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	exampleScope  = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
)

var exampleTime = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// example is a request of the published suite.
func example(method, path, query, headers, signature string, more map[string]string) *Request {
	r := &Request{Method: method, Path: path, Query: query, Host: "example.amazonaws.com", Header: map[string][]string{}}
	r.Header["X-Amz-Date"] = []string{"20150830T123600Z"}
	for k, v := range more {
		r.Header[k] = []string{v}
	}
	r.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + exampleScope + ", SignedHeaders=" + headers + ", Signature=" + signature}
	return r
}

// verify parses and verifies.
func verify(r *Request, secret string, now time.Time, rules Rules) *wire.Error {
	s, err := Parse(r)
	if err != nil {
		return err
	}
	var k Keys
	return k.Verify(&s, r, secret, now, rules)
}

func TestVerify_PublishedVectors(t *testing.T) {
	const date = "host;x-amz-date"
	vectors := map[string]*Request{
		"get-vanilla":                      example("GET", "/", "", date, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", nil),
		"get-vanilla-query-order-key-case": example("GET", "/", "Param2=value2&Param1=value1", date, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", nil),
		"post-vanilla":                     example("POST", "/", "", date, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", nil),
	}
	form := example("POST", "/", "", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	form.Body = []byte("Param1=value1")
	vectors["post-x-www-form-urlencoded"] = form
	presigned := &Request{
		Method: "GET", Path: "/", Host: "example.amazonaws.com",
		Query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600&X-Amz-Signature=e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d",
	}
	vectors["get-vanilla, in the query"] = presigned
	iam := example("GET", "/", "Action=ListUsers&Version=2010-05-08", "content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7", map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
	iam.Host = "iam.amazonaws.com"
	iam.Header["Authorization"][0] = strings.Replace(iam.Header["Authorization"][0], "/service/", "/iam/", 1)
	vectors["of the reference"] = iam
	for _, name := range slices.Sorted(maps.Keys(vectors)) {
		r := vectors[name]
		if err := verify(r, exampleSecret, exampleTime, Rules{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := verify(r, exampleSecret+"x", exampleTime, Rules{}); err == nil || err.Code != wire.InvalidSignature {
			t.Errorf("%s, another secret: %v", name, err)
		}
		r.Method = "PUT"
		if err := verify(r, exampleSecret, exampleTime, Rules{}); err == nil {
			t.Errorf("%s, another method: passes", name)
		}
	}
}

// Paths and queries that look alike are signed alike.
func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", "//": "/", "/a/../b": "/b", "/..": "/", "/a/./b/": "/a/b/", "//a//": "/a/", "/a%20b": "/a%2520b", "/é": "/%C3%A9", "/a b~": "/a%20b~", "/a/..": "/",
		"/000000000000/orders.fifo": "/000000000000/orders.fifo",
	} {
		if got := string(appendPath(nil, in)); got != want {
			t.Errorf("path %q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"": "", "a": "a=", "b=2&a=1": "a=1&b=2", "a=2&a=1": "a=1&a=2", "a=b+c": "a=b%20c", "a=%7e%2f": "a=~%2F", "a=%zz": "a=%25zz", "X-Amz-Signature=1&B=2": "B=2", "&&a=1&": "a=1",
		"a=1=2": "a=1%3D2",
	} {
		if got := string(appendQuery(nil, in, true)); got != want {
			t.Errorf("query %q: %q, want %q", in, got, want)
		}
	}
	if got := string(appendSpaced(nil, "  a   b \t c ")); got != "a b c" {
		t.Errorf("header: %q", got)
	}
}

func TestVerify_Clock(t *testing.T) {
	const signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	r := example("GET", "/", "", "host;x-amz-date", signature, nil)
	for _, c := range []struct {
		by   time.Duration
		want string
	}{
		{SkewMax, ""},
		{-SkewMax, ""},
		{SkewMax + time.Second, "SignatureDoesNotMatch: Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"},
		{-SkewMax - time.Second, "SignatureDoesNotMatch: Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"},
	} {
		got := ""
		if err := verify(r, exampleSecret, exampleTime.Add(c.by), Rules{}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %s", c.by, got)
		}
	}
	presigned := &Request{
		Method: "GET", Path: "/", Host: "example.amazonaws.com",
		Query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600&X-Amz-Signature=e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d",
	}
	if err := verify(presigned, exampleSecret, exampleTime.Add(time.Hour), Rules{}); err != nil {
		t.Errorf("a URL on its last second: %v", err)
	}
	if err := verify(presigned, exampleSecret, exampleTime.Add(time.Hour+time.Second), Rules{}); err == nil || err.Code != wire.RequestExpired {
		t.Errorf("a URL after that: %v", err)
	}
}

func TestParse_Refuses(t *testing.T) {
	sum := strings.Repeat("0", 64)
	header := func(v string) *Request {
		return &Request{Method: "POST", Path: "/", Host: "h", Header: map[string][]string{"Authorization": {v}, "X-Amz-Date": {"20150830T123600Z"}}}
	}
	undated := header("AWS4-HMAC-SHA256 Credential=" + exampleScope + ", SignedHeaders=host, Signature=" + sum)
	delete(undated.Header, "X-Amz-Date")
	for name, c := range map[string]struct {
		r    *Request
		code wire.Code
	}{
		"nothing":                  {&Request{}, wire.MissingAuthentication},
		"another scheme":           {header("Basic abc"), wire.IncompleteSignature},
		"another algorithm":        {header("AWS4-ECDSA-P256-SHA256 Credential=x"), wire.IncompleteSignature},
		"no credential":            {header("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=" + sum), wire.IncompleteSignature},
		"no headers":               {header("AWS4-HMAC-SHA256 Credential=" + exampleScope + ", Signature=" + sum), wire.IncompleteSignature},
		"no signature":             {header("AWS4-HMAC-SHA256 Credential=" + exampleScope + ", SignedHeaders=host"), wire.IncompleteSignature},
		"a short scope":            {header("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/aws4_request, SignedHeaders=host, Signature=" + sum), wire.IncompleteSignature},
		"another end":              {header("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/sqs/aws5_request, SignedHeaders=host, Signature=" + sum), wire.IncompleteSignature},
		"another day":              {header("AWS4-HMAC-SHA256 Credential=AKID/20150831/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=" + sum), wire.InvalidSignature},
		"no hex":                   {header("AWS4-HMAC-SHA256 Credential=" + exampleScope + ", SignedHeaders=host, Signature=xyz"), wire.InvalidSignature},
		"no date":                  {undated, wire.IncompleteSignature},
		"half a query":             {&Request{Query: "X-Amz-Algorithm=AWS4-HMAC-SHA256"}, wire.IncompleteSignature},
		"another algorithm, there": {&Request{Query: "X-Amz-Algorithm=X"}, wire.IncompleteSignature},
		"good for too long":        {&Request{Query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + exampleScope + "&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Signature=" + sum + "&X-Amz-Expires=604801"}, wire.IncompleteSignature},
	} {
		if _, err := Parse(c.r); err == nil || err.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
		if Signed(c.r) != (name != "nothing") {
			t.Errorf("%s: Signed is wrong", name)
		}
	}
}

// What a signature leaves out it must not leave out.
func TestVerify_ThatTheSignatureCovers(t *testing.T) {
	for name, more := range map[string]map[string]string{
		"host":                 nil,
		"X-Amz-Target":         {"X-Amz-Target": "AmazonSQS.PurgeQueue"},
		"X-Amz-Security-Token": {"X-Amz-Security-Token": "t"},
		"X-Amz-Content-Sha256": {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"},
	} {
		headers := "host;x-amz-date"
		if name == "host" {
			headers = "x-amz-date"
		}
		r := example("GET", "/", "", headers, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", more)
		if err := verify(r, exampleSecret, exampleTime, Rules{UnsignedPayload: true}); err == nil || !strings.Contains(err.Message, "must be a 'SignedHeader'") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// captured reads the requests of real clients, which were signed with AKIDEXAMPLE and "secret".
func captured(t testing.TB) map[string]*Request {
	t.Helper()
	files, err := filepath.Glob("../../testdata/captures/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	out := map[string]*Request{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "# s") {
				name = filepath.Base(file) + line
			}
			digits, ok := strings.CutPrefix(line, "> ")
			if !ok {
				continue
			}
			raw, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = &Request{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Host: r.Host, Header: r.Header, Body: body}
		}
	}
	return out
}

// Real clients' signatures are good, and no longer when something that was signed is changed.
func TestVerify_Captures(t *testing.T) {
	all := captured(t)
	if len(all) < 80 {
		t.Errorf("%d captures", len(all))
	}
	var keys Keys
	for name, r := range all {
		s, err := Parse(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.AccessKey != exampleKey || s.Region != "us-east-1" || !strings.Contains(name, "# "+s.Service+" ") {
			t.Errorf("%s: %+v", name, s)
		}
		check := func() *wire.Error { return keys.Verify(&s, r, "secret", s.Time, Rules{}) }
		if err := check(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for what, change := range map[string]func() (back func()){
			"body":  func() func() { b := r.Body; r.Body = append(slices.Clone(b), 'x'); return func() { r.Body = b } },
			"path":  func() func() { p := r.Path; r.Path += "x"; return func() { r.Path = p } },
			"query": func() func() { q := r.Query; r.Query += "&x=1"; return func() { r.Query = q } },
			"host":  func() func() { h := r.Host; r.Host = "elsewhere"; return func() { r.Host = h } },
			"header": func() func() {
				h := r.Header["Content-Type"]
				r.Header["Content-Type"] = []string{"text/plain"}
				return func() { r.Header["Content-Type"] = h }
			},
		} {
			back := change()
			if err := check(); err == nil || err.Message != mismatch {
				t.Errorf("%s with another %s: %v", name, what, err)
			}
			back()
		}
		if err := keys.Verify(&s, r, "secret2", s.Time, Rules{}); err == nil {
			t.Errorf("%s passes with another secret", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range captured(f) {
		f.Add(r.Header["Authorization"][0], r.header("X-Amz-Date"), r.Path, r.Query)
	}
	f.Add("", "", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20150830/r/s/aws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Signature="+strings.Repeat("0", 64))
	var keys Keys
	f.Fuzz(func(t *testing.T, authorization, date, path, query string) {
		r := &Request{Method: "POST", Path: path, Query: query, Host: "h", Header: map[string][]string{}}
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		if date != "" {
			r.Header["X-Amz-Date"] = []string{date}
		}
		s, err := Parse(r)
		if err != nil {
			return
		}
		if s.AccessKey == "" || s.Time.Format(dateFormat) != s.date || len(s.sum) != 32 || len(s.headers) > SignedHeadersMax {
			t.Fatalf("%+v", s)
		}
		if keys.Verify(&s, r, "nobody knows this", s.Time, Rules{}) == nil {
			t.Fatalf("%q passes", authorization+query)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	var r *Request
	for name, c := range captured(b) {
		if name == "aws-sdk-go-v2.txt# sqs SendMessage" {
			r = c
		}
	}
	var keys Keys
	b.ReportAllocs()
	for b.Loop() {
		s, err := Parse(r)
		if err != nil {
			b.Fatal(err)
		}
		if err := keys.Verify(&s, r, "secret", s.Time, Rules{}); err != nil {
			b.Fatal(err)
		}
	}
}
