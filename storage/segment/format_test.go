package segment

import (
	"bytes"
	"errors"
	"flag"
	"hash/crc32"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leat/storage/vfs"
	"leat/storage/vfs/memory"
	osfs "leat/storage/vfs/os"
)

var (
	someHeader = header{id: 7, lineage: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}
	someFooter = footer{id: 7, level: 1, linesAt: 4000, lines: 3, pieces: 2, blocks: 5, dirCRC: 9, dataBytes: 3000, root: [32]byte{5, 6}}
	someLine   = line{base: 10, seq: 4, timeMS: -5, maxTimeMS: 8, batch: 2, runs: 3, dataAt: 128, indexAt: 128 + 60, bytes: 0, crc: 0, block: 1}
	someEntry  = entry{
		stream: 1, partition: 2, base: 10, next: 40, seqFirst: 4, seqLast: 9, timeFirst: -5, timeLast: 70, maxFirst: 8, maxLast: 71, bytes: 60,
		dataAt: 128, line: 0, lines: 1, runs: 3, block: 1, batch: 2,
	}
	someFile = File{
		ID: 7, Bytes: 4096, Level: 1, Root: [32]byte{1, 2, 3}, Pieces: 2, DataBytes: 3000, SeqFirst: 4, SeqLast: 9, TimeFirstMS: -5, TimeLastMS: 70,
		StreamFirst: 1, StreamLast: 3, Locations: []string{"local", "archive"},
	}
	someManifest = manifest{lineage: someHeader.lineage, through: 99, next: 8, files: []File{someFile}}
	unexported   = cmp.AllowUnexported(header{}, footer{}, line{}, entry{}, manifest{}, indexBlock{}, indexRun{}, blockRef{})
)

// someIndex is an index block of two blocks, and its line.
func someIndex() ([]byte, line) {
	runs := []indexRun{
		{base: 10, next: 11, seq: 4, batch: 2, timeMS: -5, maxTimeMS: 8, origin: 3, route: 1, bytes: 20, crc: 77},
		{base: 15, next: 30, seq: 4, batch: 3, timeMS: -5, maxTimeMS: 8, origin: 3, route: 1, bytes: 20, crc: 78},
		{base: 30, next: 40, seq: 9, batch: 0, timeMS: 70, maxTimeMS: 71, origin: 0, route: 0, bytes: 20, crc: 79},
	}
	b := []byte{2, 0, 0, 0}
	first := appendRun(appendRun(nil, &runs[0], &indexRun{}), &runs[1], &runs[0])
	b = appendGroup(b, 2, [chainBytes]byte{1}, first)
	b = appendGroup(b, 1, [chainBytes]byte{2}, appendRun(nil, &runs[2], &indexRun{}))
	l := someLine
	l.bytes, l.crc = uint32(len(b)), crc32.Checksum(b, castagnoli)
	return b, l
}

// reindex encodes what was decoded.
func reindex(x *indexBlock) []byte {
	b := []byte{byte(len(x.blocks)), byte(len(x.blocks) >> 8), 0, 0}
	for _, g := range x.blocks {
		var group []byte
		var p indexRun
		for i := g.first; i < g.end; i++ {
			group = appendRun(group, &x.runs[i], &p)
			p = x.runs[i]
		}
		b = appendGroup(b, g.end-g.first, g.chain, group)
	}
	return b
}

func TestFormat_WhatIsEncodedIsDecoded(t *testing.T) {
	h, err := decodeHeader(someHeader.encode())
	if err != nil || h != someHeader {
		t.Errorf("header %+v, %v", h, err)
	}
	f, err := decodeFooter(someFooter.encode())
	if err != nil || f != someFooter {
		t.Errorf("footer %+v, %v", f, err)
	}
	index, l := someIndex()
	if got, err := decodeLine(l.append(nil, 7, 9, 3), 7, 9, 3); err != nil || got != l {
		t.Errorf("line %+v, %v", got, err)
	}
	if _, err := decodeLine(l.append(nil, 7, 9, 3), 7, 9, 4); err == nil {
		t.Error("a line is taken for another")
	}
	e, err := decodeEntry(someEntry.append(nil))
	if err != nil || e != someEntry {
		t.Errorf("entry %+v, %v", e, err)
	}
	x, err := decodeIndex(index, &l)
	if err != nil || len(x.runs) != 3 || len(x.blocks) != 2 || !bytes.Equal(reindex(x), index) {
		t.Errorf("index %+v, %v", x, err)
	}
	m, err := decodeManifest(someManifest.encode())
	if err != nil || !cmp.Equal(*m, someManifest, unexported) {
		t.Errorf("manifest %+v, %v", m, err)
	}
	if n := len(index); n > 110 {
		t.Errorf("three runs in two blocks take %d bytes", n)
	}
}

// TestFormat_NewerIsRefused changes each reserved or version byte under a good CRC.
func TestFormat_NewerIsRefused(t *testing.T) {
	for _, at := range []int{8, 10, 12, 40, 48, 50, 52, 60, 123} {
		b := someHeader.encode()
		b[at]++
		if _, err := decodeHeader(sealed(b)); !errors.Is(err, ErrNewer) {
			t.Errorf("header byte %d: %v", at, err)
		}
	}
	for _, at := range []int{8, 11, 12, 44, 88, 123} {
		b := someFooter.encode()
		b[at]++
		if _, err := decodeFooter(sealed(b)); !errors.Is(err, ErrNewer) {
			t.Errorf("footer byte %d: %v", at, err)
		}
	}
	b := someEntry.append(nil)
	b[104]++
	if _, err := decodeEntry(sealed(b)); !errors.Is(err, ErrNewer) {
		t.Errorf("entry: %v", err)
	}
	m := bytes.Replace(someManifest.encode(), []byte("segments 1"), []byte("segments 2"), 1)
	m = m[:len(m)-len("crc 00000000\n")]
	if _, err := decodeManifest(append(m, crcLine(m)...)); !errors.Is(err, ErrNewer) {
		t.Errorf("manifest: %v", err)
	}
}

func crcLine(b []byte) []byte {
	full := (&manifest{}).encode()
	line := bytes.Clone(full[len(full)-len("crc 00000000\n"):])
	const digits = "0123456789abcdef"
	sum := crc32.Checksum(b, castagnoli)
	for i := range 8 {
		line[4+i] = digits[sum>>(28-4*i)&15]
	}
	return line
}

func fuzzSealed(f *testing.F, seed []byte, decode func([]byte) ([]byte, error)) {
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= len(seed) {
			b = sealed(b[:len(seed)]) // so that the fuzzer gets behind the CRC
		}
		again, err := decode(b)
		if err == nil && !bytes.Equal(again, b) {
			t.Fatalf("decoded %x and encoded %x", b, again)
		}
	})
}

func FuzzHeader(f *testing.F) {
	fuzzSealed(f, someHeader.encode(), func(b []byte) ([]byte, error) { h, err := decodeHeader(b); return h.encode(), err })
}

func FuzzFooter(f *testing.F) {
	fuzzSealed(f, someFooter.encode(), func(b []byte) ([]byte, error) { x, err := decodeFooter(b); return x.encode(), err })
}

func FuzzEntry(f *testing.F) {
	fuzzSealed(f, someEntry.append(nil), func(b []byte) ([]byte, error) { e, err := decodeEntry(b); return e.append(nil), err })
}

func FuzzLine(f *testing.F) {
	_, l := someIndex()
	f.Add(l.append(nil, 7, 9, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= lineBytes {
			b = b[:lineBytes]
			le.PutUint32(b[lineBytes-4:], lineSum(b[:lineBytes-4], 7, 9, 3))
		}
		l, err := decodeLine(b, 7, 9, 3)
		if err == nil && !bytes.Equal(l.append(nil, 7, 9, 3), b) {
			t.Fatalf("decoded %x and encoded otherwise", b)
		}
	})
}

func FuzzDirectory(f *testing.F) {
	second := someEntry
	second.partition, second.dataAt, second.line = 3, 400, 1
	f.Add(second.append(someEntry.append(nil)), uint32(2))
	f.Fuzz(func(t *testing.T, b []byte, lines uint32) {
		for at := entryBytes; at <= len(b); at += entryBytes {
			sealed(b[at-entryBytes : at])
		}
		foot := footer{linesAt: 4000, lines: lines, pieces: uint32(len(b) / entryBytes), dirCRC: crc32.Checksum(b, castagnoli)}
		entries, err := decodeDirectory(b, &foot)
		if err != nil {
			return
		}
		var again []byte
		for i := range entries {
			again = entries[i].append(again)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("decoded %x and encoded %x", b, again)
		}
	})
}

// FuzzIndexBlock decodes anything; what is taken must be in order, and encode to what decodes the same.
func FuzzIndexBlock(f *testing.F) {
	index, l := someIndex()
	f.Add(index, l.runs, l.base, l.indexAt)
	f.Fuzz(func(t *testing.T, b []byte, runs uint32, base uint64, indexAt uint32) {
		l := l
		l.runs, l.base, l.indexAt = runs, base, indexAt
		x, err := decodeIndex(b, &l)
		if err != nil {
			return
		}
		for i := 1; i < len(x.runs); i++ {
			a, z := x.runs[i-1].run(5), x.runs[i].run(5)
			if err := z.follows(&a); err != nil {
				t.Fatal(err)
			}
		}
		again, err := decodeIndex(reindex(x), &l)
		if err != nil || !cmp.Equal(again, x, unexported) {
			t.Fatalf("decoded, encoded and decoded again: %v\n%s", err, cmp.Diff(x, again, unexported))
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add(someManifest.encode())
	f.Add((&manifest{next: 1}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(b) - len("crc 00000000\n"); n > 0 {
			b = append(bytes.Clone(b[:n]), crcLine(b[:n])...)
		}
		m, err := decodeManifest(b)
		if err == nil && !bytes.Equal(m.encode(), b) {
			t.Fatalf("decoded %q and encoded %q", b, m.encode())
		}
	})
}

var update = flag.Bool("update", false, "write the golden folder of the present format anew")

const golden = "testdata/formats/v1"

// goldenStore fills a store with what the golden folder holds: windows, a merge, a file of one partition.
func goldenStore(t *testing.T, fsys vfs.FS, dir string) *model {
	t.Helper()
	s, err := Open(fsys, dir, small(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	m := goldenModel(func(m *model) {
		m.add(t, s, 12, 5, 300)
		for _, set := range s.MergeCandidates() {
			mergeSet(t, s, set, all)
		}
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

func goldenModel(step func(*model)) *model {
	m := newModel(77)
	for range 5 {
		step(m)
	}
	return m
}

// TestFormat_GoldenFolderOpens opens files that an earlier program wrote. The model is made again from its seed.
func TestFormat_GoldenFolderOpens(t *testing.T) {
	m := goldenModel(func(m *model) { m.window(12, 5, 300) })
	if *update {
		real := osfs.New()
		old, _ := real.List(golden)
		for _, n := range old {
			if err := real.Remove(path.Join(golden, n)); err != nil {
				t.Fatal(err)
			}
		}
		goldenStore(t, real, golden)
		_ = real.Remove(path.Join(golden, "LOCK"))
	}
	fsys := memory.New() // an open writes to the folder
	if err := fsys.MkdirAll("/s"); err != nil {
		t.Fatal(err)
	}
	real := &Store{fs: osfs.New()}
	list, err := real.fs.List(golden)
	if err != nil || len(list) < 5 {
		t.Fatalf("%s: %v, %v", golden, list, err)
	}
	for _, n := range list {
		b, err := real.readWhole(path.Join(golden, n), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Open("/s/"+n, vfs.Create)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	s := open(t, fsys, small())
	if s.lineage != quiet.Lineage || s.Through() != m.seq {
		t.Fatalf("lineage %x, through %d", s.lineage, s.Through())
	}
	if err := m.check(s); err != nil {
		t.Fatal(err)
	}
	verified(t, s)
	levels := map[uint8]bool{}
	for _, f := range s.Files() {
		levels[f.Level] = true
	}
	if !levels[levelJournal] || !levels[levelMerged] {
		t.Fatalf("levels %v", levels)
	}
	// What the present program writes of the same is the same, byte for byte.
	again := memory.New()
	goldenStore(t, again, "/s")
	for _, n := range list {
		if !bytes.Equal(whole(t, again, n), whole(t, fsys, n)) {
			t.Errorf("%s is written otherwise now: a change of the format needs a new version and a new golden folder", n)
		}
	}
}

func TestConfig_Bounds(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config, int64){
		"shared_bytes_max": func(c *Config, by int64) { c.SharedBytesMax = edge(by, SharedBytesMaxMin, SharedBytesMaxMax) },
		"own_bytes_min":    func(c *Config, by int64) { c.OwnBytesMin = edge(by, OwnBytesMinMin, OwnBytesMinMax) },
		"block_bytes":      func(c *Config, by int64) { c.BlockBytes = int(edge(by, BlockBytesMin, BlockBytesMax)) },
		"cache_bytes":      func(c *Config, by int64) { c.CacheBytes = edge(by, CacheBytesMin, CacheBytesMax) },
		"open_files_max":   func(c *Config, by int64) { c.OpenFilesMax = int(edge(by, OpenFilesMaxMin, OpenFilesMaxMax)) },
		"merge_files":      func(c *Config, by int64) { c.MergeFiles = int(edge(by, MergeFilesMin, MergeFilesMax)) },
	} {
		for _, by := range []int64{-2, -1, 1, 2} { // at the least, below it, at the most, above it
			c := Default()
			change(&c, by)
			if err := c.Validate(); (err != nil) != (by == -1 || by == 2) {
				t.Errorf("%s %d: %v", name, by, err)
			}
		}
	}
}

// edge is the least or most value, or one outside: -2 the least, -1 below it, 1 the most, 2 above it.
func edge(by, least, most int64) int64 {
	switch by {
	case -2:
		return least
	case -1:
		return least - 1
	case 1:
		return most
	}
	return most + 1
}
