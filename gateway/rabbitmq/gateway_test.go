package rabbitmq

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"leat/broker"
)

func TestQueue_LifeOfOne(t *testing.T) {
	a := serve(t, newGateway(t, false))
	const q = "queues/%2F/orders"
	a.want(http.StatusCreated, "PUT", q, `{"durable":true,"arguments":{"x-max-length":10}}`)
	a.want(http.StatusNoContent, "PUT", q, `{"durable":true,"arguments":{"x-max-length":10}}`)
	if v := a.want(http.StatusBadRequest, "PUT", q, `{"durable":true,"arguments":{"x-max-length":11}}`); !strings.Contains(fmt.Sprint(at(v, "reason")), "inequivalent arg 'x-max-length'") {
		t.Error(v)
	}
	a.want(http.StatusCreated, "PUT", "exchanges/%2F/shop", `{"type":"topic"}`)
	a.want(http.StatusCreated, "POST", "bindings/%2F/e/shop/q/orders", `{"routing_key":"order.#"}`)
	for i := range 3 {
		v := a.want(http.StatusOK, "POST", "exchanges/%2F/shop/publish", fmt.Sprintf(`{"properties":{"priority":1,"headers":{"n":%d}},"routing_key":"order.new","payload":"m%d","payload_encoding":"string"}`, i, i))
		if at(v, "routed") != true {
			t.Error(v)
		}
	}
	if v := a.want(http.StatusOK, "POST", "exchanges/%2F/shop/publish", `{"properties":{},"routing_key":"other","payload":"","payload_encoding":"string"}`); at(v, "routed") != false {
		t.Error(v)
	}
	v := a.want(http.StatusOK, "GET", q, "")
	if at(v, "messages") != 3.0 || at(v, "messages_ready") != 3.0 || at(v, "message_stats", "publish") != 3.0 || at(v, "arguments", "x-max-length") != 10.0 || at(v, "type") != "classic" {
		t.Error(v)
	}
	v = a.want(http.StatusOK, "POST", q+"/get", `{"count":2,"ackmode":"ack_requeue_true","encoding":"auto"}`)
	if at(v, 0, "payload") != "m0" || at(v, 1, "payload") != "m1" || at(v, 0, "properties", "headers", "n") != 0.0 || at(v, 0, "routing_key") != "order.new" || at(v, 0, "message_count") != 2.0 {
		t.Error(v)
	}
	v = a.want(http.StatusOK, "POST", q+"/get", `{"count":1,"ackmode":"ack_requeue_false","encoding":"base64","truncate":1}`)
	if at(v, 0, "payload") != "bQ==" || at(v, 0, "redelivered") != true {
		t.Error(v)
	}
	if v := a.want(http.StatusOK, "GET", q, ""); at(v, "messages") != 2.0 || at(v, "message_stats", "ack") != 1.0 {
		t.Error(v)
	}
	a.want(http.StatusBadRequest, "DELETE", q+"?if-empty=true", "")
	a.want(http.StatusNoContent, "DELETE", q+"/contents", "")
	if v := a.want(http.StatusOK, "GET", q, ""); at(v, "messages") != 0.0 {
		t.Error(v)
	}
	a.want(http.StatusNoContent, "DELETE", q, "")
	a.want(http.StatusNotFound, "DELETE", q, "")
	a.want(http.StatusNotFound, "GET", q, "")
}

func TestBinding_KeysOfPaths(t *testing.T) {
	a := serve(t, newGateway(t, false))
	a.want(http.StatusCreated, "PUT", "queues/%2F/q%2F1", "{}")
	a.want(http.StatusCreated, "PUT", "exchanges/%2F/h", `{"type":"headers"}`)
	a.want(http.StatusCreated, "PUT", "exchanges/%2F/f", `{"type":"fanout"}`)
	a.want(http.StatusCreated, "POST", "bindings/%2F/e/h/q/q%2F1", `{"routing_key":"","arguments":{"x-match":"all","kind":"a"}}`)
	a.want(http.StatusCreated, "POST", "bindings/%2F/e/h/q/q%2F1", `{"routing_key":"","arguments":{"x-match":"all","kind":"b"}}`)
	a.want(http.StatusCreated, "POST", "bindings/%2F/e/h/e/f", `{"routing_key":"a/b"}`)
	list := a.want(http.StatusOK, "GET", "bindings/%2F/e/h/q/q%2F1", "")
	one, two := at(list, 0, "properties_key"), at(list, 1, "properties_key")
	if one == nil || two == nil || one == two {
		t.Fatal(list)
	}
	a.want(http.StatusNoContent, "DELETE", fmt.Sprint("bindings/%2F/e/h/q/q%2F1/", one), "")
	if left := a.want(http.StatusOK, "GET", "bindings/%2F/e/h/q/q%2F1", ""); at(left, 0, "properties_key") != two || at(left, 1) != nil {
		t.Error(left)
	}
	if v := a.want(http.StatusOK, "GET", "bindings/%2F/e/h/e/f/a%252Fb", ""); at(v, "destination_type") != "exchange" || at(v, "routing_key") != "a/b" {
		t.Error(v)
	}
	if all, _ := a.want(http.StatusOK, "GET", "bindings", "").([]any); len(all) != 3 { // with the queue's to the exchange without a name
		t.Error(all)
	}
	a.want(http.StatusNotFound, "GET", "bindings/%2F/e/nope/q/q%2F1", "")
	a.want(http.StatusNotFound, "POST", "bindings/%2F/e/h/q/nope", "{}")
}

func TestList_PagesNamesColumns(t *testing.T) {
	a := serve(t, newGateway(t, false))
	for i := range 7 {
		a.want(http.StatusCreated, "PUT", fmt.Sprintf("queues/%%2F/q%d", i), "{}")
	}
	v := a.want(http.StatusOK, "GET", "queues?page=2&page_size=3&sort=name&sort_reverse=true&columns=name,messages", "")
	if at(v, "items", 0, "name") != "q3" || at(v, "page_count") != 3.0 || at(v, "total_count") != 7.0 || at(v, "item_count") != 3.0 || at(v, "items", 0, "vhost") != nil {
		t.Error(v)
	}
	if v := a.want(http.StatusOK, "GET", "queues?page=1&name=q%5B12%5D&use_regex=true", ""); at(v, "filtered_count") != 2.0 || at(v, "items", 1, "name") != "q2" {
		t.Error(v)
	}
	a.want(http.StatusOK, "POST", "exchanges/%2F/amq.default/publish", `{"properties":{},"routing_key":"q4","payload":"","payload_encoding":"string"}`)
	if v := a.want(http.StatusOK, "GET", "queues?sort=messages&sort_reverse=true", ""); at(v, 0, "name") != "q4" {
		t.Error(at(v, 0))
	}
	a.want(http.StatusBadRequest, "GET", "queues?page=0", "")
	a.want(http.StatusBadRequest, "GET", "queues?page=9", "")
	a.want(http.StatusBadRequest, "GET", "queues?page=1&name=(&use_regex=true", "")
}

const exported = `{"rabbit_version":"3.10.8","users":[{"name":"bob"}],"vhosts":[{"name":"/"}],"policies":[],
"queues":[{"name":"billing","vhost":"/","durable":true,"auto_delete":false,"arguments":{"x-queue-type":"quorum","x-dead-letter-exchange":"dead"}},
 {"name":"dead","vhost":"/","durable":true,"auto_delete":false,"arguments":{}}],
"exchanges":[{"name":"shop","vhost":"/","type":"topic","durable":true,"auto_delete":false,"internal":false,"arguments":{}},
 {"name":"dead","vhost":"/","type":"fanout","durable":true,"auto_delete":false,"internal":false,"arguments":{}}],
"bindings":[{"source":"shop","vhost":"/","destination":"billing","destination_type":"queue","routing_key":"order.#","arguments":{}},
 {"source":"dead","vhost":"/","destination":"dead","destination_type":"queue","routing_key":"","arguments":{}},
 {"source":"shop","vhost":"/","destination":"dead","destination_type":"exchange","routing_key":"lost","arguments":{}}]}`

func TestDefinitions_InAndOut(t *testing.T) {
	a := serve(t, newGateway(t, false))
	if v := a.want(http.StatusOK, "POST", "definitions", exported); at(v, "left_out", "users") != 1.0 || at(v, "left_out", "policies") != nil {
		t.Error(v)
	}
	out := a.want(http.StatusOK, "GET", "definitions", "")
	for what, n := range map[string]int{"queues": 2, "exchanges": 2, "bindings": 3} {
		if l, _ := at(out, what).([]any); len(l) != n {
			t.Errorf("%d %s: %v", len(l), what, l)
		}
	}
	if at(out, "queues", 0, "arguments", "x-dead-letter-exchange") != "dead" || at(out, "bindings", 1, "destination_type") != "queue" {
		t.Error(out)
	}
	a.want(http.StatusNoContent, "POST", "definitions", strings.Replace(exported, `{"name":"bob"}`, "", 1)) // the same again changes nothing
	a.want(http.StatusBadRequest, "POST", "definitions", `{"queues":[{"name":"x","vhost":"other"}]}`)
	a.want(http.StatusBadRequest, "POST", "definitions", `{"queues":[{"vhost":"/"}]}`)
	if v := a.want(http.StatusBadRequest, "POST", "definitions", `{"queues":[{"name":"dead","vhost":"/","durable":false}]}`); !strings.HasPrefix(fmt.Sprint(at(v, "reason")), "queue 'dead': inequivalent arg 'durable'") {
		t.Error(v)
	}
	a.want(http.StatusNoContent, "POST", "definitions/%2F", `{"queues":[{"name":"x"}]}`)
}

func TestUsers_SeeWhatTheyMay(t *testing.T) {
	g := newGateway(t, true)
	a := serve(t, g)
	if v := a.want(http.StatusUnauthorized, "GET", "overview", ""); at(v, "error") != "not_authorized" {
		t.Error(v)
	}
	a.auth = "alice:wonderland"
	if v := a.want(http.StatusOK, "GET", "whoami", ""); at(v, "name") != "alice" || at(v, "tags", 0) != "administrator" {
		t.Error(v)
	}
	a.want(http.StatusCreated, "PUT", "queues/%2F/q", "{}")
	a.want(http.StatusNotFound, "GET", "queues/other", "")
	a.want(http.StatusNotFound, "PUT", "queues/other/q", "{}")
	a.auth = "alice:wrong"
	a.want(http.StatusUnauthorized, "PUT", "queues/%2F/q2", "{}")
}

func TestVhosts_AreNamespaces(t *testing.T) {
	g := newGateway(t, false)
	a := serve(t, g)
	a.want(http.StatusNotFound, "PUT", "queues/other/q", "{}")
	if _, err := g.b.CreateStream(t.Context(), &broker.Caller{Namespace: "other"}, "s", broker.StreamConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	a.want(http.StatusCreated, "PUT", "queues/other/q", "{}")
	a.want(http.StatusCreated, "PUT", "queues/%2F/q", "{}")
	if v := a.want(http.StatusOK, "GET", "queues", ""); at(v, 0, "vhost") != "/" || at(v, 1, "vhost") != "other" || at(v, 2) != nil {
		t.Error(v)
	}
	if v := a.want(http.StatusOK, "GET", "queues/other", ""); at(v, 0, "vhost") != "other" || at(v, 1) != nil {
		t.Error(v)
	}
	if v := a.want(http.StatusOK, "GET", "vhosts", ""); at(v, 1, "name") != "other" {
		t.Error(v)
	}
	a.want(http.StatusOK, "GET", "aliveness-test/other", "")
	a.want(http.StatusNoContent, "DELETE", "queues/other/q", "")
	a.want(http.StatusOK, "GET", "queues/%2F/q", "")
}

func TestHealth(t *testing.T) {
	a := serve(t, newGateway(t, false))
	for _, path := range []string{
		"aliveness-test/%2F", "healthchecks/node", "health/checks/alarms", "health/checks/local-alarms", "health/checks/virtual-hosts",
		"health/checks/node-is-quorum-critical", "health/checks/protocol-listener/http", "health/checks/certificate-expiration/1/months",
	} {
		if v := a.want(http.StatusOK, "GET", path, ""); at(v, "status") != "ok" {
			t.Errorf("%s: %v", path, v)
		}
	}
	if v := a.want(http.StatusServiceUnavailable, "GET", "health/checks/port-listener/1", ""); at(v, "status") != "failed" || at(v, "missing") != 1.0 {
		t.Error(v)
	}
	a.want(http.StatusServiceUnavailable, "GET", "health/checks/protocol-listener/amqp", "") // only this gateway listens here
	a.want(http.StatusBadRequest, "GET", "health/checks/certificate-expiration/1/fortnights", "")
	if v, _ := a.want(http.StatusOK, "GET", "queues", "").([]any); len(v) != 0 {
		t.Error("the aliveness test left a queue", v)
	}
	for _, path := range []string{"overview", "nodes", "vhosts", "vhosts/%2F", "connections", "channels", "consumers", "exchanges", "permissions", "users", "policies", "cluster-name"} {
		a.want(http.StatusOK, "GET", path, "")
	}
	a.want(http.StatusNotFound, "GET", "nosuch", "")
	a.want(http.StatusMethodNotAllowed, "POST", "overview", "{}")
}

func TestRates(t *testing.T) {
	var r rates
	at := time.Unix(1000, 0)
	count := func(n int64) [countsMax]int64 { return [countsMax]int64{countPublish: n} }
	for _, x := range []struct {
		after time.Duration
		n     int64
		want  float64
	}{{0, 100, 0}, {2 * time.Second, 120, 10}, {10 * time.Second, 200, 10}, {12 * time.Second, 224, 31.0 / 3}, {20 * time.Second, 400, 20}} {
		if got := r.of("q", at.Add(x.after), count(x.n))[countPublish]; got != x.want {
			t.Errorf("after %v: %v, want %v", x.after, got, x.want)
		}
	}
	if got := r.of("other", at, count(7))[countPublish]; got != 0 {
		t.Error("the first sample has no rate:", got)
	}
}

// KEDA's scaler asks for one queue, or for a page of those whose names match: what it reads of the answers has to be there.
func TestKEDA_Requests(t *testing.T) {
	a := serve(t, newGateway(t, false))
	for _, q := range []string{"orders.eu", "orders.us", "other"} {
		a.want(http.StatusCreated, "PUT", "queues/%2F/"+q, "{}")
	}
	for range 3 {
		a.want(http.StatusOK, "POST", "exchanges/%2F/amq.default/publish", `{"properties":{},"routing_key":"orders.eu","payload":"x","payload_encoding":"string"}`)
	}
	one := a.want(http.StatusOK, "GET", "queues/%2F/orders.eu", "")
	if at(one, "messages") != 3.0 || at(one, "messages_ready") != 3.0 || at(one, "messages_unacknowledged") != 0.0 || at(one, "name") != "orders.eu" {
		t.Error(one)
	}
	for _, rate := range []string{"publish_details", "deliver_get_details"} {
		if _, is := at(one, "message_stats", rate, "rate").(float64); !is {
			t.Errorf("no %s in %v", rate, one)
		}
	}
	for _, vhost := range []string{"", "/%2F"} {
		page := a.want(http.StatusOK, "GET", "queues"+vhost+"?page=1&use_regex=true&pagination=false&name=%5Eorders&page_size=100", "")
		if at(page, "page_count") != 1.0 || at(page, "items", 0, "name") != "orders.eu" || at(page, "items", 0, "messages_ready") != 3.0 || at(page, "items", 1, "name") != "orders.us" || at(page, "items", 2) != nil {
			t.Error(page)
		}
		page = a.want(http.StatusOK, "GET", "queues"+vhost+"?page=1&use_regex=true&pagination=false&name=%5Enone&page_size=100", "")
		if at(page, "page_count") != 0.0 || len(at(page, "items").([]any)) != 0 {
			t.Error(page)
		}
	}
	if v := a.want(http.StatusNotFound, "GET", "queues/%2F/none", ""); at(v, "error") == nil {
		t.Error(v)
	}
}
