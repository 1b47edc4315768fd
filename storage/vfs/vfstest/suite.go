// Package vfstest is the suite that every vfs.FS passes.
//
// # What
//
// Run checks the calls of an FS on an empty folder.
//
// # Promises
//
// What it asks for holds on every implementation, so code tested on the memory disk meets no surprise on the real one.
//
// # Imports
//
// vfs, testing.
//
// # Where to start
//
// Run.
//
// # How tested
//
// By the file systems that pass it.
package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"testing"

	"leat/storage/vfs"
)

// Run passes a file system through the suite. fresh returns it with an existing, empty folder.
func Run(t *testing.T, fresh func(t *testing.T) (vfs.FS, string)) {
	for name, test := range map[string]func(*testing.T, vfs.FS, string){
		"OpenModes": openModes, "ReadAndWrite": readAndWrite, "WriteV": writeV, "Truncate": truncate, "Names": names, "Lock": lock, "Free": free,
		"ReaderSeesWriter": readerSeesWriter, "OpenFileOutlivesItsName": outlivesName,
	} {
		t.Run(name, func(t *testing.T) {
			fsys, dir := fresh(t)
			test(t, fsys, dir)
		})
	}
}

func create(t *testing.T, f vfs.FS, name string) vfs.File {
	t.Helper()
	h, err := f.Open(name, vfs.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openModes(t *testing.T, f vfs.FS, dir string) {
	name := path.Join(dir, "a")
	for _, how := range []vfs.How{vfs.Read, vfs.Write} {
		if _, err := f.Open(name, how); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open of what is not there (%d): %v, want ErrNotExist", how, err)
		}
	}
	if _, err := f.Open(path.Join(dir, "none", "a"), vfs.Create); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create in a folder that is not there: %v, want ErrNotExist", err)
	}
	must(t, create(t, f, name).Close())
	if _, err := f.Open(name, vfs.Create); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create of what is there: %v, want ErrExist", err)
	}
	h, err := f.Open(name, vfs.Read)
	must(t, err)
	if _, err := h.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a file opened to read was written")
	}
	must(t, h.Close())
	if _, err := h.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read of a closed file: %v, want ErrClosed", err)
	}
}

func readAndWrite(t *testing.T, f vfs.FS, dir string) {
	h := create(t, f, path.Join(dir, "a"))
	if _, err := h.WriteAt([]byte("world"), 10_000); err != nil {
		t.Fatal(err)
	}
	if n, err := h.Size(); err != nil || n != 10_005 {
		t.Fatalf("size %d, %v, want 10005", n, err)
	}
	p := make([]byte, 20)
	if n, err := h.ReadAt(p, 9_995); n != 10 || err != io.EOF || !bytes.Equal(p[:n], []byte("\x00\x00\x00\x00\x00world")) {
		t.Fatalf("read over the end: %d bytes %q, %v; want a hole of zeros, world, EOF", n, p[:n], err)
	}
	if n, err := h.ReadAt(p, 20_000); n != 0 || err != io.EOF {
		t.Fatalf("read beyond the end: %d, %v, want EOF", n, err)
	}
	if n, err := h.ReadAt(p[:5], 10_000); n != 5 || (err != nil && err != io.EOF) {
		t.Fatalf("read up to the end: %d, %v", n, err)
	}
	must(t, h.Sync())
}

func writeV(t *testing.T, f vfs.FS, dir string) {
	h := create(t, f, path.Join(dir, "a"))
	var pieces [][]byte
	var want []byte
	for i := range 3000 { // more than one call takes
		p := bytes.Repeat([]byte{byte(i)}, i%13)
		pieces, want = append(pieces, p), append(want, p...)
	}
	n, err := h.WriteV(pieces, 77)
	if err != nil || n != int64(len(want)) {
		t.Fatalf("wrote %d, %v, want %d", n, err, len(want))
	}
	got := make([]byte, len(want))
	if _, err := h.ReadAt(got, 77); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("what was written is not what is read")
	}
	if n, err := h.WriteV(nil, 0); n != 0 || err != nil {
		t.Fatalf("write of nothing: %d, %v", n, err)
	}
}

func truncate(t *testing.T, f vfs.FS, dir string) {
	h := create(t, f, path.Join(dir, "a"))
	_, err := h.WriteAt(bytes.Repeat([]byte{1}, 9000), 0)
	must(t, err)
	must(t, h.Truncate(5000))
	must(t, h.Truncate(9000))
	p := make([]byte, 9000)
	_, err = h.ReadAt(p, 0)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if p[4999] != 1 || len(bytes.Trim(p[5000:], "\x00")) != 0 {
		t.Fatal("what was cut off came back")
	}
}

func names(t *testing.T, f vfs.FS, dir string) {
	for _, n := range []string{"b", "a", "c"} {
		must(t, create(t, f, path.Join(dir, n)).Close())
	}
	must(t, f.Rename(path.Join(dir, "a"), path.Join(dir, "c")))
	must(t, f.MkdirAll(path.Join(dir, "x", "y")))
	must(t, f.MkdirAll(path.Join(dir, "x")))
	got, err := f.List(dir)
	if err != nil || !slices.Equal(got, []string{"b", "c", "x"}) {
		t.Fatalf("list: %v, %v", got, err)
	}
	must(t, f.Remove(path.Join(dir, "b")))
	if err := f.Remove(path.Join(dir, "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove of what is not there: %v, want ErrNotExist", err)
	}
	if err := f.Rename(path.Join(dir, "b"), path.Join(dir, "d")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rename of what is not there: %v, want ErrNotExist", err)
	}
	if _, err := f.List(path.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list of what is not there: %v, want ErrNotExist", err)
	}
	must(t, f.SyncDir(dir))
}

func lock(t *testing.T, f vfs.FS, dir string) {
	name := path.Join(dir, "LOCK")
	l, err := f.Lock(name)
	must(t, err)
	if _, err := f.Lock(name); err == nil {
		t.Fatal("locked twice")
	}
	must(t, l.Close())
	l, err = f.Lock(name)
	if err != nil {
		t.Fatalf("lock after it was let go: %v", err)
	}
	must(t, l.Close())
}

func free(t *testing.T, f vfs.FS, dir string) {
	if n, err := f.Free(dir); err != nil || n <= 0 {
		t.Fatalf("free: %d, %v", n, err)
	}
}

func readerSeesWriter(t *testing.T, f vfs.FS, dir string) {
	w := create(t, f, path.Join(dir, "a"))
	r, err := f.Open(path.Join(dir, "a"), vfs.Read)
	must(t, err)
	defer func() { _ = r.Close() }()
	_, err = w.WriteAt([]byte("hello"), 0)
	must(t, err)
	p := make([]byte, 5)
	if _, err := r.ReadAt(p, 0); (err != nil && err != io.EOF) || string(p) != "hello" {
		t.Fatalf("read %q, %v before the sync", p, err)
	}
}

func outlivesName(t *testing.T, f vfs.FS, dir string) {
	h := create(t, f, path.Join(dir, "a"))
	must(t, f.Rename(path.Join(dir, "a"), path.Join(dir, "b")))
	_, err := h.WriteAt([]byte("x"), 0)
	must(t, err)
	must(t, f.Remove(path.Join(dir, "b")))
	if _, err := h.ReadAt(make([]byte, 1), 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
}
