package faulty_test

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
	"leat/storage/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return faulty.New(memory.New()), "/" })
}

func TestFaults(t *testing.T) {
	base := memory.New()
	f := faulty.New(base)
	h, err := f.Open("/a", vfs.Create)
	if err != nil {
		t.Fatal(err)
	}
	f.SetRule(func(c faulty.Call) faulty.Fault {
		if c.Op == faulty.WriteAt {
			return faulty.Fault{Err: syscall.ENOSPC, Written: 2}
		}
		return faulty.Fault{}
	})
	if n, err := h.WriteV([][]byte{{'a'}, {'b'}, {'c'}}, 0); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("short write: %d, %v, want 2 and ENOSPC", n, err)
	}
	f.SetRule(func(c faulty.Call) faulty.Fault {
		if c.Op == faulty.ReadAt {
			return faulty.Fault{FlipBit: 9}
		}
		return faulty.Fault{}
	})
	p := make([]byte, 2)
	if _, err := h.ReadAt(p, 0); err != nil || string(p) != "ac" { // 'b' with its lowest bit flipped is 'c'
		t.Fatalf("flipped read: %q, %v, want ac", p, err)
	}
	f.SetRule(faulty.NthOf(faulty.Sync, 1, syscall.EIO))
	var seen []faulty.Op
	f.Watch(func(c faulty.Call, _ error) { seen = append(seen, c.Op) })
	if err := h.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v, want EIO", err)
	}
	if err := h.Sync(); err != nil {
		t.Fatalf("second sync: %v", err)
	}
	if err := f.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 3 || f.Count(faulty.Sync) != 2 {
		t.Fatalf("watcher saw %v, %d syncs counted", seen, f.Count(faulty.Sync))
	}
	// The failed sync lost the pages: the second one, which succeeded, wrote nothing.
	c := base.CrashClone(rand.New(rand.NewPCG(1, 1)), memory.KeepNone)
	ch, err := c.Open("/a", vfs.Read)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := ch.ReadAt(p, 0); n == 2 && string(p) == "ab" {
		t.Fatal("pages of a failed sync reached the disk without a write")
	}
}
