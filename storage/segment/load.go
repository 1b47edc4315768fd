package segment

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"leat/internal/clock"
	"leat/storage/vfs"
)

// loadFile reads the directory of a file that the manifest names: from its end, or else from the file beside. Where neither can be read the file
// is lost: it stays in the manifest, has no pieces, and cursors say so where they meet a hole that may be its.
func (s *Store) loadFile(f *file) error {
	entries, err := s.ownDirectory(f)
	if err != nil {
		if errors.Is(err, ErrNewer) {
			return err
		}
		f.damaged.Store(true)
		s.log.Error("a segment file is damaged: `leat stream verify` says where, `leat repair` takes it from the archive", "file", f.ID.name(), "error", err)
		f.aside = true
		if entries, err = s.besideDirectory(f); err != nil {
			s.log.Error("the copy of its directory cannot be read either: the offsets it held are not known", "file", f.ID.directory(),
				"seq_first", f.SeqFirst, "seq_last", f.SeqLast, "error", err)
			return nil
		}
	}
	f.take(entries)
	return nil
}

// take keeps of the directory what is needed to find a piece.
func (f *file) take(entries []entry) {
	f.pieces = make([]piece, len(entries))
	for i := range entries {
		e := &entries[i]
		f.pieces[i] = piece{stream: e.stream, partition: e.partition, base: e.base, next: e.next, bytes: uint32(e.bytes), line: e.line}
	}
}

func (s *Store) ownDirectory(f *file) ([]entry, error) {
	name := f.ID.name()
	h, err := s.fs.Open(path.Join(s.dir, name), vfs.Read)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(name)
	}
	if err != nil {
		return nil, err
	}
	entries, err := readDirectory(h, f, f.Bytes)
	return entries, errors.Join(corrupt(CorruptError{File: name, Block: -1}, err), h.Close())
}

func (s *Store) besideDirectory(f *file) ([]entry, error) {
	name := f.ID.directory()
	h, err := s.fs.Open(path.Join(s.dir, name), vfs.Read)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(name)
	}
	if err != nil {
		return nil, err
	}
	entries, err := readDirectory(h, f, int64(f.Pieces)*entryBytes+footerBytes)
	return entries, errors.Join(corrupt(CorruptError{File: name, Block: -1}, err), h.Close())
}

func missing(name string) error {
	return &CorruptError{File: name, Block: -1, Expected: "the file", Found: "none of that name"}
}

// readDirectory reads directory and footer, which are the last bytes of both files.
func readDirectory(h vfs.File, f *file, bytes int64) ([]entry, error) {
	switch size, err := h.Size(); {
	case err != nil:
		return nil, err
	case size != bytes:
		return nil, bad(0, fmt.Sprintf("%d bytes", bytes), fmt.Sprintf("%d bytes", size))
	}
	at := bytes - footerBytes - int64(f.Pieces)*entryBytes
	if at < 0 {
		return nil, bad(0, fmt.Sprintf("%d pieces", f.Pieces), fmt.Sprintf("a file of %d bytes", bytes))
	}
	b := make([]byte, bytes-at)
	if _, err := h.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	foot, err := decodeFooter(b[len(b)-footerBytes:])
	if err != nil {
		return nil, shift(err, bytes-footerBytes)
	}
	if foot.id != f.ID || foot.root != f.Root || foot.pieces != uint32(f.Pieces) || foot.fileBytes() != f.Bytes || foot.dataBytes != uint64(f.DataBytes) {
		return nil, bad(bytes-footerBytes, fmt.Sprintf("file %d with root %x", f.ID, f.Root[:8]), fmt.Sprintf("file %d with root %x", foot.id, foot.root[:8]))
	}
	entries, err := decodeDirectory(b[:len(b)-footerBytes], &foot)
	if err != nil {
		return nil, shift(err, at)
	}
	f.foot = foot
	return entries, nil
}

// shift moves the place that a decoder told of.
func shift(err error, by int64) error {
	var b *badBytes
	if errors.As(err, &b) {
		return &badBytes{at: b.at + by, expected: b.expected, found: b.found}
	}
	return err
}

// readAt reads all of p from a file at off, or says why not. What is not there is a CorruptError without offsets.
func (s *Store) readAt(f *file, p []byte, off int64) error {
	h, err := s.handles.get(f.ID)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return missing(f.ID.name())
		}
		return err
	}
	defer s.handles.put(h)
	began := clock.Now()
	n, err := h.f.ReadAt(p, off)
	if len(p) >= readAheadFrom && clock.Since(began) > readAheadAfter {
		vfs.ReadAhead(h.f, off+int64(len(p)), readAheadTimes*int64(len(p)))
	}
	s.counts.reads.Add(1)
	s.counts.readBytes.Add(int64(n))
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return &CorruptError{File: f.ID.name(), Block: -1, Offset: off + int64(n), Expected: fmt.Sprintf("%d bytes more", len(p)-n), Found: "the end of the file"}
	}
	return fmt.Errorf("segment: read: %w", err)
}

// Files are read without the system's read-ahead, which is too much for one record; so whoever reads a lot in a row, and waits for the disk, has
// the next part read while he works on this one.
const (
	readAheadFrom  = 256 << 10              // bytes of a read that is one of a row
	readAheadAfter = 300 * time.Microsecond // what came sooner was in memory
	readAheadTimes = 2
)

// spoiled completes what is wrong with bytes of a piece, and remembers that the file is damaged.
func (s *Store) spoiled(r ref, base, next uint64, err error) error {
	var c *CorruptError
	if !errors.As(err, &c) {
		return err
	}
	p := r.piece()
	out := *c
	out.Stream, out.Partition, out.Base, out.Next = p.stream, p.partition, base, next
	s.counts.corrupt.Add(1)
	if !r.f.damaged.Swap(true) {
		s.log.Error("a segment file is damaged: `leat stream verify` says where, `leat repair` takes it from the archive", "file", r.f.ID.name(), "error", &out)
	}
	return &out
}

// entryOf reads a piece's entry of the directory, from where Open found it good.
func (s *Store) entryOf(r ref) (*entry, error) {
	key := cacheKey{r.f.ID, cachedEntry, uint32(r.i)}
	if v := s.cache.get(key); v != nil {
		return v.(*entry), nil
	}
	b := make([]byte, entryBytes)
	e, err := s.readEntry(r, b)
	if err != nil {
		return nil, s.spoiled(r, r.piece().base, r.piece().next, err)
	}
	s.cache.put(key, e, entryBytes+64)
	return e, nil
}

func (s *Store) readEntry(r ref, b []byte) (*entry, error) {
	at := r.f.foot.dirAt() + int64(r.i)*entryBytes
	where := CorruptError{File: r.f.ID.name(), Offset: at, Block: -1}
	var err error
	if r.f.aside {
		at = int64(r.i) * entryBytes
		where.File, where.Offset = r.f.ID.directory(), at
		err = s.readBeside(r.f, b, at)
	} else {
		err = s.readAt(r.f, b, at)
	}
	if err != nil {
		return nil, err
	}
	e, err := decodeEntry(b)
	if p := r.piece(); err == nil && (e.stream != p.stream || e.partition != p.partition || e.base != p.base || e.line != p.line) {
		err = bad(0, fmt.Sprintf("offset %d", p.base), fmt.Sprintf("offset %d", e.base))
	}
	return &e, corrupt(where, err)
}

// readBeside is for the directory of a damaged file: seldom, so the file is not held open.
func (s *Store) readBeside(f *file, b []byte, at int64) error {
	h, err := s.fs.Open(path.Join(s.dir, f.ID.directory()), vfs.Read)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return missing(f.ID.directory())
		}
		return err
	}
	if _, err = h.ReadAt(b, at); errors.Is(err, io.EOF) {
		err = &CorruptError{File: f.ID.directory(), Block: -1, Offset: at, Expected: "a directory entry", Found: "the end of the file"}
	}
	return errors.Join(err, h.Close())
}

// linesOf reads a piece's lines.
func (s *Store) linesOf(r ref) ([]line, error) {
	key := cacheKey{r.f.ID, cachedLines, uint32(r.i)}
	if v := s.cache.get(key); v != nil {
		return v.([]line), nil
	}
	p := r.piece()
	n := r.f.linesOf(int(r.i))
	b := make([]byte, int64(n)*lineBytes)
	at := int64(r.f.foot.linesAt) + int64(p.line)*lineBytes
	if err := s.readAt(r.f, b, at); err != nil {
		return nil, s.spoiled(r, p.base, p.next, err)
	}
	lines := make([]line, n)
	for i := range lines {
		l, err := decodeLine(b[i*lineBytes:], r.f.ID, partitionOf(p.stream, p.partition), p.line+uint32(i))
		switch {
		case err != nil:
		case i == 0 && l.base != p.base, i > 0 && (l.base <= lines[i-1].base || l.dataAt != lines[i-1].indexAt+lines[i-1].bytes), l.base >= p.next,
			l.indexAt > r.f.foot.linesAt || l.bytes > r.f.foot.linesAt-l.indexAt:
			err = bad(0, "a line behind the one before", fmt.Sprintf("one from offset %d, byte %d", l.base, l.dataAt))
		}
		if err != nil {
			return nil, s.spoiled(r, p.base, p.next, corrupt(CorruptError{File: r.f.ID.name(), Offset: at + int64(i)*lineBytes, Block: -1}, err))
		}
		lines[i] = l
	}
	s.cache.put(key, lines, int64(n)*lineBytes+64)
	return lines, nil
}
