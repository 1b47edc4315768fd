package rabbitmq

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	for _, x := range []struct{ expression, want, again string }{
		{"", "", ""}, {"^$", "", ""}, {".*", "*", ".*"}, {"^.*$", "*", ".*"}, {"^orders$", "orders", "^orders$"}, {`^orders\.eu$`, "orders.eu", `^orders\.eu$`},
		{"^orders", "orders*", "^orders.*$"}, {"^orders.*", "orders*", "^orders.*$"}, {"^orders.*$", "orders*", "^orders.*$"},
		{"^(a|b.*|amq.default)$", "refused", ""}, {`^(a|b.*|amq\.default)$`, "a b* amqp.default", ""}, {"^(a|b)", "a* b*", "^(a.*|b.*)$"},
		{"orders", "refused", ""}, {"^a|b$", "refused", ""}, {"^o[rd]ers$", "refused", ""}, {"^(a", "refused", ""}, {"^orders+$", "refused", ""}, {"^()$", "refused", ""},
		{"^a.b$", "refused", ""}, {`^a\d$`, "refused", ""}, {"^my queue$", "amqp.esc.my_20queue", ""},
	} {
		ns, err := patternsOf(x.expression)
		var got []string
		for _, n := range ns {
			got = append(got, n.of(func(s string) string {
				if s == "" {
					return "amqp.default"
				}
				return strings.ReplaceAll(strings.ReplaceAll(s, "my queue", "amqp.esc.my_20queue"), "\n", "")
			}))
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = "refused"
		}
		if text != x.want {
			t.Errorf("%q is %q, want %q", x.expression, text, x.want)
		}
		if x.again != "" && expressionOf(got) != x.again {
			t.Errorf("%q is told as %q, want %q", x.expression, expressionOf(got), x.again)
		}
	}
}

// Users and permissions put by the API are what AMQP clients are held to.
func TestUsers_ArePutAndHeldTo(t *testing.T) {
	a := serve(t, newGateway(t, false))
	a.want(http.StatusBadRequest, "PUT", "users/bob", `{}`)
	a.want(http.StatusBadRequest, "PUT", "users/bob", `{"password":"looking-glass"}`)
	a.want(http.StatusBadRequest, "PUT", "users/bob", `{"password":"looking-glass","tags":"impersonator"}`)
	a.want(http.StatusBadRequest, "PUT", "users/bob", `{"password":"looking-glass","tags":"management"}`) // the first one has to be an administrator
	a.want(http.StatusCreated, "PUT", "users/root", `{"password":"wonderland","tags":["administrator"]}`)
	a.want(http.StatusUnauthorized, "GET", "overview", "")
	a.auth = "root:wonderland"
	a.want(http.StatusCreated, "PUT", "permissions/%2F/root", `{"configure":".*","write":".*","read":".*"}`)
	a.want(http.StatusCreated, "PUT", "users/bob", `{"password":"looking-glass","tags":"monitoring"}`)
	a.want(http.StatusNoContent, "PUT", "users/bob", `{"password":"through the looking-glass","tags":""}`)
	a.want(http.StatusNotFound, "GET", "permissions/%2F/bob", "")
	if v := a.want(http.StatusOK, "GET", "users/without-permissions", ""); at(v, 0, "name") != "bob" {
		t.Error(v)
	}
	a.want(http.StatusBadRequest, "PUT", "permissions/%2F/bob", `{"configure":"o.d","write":"","read":""}`)
	a.want(http.StatusNotFound, "PUT", "permissions/%2F/nobody", `{"configure":"","write":"","read":""}`)
	a.want(http.StatusCreated, "PUT", "permissions/%2F/bob", `{"configure":"","write":"^shop$","read":"^orders.*"}`)
	a.want(http.StatusNoContent, "PUT", "permissions/%2F/bob", `{"configure":"^orders.*","write":"^(shop|orders.*)$","read":"^(shop|orders.*)$"}`)
	if v := a.want(http.StatusOK, "GET", "permissions/%2F/bob", ""); at(v, "configure") != "^orders.*$" || at(v, "write") != "^(shop|orders.*)$" || at(v, "vhost") != "/" {
		t.Error(v)
	}
	a.want(http.StatusCreated, "PUT", "exchanges/%2F/shop", `{"type":"topic"}`)
	a.want(http.StatusCreated, "PUT", "queues/%2F/other", "{}")

	b := *a
	b.auth = "bob:through the looking-glass"
	b.want(http.StatusCreated, "PUT", "queues/%2F/orders.eu", "{}")
	b.want(http.StatusCreated, "POST", "bindings/%2F/e/shop/q/orders.eu", `{"routing_key":"#"}`)
	b.want(http.StatusOK, "POST", "exchanges/%2F/shop/publish", `{"properties":{},"routing_key":"k","payload":"x","payload_encoding":"string"}`)
	b.want(http.StatusOK, "POST", "queues/%2F/orders.eu/get", `{"count":1,"ackmode":"ack_requeue_false","encoding":"auto"}`)
	b.want(http.StatusUnauthorized, "PUT", "queues/%2F/mine", "{}")
	b.want(http.StatusUnauthorized, "POST", "queues/%2F/other/get", `{"count":1,"ackmode":"ack_requeue_false","encoding":"auto"}`)
	b.want(http.StatusUnauthorized, "PUT", "users/eve", `{"password":"x","tags":"administrator"}`)
	b.want(http.StatusUnauthorized, "PUT", "policies/%2F/p", `{"pattern":".*","definition":{"max-length":1}}`)
	if v := b.want(http.StatusOK, "GET", "whoami", ""); at(v, "name") != "bob" {
		t.Error(v)
	}
	a.want(http.StatusNoContent, "DELETE", "permissions/%2F/bob", "")
	b.want(http.StatusUnauthorized, "PUT", "queues/%2F/orders.us", "{}")
	var names []string
	for _, u := range a.want(http.StatusOK, "GET", "users", "").([]any) {
		names = append(names, fmt.Sprint(at(u, "name"), at(u, "tags")))
	}
	if !slices.Equal(names, []string{"bob[]", "root[administrator]"}) {
		t.Error(names)
	}
	a.want(http.StatusNoContent, "POST", "users/bulk-delete", `{"users":["bob","nobody"]}`)
	b.want(http.StatusUnauthorized, "GET", "overview", "")
	a.want(http.StatusNotFound, "DELETE", "users/bob", "")
}

// A policy holds for the queues that are there and those to come, until another one does or none.
func TestPolicies_HoldForQueues(t *testing.T) {
	a := serve(t, newGateway(t, false))
	put := func(queue, body string) {
		a.want(http.StatusOK, "POST", "exchanges/%2F/amq.default/publish", `{"properties":{},"routing_key":"`+queue+`","payload":"`+body+`","payload_encoding":"string"}`)
	}
	has := func(queue string, want float64) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // what is too much goes a moment later
			v := a.want(http.StatusOK, "GET", "queues/%2F/"+queue, "")
			if at(v, "messages_ready") == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s has %v messages, want %v", queue, at(v, "messages_ready"), want)
			}
		}
	}
	a.want(http.StatusCreated, "PUT", "queues/%2F/dead", "{}")
	a.want(http.StatusCreated, "PUT", "queues/%2F/jobs.1", "{}")
	a.want(http.StatusCreated, "PUT", "queues/%2F/jobs.2", `{"arguments":{"x-max-length":1}}`)
	for _, bad := range []string{
		`{"definition":{"max-length":1}}`, `{"pattern":"(","definition":{"max-length":1}}`, `{"pattern":".*","definition":{}}`, `{"pattern":".*","definition":{"ha-mode":"all"}}`,
		`{"pattern":".*","definition":{"max-length":-1}}`, `{"pattern":".*","definition":{"max-length":1},"apply-to":"exchanges"}`, `{"pattern":".*","definition":{"max-length":1},"priority":"x"}`,
	} {
		a.want(http.StatusBadRequest, "PUT", "policies/%2F/short", bad)
	}
	const short = `{"pattern":"^jobs","definition":{"max-length":2,"dead-letter-exchange":"","dead-letter-routing-key":"dead"},"apply-to":"queues"}`
	a.want(http.StatusCreated, "PUT", "policies/%2F/short", short)
	a.want(http.StatusNoContent, "PUT", "policies/%2F/short", short)
	a.want(http.StatusCreated, "PUT", "queues/%2F/jobs.3", "{}")
	a.want(http.StatusNoContent, "PUT", "queues/%2F/jobs.3", "{}") // it was declared without arguments, and is so still
	for _, q := range []string{"jobs.1", "jobs.2", "jobs.3"} {
		for i := range 4 {
			put(q, fmt.Sprint(i))
		}
	}
	has("jobs.1", 2)
	has("jobs.2", 1)
	has("jobs.3", 2)
	v := a.want(http.StatusOK, "GET", "queues/%2F/jobs.1", "")
	if at(v, "policy") != "short" || at(v, "effective_policy_definition", "max-length") != 2.0 || len(at(v, "arguments").(map[string]any)) != 0 {
		t.Error(v)
	}
	a.want(http.StatusCreated, "PUT", "policies/%2F/none", `{"pattern":"1$","definition":{"overflow":"reject-publish","max-length":3},"priority":1}`)
	put("jobs.1", "4")
	a.want(http.StatusBadRequest, "POST", "exchanges/%2F/amq.default/publish", `{"properties":{},"routing_key":"jobs.1","payload":"5","payload_encoding":"string"}`)
	has("jobs.1", 3)
	a.want(http.StatusNoContent, "DELETE", "policies/%2F/none", "")
	has("jobs.1", 2)
	if v := a.want(http.StatusOK, "GET", "policies/%2F", ""); at(v, 0, "name") != "short" || at(v, 0, "apply-to") != "queues" || at(v, 0, "definition", "max-length") != 2.0 || at(v, 1) != nil {
		t.Error(v)
	}
	d := a.want(http.StatusOK, "GET", "definitions", "")
	if at(d, "policies", 0, "name") != "short" {
		t.Error(at(d, "policies"))
	}
	a.want(http.StatusNoContent, "DELETE", "policies/%2F/short", "")
	a.want(http.StatusNotFound, "DELETE", "policies/%2F/short", "")
	a.want(http.StatusNotFound, "GET", "policies/%2F/short", "")
	put("jobs.1", "6")
	has("jobs.1", 3)
	a.want(http.StatusNoContent, "POST", "definitions", `{"policies":[{"vhost":"/","name":"again","pattern":"^jobs","definition":{"max-length":1},"priority":0}]}`)
	has("jobs.1", 1)
}

// A virtual host is made, is apart from others, and goes with all that is in it.
func TestVhosts_AreMadeAndGo(t *testing.T) {
	a := serve(t, newGateway(t, false))
	a.want(http.StatusNotFound, "GET", "vhosts/rabbit%2Fhole", "")
	a.want(http.StatusCreated, "PUT", "vhosts/rabbit%2Fhole", "{}")
	a.want(http.StatusNoContent, "PUT", "vhosts/rabbit%2Fhole", "{}")
	a.want(http.StatusNoContent, "PUT", "vhosts/%2F", "{}")
	if v := a.want(http.StatusOK, "GET", "vhosts/rabbit%2Fhole", ""); at(v, "name") != "rabbit/hole" {
		t.Error(v)
	}
	a.want(http.StatusCreated, "PUT", "exchanges/rabbit%2Fhole/shop", `{"type":"fanout"}`)
	a.want(http.StatusCreated, "PUT", "queues/rabbit%2Fhole/orders", "{}")
	a.want(http.StatusCreated, "POST", "bindings/rabbit%2Fhole/e/shop/q/orders", "{}")
	a.want(http.StatusOK, "POST", "exchanges/rabbit%2Fhole/shop/publish", `{"properties":{},"routing_key":"k","payload":"x","payload_encoding":"string"}`)
	a.want(http.StatusNotFound, "GET", "queues/%2F/orders", "")
	a.want(http.StatusCreated, "PUT", "queues/%2F/orders", "{}")
	a.want(http.StatusBadRequest, "DELETE", "vhosts/%2F", "")
	a.want(http.StatusNoContent, "DELETE", "vhosts/rabbit%2Fhole", "")
	a.want(http.StatusNotFound, "GET", "vhosts/rabbit%2Fhole", "")
	a.want(http.StatusNotFound, "DELETE", "vhosts/rabbit%2Fhole", "")
	a.want(http.StatusNotFound, "GET", "queues/rabbit%2Fhole/orders", "")
	a.want(http.StatusOK, "GET", "queues/%2F/orders", "")
	a.want(http.StatusCreated, "PUT", "vhosts/rabbit%2Fhole", "{}")
	if v := a.want(http.StatusOK, "GET", "queues/rabbit%2Fhole", ""); at(v, 0) != nil {
		t.Error(v)
	}
}
