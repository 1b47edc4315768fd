package pebble

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat/storage/state"
)

// update writes the golden directory of the current format. It is for a new format only: one that was released never changes.
var update = flag.Bool("update", false, "write testdata/formats/"+current)

// current names the format that this program writes. It changes with the constant format, and then comes with a new directory.
const current = "v1"

const goldenRows = 300

func goldenRow(i int) (key, value string) {
	return fmt.Sprintf("s%08d", i*7), strings.Repeat(fmt.Sprint(i, "."), 1+i%3)
}

// writeGolden makes a store with what formats differ in: two flushes, deleted rows and a deleted range.
func writeGolden(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	apply := func(fill func(state.Batch)) {
		seq++
		b := s.NewBatch()
		fill(b)
		if err := s.Apply(b, state.Mark{Seq: seq, Place: seq << 32}); err != nil {
			t.Fatal(err)
		}
	}
	apply(func(b state.Batch) {
		for i := range goldenRows {
			k, v := goldenRow(i)
			b.Set([]byte(k), []byte(v))
		}
		b.Set([]byte("sgone"), []byte("deleted below"))
		b.Set([]byte("ta"), []byte("in the range deleted below"))
		b.Set([]byte("empty"), nil)
	})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	apply(func(b state.Batch) {
		b.Delete([]byte("sgone"))
		b.DeleteRange([]byte("t"), []byte("u"))
	})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFormats_EveryReleasedOneOpens(t *testing.T) {
	root := filepath.Join("testdata", "formats")
	if *update {
		dir := filepath.Join(root, current)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		writeGolden(t, dir)
		if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := os.ReadDir(root)
	if err != nil || len(versions) == 0 {
		t.Fatalf("no golden directories: %v", err)
	}
	for _, v := range versions {
		t.Run(v.Name(), func(t *testing.T) {
			dir := t.TempDir() // opening writes
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, v.Name()))); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, small())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			checkGolden(t, s)
		})
	}
}

func checkGolden(t *testing.T, s *Store) {
	t.Helper()
	if got, want := s.Applied(), (state.Mark{Seq: 2, Place: 2 << 32}); got != want {
		t.Errorf("mark: got %v, want %v", got, want)
	}
	it, err := s.Iter(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if !it.Next() || string(it.Key()) != "empty" || len(it.Value()) != 0 {
		t.Errorf("first row: %q = %q", it.Key(), it.Value())
	}
	for i := range goldenRows {
		k, v := goldenRow(i)
		if !it.Next() || string(it.Key()) != k || string(it.Value()) != v {
			t.Fatalf("row %d: got %q = %q, want %q = %q", i, it.Key(), it.Value(), k, v)
		}
	}
	if it.Next() {
		t.Errorf("a row too many: %q", it.Key())
	}
}

// What this program writes must be the format whose golden directory is there: the same markers, which carry Pebble's number.
func TestFormats_CurrentIsGolden(t *testing.T) {
	dir := t.TempDir()
	writeGolden(t, dir)
	marker := func(dir string) string {
		names, err := filepath.Glob(filepath.Join(dir, "marker.format-version.*"))
		if err != nil || len(names) != 1 {
			t.Fatalf("markers in %s: %q, %v", dir, names, err)
		}
		_, version, _ := strings.Cut(strings.TrimPrefix(filepath.Base(names[0]), "marker.format-version."), ".")
		return version
	}
	if got, want := marker(dir), marker(filepath.Join("testdata", "formats", current)); got != want {
		t.Errorf("this program writes Pebble's format %s, the golden directory %s holds %s: add a directory (change current, run with -update)", got, current, want)
	}
}
