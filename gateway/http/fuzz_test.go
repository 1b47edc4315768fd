package http

import (
	"encoding/json"
	nethttp "net/http"
	"strings"
	"testing"
	"unicode/utf8"

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
		if again, why := decodeHeaderValue(encodeHeaderValue(v)); why != "" || again != v {
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

func FuzzSplitAppend(f *testing.F) {
	f.Add([]byte(`{"events":[{"stream":"orders","type":"t","partitionkey":"42","data":{}}],"if":[{"stream":"orders","key":"42","version":3},{"stream":"s","key":"7","version":"exists"}]}`))
	f.Add([]byte(`{"events":[],"if":[{"version":"none"}]}`))
	f.Add([]byte(`{"if":[1,{"stream":1,"key":{},"version":[]}]}`))
	for _, c := range captures(f) {
		if r := c.request(f); r.URL.Path == "/v1/append" {
			f.Add([]byte(c.body(f)))
		}
	}
	g := &server{Gateway: &Gateway{config: Default(), broker: new(broker.Broker)}}
	f.Fuzz(func(t *testing.T, p []byte) {
		parts, err := splitAppend(p)
		if err == nil {
			x := &call{g: g}
			var conds []broker.Condition
			if conds, err = x.readConditions(parts.conditions); err == nil {
				for _, c := range conds {
					if c.Stream == "" || len(c.Key) == 0 || c.Expect.Kind == broker.ExpectAny {
						t.Fatalf("half a condition was taken: %+v", c)
					}
				}
			}
			if !json.Valid(p) {
				t.Fatalf("%q is not JSON and was taken", p)
			}
			_ = record.ParsePartialEventsJSON(bytesOf(parts.events.Raw), 100, func(_ int, e *record.Event) error { e.RemoveExtension("stream"); return e.Validate() })
		}
		if err != nil {
			if _, doc := asProblem(err).document("urn:x"); !json.Valid(doc) {
				t.Fatalf("the problem is not JSON: %s", doc)
			}
		}
	})
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
