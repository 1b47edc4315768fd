package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A segment file (docs/formats/segment.md draws every byte):
//
//	| header | blocks, index block | blocks, index block | ... | lines | directory | footer |
//	   128      of one partition      of that or the next          64 x    112 x      128
//
// Blocks are the runs, back to back. An index block (at most 16 KiB) follows the blocks it describes, so that writing needs no memory for
// the index of a whole file, and reading a piece is reading one place of the disk. There is a line for every index block and an
// entry of the directory for every piece.
const (
	formatVersion = 1

	headerBytes = 128
	lineBytes   = 64
	entryBytes  = 112
	footerBytes = 128
	chainBytes  = 16

	fileMagic   = "LEATSEGM"
	footerMagic = "LEATSEGF"

	// fileBytesMax keeps every place in a file within 32 bits.
	fileBytesMax = 1<<32 - 1
	linesMax     = fileBytesMax / lineBytes
	piecesMax    = fileBytesMax / entryBytes
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// FileID names a segment file of a store. It is never used twice.
type FileID uint64

func (id FileID) name() string      { return fmt.Sprintf("segment-%016x.seg", uint64(id)) }
func (id FileID) directory() string { return fmt.Sprintf("segment-%016x.dir", uint64(id)) }

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// sealed puts the CRC of what stands before it into the last four bytes.
func sealed(b []byte) []byte {
	le.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

func checkSealed(what string, b []byte) error {
	if sum, want := crc32.Checksum(b[:len(b)-4], castagnoli), le.Uint32(b[len(b)-4:]); sum != want {
		return bad(0, fmt.Sprintf("%s CRC %08x", what, want), fmt.Sprintf("%08x", sum))
	}
	return nil
}

// header is the first 128 bytes of a file.
type header struct {
	id      FileID
	lineage [16]byte
}

func (h *header) encode() []byte {
	b := make([]byte, headerBytes)
	copy(b, fileMagic)
	le.PutUint16(b[8:], formatVersion)
	le.PutUint32(b[12:], headerBytes)
	le.PutUint64(b[16:], uint64(h.id))
	copy(b[24:], h.lineage[:])
	// 40: namespace u64, 48: encryption u16, 50: codec u16, 52: key id u32, 56: nonce, 12 bytes: 0 in this version.
	return sealed(b)
}

func decodeHeader(b []byte) (h header, err error) {
	if len(b) < headerBytes {
		return h, bad(int64(len(b)), "a header of 128 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	b = b[:headerBytes]
	if string(b[:8]) != fileMagic {
		return h, bad(0, fmt.Sprintf("magic %q", fileMagic), fmt.Sprintf("%q", b[:8]))
	}
	if err := checkSealed("header", b); err != nil {
		return h, err
	}
	if v := le.Uint16(b[8:]); v != formatVersion {
		return h, fmt.Errorf("%w (segment file format %d)", ErrNewer, v)
	}
	if le.Uint16(b[10:]) != 0 || le.Uint32(b[12:]) != headerBytes || !zero(b[40:headerBytes-4]) {
		return h, fmt.Errorf("%w (namespace, encryption or codec of a segment file)", ErrNewer)
	}
	h.id = FileID(le.Uint64(b[16:]))
	copy(h.lineage[:], b[24:40])
	return h, nil
}

// footer is the last 128 bytes.
type footer struct {
	id        FileID
	level     uint8
	linesAt   uint32 // the end of the blocks
	lines     uint32
	pieces    uint32
	blocks    uint32
	dirCRC    uint32
	dataBytes uint64
	root      [32]byte
}

func (f *footer) dirAt() int64     { return int64(f.linesAt) + int64(f.lines)*lineBytes }
func (f *footer) footerAt() int64  { return f.dirAt() + int64(f.pieces)*entryBytes }
func (f *footer) fileBytes() int64 { return f.footerAt() + footerBytes }

func (f *footer) encode() []byte {
	b := make([]byte, footerBytes)
	copy(b, footerMagic)
	le.PutUint16(b[8:], formatVersion)
	b[10] = f.level
	le.PutUint64(b[16:], uint64(f.id))
	le.PutUint32(b[24:], f.linesAt)
	le.PutUint32(b[28:], f.lines)
	le.PutUint32(b[32:], f.pieces)
	le.PutUint32(b[36:], f.blocks)
	le.PutUint32(b[40:], f.dirCRC)
	le.PutUint64(b[48:], f.dataBytes)
	copy(b[56:], f.root[:])
	return sealed(b)
}

func decodeFooter(b []byte) (f footer, err error) {
	if len(b) < footerBytes {
		return f, bad(int64(len(b)), "a footer of 128 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	b = b[:footerBytes]
	if string(b[:8]) != footerMagic {
		return f, bad(0, fmt.Sprintf("footer magic %q", footerMagic), fmt.Sprintf("%q", b[:8]))
	}
	if err := checkSealed("footer", b); err != nil {
		return f, err
	}
	if v := le.Uint16(b[8:]); v != formatVersion {
		return f, fmt.Errorf("%w (segment footer format %d)", ErrNewer, v)
	}
	if b[11] != 0 || !zero(b[12:16]) || !zero(b[44:48]) || !zero(b[88:footerBytes-4]) {
		return f, fmt.Errorf("%w (segment footer)", ErrNewer)
	}
	f = footer{
		id: FileID(le.Uint64(b[16:])), level: b[10], linesAt: le.Uint32(b[24:]), lines: le.Uint32(b[28:]), pieces: le.Uint32(b[32:]),
		blocks: le.Uint32(b[36:]), dirCRC: le.Uint32(b[40:]), dataBytes: le.Uint64(b[48:]), root: [32]byte(b[56:88]),
	}
	if f.lines > linesMax || f.pieces > piecesMax || f.pieces > f.lines || f.linesAt < headerBytes || f.fileBytes() > fileBytesMax {
		return f, bad(24, "places within a file", fmt.Sprintf("%d, %d lines, %d pieces", f.linesAt, f.lines, f.pieces))
	}
	return f, nil
}

// line describes an index block: the first run in it, and where all lies.
type line struct {
	base      uint64
	seq       uint64
	timeMS    int64
	maxTimeMS int64
	batch     uint32
	runs      uint32
	dataAt    uint32 // of its first block
	indexAt   uint32 // of the index block, which is the end of its last block
	bytes     uint32 // of the index block
	crc       uint32 // of the index block
	block     uint32 // number of its first block
}

// lineSum covers, beside the line, whose it is: two lines in each other's place are found.
func lineSum(b []byte, id FileID, part partition, number uint32) uint32 {
	var whose [20]byte
	le.PutUint64(whose[:], uint64(id))
	le.PutUint64(whose[8:], uint64(part))
	le.PutUint32(whose[16:], number)
	return crc32.Update(crc32.Checksum(whose[:], castagnoli), castagnoli, b)
}

func (l *line) append(b []byte, id FileID, part partition, number uint32) []byte {
	at := len(b)
	b = le.AppendUint64(b, l.base)
	b = le.AppendUint64(b, l.seq)
	b = le.AppendUint64(b, uint64(l.timeMS))
	b = le.AppendUint64(b, uint64(l.maxTimeMS))
	for _, v := range [...]uint32{l.batch, l.runs, l.dataAt, l.indexAt, l.bytes, l.crc, l.block} {
		b = le.AppendUint32(b, v)
	}
	return le.AppendUint32(b, lineSum(b[at:], id, part, number))
}

func decodeLine(b []byte, id FileID, part partition, number uint32) (l line, err error) {
	if len(b) < lineBytes {
		return l, bad(int64(len(b)), "a line of 64 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	if sum, want := lineSum(b[:lineBytes-4], id, part, number), le.Uint32(b[lineBytes-4:]); sum != want {
		return l, bad(0, fmt.Sprintf("line CRC %08x", want), fmt.Sprintf("%08x", sum))
	}
	l = line{
		base: le.Uint64(b), seq: le.Uint64(b[8:]), timeMS: int64(le.Uint64(b[16:])), maxTimeMS: int64(le.Uint64(b[24:])),
		batch: le.Uint32(b[32:]), runs: le.Uint32(b[36:]), dataAt: le.Uint32(b[40:]), indexAt: le.Uint32(b[44:]),
		bytes: le.Uint32(b[48:]), crc: le.Uint32(b[52:]), block: le.Uint32(b[56:]),
	}
	if l.bytes < indexHeadBytes || l.bytes > IndexBlockBytesMax || l.runs == 0 || l.runs > l.bytes/runBytesMin || l.dataAt < headerBytes || l.indexAt <= l.dataAt {
		return l, bad(36, "an index block within its bounds", fmt.Sprintf("%d bytes, %d runs, at %d, blocks at %d", l.bytes, l.runs, l.indexAt, l.dataAt))
	}
	return l, nil
}

// entry is of the directory: a piece, which is what one file has of one partition, or one part of that.
type entry struct {
	stream, partition   uint32
	base, next          uint64
	seqFirst, seqLast   uint64
	timeFirst, timeLast int64
	maxFirst, maxLast   int64
	bytes               uint64
	dataAt, line, lines uint32
	runs, block, batch  uint32
}

func (e *entry) part() partition { return partitionOf(e.stream, e.partition) }

func (e *entry) append(b []byte) []byte {
	at := len(b)
	b = le.AppendUint32(b, e.stream)
	b = le.AppendUint32(b, e.partition)
	for _, v := range [...]uint64{
		e.base, e.next, e.seqFirst, e.seqLast, uint64(e.timeFirst), uint64(e.timeLast), uint64(e.maxFirst), uint64(e.maxLast), e.bytes,
	} {
		b = le.AppendUint64(b, v)
	}
	for _, v := range [...]uint32{e.dataAt, e.line, e.lines, e.runs, e.block, e.batch, 0} {
		b = le.AppendUint32(b, v)
	}
	return le.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

func decodeEntry(b []byte) (e entry, err error) {
	if len(b) < entryBytes {
		return e, bad(int64(len(b)), "a directory entry of 112 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	b = b[:entryBytes]
	if err := checkSealed("directory entry", b); err != nil {
		return e, err
	}
	if !zero(b[104:108]) {
		return e, fmt.Errorf("%w (directory entry)", ErrNewer)
	}
	e = entry{
		stream: le.Uint32(b), partition: le.Uint32(b[4:]), base: le.Uint64(b[8:]), next: le.Uint64(b[16:]),
		seqFirst: le.Uint64(b[24:]), seqLast: le.Uint64(b[32:]), timeFirst: int64(le.Uint64(b[40:])), timeLast: int64(le.Uint64(b[48:])),
		maxFirst: int64(le.Uint64(b[56:])), maxLast: int64(le.Uint64(b[64:])), bytes: le.Uint64(b[72:]),
		dataAt: le.Uint32(b[80:]), line: le.Uint32(b[84:]), lines: le.Uint32(b[88:]), runs: le.Uint32(b[92:]),
		block: le.Uint32(b[96:]), batch: le.Uint32(b[100:]),
	}
	if e.next <= e.base || e.lines == 0 || e.runs == 0 || e.bytes > fileBytesMax {
		return e, bad(8, "a piece with runs", fmt.Sprintf("offsets %d to %d, %d runs in %d lines", e.base, e.next, e.runs, e.lines))
	}
	return e, nil
}

// decodeDirectory takes all entries of a file. They must be in order and share out the file's lines without a gap.
func decodeDirectory(b []byte, f *footer) ([]entry, error) {
	if want := int64(f.pieces) * entryBytes; int64(len(b)) != want {
		return nil, bad(0, fmt.Sprintf("a directory of %d bytes", want), fmt.Sprintf("%d bytes", len(b)))
	}
	if sum := crc32.Checksum(b, castagnoli); sum != f.dirCRC {
		return nil, bad(0, fmt.Sprintf("directory CRC %08x", f.dirCRC), fmt.Sprintf("%08x", sum))
	}
	entries := make([]entry, f.pieces)
	line, dataAt := uint32(0), uint32(0)
	for i := range entries {
		at := int64(i) * entryBytes
		e, err := decodeEntry(b[at:])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			p := &entries[i-1]
			if e.part() < p.part() || e.part() == p.part() && e.base < p.next {
				return nil, bad(at, fmt.Sprintf("a piece behind stream %d, partition %d, offset %d", p.stream, p.partition, p.next-1),
					fmt.Sprintf("stream %d, partition %d, offset %d", e.stream, e.partition, e.base))
			}
		}
		if e.line != line || e.lines > f.lines-line || e.dataAt <= dataAt || e.dataAt >= f.linesAt {
			return nil, bad(at+80, fmt.Sprintf("lines from %d on", line), fmt.Sprintf("%d from %d on, data at %d", e.lines, e.line, e.dataAt))
		}
		line, dataAt = line+e.lines, e.dataAt
		entries[i] = e
	}
	if line != f.lines {
		return nil, bad(0, fmt.Sprintf("pieces with %d lines", f.lines), line)
	}
	return entries, nil
}
