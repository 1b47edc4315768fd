package memory_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/memory"
	"leat/storage/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return memory.New(), "/" })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, m *memory.FS, name string) []byte {
	t.Helper()
	h, err := m.Open(name, vfs.Read)
	if err != nil {
		return nil
	}
	n, err := h.Size()
	must(t, err)
	b := make([]byte, n)
	if _, err := h.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b
}

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// half returns a disk with a synced file of ones and an unsynced rewrite of it with twos, longer.
func half(t *testing.T) *memory.FS {
	m := memory.New()
	h, err := m.Open("/a", vfs.Create)
	must(t, err)
	_, err = h.WriteAt(bytes.Repeat([]byte{1}, 8192), 0)
	must(t, err)
	must(t, h.Sync())
	must(t, m.SyncDir("/"))
	_, err = h.WriteAt(bytes.Repeat([]byte{2}, 12288), 0)
	must(t, err)
	return m
}

func TestCrashClone_NoneKeepsWhatWasSynced(t *testing.T) {
	got := contents(t, half(t).CrashClone(rng(1), memory.KeepNone), "/a")
	if !bytes.Equal(got, bytes.Repeat([]byte{1}, 8192)) {
		t.Fatalf("%d bytes, beginning with %v", len(got), got[:min(4, len(got))])
	}
}

func TestCrashClone_AllKeepsWhatWasWritten(t *testing.T) {
	got := contents(t, half(t).CrashClone(rng(1), memory.KeepAll), "/a")
	if !bytes.Equal(got, bytes.Repeat([]byte{2}, 12288)) {
		t.Fatalf("%d bytes, beginning with %v", len(got), got[:min(4, len(got))])
	}
}

func TestCrashClone_SomeTearsAtSectorsOnly(t *testing.T) {
	torn, long := 0, 0
	for seed := range uint64(50) {
		got := contents(t, half(t).CrashClone(rng(seed), memory.KeepSome), "/a")
		again := contents(t, half(t).CrashClone(rng(seed), memory.KeepSome), "/a")
		if !bytes.Equal(got, again) {
			t.Fatalf("seed %d gives two clones", seed)
		}
		kinds := map[byte]bool{}
		for at := 0; at < len(got); at += 512 {
			if !bytes.Equal(got[at:at+512], bytes.Repeat(got[at:at+1], 512)) {
				t.Fatalf("seed %d: the sector at %d is torn", seed, at)
			}
			kinds[got[at]] = true
		}
		if len(got) > 8192 {
			long++
		}
		if kinds[1] && kinds[2] {
			torn++
		}
	}
	if torn < 10 || long < 10 || long > 40 {
		t.Fatalf("of 50 seeds %d tear and %d keep the length: chance does not do its work", torn, long)
	}
}

func TestFailedSync_LosesPagesForGood(t *testing.T) {
	m := half(t)
	m.FailSync(syscall.EIO)
	h, err := m.Open("/a", vfs.Write)
	must(t, err)
	if err := h.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v, want EIO", err)
	}
	must(t, h.Sync()) // says yes, writes nothing
	if got := contents(t, m, "/a"); got[0] != 2 {
		t.Fatal("the page cache lost its pages")
	}
	got := contents(t, m.CrashClone(rng(1), memory.KeepAll), "/a")
	if got[0] != 1 {
		t.Fatal("a page that a failed sync marked clean reached the disk")
	}
	// Writing the page again makes it dirty again, whole.
	_, err = h.WriteAt([]byte{3}, 0)
	must(t, err)
	must(t, h.Sync())
	got = contents(t, m.CrashClone(rng(1), memory.KeepNone), "/a")
	if got[0] != 3 || got[1] != 2 || got[4096] != 1 {
		t.Fatalf("after a rewrite of the first page: %d %d %d, want 3 2 1", got[0], got[1], got[4096])
	}
}

func TestCrashClone_NamesSurviveAsAPrefix(t *testing.T) {
	m := memory.New()
	for i := range 5 {
		_, err := m.Open(fmt.Sprintf("/f%d", i), vfs.Create)
		must(t, err)
	}
	must(t, m.Rename("/f0", "/g0"))
	seen := map[int]bool{}
	for seed := range uint64(60) {
		names, err := m.CrashClone(rng(seed), memory.KeepSome).List("/")
		must(t, err)
		for i, n := range names {
			if n != fmt.Sprintf("f%d", i) && (len(names) != 5 || names[4] != "g0") {
				t.Fatalf("seed %d: %v is no prefix of what happened", seed, names)
			}
		}
		seen[len(names)] = true
	}
	if len(seen) != 6 {
		t.Fatalf("only %d of 6 prefixes in 60 seeds", len(seen))
	}
	names, _ := m.CrashClone(rng(1), memory.KeepNone).List("/")
	if len(names) != 0 {
		t.Fatalf("%v without a SyncDir", names)
	}
	must(t, m.SyncDir("/"))
	if names, _ = m.CrashClone(rng(1), memory.KeepNone).List("/"); len(names) != 5 {
		t.Fatalf("%v after SyncDir", names)
	}
}

func TestSpace_RunsOut(t *testing.T) {
	m := memory.New()
	m.SetSpace(8192)
	h, err := m.Open("/a", vfs.Create)
	must(t, err)
	if n, err := h.WriteAt(make([]byte, 10_000), 0); n != 8192 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("wrote %d, %v, want 8192 and ENOSPC", n, err)
	}
	if n, _ := m.Free("/"); n != 0 {
		t.Fatalf("%d bytes free", n)
	}
}
