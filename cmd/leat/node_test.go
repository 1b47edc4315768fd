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
	return openNode(t, node.Options{Data: data, Protocols: protocols()})
}

// configuredNode is a node in memory with some settings changed.
func configuredNode(t *testing.T, change func(*node.Config)) (url string, stop func()) {
	t.Helper()
	ps := protocols()
	cfg := node.DefaultConfig(ps)
	change(cfg)
	return openNode(t, node.Options{Config: cfg, Protocols: ps})
}

func openNode(t *testing.T, o node.Options) (url string, stop func()) {
	t.Helper()
	n, err := node.Open(node.Options{
		Data: o.Data, Config: o.Config, Protocols: o.Protocols, Listen: map[string]string{"http": "127.0.0.1:0"}, Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
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

func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	url, stop := realNode(t, dir)
	c := cli{url: url}
	c.must(t, "", "publish s x")
	out, errs, code := c.run(context.Background(), "", "doctor")
	if code > exitFailed || !strings.Contains(out, "shard 0: journal") || !strings.Contains(out, "stage\tsync") || (code == exitOK) != !strings.Contains(errs, "needs a hand") {
		t.Errorf("exit %d: %s %s", code, out, errs)
	}
	if out, _, _ := c.run(context.Background(), "", "doctor", "-o", "json"); !strings.Contains(out, `"findings":[`) || !strings.Contains(out, `"running":true`) {
		t.Errorf("json: %s", out)
	}
	if out, _, _ := c.run(context.Background(), "", "doctor", "--data", dir); !strings.Contains(out, "a node runs on this directory") {
		t.Errorf("beside a running node: %s", out)
	}
	stop()
	if _, errs, code := c.run(context.Background(), "", "doctor"); code != exitUnreachable || !strings.Contains(errs, "--data DIR") {
		t.Errorf("stopped: exit %d: %s", code, errs)
	}
	if out, _, code := c.run(context.Background(), "", "doctor", "--data", dir); code > exitFailed || !strings.Contains(out, "leat journal check") {
		t.Errorf("stopped: exit %d: %s", code, out)
	}
	if _, _, code := c.run(context.Background(), "", "doctor", "--data", t.TempDir()); code != exitFailed {
		t.Errorf("no data directory: exit %d", code)
	}
}
