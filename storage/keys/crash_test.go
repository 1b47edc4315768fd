package keys

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"testing"

	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// work does the same things for the same seed, and goes on after failures as a caller would. Without a fault it ends flushed.
func work(t *testing.T, x *Index, m *model, rng *rand.Rand, frames int) {
	t.Helper()
	for i := range frames {
		add(x, m.frame(rng))
		switch {
		case i%10 == 9:
			_ = x.Flush()
		case i%7 == 6:
			_, _ = x.Maintain()
		}
	}
	_ = x.Flush()
}

// recovered opens what a crash left, adds what is missing, and compares.
func recovered(t *testing.T, what string, fs *memory.FS, m *model) {
	t.Helper()
	x, err := Open(fs, "/keys", tiny(), Options{Foreground: true})
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	m.replay(x)
	m.check(t, x, rand.New(rand.NewPCG(3, 3)), 12)
	damage, err := x.Verify(nil)
	if err != nil || len(damage) > 0 {
		t.Fatalf("%s: verify: %v %v", what, damage, err)
	}
	must(t, x.Close())
}

// TestCrash_AfterEveryChange cuts the power after every call that changes the disk, three ways.
func TestCrash_AfterEveryChange(t *testing.T) {
	base := memory.New()
	fs := faulty.New(base)
	m := newModel()
	rng := rand.New(rand.NewPCG(1, 2))
	type clone struct {
		what   string
		fs     *memory.FS
		frames int
		atMost uint64
	}
	var clones []clone
	calls := 0
	fs.Watch(func(c faulty.Call, err error) {
		if !c.Op.Changes() {
			return
		}
		if calls++; calls%3 != 0 && c.Op == faulty.WriteAt { // a third of the writes, every sync, rename and removal
			return
		}
		mode := memory.Mode(calls % 3)
		clones = append(clones, clone{fmt.Sprintf("%v %s, mode %d", c.Op, c.Name, mode), base.CrashClone(rng, mode), len(m.frames), 0})
	})
	x, err := Open(fs, "/keys", tiny(), Options{Foreground: true})
	must(t, err)
	work(t, x, m, rand.New(rand.NewPCG(5, 5)), 90)
	fs.Watch(nil)
	if len(clones) < 60 {
		t.Fatalf("only %d moments to crash in", len(clones))
	}
	merges := x.Metrics().Merges
	must(t, x.Close())
	if merges < 2 {
		t.Fatalf("%d merges: crashes do not see them", merges)
	}
	for _, c := range clones {
		recovered(t, c.what, c.fs, m)
	}
}

// TestFault_AnyCall fails one call after another. Nothing may be lost or wrong: not in memory, not on the disk at any crash after it.
func TestFault_AnyCall(t *testing.T) {
	quiet := Options{Foreground: true, Log: slog.New(slog.DiscardHandler)}
	count := func() int {
		fs := faulty.New(memory.New())
		x := mustOpen(t, fs, tiny(), quiet)
		before := fs.Calls()
		work(t, x, newModel(), rand.New(rand.NewPCG(6, 6)), 30)
		return fs.Calls() - before
	}()
	for n := 1; n <= count; n += 3 {
		for _, errno := range []error{syscall.EIO, syscall.ENOSPC} {
			base := memory.New()
			fs := faulty.New(base)
			x := mustOpen(t, fs, tiny(), quiet)
			fs.SetRule(faulty.NthCall(fs.Calls()+n, errno))
			m := newModel()
			work(t, x, m, rand.New(rand.NewPCG(6, 6)), 30)
			what := fmt.Sprintf("call %d of %d fails with %v", n, count, errno)
			m.check(t, x, rand.New(rand.NewPCG(4, 4)), 4)
			recovered(t, what, base.CrashClone(rand.New(rand.NewPCG(uint64(n), 1)), memory.Mode(n%3)), m)
			fs.SetRule(nil)
			if err := x.Flush(); err != nil {
				t.Fatalf("%s: flush after it: %v", what, err)
			}
			settle(t, x)
			m.check(t, x, rand.New(rand.NewPCG(4, 4)), 4)
			must(t, x.Close())
			recovered(t, what+", closed", base.CrashClone(rand.New(rand.NewPCG(uint64(n), 1)), memory.KeepNone), m)
		}
	}
}

// TestFlush_SaysWhy is what a caller sees of a disk that fails.
func TestFlush_SaysWhy(t *testing.T) {
	fs := faulty.New(memory.New())
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	m := newModel()
	for rng := rand.New(rand.NewPCG(1, 1)); len(m.entries) == 0; {
		add(x, m.frame(rng))
	}
	fs.SetRule(func(c faulty.Call) faulty.Fault {
		if c.Op == faulty.Sync {
			return faulty.Fault{Err: syscall.EIO}
		}
		return faulty.Fault{}
	})
	if err := x.Flush(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("flush: %v, want EIO", err)
	}
	if x.Durable() != 0 || x.Metrics().WriteErrors != 1 {
		t.Fatalf("durable %d, %d errors", x.Durable(), x.Metrics().WriteErrors)
	}
	for _, op := range []faulty.Op{faulty.Rename, faulty.SyncDir} { // the manifest cannot be replaced, or nobody knows
		fs.SetRule(func(c faulty.Call) faulty.Fault {
			if c.Op == op {
				return faulty.Fault{Err: syscall.EIO}
			}
			return faulty.Fault{}
		})
		for range 3 {
			if err := x.Flush(); !errors.Is(err, syscall.EIO) {
				t.Fatalf("flush: %v, want EIO", err)
			}
		}
	}
	fs.SetRule(nil)
	must(t, x.Flush())
	if x.Durable() != m.seq {
		t.Fatalf("durable %d, want %d", x.Durable(), m.seq)
	}
	if live := liveFiles(x); live != 1 {
		t.Fatalf("%d files in the folder, want the one that was written last", live)
	}
	must(t, x.Close())
}
