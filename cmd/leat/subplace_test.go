package main

import (
	"strings"
	"testing"
)

func TestSub_CancelAndRewindOfSome(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	for _, s := range []string{"orders", "dead"} {
		c.must(t, "", "stream create "+s)
	}
	c.must(t, "", "sub create late --stream orders --delay 1h")
	c.must(t, "", "sub create mails --stream orders --lease 1m --dead-letters dead")
	c.must(t, "1\n", "publish orders --lines --key a")
	c.must(t, "2\n", "publish orders --lines --key b")
	if out := c.must(t, `{"ref":"orders/0/0"}`+"\n", "sub cancel late -"); out != "outcome\trefs\ndone\t1\n" {
		t.Errorf("%q", out)
	}
	if out := c.must(t, "", "sub cancel late orders/0/0"); out != "outcome\trefs\nalready\t1\n" {
		t.Errorf("%q", out)
	}
	ds := readDelivered(t, c.must(t, "", "sub receive mails --max 2"))
	if len(ds) != 2 {
		t.Fatal(ds)
	}
	if _, errs, code := c.run(t.Context(), "", "sub", "cancel", "mails", "orders/0/1"); code != exitConflict || !strings.Contains(errs, "1 of 1 refs came to nothing") {
		t.Errorf("somebody has it: exit %d: %s", code, errs)
	}
	c.must(t, "", "sub ack mails "+ds[0].Handle)
	c.must(t, "", "sub reject mails "+ds[1].Handle)
	if out := c.must(t, "", "sub rewind mails --to earliest --key a"); out != "subscription\treplayed\nmails\t1\n" {
		t.Errorf("%q", out)
	}
	if got := datas(readDelivered(t, c.must(t, "", "sub receive mails --ack"))); len(got) != 1 || got[0] != "1" {
		t.Errorf("%v", got)
	}
	for range 10_000 { // it is buried in the background
		if out := c.must(t, "", "dlq list mails"); strings.Count(out, "\n") == 2 {
			break
		}
	}
	if out := c.must(t, "", "sub rewind mails --to earliest --failed --per-second 100"); out != "subscription\treplayed\nmails\t1\n" {
		t.Errorf("%q", out)
	}
	if got := datas(readDelivered(t, c.must(t, "", "sub receive mails --ack --wait 20s"))); len(got) != 1 || got[0] != "2" {
		t.Errorf("%v", got)
	}
	for _, args := range []string{"sub rewind mails --to earliest --key a --failed", "sub rewind mails --to earliest --per-second 1", "sub cancel mails orders"} {
		if _, errs, code := c.run(t.Context(), "", strings.Fields(args)...); code != exitUsage {
			t.Errorf("%s: exit %d: %s", args, code, errs)
		}
	}
}

func TestSub_Positions(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "1\n2\n3\n", "publish orders --lines")
	c.must(t, "", "sub create report --kind cursor --stream orders --from earliest")
	if out := c.must(t, "", "sub positions report"); !strings.Contains(out, "\norders\t0\t0\t3\t0\t3\n") {
		t.Errorf("%s", out)
	}
	c.must(t, "", "sub commit report orders/0/2 --metadata mine")
	if out := c.must(t, "", "sub positions report --stream orders"); !strings.Contains(out, "\norders\t0\t2\t1\t0\t3\t") || !strings.Contains(out, "\tmine\n") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "group ls"); !strings.Contains(out, "report\t1\t") {
		t.Errorf("%s", out)
	}
	for args, want := range map[string]int{"sub commit report orders/0": exitUsage, "sub commit report nosuch/0/1": exitFailed} {
		if _, errs, code := c.run(t.Context(), "", strings.Fields(args)...); code != want {
			t.Errorf("%s: exit %d: %s", args, code, errs)
		}
	}
	c.must(t, "", "sub create work --stream orders --members exclusive --backlog-limit 7")
	if out := c.must(t, "", "sub describe work"); !strings.Contains(out, "members\texclusive\n") || !strings.Contains(out, "backlog_limit\t7\n") {
		t.Errorf("%s", out)
	}
}
