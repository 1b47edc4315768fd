package segment

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
)

// The manifest is text, one thing a line, so that it can be read in an emergency; the last line is a CRC32C of all before it. There is one way
// to write a manifest, and only that is read.
//
//	leat segments 1
//	lineage <32 hex>
//	through <seq>
//	next <file id>
//	file <id> <bytes> <level> <root, 64 hex> <pieces> <data bytes> <seq> <seq> <time> <time> <stream> <stream> <locations>
//	crc <8 hex>
//
// The line of a file that was compacted has <seq> <time> of that before the locations.
const (
	manifestName    = "manifest"
	manifestMagic   = "leat segments "
	manifestVersion = "1"

	// ManifestBytesMax is the largest manifest that is read, and so how many files there may be.
	ManifestBytesMax = 64 << 20
	fileFields       = 13
	compactedFields  = fileFields + 2
	locationLocal    = "local"
	locationsMax     = 8
)

type manifest struct {
	lineage [16]byte
	through uint64
	next    FileID // every file has a lesser id
	files   []File // by id
}

// File is a finished segment file, and what the manifest says of it.
type File struct {
	ID                      FileID
	Bytes                   int64 // of the file
	Level                   uint8 // 0: cut from the journal, 1: made of other segment files
	Root                    [32]byte
	Pieces                  int
	DataBytes               int64 // of runs
	SeqFirst, SeqLast       uint64
	TimeFirstMS, TimeLastMS int64
	StreamFirst, StreamLast uint32
	Compacted               uint64   // of what frames up to here superseded, nothing is in it; see Build.Compacted. 0: nobody has looked
	CompactedMS             int64    // when that was
	Locations               []string // where it lies; "local" is the folder
}

func (m *manifest) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\nlineage %x\nthrough %d\nnext %d\n", manifestMagic, manifestVersion, m.lineage, m.through, m.next)
	for i := range m.files {
		f := &m.files[i]
		fmt.Fprintf(&b, "file %d %d %d %x %d %d %d %d %d %d %d %d ", f.ID, f.Bytes, f.Level, f.Root, f.Pieces, f.DataBytes,
			f.SeqFirst, f.SeqLast, f.TimeFirstMS, f.TimeLastMS, f.StreamFirst, f.StreamLast)
		if f.Compacted > 0 {
			fmt.Fprintf(&b, "%d %d ", f.Compacted, f.CompactedMS)
		}
		fmt.Fprintf(&b, "%s\n", strings.Join(f.Locations, ","))
	}
	fmt.Fprintf(&b, "crc %08x\n", crc32.Checksum(b.Bytes(), castagnoli))
	return b.Bytes()
}

func decodeManifest(b []byte) (*manifest, error) {
	first, _, _ := strings.Cut(string(b[:min(len(b), 64)]), "\n")
	version, ok := strings.CutPrefix(first, manifestMagic)
	if !ok {
		return nil, bad(0, strconv.Quote(manifestMagic+manifestVersion), strconv.Quote(first))
	}
	const crcBytes = len("crc 00000000\n")
	if len(b) < crcBytes {
		return nil, bad(int64(len(b)), "a line with a CRC", "the end")
	}
	body, last := b[:len(b)-crcBytes], string(b[len(b)-crcBytes:])
	if want := fmt.Sprintf("crc %08x\n", crc32.Checksum(body, castagnoli)); last != want {
		return nil, bad(int64(len(body)), strconv.Quote(want), strconv.Quote(last))
	}
	if version != manifestVersion {
		return nil, fmt.Errorf("%w (segment manifest %s)", ErrNewer, version)
	}
	m, err := parseManifest(string(body))
	if err != nil {
		return nil, err
	}
	// One way to write it: what reads the same and is written otherwise was not written by Leat.
	if !bytes.Equal(m.encode(), b) {
		return nil, bad(0, "a manifest as Leat writes it", "another")
	}
	return m, nil
}

func parseManifest(body string) (*manifest, error) {
	m := &manifest{}
	at := 0
	for n, text := range strings.Split(strings.TrimSuffix(body, "\n"), "\n") {
		word, rest, _ := strings.Cut(text, " ")
		var err error
		switch {
		case n == 0: // the version
		case n == 1 && word == "lineage":
			err = unhex(m.lineage[:], rest)
		case n == 2 && word == "through":
			m.through, err = strconv.ParseUint(rest, 10, 64)
		case n == 3 && word == "next":
			var id uint64
			id, err = strconv.ParseUint(rest, 10, 64)
			m.next = FileID(id)
		case n > 3 && word == "file":
			var f File
			f, err = parseFile(rest)
			if err == nil && (f.ID >= m.next || len(m.files) > 0 && m.files[len(m.files)-1].ID >= f.ID) {
				err = errors.New("file ids must grow and stay below next")
			}
			m.files = append(m.files, f)
		default:
			err = errors.New("not expected here")
		}
		if err != nil {
			return nil, bad(int64(at), "a line of a manifest", fmt.Sprintf("%q: %v", text, err))
		}
		at += len(text) + 1
	}
	return m, nil
}

func parseFile(text string) (f File, err error) {
	fields := strings.Split(text, " ")
	if len(fields) != fileFields && len(fields) != compactedFields {
		return f, fmt.Errorf("%d fields instead of %d or %d", len(fields), fileFields, compactedFields)
	}
	number := func(i, bits int) uint64 {
		v, e := strconv.ParseUint(fields[i], 10, bits)
		err = errors.Join(err, e)
		return v
	}
	signed := func(i int) int64 {
		v, e := strconv.ParseInt(fields[i], 10, 64)
		err = errors.Join(err, e)
		return v
	}
	f = File{
		ID: FileID(number(0, 64)), Bytes: int64(number(1, 32)), Level: uint8(number(2, 8)), Pieces: int(number(4, 31)), DataBytes: int64(number(5, 32)),
		SeqFirst: number(6, 64), SeqLast: number(7, 64), TimeFirstMS: signed(8), TimeLastMS: signed(9),
		StreamFirst: uint32(number(10, 32)), StreamLast: uint32(number(11, 32)), Locations: strings.Split(fields[len(fields)-1], ","),
	}
	if len(fields) == compactedFields {
		f.Compacted, f.CompactedMS = number(12, 64), signed(13)
	}
	err = errors.Join(err, unhex(f.Root[:], fields[3]))
	if f.Bytes < headerBytes+footerBytes || f.ID == 0 {
		err = errors.Join(err, errors.New("no file is so small, or has number 0"))
	}
	if len(f.Locations) > locationsMax || slices.Contains(f.Locations, "") {
		err = errors.Join(err, errors.New("locations"))
	}
	return f, err
}

func unhex(into []byte, text string) error {
	b, err := hex.DecodeString(text)
	if err == nil && len(b) != len(into) {
		err = fmt.Errorf("%d bytes instead of %d", len(b), len(into))
	}
	copy(into, b)
	return err
}
