package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// strip takes away what an import may change: which stream and which offset.
func strip(text, stream string) string {
	return strings.ReplaceAll(text, `"leatref":"`+stream+"/", `"leatref":"`)
}

func TestExport_ImportRoundTrip(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders --partitions 3")
	var in strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&in, `{"n":%d,"text":%q}`+"\n", i, strings.Repeat("x", i%700))
	}
	c.must(t, in.String(), "publish orders --lines")
	c.must(t, "", "publish orders plain --key k --subject s --type t")
	text := c.must(t, "", "stream export orders")
	if n := strings.Count(text, "\n"); n != 5001 {
		t.Fatalf("%d lines", n)
	}
	out := c.must(t, text, "stream import copy --partitions 3 -f -")
	if !strings.Contains(out, "imported\t5001\n") || !strings.Contains(out, "there_already\t0\n") {
		t.Fatal(out)
	}
	sorted := func(s string) map[string]int {
		m := map[string]int{}
		for l := range strings.SplitSeq(s, "\n") {
			m[l]++
		}
		return m
	}
	// Defaults that name the stream differ; events with attributes of their own, which these are, do not.
	a, b := sorted(strip(text, "orders")), sorted(strip(c.must(t, "", "stream export copy"), "copy"))
	for l := range a {
		if b[l] != a[l] {
			t.Fatalf("not the same in the copy: %s", l)
		}
	}
	if out := c.must(t, text, "stream import copy -f -"); !strings.Contains(out, "imported\t0\n") || !strings.Contains(out, "there_already\t5001\n") {
		t.Errorf("again: %s", out)
	}
	file := filepath.Join(t.TempDir(), "x.ndjson")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := c.must(t, "", "stream import tail --any-partition --from-line 5000 --file "+file); !strings.Contains(out, "imported\t2\n") {
		t.Errorf("from a line: %s", out)
	}
	if out := c.must(t, "", "stream export orders --until offset:10"); strings.Count(out, "\n") != 30 {
		t.Errorf("until: %d lines", strings.Count(out, "\n"))
	}
}

func TestImport_SaysWhere(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	line := func(i int) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/s","type":"t","data":"%s"}`, i, strings.Repeat("x", 2000)) + "\n"
	}
	var in strings.Builder
	for i := range 1000 {
		in.WriteString(line(i))
	}
	in.WriteString(`{"specversion":"1.0","id":"x","source":"/s","type":"t","time":"soon"}` + "\n" + line(1001))
	_, errs, code := c.run(context.Background(), in.String(), "stream", "import", "s", "-f", "-")
	if code != exitFailed || !strings.Contains(errs, "line 1001: ") || !strings.Contains(errs, "RFC 3339") || !strings.Contains(errs, "--from-line ") {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var from, stored int
	if _, err := fmt.Sscanf(errs[strings.Index(errs, "; ")+2:], "%d events are stored", &stored); err != nil {
		t.Fatal(errs)
	}
	if _, err := fmt.Sscanf(errs[strings.Index(errs, "--from-line"):], "--from-line %d", &from); err != nil || from != stored+1 {
		t.Fatalf("%d stored, go on from %d", stored, from)
	}
	mended := strings.Replace(in.String(), "soon", "2026-01-01T00:00:00Z", 1)
	out := c.must(t, mended, fmt.Sprintf("stream import s -f - --from-line %d", from))
	if !strings.Contains(out, fmt.Sprintf("imported\t%d\n", 1002-stored)) {
		t.Error(out)
	}
	if n := strings.Count(c.must(t, "", "stream export s"), "\n"); n != 1002 {
		t.Errorf("%d events in the end", n)
	}
	ref := `{"specversion":"1.0","id":"1","source":"/s","type":"t","leatref":"a/7/1","leattimestamp":"7"}` + "\n"
	if _, errs, code = c.run(context.Background(), ref, "stream", "import", "s", "-f", "-"); code != exitNotFound || !strings.Contains(errs, "--any-partition") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// A batch that a stream does not take at once is sent in parts.
func TestImport_CutsWhatIsTooLarge(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create s --set batch_bytes_max=4096")
	var in strings.Builder
	for i := range 100 {
		fmt.Fprintf(&in, `{"id":"%d","type":"t","data":"%s"}`+"\n", i, strings.Repeat("x", 1000))
	}
	if out := c.must(t, in.String(), "stream import s -f -"); !strings.Contains(out, "imported\t100\n") {
		t.Error(out)
	}
	in.WriteString(fmt.Sprintf(`{"id":"x","type":"t","data":"%s"}`, strings.Repeat("x", 5000)))
	if _, errs, code := c.run(context.Background(), in.String(), "stream", "import", "s", "-f", "-"); code != exitFailed || !strings.Contains(errs, "line") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestExport_Follow(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "a\nb\n", "publish s --lines")
	ctx, cancel := context.WithCancel(context.Background())
	var out, errs safeBuffer
	done := make(chan int)
	go func() { done <- c.runTo(ctx, "", &out, &errs, "stream", "export", "s", "--follow") }()
	want := func(n int) {
		t.Helper()
		for range 6000 {
			if strings.Count(out.String(), "\n") == n {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%d lines, want %d: %s", strings.Count(out.String(), "\n"), n, errs.String())
	}
	want(2)
	c.must(t, "", "publish s more")
	want(3)
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
