package segment

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync/atomic"

	"leat/storage/vfs"
)

// Edit is a change of which files there are.
type Edit struct {
	Add     []File // of a Build that was finished
	Remove  []FileID
	Through uint64 // up to which seq all is in segment files from now on; it never falls, and 0 leaves it
}

// view is the set of files between two commits. Cursors hold theirs: what a commit removes stays on the disk until the views before it
// have no cursor left.
type view struct {
	cursors atomic.Int64
	// Guarded by Store.mu.
	next    *view
	dropped []*file // by the commit that ended this view
}

// Commit replaces the manifest. When it returns nil the edit is durable, and cursors opened from then on see it; files that were removed go
// from the disk when no cursor sees them any more. An error leaves the store as it was, and the same edit may be tried again.
//
// One error is special: after a failed rename or sync of the folder (vfs.ErrUnsure), a crash may leave either manifest. So neither what was to be
// added nor what was to be removed goes from the disk until a later Commit succeeds, whatever Abort is told in between.
func (s *Store) Commit(e Edit) error {
	s.commits.Lock()
	defer s.commits.Unlock()
	if err := s.commit(&e); err != nil {
		return fmt.Errorf("segment: commit: %w", err)
	}
	s.counts.commits.Add(1)
	return nil
}

func (s *Store) commit(e *Edit) error {
	s.mu.RLock()
	closed, files, through := s.closed, maps.Clone(s.files), max(s.through, e.Through)
	s.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	removed := map[*file]bool{}
	for _, id := range e.Remove {
		f := files[id]
		if f == nil {
			return fmt.Errorf("%w: %d", ErrNoFile, id)
		}
		removed[f] = true
		delete(files, id)
	}
	var refs []ref
	for _, added := range e.Add {
		if files[added.ID] != nil || uint64(added.ID) >= s.nextID.Load() {
			return fmt.Errorf("file %d is there already, or was never made", added.ID)
		}
		f := &file{File: added, written: true}
		// Read back what readers will rely on: a file that cannot be opened is found before the journal is trimmed.
		entries, err := s.ownDirectory(f)
		if err != nil {
			return err
		}
		f.take(entries)
		files[added.ID] = f
		for i := range f.pieces {
			refs = append(refs, ref{f, int32(i)})
		}
	}
	lists, err := arrange(s.parts, refs, removed) // parts is changed by commits only
	if err != nil {
		return err
	}
	if err := s.writeManifest(files, through); err != nil {
		if errors.Is(err, vfs.ErrUnsure) {
			s.mu.Lock()
			for _, f := range e.Add {
				s.maybe[f.ID] = true
			}
			s.mu.Unlock()
		}
		return err
	}
	s.show(files, lists, removed, through)
	return nil
}

func (s *Store) writeManifest(files map[FileID]*file, through uint64) error {
	m := s.manifestOf(files, through)
	b := m.encode()
	if len(b) > ManifestBytesMax {
		return fmt.Errorf("a manifest of %d files has %d bytes, at most %d can be: merge some", len(files), len(b), ManifestBytesMax)
	}
	return vfs.Replace(s.fs, path.Join(s.dir, manifestName), b)
}

func (s *Store) manifestOf(files map[FileID]*file, through uint64) manifest {
	m := manifest{lineage: s.lineage, through: through, next: FileID(s.nextID.Load())}
	for _, id := range sortedIDs(files) {
		m.files = append(m.files, files[id].File)
	}
	return m
}

// show makes what is durable visible, and removes what nobody can see any more.
func (s *Store) show(files map[FileID]*file, lists map[partition][]ref, removed map[*file]bool, through uint64) {
	s.mu.Lock()
	for part, list := range lists {
		if len(list) == 0 {
			delete(s.parts, part)
		} else {
			s.parts[part] = list
		}
	}
	s.files, s.through = files, through
	s.lost = slices.DeleteFunc(slices.Clone(s.lost), func(f *file) bool { return removed[f] })
	before := s.current.Load()
	before.dropped = slices.SortedFunc(maps.Keys(removed), func(a, b *file) int { return cmp.Compare(a.ID, b.ID) }) // in an order that a simulation can repeat
	before.next = &view{}
	s.current.Store(before.next)
	var unsure []FileID
	for id := range s.maybe {
		if files[id] == nil {
			unsure = append(unsure, id)
		}
	}
	clear(s.maybe)
	s.mu.Unlock()
	slices.Sort(unsure)
	for _, id := range unsure {
		s.removeFiles(id)
	}
	s.reap()
}

// release ends a cursor's hold of its view.
//
// The race: a cursor lets go of a view (count to 0) while a commit ends it. Either the commit's reap sees the 0, or it saw 1, which was
// after the view was ended, and then the cursor sees that its view is not the current one and reaps itself. Nobody takes hold of
// a view that is not the current one.
func (s *Store) release(v *view) {
	if v.cursors.Add(-1) == 0 && s.current.Load() != v {
		s.reap()
	}
}

func (s *Store) reap() {
	var gone []*file
	s.mu.Lock()
	for s.oldest != s.current.Load() && s.oldest.cursors.Load() == 0 {
		gone = append(gone, s.oldest.dropped...)
		s.oldest = s.oldest.next
	}
	if s.closed {
		gone = nil // the folder is not ours any more; the next Open removes what is not named
	}
	s.mu.Unlock()
	for _, f := range gone {
		s.handles.forget(f.ID)
		s.removeFiles(f.ID)
		s.counts.removed.Add(1)
	}
}

// keeps says whether a file is part of the store, or may be after a crash.
func (s *Store) keeps(id FileID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.files[id] != nil || s.maybe[id]
}
