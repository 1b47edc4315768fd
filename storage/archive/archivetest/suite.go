package archivetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"leat/storage/archive"
)

// Run passes a kind of bucket through the suite. fresh returns an empty one, with pages of 50 names where it lists in pages.
func Run(t *testing.T, fresh func(t *testing.T) archive.Bucket) {
	for _, c := range []struct {
		name string
		test func(*testing.T, archive.Bucket)
	}{
		{"PutAndGet", putAndGet},
		{"GetRanges", getRanges},
		{"GetWhatIsNotThere", getMissing},
		{"PutNeverOverwrites", putTwice},
		{"PutWholeOrNotAtAll", putFails},
		{"PutBySeveralAtOnce", putRace},
		{"ListInOrder", listOrder},
		{"ListManyPages", listMany},
		{"ListStops", listStops},
		{"Delete", deletes},
		{"BadNames", badNames},
		{"EndedContext", endedContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

func put(t *testing.T, b archive.Bucket, name, content string) {
	t.Helper()
	if err := b.Put(t.Context(), name, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

func get(t *testing.T, b archive.Bucket, name string, off, n int64) string {
	t.Helper()
	r, err := b.Get(t.Context(), name, off, n)
	if err != nil {
		t.Fatalf("get %s: %v", name, err)
	}
	p, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("get %s: %v", name, err)
	}
	return string(p)
}

func list(t *testing.T, b archive.Bucket, prefix, after string) []string {
	t.Helper()
	var names []string
	for o, err := range b.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		names = append(names, o.Name)
	}
	return names
}

func putAndGet(t *testing.T, b archive.Bucket) {
	big := string(bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16))
	for name, content := range map[string]string{"a": "x", "empty": "", "shard-0/packs/big.pack": big} {
		put(t, b, name, content)
		if got := get(t, b, name, 0, -1); got != content {
			t.Errorf("%s: got %d bytes, want %d", name, len(got), len(content))
		}
	}
	for o, err := range b.List(t.Context(), "shard-0/", "") {
		if err != nil || o.Size != int64(len(big)) {
			t.Errorf("listed with size %d (%v), want %d", o.Size, err, len(big))
		}
	}
}

func getRanges(t *testing.T, b archive.Bucket) {
	put(t, b, "d/digits", "0123456789")
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, 4, "0123"}, {3, 2, "34"}, {9, 1, "9"}, {8, 100, "89"}, {4, -1, "456789"}, {10, 5, ""}, {10, -1, ""}, {50, 5, ""}} {
		if got := get(t, b, "d/digits", c.off, c.n); got != c.want {
			t.Errorf("%d bytes at %d: %q, want %q", c.n, c.off, got, c.want)
		}
	}
}

func getMissing(t *testing.T, b archive.Bucket) {
	put(t, b, "there", "x")
	for _, name := range []string{"nowhere", "there2", "d/e/f"} {
		if r, err := b.Get(t.Context(), name, 0, 10); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("get %s: %v, want ErrNotFound", name, err)
			if err == nil {
				_ = r.Close()
			}
		}
	}
}

func putTwice(t *testing.T, b archive.Bucket) {
	put(t, b, "p/once", "first")
	for _, second := range []string{"other", "first", "a longer one"} {
		if err := b.Put(t.Context(), "p/once", strings.NewReader(second), int64(len(second))); !errors.Is(err, archive.ErrExists) {
			t.Errorf("put of a taken name: %v, want ErrExists", err)
		}
		if got := get(t, b, "p/once", 0, -1); got != "first" {
			t.Fatalf("a taken name holds %q now", got)
		}
	}
}

func putFails(t *testing.T, b archive.Bucket) {
	broken := errors.New("the disk below")
	for name, r := range map[string]io.Reader{
		"early": strings.NewReader("12345"),
		"fails": io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(broken)),
		"late":  strings.NewReader("12345678901"),
	} {
		err := b.Put(t.Context(), "f/"+name, r, 10)
		if name == "late" && err == nil {
			if got := get(t, b, "f/late", 0, -1); got != "1234567890" {
				t.Errorf("content beyond its size was stored: %q", got)
			}
			continue // a store may take what was announced and leave the rest
		}
		if err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	for _, name := range list(t, b, "f/", "") {
		if name != "f/late" {
			t.Errorf("%s is there after a Put that failed", name)
		}
	}
	put(t, b, "f/early", "whole") // the name is free
}

func putRace(t *testing.T, b archive.Bucket) {
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			content := fmt.Sprint("content ", i)
			err := b.Put(t.Context(), "r/one", strings.NewReader(content), int64(len(content)))
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, archive.ErrExists):
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	if got := get(t, b, "r/one", 0, -1); !strings.HasPrefix(got, "content ") || won.Load() != 1 {
		t.Errorf("%d of 8 writers won, %q is there", won.Load(), got)
	}
}

func listOrder(t *testing.T, b archive.Bucket) {
	names := []string{"a/x", "a-b", "a.c/d", "a/y/z", "a0", "b/1", "b/10", "b/2", "shard-0/files/x", "shard-0/packs/1.pack", "shard-1/packs/1.pack", "shard-10/p"}
	for _, n := range names {
		put(t, b, n, n)
	}
	slices.Sort(names)
	if got := list(t, b, "", ""); !slices.Equal(got, names) {
		t.Errorf("listed %q, want %q", got, names)
	}
	for _, c := range []struct {
		prefix, after string
	}{{"a", ""}, {"a/", ""}, {"shard-0/", ""}, {"shard-1", ""}, {"b/1", ""}, {"", "a/x"}, {"", "b"}, {"b/", "b/1"}, {"b/", "b/99"}, {"nothing", ""}, {"b/", "z"}, {"a/", "a/w"}, {"", "a/y/z"}} {
		var want []string
		for _, n := range names {
			if strings.HasPrefix(n, c.prefix) && n > c.after {
				want = append(want, n)
			}
		}
		if got := list(t, b, c.prefix, c.after); !slices.Equal(got, want) {
			t.Errorf("prefix %q after %q: listed %q, want %q", c.prefix, c.after, got, want)
		}
	}
}

func listMany(t *testing.T, b archive.Bucket) {
	const many = 130 // a bucket that lists in pages is tested with pages of 50
	var want []string
	for i := range many {
		want = append(want, fmt.Sprintf("m/%05d.pack", i))
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < many; i += 8 {
				if err := b.Put(t.Context(), want[i], strings.NewReader("."), 1); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := list(t, b, "m/", ""); !slices.Equal(got, want) {
		t.Errorf("listed %d names, want %d in order", len(got), len(want))
	}
	if got := list(t, b, "m/", want[100]); !slices.Equal(got, want[101:]) {
		t.Errorf("listed %d names after the 101st, want %d", len(got), many-101)
	}
}

func listStops(t *testing.T, b archive.Bucket) {
	for i := range 10 {
		put(t, b, fmt.Sprintf("s/%d", i), "x")
	}
	seen := 0
	for range b.List(t.Context(), "s/", "") {
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("%d names before the break, want 3", seen)
	}
}

func deletes(t *testing.T, b archive.Bucket) {
	put(t, b, "d/one", "1")
	put(t, b, "d/two", "2")
	for range 2 { // a second time is no error
		if err := b.Delete(t.Context(), "d/one"); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	if err := b.Delete(t.Context(), "never/was"); err != nil {
		t.Errorf("delete of what is not there: %v", err)
	}
	if got := list(t, b, "d/", ""); !slices.Equal(got, []string{"d/two"}) {
		t.Errorf("listed %q", got)
	}
	if _, err := b.Get(t.Context(), "d/one", 0, -1); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("get of a deleted object: %v", err)
	}
	put(t, b, "d/one", "again")
	if got := get(t, b, "d/one", 0, -1); got != "again" {
		t.Errorf("got %q", got)
	}
}

func badNames(t *testing.T, b archive.Bucket) {
	for _, name := range []string{"", ".", "/a", "a/", "a//b", "../a", "a/../b", "a b", "ä", "a\\b", "a:b", "a\x00", "a.pack/b", strings.Repeat("n", archive.NameBytesMax+1)} {
		if err := b.Put(t.Context(), name, strings.NewReader("x"), 1); !errors.Is(err, archive.ErrBadName) {
			t.Errorf("put %q: %v, want ErrBadName", name, err)
		}
		if _, err := b.Get(t.Context(), name, 0, 1); !errors.Is(err, archive.ErrBadName) {
			t.Errorf("get %q: %v, want ErrBadName", name, err)
		}
		if err := b.Delete(t.Context(), name); !errors.Is(err, archive.ErrBadName) {
			t.Errorf("delete %q: %v, want ErrBadName", name, err)
		}
	}
}

func endedContext(t *testing.T, b archive.Bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ctx, "e/x", strings.NewReader("x"), 1); err == nil {
		t.Error("put with an ended context")
	}
	for _, err := range b.List(ctx, "", "") {
		if err == nil {
			t.Error("list with an ended context yields names")
		}
	}
	if got := list(t, b, "e/", ""); len(got) > 0 {
		t.Errorf("%q is there", got)
	}
}
