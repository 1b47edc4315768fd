package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"leat/storage/journal"
)

// Trim gives whole files back to the ring, oldest first, and removes what the ring has no use for. The file being written stays.
//
// A crash between two files leaves a shorter journal without a hole: each name is gone durably before the next one goes. That holds when
// a name cannot be taken away: then the next Trim begins with the same file.
func (j *Journal) Trim(before journal.Seq) error {
	j.trimMu.Lock()
	defer j.trimMu.Unlock()
	if j.table.closed.Load() {
		return journal.ErrClosed
	}
	for {
		if j.leaving == nil {
			j.leaving = j.table.takeFirst(before)
		}
		if j.leaving == nil {
			j.ring.nudge()
			return nil
		}
		if err := j.recycle(j.leaving); err != nil {
			return fmt.Errorf("journal: trim %s: %w", j.leaving.name, err)
		}
		j.leaving = nil
		j.counts.trimmed.Add(1)
	}
}

// takeFirst takes the oldest file out of the table when all its frames are below before.
func (t *table) takeFirst(before journal.Seq) *file {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.files) < 2 || t.files[1].header.prev.seq >= before {
		return nil
	}
	f := t.files[0]
	rest := make([]*file, len(t.files)-1)
	copy(rest, t.files[1:])
	t.files = rest
	return f
}

// recycle may be called again for a file that it failed with.
func (j *Journal) recycle(f *file) error {
	err := j.table.retire(f) // waits for the reads under way
	j.ring.settle(f)         // its index must not be written into what becomes a spare
	name := path.Join(j.dir, f.name)
	if err != nil {
		return err
	}
	if !f.filled || f.size.Load() != j.cfg.FileBytes || j.ring.full() {
		if err := j.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return j.fs.SyncDir(j.dir)
	}
	id := j.ring.newID()
	switch err := j.fs.Rename(name, path.Join(j.dir, spareName(id))); {
	case errors.Is(err, fs.ErrNotExist): // renamed before, and not durably; the next open finds that spare
		return j.fs.SyncDir(j.dir)
	case err != nil:
		return err
	}
	if err := j.fs.SyncDir(j.dir); err != nil {
		return err
	}
	j.ring.put(id)
	return nil
}
