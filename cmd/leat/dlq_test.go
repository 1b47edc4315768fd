package main

import (
	"strings"
	"testing"
	"time"
)

// What was rejected and what is out of attempts can be looked at, and replayed to its subscription only.
func TestDlq(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "", "stream create dead")
	c.must(t, "", "sub create mails --stream orders --attempts 1 --dead-letters dead")
	c.must(t, "", "sub create other --stream orders --dead-letters dead")
	if out := c.must(t, "", "dlq list mails -o json"); out != "[]\n" {
		t.Errorf("%q", out)
	}
	c.must(t, "1\n2\n3\n", "publish orders --lines --type order.placed")
	ds := readDelivered(t, c.must(t, "", "sub receive mails --max 3"))
	if len(ds) != 3 {
		t.Fatalf("%+v", ds)
	}
	c.must(t, "", "sub reject mails "+ds[0].Handle+" "+ds[1].Handle)
	c.must(t, "", "sub release mails --after 0s "+ds[2].Handle) // its one attempt has failed
	c.must(t, c.must(t, "", "sub receive other --max 3"), "sub ack other -")
	var out string
	for range 10000 { // they are written by and by
		if out = c.must(t, "", "dlq list mails"); strings.Count(out, "\n") == 4 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if !strings.HasPrefix(out, "ref\treason\tattempts\torigin\tdied\t") || strings.Count(out, "\trejected\t1\torders/0/") != 2 || strings.Count(out, "\texhausted\t1\torders/0/") != 1 || strings.Count(out, "\torder.placed") != 3 {
		t.Fatalf("%s", out)
	}
	if out, errs, _ := c.run(t.Context(), "", "dlq", "list", "mails", "--limit", "2"); strings.Count(out, "\n") != 3 || !strings.Contains(errs, "--limit 0") {
		t.Errorf("%s%s", out, errs)
	}
	if out := c.must(t, "", "dlq list mails --from latest"); strings.Count(out, "\n") != 1 {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "dlq list mails --causes"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "\n2\trejected\torder.placed\t") || !strings.Contains(out, "\n1\texhausted\torder.placed\t") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "dlq list other"); strings.Count(out, "\n") != 1 {
		t.Errorf("another's: %s", out)
	}
	if out := c.must(t, "", "dlq show dead/0/0"); !strings.Contains(out, `"type":"order.placed"`) {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "{\"ref\":\"dead/0/1\"}\n", "dlq replay mails -"); !strings.HasSuffix(out, "mails\t1\t1\n") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "dlq replay mails --all"); !strings.HasSuffix(out, "mails\t2\t3\n") { // one waits already
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "dlq drop mails dead/0/1"); !strings.HasSuffix(out, "mails\t1\n") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "dlq list mails"); strings.Count(out, "\n") != 3 || strings.Contains(out, "dead/0/1") {
		t.Errorf("%s", out)
	}
	c.must(t, "", "dlq drop mails --all")
	if out := c.must(t, "", "dlq list mails"); strings.Count(out, "\n") != 1 {
		t.Errorf("%s", out)
	}
	if got := readDelivered(t, c.must(t, "", "sub receive mails --max 10")); len(got) != 3 {
		t.Errorf("replayed: %+v", got)
	}
	if _, _, code := c.run(t.Context(), "", "sub", "receive", "other", "--wait", "0s"); code != exitLater {
		t.Errorf("another subscription was handed a replay: exit %d", code)
	}
}

func TestDlq_WrongLines(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "", "sub create mails --stream orders")
	for _, s := range []struct {
		args, stdin string
		code        int
		err         string
	}{
		{args: "dlq replay mails", code: exitUsage, err: "--all"},
		{args: "dlq replay mails --all dead/0/1", code: exitUsage, err: "--all"},
		{args: "dlq replay mails dead", code: exitUsage, err: "no ref"},
		{args: "dlq replay mails orders/0/0", code: exitNotFound},
		{args: "dlq replay mails -", stdin: "{}\n", code: exitUsage, err: "line 1:"},
		{args: "dlq show dead", code: exitUsage, err: "no ref"},
		{args: "dlq list never", code: exitNotFound, err: "never"},
		{args: "dlq list mails --limit -1", code: exitUsage, err: "--limit"},
		{args: "dlq replay mails --from -1h dead/0/1", code: exitUsage, err: "--from goes with --all"},
	} {
		out, errs, code := c.run(t.Context(), s.stdin, strings.Fields(s.args)...)
		if code != s.code || !strings.Contains(errs, s.err) || out != "" {
			t.Errorf("leat %s: exit %d, want %d: %s%s", s.args, code, s.code, out, errs)
		}
	}
}

// A consumer group gives events up one by one and goes on; they come back to a stream that is named.
func TestDlq_OfACursor(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "", "stream create billing.retry")
	c.must(t, "", "sub create billing --kind cursor --stream orders")
	c.must(t, "1\n2\n3\n", "publish orders --lines --type order.placed")
	if out := c.must(t, "", "dlq add billing orders/0/1 --reason nobody"); !strings.HasSuffix(out, "billing.dead-letters/0/0\torders/0/1\tfalse\n") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "dlq add billing orders/0/1 orders/0/2"); !strings.Contains(out, "\torders/0/1\ttrue\n") || !strings.Contains(out, "billing.dead-letters/0/1\torders/0/2\tfalse\n") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "dlq list billing"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "billing.dead-letters/0/0\tnobody\t1\torders/0/1\t") {
		t.Errorf("%s", out)
	}
	if _, errs, code := c.run(t.Context(), "", "dlq", "replay", "billing", "--all"); code == 0 || !strings.Contains(errs, "positions") {
		t.Errorf("%d %s", code, errs)
	}
	if out := c.must(t, "", "dlq replay billing --all --to billing.retry"); !strings.HasSuffix(out, "billing\t2\t2\n") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "read billing.retry"); strings.Count(out, `"type":"order.placed"`) != 2 || strings.Contains(out, "leat-dead") {
		t.Errorf("%s", out)
	}
	// What there must not be, by flags.
	if _, errs, code := c.run(t.Context(), "", "publish", "users", "ann", "--type", "user.registered", "--tag", "name:ann", "--unless", "type=user.registered tag=name:ann"); code != exitOK {
		t.Fatal(errs)
	}
	if _, errs, code := c.run(t.Context(), "", "publish", "users", "ann", "--type", "user.registered", "--tag", "name:ann", "--unless", "type=user.registered tag=name:ann"); code != 6 || !strings.Contains(errs, "users/0/0") {
		t.Errorf("%d %s", code, errs)
	}
	if out := c.must(t, "", "read users --tag name:ann"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"tags":"name:ann"`) {
		t.Errorf("%s", out)
	}
}
