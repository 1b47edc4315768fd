package disk

import (
	"errors"
	"fmt"
	"path"

	"leat/storage/journal"
	"leat/storage/vfs"
)

// Severity says what a finding means.
type Severity int

const (
	Note   Severity = iota // costs nothing: a torn tail of what was never acknowledged, an index that is missing
	Damage                 // bytes that had been synced are not what was written
)

func (s Severity) String() string {
	if s == Note {
		return "note"
	}
	return "damage"
}

// Finding is one place where a journal is not as it should be.
type Finding struct {
	Severity Severity
	File     string
	Offset   int64
	Expected string
	Found    string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: %s at byte %d: expected %s, found %s", f.Severity, f.File, f.Offset, f.Expected, f.Found)
}

// Report is what Check found.
type Report struct {
	Files      int
	Frames     int64 // whole data frames
	Bytes      int64 // facts and data in them
	First      journal.Seq
	Last       journal.Seq
	LastSynced journal.Seq // the highest Seq that the journal itself records as synced
	Epoch      journal.Epoch
	Lineage    [16]byte
	Findings   []Finding
	More       bool // there were more findings than FindingsMax
}

// FindingsMax bounds a report: a disk that lost a gigabyte need not be told of each byte.
const FindingsMax = 1000

// Damaged says whether anything was found that is more than a note.
func (r *Report) Damaged() bool {
	for _, f := range r.Findings {
		if f.Severity == Damage {
			return true
		}
	}
	return false
}

func (r *Report) add(s Severity, file string, off int64, expected, found string) {
	if len(r.Findings) >= FindingsMax {
		r.More = true
		return
	}
	r.Findings = append(r.Findings, Finding{s, file, off, expected, found})
}

// addErr adds what a decoder says; an error that is not about bytes (a failed read, a newer version) is returned.
func (r *Report) addErr(s Severity, err error) error {
	var ce *journal.CorruptError
	if !errors.As(err, &ce) {
		return err
	}
	r.add(s, ce.File, ce.Offset, ce.Expected, ce.Found)
	return nil
}

// Check reads every byte of the journal in dir, which must not be open, and changes nothing. It verifies headers, the chain of hashes over all
// files, data, facts and the zeros between, and the indexes. After damage it goes on with the next whole frame. progress, when not nil, is told
// the bytes read of the bytes there are.
func Check(fsys vfs.FS, dir string, progress func(done, total int64)) (*Report, error) {
	r := &Report{}
	err := walk(fsys, dir, r, progress, nil)
	return r, err
}

// walker reads all of a journal's frames, damaged or not.
type walker struct {
	j        *Journal
	r        *Report
	visit    func(Frame) error
	progress func(done, total int64)
	done     int64
	total    int64
	proof    journal.Seq // of a later frame or header that says what was synced
}

// walk takes the lock and reads all files.
func walk(fsys vfs.FS, dir string, r *Report, progress func(done, total int64), visit func(Frame) error) (err error) {
	lock, err := lockExisting(fsys, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return walkLocked(fsys, dir, r, progress, visit)
}

func lockExisting(fsys vfs.FS, dir string) (interface{ Close() error }, error) {
	l, err := list(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if len(l.numbers) == 0 {
		return nil, fmt.Errorf("journal: no journal files in %s", dir)
	}
	lock, err := fsys.Lock(path.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return lock, nil
}

func walkLocked(fsys vfs.FS, dir string, r *Report, progress func(done, total int64), visit func(Frame) error) (err error) {
	l, err := list(fsys, dir)
	if err != nil {
		return err
	}
	w := &walker{r: r, progress: progress, visit: visit, j: &Journal{fs: fsys, dir: dir}}
	w.j.table = table{fs: fsys, dir: dir, openMax: OpenFilesMin}
	defer func() { err = errors.Join(err, w.j.table.close()) }()
	files, err := w.headers(l)
	if err != nil {
		return err
	}
	for i, f := range files {
		if f == nil {
			continue // its header is a finding already
		}
		var next *file
		if i+1 < len(files) {
			next = files[i+1]
		}
		if err := w.walkFile(f, next, i == len(files)-1); err != nil {
			return err
		}
	}
	return nil
}

// headers reads the file headers. A bad one is a finding and a nil in the result; its frames cannot be told from old ones.
func (w *walker) headers(l listing) ([]*file, error) {
	files := make([]*file, len(l.numbers))
	var before *file
	for i, number := range l.numbers {
		f, err := w.j.readFile(number)
		switch {
		case err != nil && i == len(l.numbers)-1 && before != nil && w.unwritten(number, before):
			continue
		case err != nil:
			if err := w.r.addErr(Damage, err); err != nil {
				return nil, err
			}
			before = nil
			continue
		}
		if before == nil && i == 0 || w.r.Files == 0 {
			w.j.lineage = f.header.lineage
			w.r.Lineage = f.header.lineage
		}
		if before != nil {
			if err := w.j.chained(before, f); err != nil {
				if err := w.r.addErr(Damage, err); err != nil {
					return nil, err
				}
			}
		} else if i > 0 && l.numbers[i-1]+1 != number {
			w.r.add(Damage, f.name, 0, "the file before it", "no such file")
		}
		w.r.Files++
		w.total += f.size.Load()
		w.proof = max(w.proof, f.header.prev.seq)
		files[i], before = f, f
	}
	return files, nil
}

// unwritten says whether a last file is one that got its name and never a synced frame, and notes it.
func (w *walker) unwritten(number uint64, before *file) bool {
	h, err := w.j.fs.Open(path.Join(w.j.dir, fileName(number)), vfs.Read)
	if err != nil {
		return false
	}
	defer func() { _ = h.Close() }()
	size, err := h.Size()
	if err != nil {
		return false
	}
	at, _, err := findFrame(h, headerPageBytes+1, size, func(h frameHeader, off int64) bool {
		return h.place == placeOf(number, off) && h.lineage == before.header.lineage.short()
	})
	if err != nil || at >= 0 {
		return false
	}
	w.r.add(Note, fileName(number), 0, "a file header", "none: the file was named and never written, which the next open undoes")
	return true
}

// walkFile reads one file: frames up to where they end, then the index. In the last file the end is where no frame stands any more.
func (w *walker) walkFile(f, next *file, isLast bool) error {
	end := f.room()
	if next != nil && next.header.prevEnd >= headerPageBytes && next.header.prevEnd <= f.size.Load() {
		end = next.header.prevEnd
	}
	c := cursor{table: &w.j.table}
	c.reset(f, headerPageBytes, end, true)
	known := next != nil // that all up to end was synced
	for c.off < end {
		off := c.off
		err := w.frame(&c)
		if err == nil {
			continue
		}
		var ce *journal.CorruptError
		if !errors.As(err, &ce) {
			return err
		}
		resume, err := w.nextFrame(f, off, end)
		if err != nil {
			return err
		}
		if resume < 0 && !known {
			if err := w.tail(f, off, ce); err != nil {
				return err
			}
			break
		}
		w.r.add(Damage, ce.File, ce.Offset, ce.Expected, ce.Found)
		if resume < 0 {
			break
		}
		c.reset(f, resume, end, false)
	}
	if c.check && known && c.off == end && c.last != next.header.prev {
		w.r.add(Damage, next.name, 64, fmt.Sprintf("a file after frame %d with chain hash %016x", c.last.seq, c.last.hash),
			fmt.Sprintf("one after frame %d with %016x", next.header.prev.seq, next.header.prev.hash))
	}
	w.done += f.size.Load()
	if w.progress != nil {
		w.progress(w.done, w.total)
	}
	if isLast {
		return nil
	}
	return w.index(f, end)
}

// frame verifies the frame at c and counts it.
func (w *walker) frame(c *cursor) error {
	off := c.off
	h, raw, err := c.header()
	if err != nil {
		return err
	}
	next := h.next(raw)
	if err := w.j.wholePayload(c.f, &h, off); err != nil {
		return err
	}
	c.last, c.check, c.off = next, true, off+h.size()
	r := w.r
	r.Epoch = max(r.Epoch, h.epoch)
	r.LastSynced = max(r.LastSynced, h.prev.seq)
	if h.kind != kindData {
		r.LastSynced = max(r.LastSynced, h.seq)
	} else {
		if r.Frames == 0 {
			r.First = h.seq
		}
		r.Frames++
		r.Bytes += h.dataBytes + h.factsBytes
		r.Last = h.seq
	}
	if w.visit == nil {
		return nil
	}
	f := frameOf(c.f, off, &h, next.hash)
	if f.Facts, err = c.bytes(off+h.factsAt(), h.factsBytes); err != nil {
		return err
	}
	return w.visit(f)
}

// nextFrame returns where the next whole header of the file stands after off, -1 when there is none.
func (w *walker) nextFrame(f *file, off, end int64) (int64, error) {
	h, err := w.j.fs.Open(path.Join(w.j.dir, f.name), vfs.Read)
	if err != nil {
		return -1, err
	}
	defer func() { _ = h.Close() }()
	at, _, err := findFrame(h, off+frameAlign, end, func(h frameHeader, at int64) bool { return h.belongs(&f.header, at) == nil })
	return at, err
}

// tail judges the bytes at the end of the last file, where no frame stands and none follows.
func (w *walker) tail(f *file, off int64, ce *journal.CorruptError) error {
	began, err := w.j.beganAt(f, off)
	if err != nil || !began {
		return err
	}
	w.r.add(Note, ce.File, ce.Offset, ce.Expected, ce.Found+" (a frame that was not proven synced: the next open cuts it and keeps the bytes aside)")
	return nil
}

// index verifies the last page of a file that is no longer written.
func (w *walker) index(f *file, end int64) error {
	page := make([]byte, footerBytes)
	at := f.size.Load() - footerBytes
	if err := w.j.table.read(f, page, at); err != nil {
		return w.r.addErr(Note, err)
	}
	ft, err := decodeFooter(page)
	switch {
	case err != nil:
		return w.r.addErr(Note, corrupt(f.name, at, err))
	case ft.number != f.header.number || ft.generation != f.header.generation:
		w.r.add(Note, f.name, at, "the index of this file", "that of an earlier use")
	case ft.end != end:
		w.r.add(Note, f.name, at+32, fmt.Sprintf("frames up to byte %d", end), fmt.Sprint(ft.end))
	}
	for _, e := range ft.entries {
		if e.off >= end {
			continue // of a frame that an open wrote again elsewhere
		}
		raw := make([]byte, frameHeaderBytes)
		if err := w.j.table.read(f, raw, e.off); err != nil {
			return w.r.addErr(Note, err)
		}
		if h, err := decodeFrameHeader(raw); err != nil || h.prev.seq != e.seq {
			w.r.add(Note, f.name, at, fmt.Sprintf("an index entry for a frame after %d at byte %d", e.seq, e.off), "no such frame there")
		}
	}
	return nil
}
