package http

import (
	"strings"
	"testing"
)

func TestAppend_IsAtomicOverStreams(t *testing.T) {
	s := start(t, nil)
	a := s.want(201, "POST", "/v1/append", `{"events":[
		{"stream":"orders","type":"order.placed","partitionkey":"42","data":{"n":1}},
		{"stream":"stock","specversion":"1.0","id":"s1","source":"/shop","type":"stock.taken","subject":"7"},
		{"stream":"orders","data":"text"}]}`, "Content-Type", "application/json")
	if a.len("events") != 3 || a.str("events.0.ref") != "orders/0/0" || a.str("events.1.ref") != "stock/0/0" || a.str("events.2.ref") != "orders/0/1" || a.str("events.1.id") != "s1" {
		t.Fatalf("answer %s", a.body)
	}
	both := s.want(200, "GET", "/v1/events?streams=orders,stock", "")
	if both.len("events") != 3 || both.str("events.1.type") != "leat.record" && both.str("events.2.type") != "leat.record" {
		t.Errorf("both: %s", both.body)
	}
	if strings.Contains(string(both.body), `"stream":`) {
		t.Errorf("the member stream was stored: %s", both.body)
	}
	for i := range 3 {
		if both.str("events."+string(rune('0'+i))+".source") == "" {
			t.Errorf("event %d has no source", i)
		}
	}
	again := s.want(200, "POST", "/v1/append", `{"events":[{"stream":"stock","specversion":"1.0","id":"s1","source":"/shop","type":"stock.taken"}]}`)
	if again.str("events.0.duplicate") != "true" || again.str("events.0.ref") != "stock/0/0" {
		t.Errorf("again: %s", again.body)
	}
}

func TestAppend_AllFailingConditionsAreTold(t *testing.T) {
	s := start(t, nil)
	s.want(201, "POST", "/v1/append", `{"events":[{"stream":"a","partitionkey":"x"},{"stream":"b","partitionkey":"y"}],"if":[{"stream":"a","key":"x","version":"none"}]}`)
	s.want(201, "POST", "/v1/append", `{"events":[{"stream":"a","partitionkey":"x"}],"if":[{"stream":"a","key":"x","version":1},{"stream":"b","key":"y","version":"exists"}]}`)
	a := s.do("POST", "/v1/append", `{"events":[{"stream":"a","partitionkey":"x"},{"stream":"b","partitionkey":"y"}],
		"if":[{"stream":"a","key":"x","version":1},{"stream":"b","key":"y","version":"exists"},{"stream":"b","key":"z","version":"exists"},{"stream":"b","key":"y","version":"none"}]}`)
	checkProblem(t, a, 409)
	want := []map[string]string{
		{"if": "0", "stream": "a", "key": "x", "expected": "1", "current": "2", "pointer": "/if/0"},
		{"if": "2", "stream": "b", "key": "z", "expected": "exists", "current": "none", "pointer": "/if/2"},
		{"if": "3", "stream": "b", "key": "y", "expected": "none", "current": "1", "pointer": "/if/3"},
	}
	if a.len("failed") != len(want) {
		t.Fatalf("failed: %s", a.body)
	}
	for i, w := range want {
		for name, v := range w {
			if got := a.str("failed." + string(rune('0'+i)) + "." + name); got != v {
				t.Errorf("failed %d: %s is %q; want %q in %s", i, name, got, v, a.body)
			}
		}
	}
	if page := s.want(200, "GET", "/v1/events?streams=a,b", ""); page.len("events") != 3 {
		t.Errorf("a refused append left something: %s", page.body)
	}
}

func TestAppend_Refusals(t *testing.T) {
	s := start(t, func(c *Config) { c.EventsMax = 3 })
	for _, c := range []struct {
		name, body     string
		code           int
		field, pointer string
	}{
		{"not JSON", `{"events":[`, 400, "body", ""},
		{"not an object", `[]`, 400, "body", ""},
		{"empty", ``, 400, "body", ""},
		{"no events", `{}`, 400, "events", "/events"},
		{"empty events", `{"events":[]}`, 400, "events", "/events"},
		{"events is no array", `{"events":{}}`, 400, "events", "/events"},
		{"twice", `{"events":[{"stream":"a"}],"events":[]}`, 400, "events", "/events"},
		{"unknown member", `{"events":[{"stream":"a"}],"when":[]}`, 400, "when", "/when"},
		{"no stream", `{"events":[{"stream":"a"},{"type":"t"}]}`, 400, "stream", "/events/1/stream"},
		{"bad stream", `{"events":[{"stream":"a b"}]}`, 400, "", ""},
		{"event is no object", `{"events":[1]}`, 400, "", "/events/0"},
		{"bad attribute", `{"events":[{"stream":"a"},{"stream":"a","time":"noon"}]}`, 400, "time", "/events/1/time"},
		{"bad extension name", `{"events":[{"stream":"a","Not-A-Name":"x"}]}`, 400, "", ""},
		{"too many", `{"events":[{"stream":"a"},{"stream":"a"},{"stream":"a"},{"stream":"a"}]}`, 413, "", ""},
		{"condition without stream", `{"events":[{"stream":"a"}],"if":[{"key":"k","version":1}]}`, 400, "stream", "/if/0/stream"},
		{"condition without key", `{"events":[{"stream":"a"}],"if":[{"stream":"a","version":1}]}`, 400, "key", "/if/0/key"},
		{"condition without version", `{"events":[{"stream":"a"}],"if":[{"stream":"a","key":"k"}]}`, 400, "version", "/if/0/version"},
		{"condition with half a version", `{"events":[{"stream":"a"}],"if":[{"stream":"a","key":"k","version":1.5}]}`, 400, "version", "/if/0/version"},
		{"condition with null", `{"events":[{"stream":"a"}],"if":[{"stream":"a","key":"k","version":null}]}`, 400, "version", "/if/0/version"},
		{"condition with more", `{"events":[{"stream":"a"}],"if":[{"stream":"a","key":"k","version":1,"x":1}]}`, 400, "x", "/if/0/x"},
		{"condition is no object", `{"events":[{"stream":"a"}],"if":[7]}`, 400, "if", "/if/0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do("POST", "/v1/append", c.body, "Content-Type", "application/json")
			checkProblem(t, a, c.code)
			if c.field != "" && a.str("field") != c.field {
				t.Errorf("field %q; want %q in %s", a.str("field"), c.field, a.body)
			}
			if c.pointer != "" && a.str("pointer") != c.pointer {
				t.Errorf("pointer %q; want %q in %s", a.str("pointer"), c.pointer, a.body)
			}
		})
	}
	checkProblem(t, s.do("POST", "/v1/append", "x", "Content-Type", "text/plain"), 415)
	checkProblem(t, s.do("POST", "/v1/append?x=1", "{}"), 400)
	if list := s.want(200, "GET", "/v1/streams", ""); list.len("streams") != 0 {
		t.Errorf("refused appends made streams: %s", list.body)
	}
}
