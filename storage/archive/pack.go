package archive

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"leat/storage/journal"
)

// A pack (docs/formats/archive.md draws every byte):
//
//	0        160                                          size-96   size
//	| header | block | block | ...                 | block | footer  |
//
// A block is a head of 16 bytes and up to 1 MiB of the content, as it is or compressed. The content is frames, back to back; a frame may
// lie across blocks:
//
//	| head 40 | facts | data | CRC 4 |
//
// The hash of a pack is over the content and the header, not over the stored bytes: it is known before anything is compressed, so packs are
// compressed and sent side by side while the chain stays in order.
const (
	packVersion = 1
	packMagic   = "LEATPACK"
	endMagic    = "LEATPEND"
	frameMagic  = uint32(0x5246504c) // "LPFR" in the object

	headerBytes    = 160
	blockHeadBytes = 16
	footerBytes    = 96
	frameHeadBytes = 40
	frameTailBytes = 4
	frameOverhead  = frameHeadBytes + frameTailBytes

	flagBegins = 1

	codecRaw  = 0
	codecZstd = 1
)

const (
	// BlockBytesMax is how much content a block holds.
	BlockBytesMax = 1 << 20
	// ContentBytesMax is the largest content of a pack: many small frames, or one of the largest a journal takes.
	ContentBytesMax = 1 << 31
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// Lineage names a history; a restore starts another.
type Lineage [16]byte

func (l Lineage) String() string { return hex.EncodeToString(l[:]) }

// Hash is a SHA-256.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// header is the first 160 bytes of a pack.
type header struct {
	lineage  Lineage
	shard    Shard
	begins   bool        // what came before is not in this archive, or there was nothing
	prev     journal.Seq // the last Seq before the pack
	first    journal.Seq // of its frames
	last     journal.Seq
	settled  journal.Seq // all through here was in the bucket when this pack was closed
	firstMS  int64
	lastMS   int64
	content  int64 // bytes
	frames   uint32
	prevHash Hash // of the pack before, zeros when begins
}

func (h *header) encode(b []byte) {
	clear(b[:headerBytes])
	copy(b, packMagic)
	le.PutUint16(b[8:], packVersion)
	if h.begins {
		le.PutUint16(b[10:], flagBegins)
	}
	le.PutUint32(b[12:], uint32(h.shard))
	copy(b[16:], h.lineage[:])
	le.PutUint64(b[32:], uint64(h.prev))
	le.PutUint64(b[40:], uint64(h.first))
	le.PutUint64(b[48:], uint64(h.last))
	le.PutUint64(b[56:], uint64(h.settled))
	le.PutUint64(b[64:], uint64(h.firstMS))
	le.PutUint64(b[72:], uint64(h.lastMS))
	le.PutUint64(b[80:], uint64(h.content))
	le.PutUint32(b[88:], h.frames)
	copy(b[96:], h.prevHash[:])
	le.PutUint32(b[headerBytes-4:], crc32.Checksum(b[:headerBytes-4], castagnoli))
}

// decodeHeader reads a header and refuses what it cannot be sure of.
func decodeHeader(b []byte) (h header, err error) {
	if len(b) < headerBytes {
		return h, bad(int64(len(b)), "a pack header of 160 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	b = b[:headerBytes]
	if string(b[:8]) != packMagic {
		return h, bad(0, fmt.Sprintf("magic %q", packMagic), fmt.Sprintf("%q", b[:8]))
	}
	if sum, want := crc32.Checksum(b[:headerBytes-4], castagnoli), le.Uint32(b[headerBytes-4:]); sum != want {
		return h, bad(headerBytes-4, fmt.Sprintf("header CRC %08x", sum), fmt.Sprintf("%08x", want))
	}
	if v := le.Uint16(b[8:]); v != packVersion {
		return h, fmt.Errorf("%w (pack format %d)", ErrNewer, v)
	}
	flags := le.Uint16(b[10:])
	if flags&^flagBegins != 0 || le.Uint32(b[92:]) != 0 || !zero(b[128:headerBytes-4]) {
		return h, fmt.Errorf("%w (a pack with fields that are not known here)", ErrNewer)
	}
	h = header{
		shard: Shard(le.Uint32(b[12:])), lineage: Lineage(b[16:32]), begins: flags&flagBegins != 0,
		prev: journal.Seq(le.Uint64(b[32:])), first: journal.Seq(le.Uint64(b[40:])), last: journal.Seq(le.Uint64(b[48:])),
		settled: journal.Seq(le.Uint64(b[56:])), firstMS: int64(le.Uint64(b[64:])), lastMS: int64(le.Uint64(b[72:])),
		content: int64(le.Uint64(b[80:])), frames: le.Uint32(b[88:]), prevHash: Hash(b[96:128]),
	}
	switch {
	case h.first <= h.prev || h.last < h.first || h.settled > h.prev:
		return h, bad(32, "seqs that grow", fmt.Sprintf("%d, then %d to %d, settled %d", h.prev, h.first, h.last, h.settled))
	case h.content < frameOverhead || h.content > ContentBytesMax || int64(h.frames) > h.content/frameOverhead || h.frames == 0:
		return h, bad(80, fmt.Sprintf("at most %d bytes of content", int64(ContentBytesMax)), fmt.Sprintf("%d bytes in %d frames", h.content, h.frames))
	case h.lastMS < h.firstMS:
		return h, bad(64, "times that do not run backwards", fmt.Sprintf("%d to %d", h.firstMS, h.lastMS))
	}
	return h, nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// footer is the last 96 bytes.
type footer struct {
	blocks  uint32
	lastCRC uint32 // of facts and data of the last frame: a resume compares it with the journal
	at      int64  // where the footer stands
	hash    Hash
}

func (f *footer) encode(b []byte) {
	clear(b[:footerBytes])
	copy(b, endMagic)
	le.PutUint32(b[8:], f.blocks)
	le.PutUint32(b[12:], f.lastCRC)
	le.PutUint64(b[16:], uint64(f.at))
	copy(b[24:], f.hash[:])
	le.PutUint32(b[footerBytes-4:], crc32.Checksum(b[:footerBytes-4], castagnoli))
}

func decodeFooter(b []byte) (f footer, err error) {
	if len(b) < footerBytes {
		return f, bad(int64(len(b)), "a pack footer of 96 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	b = b[:footerBytes]
	if string(b[:8]) != endMagic {
		return f, bad(0, fmt.Sprintf("magic %q", endMagic), fmt.Sprintf("%q", b[:8]))
	}
	if sum, want := crc32.Checksum(b[:footerBytes-4], castagnoli), le.Uint32(b[footerBytes-4:]); sum != want {
		return f, bad(footerBytes-4, fmt.Sprintf("footer CRC %08x", sum), fmt.Sprintf("%08x", want))
	}
	if !zero(b[56 : footerBytes-4]) {
		return f, fmt.Errorf("%w (a pack footer with fields that are not known here)", ErrNewer)
	}
	return footer{blocks: le.Uint32(b[8:]), lastCRC: le.Uint32(b[12:]), at: int64(le.Uint64(b[16:])), hash: Hash(b[24:56])}, nil
}

// blockHead stands before each block. Its CRC covers the other 12 bytes and the block as it is stored.
type blockHead struct {
	stored  uint32
	content uint32
	codec   uint32
	crc     uint32
}

func (h *blockHead) encode(b []byte, stored []byte) {
	le.PutUint32(b, h.stored)
	le.PutUint32(b[4:], h.content)
	le.PutUint32(b[8:], h.codec)
	le.PutUint32(b[12:], crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, stored))
}

// decodeBlockHead checks the lengths, so that what follows may be read; the CRC needs the block.
func decodeBlockHead(b []byte) (h blockHead, err error) {
	h = blockHead{stored: le.Uint32(b), content: le.Uint32(b[4:]), codec: le.Uint32(b[8:]), crc: le.Uint32(b[12:])}
	switch {
	case h.content == 0 || h.content > BlockBytesMax || h.stored == 0 || h.stored > h.content:
		return h, bad(0, fmt.Sprintf("a block of 1 to %d bytes", BlockBytesMax), fmt.Sprintf("%d bytes, stored in %d", h.content, h.stored))
	case h.codec > codecZstd || h.codec == codecRaw && h.stored != h.content:
		return h, bad(8, "a known codec", fmt.Sprintf("%d", h.codec))
	}
	return h, nil
}

// Frame is a frame as the journal had it. Facts and Data are only valid during the call that hands it out.
type Frame struct {
	Seq    journal.Seq
	Epoch  journal.Epoch
	TimeMS int64
	Facts  []byte
	Data   []byte
}

func encodeFrameHead(b []byte, f *Frame, data int64) {
	le.PutUint32(b, frameMagic)
	le.PutUint32(b[4:], uint32(len(f.Facts)))
	le.PutUint64(b[8:], uint64(f.Seq))
	le.PutUint64(b[16:], uint64(f.Epoch))
	le.PutUint64(b[24:], uint64(f.TimeMS))
	le.PutUint64(b[32:], uint64(data))
}

// payloadCRC is over facts and data. A frame's CRC goes on from there over the head.
func payloadCRC(facts, data []byte) uint32 {
	return crc32.Update(crc32.Checksum(facts, castagnoli), castagnoli, data)
}

// decodeFrame reads the frame at the start of content and says how long it is.
func decodeFrame(content []byte) (f Frame, size int, err error) {
	if len(content) < frameOverhead {
		return f, 0, bad(0, fmt.Sprintf("a frame of at least %d bytes", frameOverhead), fmt.Sprintf("%d bytes", len(content)))
	}
	if m := le.Uint32(content); m != frameMagic {
		return f, 0, bad(0, fmt.Sprintf("frame magic %08x", frameMagic), fmt.Sprintf("%08x", m))
	}
	facts, data := uint64(le.Uint32(content[4:])), le.Uint64(content[32:])
	if room := uint64(len(content) - frameOverhead); facts > room || data > room-facts {
		return f, 0, bad(4, fmt.Sprintf("a frame of at most %d bytes", room), fmt.Sprintf("%d bytes of facts, %d of data", facts, data))
	}
	end := frameHeadBytes + int(facts) + int(data)
	f = Frame{
		Seq: journal.Seq(le.Uint64(content[8:])), Epoch: journal.Epoch(le.Uint64(content[16:])), TimeMS: int64(le.Uint64(content[24:])),
		Facts: content[frameHeadBytes : frameHeadBytes+int(facts)], Data: content[frameHeadBytes+int(facts) : end],
	}
	sum := crc32.Update(payloadCRC(f.Facts, f.Data), castagnoli, content[:frameHeadBytes])
	if want := le.Uint32(content[end:]); sum != want {
		return f, 0, bad(int64(end), fmt.Sprintf("frame CRC %08x", sum), fmt.Sprintf("%08x", want))
	}
	return f, end + frameTailBytes, nil
}
