package schemaregistry

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/record"
)

// FuzzRequest: whatever is asked, the answer is none of ours to be sorry for (5xx), and is JSON, or a schema as it was registered. One registry takes all of
// it, as it does of its users.
func FuzzRequest(f *testing.F) {
	g := New(newBroker(f, false), Default())
	for _, q := range [][3]string{
		{"POST", "subjects/s/versions", `{"schemaType":"JSON","schema":"{\"type\":\"object\",\"required\":[\"a\"]}"}`},
		{"POST", "subjects/p/versions", `{"schemaType":"PROTOBUF","schema":"syntax=\"proto3\"; message A { int32 a = 1; }"}`},
		{"POST", "subjects/v/versions", `{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"}]}"}`},
		{"PUT", "contracts/c", `{"stream":"x","subject":"s","enforce":"quarantine"}`},
	} {
		if status, text := fuzzAsk(g, q[0], q[1], q[2]); status != http.StatusOK {
			f.Fatal(q, status, text)
		}
	}
	_, err := g.b.AppendEvents(context.Background(), &broker.Caller{}, broker.EventsAppend{AutoCreate: true, Events: []broker.EventEntry{
		{Stream: "x", Partition: record.NoPartition, Record: record.Record{Value: []byte(`{"b":1}`)}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range routes {
		path := strings.NewReplacer("{subject}", "s", "{version}", "1", "{id}", "1", "{guid}", "x", "{name}", "c", "{offset}", "0", "{context}", ".x").Replace(r.path)
		for _, body := range []string{
			`{}`, `{"refs":["leat.quarantine/0/0"],"value":{"text":"{\"a\":1}"}}`, `{"refs":["leat.quarantine/0/0"],"value":{"base64":"eA=="}}`,
			`{"schemaType":"JSON","schema":"{}","references":[{"name":"n","subject":"s","version":-1}],"metadata":{"tags":{"a":["b"]},"properties":{"k":"v"}},"ruleSet":{"domainRules":[]}}`,
			`{"stream":"x","subject":"s","enforce":"reject","owner":["alice"],"framed":true}`, `{"compatibility":"FULL","normalize":true,"mode":"IMPORT"}`,
		} {
			f.Add(r.method, path+"?normalize=true&deleted=1&limit=3&from=0&verbose", body)
		}
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if _, err := url.ParseRequestURI("/" + path); err != nil || !strings.Contains("GET POST PUT DELETE", method) || method == "" || strings.ContainsAny(path+method, " \r\n") {
			return // no request that a server would hand on
		}
		status, text := fuzzAsk(g, method, path, body)
		if status >= http.StatusInternalServerError {
			t.Errorf("%s /%s %s: %d %s", method, path, body, status, text)
		}
		if text != "" && !json.Valid([]byte(text)) && !strings.Contains(path, "schema") {
			t.Errorf("%s /%s %s: %d, and no JSON: %s", method, path, body, status, text)
		}
	})
}

func fuzzAsk(g *Gateway, method, path, body string) (int, string) {
	r := httptest.NewRequest(method, "/"+path, strings.NewReader(body))
	r.Host = "localhost"
	w := httptest.NewRecorder()
	x := &call{g: g, w: w, r: r, listener: "fuzz"}
	_, _ = g.handle(x)
	return w.Code, w.Body.String()
}
