package disk_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/journal/journaltest"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

func steady(ring bool) disk.Config {
	cfg := disk.Default()
	cfg.FileBytes, cfg.FrameBytesMax, cfg.RingBytes, cfg.IdleSeal = 32<<10, 12<<10, 0, 0
	if ring {
		cfg.RingBytes = 96 << 10
	}
	return cfg
}

func quietly(rng *rand.Rand) disk.Options {
	o := quiet
	o.Random = rng.Uint64
	return o
}

// survives opens a crash clone and checks the promise: every frame up to acked is there whole, the one in flight whole or not at all, nothing
// else. It then goes on with the journal and crashes once more.
func survives(m *memory.FS, acked, inFlight journal.Seq, rng *rand.Rand, depth int) error {
	return survivesFrom(m, 1, acked, inFlight, rng, depth)
}

// survivesFrom is survives for a journal that was trimmed below first: it may begin there, or before.
func survivesFrom(m *memory.FS, first, acked, inFlight journal.Seq, rng *rand.Rand, depth int) error {
	cfg := steady(false)
	j, err := disk.Open(m, "/j", cfg, quietly(rng))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	var last journal.Seq
	err = j.Scan(0, 0, func(e journal.Entry) error {
		if e.Seq != last+1 && (last != 0 || e.Seq > first) {
			return fmt.Errorf("frame %d after %d", e.Seq, last)
		}
		last = e.Seq
		return journaltest.Verify(j, e)
	})
	if err == nil && (last < acked || last > inFlight) {
		err = fmt.Errorf("frames 1..%d, acknowledged were 1..%d, begun %d", last, acked, inFlight)
	}
	if err == nil && j.Tail().Seq != last {
		err = fmt.Errorf("tail %d, last frame %d", j.Tail().Seq, last)
	}
	if err != nil {
		return errors.Join(err, j.Close())
	}
	var next error
	if depth > 0 {
		// What Open has shown is shown for ever: it counts as acknowledged from now on, before anything else is written.
		next = survivesFrom(m.CrashClone(rng, memory.KeepNone), first, last, last, rng, depth-1)
		for seq := last + 1; seq < last+4 && next == nil; seq++ {
			if _, err := j.Append(journaltest.FrameOf(seq)); err != nil {
				return errors.Join(err, j.Close())
			}
			next = survivesFrom(m.CrashClone(rng, memory.KeepSome), first, seq, seq, rng, depth-1)
		}
	}
	return errors.Join(next, j.Close())
}

// TestCrash_AfterEveryCall crashes after every call that changes the disk, in every mode.
func TestCrash_AfterEveryCall(t *testing.T) {
	for seed := range 1 {
		rng, own := rand.New(rand.NewPCG(uint64(seed), 7)), rand.New(rand.NewPCG(uint64(seed), 8))
		base := memory.New()
		fs := faulty.New(base)
		var acked atomic.Uint64
		crashes := 0
		var mu sync.Mutex // the background calls too
		check := func(c faulty.Call, _ error) {
			mu.Lock()
			defer mu.Unlock()
			if !c.Op.Changes() || t.Failed() {
				return
			}
			for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepAll, memory.KeepSome, memory.KeepSome} {
				crashes++
				before := journal.Seq(acked.Load())
				clone := base.CrashClone(rng, mode)
				if err := survives(clone, before, journal.Seq(acked.Load()+1), rng, crashes%9/8); err != nil {
					t.Errorf("seed %d, mode %d, after call %d (%s %s): %v\n%s", seed, mode, c.Number, c.Op, c.Name, err, base)
				}
			}
		}
		for round := range 5 {
			fs.Watch(nil) // what the background did late
			j, err := disk.Open(fs, "/j", steady(false), quietly(own))
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			fs.Watch(check)
			for range 6 + own.IntN(12) {
				seq := journal.Seq(acked.Load() + 1)
				if _, err := j.Append(journaltest.FrameOf(seq)); err != nil {
					t.Fatalf("seed %d: append %d: %v", seed, seq, err)
				}
				acked.Store(uint64(seq))
			}
			if round%2 == 1 {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			fs.Watch(nil)
			// The process dies: its locks go, the page cache stays in any part.
			mu.Lock()
			base = base.CrashClone(rng, memory.KeepSome)
			mu.Unlock()
			_ = j.Close()
			fs = faulty.New(base)
		}
		if crashes < 100 {
			t.Fatalf("seed %d: only %d crashes", seed, crashes)
		}
	}
}

// TestCrash_WithRingAndTrim crashes now and then while files are filled, used again and trimmed: what an earlier use left in a file must
// never come back.
func TestCrash_WithRingAndTrim(t *testing.T) {
	rng, own := rand.New(rand.NewPCG(11, 7)), rand.New(rand.NewPCG(11, 8))
	base := memory.New()
	var acked, first atomic.Uint64
	first.Store(1)
	var mu sync.Mutex
	crashes := 0
	check := func(c faulty.Call, _ error) {
		mu.Lock()
		defer mu.Unlock()
		if !c.Op.Changes() || t.Failed() || rng.IntN(8) != 0 {
			return
		}
		crashes++
		before := journal.Seq(acked.Load())
		clone := base.CrashClone(rng, memory.Mode(rng.IntN(3)))
		if err := survivesFrom(clone, journal.Seq(first.Load()), before, journal.Seq(acked.Load()+1), rng, crashes%5/4); err != nil {
			t.Errorf("after call %d (%s %s): %v\n%s", c.Number, c.Op, c.Name, err, base)
		}
	}
	for range 8 {
		fs := faulty.New(base)
		j, err := disk.Open(fs, "/j", steady(true), quietly(own))
		if err != nil {
			t.Fatal(err)
		}
		fs.Watch(check)
		for range 30 + own.IntN(30) {
			seq := journal.Seq(acked.Load() + 1)
			if _, err := j.Append(journaltest.FrameOf(seq)); err != nil {
				t.Fatalf("append %d: %v", seq, err)
			}
			acked.Store(uint64(seq))
			if seq%16 == 0 {
				first.Store(uint64(seq - 6)) // from here on it may be gone
				if err := j.Trim(seq - 6); err != nil {
					t.Fatal(err)
				}
			}
		}
		fs.Watch(nil)
		mu.Lock()
		crashed := base.CrashClone(rng, memory.KeepSome)
		mu.Unlock()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		base = crashed
	}
	if crashes < 50 {
		t.Fatalf("only %d crashes", crashes)
	}
}

// TestFaults_OnEveryCall lets the n-th call fail, for every n, and then pulls the plug.
func TestFaults_OnEveryCall(t *testing.T) {
	for i, fault := range []faulty.Fault{ // fewer for the next: over the four all calls fail
		{Err: syscall.EIO},
		{Err: syscall.ENOSPC},
		{Err: syscall.EIO, Written: 300},
		{Err: syscall.ENOSPC, Written: 4096},
	} {
		failed := 0
		for n := 1 + i; ; n += 2 + i {
			rng := rand.New(rand.NewPCG(uint64(n), 3))
			base := memory.New()
			fs := faulty.New(base)
			hit := false // the rule is called by one goroutine at a time, and read after Close
			fs.SetRule(func(c faulty.Call) faulty.Fault {
				if c.Number != n {
					return faulty.Fault{}
				}
				hit = true
				return fault
			})
			acked, err := workload(fs, rng)
			if err != nil {
				failed++
				if !errors.Is(err, fault.Err) && !errors.Is(err, journal.ErrNoSpace) {
					t.Fatalf("call %d fails with %v: the cause is not in %v", n, fault.Err, err)
				}
			}
			for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepAll, memory.KeepSome} {
				if err := survives(base.CrashClone(rng, mode), acked, acked+1, rng, n%8/7); err != nil {
					t.Fatalf("call %d failed with %v (written %d), crash mode %d: %v", n, fault.Err, fault.Written, mode, err)
				}
			}
			if !hit {
				break
			}
		}
		if failed < 80/(2+i)-10 {
			t.Fatalf("only %d runs failed", failed)
		}
	}
}

// workload appends over several files and one clean reopen. It returns what was acknowledged before the first error. A frame that was refused
// for space is tried once more.
func workload(fs *faulty.FS, rng *rand.Rand) (acked journal.Seq, err error) {
	for range 2 {
		j, err := disk.Open(fs, "/j", steady(false), quietly(rng))
		if err != nil {
			return acked, err
		}
		for range 20 {
			f := journaltest.FrameOf(acked + 1)
			_, err := j.Append(f)
			if errors.Is(err, journal.ErrNoSpace) {
				_, err = j.Append(f)
			}
			if err != nil {
				if _, again := j.Append(f); !errors.Is(again, journal.ErrClosed) && !errors.Is(again, journal.ErrUnknown) {
					again = fmt.Errorf("after %w the next append got %w", err, again)
					return acked, errors.Join(again, j.Close())
				}
				return acked, errors.Join(err, j.Close())
			}
			acked++
		}
		if err := j.Close(); err != nil {
			return acked, err
		}
	}
	return acked, nil
}

// TestTrim_AfterOneThatFailed lets each call of a trim fail, trims again, and pulls the plug: a file whose name could not be taken away must not
// be followed by a hole.
func TestTrim_AfterOneThatFailed(t *testing.T) {
	for _, ring := range []bool{false, true} {
		for n, done := 1, false; !done; n++ {
			rng := rand.New(rand.NewPCG(uint64(n), 5))
			base := memory.New()
			fs := faulty.New(base)
			j, err := disk.Open(fs, "/j", steady(ring), quietly(rng))
			if err != nil {
				t.Fatal(err)
			}
			const last = 60
			for seq := journal.Seq(1); seq <= last; seq++ {
				if _, err := j.Append(journaltest.FrameOf(seq)); err != nil {
					t.Fatal(err)
				}
			}
			hit := false
			at := fs.Calls() + n
			fs.SetRule(func(c faulty.Call) faulty.Fault {
				if c.Number != at {
					return faulty.Fault{}
				}
				hit = true
				return faulty.Fault{Err: syscall.EIO}
			})
			failed := j.Trim(last / 2) // nil when the call was one of the ring's, in the background
			fs.SetRule(nil)
			done = !hit && failed == nil
			if err := j.Trim(last - 10); err != nil {
				t.Fatalf("ring %t, after call %d: %v", ring, n, err)
			}
			for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepAll, memory.KeepSome} {
				if err := survivesFrom(base.CrashClone(rng, mode), last-10, last, last, rng, 0); err != nil {
					t.Errorf("ring %t, after call %d, mode %d: %v", ring, n, mode, err)
				}
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
