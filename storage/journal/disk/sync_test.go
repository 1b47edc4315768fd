package disk_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/journal/journaltest"
	"leat/storage/vfs"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
	osfs "leat/storage/vfs/os"
)

// TestAppend_OneWriteAndOneSyncAFrame counts the calls that reach the real disk: osfs makes one pwritev of each write and one fdatasync of each Sync.
func TestAppend_OneWriteAndOneSyncAFrame(t *testing.T) {
	fs := faulty.New(osfs.New())
	cfg := steady(false)
	cfg.FileBytes, cfg.FrameBytesMax = 4<<20, 1<<20
	j, err := disk.Open(fs, t.TempDir(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	syncs, writes, calls := fs.Count(faulty.Sync), fs.Count(faulty.WriteAt), fs.Calls()
	var last faulty.Op
	fs.Watch(func(c faulty.Call, _ error) { last = c.Op })
	for seq := journal.Seq(1); seq <= 100; seq++ {
		last = -1
		journaltest.Fill(t, j, seq, seq)
		if last != faulty.Sync {
			t.Fatalf("append %d answered after %v, not after its sync", seq, last)
		}
	}
	if s, w, c := fs.Count(faulty.Sync)-syncs, fs.Count(faulty.WriteAt)-writes, fs.Calls()-calls; s != 100 || w != 100 || c != 200 {
		t.Fatalf("100 frames took %d syncs, %d writes, %d calls in all; want 100, 100, 200", s, w, c)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if s := fs.Count(faulty.Sync) - syncs; s != 101 {
		t.Fatalf("close took %d syncs, want one for the seal", s-100)
	}
}

// TestFailedSync_WhatOpenShowsIsDurable: after a failed sync the frame is readable, and not on the disk. Reading it proves nothing.
func TestFailedSync_WhatOpenShowsIsDurable(t *testing.T) {
	m := memory.New()
	rng := rand.New(rand.NewPCG(5, 5))
	j, err := disk.Open(m, "/j", steady(false), quietly(rng))
	if err != nil {
		t.Fatal(err)
	}
	journaltest.Fill(t, j, 1, 3)
	m.FailSync(syscall.EIO)
	if _, err := j.Append(journaltest.FrameOf(4)); !errors.Is(err, journal.ErrUnknown) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("append with a failing sync: %v, want ErrUnknown and its cause", err)
	}
	if _, err := j.Append(journaltest.FrameOf(5)); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("append after that: %v, want ErrClosed", err)
	}
	if got := journaltest.Seqs(t, j, 0, 0); len(got) != 3 {
		t.Fatalf("readers of the failed journal see %v, want what was durable", got)
	}
	if !j.Metrics().Failed {
		t.Fatal("the metric does not say so")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = disk.Open(m, "/j", steady(false), quietly(rng)); err != nil {
		t.Fatal(err)
	}
	shown := journaltest.Seqs(t, j, 0, 0)
	if len(shown) != 4 || j.Metrics().Rewritten != 1 {
		t.Fatalf("after the reopen %v, rewritten %d: the frame was in the page cache and should have been written again", shown, j.Metrics().Rewritten)
	}
	if err := survives(m.CrashClone(rng, memory.KeepNone), 4, 4, rng, 1); err != nil {
		t.Fatalf("what Open showed is gone after a power loss: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestENOSPC_RefusesAndGoesOn(t *testing.T) {
	m := memory.New()
	j, err := disk.Open(m, "/j", steady(false), quietly(rand.New(rand.NewPCG(6, 6))))
	if err != nil {
		t.Fatal(err)
	}
	m.SetSpace(64 << 10)
	var seq journal.Seq
	for err == nil && seq < 1000 {
		if _, err = j.Append(journal.Frame{Seq: seq + 1, Facts: make([]byte, 4000)}); err == nil {
			seq++
		}
	}
	if !errors.Is(err, journal.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("after %d frames: %v, want ErrNoSpace", seq, err)
	}
	m.SetSpace(1 << 20)
	for range 20 {
		seq++
		if _, err = j.Append(journal.Frame{Seq: seq, Facts: make([]byte, 4000)}); err != nil {
			t.Fatalf("append when there is space again: %v", err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestIdleSeal_MakesTheNextOpenClean(t *testing.T) {
	m := memory.New()
	cfg := small()
	cfg.RingBytes, cfg.IdleSeal = 0, 500*time.Millisecond // longer than the pauses of a busy machine between the frames
	j, err := disk.Open(m, "/j", cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	journaltest.Fill(t, j, 1, 3)
	for deadline := clock.Now().Add(time.Minute); j.Metrics().Seals == 0; {
		if clock.Now().After(deadline) {
			t.Fatal("no seal after a minute idle")
		}
		clock.Sleep(t.Context(), time.Millisecond)
	}
	crashed := clone(m)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if s := j.Metrics().Seals; s != 1 {
		t.Fatalf("%d seals, want no second one at close", s)
	}
	for name, fs := range map[string]*memory.FS{"killed": crashed, "closed": m} {
		j, err := disk.Open(fs, "/j", cfg, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if met := j.Metrics(); met.Rewritten != 0 || met.TornTails != 0 || met.Files != 1 {
			t.Errorf("%s after a seal: %+v, want to go on in the same file", name, met)
		}
		_ = j.Close()
	}
}

func TestRing_FillsUsesAndRecycles(t *testing.T) {
	m := memory.New()
	cfg := steady(true)
	cfg.FrameBytesMax = 16 << 10
	j, err := disk.Open(m, "/j", cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ready := func() {
		t.Helper()
		for deadline := clock.Now().Add(time.Minute); !j.RingReady(); {
			if clock.Now().After(deadline) {
				t.Fatalf("the ring is not full after 5 s: %+v", j.Metrics())
			}
			clock.Sleep(t.Context(), time.Millisecond)
		}
	}
	ready()
	journaltest.Fill(t, j, 1, 60)
	ready()
	before := j.Metrics()
	if before.Files < 6 || before.SpareFiles < 1 || before.SpareFiles > 3 {
		t.Fatalf("%+v, want many files, and one or a few spares until they come back", before)
	}
	if err := j.Trim(60); err != nil {
		t.Fatal(err)
	}
	after := j.Metrics()
	if after.FilesFreed == 0 || after.Files >= before.Files || after.SpareFiles <= before.SpareFiles || after.Files+after.SpareFiles > 2*3+1 {
		t.Fatalf("%+v after trim, %+v before: trimmed files come back, as many as there is use for", after, before)
	}
	for seq := journal.Seq(61); seq <= 400; seq++ { // through recycled files many times
		journaltest.Fill(t, j, seq, seq)
		if seq%20 == 0 {
			if err := j.Trim(seq - 5); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := disk.Check(m, "/j", nil); err != nil || len(r.Findings) > 0 || r.Last != 400 {
		t.Fatalf("check: %v, %+v", err, r)
	}
	if j, err = disk.Open(m, "/j", cfg, quiet); err != nil {
		t.Fatal(err)
	}
	if got := journaltest.Seqs(t, j, 0, 390); len(got) != 10 {
		t.Fatalf("after 390: %v", got)
	}
	_ = j.Close()
}

func TestAppend_AllocatesNothing(t *testing.T) {
	cfg := steady(false)
	cfg.FileBytes, cfg.FrameBytesMax = 64<<20, 1<<20
	j, err := disk.Open(osfs.New(), t.TempDir(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	f := journal.Frame{Facts: make([]byte, 500)}
	for range 40 {
		f.Data = append(f.Data, make([]byte, 1000))
	}
	if n := testing.AllocsPerRun(50, func() {
		f.Seq++
		if _, err := j.Append(f); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations an append", n)
	}
	_ = j.Close()
}

var update = flag.Bool("update", false, "write the golden folder of the current format version again")

// TestFormat_V1Opens opens a folder written by format version 1. Each later version adds one; none is ever removed or written again
// after its release.
func TestFormat_V1Opens(t *testing.T) {
	golden := filepath.Join("testdata", "formats", "v1")
	if *update {
		m, _ := written(t, 40)
		copyDir(t, m, "/j", osfs.New(), golden)
	}
	m := memory.New()
	copyDir(t, osfs.New(), golden, m, "/j")
	r, err := disk.Check(m, "/j", nil)
	if err != nil || len(r.Findings) > 0 || r.Frames != 40 {
		t.Fatalf("check: %v, %+v", err, r)
	}
	j, err := disk.Open(m, "/j", steady(false), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if got := journaltest.Seqs(t, j, 0, 0); len(got) != 40 {
		t.Fatalf("got %v", got)
	}
	if got := j.Tail().Epoch; got != 3 {
		t.Fatalf("epoch %d, the folder was opened twice before", got)
	}
	journaltest.Fill(t, j, 41, 60)
	_ = j.Close()
}

func copyDir(t *testing.T, from vfs.FS, fromDir string, to vfs.FS, toDir string) {
	t.Helper()
	names, err := from.List(fromDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.MkdirAll(toDir); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		src, err := from.Open(path.Join(fromDir, name), vfs.Read)
		if err != nil {
			t.Fatal(err)
		}
		dst, err := to.Open(path.Join(toDir, name), vfs.Create)
		if err != nil {
			t.Fatal(err)
		}
		n, err := src.Size()
		if err == nil {
			_, err = io.Copy(io.NewOffsetWriter(dst, 0), io.NewSectionReader(src, 0, n))
		}
		if err = errors.Join(err, dst.Sync(), src.Close(), dst.Close(), to.SyncDir(toDir)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpen_EmptyFolderIsFast(t *testing.T) {
	start := clock.Now()
	j, err := disk.Open(osfs.New(), t.TempDir(), disk.Default(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	took := clock.Since(start)
	t.Log("opened in", took)
	if j.RingReady() {
		t.Error("a ring of 1 GiB was filled before Open returned")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkAppend compares with a program that only writes and syncs, on a file of the same kind (filled before) and by the same calls.
//
//	go test -bench Append -benchtime 500x ./storage/journal/disk
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * 7)
		}
		b.Run(fmt.Sprintf("raw/%dKiB", size>>10), func(b *testing.B) { benchRaw(b, data) })
		b.Run(fmt.Sprintf("journal/%dKiB", size>>10), func(b *testing.B) { benchJournal(b, data) })
	}
}

func benchRaw(b *testing.B, data []byte) {
	const fileBytes = 256 << 20
	h, err := osfs.New().Open(filepath.Join(b.TempDir(), "raw"), vfs.Create)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < fileBytes; off += int64(len(zeros)) {
		if _, err := h.WriteAt(zeros, off); err != nil {
			b.Fatal(err)
		}
		if err := h.Sync(); err != nil { // piece by piece, as the ring does
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(data)))
	off := int64(0)
	for b.Loop() {
		if off+int64(len(data)) > fileBytes {
			off = 0
		}
		if _, err := h.WriteV([][]byte{data}, off); err != nil {
			b.Fatal(err)
		}
		if err := h.Sync(); err != nil {
			b.Fatal(err)
		}
		off += int64(len(data))
	}
}

func benchJournal(b *testing.B, data []byte) {
	cfg := disk.Default()
	cfg.RingBytes = 1 << 30
	j, err := disk.Open(osfs.New(), b.TempDir(), cfg, quiet)
	if err != nil {
		b.Fatal(err)
	}
	for !j.RingReady() {
		clock.Sleep(b.Context(), 10*time.Millisecond)
	}
	facts := make([]byte, 200)
	var seq journal.Seq
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		seq++
		if _, err := j.Append(journal.Frame{Seq: seq, Facts: facts, Data: [][]byte{data}}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}
