package disk_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/journal/journaltest"
	"leat/storage/vfs"
	"leat/storage/vfs/memory"
)

// written returns a disk with a cleanly closed journal of n frames over several files, and where each file's frames end.
func written(t *testing.T, n journal.Seq) (*memory.FS, map[string]int64) {
	t.Helper()
	m := memory.New()
	rng := rand.New(rand.NewPCG(9, 9))
	for to := journal.Seq(0); to < n; to += n / 2 { // with a reopen in it
		j, err := disk.Open(m, "/j", steady(false), quietly(rng))
		if err != nil {
			t.Fatal(err)
		}
		journaltest.Fill(t, j, to+1, to+n/2)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ends := map[string]int64{}
	r, err := disk.Dump(m, "/j", func(f disk.Frame) error {
		ends[f.File] = f.Offset + 128 + (f.FactsBytes+f.DataBytes+7)/8*8
		return nil
	})
	if err != nil || len(r.Findings) > 0 || r.Frames != int64(n) || r.Last != n || len(ends) < 3 {
		t.Fatalf("a clean journal: %v, %d files, %+v", err, len(ends), r)
	}
	return m, ends
}

func flip(t *testing.T, m *memory.FS, name string, off int64, bit int) {
	t.Helper()
	h, err := m.Open(name, vfs.Write)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := h.ReadAt(b[:], off); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	b[0] ^= 1 << bit
	if _, err := h.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Sync(), h.Close()); err != nil {
		t.Fatal(err)
	}
}

func clone(m *memory.FS) *memory.FS {
	return m.CrashClone(rand.New(rand.NewPCG(1, 1)), memory.KeepAll)
}

func size(t *testing.T, m *memory.FS, name string) int64 {
	h, err := m.Open(name, vfs.Read)
	if err != nil {
		t.Fatal(err)
	}
	n, err := h.Size()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// serves opens and reads everything. What it gets must be right or refused; it returns how many frames came.
func serves(m *memory.FS) (frames journal.Seq, err error) {
	j, err := disk.Open(m, "/j", steady(false), quietly(rand.New(rand.NewPCG(2, 2))))
	if err != nil {
		return 0, err
	}
	err = j.Scan(0, 0, func(e journal.Entry) error {
		if e.Seq != frames+1 {
			return fmt.Errorf("WRONG: frame %d after %d", e.Seq, frames)
		}
		frames = e.Seq
		if want := journaltest.Facts(e.Seq); string(want) != string(e.Facts) {
			return fmt.Errorf("WRONG: facts of frame %d", e.Seq)
		}
		return nil
	})
	return frames, errors.Join(err, j.Close())
}

func TestFlippedBits_AreFoundWithTheirPlace(t *testing.T) {
	const frames = 60
	m, ends := written(t, frames)
	last := "" // name of the last file
	for name := range ends {
		last = max(last, name)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	found := 0
	for range 400 {
		var name string
		pick := rng.IntN(len(ends))
		for n := range ends {
			if pick == 0 {
				name = n
			}
			pick--
		}
		c := clone(m)
		off := rng.Int64N(size(t, c, path.Join("/j", name)))
		flip(t, c, path.Join("/j", name), off, rng.IntN(8))
		footer := size(t, c, path.Join("/j", name)) - 4096
		// The two places that are excluded by name: the unused part of the ring, and what follows the last seal; the last seal's own
		// bytes belong to it.
		unused := off >= ends[name] && (off < footer || name == last)
		lastSeal := name == last && off >= ends[name]-128

		r, err := disk.Check(c, "/j", nil)
		if err != nil {
			t.Fatalf("check with a bit flipped at byte %d of %s: %v", off, name, err)
		}
		hit := false
		for _, f := range r.Findings {
			hit = hit || f.File == name && f.Offset <= off && off < f.Offset+40_000
		}
		if !hit && !unused && !lastSeal {
			t.Errorf("a bit flipped at byte %d of %s (frames end at %d) was not found: %v", off, name, ends[name], r.Findings)
		}
		if hit {
			found++
		}
		n, err := serves(c)
		if err != nil && strings.Contains(err.Error(), "WRONG") {
			t.Errorf("a bit flipped at byte %d of %s: %v", off, name, err)
		}
		var ce *journal.CorruptError
		if err != nil && (!errors.As(err, &ce) || ce.File == "" || ce.Expected == "" || ce.Found == "") {
			t.Errorf("a bit flipped at byte %d of %s: %v, want a CorruptError that says where and what", off, name, err)
		}
		if err == nil && n != frames {
			t.Errorf("a bit flipped at byte %d of %s lost frames without a word: %d of %d", off, name, n, frames)
		}
	}
	if found < 150 {
		t.Fatalf("only %d of 400 flips were found", found)
	}
}

func TestMissingFile_IsRefused(t *testing.T) {
	m, _ := written(t, 60)
	if err := m.Remove("/j/journal-0000000000000002.log"); err != nil {
		t.Fatal(err)
	}
	var ce *journal.CorruptError
	if _, err := serves(m); !errors.As(err, &ce) {
		t.Fatalf("open without the second file: %v, want a CorruptError", err)
	}
}

func TestRepair_CutsBeforeTheDamageAndKeepsItAside(t *testing.T) {
	const frames = 60
	m, _ := written(t, frames)
	if _, err := disk.Repair(m, "/j", disk.RepairOptions{Act: true}); !errors.Is(err, disk.ErrNothingToRepair) {
		t.Fatalf("repair of a good journal: %v", err)
	}
	var hit disk.Frame // a header in the second file
	if _, err := disk.Dump(m, "/j", func(f disk.Frame) error {
		if f.Seq == 20 && f.Kind == "data" {
			hit = f
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		file  string
		off   int64
		keeps journal.Seq
	}{
		{"a frame header", hit.File, hit.Offset + 32, 19},
		{"facts", hit.File, hit.Offset + 128 + hit.DataBytes, 19},
		{"a file header", "journal-0000000000000002.log", 100, 0},
	} {
		broken := clone(m)
		flip(t, broken, path.Join("/j", c.file), c.off, 1)
		if n, err := serves(clone(broken)); err == nil {
			t.Fatalf("%s: served %d frames without an error", c.what, n)
		}
		plan, err := disk.Repair(broken, "/j", disk.RepairOptions{})
		if err != nil || plan.Acted || plan.LostFrom != plan.Keeps+1 || plan.LostTo != frames {
			t.Fatalf("%s: plan %+v, %v", c.what, plan, err)
		}
		if c.keeps != 0 && plan.Keeps != c.keeps {
			t.Fatalf("%s: keeps up to %d, want %d", c.what, plan.Keeps, c.keeps)
		}
		if n, err := serves(clone(broken)); err == nil {
			t.Fatalf("%s: a plan changed the journal: it serves %d frames", c.what, n)
		}
		done, err := disk.Repair(broken, "/j", disk.RepairOptions{Act: true})
		if err != nil || !done.Acted || done.Keeps != plan.Keeps || len(done.Aside) == 0 {
			t.Fatalf("%s: %+v, %v", c.what, done, err)
		}
		for _, name := range done.Aside {
			if size(t, broken, path.Join("/j", name)) == 0 {
				t.Fatalf("%s: %s is empty", c.what, name)
			}
		}
		if n, err := serves(broken); err != nil || n != plan.Keeps {
			t.Fatalf("%s: serves %d frames after the repair, want %d: %v", c.what, n, plan.Keeps, err)
		}
		if r, err := disk.Check(broken, "/j", nil); err != nil || r.Damaged() {
			t.Fatalf("%s: after the repair: %v, %v", c.what, r.Findings, err)
		}
	}
}
