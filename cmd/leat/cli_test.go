package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/storage/journal/disk"
	osfs "leat/storage/vfs/os"
)

// cli is one command line, run in this process.
type cli struct {
	url      string
	terminal bool
	env      map[string]string
}

func (c cli) run(ctx context.Context, stdin string, args ...string) (out, errs string, code int) {
	var o, e safeBuffer
	code = c.runTo(ctx, stdin, &o, &e, args...)
	return o.String(), e.String(), code
}

func (c cli) runTo(ctx context.Context, stdin string, out, errs io.Writer, args ...string) int {
	a := &app{in: strings.NewReader(stdin), out: out, err: errs, terminal: c.terminal, talking: c.terminal, env: func(k string) string {
		if k == "LEAT_URL" {
			return c.url
		}
		return c.env[k]
	}}
	return a.run(ctx, args)
}

// safeBuffer can be read while a command writes to it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestCommands is a session: each line builds on what the ones before it did.
func TestCommands(t *testing.T) {
	c := cli{url: startNode(t)}
	for _, s := range []struct {
		stdin string
		args  string // split at spaces
		code  int
		out   string // what standard output is, or begins with when it ends in …
		err   string // what standard error says somewhere
	}{
		{args: "stream list", out: "name\tnamespace\tpartitions\tkeys\tevents\tbytes\tcreated\n"},
		{args: "stream list -o json", out: "[]\n"},
		{args: "stream create orders --partitions 1 --set immutable=true", out: "name\torders\nconfig\t{\"immutable\":true,\"partitions\":1}\n"},
		{args: "publish orders {\"n\":1} --type order.placed --key 4711", out: "ref\tid\tversion\tduplicate\tposition\norders/0/0\t…"},
		{args: "publish orders --key 4711 --expect none -f -", stdin: "x", code: exitConflict, err: "the key has version 1"},
		{args: "publish orders --lines", stdin: "{\"n\":2}\nplain\n", out: "stream\tpublished\norders\t2\n"},
		{args: "publish orders hello -o json", out: `{"ref":"orders/0/3",…`},
		{args: "publish orders", code: exitOK, out: "ref…"},
		{args: "publish orders a -f b", code: exitUsage, err: "two events"},
		{args: "read orders/0/3", out: `{"data":"hello",…`},
		{args: "read orders/0/99", code: exitNotFound, err: "no event"},
		{args: "read nothing", code: exitNotFound, err: "next: leat stream list"},
		{args: "read orders --limit -1", code: exitUsage, err: "--limit"},
		{args: "read orders --follow --direction backward", code: exitUsage, err: "goes forward"},
		{args: "read orders --latest", out: `{"data":{"n":1},…`},
		{args: "read orders --latest --prefix 48"},
		{args: "read nothing --latest", code: exitNotFound, err: "next: leat stream list"},
		{args: "read orders --prefix 4", code: exitUsage, err: "--prefix goes with --latest"},
		{args: "read orders --latest --follow", code: exitUsage, err: "leave the other flags out"},
		{args: "read orders --latest --key 4711", code: exitUsage, err: "leave the other flags out"},
		{args: "read orders,payments --latest", code: exitUsage, err: "one stream"},
		{args: "read orders/0/0 --latest", code: exitUsage, err: "one stream"},
		{args: "stream list", out: "name\tpartitions\norders\t1\n"},
		{args: "stream delete orders", code: exitUsage, err: "--yes"},
		{args: "stream delete orders --yes"},
		{args: "stream describe orders", code: exitNotFound, err: "did you mean orders?"},
		{args: "user create shop --password-stdin --grant x", code: exitUsage, err: "ACTION KIND PATTERN"},
		{args: "user create shop --password-stdin", stdin: "secret\n", out: "name\tshop\ngrants\t[]\n"},
		{args: "user create other", code: exitUsage, err: "no password"},
		{args: "user grant shop write stream orders.*"},
		{args: "user grant shop read stream *"},
		{args: "user describe shop", out: "action\tkind\tpattern\nwrite\tstream\torders.*\nread\tstream\t*\n"},
		{args: "user quota shop", out: "name\tquota\nshop\tdefault\n"},
		{args: "user quota shop --events-per-second 100", out: "name\tquota\nshop\t100 events/s, no limit of bytes\n"},
		{args: "user quota shop --bytes-per-second 5", out: "name\tquota\nshop\t100 events/s, 5 bytes/s\n"},
		{args: "user quota shop --default --bytes-per-second 5", code: exitUsage, err: "--default goes without"},
		{args: "user revoke shop read stream *"},
		{args: "user revoke shop read stream *", code: exitFailed, err: "next: leat user describe shop"},
		{args: "user create shop --generate", out: "name\tshop\npassword\t…"},
		{args: "user create bot --new-token", out: "name\tbot\ntoken\tt0ken\ngrants\t[]\n"},
		{args: "user delete bot --yes"},
		{args: "user create robot --new-access-key", out: "name\trobot\naccess_key\tLKIA1\nsecret_key\ts3cret\ngrants\t[]\n"},
		{args: "user create robot --drop-access-key LKIA2", code: exitFailed, err: "has no access key"},
		{args: "user create robot --drop-access-key LKIA1", out: "name\trobot\ngrants\t[]\n"},
		{args: "user delete robot --yes"},
		{args: "user list", out: "name\tgrants\tquota\nshop\twrite stream orders.*\t100 events/s, 5 bytes/s\n"},
		{args: "user quota shop --default", out: "name\tquota\nshop\tdefault\n"},
		{args: "user delete shop --yes"},
		{args: "user grant shop read stream *", code: exitNotFound, err: "no user shop"},
		{args: "stream list --user shop:wrong", code: exitDenied, err: "next: --user NAME"},
		{args: "stream list --user shop", code: exitUsage, err: "LEAT_PASSWORD"},
		{args: "stream list -o xml", code: exitUsage, err: "table, tsv and json"},
		{args: "stream list --url ftp://x", code: exitUsage, err: "not the address of a node"},
		{args: "stream list --url 127.0.0.1:1", code: exitUnreachable, err: "next: is the node running"},
		{args: "strem list", code: exitUsage, err: "unknown command"},
		{args: "version --nope", code: exitUsage, err: "next: leat version --help"},
		{args: "version now", code: exitUsage, err: "\"now\" is one argument too many"},
		{args: "stream create", code: exitUsage, err: "an argument is missing: leat stream create NAME"},
		{args: "stream lst", code: exitUsage, err: "next: leat stream list --help"},
		{args: "version", out: "version\tunreleased\n…"},
		{args: "bench publish --connections 0", code: exitUsage, err: "--connections must be from 1"},
		{args: "bench append --keys 10", code: exitUsage, err: "--keys 10"},
		{args: "bench append --order backwards", code: exitUsage, err: "--order is random or sequence"},
	} {
		t.Run(s.args, func(t *testing.T) {
			out, errs, code := c.run(t.Context(), s.stdin, strings.Fields(s.args)...)
			if code != s.code {
				t.Errorf("exit code %d, want %d; standard error: %s", code, s.code, errs)
			}
			if want, begins := strings.CutSuffix(s.out, "…"); begins && !strings.HasPrefix(out, want) || !begins && out != want {
				t.Errorf("output %q, want %q", out, s.out)
			}
			if !strings.Contains(errs, s.err) || s.err == "" && errs != "" {
				t.Errorf("standard error %q, want it to say %q", errs, s.err)
			}
		})
	}
}

// Who is given other grants keeps the rest: all of a user is put at once.
func TestUserCreate_WhatIsNotSaidStays(t *testing.T) {
	c := cli{url: startNode(t)}
	for _, args := range [][]string{
		{"user", "create", "shop", "--generate", "--grant", "read stream *"},
		{"user", "quota", "shop", "--events-per-second", "100"},
		{"user", "create", "shop", "--new-access-key"},
		{"user", "create", "shop", "--generate", "--grant", "write stream orders.*"},
	} {
		if _, errs, code := c.run(t.Context(), "", args...); code != exitOK {
			t.Fatal(errs)
		}
	}
	if out, _, _ := c.run(t.Context(), "", "user", "list"); out != "name\tgrants\tquota\nshop\twrite stream orders.*\t100 events/s, no limit of bytes\n" {
		t.Errorf("got %q", out)
	}
	if out, _, _ := c.run(t.Context(), "", "user", "describe", "-o", "json", "shop"); !strings.Contains(out, "access_keys") {
		t.Errorf("its access key is gone: %s", out)
	}
}

func TestStreamList_GoesThroughAllPages(t *testing.T) {
	c := cli{url: startNode(t)}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if _, errs, code := c.run(t.Context(), "", "stream", "create", name); code != exitOK {
			t.Fatal(errs)
		}
	}
	if out, _, _ := c.run(t.Context(), "", "stream", "list"); out != "name\tpartitions\na\t1\nb\t1\nc\t1\nd\t1\ne\t1\n" {
		t.Errorf("got %q", out)
	}
}

func TestRead_GoesThroughAllPages(t *testing.T) {
	c := cli{url: startNode(t)}
	if _, errs, code := c.run(t.Context(), "1\n2\n3\n4\n5\n", "publish", "orders", "--lines"); code != exitOK {
		t.Fatal(errs)
	}
	for limit, want := range map[string]int{"0": 5, "3": 3, "5": 5, "9": 5} {
		out, errs, code := c.run(t.Context(), "", "read", "orders", "--limit", limit)
		if code != exitOK || strings.Count(out, "\n") != want {
			t.Errorf("--limit %s: %d lines, code %d, want %d lines; %s%s", limit, strings.Count(out, "\n"), code, want, out, errs)
		}
		for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
			var e struct{ Data int }
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Data != i+1 {
				t.Errorf("line %d is %s", i+1, line)
			}
		}
	}
}

// TestFollow_GoesOnWhereItWas: the node ends the stream after each event; no event is missed or printed twice.
func TestReadLatest_GoesThroughAllPages(t *testing.T) {
	c := cli{url: startNode(t)}
	for i, key := range []string{"b/2", "a/1", "b/1", "b/3", "b/2", "b/5", "b/4"} {
		if _, errs, code := c.run(t.Context(), "", "publish", "stock", strconv.Itoa(i), "--key", key); code != exitOK {
			t.Fatal(errs)
		}
	}
	for args, want := range map[string]string{
		"--latest":                      "1 2 4 3 6 5",
		"--latest --prefix b/":          "2 4 3 6 5",
		"--latest --prefix b/ -n 3":     "2 4 3",
		"--latest --prefix b/ -n 4":     "2 4 3 6",
		"--latest --prefix none":        "",
		"--latest --prefix b/5 -n 1000": "5",
	} {
		out, errs, code := c.run(t.Context(), "", append([]string{"read", "stock"}, strings.Fields(args)...)...)
		var got []string
		for line := range strings.Lines(out) {
			var e struct{ Data json.RawMessage }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %q: %v", args, line, err)
			}
			got = append(got, string(e.Data))
		}
		if code != exitOK || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, code %d, want %q; %s", args, got, code, want, errs)
		}
	}
}

func TestFollow_GoesOnWhereItWas(t *testing.T) {
	c := cli{url: startNode(t)}
	c.run(t.Context(), "", "publish", "orders", "before")
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs safeBuffer
	done := make(chan int)
	go func() {
		done <- c.runTo(ctx, "", &out, &errs, "read", "orders", "-f", "--from", "earliest", "--where", "break")
	}()
	for n := 1; n <= 3; n++ {
		for deadline := time.Now().Add(60 * time.Second); strings.Count(out.String(), "\n") < n; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d events did not come: %q %q", n, out.String(), errs.String())
			}
		}
		c.run(t.Context(), "", "publish", "orders", fmt.Sprint("e", n))
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d after Ctrl-C, want 0: that is how following ends", code)
	}
	if got := strings.Count(out.String(), `"before"`); got != 1 {
		t.Errorf("the first event was printed %d times", got)
	}
}

func TestFollow_Limit(t *testing.T) {
	c := cli{url: startNode(t)}
	c.run(t.Context(), "1\n2\n3\n", "publish", "orders", "--lines")
	out, errs, code := c.run(t.Context(), "", "read", "orders", "-f", "--from", "earliest", "-n", "2")
	if code != exitOK || strings.Count(out, "\n") != 2 {
		t.Errorf("code %d, output %q, %s", code, out, errs)
	}
}

func TestDelete_HasTheNameTyped(t *testing.T) {
	c := cli{url: startNode(t), terminal: true}
	c.run(t.Context(), "", "stream", "create", "orders")
	if _, errs, code := c.run(t.Context(), "oders\n", "stream", "delete", "orders"); code != exitUsage || !strings.Contains(errs, "nothing was deleted") {
		t.Errorf("a wrong name: code %d, %s", code, errs)
	}
	if _, errs, code := c.run(t.Context(), "orders\n", "stream", "delete", "orders"); code != exitOK {
		t.Errorf("the right name: code %d, %s", code, errs)
	}
}

func TestTable_IsAligned(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out, terminal: true}
	if err := a.list([]map[string]any{{"name": "ä", "n": 1, "new": true}, {"name": "longer\tname", "n": 22}}, []string{"name", "n"}); err != nil {
		t.Fatal(err)
	}
	if want := "name          n   new\nä             1   true\nlonger\\tname  22  \n"; out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
}

func TestEscapeHeader(t *testing.T) {
	if got, want := escapeHeader("Euro € 100%"), "Euro%20%E2%82%AC%20100%25"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPublish_ShowsTheVersionOfTheKey(t *testing.T) {
	c := cli{url: startNode(t)}
	for i, want := range []string{"1", "2"} {
		out, errs, code := c.run(t.Context(), "", "publish", "orders", "{}", "--id", fmt.Sprint("e", i), "--key", "k")
		if want := fmt.Sprintf("ref\tid\tversion\tduplicate\tposition\norders/0/%d\te%d\t%s\tfalse\t", i, i, want); code != exitOK || !strings.HasPrefix(out, want) {
			t.Errorf("%s%q; want %q", errs, out, want)
		}
	}
	out, errs, code := c.run(t.Context(), "", "publish", "orders", "{}", "--key", "k", "-o", "json")
	var r receipt
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || r.Version != 3 {
		t.Errorf("%v %s%s", err, errs, out)
	}
}

func TestBench(t *testing.T) {
	c := cli{url: startNode(t)}
	for _, args := range []string{
		"publish --connections 4", "publish --connections 2 --batch 10", "append --connections 2 --batch 5 --keys 20",
		"append --connections 2 --batch 5 --keys 23 --order sequence", "append --connections 2 --batch 5 --keys 3000 --existing",
		"follow --followers 5", "follow --followers 3 --batch 4 --rate 200", "publish --runs 3 --connections 1",
	} {
		t.Run(args, func(t *testing.T) {
			out, errs, code := c.run(t.Context(), "", append([]string{"bench", "--duration", "150ms", "--size", "64", "-o", "json"}, strings.Fields(args)...)...)
			if code != exitOK {
				t.Fatal(errs)
			}
			var rows []struct {
				Work     string
				Events   int
				EventsS  float64 `json:"events_s"`
				P50, P99 float64
			}
			if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 || rows[0].Events == 0 || rows[0].EventsS == 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	if out, _, _ := c.run(t.Context(), "", "stream", "list", "-o", "json"); out != "[]\n" {
		t.Errorf("the benchmarks left streams behind: %s", out)
	}
}

func TestHistogram(t *testing.T) {
	var h, g histogram
	for i := range int64(100_000) {
		h.add(i * 1000)
	}
	g.merge(&h)
	for q, want := range map[float64]float64{0: 0, 0.5: 50e6, 0.99: 99e6, 1: 100e6} {
		if got := g.quantile(q); got < want*0.99 || got > want*1.04+1 {
			t.Errorf("quantile(%v) = %v, want about %v", q, got, want)
		}
	}
	for _, v := range []uint64{0, 1, 63, 64, 65, 127, 128, 1 << 20, 1<<63 + 5} {
		if i := bucketOf(v); v > bucketEnd(i) || i > 0 && v <= bucketEnd(i-1) {
			t.Errorf("%d is in bucket %d, which ends at %d", v, i, bucketEnd(i))
		}
	}
}

// TestJournal looks after the journal of a node that was stopped, whole and with a byte turned over.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	cfg := disk.Default()
	cfg.FileBytes, cfg.RingBytes, cfg.FrameBytesMax = 1<<20, 0, 64<<10
	folder := filepath.Join(dir, "shard-0", "journal")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	j, err := disk.Open(osfs.New(), filepath.ToSlash(folder), cfg, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	c := cli{}
	if out, errs, code := c.run(t.Context(), "", "journal", "check", dir); code != exitOK || !strings.Contains(out, "\tfalse\t") {
		t.Errorf("check: code %d, %q, %s", code, out, errs)
	}
	if out, errs, code := c.run(t.Context(), "", "journal", "repair", dir); code != exitOK || !strings.Contains(out, "nothing to repair") {
		t.Errorf("repair: code %d, %q, %s", code, out, errs)
	}
	if out, errs, code := c.run(t.Context(), "", "journal", "dump", dir); code != exitOK || !strings.Contains(out, `"kind":`) {
		t.Errorf("dump: code %d, %q, %s", code, out, errs)
	}
	if _, errs, code := c.run(t.Context(), "", "journal", "repair", dir, "--act"); code != exitUsage || !strings.Contains(errs, "--yes") {
		t.Errorf("repair --act where nobody can be asked: code %d, %s", code, errs)
	}
	if _, errs, code := c.run(t.Context(), "", "journal", "check", filepath.Join(dir, "nothing")); code != exitUsage || !strings.Contains(errs, "no directory") {
		t.Errorf("no directory: code %d, %s", code, errs)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files { // the first byte of every file that has one: the magic of its header
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			b[0] ^= 0xff
			if err := os.WriteFile(f, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, errs, code := c.run(t.Context(), "", "journal", "check", dir); code == exitOK {
		t.Errorf("check of a damaged journal: code %d, %q, %s", code, out, errs)
	}
}
