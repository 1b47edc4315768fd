package disk

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"

	"leat/storage/journal"
	"leat/storage/vfs"
)

// Open opens the journal in dir, which it makes when it is not there, under a new epoch. dir is locked until Close.
//
// Open returns when everything that any later reader may be shown is durable: what the last owner left unproven is written again,
// to another file, and synced. A *journal.CorruptError means that bytes which had been synced are not what was written; nothing has
// been changed then.
func Open(fsys vfs.FS, dir string, cfg Config, opts Options) (*Journal, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	j := &Journal{fs: fsys, dir: dir, cfg: cfg, log: cmp.Or(opts.Log, slog.Default()), onSync: opts.OnSync, random: opts.Random}
	if j.random == nil {
		j.random = trueRandom
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	lock, err := fsys.Lock(path.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	j.lock = lock
	j.table = table{fs: fsys, dir: dir, openMax: cfg.OpenFilesMax}
	j.ring = newRing(fsys, dir, cfg, j.log, j.inUse)
	j.w.sealed = true
	if err := j.recover(journal.Epoch(opts.EpochMin)); err != nil {
		errs := []error{fmt.Errorf("journal: open %s: %w", dir, err), j.table.close()}
		if j.w.h != nil {
			errs = append(errs, j.w.h.Close())
		}
		return nil, errors.Join(append(errs, lock.Close())...)
	}
	if opts.Foreground {
		close(j.ring.stopped)
	} else {
		go j.ring.run()
	}
	return j, nil
}

func trueRandom() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand stops the program instead
	return binary.LittleEndian.Uint64(b[:])
}

// listing is what a folder holds, by name.
type listing struct {
	numbers []uint64 // of journal files, ascending
	spares  []uint64
	tmps    []string
}

func list(fsys vfs.FS, dir string) (l listing, err error) {
	names, err := fsys.List(dir)
	if err != nil {
		return l, err
	}
	for _, name := range names {
		if n, ok := parseName(name, filePrefix); ok {
			l.numbers = append(l.numbers, n)
		} else if n, ok := parseName(name, sparePfx); ok {
			l.spares = append(l.spares, n)
		} else if strings.HasSuffix(name, tmpSuffix) {
			l.tmps = append(l.tmps, name)
		}
	}
	slices.Sort(l.numbers)
	slices.Sort(l.spares)
	return l, nil
}

// recover finds the end of what is durable and begins an epoch there.
func (j *Journal) recover(epochMin journal.Epoch) error {
	l, err := list(j.fs, j.dir)
	if err != nil {
		return err
	}
	j.epoch = max(1, epochMin)
	if err := j.openFiles(l); err != nil {
		return err
	}
	if len(j.table.files) == 0 {
		if err := j.loadSpares(l); err != nil {
			return err
		}
		binary.LittleEndian.PutUint64(j.lineage[:], j.random())
		binary.LittleEndian.PutUint64(j.lineage[8:], j.random())
		return j.begin(startOf{number: 1})
	}
	last := j.table.files[len(j.table.files)-1]
	e, err := j.findEnd(last)
	if err != nil {
		return err
	}
	j.epoch = max(j.epoch, e.epoch+1, last.header.epoch+1)
	if err := j.loadSpares(l); err != nil {
		return err
	}
	if e.clean {
		return j.resume(last, e)
	}
	return j.beginAfter(last, e)
}

// openFiles reads the file headers, checks that they make one chain, and takes a last file without header, into which nothing was
// ever durably written, out of it.
func (j *Journal) openFiles(l listing) error {
	for i, number := range l.numbers {
		f, err := j.readFile(number)
		if err != nil {
			var ce *journal.CorruptError
			if i < len(l.numbers)-1 || !errors.As(err, &ce) {
				return err
			}
			if i == 0 {
				return err // the first file got its name when it was synced
			}
			return j.discardUnwritten(number, err)
		}
		if i == 0 {
			j.lineage = f.header.lineage
		} else if err := j.chained(j.table.files[i-1], f); err != nil {
			return err
		}
		j.table.files = append(j.table.files, f)
	}
	return nil
}

func (j *Journal) readFile(number uint64) (*file, error) {
	f := &file{name: fileName(number)}
	h, err := j.fs.Open(path.Join(j.dir, f.name), vfs.Read)
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close() }() // was only read
	size, err := h.Size()
	if err != nil {
		return nil, err
	}
	page := make([]byte, headerPageBytes)
	if n, err := h.ReadAt(page, 0); n < len(page) {
		return nil, shortRead(f.name, 0, n, len(page), err)
	}
	if f.header, err = decodeFileHeader(page); err != nil {
		return nil, corrupt(f.name, 0, err)
	}
	if f.header.number != number {
		return nil, corrupt(f.name, 0, bad(16, fmt.Sprintf("file number %d", number), f.header.number))
	}
	f.size.Store(size)
	f.filled = f.header.filled && size == f.header.fileBytes
	return f, nil
}

// chained says whether f goes on where before ended, and sets that end.
func (j *Journal) chained(before, f *file) error {
	switch {
	case f.header.number != before.header.number+1:
		return corrupt(f.name, 0, bad(16, fmt.Sprintf("file number %d after %s", before.header.number+1, before.name), f.header.number))
	case f.header.lineage != j.lineage:
		return corrupt(f.name, 0, bad(32, fmt.Sprintf("lineage %x", j.lineage), fmt.Sprintf("%x", f.header.lineage)))
	case f.header.prevEnd < headerPageBytes || f.header.prevEnd > before.size.Load():
		return corrupt(before.name, 0, bad(before.size.Load(), fmt.Sprintf("frames up to byte %d", f.header.prevEnd), "the end of the file"))
	}
	before.end.Store(f.header.prevEnd)
	before.limit.Store(before.room())
	return nil
}

// discardUnwritten removes a last file without a valid header. The header goes to the disk with the file's first frame in one write: while no
// second frame stands in the file, that write was never acknowledged. A second frame proves damage, which is cause.
func (j *Journal) discardUnwritten(number uint64, cause error) error {
	name := fileName(number)
	h, err := j.fs.Open(path.Join(j.dir, name), vfs.Read)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	size, err := h.Size()
	if err != nil {
		return err
	}
	first := int64(-1)
	at, _, err := findFrame(h, headerPageBytes, size, func(h frameHeader, off int64) bool {
		if h.place != placeOf(number, off) || h.lineage != j.lineage.short() {
			return false
		}
		if off == headerPageBytes {
			first = off
		}
		return off > headerPageBytes
	})
	switch {
	case err != nil:
		return err
	case at >= 0:
		return cause
	case first < 0:
		if err := j.fs.Remove(path.Join(j.dir, name)); err != nil {
			return err
		}
		return j.fs.SyncDir(j.dir)
	}
	kept := fmt.Sprintf("torn-%016x-%d.bin", number, j.random())
	if err := j.fs.Rename(path.Join(j.dir, name), path.Join(j.dir, kept)); err != nil {
		return err
	}
	j.counts.tornTails.Add(1)
	j.log.Warn("journal: the first frame of a file was never acknowledged and is incomplete; the file was put aside",
		"dir", j.dir, "file", name, "kept_in", kept, "reason", cause)
	return j.fs.SyncDir(j.dir)
}

// loadSpares takes the filled files over and removes what was half made.
func (j *Journal) loadSpares(l listing) error {
	for _, name := range l.tmps {
		if err := j.fs.Remove(path.Join(j.dir, name)); err != nil {
			return err
		}
	}
	for _, id := range l.spares {
		h, err := j.fs.Open(path.Join(j.dir, spareName(id)), vfs.Read)
		if err != nil {
			return err
		}
		size, err := h.Size()
		if err = errors.Join(err, h.Close()); err != nil {
			return err
		}
		if size == j.cfg.FileBytes && !j.ring.full() {
			j.ring.put(id)
			continue
		}
		j.ring.lastID = max(j.ring.lastID, id)
		if err := j.fs.Remove(path.Join(j.dir, spareName(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// startOf says what a new first file of an epoch holds.
type startOf struct {
	number  uint64
	prev    link
	prevEnd int64
	redo    *frameHeader // the frame to write again, with
	payload []byte       // its data and facts
}

// begin writes a file with the frame to write again, if any, and the frame that begins the epoch; syncs it; and only then gives it its
// name. Until the name is durable the journal is what it was.
func (j *Journal) begin(s startOf) error {
	size := max(j.cfg.FileBytes, fileBytesFor(int64(len(s.payload))))
	f := &file{name: fileName(s.number), header: fileHeader{
		number: s.number, generation: j.random(), lineage: j.lineage, epoch: j.epoch,
		fileBytes: size, prev: s.prev, prevEnd: s.prevEnd,
	}}
	f.size.Store(size)
	h, tmp, err := j.blank(f, size)
	if err != nil {
		return err
	}
	j.w.h = h
	w := &j.w
	w.file, w.last, w.entries = f, s.prev, make([]indexEntry, 0, indexEntriesMax)
	f.header.encode(w.page[:])
	buf := append([]byte(nil), w.page[:]...)
	if s.redo != nil {
		j.indexed(int64(len(buf)))
		buf = j.appendFrame(buf, *s.redo, s.payload)
	}
	j.indexed(int64(len(buf)))
	buf = j.appendFrame(buf, frameHeader{kind: kindOpen, seq: w.last.seq}, nil)
	w.off = int64(len(buf))
	buf = append(buf, zeros[:alignUp(w.off, pageBytes)-w.off]...)
	if _, err := h.WriteAt(buf, 0); err != nil {
		return err
	}
	if err := h.Sync(); err != nil {
		return err
	}
	if err := j.fs.Rename(path.Join(j.dir, tmp), path.Join(j.dir, f.name)); err != nil {
		return err
	}
	if err := j.fs.SyncDir(j.dir); err != nil {
		return err
	}
	j.table.add(f)
	j.publish(f, w.off, w.last)
	return nil
}

// affirm writes the header of a file again in which no frame is known synced. Its header went out with its first frame, so it may stand in
// memory only: after a kill between write and sync, or after a sync that failed. As soon as a file follows, the header has to be there; a
// crash before that leaves a last file with the same header or without one.
func (j *Journal) affirm(f *file) error {
	h, err := j.fs.Open(path.Join(j.dir, f.name), vfs.Write)
	if err != nil {
		return err
	}
	page := make([]byte, headerPageBytes)
	f.header.encode(page)
	if _, err = h.WriteAt(page, 0); err == nil {
		err = h.Sync()
	}
	return errors.Join(err, h.Close())
}

// blank opens a file to begin in: a filled one when there is one.
func (j *Journal) blank(f *file, size int64) (h fileHandle, name string, err error) {
	if size == j.cfg.FileBytes {
		if id, ok := j.ring.take(); ok {
			f.filled, f.header.filled = true, true
			h, err = j.fs.Open(path.Join(j.dir, spareName(id)), vfs.Write)
			return h, spareName(id), err
		}
	}
	h, err = createSized(j.fs, path.Join(j.dir, newName), size)
	return h, newName, err
}

// appendFrame adds a frame at the end of buf, which begins at the start of the file.
func (j *Journal) appendFrame(buf []byte, h frameHeader, payload []byte) []byte {
	w := &j.w
	h.place, h.generation = placeOf(w.file.header.number, int64(len(buf))), w.file.header.generation
	h.lineage, h.epoch, h.prev = j.lineage.short(), j.epoch, w.last
	h.encode(w.raw[:])
	w.last = h.next(w.raw[:])
	buf = append(append(buf, w.raw[:]...), payload...)
	return append(buf, zeros[:alignUp(int64(len(buf)), frameAlign)-int64(len(buf))]...)
}

// resume goes on in the last file, where a seal shows that all before it is synced. The frame that begins the epoch takes the
// seal's place: whether the seal itself is on the disk or only in memory nobody knows, so nothing may stand behind it.
func (j *Journal) resume(f *file, e ending) error {
	h, err := j.fs.Open(path.Join(j.dir, f.name), vfs.Write)
	if err != nil {
		return err
	}
	w := &j.w
	w.file, w.h, w.off, w.last, w.entries = f, h, e.syncedEnd, e.synced, e.entries
	_, err = j.write(kindOpen, journal.Frame{Seq: w.last.seq})
	return err
}

// beginAfter begins a new file: what stands after the last frame known synced is cut, and the frame among it, if it is whole,
// written again.
func (j *Journal) beginAfter(f *file, e ending) error {
	s := startOf{number: f.header.number + 1, prev: e.synced, prevEnd: e.syncedEnd}
	if e.torn != nil {
		if err := j.keepTorn(f, e); err != nil {
			return err
		}
	}
	if e.last != nil && e.last.kind == kindData {
		s.redo = e.last
		s.payload = make([]byte, e.last.dataBytes+e.last.factsBytes)
		_, off := split(e.last.place)
		if err := j.table.read(f, s.payload, off+frameHeaderBytes); err != nil {
			return err
		}
		j.counts.rewritten.Add(1)
	}
	if e.syncedEnd == headerPageBytes {
		if err := j.affirm(f); err != nil {
			return err
		}
	}
	if err := j.begin(s); err != nil {
		return err
	}
	f.end.Store(e.syncedEnd)
	h, err := j.fs.Open(path.Join(j.dir, f.name), vfs.Write)
	if err != nil {
		return err
	}
	// Its index is written in the background, behind the old copy of the frame that was written again: state that was flushed while
	// that copy was known synced may still point there.
	f.filled = false
	f.limit.Store(e.validEnd)
	j.ring.finish(finished{file: f, h: h, keep: e.validEnd, footer: footer{
		number: f.header.number, generation: f.header.generation, end: e.syncedEnd, last: e.synced, entries: e.entries,
	}})
	return nil
}
