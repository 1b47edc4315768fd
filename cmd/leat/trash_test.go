package main

import (
	"strings"
	"testing"
	"time"
)

func TestStream_TruncateDeleteUndelete(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders --retention 30d --retention-bytes 1GiB --protected")
	if out := c.must(t, "", "stream describe orders -o json"); !strings.Contains(out, `"retention_ms":2592000000`) || !strings.Contains(out, `"retention_bytes":1073741824`) {
		t.Errorf("made: %s", out)
	}
	c.must(t, "a\nb\nc\n", "publish orders --lines")
	if out := c.must(t, "", "stream truncate orders --before offset:1 --partition 0 --yes"); !strings.Contains(out, "0\t1\t3") {
		t.Errorf("truncated: %s", out)
	}
	if _, errs, code := c.run(t.Context(), "", "stream", "delete", "orders", "--yes"); code == exitOK || !strings.Contains(errs, "protected") {
		t.Errorf("a protected stream: code %d, %s", code, errs)
	}
	c.must(t, "", "stream create orders --protected=false --retention forever --retention-bytes all")
	c.must(t, "", "stream delete orders --yes")
	if out := c.must(t, "", "stream list --deleted"); !strings.Contains(out, "\norders\t") {
		t.Errorf("deleted: %s", out)
	}
	if _, errs, code := c.run(t.Context(), "", "read", "orders"); code == exitOK || !strings.Contains(errs, "leat stream undelete orders") {
		t.Errorf("reading it: code %d, %s", code, errs)
	}
	c.must(t, "", "stream undelete orders --as restored")
	if out := c.must(t, "", "read restored"); !strings.Contains(out, "b") || !strings.Contains(out, "c") || strings.Count(out, "\n") != 2 {
		t.Errorf("brought back: %s", out)
	}
	c.must(t, "", "stream truncate restored --before latest --yes")
	for _, bad := range []string{
		"stream truncate restored", "stream truncate restored --before noon: --yes", "stream truncate restored --before -x --yes", "stream truncate restored --before offset:x --yes",
		"stream truncate restored --before latest", "stream create x --retention soon", "stream create x --retention-bytes many", "stream create x --retention -1h",
	} {
		if _, _, code := c.run(t.Context(), "", strings.Fields(bad)...); code != exitUsage {
			t.Errorf("leat %s: code %d", bad, code)
		}
	}
}

func TestTruncate_HasTheNameTyped(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url, terminal: true}
	c.must(t, "", "publish orders a")
	if _, errs, code := c.run(t.Context(), "oders\n", "stream", "truncate", "orders", "--before", "latest"); code != exitUsage || !strings.Contains(errs, "for good") {
		t.Errorf("a wrong name: code %d, %s", code, errs)
	}
	if out, errs, code := c.run(t.Context(), "orders\n", "stream", "truncate", "orders", "--before", "latest"); code != exitOK || !strings.Contains(out, "0          1      1") {
		t.Errorf("the right name: code %d, %s %s", code, out, errs)
	}
}

// A list goes on as a node says.
func TestStreamList_InPages(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	const n = 120 // more than one page
	for i := range n {
		c.must(t, "", "stream create s"+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	if out := c.must(t, "", "stream list"); strings.Count(out, "\ns") != n {
		t.Errorf("%d of %d streams", strings.Count(out, "\ns"), n)
	}
}

func TestPlaceBefore(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	for in, want := range map[string]any{
		"-7d": "2026-11-14T03:00:00Z", "-1d12h": "2026-11-19T15:00:00Z", "-90s": "2026-11-21T02:58:30Z", "2026-11-20T00:00:00+01:00": "2026-11-19T23:00:00Z",
	} {
		if got, err := placeBefore(in, now); err != nil || got["time"] != want {
			t.Errorf("%s: %v, %v; want %v", in, got, err, want)
		}
	}
	for in, member := range map[string]string{"latest": "latest", "offset:7": "offset", "AQACAwQ": "position"} {
		if got, err := placeBefore(in, now); err != nil || got[member] == nil {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
}
