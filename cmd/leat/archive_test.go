package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leat/node"
)

// archivingNode is a node on a data directory with an archive.
func archivingNode(t *testing.T, data, config string) (url string, stop func()) {
	t.Helper()
	cfg, err := nodeConfig(config, protocols())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Journal.RingBytes = 0
	n, err := node.Open(node.Options{
		Data: data, Config: cfg, Protocols: protocols(), Listen: map[string]string{"http": "127.0.0.1:0"}, Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
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

func TestArchive_ThereAndBack(t *testing.T) {
	dir := t.TempDir()
	archive, config := filepath.Join(dir, "archive"), filepath.Join(dir, "leat.yaml")
	text := "archive: {url: \"file://" + filepath.ToSlash(archive) + "\", packs: {pack_age: 20ms}, keys: {access_key: a, secret_key: \"${LEAT_TEST_SECRET}\"}}\n"
	t.Setenv("LEAT_TEST_SECRET", "hush")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := cli{}
	if out := c.must(t, "", "config --config "+config); strings.Contains(out, "hush") || !strings.Contains(out, "(hidden)") {
		t.Errorf("leat config shows a secret: %s", out)
	}
	url, stop := archivingNode(t, filepath.Join(dir, "data"), config)
	c.url = url
	c.must(t, "", "stream create orders --keys history")
	var first struct{ Position string }
	if err := json.Unmarshal([]byte(c.must(t, "", "publish orders one --key k -o json")), &first); err != nil || first.Position == "" {
		t.Fatalf("position %q, %v", first.Position, err)
	}
	if out := c.must(t, "", "archive checkpoint"); !strings.Contains(out, "seq") || strings.Count(out, "\n") != 2 {
		t.Errorf("checkpoint: %s", out)
	}
	time.Sleep(10 * time.Millisecond)
	var second struct{ Position string }
	if err := json.Unmarshal([]byte(c.must(t, "", "publish orders two --key k -o json")), &second); err != nil {
		t.Fatal(err)
	}
	if out := c.must(t, "", "archive status"); !strings.Contains(out, "\twell\t") {
		t.Errorf("status: %s", out)
	}
	if out := c.must(t, "", "archive prune"); !strings.Contains(out, "checkpoints\t0\n") {
		t.Errorf("prune: %s", out)
	}
	stop()
	if out := c.must(t, "", "archive status --from "+archive); !strings.Contains(out, "lineage\t") || strings.Count(out, "\n") != 2 {
		t.Errorf("contents: %s", out)
	}
	if out := c.must(t, "", "archive verify --from "+archive); !strings.Contains(out, "0\ttrue\t") {
		t.Errorf("verify: %s", out)
	}
	for until, want := range map[string]string{"latest": "one two", second.Position: "one two", first.Position: "one", "-0s": "one two"} {
		data := filepath.Join(t.TempDir(), "restored")
		out, errs, code := c.run(context.Background(), "", "restore", "--config", config, "--data", data, "--until", until)
		if code != exitOK || !strings.Contains(errs, "Next: leat serve") {
			t.Fatalf("restore until %s: exit %d: %s%s", until, code, out, errs)
		}
		url, stop := realNode(t, data)
		again := cli{url: url}
		if got := again.must(t, "", "read orders"); strings.Contains(got, "two") != strings.Contains(want, "two") || !strings.Contains(got, "one") {
			t.Errorf("until %s: %s", until, got)
		}
		_, errs, code = again.run(context.Background(), "", "read", "orders", "--from", second.Position)
		if lost := want == "one"; lost != (code == exitNotFound) || lost && !strings.Contains(errs, "restored away") {
			t.Errorf("until %s, from the position of the second event: exit %d: %s", until, code, errs)
		}
		stop()
	}
	packs, err := filepath.Glob(filepath.Join(archive, "*", "shard-0", "packs", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("packs %v, %v", packs, err)
	}
	flip(t, packs[len(packs)-1])
	if out, errs, code := c.run(context.Background(), "", "archive", "verify", "--from", archive); code != exitFailed || !strings.Contains(out, "false") || !strings.Contains(errs, "damaged") {
		t.Errorf("verify of a damaged archive: exit %d: %s%s", code, out, errs)
	}
	for args, code := range map[string]int{
		"restore --data x": exitUsage, "restore --from " + archive: exitUsage, "restore --from " + archive + " --data x --until never": exitUsage, "restore --from " + dir + "/none --data " + dir + "/x": exitFailed,
		"archive verify": exitUsage, "archive status --from " + archive + " --lineage zz": exitFailed, "archive status": exitUnreachable,
		"restore --data " + dir + " --from " + archive: exitFailed,
	} {
		if _, errs, got := c.run(context.Background(), "", strings.Fields(args)...); got != code {
			t.Errorf("leat %s: exit %d, want %d: %s", args, got, code, errs)
		}
	}
}
