package keys

import (
	"bytes"
	"errors"
	"fmt"
	"path"

	"leat/internal/assert"
	"leat/storage/vfs"
)

// fileMeta is what the manifest knows of a file: enough to pass it over without I/O.
type fileMeta struct {
	number         uint64
	tier           uint8
	bytes          int64
	entries        uint64
	keys           uint64
	seqMin, seqMax uint64
	first, last    fullKey // whole when short, else cut: first down, last to its start
	lastCut        bool    // last is only the start of the last key
}

// boundBytes is how much of the first and last key a manifest keeps.
const boundBytes = 64

// covers says whether the file may hold something between two keys, both included.
func (m *fileMeta) covers(lo, hi fullKey) bool {
	if bytes.Compare(hi, m.first) < 0 {
		return false
	}
	return bytes.Compare(lo, m.last) <= 0 || m.lastCut && bytes.HasPrefix(lo, m.last)
}

// writer writes a file from entries in order. Nothing of it counts before finish returned and a manifest names it.
type writer struct {
	fs      vfs.FS
	dir     string
	h       vfs.File
	header  fileHeader
	pace    func(int) error // before each piece
	syncAt  int64           // a sync after so many bytes, so that the last one is short; 0: only the last
	syncOff int64

	out    []byte // not yet written
	outOff int64  // where it will stand

	block     blockBuilder
	blockFrom place
	marks     []byte // of the section's blocks
	markCount uint32
	dataBytes int // of the section
	hashes    []uint64
	sections  []mark
	footer    fileFooter

	key []byte // of the last entry, with its stream
	cut []byte // the last key of the block before
}

func newWriter(fs vfs.FS, dir string, header fileHeader) (*writer, error) {
	h, err := fs.Open(path.Join(dir, fileName(header.number)), vfs.Create)
	if err != nil {
		return nil, fmt.Errorf("keys: write: %w", err)
	}
	w := &writer{fs: fs, dir: dir, h: h, header: header}
	w.out = header.append(make([]byte, 0, 2*PieceBytes))
	w.block.reset()
	w.footer.number = header.number
	return w, nil
}

func (w *writer) off() int64 { return w.outOff + int64(len(w.out)) }

// add writes an entry that is greater than the last.
func (w *writer) add(e *Entry) error {
	same := w.footer.entries > 0 && fullKey(w.key).stream() == e.Stream && bytes.Equal(w.key[streamBytes:], e.Key)
	newKey := !same
	if w.block.empty() {
		if newKey && w.footer.entries > 0 {
			w.cut = append(w.cut[:0], w.key...)
		}
	}
	if newKey {
		w.key = appendFullKey(w.key[:0], e.Stream, e.Key)
		w.footer.keys++
	}
	if w.block.empty() {
		switch {
		case same:
			w.blockFrom = place{key: bytes.Clone(w.key), pos: e.Position()}
		case w.footer.entries == 0:
			w.blockFrom = place{key: bytes.Clone(w.key)}
		default:
			w.blockFrom = place{key: separator(nil, w.cut, w.key)}
		}
	}
	if newKey || len(w.hashes) == 0 {
		w.hashes = append(w.hashes, hashKey(e.Stream, e.Key))
	}
	w.block.add(e, newKey)
	if w.footer.entries == 0 {
		w.footer.seqMin = e.Seq
	}
	w.footer.entries++
	w.footer.seqMin, w.footer.seqMax = min(w.footer.seqMin, e.Seq), max(w.footer.seqMax, e.Seq)
	if w.block.bytes() >= int(w.header.blockBytes) {
		return w.endBlock()
	}
	return nil
}

func (w *writer) endBlock() error {
	if w.block.empty() {
		return nil
	}
	off := w.off()
	b := w.block.finish(w.header.number, off)
	w.out = append(w.out, b...)
	w.marks = appendMark(w.marks, &mark{from: w.blockFrom, off: off, bytes: uint32(len(b))})
	if w.markCount++; w.markCount == 1 {
		w.sections = append(w.sections, mark{from: w.blockFrom})
	}
	w.dataBytes += len(b)
	w.block.reset()
	if w.dataBytes >= sectionBlocks*int(w.header.blockBytes) {
		return w.endSection()
	}
	return w.write(false)
}

func (w *writer) endSection() error {
	if w.markCount == 0 {
		return nil
	}
	off := w.off()
	start := len(w.out)
	w.out = le.AppendUint32(w.out, w.markCount)
	w.out = append(w.out, w.marks...)
	w.out = appendTrailer(w.out, start, kindIndex, w.header.number, off)
	s := &w.sections[len(w.sections)-1]
	s.off, s.bytes = off, uint32(len(w.out)-start)
	for w.off()%lineBytes != 0 {
		w.out = append(w.out, 0)
	}
	w.out, s.lines = appendFilter(w.out, w.hashes, w.header.number, w.off())
	w.marks, w.markCount, w.dataBytes, w.hashes = w.marks[:0], 0, 0, w.hashes[:0]
	return w.write(false)
}

// write writes whole pieces, with all what is left as well.
func (w *writer) write(all bool) error {
	done := 0
	for len(w.out)-done >= PieceBytes || all && done < len(w.out) {
		n := min(PieceBytes, len(w.out)-done)
		if w.pace != nil {
			if err := w.pace(n); err != nil {
				return err
			}
		}
		if _, err := w.h.WriteAt(w.out[done:done+n], w.outOff); err != nil {
			return fmt.Errorf("keys: write: %w", err)
		}
		done, w.outOff = done+n, w.outOff+int64(n)
		if w.syncAt > 0 && w.outOff-w.syncOff >= w.syncAt {
			if err := w.h.Sync(); err != nil {
				return fmt.Errorf("keys: write: %w", err)
			}
			w.syncOff = w.outOff
		}
	}
	w.out = append(w.out[:0], w.out[done:]...)
	return nil
}

// finish writes the rest and returns when the file's bytes are durable; its name is with the next sync of the folder.
func (w *writer) finish() (fileMeta, error) {
	assert.That(w.footer.entries > 0, "a key file has entries")
	err := w.endBlock()
	if err == nil {
		err = w.endSection()
	}
	if err != nil {
		return fileMeta{}, err
	}
	off, start := w.off(), len(w.out)
	w.out = le.AppendUint32(w.out, uint32(len(w.sections)))
	for i := range w.sections {
		w.out = appendMark(w.out, &w.sections[i])
	}
	w.out = appendTrailer(w.out, start, kindDirectory, w.header.number, off)
	w.footer.directoryOff, w.footer.directoryBytes, w.footer.sections = off, uint32(len(w.out)-start), uint32(len(w.sections))
	w.out = w.footer.append(w.out)
	if err = w.write(true); err == nil {
		err = w.h.Sync()
	}
	if err = errors.Join(err, w.h.Close()); err != nil {
		return fileMeta{}, fmt.Errorf("keys: write: %w", err)
	}
	m := fileMeta{
		number: w.header.number, bytes: w.outOff, entries: w.footer.entries, keys: w.footer.keys, seqMin: w.footer.seqMin, seqMax: w.footer.seqMax,
		first: bytes.Clone(w.sections[0].from.key), last: bytes.Clone(w.key),
	}
	m.first = m.first[:min(len(m.first), boundBytes)]
	if len(m.last) > boundBytes {
		m.last, m.lastCut = m.last[:boundBytes:boundBytes], true
	}
	return m, nil
}

// abandon lets go of a file that is not to be.
func (w *writer) abandon() {
	_ = w.h.Close()
	_ = w.fs.Remove(path.Join(w.dir, fileName(w.header.number))) // what stays is removed at the next open: no manifest names it
}
