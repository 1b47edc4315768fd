package memory

import (
	"io"
	"io/fs"
	"math"
	"syscall"

	"leat/storage/vfs"
)

const (
	pageBytes   = 4096
	sectorBytes = 512 // what a disk writes whole or not at all
)

// page is never changed once it is in an inode: a write puts a new one in its place. So a version of a page is a pointer, and a
// clone shares them all.
type page = [pageBytes]byte

// inode is a file's bytes. Fields are guarded by FS.mu.
type inode struct {
	pages map[int64]*page // the page cache; absent is a hole of zeros
	size  int64

	disk     map[int64]*page // what was synced
	diskSize int64

	dirty map[int64][]*page // per page, every version written since the last sync, oldest first
}

func newInode() *inode {
	return &inode{pages: map[int64]*page{}, disk: map[int64]*page{}, dirty: map[int64][]*page{}}
}

type file struct {
	fs       *FS
	node     *inode
	name     string
	writable bool
	closed   bool
}

var _ vfs.File = (*file)(nil)

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	switch {
	case f.closed:
		return 0, fail("read", f.name, fs.ErrClosed)
	case off < 0:
		return 0, fail("read", f.name, fs.ErrInvalid)
	case off >= f.node.size:
		return 0, io.EOF
	}
	want := len(p)
	p = p[:min(int64(want), f.node.size-off)]
	for done := 0; done < len(p); {
		at := off + int64(done)
		in := at % pageBytes
		n := min(len(p)-done, int(pageBytes-in))
		if pg := f.node.pages[at/pageBytes]; pg != nil {
			copy(p[done:done+n], pg[in:])
		} else {
			clear(p[done : done+n])
		}
		done += n
	}
	if len(p) < want {
		return len(p), io.EOF
	}
	return len(p), nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.writeLocked(p, off)
}

func (f *file) WriteV(pieces [][]byte, off int64) (int64, error) {
	// One buffer, so that a page is one version however many pieces it is made of, as in one system call.
	var all []byte
	for _, p := range pieces {
		all = append(all, p...)
	}
	n, err := f.WriteAt(all, off)
	return int64(n), err
}

func (f *file) writeLocked(p []byte, off int64) (int, error) {
	switch {
	case f.closed:
		return 0, fail("write", f.name, fs.ErrClosed)
	case !f.writable:
		return 0, fail("write", f.name, syscall.EBADF)
	case off < 0:
		return 0, fail("write", f.name, fs.ErrInvalid)
	}
	space := int64(math.MaxInt64)
	if f.fs.bytesMax != math.MaxInt64 {
		space = f.fs.bytesMax - f.fs.usedLocked()
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		number, in := at/pageBytes, at%pageBytes
		n := min(len(p)-done, int(pageBytes-in))
		next := new(page)
		if old := f.node.pages[number]; old != nil {
			*next = *old
		} else if space -= pageBytes; space < 0 {
			return done, fail("write", f.name, syscall.ENOSPC)
		}
		copy(next[in:], p[done:done+n])
		f.node.pages[number] = next
		f.node.dirty[number] = append(f.node.dirty[number], next)
		done += n
		f.node.size = max(f.node.size, at+int64(n))
	}
	return len(p), nil
}

func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return fail("sync", f.name, fs.ErrClosed)
	}
	node := f.node
	if err := f.fs.syncError; err != nil {
		f.fs.syncError = nil
		node.forget()
		return fail("sync", f.name, err)
	}
	for number, versions := range node.dirty {
		node.disk[number] = versions[len(versions)-1]
	}
	node.diskSize = node.size
	clear(node.dirty)
	return nil
}

// LoseUnsynced marks the file's unsynced pages clean, as a failed fsync does: still readable, never written.
func (f *file) LoseUnsynced() {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.forget()
}

func (n *inode) forget() { clear(n.dirty) }

func (f *file) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	switch {
	case f.closed:
		return fail("truncate", f.name, fs.ErrClosed)
	case !f.writable || size < 0:
		return fail("truncate", f.name, syscall.EINVAL)
	}
	node := f.node
	for number, pg := range node.pages {
		start := number * pageBytes
		switch {
		case start >= size:
			delete(node.pages, number)
			delete(node.dirty, number)
		case start+pageBytes > size:
			next := *pg
			clear(next[size-start:])
			node.pages[number] = &next
			node.dirty[number] = append(node.dirty[number], &next)
		}
	}
	node.size = size
	return nil
}

func (f *file) Size() (int64, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if f.closed {
		return 0, fail("size", f.name, fs.ErrClosed)
	}
	return f.node.size, nil
}

func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return fail("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}
