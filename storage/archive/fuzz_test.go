package archive

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"leat/storage/journal"
)

// seeds adds the objects of the golden archives.
func seeds(f *testing.F, pattern string) {
	f.Helper()
	found, err := filepath.Glob(filepath.Join("testdata/formats/v*", pattern))
	if err != nil || len(found) == 0 {
		f.Fatalf("no golden objects %s: %v", pattern, err)
	}
	for _, name := range found {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

const goldenPacks = "shard-0/packs/*.pack"

// A pack that decodes has frames that can be walked or says where not, and its content is what the header says.
func FuzzPack(f *testing.F) {
	seeds(f, goldenPacks)
	u, err := newUnpacker()
	if err != nil {
		f.Fatal(err)
	}
	defer u.close()
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := u.decode(bytes.NewReader(raw), nil)
		if err != nil {
			return
		}
		if int64(len(p.content)) != p.head.content || p.foot.at+footerBytes != int64(len(raw)) {
			t.Fatalf("%d bytes of content, the header says %d", len(p.content), p.head.content)
		}
		_ = p.each(func(Frame) error { return nil })
	})
}

// What stands behind good CRCs may be anything all the same: a block that is no zstd, frames that are none.
func FuzzPackBehindCRCs(f *testing.F) {
	b := newBuilder(header{})
	if err := b.add(&Frame{Seq: 3, Epoch: 2, TimeMS: 99, Facts: []byte("facts")}, 4, func(_ int64, p []byte) error { copy(p, "data"); return nil }); err != nil {
		f.Fatal(err)
	}
	plain := bytes.Clone(b.chunks[0][:b.used])
	f.Add(plain, uint32(len(plain)), false)
	enc, err := newEncoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(enc.EncodeAll(bytes.Repeat(plain, 9), nil), uint32(9*len(plain)), true)
	u, err := newUnpacker()
	if err != nil {
		f.Fatal(err)
	}
	defer u.close()
	f.Fuzz(func(t *testing.T, stored []byte, content uint32, compressed bool) {
		h := header{first: 1, last: 1 << 40, lastMS: 1 << 60, frames: 1, content: int64(content)}
		const begin = headerBytes + blockHeadBytes
		raw := make([]byte, begin+len(stored)+footerBytes)
		h.encode(raw)
		head := blockHead{stored: uint32(len(stored)), content: content}
		if compressed {
			head.codec = codecZstd
		}
		head.encode(raw[headerBytes:], stored)
		copy(raw[begin:], stored)
		foot := footer{blocks: 1, at: int64(begin + len(stored))}
		if !compressed {
			foot.hash = Hash(sha256.Sum256(append(bytes.Clone(stored), raw[:headerBytes]...)))
		}
		foot.encode(raw[foot.at:])
		p, err := u.decode(bytes.NewReader(raw), nil)
		if err != nil {
			return
		}
		if compressed {
			t.Fatal("a hash of zeros fits")
		}
		_ = p.each(func(fr Frame) error {
			if fr.Seq == 0 {
				t.Fatal("frame 0")
			}
			return nil
		})
	})
}

func FuzzHeader(f *testing.F) {
	seeds(f, goldenPacks)
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := decodeHeader(raw)
		if err != nil {
			return
		}
		var again [headerBytes]byte
		if h.encode(again[:]); !bytes.Equal(again[:], raw[:headerBytes]) {
			t.Fatalf("encoded again:\n%x\nwas\n%x", again, raw[:headerBytes])
		}
	})
}

func FuzzFooter(f *testing.F) {
	f.Add((&pack{}).footerOf())
	f.Fuzz(func(t *testing.T, raw []byte) {
		ft, err := decodeFooter(raw)
		if err != nil {
			return
		}
		var again [footerBytes]byte
		if ft.encode(again[:]); !bytes.Equal(again[:], raw[:footerBytes]) {
			t.Fatalf("encoded again:\n%x\nwas\n%x", again, raw[:footerBytes])
		}
	})
}

func (p *pack) footerOf() []byte {
	var b [footerBytes]byte
	p.foot.encode(b[:])
	return b[:]
}

// Content is framed by what decodeFrame says; a frame that decodes encodes to the same bytes.
func FuzzFrame(f *testing.F) {
	b := newBuilder(header{})
	if err := b.add(&Frame{Seq: 3, Epoch: 2, TimeMS: 99, Facts: []byte("facts")}, 4, func(_ int64, p []byte) error { copy(p, "data"); return nil }); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(b.chunks[0][:b.used]))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fr, n, err := decodeFrame(raw)
		if err != nil {
			return
		}
		b := newBuilder(header{})
		if err := b.add(&fr, int64(len(fr.Data)), func(off int64, p []byte) error { copy(p, fr.Data[off:]); return nil }); err != nil {
			t.Fatal(err)
		}
		var again []byte
		for i, c := range b.chunks {
			if i == len(b.chunks)-1 {
				again = append(again, c[:b.used]...)
			} else {
				again = append(again, c[:]...)
			}
		}
		(&pack{chunks: b.chunks}).free()
		if !bytes.Equal(again, raw[:n]) {
			t.Fatalf("encoded again:\n%x\nwas\n%x", again, raw[:n])
		}
	})
}

func FuzzManifest(f *testing.F) {
	seeds(f, "shard-0/checkpoints/*/manifest")
	f.Add([]byte(manifestMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := decodeManifest(raw)
		if err != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(again); err != nil {
			t.Fatalf("encoded again it does not decode: %v\n%s", err, again)
		}
	})
}

func FuzzPackName(f *testing.F) {
	f.Add(packName(0, 0, 17))
	f.Fuzz(func(t *testing.T, name string) {
		prev, last, ok := parsePackName(0, name)
		if ok && (packName(0, prev, last) != name || CheckName(name) != nil) {
			t.Fatalf("%q is read as %d to %d, which is %q", name, prev, last, packName(0, prev, last))
		}
		if seq, ok := parseCheckpointName(0, name); ok && checkpointName(0, seq) != name {
			t.Fatalf("%q is read as %d", name, seq)
		}
	})
}

// A header that speaks of much content is not believed before the content is there.
func TestUnpack_TrustsNoLength(t *testing.T) {
	h := header{first: 1, last: journal.Seq(1 << 40), frames: 1 << 24, content: ContentBytesMax}
	raw := make([]byte, headerBytes+100)
	h.encode(raw)
	u, err := newUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	n := testing.AllocsPerRun(1, func() {
		p, err := u.decode(bytes.NewReader(raw), nil)
		if err == nil || p != nil {
			t.Error("decoded")
		}
	})
	if n > 50 {
		t.Errorf("%v allocations", n)
	}
}
