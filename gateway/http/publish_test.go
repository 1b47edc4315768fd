package http

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestPublish_Modes(t *testing.T) {
	s := start(t, nil)
	const path = "/v1/streams/orders/events"
	for i, c := range []struct {
		name, body string
		header     []string
		want       map[string]string // members of the event as it is read
	}{
		{
			"structured", `{"specversion":"1.0","id":"a","source":"/shop","type":"order.placed","subject":"42","time":"2026-11-21T10:00:00.123456Z","ext1":true,"data":{"n":1}}`,
			[]string{"Content-Type", "application/cloudevents+json; charset=UTF-8"},
			map[string]string{"id": "a", "source": "/shop", "type": "order.placed", "subject": "42", "partitionkey": "42", "time": "2026-11-21T10:00:00.123456Z", "ext1": "true", "data.n": "1"},
		},
		{
			"binary", `{"n":2}`,
			[]string{"Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "b", "ce-source", "/shop", "ce-type", "order.paid", "ce-partitionkey", "Euro%20%E2%82%AC", "ce-subject", `"say \"hi\""`, "ce-ext", "100% of %zz"},
			map[string]string{"id": "b", "type": "order.paid", "partitionkey": "Euro €", "subject": `say "hi"`, "ext": "100% of %zz", "data.n": "2", "datacontenttype": "application/json"},
		},
		{
			"binary with a URI as it is", "", []string{"ce-specversion", "1.0", "ce-id", "u", "ce-source", "/a%20b", "ce-type", "t", "ce-dataschema", "http://x/%2520"},
			map[string]string{"source": "/a%20b", "dataschema": "http://x/%20"},
		},
		{
			"binary without data", "", []string{"ce-specversion", "1.0", "ce-id", "c", "ce-source", "/shop", "ce-type", "t"},
			map[string]string{"id": "c", "data": "", "partitionkey": ""},
		},
		{
			"plain text", "hello", []string{"Content-Type", "text/plain", "Leat-Key", "k%201"},
			map[string]string{"source": "/streams/orders", "type": "leat.record", "data": "hello", "datacontenttype": "text/plain", "partitionkey": "k 1", "subject": "k 1"},
		},
		{
			"plain JSON", `{"n":3}`, []string{"Content-Type", "application/json"},
			map[string]string{"data.n": "3"},
		},
		{
			"plain bytes", "\x00\xff", []string{"Content-Type", "application/octet-stream"},
			map[string]string{"data_base64": "AP8="},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.want(201, "POST", path, c.body, c.header...)
			ref := fmt.Sprintf("orders/0/%d", i)
			if a.str("ref") != ref || a.str("duplicate") != "false" || a.str("position") == "" || a.str("id") == "" {
				t.Errorf("answer %s", a.body)
			}
			e := s.want(200, "GET", "/v1/events/"+ref, "")
			if got := e.header.Get("Content-Type"); !strings.HasPrefix(got, mediaEvent) {
				t.Errorf("Content-Type %q", got)
			}
			if e.str("id") != a.str("id") || e.str("specversion") != "1.0" || e.header.Get("Leat-Ref") != ref || e.header.Get("Leat-Position") != a.str("position") {
				t.Errorf("event %s, header %v", e.body, e.header)
			}
			for name, want := range c.want {
				if got := e.str(name); got != want {
					t.Errorf("%s is %q; want %q in %s", name, got, want, e.body)
				}
			}
		})
	}
}

func TestPublish_Duplicates(t *testing.T) {
	s := start(t, nil)
	const path = "/v1/streams/orders/events"
	ct := []string{"Content-Type", mediaEvent}
	first := s.want(201, "POST", path, event("1", "t", "", "1"), ct...)
	again := s.want(200, "POST", path, event("1", "t", "", "2"), ct...)
	if again.str("ref") != first.str("ref") || again.str("position") != first.str("position") || again.str("duplicate") != "true" {
		t.Errorf("first %s, again %s", first.body, again.body)
	}
	s.want(201, "POST", path, strings.Replace(event("1", "t", "", "3"), "/shop", "/other", 1), ct...)
	s.want(201, "POST", path, "x")
	s.want(201, "POST", path, "x") // without an id of its own nothing is a duplicate
}

func TestPublish_Batch(t *testing.T) {
	s := start(t, nil)
	const path = "/v1/streams/orders/events"
	ct := []string{"Content-Type", mediaBatch}
	a := s.want(201, "POST", path, "["+event("1", "t", "a", "1")+","+event("2", "t", "b", "2")+"]", ct...)
	if a.len("") != 0 || a.str("0.ref") != "orders/0/0" || a.str("1.ref") != "orders/0/1" || a.str("1.id") != "2" {
		t.Errorf("answer %s", a.body)
	}
	a = s.want(201, "POST", path, "["+event("2", "t", "b", "2")+","+event("3", "t", "b", "2")+"]", ct...)
	if a.str("0.duplicate") != "true" || a.str("0.ref") != "orders/0/1" || a.str("1.duplicate") != "false" || a.str("1.ref") != "orders/0/2" {
		t.Errorf("half new: %s", a.body)
	}
	s.want(200, "POST", path, "["+event("2", "t", "b", "2")+"]", ct...)
	if a = s.want(200, "POST", path, "[]", ct...); string(a.body) != "[]\n" {
		t.Errorf("empty batch: %s", a.body)
	}
	s.want(400, "POST", path, "["+event("9", "t", "b", "2")+`,{"specversion":"1.0","id":"10"}]`, ct...)
	if page := s.want(200, "GET", path, ""); page.len("events") != 3 {
		t.Errorf("a broken batch left something: %s", page.body)
	}
}

func TestPublish_ExpectedVersion(t *testing.T) {
	s := start(t, nil)
	const path = "/v1/streams/accounts/events"
	pub := func(code int, expect, key string) answer {
		t.Helper()
		return s.want(code, "POST", path, "x", "Leat-Key", key, "Leat-Expected-Version", expect)
	}
	if a := pub(201, "none", "a"); a.str("version") != "1" {
		t.Errorf("first: %s", a.body)
	}
	if a := pub(201, "1", "a"); a.str("version") != "2" {
		t.Errorf("second: %s", a.body)
	}
	pub(201, "exists", "a")
	a := pub(409, "1", "a")
	if a.str("failed.0.current") != "3" || a.str("failed.0.expected") != "1" || a.str("failed.0.key") != "a" || a.str("failed.0.stream") != "accounts" {
		t.Errorf("conflict: %s", a.body)
	}
	if a := pub(409, "exists", "b"); a.str("failed.0.current") != "none" {
		t.Errorf("conflict: %s", a.body)
	}
	pub(409, "none", "a")
	batch := "[" + event("1", "t", "a", "1") + "," + event("2", "t", "a", "2") + "]"
	b := s.want(201, "POST", path, batch, "Content-Type", mediaBatch, "Leat-Expected-Version", "3")
	if b.str("1.version") != "5" {
		t.Errorf("batch: %s", b.body)
	}
	page := s.want(200, "GET", path+"?key=a", "")
	if page.len("events") != 5 || page.str("stored.4.version") != "5" || page.str("stored.4.ref") != "accounts/0/4" {
		t.Errorf("history: %s", page.body)
	}
}

func TestPublish_Refusals(t *testing.T) {
	s := start(t, func(c *Config) { c.BodyBytesMax = 4096; c.EventsMax = 3 })
	const path = "/v1/streams/orders/events"
	ce := func(more ...string) []string {
		return append([]string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}, more...)
	}
	structured, batch := []string{"Content-Type", mediaEvent}, []string{"Content-Type", mediaBatch}
	for _, c := range []struct {
		name, body     string
		header         []string
		code           int
		field, pointer string
	}{
		{"no specversion", "", []string{"ce-id", "1"}, 400, "ce-specversion", ""},
		{"other specversion", "", []string{"ce-specversion", "0.3", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}, 400, "ce-specversion", ""},
		{"no id", "", []string{"ce-specversion", "1.0", "ce-source", "/s", "ce-type", "t"}, 400, "ce-id", ""},
		{"no source", "", []string{"ce-specversion", "1.0", "ce-id", "1", "ce-type", "t"}, 400, "ce-source", ""},
		{"no type", "", []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s"}, 400, "ce-type", ""},
		{"bad time", "", ce("ce-time", "yesterday"), 400, "ce-time", ""},
		{"bad name", "", ce("ce-foo-bar", "x"), 400, "ce-foo-bar", ""},
		{"twice", "", ce("ce-subject", "x", "ce-subject", "y"), 400, "ce-subject", ""},
		{"half a quote", "", ce("ce-subject", `"a\"`), 400, "ce-subject", ""},
		{"not UTF-8", "", ce("ce-subject", "%C0%A0"), 400, "ce-subject", ""},
		{"control character", "", ce("ce-subject", "a%0Ab"), 400, "ce-subject", ""},
		{"datacontenttype as header", "", ce("ce-datacontenttype", "text/plain"), 400, "ce-datacontenttype", ""},
		{"two keys", "", ce("ce-partitionkey", "a", "Leat-Key", "b"), 400, "Leat-Key", ""},
		{"structured: not JSON", "{", structured, 400, "", ""},
		{"structured: empty", "", structured, 400, "", ""},
		{"structured: no type", `{"specversion":"1.0","id":"1","source":"/s"}`, structured, 400, "type", "/type"},
		{"structured: id is a number", `{"specversion":"1.0","id":1,"source":"/s","type":"t"}`, structured, 400, "id", "/id"},
		{"structured: bad time", `{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"x"}`, structured, 400, "time", "/time"},
		{"batch: second", "[" + event("1", "t", "", "1") + `,{"specversion":"1.0","id":"2","source":"/s"}]`, batch, 400, "type", "/1/type"},
		{"batch: not an array", event("1", "t", "", "1"), batch, 400, "", ""},
		{"batch: too many", "[" + strings.TrimSuffix(strings.Repeat(event("1", "t", "", "1")+",", 4), ",") + "]", batch, 413, "", ""},
		{"batch: Leat-Key", "[" + event("1", "t", "", "1") + "]", append(batch, "Leat-Key", "x"), 400, "Leat-Key", ""},
		{"too large", strings.Repeat("x", 5000), nil, 413, "", ""},
		{"compressed", "x", []string{"Content-Encoding", "gzip"}, 415, "Content-Encoding", ""},
		{"other event format", "x", []string{"Content-Type", "application/cloudevents+avro"}, 415, "Content-Type", ""},
		{"other charset", event("1", "t", "", "1"), []string{"Content-Type", mediaEvent + "; charset=latin1"}, 415, "Content-Type", ""},
		{"not a media type", "x", []string{"Content-Type", "nonsense"}, 400, "Content-Type", ""},
		{"expected version", "x", []string{"Leat-Expected-Version", "-1", "Leat-Key", "k"}, 400, "Leat-Expected-Version", ""},
		{"expected version without key", "x", []string{"Leat-Expected-Version", "1"}, 400, "Leat-Expected-Version", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do("POST", path, c.body, c.header...)
			checkProblem(t, a, c.code)
			if c.field != "" && a.str("field") != c.field {
				t.Errorf("field %q; want %q in %s", a.str("field"), c.field, a.body)
			}
			if c.pointer != "" && a.str("pointer") != c.pointer {
				t.Errorf("pointer %q; want %q in %s", a.str("pointer"), c.pointer, a.body)
			}
			if c.code == 415 && a.header.Get("Accept-Post") == "" {
				t.Errorf("415 without Accept-Post")
			}
		})
	}
	if a := s.do("GET", path, ""); a.code != 404 {
		t.Errorf("a refused publish made the stream, or left something: %d %s", a.code, a.body)
	}
	s.want(400, "POST", "/v1/streams/a%20b/events", "x")
}

// checkProblem demands a problem document in full.
func checkProblem(t *testing.T, a answer, code int) {
	t.Helper()
	if a.code != code {
		t.Fatalf("status %d; want %d: %s", a.code, code, a.body)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	if a.str("status") != fmt.Sprint(code) {
		t.Errorf("status in the document is %q", a.str("status"))
	}
	for _, m := range []string{"type", "title", "detail", "instance", "kind"} {
		if a.str(m) == "" {
			t.Errorf("no %s in %s", m, a.body)
		}
	}
	if a.str("type") != "urn:leat:problem:"+a.str("kind") {
		t.Errorf("type %q, kind %q", a.str("type"), a.str("kind"))
	}
}

func TestPublish_QuotaOfAUser(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/users/root", `{"password":"open-sesame","grants":[{"action":"admin","kind":"*","pattern":"*"}]}`)
	s.auth = "Basic cm9vdDpvcGVuLXNlc2FtZQ=="
	s.want(200, "PUT", "/v1/users/root", `{"grants":[{"action":"admin","kind":"*","pattern":"*"}],"quota":{"events_per_second":3}}`)
	if a := s.want(200, "GET", "/v1/users/root", ""); a.str("quota.events_per_second") != "3" {
		t.Errorf("the quota is not shown: %s", a.body)
	}
	s.want(201, "POST", "/v1/append", `{"events":[`+strings.TrimSuffix(strings.Repeat(`{"stream":"a"},`, 8), ",")+`]}`)
	for _, c := range [][2]string{{"/v1/streams/a/events", "x"}, {"/v1/append", `{"events":[{"stream":"a"}]}`}} {
		a := s.do("POST", c[0], c[1])
		checkProblem(t, a, 429)
		if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 || after > 2 || !strings.Contains(a.str("detail"), "3 events a second") {
			t.Errorf("Retry-After %q: %s", a.header.Get("Retry-After"), a.body)
		}
	}
	if page := s.want(200, "GET", "/v1/streams/a/events", ""); page.len("events") != 8 {
		t.Errorf("a refused request left something: %s", page.body)
	}
	for body, pointer := range map[string]string{
		`{"quota":{"events_per_second":-1}}`: "/quota/events_per_second", `{"quota":{"bytes_per_second":2251799813685248}}`: "/quota/bytes_per_second", `{"quota":{"eps":1}}`: "/eps",
	} {
		a := s.do("PUT", "/v1/users/root", body)
		checkProblem(t, a, 400)
		if a.str("pointer") != pointer {
			t.Errorf("%s: pointer %q in %s", body, a.str("pointer"), a.body)
		}
	}
	s.want(200, "PUT", "/v1/users/root", `{"grants":[{"action":"admin","kind":"*","pattern":"*"}]}`) // left out: the node's default, which is none
	s.want(201, "POST", "/v1/streams/a/events", "x")
}
