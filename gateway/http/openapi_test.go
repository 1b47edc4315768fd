package http

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The document and the table of routes say the same, and every reference in it leads somewhere.
func TestOpenAPI_MatchesTheRoutes(t *testing.T) {
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Parameters  []map[string]any
			Responses   map[string]any
			Security    []map[string]any
		}
		Components map[string]map[string]any
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("version %q", doc.OpenAPI)
	}
	routes := makeRoutes()
	if len(doc.Paths) != len(routes) {
		t.Errorf("%d paths, %d routes", len(doc.Paths), len(routes))
	}
	ids := map[string]bool{}
	for _, rt := range routes {
		var methods []string
		for _, m := range rt.methods {
			methods = append(methods, strings.ToLower(m.name))
			op := doc.Paths[rt.pattern][strings.ToLower(m.name)]
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operationId %q is missing or there twice", m.name, rt.pattern, op.OperationID)
			}
			ids[op.OperationID] = true
			if m.open != (len(op.Security) == 1 && len(op.Security[0]) == 0) {
				t.Errorf("%s %s: security does not say whether a login is needed", m.name, rt.pattern)
			}
			if params := strings.Count(rt.pattern, "{"); params != countPath(doc.Components, op.Parameters) {
				t.Errorf("%s %s: %d parameters in the path, %d described", m.name, rt.pattern, params, countPath(doc.Components, op.Parameters))
			}
			if _, ok := op.Responses["401"]; !ok && !m.open {
				t.Errorf("%s %s: 401 is not described", m.name, rt.pattern)
			}
		}
		if got := slices.Sorted(maps.Keys(doc.Paths[rt.pattern])); !slices.Equal(got, slices.Sorted(slices.Values(methods))) {
			t.Errorf("%s: document has %v, table has %v", rt.pattern, got, methods)
		}
	}
	var all any
	_ = json.Unmarshal(openAPI, &all)
	used := map[string]bool{}
	eachRef(all, func(ref string) {
		parts := strings.Split(strings.TrimPrefix(ref, "#/components/"), "/")
		if len(parts) != 2 || doc.Components[parts[0]][parts[1]] == nil {
			t.Errorf("%s leads nowhere", ref)
		}
		used[ref] = true
	})
	for kind, things := range doc.Components {
		for name := range things {
			if kind != "securitySchemes" && !used["#/components/"+kind+"/"+name] {
				t.Errorf("%s/%s is used nowhere", kind, name)
			}
		}
	}
}

func countPath(components map[string]map[string]any, params []map[string]any) (n int) {
	for _, p := range params {
		if ref, ok := p["$ref"].(string); ok {
			p, _ = components["parameters"][strings.TrimPrefix(ref, "#/components/parameters/")].(map[string]any)
		}
		if p["in"] == "path" {
			n++
		}
	}
	return n
}

func eachRef(v any, f func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && k == "$ref" {
				f(s)
			}
			eachRef(x, f)
		}
	case []any:
		for _, x := range v {
			eachRef(x, f)
		}
	}
}

// What the gateway answers has the members that the document requires.
func TestOpenAPI_AnswersHaveWhatIsRequired(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]any
			}
		}
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil)
	check := func(schema string, a answer, at string) {
		t.Helper()
		m, ok := a.get(at).(map[string]any)
		if at == "" {
			ok = json.Unmarshal(a.body, &m) == nil
		}
		if !ok {
			t.Errorf("%s: no object at %q in %s", schema, at, a.body)
			return
		}
		sc := doc.Components.Schemas[schema]
		for _, name := range sc.Required {
			if _, ok := m[name]; !ok {
				t.Errorf("%s: %q is required and not in %s", schema, name, a.body)
			}
		}
		for name := range m {
			if _, ok := sc.Properties[name]; !ok {
				t.Errorf("%s: %q is not described", schema, name)
			}
		}
	}
	const path = "/v1/streams/orders/events"
	check("Appended", s.want(201, "POST", path, "x", "Leat-Key", "k", "Leat-Expected-Version", "none"), "")
	page := s.want(200, "GET", path+"?key=k", "")
	check("Page", page, "")
	check("CloudEvent", page, "events.0")
	check("Stored", page, "stored.0")
	check("Page", s.want(200, "GET", path+"?where=data.x", ""), "")
	check("Stream", s.want(200, "GET", "/v1/streams/orders", ""), "")
	check("StreamConfig", s.want(200, "GET", "/v1/streams/orders", ""), "config")
	check("StreamSummary", s.want(200, "GET", "/v1/streams", ""), "streams.0")
	check("Truncated", s.want(200, "POST", "/v1/streams/orders/truncate", `{"before":{"latest":true}}`), "")
	s.want(201, "PUT", "/v1/streams/gone", `{"retention_ms":1000,"retention_bytes":1,"compaction_lag_ms":1,"compaction_max_lag_ms":2,"compaction_tail_ms":3,"compaction_tail_bytes":4,"compaction_ratio":0.1,"tombstone_retention_ms":1}`)
	check("StreamConfig", s.want(200, "GET", "/v1/streams/gone", ""), "config")
	s.want(204, "DELETE", "/v1/streams/gone", "")
	check("DeletedStream", s.want(200, "GET", "/v1/trash", ""), "trash.0")
	check("Problem", s.do("POST", path, "x", "Leat-Key", "k", "Leat-Expected-Version", "none"), "")
	hook := s.want(201, "PUT", "/v1/hooks/in", `{"scheme":"github","stream":"orders","new_secret":true,"source":"/x","type":{"value":"t"},"key":{"value":"k"},"subject":{"value":"s"},
		"id":{"header":"x"},"tolerance_ms":1000,"body_bytes_max":1000,"consent":{"origins":["*"]},"cloudevents":true}`)
	check("Hook", hook, "")
	check("HookPick", hook, "type")
	check("Problem", s.want(401, "POST", "/v1/hooks/in", "x"), "")
	check("Hook", s.want(200, "GET", "/v1/hooks", ""), "hooks.0")
	s.want(201, "PUT", "/v1/streams/dead", "{}")
	made := s.want(201, "PUT", "/v1/subscriptions/w", `{"streams":["orders"],"dead_letters":"dead","from":"earliest","documents":{"a":"b"},
		"address":[{"type":{"prefix":"leat."},"key":{"exact":"k"}},{"headers":[{"name":"x"}],"any":true}]}`)
	check("Subscription", made, "")
	check("SubscriptionConfig", made, "config")
	check("SubscriptionPut", made, "config")
	check("AddressFilter", made, "config.address.0")
	check("AddressPattern", made, "config.address.0.type")
	check("SubscriptionSummary", s.want(200, "GET", "/v1/subscriptions", ""), "subscriptions.0")
	s.want(201, "POST", path, "y", "Leat-Key", "k")
	taken := s.want(200, "POST", "/v1/subscriptions/w/receive", `{"wait":5000}`)
	check("Delivery", taken, "deliveries.0")
	check("SubscriptionState", s.want(200, "GET", "/v1/subscriptions/w", ""), "state")
	check("Explanation", s.want(200, "GET", "/v1/subscriptions/w/explain?ref="+taken.str("deliveries.0.ref"), ""), "")
	check("Outcomes", s.want(200, "POST", "/v1/subscriptions/w/reject", `{"handles":["`+taken.str("deliveries.0.handle")+`"]}`), "")
	s.until(func() bool {
		return s.want(200, "GET", "/v1/subscriptions/w/dead-letters", "").len("dead_letters") == 1
	})
	letters := s.want(200, "GET", "/v1/subscriptions/w/dead-letters", "")
	check("DeadLetters", letters, "")
	check("DeadLetter", letters, "dead_letters.0")
	check("DeadGroups", s.want(200, "GET", "/v1/subscriptions/w/dead-letters?group=cause", ""), "")
	check("User", s.want(201, "PUT", "/v1/users/root", `{"new_token":true,"grants":[{"action":"admin","kind":"*","pattern":"*"}]}`), "")
}
