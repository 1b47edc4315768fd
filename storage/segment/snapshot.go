package segment

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"

	"leat/storage/vfs"
)

// Snapshot is the files of a store at one moment, and the manifest that names them. None of them goes from the disk before Close. It is
// for one goroutine; what Open returns is for any.
type Snapshot struct {
	Manifest []byte // to be put beside the files as ManifestName
	Through  uint64 // as Store.Through
	Files    []SnapshotFile

	s  *Store
	v  *view
	of map[string]*file
}

// ManifestName is the name of the manifest in the folder.
const ManifestName = manifestName

// SnapshotFile is a file of a snapshot: a segment file, or the copy of its directory beside it.
type SnapshotFile struct {
	Name  string // in the folder
	Bytes int64
	Root  string // of the segment file, which no other one has
}

// Snapshot holds the files of now. It may be called by many goroutines, and waits for a commit under way.
func (s *Store) Snapshot() (*Snapshot, error) {
	s.commits.Lock() // so that manifest and view are of the same commit
	defer s.commits.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	v := s.current.Load()
	v.cursors.Add(1)
	m := s.manifestOf(s.files, s.through)
	snap := &Snapshot{Manifest: m.encode(), Through: s.through, s: s, v: v, of: make(map[string]*file, len(m.files))}
	for _, f := range m.files {
		snap.of[f.ID.name()] = s.files[f.ID]
		root := hex.EncodeToString(f.Root[:])
		snap.Files = append(snap.Files, SnapshotFile{Name: f.ID.name(), Bytes: f.Bytes, Root: root})
		if size, err := s.sizeOf(f.ID.directory()); err == nil { // it is a spare copy: a checkpoint does without
			snap.Files = append(snap.Files, SnapshotFile{Name: f.ID.directory(), Bytes: size, Root: root})
		}
	}
	return snap, nil
}

func (s *Store) sizeOf(name string) (int64, error) {
	h, err := s.fs.Open(path.Join(s.dir, name), vfs.Read)
	if err != nil {
		return 0, err
	}
	defer func() { _ = h.Close() }() // it was only read
	return h.Size()
}

// Open reads a file of the snapshot from its start.
func (n *Snapshot) Open(f SnapshotFile) (io.ReadCloser, error) {
	return vfs.NewReader(n.s.fs, path.Join(n.s.dir, f.Name))
}

// Verify reads a segment file and returns the first thing that is not as it was written, as Store.Verify finds it. Of the copy of a directory it
// knows nothing: that is checked with the file it belongs to.
func (n *Snapshot) Verify(f SnapshotFile) error {
	of := n.of[f.Name]
	if of == nil {
		return nil
	}
	v := &verifier{s: n.s, br: bufio.NewReaderSize(nil, verifyReadBytes)}
	if err := v.file(of); err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("segment: verify: %w", err)
	}
	if len(v.found) > 0 {
		return &v.found[0]
	}
	return nil
}

// Close lets the files go. A second call does nothing.
func (n *Snapshot) Close() {
	if n.v != nil {
		n.s.release(n.v)
		n.v = nil
	}
}
