package pebble

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat/storage/state"
)

// refusing fails writes to files whose names contain what, while on.
type refusing struct {
	vfs.FS
	what  string
	on    atomic.Bool
	tries atomic.Int64
}

func (f *refusing) refuse(name string) bool { return f.on.Load() && strings.Contains(name, f.what) }

func (f *refusing) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if f.refuse(name) {
		f.tries.Add(1)
	}
	file, err := f.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return &refusingFile{file, f, name}, nil
}

type refusingFile struct {
	vfs.File
	fs   *refusing
	name string
}

func (f *refusingFile) Write(p []byte) (int, error) {
	if f.fs.refuse(f.name) {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

func applyOne(t *testing.T, s *Store, seq uint64) error {
	t.Helper()
	b := s.NewBatch()
	b.Set([]byte("k"), []byte{byte(seq)})
	return s.Apply(b, state.Mark{Seq: seq})
}

func TestFlush_FullDiskIsReportedAndHeals(t *testing.T) {
	fs := &refusing{FS: vfs.NewCrashableMem(), what: ".sst"}
	s, err := OpenFS(fs, "state", small())
	if err != nil {
		t.Fatal(err)
	}
	if err := applyOne(t, s, 1); err != nil {
		t.Fatal(err)
	}
	fs.on.Store(true)
	start := time.Now()
	if err := s.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("flush on a full disk: %v", err)
	}
	if got := s.Durable(); got != (state.Mark{}) {
		t.Errorf("durable is %v though nothing was written", got)
	}
	if err := applyOne(t, s, 2); err != nil {
		t.Errorf("apply while the disk is full: %v", err)
	}
	if v, err := s.Get([]byte("k")); err != nil || v[0] != 2 {
		t.Errorf("get while the disk is full: %v, %v", v, err)
	}
	time.Sleep(3 * retryPause)
	if most := int64(time.Since(start)/retryPause) + 2; fs.tries.Load() > most {
		t.Errorf("%d tries in %v: at most one in %v", fs.tries.Load(), time.Since(start), retryPause)
	}
	fs.on.Store(false)
	if err := s.Flush(); err != nil {
		// The attempt that was under way may fail once more; it is said once, and then all is well.
		if err := s.Flush(); err != nil {
			t.Fatalf("flush after the disk had room again: %v", err)
		}
	}
	if got := s.Durable(); got.Seq != 2 {
		t.Errorf("durable after the disk had room again: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestStore_IsBrokenWhenItsManifestCannotBeWritten(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := &refusing{FS: mem, what: "MANIFEST"}
	s, err := OpenFS(fs, "state", small())
	if err != nil {
		t.Fatal(err)
	}
	if err := applyOne(t, s, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := applyOne(t, s, 2); err != nil {
		t.Fatal(err)
	}
	fs.on.Store(true)
	if err := s.Flush(); !errors.Is(err, state.ErrBroken) || !strings.Contains(err.Error(), "no space") {
		t.Fatalf("flush: %v", err)
	}
	if got := s.Durable(); got.Seq != 1 {
		t.Errorf("durable: %v, want 1", got)
	}
	if v, err := s.Get([]byte("k")); err != nil || v[0] != 2 {
		t.Errorf("a broken store is still read: %v, %v", v, err)
	}
	for name, err := range map[string]error{"Apply": applyOne(t, s, 3), "Flush": s.Flush(), "Close": s.Close()} {
		if !errors.Is(err, state.ErrBroken) {
			t.Errorf("%s: %v, want ErrBroken", name, err)
		}
	}
	again, err := OpenFS(mem.CrashClone(vfs.CrashCloneCfg{}), "state", small())
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Applied(); got.Seq != 1 {
		t.Errorf("after a crash: %v, want 1", got)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpen_EndsOnAFullDisk: whichever write of an open finds no room, the open says so.
func TestOpen_EndsOnAFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s, err := OpenFS(mem, "state", small())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(applyOne(t, s, 1), s.Close()); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for writes := range 50 {
		fs := &lastRoom{FS: mem.CrashClone(vfs.CrashCloneCfg{})}
		fs.left.Store(int64(writes))
		again, err := OpenFS(fs, "state", small())
		if err == nil {
			fs.left.Store(1 << 30)
			if err := again.Close(); err != nil {
				t.Log(writes, err)
			}
			break
		}
		if refused++; !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "no space") {
			t.Errorf("after %d writes: %v", writes, err)
		}
	}
	if refused == 0 {
		t.Error("an open writes nothing?")
	}
}

// lastRoom has room for some writes more.
type lastRoom struct {
	vfs.FS
	left atomic.Int64
}

func (f *lastRoom) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return &lastRoomFile{file, f}, nil
}

type lastRoomFile struct {
	vfs.File
	fs *lastRoom
}

func (f *lastRoomFile) Write(p []byte) (int, error) {
	if f.fs.left.Add(-1) < 0 {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

func (f *lastRoomFile) Sync() error {
	if f.fs.left.Load() < 0 {
		return syscall.ENOSPC
	}
	return f.File.Sync()
}
