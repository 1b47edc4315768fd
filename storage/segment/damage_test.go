package segment

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/memory"
)

// spot is where a run lies on the disk.
type spot struct {
	file     string
	from, to int64
	run      Run
}

func spots(t *testing.T, s *Store, m *model) (all []spot) {
	t.Helper()
	for p := range m.runs {
		c := s.Cursor(p.stream, p.number)
		for c.Next() {
			x := &c.block.runs[c.entry]
			all = append(all, spot{c.refs[c.at].f.ID.name(), int64(x.at), int64(x.at + x.bytes), *c.Run()})
		}
		c.Close()
	}
	return all
}

// tolerant walks everything: what can be read must be right, and what cannot must be in a range that an error named. It returns those.
func (m *model) tolerant(s *Store) (faults []*CorruptError, err error) {
	for p, runs := range m.runs {
		c := s.Cursor(p.stream, p.number)
		found, err := m.tolerantPart(c, p, runs)
		c.Close()
		if err != nil {
			return nil, fmt.Errorf("stream %d, partition %d: %w", p.stream, p.number, err)
		}
		faults = append(faults, found...)
	}
	return faults, nil
}

func (m *model) tolerantPart(c *Cursor, p part, runs []Run) (faults []*CorruptError, err error) {
	i := 0
	pass := func(err error) (uint64, error) {
		var e *CorruptError
		if !errors.As(err, &e) {
			return 0, fmt.Errorf("run %d: %w", i, err)
		}
		if e.Stream != p.stream || e.Partition != p.number || e.Next <= e.Base || e.Base > runs[i].Base || e.Next < runs[i].Next {
			return 0, fmt.Errorf("run %d, offsets %d to %d, is out of reach, and the error names others: %w", i, runs[i].Base, runs[i].Next, e)
		}
		faults = append(faults, e)
		for i < len(runs) && runs[i].Base < e.Next {
			i++
		}
		return e.Next, nil
	}
	ok := c.Next()
	for i < len(runs) {
		if !ok {
			next, err := pass(c.Err())
			if err != nil {
				return nil, err
			}
			ok = c.Seek(next)
			continue
		}
		if *c.Run() != runs[i] {
			return nil, fmt.Errorf("run %d: %+v, want %+v", i, *c.Run(), runs[i])
		}
		var err error
		_, rerr := c.ReadSome(nil, 8<<10, 1<<62, func(r *Run, data []byte) {
			if err == nil && (*r != runs[i] || !bytes.Equal(data, m.data[p][i])) {
				err = fmt.Errorf("run %d is served with other bytes", i)
			}
			i++
		})
		switch {
		case err != nil:
			return nil, err
		case rerr != nil:
			next, err := pass(rerr)
			if err != nil {
				return nil, err
			}
			ok = c.Seek(next)
		default:
			ok = c.Next()
		}
	}
	if ok || c.Err() != nil {
		return nil, fmt.Errorf("behind the end: %+v, %w", *c.Run(), c.Err())
	}
	return faults, nil
}

func names(t *testing.T, fsys vfs.FS) (out []string) {
	t.Helper()
	all, err := fsys.List("/s")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if n != "LOCK" {
			out = append(out, n)
		}
	}
	return out
}

func whole(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	b, err := (&Store{fs: fsys}).readWhole(path.Join("/s", name), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func overwrite(t testing.TB, fsys vfs.FS, name string, at int64, b []byte) {
	t.Helper()
	f, err := fsys.Open(path.Join("/s", name), vfs.Write)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// damaged is a store with some windows of a model.
func damaged(t *testing.T, seed uint64) (*memory.FS, *model, []spot) {
	t.Helper()
	fsys, m := memory.New(), newModel(seed)
	s := open(t, fsys, small())
	for range 4 {
		m.add(t, s, 60, 9, 500)
	}
	at := spots(t, s, m)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return fsys, m, at
}

func clone(fsys *memory.FS) *memory.FS {
	return fsys.CrashClone(rand.New(rand.NewPCG(1, 1)), memory.KeepAll)
}

// TestDamage_EveryFlippedBitIsFound flips a bit somewhere: Verify names the file, and the offsets where it hit a run; reading serves what is
// right, or names what it does not.
func TestDamage_EveryFlippedBitIsFound(t *testing.T) {
	base, m, at := damaged(t, 5)
	rng := rand.New(rand.NewPCG(9, 9))
	inRuns, refused := 0, 0
	for _, name := range names(t, base) {
		size := len(whole(t, base, name))
		for range 7 {
			fsys := clone(base)
			place := rng.Int64N(int64(size))
			if rng.IntN(2) == 0 { // the end of a file has the most to lose
				place = int64(size) - 1 - rng.Int64N(min(int64(size), 1500))
			}
			late := rng.IntN(2) == 0 // the store is open when it happens
			var s *Store
			if late {
				s = open(t, fsys, small())
			}
			b := whole(t, fsys, name)[place : place+1]
			overwrite(t, fsys, name, place, []byte{b[0] ^ 1<<rng.IntN(8)})
			if !late {
				var err error
				if s, err = Open(fsys, "/s", small(), quiet); name == manifestName {
					var c *CorruptError
					if !errors.As(err, &c) && !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "manifest") {
						t.Fatalf("flipped byte %d of the manifest: %v", place, err)
					}
					refused++
					continue
				}
				if err != nil {
					t.Fatalf("%s, byte %d: %v", name, place, err)
				}
			}
			if checkFound(t, s, name, place, at) {
				inRuns++
			}
			if _, err := m.tolerant(s); err != nil {
				t.Fatalf("%s, byte %d: %v", name, place, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if inRuns < 10 || refused < 1 {
		t.Fatalf("only %d flips hit a run, %d the manifest", inRuns, refused)
	}
}

func checkFound(t *testing.T, s *Store, name string, place int64, at []spot) (inRun bool) {
	t.Helper()
	damage, err := s.Verify(nil)
	if err != nil || len(damage) == 0 {
		t.Fatalf("%s, byte %d: not found (%v)", name, place, err)
	}
	for i := range damage {
		if damage[i].File != name {
			t.Fatalf("%s, byte %d: verify blames another: %v", name, place, &damage[i])
		}
	}
	for _, x := range at {
		if x.file != name || place < x.from || place >= x.to {
			continue
		}
		d := &damage[0]
		if len(damage) != 1 || d.Stream != x.run.Stream || d.Partition != x.run.Partition || d.Base != x.run.Base || d.Next != x.run.Next || d.Block < 0 {
			t.Fatalf("%s, byte %d in %+v: found as %v (%d)", name, place, x.run, d, len(damage))
		}
		return true
	}
	return false
}

// TestDamage_TamperedSums changes bytes of a run and every CRC that covers them: the chain and the root still tell.
func TestDamage_TamperedSums(t *testing.T) {
	base, m, _ := damaged(t, 6)
	for _, part := range sortedParts(m.runs)[:4] {
		fsys := clone(base)
		s := open(t, fsys, small())
		c := s.Cursor(part.stream, part.number)
		if !c.Next() {
			t.Fatal(c.Err())
		}
		x, l, r := c.block.runs[0], c.lines[0], c.refs[0]
		run := *c.Run()
		c.Close()
		name := r.f.ID.name()
		data := whole(t, fsys, name)
		run0 := data[x.at : x.at+x.bytes]
		run0[0] ^= 1
		index := data[l.indexAt : l.indexAt+l.bytes]
		sum := le.AppendUint32(nil, x.crc)
		le.PutUint32(index[bytes.Index(index, sum):], crc32.Checksum(run0, castagnoli))
		l.crc = crc32.Checksum(index, castagnoli)
		p := r.piece()
		copy(data[int64(r.f.foot.linesAt)+int64(p.line)*lineBytes:], l.append(nil, r.f.ID, c.part, p.line))
		overwrite(t, fsys, name, 0, data)
		s = reopen(t, s, fsys, small())
		damage, err := s.Verify(nil)
		if err != nil || len(damage) != 1 || damage[0].Block != int64(x.block) || damage[0].File != name || damage[0].Base != run.Base ||
			damage[0].Stream != part.stream || !strings.Contains(damage[0].Expected, "chain") {
			t.Fatalf("%v, %v, want the chain at block %d", damage, err, x.block)
		}
	}
}

// TestDamage_Swapped puts two blocks of one size, and then two files, in each other's place.
func TestDamage_Swapped(t *testing.T) {
	fsys := memory.New()
	s := open(t, fsys, small())
	for range 2 {
		b := s.NewBuild(nil)
		at, _ := s.End(1, 0)
		for i := range uint64(6) {
			r := Run{Stream: 1, Base: at + i, Next: at + i + 1, Seq: at + i, Bytes: 1024}
			if err := b.Add(r, bytes.Repeat([]byte{byte(at + i)}, 1024)); err != nil {
				t.Fatal(err)
			}
		}
		files, err := b.Finish()
		if err == nil {
			err = s.Commit(Edit{Add: files})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	one, two := FileID(1).name(), FileID(2).name()
	data := whole(t, fsys, one)
	swapped := clone(fsys)
	overwrite(t, swapped, one, headerBytes, data[headerBytes+1024:headerBytes+2048])
	overwrite(t, swapped, one, headerBytes+1024, data[headerBytes:headerBytes+1024])
	damage, err := open(t, swapped, small()).Verify(nil)
	if err != nil || len(damage) != 2 || damage[0].Block != 0 || damage[1].Block != 1 || damage[1].Base != 1 {
		t.Fatalf("two blocks: %v, %v", damage, err)
	}
	other := whole(t, fsys, two)
	overwrite(t, fsys, one, 0, other)
	overwrite(t, fsys, two, 0, data)
	damage, err = reopen(t, s, fsys, small()).Verify(nil)
	if err != nil || len(damage) < 2 || damage[0].File != one || damage[len(damage)-1].File != two {
		t.Fatalf("two files: %v, %v", damage, err)
	}
}

// TestDamage_MissingAndCutFiles takes files away, or their ends: the directory beside still tells what is not there.
func TestDamage_MissingAndCutFiles(t *testing.T) {
	base, m, _ := damaged(t, 7)
	for i, name := range names(t, base) {
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		fsys := clone(base)
		if i%4 < 2 {
			if err := fsys.Remove("/s/" + name); err != nil {
				t.Fatal(err)
			}
		} else {
			f, err := fsys.Open("/s/"+name, vfs.Write)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Truncate(int64(len(whole(t, fsys, name)) / 2)); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
		s := open(t, fsys, small())
		damage, err := s.Verify(nil)
		if err != nil || len(damage) == 0 || damage[0].File != name {
			t.Fatalf("%s: %v, %v", name, damage, err)
		}
		faults, err := m.tolerant(s)
		if err != nil || len(faults) == 0 {
			t.Fatalf("%s: %v, %v", name, faults, err)
		}
		m.searchAround(t, s)
		if mt := s.Metrics(); mt.FilesDamaged != 1 || mt.FilesLost != 0 {
			t.Fatalf("%s: %+v", name, mt)
		}
		_ = s.Close()
	}
}

// searchAround looks runs up by seq where a file is damaged: a look-up ends at the right run, or in the piece that cannot be read.
func (m *model) searchAround(t *testing.T, s *Store) {
	t.Helper()
	for p, runs := range m.runs {
		for _, x := range s.Pieces(p.stream, p.number) {
			if x.Err != nil {
				t.Fatalf("the directory beside does not help: %v", x.Err)
			}
		}
		c := s.Cursor(p.stream, p.number)
		for range 5 {
			want := runs[m.rng.IntN(len(runs))]
			found := c.Search(func(r *Run) bool { return r.Seq > want.Seq || r.Seq == want.Seq && r.Batch >= want.Batch })
			var e *CorruptError
			if found && *c.Run() != want || !found && (!errors.As(c.Err(), &e) || want.Base < e.Base || want.Base > e.Next) {
				t.Fatalf("Search for %+v: %+v, %v", want, *c.Run(), c.Err())
			}
		}
		c.Close()
	}
}

// TestDamage_LostFile takes a file and the directory beside it: a reader is told of a hole that may have been it.
func TestDamage_LostFile(t *testing.T) {
	fsys := memory.New()
	s := open(t, fsys, small())
	for i := range uint64(3) {
		b := s.NewBuild(nil)
		if err := b.Add(Run{Stream: 1, Base: i * 10, Next: i*10 + 10, Seq: 7 + i, Bytes: 3}, []byte("abc")); err != nil {
			t.Fatal(err)
		}
		// Here offsets are missing by intent, in every file.
		if err := b.Add(Run{Stream: 2, Base: i * 10, Next: i*10 + 5, Seq: 7 + i, Bytes: 3}, []byte("abc")); err != nil {
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
	for _, n := range []string{FileID(2).name(), FileID(2).directory()} {
		if err := fsys.Remove("/s/" + n); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, s, fsys, small())
	c := s.Cursor(1, 0)
	defer c.Close()
	var lost *CorruptError
	if !c.Next() || c.Next() || !errors.As(c.Err(), &lost) || lost.Base != 10 || lost.Next != 20 || lost.File != FileID(2).name() {
		t.Fatalf("walking over a lost file: %v", c.Err())
	}
	if c.Seek(13) || !errors.As(c.Err(), &lost) || lost.Base != 13 || lost.Next != 20 {
		t.Fatalf("Seek into a lost file: %v", c.Err())
	}
	if !c.Seek(lost.Next) || c.Run().Base != 20 {
		t.Fatalf("Seek behind it: %v", c.Err())
	}
	if c.Prev() || !errors.As(c.Err(), &lost) || lost.Base != 10 || lost.Next != 20 {
		t.Fatalf("backwards over it: %v", c.Err())
	}
	if c.Search(func(r *Run) bool { return r.Seq >= 8 }) || !errors.As(c.Err(), &lost) || lost.Base != 10 || lost.Next != 20 {
		t.Fatalf("Search behind it: %v", c.Err())
	}
	if !c.Search(func(r *Run) bool { return r.Seq >= 7 }) || c.Run().Base != 0 {
		t.Fatalf("Search before it: %v", c.Err())
	}
	if fi := s.Files(); len(fi) != 3 || !fi[1].Lost || s.Metrics().FilesLost != 1 {
		t.Fatalf("files %+v", fi)
	}
	if damage, err := s.Verify(nil); err != nil || len(damage) != 1 || damage[0].File != FileID(2).name() {
		t.Fatalf("verify: %v, %v", damage, err)
	}
	if err := s.Commit(Edit{Remove: []FileID{2}}); err != nil {
		t.Fatal(err)
	}
	after := s.Cursor(1, 0)
	defer after.Close()
	for _, want := range []uint64{0, 20} {
		if !after.Next() || after.Run().Base != want {
			t.Fatalf("after it was given up: %v, want offset %d", after.Err(), want)
		}
	}
}

func TestOpen_MissingManifest(t *testing.T) {
	fsys, _, _ := damaged(t, 8)
	if err := fsys.Remove("/s/manifest"); err != nil {
		t.Fatal(err)
	}
	before := len(names(t, fsys))
	if _, err := Open(fsys, "/s", small(), quiet); err == nil || !strings.Contains(err.Error(), "manifest is missing") {
		t.Fatalf("opened: %v", err)
	}
	if after := len(names(t, fsys)); after != before {
		t.Fatalf("%d files, were %d: something was removed", after, before)
	}
}
