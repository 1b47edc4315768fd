package keys

import (
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"sync/atomic"

	"leat/storage/vfs"
)

// file is a key file that is read. It never changes.
type file struct {
	meta     fileMeta
	name     string
	sections []mark // the directory: about one for a megabyte

	files *fileTable
	refs  atomic.Int32 // of views and merges; at 0 a dead file is removed
	dead  atomic.Bool  // no manifest names it any more
	busy  bool         // being merged; guarded by Index.mu
	spoil atomic.Bool  // damaged: not merged any more

	mu sync.RWMutex // held to read through h, and alone to open or close it
	h  vfs.File     // nil while closed
}

// fileTable holds the handles: at most so many at a time.
type fileTable struct {
	fs      vfs.FS
	dir     string
	cache   *blockCache
	openMax int
	counts  *counters
	closed  atomic.Bool

	mu   sync.Mutex // taken before any file.mu
	open []*file    // with a handle, oldest first
}

// load reads header, footer and directory of a file and checks them against what the manifest says.
func (t *fileTable) load(meta fileMeta, lineage [16]byte) (*file, error) {
	f := &file{meta: meta, name: fileName(meta.number), files: t}
	f.refs.Store(1)
	if meta.bytes < headerBytes+footerBytes {
		return nil, &CorruptError{File: manifestName, Expected: "a file of some size", Found: fmt.Sprintf("%s of %d bytes", f.name, meta.bytes)}
	}
	raw := make([]byte, footerBytes)
	if err := f.readAt(raw, meta.bytes-footerBytes); err != nil {
		return nil, err
	}
	footer, err := decodeFooter(raw)
	if err != nil {
		return nil, corrupt(f.name, meta.bytes-footerBytes, err)
	}
	if err := f.readAt(raw[:headerBytes], 0); err != nil {
		return nil, err
	}
	header, err := decodeHeader(raw[:headerBytes])
	if err != nil {
		return nil, corrupt(f.name, 0, err)
	}
	if header.number != meta.number || footer.number != meta.number || header.lineage != lineage || footer.entries != meta.entries ||
		footer.directoryOff+int64(footer.directoryBytes) != meta.bytes-footerBytes || footer.directoryOff < headerBytes {
		return nil, &CorruptError{File: f.name, Offset: meta.bytes - footerBytes, Expected: "the file that the manifest names", Found: "another"}
	}
	body, err := f.readBlock(footer.directoryOff, footer.directoryBytes, kindDirectory, nil)
	if err != nil {
		return nil, err
	}
	if f.sections, err = decodeMarks(body); err != nil {
		return nil, corrupt(f.name, footer.directoryOff, err)
	}
	for i := range f.sections {
		if f.sections[i].lines == 0 {
			return nil, &CorruptError{File: f.name, Offset: footer.directoryOff, Expected: "a filter in each section", Found: "a section without"}
		}
	}
	return f, nil
}

func (f *file) retain() { f.refs.Add(1) }

// release lets go of a file; the last one to let go of a dead file removes it.
func (f *file) release() {
	if f.refs.Add(-1) > 0 {
		return
	}
	f.files.closeHandle(f)
	if f.dead.Load() && !f.files.closed.Load() {
		if err := f.files.fs.Remove(path.Join(f.files.dir, f.name)); err == nil {
			f.files.counts.filesRemoved.Add(1)
		} // else it is removed at the next open: no manifest names it
	}
}

// readAt fills p. The end of the file, where bytes were promised, is damage.
func (f *file) readAt(p []byte, off int64) error {
	for {
		f.mu.RLock()
		if f.h != nil {
			n, err := f.h.ReadAt(p, off)
			f.mu.RUnlock()
			switch {
			case n == len(p):
				return nil
			case err == nil || errors.Is(err, io.EOF):
				return &CorruptError{File: f.name, Offset: off, Expected: fmt.Sprintf("%d bytes", len(p)), Found: fmt.Sprintf("%d", n)}
			}
			return fmt.Errorf("keys: read %s: %w", f.name, err)
		}
		f.mu.RUnlock()
		if err := f.files.openHandle(f); err != nil {
			return err
		}
	}
}

func (t *fileTable) openHandle(f *file) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() {
		return ErrClosed
	}
	f.mu.Lock()
	if f.h != nil {
		f.mu.Unlock()
		return nil
	}
	h, err := t.fs.Open(path.Join(t.dir, f.name), vfs.Read)
	if err == nil {
		vfs.RandomReads(h)
		f.h = h
	}
	f.mu.Unlock()
	if err != nil {
		return fmt.Errorf("keys: open %s: %w", f.name, err)
	}
	for t.open = append(t.open, f); len(t.open) > t.openMax; t.open = t.open[1:] {
		t.open[0].drop()
	}
	return nil
}

// drop closes the handle; it was only read through, so nothing can be lost by it.
func (f *file) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.h != nil {
		_ = f.h.Close()
		f.h = nil
	}
}

func (t *fileTable) closeHandle(f *file) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, o := range t.open {
		if o == f {
			t.open = append(t.open[:i], t.open[i+1:]...)
			break
		}
	}
	f.drop()
}

func (t *fileTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed.Store(true)
	for _, f := range t.open {
		f.drop()
	}
	t.open = nil
}

// readBlock reads a block and checks it. ahead is a merge's buffer, nil for readers.
func (f *file) readBlock(off int64, size uint32, kind uint8, ahead *readahead) ([]byte, error) {
	var raw []byte
	var err error
	if ahead != nil {
		raw, err = ahead.read(f, off, int(size))
	} else {
		if off < 0 || off+int64(size) > f.meta.bytes {
			return nil, &CorruptError{File: f.name, Offset: off, Expected: "a block within the file", Found: fmt.Sprintf("one of %d bytes", size)}
		}
		raw = make([]byte, size)
		err = f.readAt(raw, off)
	}
	if err != nil {
		return nil, err
	}
	body, err := openBlock(raw, kind, f.meta.number, off)
	return body, corrupt(f.name, off, err)
}

// data returns a data block, by way of the cache.
func (f *file) data(m *mark, ahead *readahead) ([]byte, error) {
	if ahead != nil {
		return f.readBlock(m.off, m.bytes, kindData, ahead)
	}
	key := cacheKey{f.meta.number, m.off}
	if v, ok := f.files.cache.get(key).([]byte); ok {
		return v, nil
	}
	body, err := f.readBlock(m.off, m.bytes, kindData, nil)
	if err == nil {
		f.files.cache.put(key, body, int64(cap(body)))
	}
	return body, err
}

// index returns the blocks of a section, by way of the cache.
func (f *file) index(section int, ahead *readahead) ([]mark, error) {
	m := &f.sections[section]
	key := cacheKey{f.meta.number, m.off}
	if ahead == nil {
		if v, ok := f.files.cache.get(key).([]mark); ok {
			return v, nil
		}
	}
	body, err := f.readBlock(m.off, m.bytes, kindIndex, nil)
	if err != nil {
		return nil, err
	}
	marks, err := decodeMarks(body)
	if err == nil && marks[len(marks)-1].off+int64(marks[len(marks)-1].bytes) > m.off {
		err = bad("blocks before their index block", "one behind it")
	}
	if err != nil {
		return nil, corrupt(f.name, m.off, err)
	}
	if ahead == nil {
		f.files.cache.put(key, marks, int64(cap(body)+len(marks)*96))
	}
	return marks, nil
}

// find returns the section in which the entries of a key at p lie, if the file has any of that key near p. Both for going forward
// from p and for going back: a section that begins in the middle of a key says so in its place, so if the section of p lacks the
// key, no other section has entries of it.
//
// line is the caller's, of lineBytes.
func (f *file) find(p place, hash uint64, line []byte) (section int, ok bool, err error) {
	section = lastAt(f.sections, p)
	m := &f.sections[section]
	off := m.filterOff() + int64(lineOf(hash, m.lines))*lineBytes
	if err := f.readAt(line, off); err != nil {
		return 0, false, err
	}
	if err := checkLine(line, f.meta.number, off); err != nil {
		return 0, false, corrupt(f.name, off, err)
	}
	if !lineHas(line, hash) {
		f.files.counts.filterNo.Add(1)
		return 0, false, nil
	}
	f.files.counts.filterYes.Add(1)
	return section, true, nil
}

// readahead is how a merge reads a file from start to end: in pieces, past the cache.
type readahead struct {
	buf   []byte
	off   int64
	raw   []byte
	asked int64 // the system was asked for what comes up to behind here
}

const readAheadBytes = 1 << 20 // asked for at a time, always one such piece before it is needed

// readAhead asks the system to begin reading; a file that is not open is read when it is.
func (f *file) readAhead(off, n int64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.h != nil {
		vfs.ReadAhead(f.h, off, n)
	}
}

func (a *readahead) read(f *file, off int64, size int) ([]byte, error) {
	if off < a.off || off+int64(size) > a.off+int64(len(a.buf)) {
		n := max(int64(size), min(PieceBytes, f.meta.bytes-off))
		if off < 0 || off+n > f.meta.bytes {
			return nil, &CorruptError{File: f.name, Offset: off, Expected: "a block within the file", Found: fmt.Sprintf("one of %d bytes", size)}
		}
		if int64(cap(a.raw)) < n {
			a.raw = make([]byte, n)
		}
		a.buf = a.raw[:n]
		if off >= a.asked {
			a.asked = off + readAheadBytes
			f.readAhead(off, 2*readAheadBytes)
		}
		if err := f.readAt(a.buf, off); err != nil {
			a.buf = a.buf[:0]
			return nil, err
		}
		a.off = off
	}
	from := int(off - a.off)
	return a.buf[from : from+size], nil
}
