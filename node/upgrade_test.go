package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/vfs"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// format1 is a data directory of format 1 as far as Finalize looks at it.
func format1(t *testing.T) *memory.FS {
	t.Helper()
	fsys := memory.New()
	for i := range 2 {
		dir := shardFolder("/d", i)
		for _, f := range []string{stateFolderOld, stateFolder} {
			if err := fsys.MkdirAll(path.Join(dir, f)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"MANIFEST-000001", "000002.sst"} {
				if err := vfs.Replace(fsys, path.Join(dir, f, name), []byte(name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		j, err := disk.Open(fsys, path.Join(dir, journalFolder), smallJournal(), disk.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Append(journal.Frame{Seq: 1, Facts: []byte("facts")}); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	id := newIdentity(2)
	id.Format = 1
	if err := replaceIdentity(fsys, "/d", id); err != nil {
		t.Fatal(err)
	}
	return fsys
}

func smallJournal() disk.Config {
	c := disk.Default()
	c.RingBytes, c.FileBytes, c.FrameBytesMax = 0, 64<<10, 32<<10
	return c
}

func countOld(t *testing.T, fsys vfs.FS) (n int) {
	t.Helper()
	for i := range 2 {
		files, _, err := folderSize(fsys, path.Join(shardFolder("/d", i), stateFolderOld))
		if err != nil {
			t.Fatal(err)
		}
		n += files
	}
	return n
}

// TestFinalize_CrashAnywhere fails every call in turn and takes the power away after it: what is left is a directory of format 1 with all of its
// old state, or one of format 2; and finalizing it again ends well.
func TestFinalize_CrashAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		mem := format1(t)
		before := countOld(t, mem)
		fsys := faulty.New(mem)
		fsys.SetRule(faulty.NthCall(n, errors.New("the disk is gone")))
		_, err := Finalize(fsys, "/d", nil)
		if fsys.Calls() < n {
			if err != nil || n < 30 {
				t.Fatalf("after %d calls: %v", n, err)
			}
			return
		}
		for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepSome, memory.KeepAll} {
			left := mem.CrashClone(rand.New(rand.NewPCG(uint64(n), uint64(mode))), mode)
			id, err := readIdentity(left, "/d")
			if err != nil {
				t.Fatalf("call %d: %v", n, err)
			}
			switch old := countOld(t, left); {
			case id.Format == 1 && old == before && id.FinalizedFrom == 0:
			case id.Format == DirectoryFormat && id.FinalizedFrom == 1:
			default:
				t.Fatalf("call %d: format %d with %d of %d files of the old state", n, id.Format, old, before)
			}
			if u, err := Finalize(left, "/d", nil); err != nil || len(u.Obstacles) > 0 {
				t.Fatalf("call %d, again: %v, %v", n, u, err)
			}
			if id, err := readIdentity(left, "/d"); err != nil || id.Format != DirectoryFormat || id.FinalizedFrom != 1 || countOld(t, left) != 0 {
				t.Fatalf("call %d, again: %+v, %v", n, id, err)
			}
			if u, err := CheckUpgrade(left, "/d", nil); err != nil || len(u.Changes)+len(u.Obstacles) != 0 {
				t.Fatalf("call %d, check: %+v, %v", n, u, err)
			}
		}
	}
}

func TestFinalize_Obstacles(t *testing.T) {
	for want, spoil := range map[string]func(fsys *memory.FS) error{
		"is damaged": func(fsys *memory.FS) error {
			f, err := fsys.Open("/d/shard-1/journal/journal-0000000000000001.log", vfs.Write)
			if err != nil {
				return err
			}
			b := []byte{0}
			if _, err := f.ReadAt(b, 4200); err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{b[0] ^ 1}, 4200)
			return errors.Join(err, f.Close())
		},
		"no journal files": func(fsys *memory.FS) error { return fsys.Remove("/d/shard-1/journal/journal-0000000000000001.log") },
		fmt.Sprint("knows ", DirectoryFormat): func(fsys *memory.FS) error {
			id := newIdentity(2)
			id.Format = DirectoryFormat + 1
			return replaceIdentity(fsys, "/d", id)
		},
		"a node runs": func(fsys *memory.FS) error {
			_, err := fsys.Lock("/d/LOCK")
			return err
		},
		"no data directory": func(fsys *memory.FS) error { return fsys.Remove("/d/leat.json") },
	} {
		fsys := format1(t)
		if err := spoil(fsys); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		u, err := CheckUpgrade(fsys, "/d", nil)
		if got := strings.Join(u.Obstacles, "; "); !strings.Contains(got, want) && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q: %v, %v", want, got, err)
		}
		if _, err := Finalize(fsys, "/d", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("finalize: want %q: %v", want, err)
		}
		if countOld(t, fsys) != 4 {
			t.Errorf("%s: the old state was removed", want)
		}
	}
}
