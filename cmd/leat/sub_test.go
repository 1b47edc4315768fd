package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// delivered is one line of sub receive.
type delivered struct {
	Handle  string
	ID      string
	Attempt int
	Ref     string
	Event   struct {
		Data json.RawMessage
		Type string
	}
}

func readDelivered(t *testing.T, out string) (ds []delivered) {
	t.Helper()
	for line := range strings.Lines(out) {
		var d delivered
		if err := json.Unmarshal([]byte(line), &d); err != nil || d.Handle == "" || d.Attempt < 1 || d.Ref == "" {
			t.Fatalf("%q is no delivery: %v", line, err)
		}
		ds = append(ds, d)
	}
	return ds
}

func datas(ds []delivered) (out []string) {
	for _, d := range ds {
		out = append(out, string(d.Event.Data))
	}
	slices.Sort(out)
	return out
}

// A worker's session: what was received is acked, released, rejected, renewed; an ack outlives the node.
func TestSub_Work(t *testing.T) {
	dir := t.TempDir()
	url, stop := realNode(t, dir)
	c := cli{url: url}
	c.must(t, "0\n", "publish orders --lines") // before the subscription: it never sees it
	if out := c.must(t, "", "sub create mails --stream orders --lease 1m --backoff 1ms --attempts 5"); !strings.Contains(out, "streams\t[\"orders\"]\n") || !strings.Contains(out, "lease_ms\t60000\n") || !strings.Contains(out, "waiting\t0\n") {
		t.Errorf("%s", out)
	}
	c.must(t, "1\n2\n3\n4\n5\n", "publish orders --lines")
	out := c.must(t, "", "sub receive mails --max 3")
	first := readDelivered(t, out)
	if diff := cmp.Diff(datas(first), []string{"1", "2", "3"}); diff != "" {
		t.Fatal(diff)
	}
	if got := c.must(t, out, "sub ack mails -"); got != "outcome\thandles\ndone\t3\n" { // as a worker passes deliveries on
		t.Errorf("%q", got)
	}
	if got := c.must(t, "", "sub ack mails "+first[0].Handle+" "+first[1].Handle); got != "outcome\thandles\nalready\t2\n" {
		t.Errorf("%q", got)
	}
	rest := readDelivered(t, c.must(t, "", "sub receive mails -n 10 --lease 2m"))
	if diff := cmp.Diff(datas(rest), []string{"4", "5"}); diff != "" {
		t.Fatal(diff)
	}
	c.must(t, "", "sub renew mails --lease 5m "+rest[0].Handle)
	c.must(t, "\n"+rest[0].Handle+"\n\n", "sub release mails --uncounted --after 0s -")
	again := readDelivered(t, c.must(t, "", "sub receive mails --max 10 --ack"))
	if len(again) != 1 || again[0].ID != rest[0].ID {
		t.Errorf("released: %+v", again)
	}
	c.must(t, "", "sub reject mails "+rest[1].Handle)
	if out := c.must(t, "", "sub describe mails"); !strings.Contains(out, "\nwaiting\t0\n") || !strings.Contains(out, "\nacked\t4\n") || !strings.Contains(out, "\ndead\t1\n") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "sub explain mails orders/0/1"); !strings.Contains(out, "reads\ttrue\n") || !strings.Contains(out, "state\tsettled\n") {
		t.Errorf("%s", out)
	}
	stop()
	c.url, _ = realNode(t, dir)
	if out, errs, code := c.run(t.Context(), "", "sub", "receive", "mails", "--max", "10", "--wait", "0s"); code != exitLater || out != "" || !strings.Contains(errs, "nothing came") || !strings.Contains(errs, "next: ") {
		t.Errorf("after a restart: exit %d: %s%s", code, out, errs)
	}
	c.must(t, "", "sub rewind mails --to earliest --yes")
	if got := datas(readDelivered(t, c.must(t, "", "sub receive mails --max 10"))); len(got) != 6 {
		t.Errorf("rewound: %v", got)
	}
	if _, errs, code := c.run(t.Context(), "", "sub", "ack", "mails", first[0].Handle); code != exitConflict || !strings.Contains(errs, "1 of 1 handles came to nothing") {
		t.Errorf("a handle from before the rewind: exit %d: %s", code, errs)
	}
	c.must(t, "", "sub delete mails --yes")
	if _, errs, code := c.run(t.Context(), "", "sub", "describe", "mails"); code != exitNotFound {
		t.Errorf("deleted: exit %d: %s", code, errs)
	}
}

func TestSub_SettingsAndLists(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "", "stream create dead")
	c.must(t, "", "sub create placed --stream orders --type order.placed --type refund.# --order key --dead-letters dead --attempts 3 --set jitter_percent=20")
	c.must(t, "", "sub create all --stream orders --where true --from earliest")
	if out := c.must(t, "", "sub list"); !strings.HasPrefix(out, "name\tstreams\torder\tdead_letters\tsuspended\tcreated\nall\t[\"orders\"]\tnone\t\tfalse\t") || strings.Count(out, "\n") != 3 {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "sub list --prefix pl"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "placed\t[\"orders\"]\tkey\tdead\tfalse") {
		t.Errorf("%s", out)
	}
	c.must(t, "", "sub create placed --lease 1h") // what is not mentioned stays
	var got struct {
		Config struct {
			Order, Lease  string
			JitterPercent int `json:"jitter_percent"`
			LeaseMS       int `json:"lease_ms"`
			MaxAttempts   int `json:"max_attempts"`
			Address       []struct{ Type map[string]string }
		}
	}
	if err := json.Unmarshal([]byte(c.must(t, "", "sub describe placed -o json")), &got); err != nil {
		t.Fatal(err)
	}
	if g := got.Config; g.Order != "key" || g.JitterPercent != 20 || g.LeaseMS != 3600_000 || g.MaxAttempts != 3 || len(g.Address) != 2 || g.Address[0].Type["exact"] != "order.placed" || g.Address[1].Type["words"] != "refund.#" {
		t.Errorf("%+v", g)
	}
	c.must(t, "", "publish orders 1 --type order.placed")
	c.must(t, "", "publish orders 2 --type order.paid")
	c.must(t, "", "sub suspend placed")
	if out, _, code := c.run(t.Context(), "", "sub", "receive", "placed", "--wait", "0s"); code != exitLater {
		t.Errorf("suspended: exit %d: %s", code, out)
	}
	c.must(t, "", "sub resume placed")
	if ds := readDelivered(t, c.must(t, "", "sub receive placed --max 5")); len(ds) != 1 || ds[0].Event.Type != "order.placed" {
		t.Errorf("%+v", ds)
	}
	for words, want := range map[string]string{"sub describe ": "all placed", "sub receive p": "placed", "sub ack al": "all", "sub ack all ": "", "sub create x --order ": "key none total", "dlq list ": "all placed"} {
		out, _, _ := c.run(t.Context(), "", append([]string{"__complete"}, strings.Split(words, " ")...)...)
		lines := strings.Split(out, "\n")
		lines = lines[:max(0, slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, ":") }))]
		if slices.Sort(lines); strings.Join(lines, " ") != want {
			t.Errorf("completing %q: %q, want %q", words, lines, want)
		}
	}
}

// receive --follow | work | ack -: each is settled as it comes, and a node that is away for a while is waited for.
func TestSub_FollowAndAck(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "", "sub create mails --stream orders")
	at, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(at)
	var receives, acks atomic.Int32
	flaky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/receive") && receives.Add(1) == 2 {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/ack") && acks.Add(1) == 2 {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		proxy.ServeHTTP(w, r)
	}))
	defer flaky.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	received := make(chan int, 1)
	var away safeBuffer
	go func() {
		received <- cli{url: flaky.URL}.runTo(ctx, "", w, &away, "sub", "receive", "mails", "--follow", "--max", "10")
		w.Close()
	}()
	acked := make(chan int, 1)
	var out, errs safeBuffer
	go func() {
		a := &app{in: r, out: &out, err: &errs, env: func(k string) string { return map[string]string{"LEAT_URL": flaky.URL}[k] }}
		acked <- a.run(context.Background(), []string{"sub", "ack", "mails", "-"})
	}()
	for n := 1; n <= 3; n++ {
		c.must(t, "", fmt.Sprint("publish orders ", n))
		want := fmt.Sprintf("\nacked\t%d\n", n)
		for deadline := time.Now().Add(60 * time.Second); !strings.Contains(c.must(t, "", "sub describe mails"), want); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("event %d was not acked: %s", n, errs.String())
			}
		}
	}
	cancel()
	if code := <-received; code != exitOK || !strings.Contains(away.String(), "going on in") {
		t.Errorf("following ended with %d: %s", code, away.String())
	}
	if code := <-acked; code != exitOK || out.String() != "outcome\thandles\ndone\t3\n" || !strings.Contains(errs.String(), "trying again in") {
		t.Errorf("acking ended with %d: %s%s", code, out.String(), errs.String())
	}
}

func TestSub_WrongLines(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "", "sub create mails --stream orders")
	for _, s := range []struct {
		args, stdin string
		code        int
		err         string
	}{
		{args: "sub create x", code: exitFailed, err: "stream"},
		{args: "sub create x --stream never", code: exitNotFound, err: "never"},
		{args: "sub create x --stream orders --where (", code: exitFailed, err: "where"},
		{args: "sub create x --stream orders --order sideways", code: exitFailed, err: "order"},
		{args: "sub create x --stream orders --lease -1s", code: exitUsage, err: "--lease"},
		{args: "sub create x --stream orders --lease 1us", code: exitUsage, err: "--lease"},
		{args: "sub create x --stream orders --type a*b", code: exitUsage, err: "--type a*b"},
		{args: "sub create x --stream orders --set nothing", code: exitUsage, err: "NAME=JSON"},
		{args: "sub receive mails --max 0", code: exitUsage, err: "from 1 to 1000"},
		{args: "sub receive mails --max 1001", code: exitUsage, err: "from 1 to 1000"},
		{args: "sub receive mails --wait 6m", code: exitUsage, err: "--wait"},
		{args: "sub receive mails --wait 1s --follow", code: exitUsage, err: "leave --wait out"},
		{args: "sub receive mails --lease -1s", code: exitUsage, err: "--lease"},
		{args: "sub receive never --follow", code: exitNotFound, err: "next: leat sub list"},
		{args: "sub receive never --follow --url 127.0.0.1:1", code: exitUnreachable, err: "is the node running"},
		{args: "sub ack mails", code: exitUsage, err: "argument is missing"},
		{args: "sub ack mails made-up", code: exitFailed, err: "handle"},
		{args: "sub ack mails -", stdin: "{\"event\":{}}\n", code: exitUsage, err: "line 1:"},
		{args: "sub ack mails -", stdin: "{broken\n", code: exitUsage, err: "line 1:"},
		{args: "sub ack mails -", stdin: "\n\n", code: exitOK},
		{args: "sub renew mails x", code: exitUsage, err: "--lease says"},
		{args: "sub release mails --after -1s x", code: exitUsage, err: "--after"},
		{args: "sub rewind mails", code: exitUsage, err: "--to says"},
		{args: "sub rewind mails --to -1h", code: exitUsage, err: "--yes"},
		{args: "sub rewind mails --to nowhere --yes", code: exitFailed, err: "nowhere"},
		{args: "sub explain mails orders", code: exitUsage, err: "orders/0/1234"},
		{args: "sub delete mails", code: exitUsage, err: "--yes"},
		{args: "sub sispend mails", code: exitUsage, err: "leat sub suspend --help"},
	} {
		out, errs, code := c.run(t.Context(), s.stdin, strings.Fields(s.args)...)
		if code != s.code || !strings.Contains(errs, s.err) || out != "" {
			t.Errorf("leat %s: exit %d, want %d: %s%s", s.args, code, s.code, out, errs)
		}
	}
}

func TestSub_DeletingHasTheNameTyped(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "", "sub create mails --stream orders")
	c.terminal = true
	if _, errs, code := c.run(t.Context(), "males\n", "sub", "delete", "mails"); code != exitUsage || !strings.Contains(errs, "for good") {
		t.Errorf("a wrong name: exit %d: %s", code, errs)
	}
	if _, errs, code := c.run(t.Context(), "mails\n", "sub", "delete", "mails"); code != exitOK {
		t.Errorf("the right name: exit %d: %s", code, errs)
	}
}

func TestSubPattern(t *testing.T) {
	for text, want := range map[string]string{
		"order.placed": "exact", "item-*": "prefix", "*": "words", "#": "words", "order.*": "words", "a.#": "words", "a/+/b": "levels", "a/#": "levels", "a/b": "exact", "": "exact", "a+b": "exact",
	} {
		p, err := subPattern("key", text)
		if _, ok := p[want]; err != nil || !ok || len(p) != 1 {
			t.Errorf("%q: %v, %v; want %s", text, p, err, want)
		}
	}
	if p, _ := subPattern("key", "item-*"); p["prefix"] != "item-" {
		t.Errorf("%v", p)
	}
}

// A subscription sees what is appended from its creation on, unless --from says where it begins.
func TestSub_From(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "1\n2\n3\n", "publish orders --lines")
	asked := []struct{ from, first string }{
		{"", "orders/0/3"}, {" --from latest", "orders/0/3"}, {" --from earliest", "orders/0/0"}, {" --from offset:2", "orders/0/2"},
	}
	for i, x := range asked {
		c.must(t, "", fmt.Sprintf("sub create s%d --order total --stream orders%s", i, x.from))
	}
	c.must(t, "4\n", "publish orders --lines")
	for i, x := range asked {
		ds := readDelivered(t, c.must(t, "", fmt.Sprintf("sub receive s%d --max 1 --wait 5s", i)))
		if len(ds) != 1 || ds[0].Ref != x.first {
			t.Errorf("%q: %+v, not %s", x.from, ds, x.first)
		}
	}
}
