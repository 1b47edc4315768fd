package http

import (
	"encoding/json"
	"log/slog"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leat/broker"
	"leat/broker/record"
)

func FuzzDecodeHeaderValue(f *testing.F) {
	for _, s := range []string{"plain", "Euro%20%E2%82%AC%20%F0%9F%98%80", `"say \"hi\""`, "%C0%A0", "100%", "%", `"`, `"\`, "%25", "a\x01b", "%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, why := decodeHeaderValue(s)
		if why != "" {
			return
		}
		if !utf8.ValidString(v) || len(v) > len(s) {
			t.Fatalf("%q gave %q", s, v)
		}
		// What was read can be written, and is then read as the same.
		if again, why := decodeHeaderValue(string(record.AppendHTTPValue(nil, v))); why != "" || again != v {
			t.Fatalf("%q gave %q, which written and read again is %q (%s)", s, v, again, why)
		}
	})
}

func FuzzBinaryEvent(f *testing.F) {
	f.Add("Ce-Specversion: 1.0\nCe-Id: 1\nCe-Source: /s\nCe-Type: t\nContent-Type: application/json\nLeat-Key: k")
	f.Add("Ce-Specversion: 1.0\nCe-Id: 1\nCe-Source: /s\nCe-Type: t\nCe-Partitionkey: a%20b\nCe-Leatheaders: a=b&c")
	f.Add("Ce-: x")
	for _, c := range captures(f) {
		if r := c.request(f); r.Header.Get("Ce-Id") != "" {
			var b strings.Builder
			for name, values := range r.Header {
				b.WriteString(name + ": " + values[0] + "\n")
			}
			f.Add(b.String())
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := nethttp.Header{}
		for line := range strings.SplitSeq(text, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h[nethttp.CanonicalHeaderKey(name)] = append(h[nethttp.CanonicalHeaderKey(name)], value)
			}
		}
		var e record.Event
		plain, err := binaryEvent(h, &e)
		if err == nil {
			err = takeKey(h, &e)
		}
		if err != nil {
			if p := asProblem(err); p.field == "" || p.fault.Text == "" {
				t.Fatalf("the refusal names no field: %v", err)
			}
			return
		}
		if plain && (e.ID != "" || len(e.Extensions) > 0) {
			t.Fatalf("plain, and yet %+v", e)
		}
		if e.Validate() == nil {
			r := record.EventToRecord(&e, 1)
			back := record.EventFromRecord(&r, record.Defaults{})
			if back.ID != e.ID || back.Source != e.Source || back.Type != e.Type {
				t.Fatalf("%+v came back as %+v", e, back)
			}
		}
	})
}

// FuzzReadAppend holds readAppend against the reader that came before it: what one takes the other takes, as the same, but for what
// only the new one is strict about.
func FuzzReadAppend(f *testing.F) {
	f.Add([]byte(`{"events":[{"stream":"orders","type":"t","partitionkey":"42","data":{}}],"if":[{"stream":"orders","key":"42","version":3},{"stream":"s","key":"7","version":"exists"}]}`))
	f.Add([]byte(`{"if":[{"stream":"s","key":"\u00e9\ud83d\ude00","version":"3"}],"events":[{"stream":"a","specversion":"1.0","id":"1","source":"/s","subject":"x","ext":true,"data_base64":"aGk="},{"stream":"b"}]}`))
	f.Add([]byte(` { "events" : [ { "stream" : "a" } ] , "if" : [ ] } `))
	f.Add([]byte(`{"events":[],"if":[{"version":"none"}]}`))
	f.Add([]byte(`{"if":[1,{"stream":1,"key":{},"version":[]}]}`))
	f.Add([]byte(`{"\u0065vents":[{"stre\u0061m":"a","data":[1,2,{"a":null}]}],"events":[]}`))
	f.Add([]byte(`{"events":[{"stream":"a"}],"if":[{"stream":"a","stream":"b","key":"k","version":-1}]}`))
	for _, c := range captures(f) {
		if r := c.request(f); r.URL.Path == "/v1/append" {
			f.Add([]byte(c.body(f)))
		}
	}
	g := newFuzzServer(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		x := &call{g: g, r: httptest.NewRequest("POST", "/v1/append", nil), began: time.UnixMilli(1)}
		x.body.bytes = p
		var got, want broker.EventsAppend
		ids, err := x.readAppend(p, &got)
		slow := readAppendSlowly(x, p, &want)
		if err != nil {
			problem := asProblem(err)
			if _, doc := problem.document("urn:x"); !json.Valid(doc) {
				t.Fatalf("the problem is not JSON: %s", doc)
			}
			if problem.pointer == "" && problem.field == "" && problem.fault.Subject == "" {
				t.Fatalf("%q: the refusal names no place: %v", p, err)
			}
			if slow == nil && !onlyNewIsStrict(problem, p) {
				t.Fatalf("%q: was taken before, and is refused: %v", p, err)
			}
			return
		}
		if slow != nil {
			t.Fatalf("%q was refused before, and is taken: %v", p, slow)
		}
		if len(ids) != len(got.Events) || !json.Valid(p) {
			t.Fatalf("%q: %d ids of %d events", p, len(ids), len(got.Events))
		}
		for _, a := range []*broker.EventsAppend{&got, &want} { // generated ids differ
			for i := range a.Events {
				if a.Events[i].ID == "" {
					a.Events[i].Record.Headers[1].Value = nil
				}
			}
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%q is read as something else (- before, + now):\n%s", p, d)
		}
	})
}

// onlyNewIsStrict is for what the reader that came before let pass: a member of a condition twice, and text that is no Unicode.
func onlyNewIsStrict(p *problem, body []byte) bool {
	for _, why := range []string{"twice", "UTF-8", "surrogate", "deeper"} {
		if strings.Contains(p.fault.Text, why) {
			return true
		}
	}
	return !utf8.Valid(body)
}

// newFuzzServer is a gateway that has never served, on a broker with nothing in it.
func newFuzzServer(f *testing.F) *server {
	g, err := New(newBroker(f, 1), Default(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	return &server{Gateway: g}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"partitions":3,"keys":"versioned","documents":{"a":"b"}}`))
	f.Add([]byte(`{"password":"x","grants":[{"action":"read","kind":"stream","pattern":"a*"}]}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		var stream streamConfigJSON
		if err := decodeJSON("stream", p, &stream); err == nil {
			if change, err := stream.change(); err == nil {
				var cfg broker.StreamConfig
				_ = change(&cfg)
			}
		}
		var user userJSON
		if err := decodeJSON("user", p, &user); err != nil {
			if _, doc := asProblem(err).document("urn:x"); !json.Valid(doc) {
				t.Fatalf("the problem is not JSON: %s", doc)
			}
		}
	})
}

func FuzzParseBasic(f *testing.F) {
	f.Add("cm9vdDpvcGVuLXNlc2FtZQ==")
	f.Add("Og==")
	f.Fuzz(func(t *testing.T, s string) {
		if user, _, err := parseBasic(s); err == nil && user == "" {
			t.Fatalf("%q has no user and was taken", s)
		}
	})
}
