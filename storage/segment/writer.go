package segment

import (
	"crypto/sha256"
	"errors"
	"hash"
	"hash/crc32"
	"path"

	"leat/storage/vfs"
)

// writer makes one file. The life of a run in it: its bytes go into buf and a line about them into group; a full block is hashed, its group goes
// into index; a full index follows its blocks into the file, and leaves a line; a piece's end leaves an entry.
type writer struct {
	b     *Build
	id    FileID
	f     vfs.File
	level uint8

	buf     []byte // the last bytes before off, not written yet
	off     int64  // where the next byte goes
	started int64  // up to where the system was asked to begin writing

	sum   hash.Hash // of blocks, one after the other
	meta  hash.Hash // the root: of all that is not a block
	chain [chainBytes]byte

	// the open block
	blockAt   int64
	group     []byte
	groupRuns int
	first     indexRun // of the block
	prev      indexRun // the last run; its next is 0 when the block has none

	// the open index block
	index  []byte
	groups int
	line   line

	// the open piece
	piece entry

	lines   []byte
	entries []entry
	blocks  uint32
	file    File
}

// startBytes is after how much the system is asked to begin bringing the file to the disk. One sync of half a gigabyte would hold up the
// journal's.
const (
	startBytes = 512 << 10
	pageBytes  = 4 << 10
)

// blockDescriptor is what the chain says of a block beside its bytes.
func blockDescriptor(part partition, base, next uint64, bytes int64) []byte {
	b := le.AppendUint64(make([]byte, 0, 32), uint64(part))
	b = le.AppendUint64(b, base)
	b = le.AppendUint64(b, next)
	return le.AppendUint64(b, uint64(bytes))
}

func (b *Build) newWriter() (*writer, error) {
	id := FileID(b.s.nextID.Add(1) - 1)
	f, err := b.s.fs.Open(path.Join(b.s.dir, id.name()), vfs.Create)
	if err != nil {
		return nil, err
	}
	h := header{id: id, lineage: b.s.lineage}
	w := &writer{
		b: b, id: id, f: f, level: b.level, sum: sha256.New(), meta: sha256.New(),
		buf: make([]byte, 0, 2*b.s.cfg.BlockBytes), index: make([]byte, indexHeadBytes),
	}
	head := h.encode()
	w.chain = chainStart(head)
	return w, w.put(head, true)
}

// chainStart is what the first block of a file goes on from.
func chainStart(head []byte) [chainBytes]byte {
	sum := sha256.Sum256(head)
	return [chainBytes]byte(sum[:chainBytes])
}

// chainNext is the value of a block that was hashed: the descriptor comes last, when the block's end is known.
func chainNext(sum hash.Hash, descriptor []byte) [chainBytes]byte {
	sum.Write(descriptor)
	var full [sha256.Size]byte
	return [chainBytes]byte(sum.Sum(full[:0])[:chainBytes])
}

// put adds bytes to the file. meta says that the root covers them.
func (w *writer) put(p []byte, meta bool) error {
	if meta {
		w.meta.Write(p)
	}
	w.off += int64(len(p))
	if len(w.buf) == 0 && len(p) >= w.b.s.cfg.BlockBytes {
		return w.writeOut(p, w.off-int64(len(p)))
	}
	w.buf = append(w.buf, p...)
	if len(w.buf) >= w.b.s.cfg.BlockBytes {
		return w.flush()
	}
	return nil
}

// flush writes what waits. A block that is not closed is hashed from buf, so it must be closed, or stay.
func (w *writer) flush() error {
	at := w.off - int64(len(w.buf))
	err := w.writeOut(w.buf, at)
	w.buf = w.buf[:0]
	return err
}

// writeOut writes in pieces of at most BlockBytes and lets the pace say when to go on.
func (w *writer) writeOut(p []byte, at int64) error {
	for len(p) > 0 {
		n := min(len(p), w.b.s.cfg.BlockBytes)
		if _, err := w.f.WriteAt(p[:n], at); err != nil {
			return err
		}
		w.b.s.counts.written.Add(int64(n))
		p, at = p[n:], at+int64(n)
		if whole := at &^ (pageBytes - 1); whole-w.started >= startBytes { // the last page is written once more, when it is full
			vfs.StartWrite(w.f, w.started, whole-w.started)
			w.started = whole
		}
		if w.b.pace != nil {
			if err := w.b.pace(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// add takes a run of the open piece, or begins one. The caller has checked it.
func (w *writer) add(r *Run, data []byte) error {
	blockBytes := int64(w.b.s.cfg.BlockBytes)
	if w.groupRuns > 0 && (w.off-w.blockAt+r.Bytes > blockBytes || len(w.group)+runBytesMost > groupBytesMax) {
		w.closeBlock()
		// The next block's part may not fit any more, and an index block stands right behind its blocks: now or not at all.
		if len(w.index)+groupHeadBytes+groupBytesMax > IndexBlockBytesMax {
			if err := w.closeIndex(); err != nil {
				return err
			}
		}
	}
	if w.piece.runs == 0 {
		w.piece = entry{
			stream: r.Stream, partition: r.Partition, base: r.Base, seqFirst: r.Seq, timeFirst: r.TimeMS, maxFirst: r.MaxTimeMS,
			batch: r.Batch, dataAt: uint32(w.off), line: uint32(len(w.lines) / lineBytes), block: w.blocks,
		}
	}
	x := indexRun{
		base: r.Base, next: r.Next, seq: r.Seq, timeMS: r.TimeMS, maxTimeMS: r.MaxTimeMS, batch: r.Batch, origin: r.Origin, route: r.Route,
		bytes: uint32(r.Bytes), crc: crc32.Checksum(data, castagnoli),
	}
	if w.groupRuns == 0 {
		w.first, w.blockAt, w.prev = x, w.off, indexRun{}
		w.sum.Reset()
		w.sum.Write(w.chain[:])
	}
	w.group = appendRun(w.group, &x, &w.prev)
	w.groupRuns++
	w.prev = x
	p := &w.piece
	p.next, p.seqLast, p.timeLast, p.maxLast = r.Next, r.Seq, r.TimeMS, r.MaxTimeMS
	p.runs++
	p.bytes += uint64(r.Bytes)
	// Hashed while the bytes are near.
	w.sum.Write(data)
	return w.put(data, false)
}

func (w *writer) closeBlock() {
	if w.groupRuns == 0 {
		return
	}
	w.chain = chainNext(w.sum, blockDescriptor(w.piece.part(), w.first.base, w.prev.next, w.off-w.blockAt))
	if w.groups == 0 {
		f := &w.first
		w.line = line{
			base: f.base, seq: f.seq, timeMS: f.timeMS, maxTimeMS: f.maxTimeMS, batch: f.batch, dataAt: uint32(w.blockAt), block: w.blocks,
		}
	}
	w.index = appendGroup(w.index, w.groupRuns, w.chain, w.group)
	w.groups++
	w.line.runs += uint32(w.groupRuns)
	w.blocks++
	w.group, w.groupRuns = w.group[:0], 0
}

// closeIndex puts the index block behind its blocks.
func (w *writer) closeIndex() error {
	if w.groups == 0 {
		return nil
	}
	le.PutUint16(w.index, uint16(w.groups))
	l := &w.line
	l.indexAt, l.bytes, l.crc = uint32(w.off), uint32(len(w.index)), crc32.Checksum(w.index, castagnoli)
	w.lines = l.append(w.lines, w.id, w.piece.part(), uint32(len(w.lines)/lineBytes))
	w.piece.lines++
	err := w.put(w.index, true)
	w.index, w.groups = w.index[:indexHeadBytes], 0
	return err
}

// closePiece ends the piece that the last run belongs to. It reaches at least up to covered.
func (w *writer) closePiece(covered uint64) error {
	if w.piece.runs == 0 {
		return nil
	}
	w.closeBlock()
	if err := w.closeIndex(); err != nil {
		return err
	}
	p := &w.piece
	p.next = max(p.next, covered)
	f := &w.file
	if len(w.entries) == 0 {
		f.SeqFirst, f.SeqLast, f.TimeFirstMS, f.TimeLastMS = p.seqFirst, p.seqLast, p.timeFirst, p.timeLast
		f.StreamFirst = p.stream
	}
	f.SeqFirst, f.SeqLast = min(f.SeqFirst, p.seqFirst), max(f.SeqLast, p.seqLast)
	f.TimeFirstMS, f.TimeLastMS = min(f.TimeFirstMS, p.timeFirst), max(f.TimeLastMS, p.timeLast)
	f.StreamLast = p.stream
	f.DataBytes += int64(p.bytes)
	w.entries = append(w.entries, *p)
	w.piece = entry{}
	return nil
}

// finish completes the file and its copy of the directory, and syncs each once.
func (w *writer) finish() (File, error) {
	linesAt := w.off
	if err := w.put(w.lines, true); err != nil {
		return File{}, err
	}
	directory := make([]byte, 0, len(w.entries)*entryBytes)
	for i := range w.entries {
		directory = w.entries[i].append(directory)
	}
	if err := w.put(directory, true); err != nil {
		return File{}, err
	}
	foot := footer{
		id: w.id, level: w.level, linesAt: uint32(linesAt), lines: uint32(len(w.lines) / lineBytes), pieces: uint32(len(w.entries)), blocks: w.blocks,
		dirCRC: crc32.Checksum(directory, castagnoli), dataBytes: uint64(w.file.DataBytes), root: [32]byte(w.meta.Sum(nil)),
	}
	tail := foot.encode()
	err := w.put(tail, false)
	if err == nil {
		err = w.flush()
	}
	if err == nil {
		err = w.f.Sync()
	}
	err = errors.Join(err, w.close())
	if err == nil {
		err = w.writeDirectory(directory, tail)
	}
	f := &w.file
	f.ID, f.Bytes, f.Level, f.Root, f.Pieces, f.Locations = w.id, w.off, w.level, foot.root, len(w.entries), []string{locationLocal}
	f.Compacted, f.CompactedMS = w.b.mark.Compacted, w.b.mark.CompactedMS
	return *f, err
}

// writeDirectory writes the file beside, which tells what a lost or damaged segment file held.
func (w *writer) writeDirectory(directory, tail []byte) error {
	f, err := w.b.s.fs.Open(path.Join(w.b.s.dir, w.id.directory()), vfs.Create)
	if err != nil {
		return err
	}
	_, err = f.WriteV([][]byte{directory, tail}, 0)
	if err == nil {
		err = f.Sync()
	}
	w.b.s.counts.written.Add(int64(len(directory) + len(tail)))
	return errors.Join(err, f.Close())
}

// close lets go of the file; a second call does nothing.
func (w *writer) close() error {
	f := w.f
	if w.f = nil; f == nil {
		return nil
	}
	return f.Close()
}
