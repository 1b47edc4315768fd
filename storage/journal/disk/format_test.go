package disk

import (
	"errors"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leat/storage/journal"
)

var (
	someLink   = link{place: placeOf(3, 8192), hash: 0x1122334455667788, seq: 41, dataPlace: placeOf(3, 4096)}
	someHeader = fileHeader{
		number: 4, generation: 0xfeedface, lineage: lineage{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		epoch: 7, fileBytes: 64 << 20, filled: true, prev: someLink, prevEnd: 8320,
	}
	someFrame = frameHeader{
		kind: kindData, place: placeOf(4, 4096), generation: 0xfeedface, lineage: someHeader.lineage.short(), seq: 42, epoch: 7,
		prev: someLink, factsBytes: 100, dataBytes: 65_536, factsCRC: 1, dataCRC: 2,
	}
	someFooter = footer{number: 4, generation: 0xfeedface, end: 1 << 20, last: someLink, entries: []indexEntry{{41, 4096}, {50, 9000}}}
	unexported = cmp.AllowUnexported(fileHeader{}, frameHeader{}, footer{}, link{}, indexEntry{})
)

func encoded(size int, encode func([]byte)) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 0xaa // what encode does not set must not survive
	}
	encode(b)
	return b
}

// reseal gives mutated bytes a CRC that fits, so that the fuzzer gets behind it.
func reseal(b []byte, size int) []byte {
	if len(b) >= size {
		le.PutUint32(b[size-4:], crc32.Checksum(b[:size-4], castagnoli))
	}
	return b
}

func TestCodecs_RoundTrip(t *testing.T) {
	h, err := decodeFileHeader(encoded(headerPageBytes, someHeader.encode))
	if diff := cmp.Diff(someHeader, h, unexported); err != nil || diff != "" {
		t.Errorf("file header: %v %s", err, diff)
	}
	f, err := decodeFrameHeader(encoded(frameHeaderBytes, someFrame.encode))
	if diff := cmp.Diff(someFrame, f, unexported); err != nil || diff != "" {
		t.Errorf("frame header: %v %s", err, diff)
	}
	ft, err := decodeFooter(encoded(footerBytes, someFooter.encode))
	if diff := cmp.Diff(someFooter, ft, unexported); err != nil || diff != "" {
		t.Errorf("index: %v %s", err, diff)
	}
}

func TestCodecs_FindEveryFlippedBit(t *testing.T) {
	for _, c := range []struct {
		name   string
		bytes  []byte
		decode func([]byte) error
	}{
		{"file header", encoded(headerPageBytes, someHeader.encode), func(b []byte) error { _, err := decodeFileHeader(b); return err }},
		{"frame header", encoded(frameHeaderBytes, someFrame.encode), func(b []byte) error { _, err := decodeFrameHeader(b); return err }},
		{"index", encoded(footerBytes, someFooter.encode), func(b []byte) error { _, err := decodeFooter(b); return err }},
	} {
		for bit := 0; bit < len(c.bytes)*8; bit += 1 + bit/1024*6 { // all of the fields, some of the rest
			c.bytes[bit/8] ^= 1 << (bit % 8)
			var b *badBytes
			if err := c.decode(c.bytes); !errors.As(err, &b) {
				t.Fatalf("%s with bit %d flipped: %v", c.name, bit, err)
			}
			c.bytes[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestCodecs_RefuseNewerVersionsByName(t *testing.T) {
	h := encoded(headerPageBytes, someHeader.encode)
	h[8] = 2
	if _, err := decodeFileHeader(reseal(h, headerPageBytes)); !errors.Is(err, errNewer) {
		t.Errorf("file header of version 2: %v", err)
	}
	for _, at := range []int{4, 7, 96, 98, 120} {
		f := encoded(frameHeaderBytes, someFrame.encode)
		f[at] = 9
		if _, err := decodeFrameHeader(reseal(f, frameHeaderBytes)); !errors.Is(err, errNewer) {
			t.Errorf("frame header with byte %d set: %v", at, err)
		}
	}
}

func FuzzFileHeader(f *testing.F) {
	f.Add(encoded(headerPageBytes, someHeader.encode))
	f.Add([]byte(fileMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeFileHeader(reseal(b, headerPageBytes))
		if err != nil {
			return
		}
		again, err := decodeFileHeader(encoded(headerPageBytes, h.encode))
		if err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzFrameHeader(f *testing.F) {
	f.Add(encoded(frameHeaderBytes, someFrame.encode))
	f.Add([]byte("LFRM"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeFrameHeader(reseal(b, frameHeaderBytes))
		if err != nil {
			return
		}
		if h.size() < frameHeaderBytes || h.size()%frameAlign != 0 || h.size() > frameHeaderBytes+2*payloadPartMax+frameAlign {
			t.Fatalf("a frame of %d bytes", h.size())
		}
		again, err := decodeFrameHeader(encoded(frameHeaderBytes, h.encode))
		if err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzFooter(f *testing.F) {
	f.Add(encoded(footerBytes, someFooter.encode))
	f.Add([]byte(footerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		ft, err := decodeFooter(reseal(b, footerBytes))
		if err != nil {
			return
		}
		again, err := decodeFooter(encoded(footerBytes, ft.encode))
		if diff := cmp.Diff(ft, again, unexported); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}

func TestConfig_BothEnds(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		set  func(*Config)
		ok   bool
	}{
		{"file_bytes least", func(c *Config) { c.FileBytes, c.FrameBytesMax = FileBytesMin, FrameBytesMaxMin }, true},
		{"file_bytes too small", func(c *Config) { c.FileBytes, c.FrameBytesMax = FileBytesMin-pageBytes, FrameBytesMaxMin }, false},
		{"file_bytes most", func(c *Config) { c.FileBytes = FileBytesMax }, true},
		{"file_bytes too large", func(c *Config) { c.FileBytes = FileBytesMax + pageBytes }, false},
		{"file_bytes not pages", func(c *Config) { c.FileBytes++ }, false},
		{"ring_bytes negative", func(c *Config) { c.RingBytes = -1 }, false},
		{"ring_bytes most", func(c *Config) { c.RingBytes = RingBytesMax }, true},
		{"ring_bytes too large", func(c *Config) { c.RingBytes = RingBytesMax + 1 }, false},
		{"frame_bytes_max too small", func(c *Config) { c.FrameBytesMax = FrameBytesMaxMin - 1 }, false},
		{"frame_bytes_max does not fit", func(c *Config) { c.FrameBytesMax = c.FileBytes }, false},
		{"frame_bytes_max most", func(c *Config) { c.FrameBytesMax, c.FileBytes = FrameBytesMaxMax, FileBytesMax }, true},
		{"idle_seal negative", func(c *Config) { c.IdleSeal = -1 }, false},
		{"idle_seal too long", func(c *Config) { c.IdleSeal = IdleSealMax + 1 }, false},
		{"open_files_max too few", func(c *Config) { c.OpenFilesMax = OpenFilesMin - 1 }, false},
		{"open_files_max too many", func(c *Config) { c.OpenFilesMax = OpenFilesMost + 1 }, false},
	} {
		cfg := Default()
		c.set(&cfg)
		if err := cfg.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPlace_IsFileAndOffset(t *testing.T) {
	p := placeOf(1<<32-1, 1<<32-8)
	if n, off := split(p); n != 1<<32-1 || off != 1<<32-8 {
		t.Fatalf("%d became file %d byte %d", p, n, off)
	}
	if placeOf(1, 1<<32-8) >= placeOf(2, 4096) || placeOf(1, 0) == journal.Place(0) {
		t.Fatal("places do not grow with files")
	}
}
