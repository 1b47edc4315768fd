package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leat/node"
)

func TestQueueAndGroup(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	out, errs, code := c.run(context.Background(), "", "queue", "ls")
	if code != exitOK || !strings.Contains(errs, "there are no queues") || out != "name\tdepth\tunacked\tdelayed\tconsumers\tof\tstreams\tdead_letters\n" {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	c.must(t, "", "stream create orders")
	c.must(t, "", "sub create mails --stream orders --lease 1m")
	c.must(t, "", "sub create bills --stream orders --delay 1h")
	c.must(t, "1\n2\n3\n", "publish orders --lines")
	c.must(t, "", "sub receive mails --max 2")
	out = c.must(t, "", "queue ls")
	if !strings.Contains(out, "mails\t3\t2\t0\t") || !strings.Contains(out, "bills\t3\t0\t") {
		t.Fatalf("%s", out)
	}
	c.must(t, "", "sub create new --shadow-of mails")
	if out = c.must(t, "", "queue ls"); !strings.Contains(out, "new\t0\t0\t0\t0\tshadow\t") {
		t.Fatalf("%s", out)
	}
	if out = c.must(t, "", "queue ls --prefix b"); strings.Contains(out, "mails") {
		t.Fatalf("%s", out)
	}
	if _, errs, code = c.run(context.Background(), "", "group", "ls"); code != exitOK || !strings.Contains(errs, "no groups") {
		t.Fatalf("%d %q", code, errs)
	}
}

// A push is made, watched, changed and ended from the command line.
func TestSub_Push(t *testing.T) {
	var got atomic.Int32
	var header atomic.Value
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header.Store(r.Header.Clone())
		got.Add(1)
		if r.URL.Path == "/bad" {
			w.WriteHeader(500)
		}
	}))
	t.Cleanup(hook.Close)
	url, _ := configuredNode(t, func(c *node.Config) { c.Outbound.Allow = []string{"127.0.0.1"} })
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	out := c.must(t, "", "sub create shop --stream orders --backoff 10ms --attempts 2 --push "+hook.URL+"/bad --push-secret --push-header X-A:b --push-rate 1000 --push-concurrency 2")
	secret := regexp.MustCompile(`new_secret\t(whsec_\S+)`).FindStringSubmatch(out)
	if secret == nil || !strings.Contains(out, "push_url\t"+hook.URL+"/bad\n") {
		t.Fatalf("%s", out)
	}
	c.must(t, "1\n", "publish orders --lines")
	until(t, func() bool { return strings.Contains(c.must(t, "", "sub describe shop"), "dead\t1\n") })
	out = c.must(t, "", "sub describe shop")
	if !strings.Contains(out, "it answered 500") || strings.Contains(out, secret[1]) || header.Load().(http.Header).Get("X-A") != "b" {
		t.Fatalf("%s %v", out, header.Load())
	}
	c.must(t, "", "sub create shop --push "+hook.URL+"/good --push-format structured")
	c.must(t, "2\n", "publish orders --lines")
	until(t, func() bool { return strings.Contains(c.must(t, "", "sub describe shop"), "push_delivered\t1\n") })
	if out = c.must(t, "", "queue ls"); !strings.Contains(out, "\twebhook\t") {
		t.Errorf("%s", out)
	}
	if _, _, code := c.run(context.Background(), "", "sub", "create", "shop", "--no-push", "--push-rate", "1"); code == exitOK {
		t.Error("--no-push goes with --push-rate")
	}
	if out = c.must(t, "", "sub create shop --no-push"); strings.Contains(out, "push") {
		t.Errorf("%s", out)
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it does not come to that")
}

func TestConnect(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	if out := c.must(t, "", "connect http --lang python --stream orders"); !strings.Contains(out, `"`+url+`/v1/streams/orders"`) {
		t.Errorf("%s", out)
	}
	for args, want := range map[string]string{
		"connect kafka":                   "does not listen for kafka; it does for http", // this node has no other listener
		"connect mqtt":                    "none of kafka, amqp, aws, http",
		"connect http --lang cobol":       "one of go, java, python, js",
		"--namespace other connect kafka": "namespace of their user",
	} {
		if _, errs, code := c.run(context.Background(), "", strings.Fields(args)...); code == exitOK || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %s", args, code, errs)
		}
	}
}
