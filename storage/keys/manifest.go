package keys

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"

	"leat/storage/vfs"
)

// The manifest says which files count. It is replaced whole.
//
//	 0 | magic "LEATKMAN" | 8 version u16 | 10 flags u16, 0 | 12 files u32 |
//	16 | lineage, 16 bytes | 32 durable seq u64 | 40 next number u64 |
//	48 | dropped streams u32 | 52 encryption u16, 0 | 54 codec u16, 0 | 56 8 bytes, 0 |
//	64 | file | file | ... | dropped stream u32, number u64 | ... | CRC32C |
//
// A file:
//
//	 0 | number u64 | 8 tier u8 | 9 flags u8: 1 last is cut | 10 first bytes u16 | 12 last bytes u16 | 14 zeros u16 |
//	16 | bytes u64 | 24 entries u64 | 32 keys u64 | 40 least seq u64 | 48 greatest seq u64 | 56 first | last |
//
// A dropped stream has no entries in files whose number is at or above the one beside it.
const (
	manifestMagic     = "LEATKMAN"
	manifestHeadBytes = 64
	manifestFileBytes = 56
	manifestDropBytes = 12
	manifestBytesMax  = 256 << 20
	manifestFlagCut   = 1
	manifestFilesMax  = 1 << 20
)

// drop is a stream whose entries are gone, and the number from which on files have none of them.
type drop struct {
	stream uint32
	below  uint64
	seq    uint64 // frames before it may hold entries of the stream; in memory only
}

type manifest struct {
	lineage [16]byte
	durable uint64
	next    uint64
	files   []fileMeta
	drops   []drop // by stream
}

func (m *manifest) encode() []byte {
	b := append([]byte{}, manifestMagic...)
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(len(m.files)))
	b = append(b, m.lineage[:]...)
	b = le.AppendUint64(b, m.durable)
	b = le.AppendUint64(b, m.next)
	b = le.AppendUint32(b, uint32(len(m.drops)))
	b = append(b, make([]byte, 12)...)
	for i := range m.files {
		f := &m.files[i]
		flags := byte(0)
		if f.lastCut {
			flags = manifestFlagCut
		}
		b = le.AppendUint64(b, f.number)
		b = append(b, f.tier, flags)
		b = le.AppendUint16(b, uint16(len(f.first)))
		b = le.AppendUint16(b, uint16(len(f.last)))
		b = le.AppendUint16(b, 0)
		for _, v := range []uint64{uint64(f.bytes), f.entries, f.keys, f.seqMin, f.seqMax} {
			b = le.AppendUint64(b, v)
		}
		b = append(append(b, f.first...), f.last...)
	}
	for _, d := range m.drops {
		b = le.AppendUint64(le.AppendUint32(b, d.stream), d.below)
	}
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeManifest(raw []byte) (*manifest, error) {
	if len(raw) < manifestHeadBytes+4 || string(raw[:8]) != manifestMagic {
		return nil, bad(strconv.Quote(manifestMagic), "%d bytes of something else", len(raw))
	}
	if want, got := le.Uint32(raw[len(raw)-4:]), crc32.Checksum(raw[:len(raw)-4], castagnoli); want != got {
		return nil, bad(fmt.Sprintf("CRC %08x", want), "%08x", got)
	}
	if v := le.Uint16(raw[8:]); v != formatVersion {
		return nil, fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, v, formatVersion)
	}
	if le.Uint16(raw[10:]) != 0 || !zeros(raw[52:64]) {
		return nil, bad("zeros in the reserved bytes", "something a newer version wrote")
	}
	m := &manifest{durable: le.Uint64(raw[32:]), next: le.Uint64(raw[40:])}
	copy(m.lineage[:], raw[16:])
	files, drops := int(le.Uint32(raw[12:])), int(le.Uint32(raw[48:]))
	b := raw[manifestHeadBytes : len(raw)-4]
	if files > len(b)/manifestFileBytes || drops > len(b)/manifestDropBytes {
		return nil, bad("files and dropped streams", "%d and %d in %d bytes", files, drops, len(b))
	}
	for range files {
		f, rest, err := decodeManifestFile(b)
		if err != nil {
			return nil, err
		}
		if f.number >= m.next {
			return nil, bad("a file numbered below the next", "%d, next is %d", f.number, m.next)
		}
		m.files, b = append(m.files, f), rest
	}
	if len(b) != drops*manifestDropBytes {
		return nil, bad("the end of the manifest", "%d more bytes", len(b)-drops*manifestDropBytes)
	}
	for ; len(b) > 0; b = b[manifestDropBytes:] {
		m.drops = append(m.drops, drop{stream: le.Uint32(b), below: le.Uint64(b[4:])})
	}
	return m, nil
}

func decodeManifestFile(b []byte) (fileMeta, []byte, error) {
	if len(b) < manifestFileBytes {
		return fileMeta{}, nil, bad("a file in the manifest", "%d bytes", len(b))
	}
	first, last := int(le.Uint16(b[10:])), int(le.Uint16(b[12:]))
	f := fileMeta{
		number: le.Uint64(b), tier: b[8], lastCut: b[9]&manifestFlagCut != 0, bytes: int64(le.Uint64(b[16:])),
		entries: le.Uint64(b[24:]), keys: le.Uint64(b[32:]), seqMin: le.Uint64(b[40:]), seqMax: le.Uint64(b[48:]),
	}
	rest := b[manifestFileBytes:]
	if first < streamBytes || last < streamBytes || first+last > len(rest) || b[9]&^manifestFlagCut != 0 || f.bytes < 0 || f.bytes > math.MaxInt64/2 {
		return fileMeta{}, nil, bad("a file in the manifest", "one with fields that cannot be")
	}
	f.first, f.last = slices.Clone(rest[:first]), slices.Clone(rest[first:first+last])
	return f, rest[first+last:], nil
}

// readManifest returns nil when there is none.
func readManifest(fsys vfs.FS, dir string) (*manifest, error) {
	h, err := fsys.Open(path.Join(dir, manifestName), vfs.Read)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keys: open: %w", err)
	}
	size, err := h.Size()
	if err == nil && size > manifestBytesMax {
		err = &CorruptError{File: manifestName, Expected: fmt.Sprintf("at most %d bytes", manifestBytesMax), Found: strconv.FormatInt(size, 10)}
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	raw := make([]byte, size)
	n, err := h.ReadAt(raw, 0)
	if n == len(raw) || errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, h.Close()); err != nil {
		return nil, fmt.Errorf("keys: read manifest: %w", err)
	}
	m, err := decodeManifest(raw[:n])
	if err != nil {
		return nil, fmt.Errorf("keys: open: %w", corrupt(manifestName, 0, err))
	}
	return m, nil
}
