package keys

import (
	"io"
	"math/rand/v2"
	"path"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/memory"
)

// A snapshot is a folder that opens, with all that was durable when it was taken, whatever was added and merged since.
func TestSnapshot_OpensAsItWas(t *testing.T) {
	fs, m := memory.New(), newModel()
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range 300 {
		add(x, m.frame(rng))
		if i%30 == 29 {
			must(t, x.Flush())
		}
	}
	through := m.seq
	snap, err := x.Snapshot()
	must(t, err)
	if snap.Durable != through || len(snap.Files) < 2 {
		t.Fatalf("durable %d of %d, %d files", snap.Durable, through, len(snap.Files))
	}
	want := collect(t, x.History(1, []byte("hot"), false, through), 1<<30)
	for range 300 {
		add(x, m.frame(rng))
	}
	must(t, x.Flush())
	for did := true; did; {
		if did, err = x.Maintain(); err != nil {
			t.Fatal(err)
		}
	}
	other := memory.New()
	must(t, other.MkdirAll("/keys"))
	save := func(name string, b []byte) {
		f, err := other.Open(path.Join("/keys", name), vfs.Create)
		must(t, err)
		_, err = f.WriteAt(b, 0)
		must(t, err)
		must(t, f.Close())
	}
	save(ManifestName, snap.Manifest)
	marks := map[string]bool{}
	for _, f := range snap.Files {
		r, err := snap.Open(f)
		must(t, err)
		b, err := io.ReadAll(r)
		if err != nil || int64(len(b)) != f.Bytes || r.Close() != nil {
			t.Fatalf("%s: %d of %d bytes, %v", f.Name, len(b), f.Bytes, err)
		}
		save(f.Name, b)
		marks[f.Mark] = true
	}
	if len(marks) != len(snap.Files) {
		t.Errorf("%d marks of %d files", len(marks), len(snap.Files))
	}
	c := mustOpen(t, other, tiny(), Options{Foreground: true})
	if got := collect(t, c.History(1, []byte("hot"), false, through), 1<<30); c.Durable() != through || len(got) == 0 || len(got) != len(want) {
		t.Errorf("the copy is durable up to %d (want %d) and has %d records of a key (want %d)", c.Durable(), through, len(got), len(want))
	}
	must(t, c.Close())
	was := x.Metrics().FilesRemoved
	snap.Close()
	snap.Close()
	if x.Metrics().FilesRemoved == was {
		t.Error("no file waited for the snapshot to be closed: the test shows nothing")
	}
	must(t, x.Close())
	if _, err := x.Snapshot(); err == nil {
		t.Error("a closed index gave a snapshot")
	}
}
