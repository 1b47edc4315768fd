package asyncapi

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/ anew")

// everything has each thing that a document can have.
func everything() *Input {
	return &Input{
		Title: "Events of default", Version: "1.0.0", Description: "All of it.", ID: "cluster:default", Users: true, Registry: "http://127.0.0.1:8081",
		Servers: []Server{
			{"kafka", "kafka", "127.0.0.1:9092", false}, {"http", "http", "127.0.0.1:8080", true}, {"amqp", "amqp", "127.0.0.1:5672", false}, {"aws", "aws", "127.0.0.1:4566", false},
		},
		Channels: []Channel{
			{"orders", "", 3, []string{"com.shop.order.placed", "com/shop~order", "Line", "Ship"}}, {"orders/eu", "", 1, []string{"stream:orders/eu", "unknown"}}, {"orders_eu", "", 1, nil},
			{"orders", "urgent", 3, []string{"Ship"}}, {"orders", "eu.*", 3, []string{"Line"}},
		},
		Messages: []Message{
			{Type: "com.shop.order.placed", Format: "JSON", Schema: `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"id":{"type":"string"},"n":{"type":"integer","maximum":9007199254740993}}}`,
				Subject: "order", Version: 3, Contract: "orders", Owner: []string{"shop"}, Tags: []string{"PII"}},
			{Type: "com/shop~order", Format: "AVRO", Schema: `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}`, Subject: "orders-value", Version: 1, Framed: true},
			{Type: "Line", Format: "AVRO", Schema: `{"type":"record","name":"Line","fields":[{"name":"o","type":"Order"}]}`, Subject: "line", Version: 1, References: true},
			{Type: "Ship", Format: "PROTOBUF", Schema: "syntax = \"proto3\";\nmessage Ship { string id = 1; }\n", Subject: "ship", Version: 2},
			{Type: "stream:orders/eu", Description: "Nothing is known of it."},
		},
		Operations: []Operation{
			{Service: "shop", Produces: true, Channel: "orders", Types: []string{"com.shop.order.placed", "com/shop~order"}, Protocol: "kafka"},
			{Service: "billing", Channel: "orders", Types: []string{"com.shop.order.placed"}, Protocol: "kafka", Via: "billing-group"},
			{Service: "billing", Channel: "orders", Types: []string{"com.shop.order.placed"}, Protocol: "amqp091", Via: "billing"},
			{Service: "web", Produces: true, Channel: "orders/eu", Types: []string{"stream:orders/eu"}, Protocol: "http"},
			{Service: "web", Channel: "orders_eu", Types: []string{"unknown"}, Protocol: "http"},
			{Service: "lost", Channel: "nowhere", Protocol: "http"},
		},
	}
}

func TestDocument_IsAsWritten(t *testing.T) {
	got, err := Document(everything())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "everything.json")
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the document is another one; look at what changed after go test ./contract/asyncapi -update, and have AsyncAPI's parser read it (docs/testing.md)")
	}
}

// Every reference leads somewhere, and every operation has a channel whose messages are its own.
func TestDocument_ReferencesLeadSomewhere(t *testing.T) {
	for name, in := range map[string]*Input{"everything": everything(), "nothing": {Title: "x", Version: "1"}} {
		raw, err := Document(in)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		refs := 0
		each(doc, func(ref string) {
			refs++
			if !leads(doc, ref) {
				t.Errorf("%s: %s leads nowhere", name, ref)
			}
		})
		if name == "everything" && refs < 20 {
			t.Errorf("%d references", refs)
		}
		for _, must := range []string{"info", "channels", "operations", "components"} {
			if doc[must] == nil {
				t.Errorf("%s: there is no %s", name, must)
			}
		}
	}
}

func each(v any, fn func(ref string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && k == "$ref" {
				fn(s)
			}
			each(x, fn)
		}
	case []any:
		for _, x := range v {
			each(x, fn)
		}
	}
}

func leads(doc map[string]any, ref string) bool {
	var at any = doc
	for p := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := at.(map[string]any)
		if !ok {
			return false
		}
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(p)]
	}
	return at != nil
}

// Names that are alike but for signs that a key cannot have stay apart.
func TestKeys(t *testing.T) {
	var k keys
	if a, b, c := k.key("a/b"), k.key("a_b"), k.key("a b"); a != "a_b" || b != "a_b_2" || c != "a_b_3" || k.key("a/b") != a || k.another("x") != "x" || k.another("x") != "x_2" {
		t.Error(a, b, c)
	}
}
