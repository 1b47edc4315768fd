package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"

	"leat/storage/journal"
)

// A journal file (docs/formats/journal.md draws every byte):
//
//	0        4096                                        size-4096   size
//	| header | frame | frame | ... | frame | unused .... | index     |
//	  4096     8-byte aligned, back to back                 4096
//
// A frame:
//
//	0        128           128+D          128+D+F     next multiple of 8
//	| header | data (D)    | facts (F)    | zeros     |
//
// Data stands before facts so that a reader finds it at a fixed distance from the frame's place, with no header read; facts stand
// next to the header of the frame that follows, so that a replay reads both at once and jumps over data.
const (
	formatVersion = 1

	pageBytes        = 4096
	headerPageBytes  = 4096
	footerBytes      = 4096
	frameHeaderBytes = 128
	frameAlign       = 8
	payloadPartMax   = 1<<32 - 1

	fileMagic   = "LEATJRNL"
	footerMagic = "LEATJIDX"
	frameMagic  = uint32(0x4d52464c) // "LFRM" in the file

	fileFlagFilled = 1

	placeOffsetBits = 32
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

type kind uint8

const (
	kindData kind = 1 // a frame of the caller
	kindSeal kind = 2 // says that all before it is synced
	kindOpen kind = 3 // begins an epoch
)

func (k kind) String() string {
	switch k {
	case kindData:
		return "data"
	case kindSeal:
		return "seal"
	case kindOpen:
		return "open"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func alignUp(n, to int64) int64 { return (n + to - 1) / to * to }

func placeOf(number uint64, off int64) journal.Place {
	return journal.Place(number<<placeOffsetBits | uint64(off))
}

func split(p journal.Place) (number uint64, off int64) {
	return uint64(p) >> placeOffsetBits, int64(uint64(p) & (1<<placeOffsetBits - 1))
}

// badBytes says what a decoder found instead of what it wanted, and where from the start of what it was given.
type badBytes struct {
	at              int64
	expected, found string
}

func (b *badBytes) Error() string {
	return fmt.Sprintf("byte %d: expected %s, found %s", b.at, b.expected, b.found)
}

func bad(at int64, expected, found any) error {
	return &badBytes{at: at, expected: fmt.Sprint(expected), found: fmt.Sprint(found)}
}

// corrupt turns what a decoder found into the error callers see.
func corrupt(file string, off int64, err error) error {
	var b *badBytes
	if errors.As(err, &b) {
		return &journal.CorruptError{File: file, Offset: off + b.at, Expected: b.expected, Found: b.found}
	}
	return err
}

// errNewer is returned for bytes that are whole but of a version this program does not know.
var errNewer = errors.New("journal: written by a newer version of Leat: use that version, or a later one")

// lineage names the history a journal belongs to. A restore starts another.
type lineage [16]byte

func (l lineage) short() uint64 { return le.Uint64(l[:8]) }

// link is what the next frame says about the one before it.
type link struct {
	place     journal.Place // of the frame before, of any kind; 0 for the first
	hash      uint64        // of its header, and so of all before it
	seq       journal.Seq   // of the last data frame up to it
	dataPlace journal.Place // of the last data frame up to it
}

// fileHeader is the first page of a file.
type fileHeader struct {
	number     uint64
	generation uint64 // random: tells this use of the blocks from those before
	lineage    lineage
	epoch      journal.Epoch
	fileBytes  int64
	filled     bool // its blocks were written before this use
	prev       link
	prevEnd    int64 // where the frames of the file before end; what stands after it there does not count
}

func (h *fileHeader) encode(b []byte) {
	clear(b[:headerPageBytes])
	copy(b, fileMagic)
	le.PutUint16(b[8:], formatVersion)
	if h.filled {
		b[10] = fileFlagFilled
	}
	le.PutUint32(b[12:], headerPageBytes)
	le.PutUint64(b[16:], h.number)
	le.PutUint64(b[24:], h.generation)
	copy(b[32:], h.lineage[:])
	le.PutUint64(b[48:], uint64(h.epoch))
	le.PutUint64(b[56:], uint64(h.fileBytes))
	le.PutUint64(b[64:], uint64(h.prev.place))
	le.PutUint64(b[72:], uint64(h.prevEnd))
	le.PutUint64(b[80:], uint64(h.prev.seq))
	le.PutUint64(b[88:], h.prev.hash)
	le.PutUint64(b[96:], uint64(h.prev.dataPlace))
	// 104: namespace u64, 112: encryption algorithm u16, key id u32: 0 in this version.
	le.PutUint32(b[headerPageBytes-4:], crc32.Checksum(b[:headerPageBytes-4], castagnoli))
}

func decodeFileHeader(b []byte) (h fileHeader, err error) {
	if len(b) < headerPageBytes {
		return h, bad(int64(len(b)), "a file header of 4096 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	b = b[:headerPageBytes]
	if string(b[:8]) != fileMagic {
		return h, bad(0, fmt.Sprintf("file magic %q", fileMagic), fmt.Sprintf("%q", b[:8]))
	}
	if sum, want := crc32.Checksum(b[:headerPageBytes-4], castagnoli), le.Uint32(b[headerPageBytes-4:]); sum != want {
		return h, bad(0, fmt.Sprintf("file header CRC %08x", want), fmt.Sprintf("%08x", sum))
	}
	if v := le.Uint16(b[8:]); v != formatVersion {
		return h, fmt.Errorf("%w (journal file format %d)", errNewer, v)
	}
	if f := le.Uint16(b[10:]); f&^fileFlagFilled != 0 {
		return h, fmt.Errorf("%w (journal file flags %04x)", errNewer, f)
	}
	if !zero(b[104 : headerPageBytes-4]) {
		return h, fmt.Errorf("%w (namespace or encryption in a journal file)", errNewer)
	}
	h.filled = b[10] == fileFlagFilled
	h.number = le.Uint64(b[16:])
	h.generation = le.Uint64(b[24:])
	copy(h.lineage[:], b[32:48])
	h.epoch = journal.Epoch(le.Uint64(b[48:]))
	h.fileBytes = int64(le.Uint64(b[56:]))
	h.prev = link{
		place:     journal.Place(le.Uint64(b[64:])),
		seq:       journal.Seq(le.Uint64(b[80:])),
		hash:      le.Uint64(b[88:]),
		dataPlace: journal.Place(le.Uint64(b[96:])),
	}
	h.prevEnd = int64(le.Uint64(b[72:]))
	if h.number == 0 || h.number >= 1<<placeOffsetBits {
		return h, bad(16, "a file number from 1 to 2^32-1", h.number)
	}
	if h.prevEnd < 0 || h.prevEnd >= 1<<placeOffsetBits || h.fileBytes < 0 || h.fileBytes > FileBytesMax {
		return h, bad(56, "sizes within a file", fmt.Sprintf("%d and %d", h.fileBytes, h.prevEnd))
	}
	return h, nil
}

// frameHeader is the first 128 bytes of a frame.
type frameHeader struct {
	kind       kind
	place      journal.Place // its own
	generation uint64        // of its file
	lineage    uint64        // first 8 bytes
	seq        journal.Seq   // of this frame; of the last data frame for the other kinds
	epoch      journal.Epoch
	prev       link // prev.seq is the last seq known synced when this was written
	factsBytes int64
	dataBytes  int64
	factsCRC   uint32
	dataCRC    uint32
}

func (h *frameHeader) encode(b []byte) {
	clear(b[:frameHeaderBytes])
	le.PutUint32(b, frameMagic)
	le.PutUint16(b[4:], formatVersion)
	b[6] = byte(h.kind)
	le.PutUint64(b[8:], uint64(h.place))
	le.PutUint64(b[16:], h.generation)
	le.PutUint64(b[24:], h.lineage)
	le.PutUint64(b[32:], uint64(h.seq))
	le.PutUint64(b[40:], uint64(h.epoch))
	le.PutUint64(b[48:], uint64(h.prev.seq))
	le.PutUint64(b[56:], uint64(h.prev.place))
	le.PutUint64(b[64:], h.prev.hash)
	le.PutUint64(b[72:], uint64(h.prev.dataPlace))
	le.PutUint32(b[80:], uint32(h.factsBytes))
	le.PutUint32(b[84:], uint32(h.dataBytes))
	le.PutUint32(b[88:], h.factsCRC)
	le.PutUint32(b[92:], h.dataCRC)
	// 96: encryption algorithm u16, 98: part u8, 99: parts u8, 100: key id u32, 104: nonce 12 bytes, 116: 8 bytes: 0 in this version.
	le.PutUint32(b[124:], crc32.Checksum(b[:124], castagnoli))
}

// decodeFrameHeader takes what encode wrote. That it is the frame wanted at a place is for frameHeader.belongs to say.
func decodeFrameHeader(b []byte) (h frameHeader, err error) {
	if len(b) < frameHeaderBytes {
		return h, bad(int64(len(b)), "a frame header of 128 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	b = b[:frameHeaderBytes]
	if m := le.Uint32(b); m != frameMagic {
		return h, bad(0, `frame magic "LFRM"`, fmt.Sprintf("%q", b[:4]))
	}
	if sum, want := crc32.Checksum(b[:124], castagnoli), le.Uint32(b[124:]); sum != want {
		return h, bad(0, fmt.Sprintf("frame header CRC %08x", want), fmt.Sprintf("%08x", sum))
	}
	if v := le.Uint16(b[4:]); v != formatVersion {
		return h, fmt.Errorf("%w (frame format %d)", errNewer, v)
	}
	h = frameHeader{
		kind:       kind(b[6]),
		place:      journal.Place(le.Uint64(b[8:])),
		generation: le.Uint64(b[16:]),
		lineage:    le.Uint64(b[24:]),
		seq:        journal.Seq(le.Uint64(b[32:])),
		epoch:      journal.Epoch(le.Uint64(b[40:])),
		prev: link{
			seq:       journal.Seq(le.Uint64(b[48:])),
			place:     journal.Place(le.Uint64(b[56:])),
			hash:      le.Uint64(b[64:]),
			dataPlace: journal.Place(le.Uint64(b[72:])),
		},
		factsBytes: int64(le.Uint32(b[80:])),
		dataBytes:  int64(le.Uint32(b[84:])),
		factsCRC:   le.Uint32(b[88:]),
		dataCRC:    le.Uint32(b[92:]),
	}
	if h.kind < kindData || h.kind > kindOpen || b[7] != 0 || !zero(b[96:124]) {
		return h, fmt.Errorf("%w (frame kind %d, flags %d, encryption or parts %x)", errNewer, b[6], b[7], b[96:124])
	}
	return h, nil
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// size is what the frame takes in its file.
func (h *frameHeader) size() int64 {
	return frameHeaderBytes + alignUp(h.dataBytes+h.factsBytes, frameAlign)
}

func (h *frameHeader) factsAt() int64 { return frameHeaderBytes + h.dataBytes }

// next is what the frame after this one says about it. raw are the header's bytes: the hash covers them, with the payload's CRCs and
// the hash before in them, and so covers the whole journal up to here.
func (h *frameHeader) next(raw []byte) link {
	l := link{place: h.place, hash: xxhash.Sum64(raw[:frameHeaderBytes]), seq: h.seq, dataPlace: h.prev.dataPlace}
	if h.kind == kindData {
		l.dataPlace = h.place
	}
	return l
}

// belongs says whether the header was written for this place in this use of this file.
func (h *frameHeader) belongs(f *fileHeader, off int64) error {
	switch {
	case h.place != placeOf(f.number, off):
		return bad(8, fmt.Sprintf("place %d", placeOf(f.number, off)), uint64(h.place))
	case h.generation != f.generation:
		return bad(16, fmt.Sprintf("file generation %016x", f.generation), fmt.Sprintf("%016x", h.generation))
	case h.lineage != f.lineage.short():
		return bad(24, fmt.Sprintf("lineage %016x", f.lineage.short()), fmt.Sprintf("%016x", h.lineage))
	}
	return nil
}

// follows says whether the header is the one after the frame that l describes.
func (h *frameHeader) follows(l link) error {
	switch {
	case h.prev.seq != l.seq || h.prev.place != l.place || h.prev.dataPlace != l.dataPlace:
		return bad(48, fmt.Sprintf("a frame after seq %d at %d", l.seq, l.place), fmt.Sprintf("one after seq %d at %d", h.prev.seq, h.prev.place))
	case h.prev.hash != l.hash:
		return bad(64, fmt.Sprintf("chain hash %016x", l.hash), fmt.Sprintf("%016x", h.prev.hash))
	case h.kind == kindData && h.seq <= l.seq:
		return bad(32, fmt.Sprintf("a seq over %d", l.seq), uint64(h.seq))
	case h.kind != kindData && h.seq != l.seq:
		return bad(32, fmt.Sprintf("seq %d", l.seq), uint64(h.seq))
	}
	return nil
}

// footer is the index of a file that is no longer written: the last page of it. Without a valid one the file is read from its start.
type footer struct {
	number     uint64
	generation uint64
	end        int64
	last       link
	entries    []indexEntry
}

// indexEntry says that every frame before offset has at most seq.
type indexEntry struct {
	seq journal.Seq
	off int64
}

const (
	indexEntriesMax = 240
	footerHeadBytes = 96
	indexEntryBytes = 16
)

// The index must fit its page beside the CRC: a negative number does not compile.
const _ = uint(footerBytes - 4 - footerHeadBytes - indexEntriesMax*indexEntryBytes)

func (f *footer) encode(b []byte) {
	clear(b[:footerBytes])
	copy(b, footerMagic)
	le.PutUint16(b[8:], formatVersion)
	le.PutUint16(b[10:], uint16(len(f.entries)))
	le.PutUint64(b[16:], f.number)
	le.PutUint64(b[24:], f.generation)
	le.PutUint64(b[32:], uint64(f.end))
	le.PutUint64(b[40:], uint64(f.last.place))
	le.PutUint64(b[48:], uint64(f.last.seq))
	le.PutUint64(b[56:], f.last.hash)
	le.PutUint64(b[64:], uint64(f.last.dataPlace))
	for i, e := range f.entries {
		at := footerHeadBytes + i*indexEntryBytes
		le.PutUint64(b[at:], uint64(e.seq))
		le.PutUint64(b[at+8:], uint64(e.off))
	}
	le.PutUint32(b[footerBytes-4:], crc32.Checksum(b[:footerBytes-4], castagnoli))
}

func decodeFooter(b []byte) (f footer, err error) {
	if len(b) < footerBytes {
		return f, bad(int64(len(b)), "an index of 4096 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	b = b[:footerBytes]
	if string(b[:8]) != footerMagic {
		return f, bad(0, fmt.Sprintf("index magic %q", footerMagic), fmt.Sprintf("%q", b[:8]))
	}
	if sum, want := crc32.Checksum(b[:footerBytes-4], castagnoli), le.Uint32(b[footerBytes-4:]); sum != want {
		return f, bad(0, fmt.Sprintf("index CRC %08x", want), fmt.Sprintf("%08x", sum))
	}
	if v := le.Uint16(b[8:]); v != formatVersion {
		return f, fmt.Errorf("%w (index format %d)", errNewer, v)
	}
	count := int(le.Uint16(b[10:]))
	if count > indexEntriesMax {
		return f, bad(10, fmt.Sprintf("at most %d entries", indexEntriesMax), count)
	}
	f = footer{
		number: le.Uint64(b[16:]), generation: le.Uint64(b[24:]), end: int64(le.Uint64(b[32:])),
		last: link{
			place: journal.Place(le.Uint64(b[40:])), seq: journal.Seq(le.Uint64(b[48:])),
			hash: le.Uint64(b[56:]), dataPlace: journal.Place(le.Uint64(b[64:])),
		},
		entries: make([]indexEntry, count),
	}
	for i := range f.entries {
		at := footerHeadBytes + i*indexEntryBytes
		f.entries[i] = indexEntry{journal.Seq(le.Uint64(b[at:])), int64(le.Uint64(b[at+8:]))}
	}
	return f, nil
}
