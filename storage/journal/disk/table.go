package disk

import (
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"sync/atomic"

	"leat/storage/journal"
	"leat/storage/vfs"
)

// file is one journal file: all the memory that grows with the journal.
type file struct {
	header fileHeader
	name   string
	size   atomic.Int64
	filled bool         // its blocks were written before, so that writing them again changes no metadata
	end    atomic.Int64 // where the durable frames end
	limit  atomic.Int64 // how far ReadAt may go: end while written, then all of it. A frame that an open wrote again elsewhere stays readable here

	mu   sync.RWMutex // held to read through h, and alone to open, close or retire it
	h    vfs.File     // for readers; nil while closed
	gone bool         // trimmed, or the journal is closed
}

// room is where frames must end.
func (f *file) room() int64 { return f.size.Load() - footerBytes }

// table is the journal's files, oldest first, numbered without a gap, and the handles that readers use.
type table struct {
	fs      vfs.FS
	dir     string
	openMax int

	mu    sync.RWMutex
	files []*file

	hmu  sync.Mutex // taken before any file.mu
	open []*file    // with a handle, oldest first

	closed atomic.Bool
}

func (t *table) add(f *file) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files = append(t.files, f)
}

// get returns the file of that number, nil when it is not there.
func (t *table) get(number uint64) *file {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.files) == 0 || number < t.files[0].header.number || number-t.files[0].header.number >= uint64(len(t.files)) {
		return nil
	}
	return t.files[number-t.files[0].header.number]
}

func (t *table) first() *file {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.files[0]
}

// inUse is how many files hold frames.
func (j *Journal) inUse() int {
	n, _ := j.table.count()
	return n
}

// held is how many bytes of frames all files hold together.
func (t *table) held() (bytes int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, f := range t.files {
		bytes += max(f.end.Load()-headerPageBytes, 0)
	}
	return bytes
}

func (t *table) count() (files int, bytes int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, f := range t.files {
		bytes += f.size.Load()
	}
	return len(t.files), bytes
}

// forSeq returns the last file whose frames before it are all at or below seq: the first place to look for what follows seq.
func (t *table) forSeq(after journal.Seq) *file {
	t.mu.RLock()
	defer t.mu.RUnlock()
	lo, hi := 0, len(t.files)-1
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if t.files[mid].header.prev.seq <= after {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return t.files[lo]
}

// read fills p from off on.
func (t *table) read(f *file, p []byte, off int64) error {
	for {
		f.mu.RLock()
		if f.gone {
			f.mu.RUnlock()
			if t.closed.Load() {
				return journal.ErrClosed
			}
			return journal.ErrTrimmed
		}
		if f.h != nil {
			n, err := f.h.ReadAt(p, off)
			f.mu.RUnlock()
			return shortRead(f.name, off, n, len(p), err)
		}
		f.mu.RUnlock()
		if err := t.openHandle(f); err != nil {
			return err
		}
	}
}

// shortRead turns the end of the file, where bytes were promised, into damage.
func shortRead(name string, off int64, n, want int, err error) error {
	switch {
	case n == want:
		return nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &journal.CorruptError{
			File: name, Offset: off + int64(n),
			Expected: fmt.Sprintf("%d more bytes", want-n), Found: "the end of the file",
		}
	}
	return fmt.Errorf("journal: read %s: %w", name, err)
}

func (t *table) openHandle(f *file) error {
	t.hmu.Lock()
	defer t.hmu.Unlock()
	f.mu.Lock()
	if f.gone || f.h != nil {
		f.mu.Unlock()
		return nil // the caller looks again
	}
	h, err := t.fs.Open(path.Join(t.dir, f.name), vfs.Read)
	f.h = h
	if err != nil {
		f.h = nil
	}
	f.mu.Unlock()
	if err != nil {
		return fmt.Errorf("journal: open %s: %w", f.name, err)
	}
	t.open = append(t.open, f)
	for len(t.open) > t.openMax {
		err = errors.Join(err, t.open[0].closeHandle(false))
		t.open = t.open[1:]
	}
	return err
}

// closeHandle waits for the reads under way. With gone, no later read gets in.
func (f *file) closeHandle(gone bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = f.gone || gone
	if f.h == nil {
		return nil
	}
	h := f.h
	f.h = nil
	return h.Close()
}

// retire lets go of a file's handle for good.
func (t *table) retire(f *file) error {
	t.hmu.Lock()
	defer t.hmu.Unlock()
	for i, o := range t.open {
		if o == f {
			t.open = append(t.open[:i], t.open[i+1:]...)
			break
		}
	}
	return f.closeHandle(true)
}

func (t *table) close() error {
	t.closed.Store(true)
	t.mu.RLock()
	defer t.mu.RUnlock()
	var errs []error
	for _, f := range t.files {
		errs = append(errs, t.retire(f))
	}
	return errors.Join(errs...)
}
