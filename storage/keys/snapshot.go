package keys

import (
	"fmt"
	"io"
	"path"

	"leat/storage/vfs"
)

// Snapshot is the files of an index at one moment, and the manifest that names them: all entries of frames up to Durable. What is only in
// memory is not in it. None of the files goes from the disk before Close. It is for one goroutine; what Open returns is for any.
type Snapshot struct {
	Manifest []byte // to be put beside the files as ManifestName
	Durable  uint64
	Imports  int64 // that had ended by then, as Index.Imports
	Files    []SnapshotFile

	x *Index
	v *view
}

// ManifestName is the name of the manifest in the folder.
const ManifestName = manifestName

// SnapshotFile is a file of a snapshot.
type SnapshotFile struct {
	Name  string // in the folder
	Bytes int64
	// Mark is of what the file holds: how many entries and keys, of which frames. A folder that was removed and built anew gives numbers again, and
	// so names, but not to the same.
	Mark string
}

// Snapshot holds the files of now. It may be called by many goroutines, and waits for a commit under way.
func (x *Index) Snapshot() (*Snapshot, error) {
	if x.stopped.Load() {
		return nil, ErrClosed
	}
	x.commits.Lock() // so that manifest and view are of the same commit
	defer x.commits.Unlock()
	s := &Snapshot{Manifest: x.manifest.encode(), Durable: x.manifest.durable, Imports: x.Imports(), x: x, v: x.acquire()}
	for i := range x.manifest.files {
		m := &x.manifest.files[i]
		s.Files = append(s.Files, SnapshotFile{
			Name: fileName(m.number), Bytes: m.bytes, Mark: fmt.Sprintf("%d-%d-%d-%d", m.entries, m.keys, m.seqMin, m.seqMax),
		})
	}
	return s, nil
}

// Imports is how many imports have taken effect since the index was opened.
func (x *Index) Imports() int64 { return x.counts.imports.Load() }

// Open reads a file of the snapshot from its start.
func (s *Snapshot) Open(f SnapshotFile) (io.ReadCloser, error) {
	return vfs.NewReader(s.x.fs, path.Join(s.x.dir, f.Name))
}

// Close lets the files go. A second call does nothing.
func (s *Snapshot) Close() {
	if s.v != nil {
		s.v.release()
		s.v = nil
	}
}
