package segment

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

func all(uint32, uint32) (uint64, bool) { return 0, false }

// mergeSet replaces files by a copy.
func mergeSet(t testing.TB, s *Store, set []FileID, keep func(uint32, uint32) (uint64, bool)) {
	t.Helper()
	b := s.NewBuild(nil)
	err := s.CopyPieces(b, set, keep)
	var files []File
	if err == nil {
		files, err = b.Finish()
	}
	if err == nil {
		err = s.Commit(Edit{Add: files, Remove: set})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestMerge_KeepsAllAndHappensOnce(t *testing.T) {
	fsys, m := memory.New(), newModel(21)
	s := open(t, fsys, small())
	merges := 0
	for range 12 {
		m.add(t, s, 60, 8, 500)
		for _, set := range s.MergeCandidates() {
			if len(set) != small().MergeFiles {
				t.Fatalf("candidates %v", set)
			}
			merges++
			mergeSet(t, s, set, all)
		}
		if err := m.check(s); err != nil {
			t.Fatal(err)
		}
	}
	m.look(t, s)
	verified(t, s)
	var pieces, level1 int
	for _, f := range s.Files() {
		pieces += f.Pieces
		if f.Level == levelMerged {
			level1++
		}
	}
	if merges < 3 || level1 == 0 {
		t.Fatalf("%d merges, %d merged files", merges, level1)
	}
	s = reopen(t, s, fsys, small())
	if err := m.check(s); err != nil {
		t.Fatal(err)
	}
	for p := range m.runs {
		infos := s.Pieces(p.stream, p.number)
		at := 0
		for _, x := range infos {
			first := m.runs[p][at]
			for at < len(m.runs[p]) && m.runs[p][at].Next <= x.Next {
				at++
			}
			last := m.runs[p][at-1]
			want := PieceInfo{
				File: x.File, Base: first.Base, Next: last.Next, Bytes: x.Bytes, SeqFirst: first.Seq, SeqLast: last.Seq, TimeFirstMS: first.TimeMS,
				TimeLastMS: last.TimeMS, MaxTimeFirstMS: first.MaxTimeMS, MaxTimeLastMS: last.MaxTimeMS,
			}
			if x != want {
				t.Fatalf("piece %+v, want %+v", x, want)
			}
		}
		if at != len(m.runs[p]) {
			t.Fatalf("pieces up to run %d of %d", at, len(m.runs[p]))
		}
	}
}

// TestMerge_LeavesOutWhatIsDead checks from and drop, and that what Dead tells agrees.
func TestMerge_LeavesOutWhatIsDead(t *testing.T) {
	fsys, m := memory.New(), newModel(22)
	s := open(t, fsys, small())
	for range 3 {
		m.add(t, s, 60, 8, 500)
	}
	start := map[part]uint64{}
	for p, runs := range m.runs {
		switch m.rng.IntN(3) {
		case 0:
			start[p] = ^uint64(0)
		case 1:
			start[p] = runs[m.rng.IntN(len(runs))].Base + 1
		}
	}
	keep := func(stream, number uint32) (uint64, bool) {
		from := start[part{stream, number}]
		return from, from == ^uint64(0)
	}
	at := func(stream, number uint32) uint64 { return start[part{stream, number}] }
	var ids []FileID
	for _, f := range s.Files() {
		ids = append(ids, f.ID)
	}
	dead := s.Dead(at)
	if len(dead) == 0 {
		t.Fatal("nothing is dead")
	}
	mergeSet(t, s, ids, keep)
	for p, runs := range m.runs {
		from := start[p]
		i := slices.IndexFunc(runs, func(r Run) bool { return r.Next > from })
		if i < 0 {
			i = len(runs)
		}
		m.runs[p], m.data[p] = runs[i:], m.data[p][i:]
		if from == ^uint64(0) {
			delete(m.runs, p)
			if _, ok := s.End(p.stream, p.number); ok {
				t.Fatalf("%v was dropped and has an end", p)
			}
		}
	}
	if err := m.check(s); err != nil {
		t.Fatal(err)
	}
	verified(t, s)
	for _, d := range s.Dead(at) {
		if d.Whole || d.DeadBytes*10 > d.DataBytes {
			t.Fatalf("dead after a copy: %+v", d)
		}
	}
	for _, d := range s.Dead(func(uint32, uint32) uint64 { return ^uint64(0) }) {
		if !d.Whole || d.DeadBytes != d.DataBytes {
			t.Fatalf("all is dead: %+v", d)
		}
	}
}

// TestMerge_AcrossAForeignPiece merges files on both sides of one that stays: the piece between keeps its place.
func TestMerge_AcrossAForeignPiece(t *testing.T) {
	fsys, m := memory.New(), newModel(23)
	cfg := small()
	cfg.SharedBytesMax = SharedBytesMaxMax
	s := open(t, fsys, cfg)
	for range 3 {
		m.add(t, s, 60, 8, 200)
	}
	var ids []FileID
	for _, f := range s.Files() {
		if !f.Own {
			ids = append(ids, f.ID)
		}
	}
	if len(ids) < 3 {
		t.Fatalf("files %v", ids)
	}
	mergeSet(t, s, []FileID{ids[0], ids[2]}, all)
	if err := m.check(s); err != nil {
		t.Fatal(err)
	}
	m.look(t, s)
	verified(t, s)
	s = reopen(t, s, fsys, cfg)
	if err := m.check(s); err != nil {
		t.Fatal(err)
	}
}

func TestBuild_CoverKeepsTheEnd(t *testing.T) {
	fsys := memory.New()
	s := open(t, fsys, small())
	b := s.NewBuild(nil)
	if err := b.Add(Run{Stream: 1, Next: 5, Bytes: 1}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	b.Cover(90)
	files, err := b.Finish()
	if err == nil {
		err = s.Commit(Edit{Add: files})
	}
	if err != nil {
		t.Fatal(err)
	}
	if end, _ := s.End(1, 0); end != 90 {
		t.Fatalf("end %d", end)
	}
	c := s.Cursor(1, 0)
	defer c.Close()
	if c.Seek(5) || c.Err() != nil || !c.Prev() || c.Run().Next != 5 {
		t.Fatalf("in the hole: %+v, %v", *c.Run(), c.Err())
	}
	verified(t, s)
	// What overlaps is refused, whole.
	b = s.NewBuild(nil)
	if err := b.Add(Run{Stream: 1, Base: 80, Next: 95, Bytes: 1}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	files, err = b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(Edit{Add: files}); !errors.Is(err, ErrOverlap) {
		t.Fatalf("overlap: %v", err)
	}
	b.Abort()
	if err := s.Commit(Edit{Remove: []FileID{77}}); !errors.Is(err, ErrNoFile) {
		t.Fatalf("no such file: %v", err)
	}
	verified(t, s)
}

// TestCursor_DuringMerges reads by several goroutines while windows are added and files merged away: each sees what was committed when it
// began, whole, and files go when nobody sees them.
func TestCursor_DuringMerges(t *testing.T) {
	base := memory.New()
	fsys := faulty.New(base)
	m := newModel(24)
	s := open(t, fsys, small())
	m.add(t, s, 80, 8, 400)
	var mu sync.RWMutex // of m
	stop := make(chan struct{})
	var readers sync.WaitGroup
	errs := make(chan error, 4)
	walks := make([]int, 3)
	for i := range walks {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				parts := sortedParts(m.runs)
				p := parts[(i+walks[i])%len(parts)]
				runs, data := m.runs[p], m.data[p]
				c := s.Cursor(p.stream, p.number)
				mu.RUnlock()
				own := &model{data: map[part][][]byte{p: data}}
				err := own.checkPart(c, p, runs)
				c.Close()
				if walks[i]++; err != nil {
					errs <- fmt.Errorf("stream %d, partition %d: %w", p.stream, p.number, err)
					return
				}
			}
		})
	}
	held := s.Cursor(0, 0)
	heldRuns := m.runs[part{0, 0}]
	for range 15 {
		mu.Lock() // a window is in the model when it is committed
		m.add(t, s, 40, 8, 300)
		mu.Unlock()
		for _, set := range s.MergeCandidates() {
			mergeSet(t, s, set, all)
		}
	}
	close(stop)
	readers.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	if s.Metrics().FilesWaiting == 0 {
		t.Fatal("no file waits for the cursor that is open since the start")
	}
	if err := m.checkPart(held, part{0, 0}, heldRuns); err != nil {
		t.Fatalf("the cursor that was open all the time: %v", err)
	}
	held.Close()
	mt := s.Metrics()
	if got, want := len(names(t, base)), 1+2*len(s.Files()); got != want || mt.FilesWaiting != 0 || mt.FilesRemoved < 6 {
		t.Fatalf("%d files, want %d; %+v", got, want, mt)
	}
	if walks[0] == 0 {
		t.Fatal("nothing was read")
	}
}

// TestStore_ManyPartitions interleaves 1,000 partitions, over windows and a merge.
func TestStore_ManyPartitions(t *testing.T) {
	fsys, m := memory.New(), newModel(25)
	cfg := Default()
	cfg.MergeFiles = 3
	s := open(t, fsys, cfg)
	for range 3 {
		m.add(t, s, 1500, 3000, 60)
	}
	if len(m.runs) < 900 {
		t.Fatalf("only %d partitions", len(m.runs))
	}
	for _, set := range s.MergeCandidates() {
		mergeSet(t, s, set, all)
	}
	if len(s.Files()) != 1 {
		t.Fatalf("files %+v", s.Files())
	}
	if err := m.check(s); err != nil {
		t.Fatal(err)
	}
	verified(t, s)
}
