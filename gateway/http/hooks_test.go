package http

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	nethttp "net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/broker"
)

// sign is HMAC-SHA256, made here without internal/hooks: the two must agree.
func sign(secret, text string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func signHex(secret, text string) string { return hex.EncodeToString(sign(secret, text)) }

// stamp is a Unix time, some seconds from now.
func stamp(seconds int) string {
	return strconv.FormatInt(time.Now().Add(time.Duration(seconds)*time.Second).Unix(), 10)
}

// events are those of a stream, in JSON; none when there is no stream.
func (s *served) events(stream string) []map[string]any {
	s.t.Helper()
	a := s.do("GET", "/v1/streams/"+stream+"/events", "")
	if a.code == nethttp.StatusNotFound {
		return nil
	}
	var page struct{ Events []map[string]any }
	if err := json.Unmarshal(a.body, &page); err != nil || a.code != 200 {
		s.t.Fatalf("%d %s: %v", a.code, a.body, err)
	}
	return page.Events
}

const secretForAll = "It's a Secret to Everybody"

// delivery is one request of a sender, as it really sends them.
type delivery struct {
	name   string
	put    string // the hook
	body   string
	header func(body string) []string // signed now
	id     string                     // of the event; "" is one that is made
	typ    string
	more   map[string]string // other attributes
}

func deliveries() []delivery {
	standardKey := []byte("0123456789abcdef0123456789abcdef")
	standard := func(prefix string) func(string) []string {
		return func(body string) []string {
			at := stamp(0)
			return []string{
				prefix + "id", "msg_p5jXN8AQM9LWM0D4loKWxJek", prefix + "timestamp", at, "Content-Type", "application/json",
				prefix + "signature", "v1," + base64.StdEncoding.EncodeToString(sign(string(standardKey), "msg_p5jXN8AQM9LWM0D4loKWxJek."+at+"."+body)),
			}
		}
	}
	github := func(event, id string) func(string) []string {
		return func(body string) []string {
			return []string{
				"User-Agent", "GitHub-Hookshot/044aadd", "Content-Type", "application/json", "X-GitHub-Event", event, "X-GitHub-Hook-ID", "292430182",
				"X-GitHub-Delivery", id, "X-Hub-Signature", "sha1=ignored", "X-Hub-Signature-256", "sha256=" + signHex(secretForAll, body),
			}
		}
	}
	stripe := func(body string) []string {
		at := stamp(0)
		return []string{"Content-Type", "application/json; charset=utf-8", "Stripe-Signature", "t=" + at + ",v1=" + signHex("whsec_test_secret", at+"."+body) + ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"}
	}
	slack := func(body string) []string {
		at := stamp(0)
		return []string{"Content-Type", "application/json", "X-Slack-Request-Timestamp", at, "X-Slack-Signature", "v0=" + signHex("8f742231b10e8888abcd99yyyzzz85a5", "v0:"+at+":"+body)}
	}
	shopify := func(body string) []string {
		return []string{
			"Content-Type", "application/json", "X-Shopify-Topic", "orders/create", "X-Shopify-Webhook-Id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
			"X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(sign(secretForAll, body)),
		}
	}
	return []delivery{
		{
			name: "standard", put: `{"scheme":"standard","secrets":["whsec_` + base64.StdEncoding.EncodeToString(standardKey) + `"],"stream":"s","key":{"pointer":"/data/id"}}`,
			body: `{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52-5198-4599-803e-771906343485"}}`, header: standard("webhook-"),
			id: "msg_p5jXN8AQM9LWM0D4loKWxJek", typ: "contact.created", more: map[string]string{"source": "/hooks/in", "partitionkey": "1f81eb52-5198-4599-803e-771906343485"},
		},
		{
			name: "svix", put: `{"scheme":"standard","secrets":["` + base64.StdEncoding.EncodeToString(standardKey) + `"],"stream":"s"}`,
			body: `{"eventType":"user.signup"}`, header: standard("svix-"), id: "msg_p5jXN8AQM9LWM0D4loKWxJek", typ: "leat.record",
		},
		{
			name: "github", body: `{"action":"opened","issue":{"number":1,"labels":[{"name":"bug"}]},"repository":{"full_name":"octo/hello"},"sender":{"login":"octocat"}}`,
			put: `{"scheme":"github","secrets":["` + secretForAll + `"],"stream":"s","source":"https://github.com/octo","type":{"prefix":"com.github."},
				"key":{"pointer":"/issue/number"},"subject":{"pointer":"/repository/full_name"}}`,
			header: github("issues", "72d3162e-cc78-11e3-81ab-4c9367dc0958"), id: "72d3162e-cc78-11e3-81ab-4c9367dc0958", typ: "com.github.issues",
			more: map[string]string{"source": "https://github.com/octo", "partitionkey": "1", "subject": "octo/hello"},
		},
		{
			name: "stripe", put: `{"scheme":"stripe","secrets":["whsec_test_secret"],"stream":"s","key":{"pointer":"/data/object/id"}}`,
			body: "{\n  \"id\": \"evt_1NG8Du2eZvKYlo2CUI79vXWy\",\n  \"object\": \"event\",\n  \"type\": \"payment_intent.succeeded\",\n  \"livemode\": false,\n  \"data\": {\"object\": {\"id\": \"pi_1\", \"amount\": 1000}}\n}", header: stripe,
			id: "evt_1NG8Du2eZvKYlo2CUI79vXWy", typ: "payment_intent.succeeded", more: map[string]string{"partitionkey": "pi_1"},
		},
		{
			name: "slack", put: `{"scheme":"slack","secrets":["8f742231b10e8888abcd99yyyzzz85a5"],"stream":"s","type":{"pointer":"/event/type","prefix":"slack."}}`,
			body:   `{"token":"z26uFbvR1xHJEdHE1OQiO6t8","team_id":"T123ABC456","event":{"type":"reaction_added","user":"U123"},"type":"event_callback","event_id":"Ev123ABC456","event_time":1234567890}`,
			header: slack, id: "Ev123ABC456", typ: "slack.reaction_added",
		},
		{
			name: "shopify", put: `{"scheme":"hmac","secrets":["` + secretForAll + `"],"stream":"s",
				"hmac":{"header":"X-Shopify-Hmac-Sha256","encoding":"base64","id_header":"X-Shopify-Webhook-Id","type_header":"X-Shopify-Topic"}}`,
			body: `{"id":820982911946154508,"email":"jon@example.com"}`, header: shopify, id: "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", typ: "orders/create",
		},
		{
			name: "form", put: `{"scheme":"github","secrets":["` + secretForAll + `"],"stream":"s","type":{"value":"ours"},"subject":{"header":"x-github-event"},"key":{"pointer":"/nowhere","default":"d"}}`,
			body: "payload=%7B%7D", header: func(body string) []string {
				return []string{"Content-Type", "application/x-www-form-urlencoded", "X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256=" + signHex(secretForAll, body)}
			},
			typ: "ours", more: map[string]string{"subject": "push", "datacontenttype": "application/x-www-form-urlencoded", "partitionkey": "d"},
		},
	}
}

// Every sender's request is stored as one event, once; with one bit of body or signature changed it is refused, and nothing is stored.
func TestHook_SendersAreVerifiedAndStoredOnce(t *testing.T) {
	for _, d := range deliveries() {
		t.Run(d.name, func(t *testing.T) {
			s := start(t, nil)
			s.want(201, "PUT", "/v1/hooks/in", d.put)
			good := d.header(d.body)
			for i := range d.body { // every byte
				bad := []byte(d.body)
				bad[i] ^= 1
				if a := s.do("POST", "/v1/hooks/in", string(bad), good...); a.code != 401 || a.str("reason") != "mismatch" {
					t.Fatalf("byte %d changed: %d %s", i, a.code, a.body)
				}
			}
			for i := 0; i < len(good); i += 2 {
				if !strings.Contains(strings.ToLower(good[i]), "signature") && !strings.Contains(strings.ToLower(good[i]), "hmac") || good[i] == "X-Hub-Signature" {
					continue
				}
				without := append(append([]string{}, good[:i]...), good[i+2:]...)
				if a := s.want(401, "POST", "/v1/hooks/in", d.body, without...); a.str("reason") != "unsigned" || !strings.EqualFold(a.str("field"), good[i]) {
					t.Fatalf("without %s: %s", good[i], a.body)
				}
			}
			if n := len(s.events("s")); n != 0 {
				t.Fatalf("%d events stored of what was refused", n)
			}
			first := s.want(200, "POST", "/v1/hooks/in", d.body, good...)
			if first.str("duplicate") != "false" || !strings.HasPrefix(first.str("ref"), "s/0/") {
				t.Fatalf("%s", first.body)
			}
			if d.id != "" {
				again := s.want(200, "POST", "/v1/hooks/in", d.body, d.header(d.body)...)
				if again.str("duplicate") != "true" || again.str("ref") != first.str("ref") || again.str("position") != first.str("position") {
					t.Fatalf("sent again: %s, first %s", again.body, first.body)
				}
			}
			all := s.events("s")
			if len(all) != 1 {
				t.Fatalf("%d events", len(all))
			}
			e := all[0]
			if d.id != "" && e["id"] != d.id || e["type"] != d.typ {
				t.Errorf("id %v, type %v; want %s, %s", e["id"], e["type"], d.id, d.typ)
			}
			for name, want := range d.more {
				if e[name] != want {
					t.Errorf("%s is %v, want %s", name, e[name], want)
				}
			}
			raw := s.want(200, "GET", "/v1/streams/s/export", "")
			if data := stored(t, s, "s"); data != d.body {
				t.Errorf("stored %q, sent %q\n%s", data, d.body, raw.body)
			}
			audit := s.want(200, "GET", "/v1/audit?ref="+first.str("ref"), "")
			if audit.str("event.gateway") != "webhook" || audit.str("event.client") != "in" || audit.str("event.listener") != "http" {
				t.Errorf("audit %s", audit.body)
			}
		})
	}
}

// stored is the value of the first record, byte for byte.
func stored(t *testing.T, s *served, stream string) string {
	t.Helper()
	p, err := s.broker.ReadPage(context.Background(), &broker.Caller{}, broker.PageRequest{Streams: []string{stream}, Limit: 1})
	if err != nil || len(p.Events) != 1 {
		t.Fatal(err)
	}
	return string(p.Events[0].Record.Value)
}

// GitHub's published vector: docs.github.com, "Validating webhook deliveries".
func TestHook_GitHubVector(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/hooks/in", `{"scheme":"github","stream":"s","secrets":["It's a Secret to Everybody"]}`)
	s.want(200, "POST", "/v1/hooks/in", "Hello, World!", "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	if got := stored(t, s, "s"); got != "Hello, World!" {
		t.Errorf("stored %q", got)
	}
	s.want(401, "POST", "/v1/hooks/in", "Hello, World?", "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
}

func TestHook_TimesOutOfTheToleranceAreRefused(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/hooks/in", `{"scheme":"stripe","stream":"s","secrets":["whsec_test_secret"],"tolerance_ms":60000}`)
	send := func(seconds int) answer {
		at := stamp(seconds)
		return s.do("POST", "/v1/hooks/in", `{"id":"e"}`, "Stripe-Signature", "t="+at+",v1="+signHex("whsec_test_secret", at+`.{"id":"e"}`))
	}
	for _, seconds := range []int{-90, 90} {
		if a := send(seconds); a.code != 401 || a.str("reason") != "stale" || a.str("field") != "Stripe-Signature" {
			t.Errorf("%d: %d %s", seconds, a.code, a.body)
		}
	}
	for _, seconds := range []int{-30, 30} {
		if a := send(seconds); a.code != 200 {
			t.Errorf("%d: %d %s", seconds, a.code, a.body)
		}
	}
}

func TestHook_Handshakes(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/hooks/slack", `{"scheme":"slack","stream":"s","secrets":["8f742231b10e8888abcd99yyyzzz85a5"]}`)
	s.want(201, "PUT", "/v1/hooks/github", `{"scheme":"github","stream":"s","secrets":["`+secretForAll+`"]}`)
	s.want(201, "PUT", "/v1/hooks/grid", `{"scheme":"none","stream":"s","cloudevents":true,"consent":{"origins":["*.azure.net"],"rate_per_minute":100,"event_grid":true}}`)

	challenge, at := `{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`, stamp(0)
	sig := "v0=" + signHex("8f742231b10e8888abcd99yyyzzz85a5", "v0:"+at+":"+challenge)
	a := s.want(200, "POST", "/v1/hooks/slack", challenge, "X-Slack-Request-Timestamp", at, "X-Slack-Signature", sig)
	if string(a.body) != "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("slack: %q", a.body)
	}
	s.want(401, "POST", "/v1/hooks/slack", challenge, "X-Slack-Request-Timestamp", at, "X-Slack-Signature", "v0="+signHex("another secret", "v0:"+at+":"+challenge))

	zen := `{"zen":"Design for failure.","hook_id":1}`
	s.want(200, "POST", "/v1/hooks/github", zen, "X-GitHub-Event", "ping", "X-Hub-Signature-256", "sha256="+signHex(secretForAll, zen))
	s.want(401, "POST", "/v1/hooks/github", zen, "X-GitHub-Event", "ping", "X-Hub-Signature-256", "sha256="+signHex("no", zen))

	validation := `[{"id":"2d17","topic":"/subscriptions/x","subject":"","data":{"validationCode":"512d38b6","validationUrl":"https://rp-eastus2.eventgrid.azure.net/eventsubscriptions/x"},"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","eventTime":"2018-01-25T22:12:19.4556811Z","metadataVersion":"1","dataVersion":"1"}]`
	if a := s.want(200, "POST", "/v1/hooks/grid", validation, "Aeg-Event-Type", "SubscriptionValidation"); a.str("validationResponse") != "512d38b6" {
		t.Errorf("event grid: %s", a.body)
	}
	a = s.want(200, "OPTIONS", "/v1/hooks/grid", "", "WebHook-Request-Origin", "eventgrid.azure.net", "WebHook-Request-Rate", "120")
	if a.header.Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" || a.header.Get("WebHook-Allowed-Rate") != "100" {
		t.Errorf("consent: %v", a.header)
	}
	for _, ask := range [][2]string{{"grid", "evil.example"}, {"github", "eventgrid.azure.net"}, {"nothing", "eventgrid.azure.net"}} {
		if a := s.want(204, "OPTIONS", "/v1/hooks/"+ask[0], "", "WebHook-Request-Origin", ask[1]); a.header.Get("WebHook-Allowed-Origin") != "" {
			t.Errorf("%v: consent: %v", ask, a.header)
		}
	}
	s.want(400, "OPTIONS", "/v1/hooks/grid", "", "WebHook-Request-Origin", "not a name")
	if n := len(s.events("s")); n != 0 {
		t.Errorf("%d events of handshakes", n)
	}
	if n := s.want(200, "GET", "/v1/hooks/grid", "").str("seen.handshakes"); n != "2" {
		t.Errorf("%s handshakes", n)
	}
}

func TestHook_CloudEventsStayWhatTheyAre(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/hooks/in", `{"scheme":"none","stream":"s","cloudevents":true}`)
	e := `{"specversion":"1.0","id":"a","source":"/there","type":"t","subject":"sub","data":{"x":1}}`
	s.want(200, "POST", "/v1/hooks/in", e, "Content-Type", "application/cloudevents+json")
	if a := s.want(200, "POST", "/v1/hooks/in", e, "Content-Type", "application/cloudevents+json"); a.str("duplicate") != "true" {
		t.Errorf("%s", a.body)
	}
	s.want(200, "POST", "/v1/hooks/in", `{"x":2}`, "Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "b", "ce-source", "/there", "ce-type", "t2")
	s.want(200, "POST", "/v1/hooks/in", `plain`, "Content-Type", "text/plain")
	if a := s.want(400, "POST", "/v1/hooks/in", `{"specversion":"1.0","id":"a"}`, "Content-Type", "application/cloudevents+json"); a.str("kind") != "invalid" {
		t.Errorf("%s", a.body)
	}
	s.want(415, "POST", "/v1/hooks/in", `[]`, "Content-Type", "application/cloudevents-batch+json")
	all := s.events("s")
	if len(all) != 3 || all[0]["source"] != "/there" || all[0]["subject"] != "sub" || all[1]["type"] != "t2" || all[2]["source"] != "/hooks/in" {
		t.Errorf("%v", all)
	}
}

func TestHook_SecretsAreExchangedAndNeverShown(t *testing.T) {
	s := start(t, nil)
	const settings = `"scheme":"github","stream":"s"`
	send := func(secret, body string) int {
		return s.do("POST", "/v1/hooks/in", body, "X-Hub-Signature-256", "sha256="+signHex(secret, body)).code
	}
	first := s.want(201, "PUT", "/v1/hooks/in", `{`+settings+`,"new_secret":true}`)
	old := first.str("new_secret")
	if len(old) != 64 || first.header.Get("Cache-Control") != "no-store" || first.str("fingerprints.0") != fingerprint(old) {
		t.Fatalf("%s", first.body)
	}
	s.want(200, "PUT", "/v1/hooks/in", `{`+settings+`,"add_secret":"the next one"}`, "If-Match", first.header.Get("ETag"))
	s.want(409, "PUT", "/v1/hooks/in", `{`+settings+`}`, "If-Match", first.header.Get("ETag"))
	if send(old, "1") != 200 || send("the next one", "2") != 200 {
		t.Error("while secrets are exchanged, both are good")
	}
	if a := s.want(200, "PUT", "/v1/hooks/in", `{`+settings+`,"drop_secrets":["`+fingerprint(old)+`"]}`); a.len("fingerprints") != 1 {
		t.Errorf("%s", a.body)
	}
	if send(old, "3") != 401 || send("the next one", "4") != 200 {
		t.Error("a secret that was dropped is good no more")
	}
	s.want(400, "PUT", "/v1/hooks/in", `{`+settings+`,"drop_secrets":["00000000"]}`)
	s.want(400, "PUT", "/v1/hooks/in", `{`+settings+`,"secrets":[]}`)
	for _, path := range []string{"/v1/hooks", "/v1/hooks/in", "/metrics"} {
		if a := s.want(200, "GET", path, ""); bytes.Contains(a.body, []byte("the next one")) || bytes.Contains(a.body, []byte(old)) {
			t.Errorf("%s shows a secret: %s", path, a.body)
		}
	}
}

func TestHook_WrongSettingsAreRefused(t *testing.T) {
	s := start(t, nil)
	const secret = `"secrets":["long enough"]`
	for _, c := range [][2]string{ // body, pointer
		{`{"scheme":"smoke","stream":"s"}`, "/scheme"},
		{`{"scheme":"github","stream":"s"}`, "/secrets"},
		{`{"scheme":"github","stream":"s","secrets":["short"]}`, "/secrets"},
		{`{"scheme":"none","stream":"s",` + secret + `}`, "/secrets"},
		{`{"scheme":"standard","stream":"s",` + secret + `}`, "/secrets"},
		{`{"scheme":"standard","stream":"s","secrets":["whsk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]}`, "/secrets"},
		{`{"scheme":"stripe","stream":"s","new_secret":true}`, "/new_secret"},
		{`{"scheme":"github","stream":"no/name",` + secret + `}`, "/stream"},
		{`{"scheme":"github","stream":"s",` + secret + `,"tolerance_ms":99999999999}`, "/tolerance_ms"},
		{`{"scheme":"stripe","stream":"s",` + secret + `,"tolerance_ms":1}`, "/tolerance_ms"},
		{`{"scheme":"github","stream":"s",` + secret + `,"body_bytes_max":-1}`, "/body_bytes_max"},
		{`{"scheme":"github","stream":"s",` + secret + `,"source":"not a uri"}`, "/source"},
		{`{"scheme":"github","stream":"s",` + secret + `,"key":{}}`, "/key"},
		{`{"scheme":"github","stream":"s",` + secret + `,"key":{"value":"a","header":"b"}}`, "/key"},
		{`{"scheme":"github","stream":"s",` + secret + `,"key":{"pointer":"a"}}`, "/key/pointer"},
		{`{"scheme":"github","stream":"s",` + secret + `,"id":{"value":"a"}}`, "/id"},
		{`{"scheme":"github","stream":"s",` + secret + `,"hmac":{"header":"x"}}`, "/hmac"},
		{`{"scheme":"hmac","stream":"s",` + secret + `}`, "/hmac"},
		{`{"scheme":"hmac","stream":"s",` + secret + `,"hmac":{"header":"x","algorithm":"md5"}}`, "/hmac/algorithm"},
		{`{"scheme":"github","stream":"s",` + secret + `,"consent":{"rate_per_minute":-1}}`, "/consent/rate_per_minute"},
		{`{"scheme":"github","stream":"s",` + secret + `,"colour":"red"}`, "/colour"},
	} {
		if a := s.do("PUT", "/v1/hooks/in", c[0]); a.code != 400 || a.str("pointer") != c[1] || bytes.Contains(a.body, []byte("long enough")) {
			t.Errorf("%s: %d %s; want %s", c[0], a.code, a.body, c[1])
		}
	}
	s.want(403, "PUT", "/v1/hooks/in", `{"scheme":"none","stream":"leat.system"}`)
	s.want(404, "GET", "/v1/hooks/in", "")
	s.want(404, "POST", "/v1/hooks/in", "x")
}

func TestHook_RefusalsAreShownAndCounted(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/hooks/in", `{"scheme":"github","stream":"s","secrets":["`+secretForAll+`"],"body_bytes_max":100}`)
	for i := range 3 * hookRefusalsMax {
		s.want(401, "POST", "/v1/hooks/in", fmt.Sprint(i), "X-Hub-Signature-256", "sha256="+signHex("wrong", fmt.Sprint(i)))
	}
	if a := s.want(413, "POST", "/v1/hooks/in", strings.Repeat("x", 101)); !strings.Contains(a.str("detail"), "100 bytes") {
		t.Errorf("%s", a.body)
	}
	s.want(415, "POST", "/v1/hooks/in", "x", "Content-Encoding", "gzip")
	a := s.want(401, "POST", "/v1/hooks/in", "x")
	if a.header.Get("Www-Authenticate") != `Webhook scheme="github"` {
		t.Errorf("%v", a.header)
	}
	a = s.want(200, "GET", "/v1/hooks/in", "")
	if a.len("refusals") != hookRefusalsMax || a.str("refusals.0.reason") != "unsigned" || a.str("refusals.1.reason") != "unreadable" ||
		a.str("refusals.2.reason") != "too-large" || a.str("refusals.3.reason") != "mismatch" || a.str("refusals.0.address") != "127.0.0.1" ||
		a.str("seen.refused.mismatch") != fmt.Sprint(3*hookRefusalsMax) {
		t.Errorf("%s", a.body)
	}
	m := s.want(200, "GET", "/metrics", "")
	for _, line := range []string{
		fmt.Sprintf(`leat_http_hook_refusals_total{hook="in",namespace="default",reason="mismatch"} %d`, 3*hookRefusalsMax),
		`leat_http_hook_refusals_total{hook="in",namespace="default",reason="too-large"} 1`,
	} {
		if !bytes.Contains(m.body, []byte(line+"\n")) {
			t.Errorf("no %s", line)
		}
	}
	s.want(204, "DELETE", "/v1/hooks/in", "")
	s.want(404, "POST", "/v1/hooks/in", "x")
	if m := s.want(200, "GET", "/metrics", ""); bytes.Contains(m.body, []byte(`hook="in"`)) {
		t.Error("a hook that was deleted is counted still")
	}
}

// A hook writes as who put it: not more, and not longer, than that user may.
func TestHook_WritesAsWhoPutIt(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/hooks/early", `{"scheme":"github","stream":"s","secrets":["`+secretForAll+`"]}`)
	s.addUser("root", "long enough", "admin * *")
	s.addUser("ann", "long enough", "admin hook *", "write stream s", "create stream s")
	s.addUser("bob", "long enough", "admin hook *")
	s.addUser("eve", "long enough", "write stream *")
	as := func(user string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":long enough"))
	}
	signed := []string{"X-Hub-Signature-256", "sha256=" + signHex(secretForAll, "x")}
	const put = `{"scheme":"github","stream":"s","secrets":["` + secretForAll + `"]}`
	s.want(401, "PUT", "/v1/hooks/in", put)
	s.want(403, "PUT", "/v1/hooks/in", put, "Authorization", as("bob"))
	s.want(403, "PUT", "/v1/hooks/in", put, "Authorization", as("eve"))
	s.want(403, "PUT", "/v1/hooks/in", `{"scheme":"github","stream":"other","secrets":["`+secretForAll+`"]}`, "Authorization", as("ann"))
	s.want(201, "PUT", "/v1/hooks/in", put, "Authorization", as("ann"))
	s.want(401, "GET", "/v1/hooks", "")
	s.want(403, "GET", "/v1/hooks/in", "", "Authorization", as("eve"))

	ref := s.want(200, "POST", "/v1/hooks/in", "x", signed...).str("ref")
	if a := s.want(200, "GET", "/v1/audit?ref="+ref, "", "Authorization", as("root")); a.str("event.principal") != "ann" {
		t.Errorf("%s", a.body)
	}
	// One that was put by nobody writes as nobody.
	a := s.want(503, "POST", "/v1/hooks/early", "x", signed...)
	if a.header.Get("Retry-After") == "" || strings.Contains(string(a.body), "users") {
		t.Errorf("%s", a.body)
	}
	if a := s.want(200, "GET", "/v1/hooks/early", "", "Authorization", as("root")); a.len("warnings") != 2 || a.str("refusals.0.reason") != "login" {
		t.Errorf("%s", a.body)
	}
	// Ann loses the stream.
	s.addUser("ann", "", "admin hook *")
	a = s.want(503, "POST", "/v1/hooks/in", "x", signed...)
	if strings.Contains(string(a.body), "ann") {
		t.Errorf("a stranger is told of users: %s", a.body)
	}
	if a := s.want(200, "GET", "/v1/hooks/in", "", "Authorization", as("root")); !strings.Contains(a.str("warnings.1"), "ann") || !strings.Contains(a.str("refusals.0.detail"), "ann may not write") {
		t.Errorf("%s", a.body)
	}
	// Unsigned is a login of the sender's own.
	s.want(201, "PUT", "/v1/hooks/open", `{"scheme":"none","stream":"s"}`, "Authorization", as("root"))
	s.want(401, "POST", "/v1/hooks/open", "x")
	s.want(403, "POST", "/v1/hooks/open", "x", "Authorization", as("bob"))
	s.want(200, "POST", "/v1/hooks/open", "x", "Authorization", as("eve"))
	if a := s.want(200, "GET", "/v1/hooks/open", "", "Authorization", as("root")); !strings.Contains(a.str("warnings.0"), "UNSIGNED") {
		t.Errorf("%s", a.body)
	}
}

func TestHook_Namespaces(t *testing.T) {
	s := start(t, nil)
	a := s.want(201, "PUT", "/v1/hooks/in?namespace=acme", `{"scheme":"github","stream":"s","secrets":["`+secretForAll+`"]}`)
	if a.str("path") != "/v1/hooks/in?namespace=acme" || a.header.Get("Location") != a.str("path") {
		t.Errorf("%s", a.body)
	}
	s.want(404, "POST", "/v1/hooks/in", "x")
	s.want(200, "POST", a.str("path"), "x", "X-Hub-Signature-256", "sha256="+signHex(secretForAll, "x"))
	if got := s.want(200, "GET", "/v1/streams/s/events?namespace=acme", "").str("events.0.source"); got != "/namespaces/acme/hooks/in" {
		t.Errorf("source %q", got)
	}
	if s.events("s") != nil {
		t.Error("it is in the default namespace")
	}
}

// A document that a newer program wrote is not guessed at: nothing is taken unverified.
func TestHook_WhatIsNotUnderstoodTakesNothing(t *testing.T) {
	s := start(t, nil)
	for i, told := range []string{`{"scheme":"quantum","stream":"s"}`, `{"scheme":"github","stream":"s"}`, `{"scheme":1}`} {
		name := "h" + strconv.Itoa(i)
		_, _, err := s.broker.PutDocument(context.Background(), &broker.Caller{}, broker.KindHook, name, 0, func(*broker.Document) (json.RawMessage, []byte, error) {
			return json.RawMessage(told), nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if a := s.want(500, "POST", "/v1/hooks/"+name, "x"); strings.Contains(string(a.body), "quantum") {
			t.Errorf("%s", a.body)
		}
	}
	if s.events("s") != nil {
		t.Error("something was stored")
	}
}

// A sender that sends the same at once from several machines, while the hook is put again, has it stored once.
func TestHook_TheSameAtOnceIsStoredOnce(t *testing.T) {
	s := start(t, nil)
	const put = `{"scheme":"github","stream":"s","secrets":["` + secretForAll + `"]}`
	s.want(201, "PUT", "/v1/hooks/in", put)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 20 {
				body := fmt.Sprint(i)
				if a := s.do("POST", "/v1/hooks/in", body, "X-GitHub-Delivery", "d-"+body, "X-Hub-Signature-256", "sha256="+signHex(secretForAll, body)); a.code != 200 {
					t.Errorf("%d %s", a.code, a.body)
				}
			}
		})
	}
	for range 10 {
		s.want(200, "PUT", "/v1/hooks/in", put)
	}
	wg.Wait()
	if n := len(s.events("s")); n != 20 {
		t.Errorf("%d events", n)
	}
	a := s.want(200, "GET", "/v1/hooks/in", "")
	if a.str("seen.stored") != "20" || a.str("seen.duplicates") != "140" {
		t.Errorf("%s", a.body)
	}
}

func TestLookUp(t *testing.T) {
	const body = ` {"a":{"b":[10,{"c":"x"},true,null,{"":"e"}],"b":"second"},"n":1.50,"s/t":"u","m~n":"v","big":123456789012345678901234567890} `
	for pointer, want := range map[string]string{
		"/a/b/0": "10", "/a/b/1/c": "x", "/a/b/2": "true", "/a/b/3": "", "/a/b/4/": "e", "/a/b/9": "", "/a/b/01": "", "/a/b/-": "", "/a": "", "/a/b": "",
		"/n": "1.50", "/s~1t": "u", "/m~0n": "v", "/missing": "", "/n/x": "", "/big": "123456789012345678901234567890",
	} {
		if got := lookUp([]byte(body), pointer); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
	for _, bad := range []string{"", "x", `{"a"`, `{"a":`, `[`, `{"b":1,`, "\xff"} {
		if got := lookUp([]byte(bad), "/a"); got != "" {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

// slowLookUp is lookUp with the tokens of encoding/json.
func slowLookUp(body []byte, pointer string) string {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	for token := range strings.SplitSeq(pointer[1:], "/") {
		if !descend(d, pointerText(token)) {
			return ""
		}
	}
	t, err := d.Token()
	if err != nil {
		return ""
	}
	switch v := t.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// descend enters the value at which d stands, up to the member or element of that name.
func descend(d *json.Decoder, name string) bool {
	t, err := d.Token()
	if err != nil {
		return false
	}
	var skip json.RawMessage
	switch t {
	case json.Delim('{'):
		for d.More() {
			member, err := d.Token()
			if err != nil {
				return false
			}
			if member == name {
				return true
			}
			if d.Decode(&skip) != nil {
				return false
			}
		}
	case json.Delim('['):
		n, err := strconv.ParseUint(name, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != name {
			return false
		}
		for ; d.More(); n-- {
			if n == 0 {
				return true
			}
			if d.Decode(&skip) != nil {
				return false
			}
		}
	}
	return false
}

// What is picked can always stand in an attribute, and in JSON it is what encoding/json finds.
func FuzzPick(f *testing.F) {
	f.Add([]byte(`{"a":{"b":["x",1]}}`), "/a/b/0")
	f.Add([]byte(`{"a~b":"\ud800"}`), "/a~0b")
	f.Add([]byte(`{"x":{"]":[1,{"a":"}"}]},"a":[true,null,-1.5e3,"\"\\"], "":""}`), "/a/2")
	f.Fuzz(func(t *testing.T, body []byte, pointer string) {
		p := &pick{Pointer: pointer, Prefix: "p."}
		if p.check("key") != nil {
			return
		}
		got := p.from(nil, body)
		if got != "" && (!attributeValue(got) || !strings.HasPrefix(got, "p.")) {
			t.Fatalf("%q", got)
		}
		if json.Valid(body) {
			if got, want := lookUp(body, pointer), slowLookUp(body, pointer); got != want {
				t.Fatalf("%s in %q: %q, want %q", pointer, body, got, want)
			}
		}
	})
}

// Whatever comes to a hook without its secret is refused, stores nothing and breaks nothing.
func FuzzHook_Unsigned(f *testing.F) {
	s := start(f, nil)
	for i, d := range deliveries() {
		s.want(201, "PUT", "/v1/hooks/h"+strconv.Itoa(i), d.put)
		f.Add(uint8(i), d.body, strings.Join(d.header(d.body), "\n"))
	}
	n := uint8(len(deliveries()))
	f.Fuzz(func(t *testing.T, which uint8, body, header string) {
		r, err := nethttp.NewRequestWithContext(context.Background(), "POST", "http://localhost/v1/hooks/h"+strconv.Itoa(int(which%n)), strings.NewReader("!"+body))
		if err != nil {
			t.Skip()
		}
		lines := strings.Split(header, "\n")
		for i := 0; i+1 < len(lines) && i < 20; i += 2 {
			r.Header.Add(lines[i], lines[i+1])
		}
		w := &fastWriter{header: nethttp.Header{}}
		srv := s.g.newServer("http", s.l.Limits(), s.l.Operation)
		srv.ServeHTTP(w, r)
		if w.code != 401 && w.code != 415 && w.code != 413 && w.code != 400 && w.code != 403 {
			t.Fatalf("%d %s", w.code, w.body)
		}
	})
}
