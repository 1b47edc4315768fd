package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A team moves: topics and groups are copied, and after the switch producers go on here.
func TestLink(t *testing.T) {
	there, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(there.ListenAddrs()...), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	produce := func(n int) {
		t.Helper()
		for i := range n {
			cl.Produce(context.Background(), kgo.StringRecord(fmt.Sprint(i)), nil)
		}
		if err := cl.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	produce(20)
	dir := t.TempDir()
	url, stop := realNode(t, dir)
	c := cli{url: url}
	if _, errs, code := c.run(context.Background(), "", "link", "b1:9092"); code != exitUsage || !strings.Contains(errs, "kafka://HOST:PORT") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if _, errs, code := c.run(context.Background(), "", "link", "kafka://b1:9092", "--user", "u"); code != exitUsage || !strings.Contains(errs, "LEAT_LINK_PASSWORD") {
		t.Errorf("exit %d, %s", code, errs)
	}
	c.must(t, "", "link kafka://"+there.ListenAddrs()[0]+" --name move --topics ord*")
	until := func(want string) {
		t.Helper()
		for began := time.Now(); !strings.Contains(c.must(t, "", "link show move"), want); time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("no %q in %s", want, c.must(t, "", "link show move"))
			}
		}
	}
	until("orders\t0\t20\t20\t0")
	if _, errs, code := c.run(context.Background(), "x", "publish", "orders"); code == exitOK || !strings.Contains(errs, `link "move"`) {
		t.Errorf("exit %d, %s", code, errs)
	}
	c.must(t, "", "link pause move")
	until("state\tpaused")
	produce(5)
	stop() // what is paused stays so, what goes on goes on
	url, _ = realNode(t, dir)
	c.url = url
	until("state\tpaused")
	c.must(t, "", "link resume move")
	until("orders\t0\t25\t25\t0")
	if out := c.must(t, "", "link list"); !strings.Contains(out, "\tcopying\t1\t0\t0\t5\t0") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "link switch move"); !strings.Contains(out, "mode\tswitched") {
		t.Errorf("%s", out)
	}
	c.must(t, "x", "publish orders")
	if _, errs, code := c.run(context.Background(), "", "link", "resume", "move"); code == exitOK || !strings.Contains(errs, "switched") {
		t.Errorf("exit %d, %s", code, errs)
	}
	c.must(t, "", "link delete move --yes")
	if out := c.must(t, "", "read orders"); strings.Count(out, "\n") != 26 {
		t.Errorf("%s", out)
	}
}
