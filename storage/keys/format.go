package keys

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
)

// A key file (docs/formats/keys.md draws every byte):
//
//	0        64                                                            size-128  size
//	| header | section | section | ... | section | directory of sections | footer |
//
// A section, some 128 blocks:
//
//	| data block | data block | ... | index block | zeros to a multiple of 64 | filter lines, 64 bytes each |
//
// To look for a key: the directory (in memory) tells the section, one line of its filter whether the key is there at all, its index
// block which data block.
//
// Every block ends in 8 bytes: codec, kind, zeros, CRC32C. The sum covers file number and offset too, so that a block in another's place is
// found.
const (
	formatVersion = 1

	headerBytes  = 64
	footerBytes  = 128
	trailerBytes = 8
	lineBytes    = 64
	lineSumBytes = 4

	fileMagic   = "LEATKEYS"
	footerMagic = "LEATKEND"

	kindData      = 1
	kindIndex     = 2
	kindDirectory = 3

	sectionBlocks = 128 // data blocks of BlockBytes in a section

	lockName     = "LOCK"
	manifestName = "MANIFEST"
	filePrefix   = "keys-"
	fileSuffix   = ".idx"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

func fileName(number uint64) string { return fmt.Sprintf("%s%016x%s", filePrefix, number, fileSuffix) }

// isFileName reports whether a name is one of our files'.
func isFileName(name string) bool {
	hex, ok := strings.CutPrefix(name, filePrefix)
	if !ok {
		return false
	}
	if hex, ok = strings.CutSuffix(hex, fileSuffix); !ok || len(hex) != 16 {
		return false
	}
	_, err := strconv.ParseUint(hex, 16, 64)
	return err == nil
}

// placedSum is the CRC32C of bytes that stand at an offset of a file.
func placedSum(data []byte, number uint64, off int64) uint32 {
	var at [16]byte
	le.PutUint64(at[:], number)
	le.PutUint64(at[8:], uint64(off))
	return crc32.Update(crc32.Checksum(data, castagnoli), castagnoli, at[:])
}

// appendTrailer ends the block that is in b from start on and will stand at off.
func appendTrailer(b []byte, start int, kind uint8, number uint64, off int64) []byte {
	b = append(b, 0, kind, 0, 0)
	return le.AppendUint32(b, placedSum(b[start:], number, off))
}

// openBlock checks a block and returns what is in it.
func openBlock(raw []byte, kind uint8, number uint64, off int64) ([]byte, error) {
	if len(raw) < trailerBytes {
		return nil, bad("a block", "%d bytes", len(raw))
	}
	body, trailer := raw[:len(raw)-trailerBytes], raw[len(raw)-trailerBytes:]
	if want, got := le.Uint32(trailer[4:]), placedSum(raw[:len(raw)-4], number, off); want != got {
		return nil, bad(fmt.Sprintf("a block with CRC %08x", want), "%08x", got)
	}
	if trailer[0] != 0 || !zeros(trailer[2:4]) {
		return nil, bad("a block without codec", "codec %d, which needs a newer version", trailer[0])
	}
	if trailer[1] != kind {
		return nil, bad(fmt.Sprintf("a block of kind %d", kind), "kind %d", trailer[1])
	}
	return body, nil
}

// fileHeader is the first 64 bytes of a file.
//
//	 0 | magic "LEATKEYS" | 8 version u16 | 10 flags u16, 0 | 12 block bytes u32 |
//	16 | number u64       | 24 lineage, 16 bytes                               |
//	40 | encryption u16, 0 | 42 codec u16, 0 | 44 key id u32, 0 | 48 12 bytes, 0 | 60 CRC32C |
type fileHeader struct {
	number     uint64
	lineage    [16]byte
	blockBytes uint32
}

func (h *fileHeader) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, fileMagic...)
	dst = le.AppendUint16(dst, formatVersion)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint32(dst, h.blockBytes)
	dst = le.AppendUint64(dst, h.number)
	dst = append(dst, h.lineage[:]...)
	dst = append(dst, make([]byte, 20)...)
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func decodeHeader(raw []byte) (fileHeader, error) {
	var h fileHeader
	if err := checkFrame(raw, headerBytes, fileMagic); err != nil {
		return h, err
	}
	if !zeros(raw[10:12]) || !zeros(raw[40:60]) {
		return h, bad("zeros in the reserved bytes of the header", "something a newer version wrote")
	}
	h.blockBytes, h.number = le.Uint32(raw[12:]), le.Uint64(raw[16:])
	copy(h.lineage[:], raw[24:])
	return h, nil
}

func zeros(b []byte) bool { return !slices.ContainsFunc(b, func(b byte) bool { return b != 0 }) }

// checkFrame checks what header and footer have in common: size, magic, sum, version.
func checkFrame(raw []byte, size int, magic string) error {
	switch {
	case len(raw) != size:
		return bad(fmt.Sprintf("%d bytes", size), "%d", len(raw))
	case string(raw[:8]) != magic:
		return bad(strconv.Quote(magic), "%q", raw[:8])
	}
	if want, got := le.Uint32(raw[size-4:]), crc32.Checksum(raw[:size-4], castagnoli); want != got {
		return bad(fmt.Sprintf("CRC %08x", want), "%08x", got)
	}
	if v := le.Uint16(raw[8:]); v != formatVersion {
		return fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, v, formatVersion)
	}
	return nil
}

// fileFooter is the last 128 bytes of a file.
//
//	 0 | magic "LEATKEND" | 8 version u16 | 10 zeros, 6 bytes |
//	16 | number u64       | 24 directory offset u64 |
//	32 | directory bytes u32 | 36 sections u32 | 40 entries u64 |
//	48 | keys u64         | 56 least seq u64 | 64 greatest seq u64 |
//	72 | 52 bytes, 0      | 124 CRC32C |
type fileFooter struct {
	number         uint64
	directoryOff   int64
	directoryBytes uint32
	sections       uint32
	entries        uint64
	keys           uint64
	seqMin, seqMax uint64
}

func (f *fileFooter) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, footerMagic...)
	dst = le.AppendUint16(dst, formatVersion)
	dst = append(dst, make([]byte, 6)...)
	dst = le.AppendUint64(dst, f.number)
	dst = le.AppendUint64(dst, uint64(f.directoryOff))
	dst = le.AppendUint32(dst, f.directoryBytes)
	dst = le.AppendUint32(dst, f.sections)
	for _, v := range []uint64{f.entries, f.keys, f.seqMin, f.seqMax} {
		dst = le.AppendUint64(dst, v)
	}
	dst = append(dst, make([]byte, 52)...)
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func decodeFooter(raw []byte) (fileFooter, error) {
	if err := checkFrame(raw, footerBytes, footerMagic); err != nil {
		return fileFooter{}, err
	}
	if !zeros(raw[10:16]) || !zeros(raw[72:124]) {
		return fileFooter{}, bad("zeros in the reserved bytes of the footer", "something a newer version wrote")
	}
	return fileFooter{
		number: le.Uint64(raw[16:]), directoryOff: int64(le.Uint64(raw[24:])), directoryBytes: le.Uint32(raw[32:]), sections: le.Uint32(raw[36:]),
		entries: le.Uint64(raw[40:]), keys: le.Uint64(raw[48:]), seqMin: le.Uint64(raw[56:]), seqMax: le.Uint64(raw[64:]),
	}, nil
}
