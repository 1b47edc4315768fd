package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leat/storage/vfs"
	"leat/storage/vfs/memory"
)

var quiet = Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Lineage: [16]byte{1, 2, 3}}

// small makes many files, blocks and index blocks out of little.
func small() Config {
	return Config{SharedBytesMax: 64 << 10, OwnBytesMin: 24 << 10, BlockBytes: 1 << 10, CacheBytes: 64 << 10, OpenFilesMax: 3, MergeFiles: 3}
}

type part struct{ stream, number uint32 }

// model is what a store should hold: runs and their bytes, in order.
type model struct {
	rng  *rand.Rand
	seq  uint64
	time int64
	runs map[part][]Run
	data map[part][][]byte
}

func newModel(seed uint64) *model {
	return &model{rng: rand.New(rand.NewPCG(seed, 1)), runs: map[part][]Run{}, data: map[part][][]byte{}, time: 1_000_000}
}

// window makes the runs of a window: frames with batches of several partitions.
func (m *model) window(frames, parts, bytesMax int) map[part][]int {
	fresh := map[part][]int{}
	for range frames {
		m.seq += 1 + m.rng.Uint64N(3)
		m.time += m.rng.Int64N(50)
		batch := uint32(0)
		for range 1 + m.rng.IntN(4) {
			p := part{uint32(m.rng.IntN(parts)) / 3, uint32(m.rng.IntN(3))}
			r := Run{
				Stream: p.stream, Partition: p.number, Seq: m.seq, Batch: batch, TimeMS: m.time, MaxTimeMS: m.time + m.rng.Int64N(5),
				Origin: uint32(m.rng.IntN(3)), Route: uint32(m.rng.IntN(2)), Bytes: 1 + m.rng.Int64N(int64(bytesMax)),
			}
			if m.rng.IntN(20) == 0 {
				r.Bytes += 4000 // more than a block
			}
			batch += 1 + uint32(m.rng.IntN(2))
			if old := m.runs[p]; len(old) > 0 {
				last := &old[len(old)-1]
				r.Base, r.MaxTimeMS = last.Next, max(r.MaxTimeMS, last.MaxTimeMS)
			}
			if m.rng.IntN(10) == 0 {
				r.Base += m.rng.Uint64N(5) // a hole
			}
			r.Next = r.Base + 1 + m.rng.Uint64N(20)
			data := make([]byte, r.Bytes)
			for i := range data {
				data[i] = byte(m.rng.Uint32())
			}
			fresh[p] = append(fresh[p], len(m.runs[p]))
			m.runs[p] = append(m.runs[p], r)
			m.data[p] = append(m.data[p], data)
		}
	}
	return fresh
}

func sortedParts[V any](m map[part]V) []part {
	var out []part
	for p := range m {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b part) int {
		return int(int64(a.stream)<<32+int64(a.number)) - int(int64(b.stream)<<32+int64(b.number))
	})
	return out
}

// build writes some of the model's runs.
func (m *model) build(s *Store, fresh map[part][]int) ([]File, *Build, error) {
	b := s.NewBuild(nil)
	for _, p := range sortedParts(fresh) {
		var total int64
		for _, i := range fresh[p] {
			total += m.runs[p][i].Bytes
		}
		if err := b.Piece(p.stream, p.number, total); err != nil {
			return nil, b, err
		}
		for _, i := range fresh[p] {
			if err := b.Add(m.runs[p][i], m.data[p][i]); err != nil {
				return nil, b, err
			}
		}
	}
	files, err := b.Finish()
	return files, b, err
}

// add is a window that is built and committed.
func (m *model) add(t testing.TB, s *Store, frames, parts, bytesMax int) {
	t.Helper()
	files, _, err := m.build(s, m.window(frames, parts, bytesMax))
	if err == nil {
		err = s.Commit(Edit{Add: files, Through: m.seq})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// check compares a store with the model, every run of it, by walking.
func (m *model) check(s *Store) error {
	for p, runs := range m.runs {
		c := s.Cursor(p.stream, p.number)
		err := m.checkPart(c, p, runs)
		c.Close()
		if err != nil {
			return fmt.Errorf("stream %d, partition %d: %w", p.stream, p.number, err)
		}
		if end, ok := s.End(p.stream, p.number); ok != (len(runs) > 0) || ok && end < runs[len(runs)-1].Next {
			return fmt.Errorf("end %d, %t", end, ok)
		}
	}
	return nil
}

func (m *model) checkPart(c *Cursor, p part, runs []Run) error {
	for i := range runs {
		if !c.Next() {
			return fmt.Errorf("no run %d of %d: %w", i, len(runs), c.Err())
		}
		if *c.Run() != runs[i] {
			return fmt.Errorf("run %d: %s", i, cmp.Diff(runs[i], *c.Run()))
		}
		b, err := c.Read(nil)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, m.data[p][i]) {
			return fmt.Errorf("run %d: other bytes", i)
		}
	}
	if c.Next() || c.Err() != nil {
		return fmt.Errorf("after the last run: %v, %w", *c.Run(), c.Err())
	}
	for i := range slices.Backward(runs) {
		if !c.Prev() || *c.Run() != runs[i] {
			return fmt.Errorf("backward: run %d: %v, %w", i, *c.Run(), c.Err())
		}
	}
	if c.Prev() {
		return fmt.Errorf("before the first run: %v", *c.Run())
	}
	return nil
}

// look compares look-ups with the model.
func (m *model) look(t *testing.T, s *Store) {
	t.Helper()
	for p, runs := range m.runs {
		c := s.Cursor(p.stream, p.number)
		for range 30 {
			offset := m.rng.Uint64N(runs[len(runs)-1].Next + 3)
			want := slices.IndexFunc(runs, func(r Run) bool { return r.Next > offset })
			checkAt(t, c, c.Seek(offset), runs, want, fmt.Sprintf("Seek(%d)", offset))
			seq := m.rng.Uint64N(m.seq + 2)
			want = slices.IndexFunc(runs, func(r Run) bool { return r.Seq >= seq })
			checkAt(t, c, c.Search(func(r *Run) bool { return r.Seq >= seq }), runs, want, fmt.Sprintf("seq %d", seq))
			at := 999_999 + m.rng.Int64N(m.time-1_000_000+10)
			want = slices.IndexFunc(runs, func(r Run) bool { return r.MaxTimeMS >= at })
			checkAt(t, c, c.Search(func(r *Run) bool { return r.MaxTimeMS >= at }), runs, want, fmt.Sprintf("max time %d", at))
			first := m.rng.IntN(len(runs))
			m.some(t, c, p, first, m.rng.IntN(20_000), runs[first].Base+m.rng.Uint64N(200))
		}
		c.Close()
	}
}

func checkAt(t *testing.T, c *Cursor, ok bool, runs []Run, want int, what string) {
	t.Helper()
	if c.Err() != nil || ok != (want >= 0) || ok && *c.Run() != runs[want] {
		t.Fatalf("%s: %t, %+v, %v, want run %d of %d", what, ok, *c.Run(), c.Err(), want, len(runs))
	}
}

// some reads with ReadSome from a run on.
func (m *model) some(t *testing.T, c *Cursor, p part, first, bytesMax int, below uint64) {
	t.Helper()
	runs := m.runs[p]
	want, end := slices.Clone(m.data[p][first]), first+1
	for ; end < len(runs) && len(want)+int(runs[end].Bytes) <= bytesMax && runs[end].Base < below; end++ {
		want = append(want, m.data[p][end]...)
	}
	at := first
	if !c.Seek(runs[first].Base) {
		t.Fatal(c.Err())
	}
	got, err := c.ReadSome([]byte("kept"), bytesMax, below, func(r *Run, data []byte) {
		if *r != runs[at] || !bytes.Equal(data, m.data[p][at]) {
			t.Fatalf("run %d: %+v, want %+v", at, *r, runs[at])
		}
		at++
	})
	if err != nil || at != end || !bytes.Equal(got, append([]byte("kept"), want...)) || *c.Run() != runs[end-1] {
		t.Fatalf("ReadSome from run %d, at most %d bytes, below %d: %v, up to run %d, want %d", first, bytesMax, below, err, at, end)
	}
}

func open(t testing.TB, fsys vfs.FS, cfg Config) *Store {
	t.Helper()
	s, err := Open(fsys, "/s", cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func verified(t testing.TB, s *Store) {
	t.Helper()
	damage, err := s.Verify(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range damage {
		t.Errorf("verify: %v", &damage[i])
	}
}

func reopen(t testing.TB, s *Store, fsys vfs.FS, cfg Config) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, fsys, cfg)
}

func TestStore_HoldsWhatWasBuilt(t *testing.T) {
	for seed := range uint64(4) {
		fsys, m := memory.New(), newModel(seed)
		s := open(t, fsys, small())
		for range 7 {
			m.add(t, s, 120, 9, 600)
			if err := m.check(s); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		m.look(t, s)
		verified(t, s)
		s = reopen(t, s, fsys, small())
		if s.Through() != m.seq {
			t.Fatalf("through %d, want %d", s.Through(), m.seq)
		}
		if err := m.check(s); err != nil {
			t.Fatalf("seed %d, opened again: %v", seed, err)
		}
		if mt := s.Metrics(); mt.OpenFiles > 3 || mt.CacheBytes > 64<<10 || mt.Files < 7 {
			t.Fatalf("metrics %+v", mt)
		}
	}
}

func TestBuild_RefusesDisorder(t *testing.T) {
	good := Run{Stream: 2, Partition: 1, Base: 10, Next: 20, Seq: 5, Batch: 1, TimeMS: 100, MaxTimeMS: 100, Bytes: 1}
	for name, change := range map[string]func(*Run){
		"overlap":   func(r *Run) { r.Base = 19 },
		"empty":     func(r *Run) { r.Next = r.Base },
		"seq":       func(r *Run) { r.Seq = 4 },
		"batch":     func(r *Run) { r.Seq, r.Batch = 5, 1 },
		"time":      func(r *Run) { r.TimeMS = 99 },
		"max time":  func(r *Run) { r.MaxTimeMS = 99 },
		"partition": func(r *Run) { r.Partition = 0 },
		"stream":    func(r *Run) { r.Stream = 1 },
		"bytes":     func(r *Run) { r.Bytes = 2 },
		"no bytes":  func(r *Run) { r.Bytes = 0 },
	} {
		fsys := memory.New()
		s := open(t, fsys, small())
		b := s.NewBuild(nil)
		if err := b.Add(good, []byte("x")); err != nil {
			t.Fatal(err)
		}
		next := good
		next.Base, next.Next, next.Seq, next.TimeMS, next.MaxTimeMS = 20, 21, 6, 101, 101
		change(&next)
		if err := b.Add(next, []byte("x")); !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v, want ErrOrder", name, err)
		}
		if _, err := b.Finish(); !errors.Is(err, ErrOrder) {
			t.Errorf("%s: Finish after an error: %v", name, err)
		}
		b.Abort()
		if names, _ := fsys.List("/s"); len(names) != 2 {
			t.Errorf("%s: left over: %v", name, names)
		}
		_ = s.Close()
	}
}

// TestBuild_OwnAndSharedFiles checks which file a piece goes to.
func TestBuild_OwnAndSharedFiles(t *testing.T) {
	fsys := memory.New()
	s := open(t, fsys, small())
	b := s.NewBuild(nil)
	b.ownMax = 40 << 10
	add := func(stream uint32, announced int64, runs int) {
		t.Helper()
		if announced > 0 {
			if err := b.Piece(stream, 0, announced); err != nil {
				t.Fatal(err)
			}
		}
		for i := range uint64(runs) {
			if err := b.Add(Run{Stream: stream, Base: i, Next: i + 1, Seq: i, Bytes: 1000}, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(1, 5000, 5)    // shared, file 1
	add(2, 70_000, 70) // its own, files 2 and 3, for it is over ownMax
	add(3, 24_000, 24) // shared with 1
	add(4, 0, 30)      // not announced: shared, and goes on in file 5 where 1 is full
	add(5, 20_000, 20) // shared with 4
	add(6, 24_000, 24) // does not fit behind 5, and is not cut in two: file 5 ends
	files, err := b.Finish()
	if err == nil {
		err = s.Commit(Edit{Add: files})
	}
	if err != nil {
		t.Fatal(err)
	}
	type at struct {
		stream uint32
		pieces int
	}
	for _, want := range []at{{1, 1}, {2, 2}, {3, 1}, {5, 1}, {6, 1}} {
		if got := s.Pieces(want.stream, 0); len(got) != want.pieces {
			t.Errorf("stream %d: pieces %+v, want %d", want.stream, got, want.pieces)
		}
	}
	own := 0
	for _, f := range s.Files() {
		if f.Bytes > 66<<10 {
			t.Errorf("file %d has %d bytes", f.ID, f.Bytes)
		}
		if f.StreamFirst == 2 && f.StreamLast == 2 && f.Pieces == 1 {
			own++
		}
		if f.Own != (f.DataBytes > 24<<10 && f.Pieces == 1) {
			t.Errorf("own: %+v", f)
		}
	}
	if own != 2 || s.Pieces(1, 0)[0].File != s.Pieces(3, 0)[0].File {
		t.Fatalf("files %+v", s.Files())
	}
	verified(t, s)
}

func TestStore_ClosedAndOpenedTwice(t *testing.T) {
	fsys, m := memory.New(), newModel(3)
	s := open(t, fsys, small())
	m.add(t, s, 20, 3, 100)
	if _, err := Open(fsys, "/s", small(), quiet); err == nil {
		t.Fatal("opened twice")
	}
	c := s.Cursor(0, 0)
	if !c.Next() {
		t.Fatal(c.Err())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("read after close: %v", err)
	}
	c.Close()
	if late := s.Cursor(0, 0); late.Next() || late.Seek(0) || !errors.Is(late.Err(), ErrClosed) {
		t.Fatalf("cursor after close: %v", late.Err())
	}
	if err := s.Commit(Edit{}); !errors.Is(err, ErrClosed) {
		t.Fatalf("commit after close: %v", err)
	}
	if _, err := s.Verify(nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("verify after close: %v", err)
	}
}

// TestCursor_SearchIsLogarithmic counts what a search among many pieces reads.
func TestCursor_SearchIsLogarithmic(t *testing.T) {
	fsys := memory.New()
	cfg := small()
	cfg.CacheBytes = CacheBytesMin
	s := open(t, fsys, cfg)
	for i := range uint64(200) {
		b := s.NewBuild(nil)
		if err := b.Add(Run{Base: i, Next: i + 1, Seq: i, TimeMS: int64(i), Bytes: 1}, []byte{1}); err != nil {
			t.Fatal(err)
		}
		files, err := b.Finish()
		if err == nil {
			err = s.Commit(Edit{Add: files})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	before := s.Metrics().Reads
	c := s.Cursor(0, 0)
	defer c.Close()
	if !c.Search(func(r *Run) bool { return r.TimeMS >= 123 }) || c.Run().Base != 123 {
		t.Fatal(c.Run(), c.Err())
	}
	if reads := s.Metrics().Reads - before; reads > 14 {
		t.Fatalf("%d reads to search 200 pieces", reads)
	}
}

func TestVerify_TellsHowFarItIs(t *testing.T) {
	fsys, m := memory.New(), newModel(31)
	s := open(t, fsys, small())
	m.add(t, s, 100, 9, 400)
	var bytes, last int64
	for _, f := range s.Files() {
		bytes += f.Bytes
	}
	if _, err := s.Verify(func(done, total int64) error {
		if total != bytes || done < last {
			t.Errorf("%d of %d after %d, want %d", done, total, last, bytes)
		}
		last = done
		return nil
	}); err != nil || last != bytes {
		t.Fatalf("ended at %d of %d: %v", last, bytes, err)
	}
	stop := errors.New("stop")
	if _, err := s.Verify(func(int64, int64) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("stopped: %v", err)
	}
}
