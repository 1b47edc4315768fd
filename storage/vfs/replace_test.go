package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"syscall"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
	osfs "leat/storage/vfs/os"
)

func content(t *testing.T, f vfs.FS, name string) []byte {
	t.Helper()
	h, err := f.Open(name, vfs.Read)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	size, err := h.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := h.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b
}

func TestReplace_OnARealDisk(t *testing.T) {
	fsys, name := osfs.New(), path.Join(t.TempDir(), "a")
	for _, want := range []string{"long content first", "short"} {
		if err := vfs.Replace(fsys, name, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, fsys, name); string(got) != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// TestReplace_OldOrNewAfterACrash crashes after every call, and lets every call fail.
func TestReplace_OldOrNewAfterACrash(t *testing.T) {
	was, is := bytes.Repeat([]byte("old"), 3000), bytes.Repeat([]byte("new!"), 3000)
	for n := 1; ; n++ {
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		base := memory.New()
		if err := vfs.Replace(base, "/a", was); err != nil {
			t.Fatal(err)
		}
		fsys := faulty.New(base)
		hit := false
		fsys.SetRule(func(c faulty.Call) faulty.Fault {
			if c.Number != n {
				return faulty.Fault{}
			}
			hit = true
			return faulty.Fault{Err: syscall.EIO}
		})
		fsys.Watch(func(c faulty.Call, _ error) {
			for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepSome, memory.KeepAll} {
				got := content(t, base.CrashClone(rng, mode), "/a")
				if !bytes.Equal(got, was) && !bytes.Equal(got, is) {
					t.Errorf("call %d failed, crash after %s: neither the old content nor the new (%d bytes)", n, c.Op, len(got))
				}
			}
		})
		err := vfs.Replace(fsys, "/a", is)
		fsys.Watch(nil)
		after := content(t, base.CrashClone(rng, memory.KeepNone), "/a")
		switch {
		case err == nil && !bytes.Equal(after, is):
			t.Fatalf("call %d: replaced, and lost by a crash", n)
		case err != nil && !errors.Is(err, syscall.EIO):
			t.Fatalf("call %d: %v does not have the cause", n, err)
		case err != nil && !errors.Is(err, vfs.ErrUnsure) && !bytes.Equal(content(t, base, "/a"), was):
			t.Fatalf("call %d: %v, and the old content is gone", n, err)
		}
		fsys.SetRule(nil)
		if err := vfs.Replace(fsys, "/a", is); err != nil {
			t.Fatalf("call %d: the next try: %v", n, err)
		}
		if !hit {
			if n < 5 {
				t.Fatalf("only %d calls", n)
			}
			return
		}
	}
}

// TestAdvice_ChangesNothing: it is advice, where it is known and where not.
func TestAdvice_ChangesNothing(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{path.Join(t.TempDir(), "a"): osfs.New(), "/a": memory.New()} {
		f, err := fsys.Open(name, vfs.Create)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("x"), 10_000)
		if _, err := f.WriteAt(want, 0); err != nil {
			t.Fatal(err)
		}
		vfs.StartWrite(f, 0, 8192)
		vfs.StartWrite(f, 1<<20, 4096) // nothing there
		vfs.RandomReads(f)
		vfs.ReadAhead(f, 0, 1<<20)
		if got := content(t, fsys, name); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes", len(got))
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
