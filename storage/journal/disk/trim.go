package disk

import (
	"fmt"
	"path"

	"leat/storage/journal"
)

// Trim gives whole files back to the ring, oldest first, and removes what the ring has no use for. The file being written stays.
//
// A crash between two files leaves a shorter journal without a hole: each name is gone durably before the next one goes.
func (j *Journal) Trim(before journal.Seq) error {
	j.trimMu.Lock()
	defer j.trimMu.Unlock()
	if j.table.closed.Load() {
		return journal.ErrClosed
	}
	for {
		f := j.table.takeFirst(before)
		if f == nil {
			j.ring.nudge()
			return nil
		}
		if err := j.recycle(f); err != nil {
			return fmt.Errorf("journal: trim %s: %w", f.name, err)
		}
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

func (j *Journal) recycle(f *file) error {
	err := j.table.retire(f) // waits for the reads under way
	j.ring.settle(f)         // its index must not be written into what becomes a spare
	name := path.Join(j.dir, f.name)
	if err != nil {
		return err
	}
	if !f.filled || f.size.Load() != j.cfg.FileBytes || j.ring.full() {
		if err := j.fs.Remove(name); err != nil {
			return err
		}
		return j.fs.SyncDir(j.dir)
	}
	id := j.ring.newID()
	if err := j.fs.Rename(name, path.Join(j.dir, spareName(id))); err != nil {
		return err
	}
	if err := j.fs.SyncDir(j.dir); err != nil {
		return err
	}
	j.ring.put(id)
	return nil
}
