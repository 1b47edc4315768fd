package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// until is the model as it was at a seq.
func (m *model) until(seq uint64) *model {
	out := &model{rng: m.rng, seq: seq, time: m.time, runs: map[part][]Run{}, data: m.data}
	for p, runs := range m.runs {
		n := slices.IndexFunc(runs, func(r Run) bool { return r.Seq > seq })
		if n < 0 {
			n = len(runs)
		}
		out.runs[p] = runs[:n]
	}
	return out
}

// survives opens a crash clone: what was committed is there whole, the commit in flight whole or not at all, and no other file.
func (m *model) survives(fsys vfs.FS, acked, inFlight uint64) error {
	s, err := Open(fsys, "/s", small(), quiet)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if through := s.Through(); through != acked && through != inFlight {
		return fmt.Errorf("through %d, want %d or %d", through, acked, inFlight)
	}
	if err := m.until(s.Through()).check(s); err != nil {
		return err
	}
	damage, err := s.Verify(nil)
	if err != nil || len(damage) > 0 {
		return fmt.Errorf("verify: %v, %w", damage, err)
	}
	list, err := fsys.List("/s")
	if err != nil {
		return err
	}
	if want := 2 + 2*len(s.Files()); len(list) != want {
		return fmt.Errorf("%d names in the folder, want %d: %v", len(list), want, list)
	}
	return nil
}

// story is what a store lives through: windows, and merges when there are candidates. It tells what is committed before each step, and goes on
// after an error of a step with the next try, three times.
type story struct {
	m        *model
	acked    uint64 // through, committed
	inFlight uint64
	errs     []error
	windows  int
	frames   int
}

func (y *story) live(fsys vfs.FS) error {
	s, err := Open(fsys, "/s", small(), quiet)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	for range y.windows {
		fresh := y.m.window(y.frames, 6, 400)
		y.inFlight = y.m.seq
		if err := y.try(func() error {
			files, b, err := y.m.build(s, fresh)
			return y.commit(s, b, Edit{Add: files, Through: y.m.seq}, err)
		}); err != nil {
			return err
		}
		y.acked = y.m.seq
		if err := y.try(func() error { return y.merge(s) }); err != nil {
			return err
		}
	}
	return y.try(func() error { return y.m.check(s) })
}

func (y *story) try(step func() error) (err error) {
	for range 3 {
		if err = step(); err == nil {
			return nil
		}
		y.errs = append(y.errs, err)
	}
	return err
}

// commit commits, and aborts what failed.
func (y *story) commit(s *Store, b *Build, e Edit, err error) error {
	if err == nil {
		err = s.Commit(e)
	}
	if err != nil {
		b.Abort()
	}
	return err
}

func (y *story) merge(s *Store) error {
	for _, set := range s.MergeCandidates() {
		b := s.NewBuild(nil)
		err := s.CopyPieces(b, set, all)
		var files []File
		if err == nil {
			files, err = b.Finish()
		}
		if err := y.commit(s, b, Edit{Add: files, Remove: set}, err); err != nil {
			return err
		}
	}
	return nil
}

// TestCrash_AfterEveryCall crashes after every call that changes the disk, in every mode.
func TestCrash_AfterEveryCall(t *testing.T) {
	base := memory.New()
	fsys := faulty.New(base)
	y := &story{m: newModel(11), windows: 4, frames: 20}
	rng := rand.New(rand.NewPCG(3, 3))
	crashes := 0
	fsys.Watch(func(c faulty.Call, _ error) {
		if !c.Op.Changes() || t.Failed() || c.Op == faulty.WriteAt && rng.IntN(8) > 0 {
			return
		}
		for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepAll, memory.KeepSome} {
			crashes++
			if err := y.m.survives(base.CrashClone(rng, mode), y.acked, y.inFlight); err != nil {
				t.Errorf("mode %d, after call %d (%s %s): %v", mode, c.Number, c.Op, c.Name, err)
			}
		}
	})
	if err := y.live(fsys); err != nil {
		t.Fatal(err)
	}
	if crashes < 100 || y.acked != y.m.seq {
		t.Fatalf("only %d crashes", crashes)
	}
}

// TestFaults_OnEveryCall lets the n-th call fail, for every n: the store goes on when the step is tried again, or it is opened again, and a crash
// at the end finds what was committed.
func TestFaults_OnEveryCall(t *testing.T) {
	for i, fault := range []faulty.Fault{ // between the three all calls fail
		{Err: syscall.EIO}, {Err: syscall.ENOSPC}, {Err: syscall.ENOSPC, Written: 300},
	} {
		failed, opens := 0, 0
		for n := 1 + i; ; n += 3 {
			base := memory.New()
			fsys := faulty.New(base)
			hit := false
			fsys.SetRule(func(c faulty.Call) faulty.Fault {
				if c.Number != n {
					return faulty.Fault{}
				}
				hit = true
				return fault
			})
			y := &story{m: newModel(12), windows: 3, frames: 7}
			err := y.live(fsys)
			switch {
			case err != nil && y.inFlight == 0:
				opens++
				if !errors.Is(err, fault.Err) {
					t.Fatalf("call %d: open failed with %v", n, err)
				}
			case err != nil:
				t.Fatalf("call %d (%v): three tries did not help: %v", n, fault.Err, err)
			}
			for _, e := range y.errs {
				failed++
				if !errors.Is(e, fault.Err) {
					t.Fatalf("call %d fails with %v: the cause is not in %v", n, fault.Err, e)
				}
			}
			rng := rand.New(rand.NewPCG(uint64(n), 3))
			for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepSome} {
				if err := y.m.survives(base.CrashClone(rng, mode), y.acked, y.acked); err != nil {
					t.Fatalf("call %d failed with %v, crash mode %d: %v", n, fault.Err, mode, err)
				}
			}
			if !hit {
				break
			}
		}
		if failed < 20 || opens < 2 {
			t.Fatalf("only %d steps and %d opens failed", failed, opens)
		}
	}
}

// TestCommit_Unsure lets the sync of the folder fail after the rename of the manifest. Whatever the caller does next, either manifest must find
// its files.
func TestCommit_Unsure(t *testing.T) {
	base := memory.New()
	fsys := faulty.New(base)
	m := newModel(13)
	s := open(t, fsys, small())
	m.add(t, s, 40, 6, 400)
	before := m.seq
	files, b, err := m.build(s, m.window(40, 6, 400))
	if err != nil {
		t.Fatal(err)
	}
	edit := Edit{Add: files, Remove: []FileID{s.Files()[0].ID}, Through: m.seq}
	merged := s.NewBuild(nil)
	if err := s.CopyPieces(merged, []FileID{s.Files()[0].ID}, all); err != nil {
		t.Fatal(err)
	}
	copies, err := merged.Finish()
	if err != nil {
		t.Fatal(err)
	}
	edit.Add = append(edit.Add, copies...)
	fsys.SetRule(func(c faulty.Call) faulty.Fault {
		if c.Op == faulty.SyncDir {
			return faulty.Fault{Err: syscall.EIO}
		}
		return faulty.Fault{}
	})
	if err := s.Commit(edit); !errors.Is(err, vfs.ErrUnsure) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("commit: %v", err)
	}
	fsys.SetRule(nil)
	b.Abort()
	merged.Abort()
	if s.Through() != before {
		t.Fatalf("through %d after a commit that failed", s.Through())
	}
	if err := m.until(before).check(s); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 3))
	for range 4 {
		for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepAll, memory.KeepSome} {
			if err := m.survives(base.CrashClone(rng, mode), before, m.seq); err != nil {
				t.Fatalf("mode %d: %v", mode, err)
			}
		}
	}
	// A commit that succeeds settles it: the aborted files go.
	if err := s.Commit(Edit{}); err != nil {
		t.Fatal(err)
	}
	if got, want := len(names(t, base)), 1+2*len(s.Files()); got != want {
		t.Fatalf("%d files, want %d", got, want)
	}
}

// TestBuild_SyncsEachFileOnce counts.
func TestBuild_SyncsEachFileOnce(t *testing.T) {
	fsys := faulty.New(memory.New())
	s := open(t, fsys, small())
	m := newModel(14)
	synced := map[string]int{}
	writes := 0
	fsys.Watch(func(c faulty.Call, _ error) {
		switch c.Op {
		case faulty.Sync:
			synced[c.Name]++
		case faulty.WriteAt:
			writes++
		}
	})
	paced := 0
	b := s.NewBuild(func(n int) error {
		if n > small().BlockBytes {
			t.Errorf("a piece of %d bytes", n)
		}
		paced++
		return nil
	})
	fresh := m.window(200, 6, 400)
	for _, p := range sortedParts(fresh) {
		for _, i := range fresh[p] {
			if err := b.Add(m.runs[p][i], m.data[p][i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2 || len(synced) != 2*len(files) || paced+len(files) != writes {
		t.Fatalf("%d files, synced %v, %d writes, paced %d times", len(files), synced, writes, paced)
	}
	for name, n := range synced {
		if n != 1 {
			t.Errorf("%s: synced %d times", name, n)
		}
	}
	// The pace can stop a build, and nothing of it stays.
	stop := errors.New("stop")
	b = s.NewBuild(func(int) error { return stop })
	if err := b.Add(Run{Next: 1, Bytes: 5000}, make([]byte, 5000)); !errors.Is(err, stop) {
		t.Fatalf("stopped: %v", err)
	}
	b.Abort()
	if err := s.Commit(Edit{Add: files}); err != nil {
		t.Fatal(err)
	}
	if err := m.check(s); err != nil {
		t.Fatal(err)
	}
}
