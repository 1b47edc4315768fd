package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"leat/storage/vfs"
)

// Bulk is a file system that syncs once, at the end. A restore writes a journal on it: nothing half-restored is ever used, so no frame needs a
// sync of its own, and small frames go ten times as fast.
//
// Until Flush has returned, nothing is durable. It is safe for many goroutines.
type Bulk struct {
	vfs.FS

	mu    sync.Mutex
	files map[string]bool
	dirs  map[string]bool
}

// NewBulk wraps a file system.
func NewBulk(base vfs.FS) *Bulk {
	return &Bulk{FS: base, files: map[string]bool{}, dirs: map[string]bool{}}
}

type bulkFile struct {
	vfs.File
	name string
	bulk *Bulk
}

// Open opens a file whose Sync only makes a note.
func (b *Bulk) Open(name string, how vfs.How) (vfs.File, error) {
	h, err := b.FS.Open(name, how)
	if err != nil || how == vfs.Read {
		return h, err
	}
	return &bulkFile{File: h, name: name, bulk: b}, nil
}

// Sync notes the file.
func (f *bulkFile) Sync() error {
	f.bulk.mu.Lock()
	defer f.bulk.mu.Unlock()
	f.bulk.files[f.name] = true
	return nil
}

// SyncDir notes the folder.
func (b *Bulk) SyncDir(dir string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirs[dir] = true
	return nil
}

// Rename takes the note along. A file that is open under its old name is noted under that one, so all files are noted under both.
func (b *Bulk) Rename(oldName, newName string) error {
	if err := b.FS.Rename(oldName, newName); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[newName] = true
	return nil
}

// Flush makes durable all that was to be.
func (b *Bulk) Flush() error {
	b.mu.Lock()
	files, dirs := b.files, b.dirs
	b.files, b.dirs = map[string]bool{}, map[string]bool{}
	b.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h, err := b.FS.Open(name, vfs.Write)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, or renamed and noted under its new name
		}
		if err == nil {
			err = errors.Join(h.Sync(), h.Close())
		}
		if err != nil {
			return fmt.Errorf("archive: flush %s: %w", name, err)
		}
	}
	for _, d := range slices.Sorted(maps.Keys(dirs)) {
		if err := b.FS.SyncDir(d); err != nil {
			return fmt.Errorf("archive: flush %s: %w", d, err)
		}
	}
	return nil
}
