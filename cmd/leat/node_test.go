package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"leat/node"
)

// realNode is a node in memory, or on a data directory.
func realNode(t *testing.T, data string) (url string, stop func()) {
	t.Helper()
	n, err := node.Open(node.Options{
		Data: data, Protocols: protocols(), Listen: map[string]string{"http": "127.0.0.1:0"}, Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return "http://" + n.Addr("http"), stop
}

// must runs a command line that has to succeed.
func (c cli) must(t *testing.T, stdin string, args string) string {
	t.Helper()
	out, errs, code := c.run(context.Background(), stdin, strings.Fields(args)...)
	if code != exitOK {
		t.Fatalf("leat %s: exit %d: %s", args, code, errs)
	}
	return out
}

func TestAudit(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders")
	c.must(t, "", "publish orders hello")
	c.must(t, "a\nb\n", "publish orders --lines")
	if out := c.must(t, "", "audit --ref orders/0/2"); !strings.Contains(out, "gateway\thttp\n") || !strings.Contains(out, "client\tleat/") {
		t.Errorf("ref: %s", out)
	}
	var out string
	for range 100 { // changes are there when the writer has come to them
		if out = c.must(t, "", "audit --stream orders --since -1h"); strings.Contains(out, "leat.stream.created") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !strings.Contains(out, "appended\torders") || !strings.Contains(out, "\t3\t") || !strings.Contains(out, "leat.stream.created\torders") {
		t.Errorf("stream: %s", out)
	}
	if out := c.must(t, "", "audit --principal leat -o json"); !strings.Contains(out, `"type":"leat.node.started"`) {
		t.Errorf("principal: %s", out)
	}
	for args, code := range map[string]int{"audit": exitUsage, "audit --ref a --stream b": exitUsage, "audit --stream never": exitNotFound, "audit --stream orders --since then": exitFailed} {
		if _, errs, got := c.run(context.Background(), "", strings.Fields(args)...); got != code {
			t.Errorf("leat %s: exit %d, %s", args, got, errs)
		}
	}
}
