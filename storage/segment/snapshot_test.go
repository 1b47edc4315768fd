package segment

import (
	"errors"
	"io"
	"path"
	"testing"

	"leat/storage/vfs"
	vmem "leat/storage/vfs/memory"
)

// A snapshot is a folder that opens, with what the store held when it was taken, whatever was added and merged since.
func TestSnapshot_OpensAsItWas(t *testing.T) {
	fsys, m := vmem.New(), newModel(7)
	s := open(t, fsys, small())
	for range 4 {
		m.add(t, s, 20, 5, 300)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	was := s.Files()
	through := s.Through()
	var all []FileID
	for _, f := range was {
		all = append(all, f.ID)
	}
	if err := s.Commit(Edit{Remove: all}); err != nil {
		t.Fatal(err)
	}
	other := vmem.New()
	if err := other.MkdirAll("/copy"); err != nil {
		t.Fatal(err)
	}
	write(t, other, "/copy/"+ManifestName, snap.Manifest)
	for _, f := range snap.Files {
		if err := snap.Verify(f); err != nil {
			t.Error(err)
		}
		r, err := snap.Open(f)
		if err != nil {
			t.Fatalf("%s went from the disk: %v", f.Name, err)
		}
		b, err := io.ReadAll(r)
		if err != nil || int64(len(b)) != f.Bytes || r.Close() != nil {
			t.Fatalf("%s: %d of %d bytes, %v", f.Name, len(b), f.Bytes, err)
		}
		write(t, other, "/copy/"+f.Name, b)
	}
	c, err := Open(other, "/copy", small(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.check(c); err != nil || c.Through() != through || snap.Through != through || len(c.Files()) != len(was) {
		t.Errorf("the copy: %v, through %d (want %d), %d files (want %d)", err, c.Through(), through, len(c.Files()), len(was))
	}
	verified(t, c)
	bad := snap.Files[0]
	b, err := s.readWhole(path.Join(s.dir, bad.Name), bad.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := fsys.Remove(path.Join(s.dir, bad.Name)); err != nil {
		t.Fatal(err)
	}
	write(t, fsys, path.Join(s.dir, bad.Name), b)
	var damage *CorruptError
	if err := snap.Verify(bad); !errors.As(err, &damage) || damage.File != bad.Name {
		t.Errorf("a file with a changed bit: %v", err)
	}
	snap.Close()
	snap.Close()
	names, err := fsys.List(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if _, ok := fileName(n); ok {
			t.Errorf("%s stays after the snapshot was closed", n)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Snapshot(); err == nil {
		t.Error("a closed store gave a snapshot")
	}
}

func write(t *testing.T, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fsys.Open(path.Clean(name), vfs.Create)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
