package memory

import (
	"io"
	"io/fs"
	"math"
	"path"
	"sort"
	"strings"
	"sync"
	"syscall"

	"leat/storage/vfs"
)

// FS is a file system in memory. It is safe for many goroutines.
type FS struct {
	mu        sync.RWMutex
	dirs      map[string]bool
	names     map[string]*inode // what a reader sees
	durable   map[string]*inode // what a crash leaves at least
	pending   []nameOp          // names minus durable, in order
	locks     map[string]bool
	bytesMax  int64 // space on the disk
	syncError error // given by the next Sync, once
}

// nameOp is a change to a folder that SyncDir has not made durable yet.
type nameOp struct {
	dir      string
	oldName  string // "" unless something goes away
	newName  string // "" unless something appears
	node     *inode
	crossDir string
}

// New returns an empty file system without a limit of its size.
func New() *FS {
	return &FS{
		dirs:     map[string]bool{"/": true, ".": true},
		names:    map[string]*inode{},
		durable:  map[string]*inode{},
		locks:    map[string]bool{},
		bytesMax: math.MaxInt64,
	}
}

// SetSpace limits the bytes that files may take; a write that would pass it fails with ENOSPC.
func (m *FS) SetSpace(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytesMax = bytes
}

// FailSync makes the next Sync of any file fail with err. Its pages stay readable and count as clean from then on.
func (m *FS) FailSync(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.syncError = err
}

func fail(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// Open opens a file.
func (m *FS) Open(name string, how vfs.How) (vfs.File, error) {
	name = path.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.names[name]
	switch {
	case m.dirs[name]:
		return nil, fail("open", name, syscall.EISDIR)
	case how == vfs.Create && node != nil:
		return nil, fail("open", name, fs.ErrExist)
	case how == vfs.Create && !m.dirs[path.Dir(name)], how != vfs.Create && node == nil:
		return nil, fail("open", name, fs.ErrNotExist)
	case how == vfs.Create:
		node = newInode()
		m.names[name] = node
		m.pending = append(m.pending, nameOp{dir: path.Dir(name), newName: name, node: node})
	}
	return &file{fs: m, node: node, name: name, writable: how != vfs.Read}, nil
}

// Remove takes a name away.
func (m *FS) Remove(name string) error {
	name = path.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return fail("remove", name, fs.ErrNotExist)
	}
	delete(m.names, name)
	m.pending = append(m.pending, nameOp{dir: path.Dir(name), oldName: name})
	return nil
}

// Rename gives a file another name, in place of what had it.
func (m *FS) Rename(oldName, newName string) error {
	oldName, newName = path.Clean(oldName), path.Clean(newName)
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.names[oldName]
	if node == nil || !m.dirs[path.Dir(newName)] {
		return fail("rename", oldName, fs.ErrNotExist)
	}
	delete(m.names, oldName)
	m.names[newName] = node
	m.pending = append(m.pending, nameOp{
		dir: path.Dir(newName), oldName: oldName, newName: newName, node: node, crossDir: path.Dir(oldName),
	})
	return nil
}

// List returns the base names in dir, sorted.
func (m *FS) List(dir string) ([]string, error) {
	dir = path.Clean(dir)
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.dirs[dir] {
		return nil, fail("list", dir, fs.ErrNotExist)
	}
	var found []string
	for name := range m.names {
		if path.Dir(name) == dir {
			found = append(found, path.Base(name))
		}
	}
	for name := range m.dirs {
		if name != dir && path.Dir(name) == dir {
			found = append(found, path.Base(name))
		}
	}
	sort.Strings(found)
	return found, nil
}

// MkdirAll makes dir and what is above it.
func (m *FS) MkdirAll(dir string) error {
	dir = path.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	for d := dir; !m.dirs[d]; d = path.Dir(d) {
		if m.names[d] != nil {
			return fail("mkdir", d, syscall.ENOTDIR)
		}
		m.dirs[d] = true
	}
	return nil
}

// SyncDir makes the names in dir durable.
func (m *FS) SyncDir(dir string) error {
	dir = path.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[dir] {
		return fail("syncdir", dir, fs.ErrNotExist)
	}
	left := m.pending[:0]
	for _, op := range m.pending {
		if op.dir == dir || op.crossDir == dir {
			op.apply(m.durable)
			continue
		}
		left = append(left, op)
	}
	clear(m.pending[len(left):])
	m.pending = left
	return nil
}

func (op nameOp) apply(names map[string]*inode) {
	if op.oldName != "" {
		delete(names, op.oldName)
	}
	if op.newName != "" {
		names[op.newName] = op.node
	}
}

// Lock takes the named lock, or fails at once.
func (m *FS) Lock(name string) (io.Closer, error) {
	name = path.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[path.Dir(name)] {
		return nil, fail("lock", name, fs.ErrNotExist)
	}
	if m.locks[name] {
		return nil, fail("lock", name, syscall.EWOULDBLOCK)
	}
	m.locks[name] = true
	if m.names[name] == nil { // as flock does, leave a file behind
		m.names[name] = newInode()
		m.pending = append(m.pending, nameOp{dir: path.Dir(name), newName: name, node: m.names[name]})
	}
	return &lock{fs: m, name: name}, nil
}

type lock struct {
	fs   *FS
	name string
	once sync.Once
}

func (l *lock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locks, l.name)
	})
	return nil
}

// Free returns what SetSpace allows minus what files hold.
func (m *FS) Free(string) (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return max(0, m.bytesMax-m.usedLocked()), nil
}

func (m *FS) usedLocked() int64 {
	var used int64
	for _, node := range m.names {
		used += int64(len(node.pages)) * pageBytes
	}
	return used
}

// String lists the files, for failing tests.
func (m *FS) String() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var names []string
	for name := range m.names {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, "\n")
}
