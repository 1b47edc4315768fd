package keys

import (
	"bytes"
	"flag"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/memory"
)

// update writes the golden folder of the current format. It is for a new format only: one that was released never changes.
var update = flag.Bool("update", false, "write testdata/formats/"+current)

const current = "v1"

// mend gives bytes the sum that they should end in.
func mend(raw []byte) []byte {
	raw = bytes.Clone(raw)
	le.PutUint32(raw[len(raw)-4:], crc32.Checksum(raw[:len(raw)-4], castagnoli))
	return raw
}

// goldenFrames are what formats differ in: two streams, short and long keys, one key over several blocks, versions, tombstones, partitions.
func goldenFrames() []frame {
	var frames []frame
	for seq := uint64(1); seq <= 60; seq++ {
		f := frame{seq: seq * 3}
		for i := range uint32(8) {
			e := Entry{
				Stream: 1 + i%2, Key: fmt.Appendf(nil, "key-%03d", (uint32(seq)*7+i)%40), Seq: f.seq, Batch: i / 4, Record: i % 4, Partition: i % 3,
				Offset: seq*8 + uint64(i),
			}
			switch i {
			case 5:
				e.Key, e.Version = []byte("versioned"), seq
			case 6:
				e.Key = nil
			case 7:
				e.Key, e.Flags = bytes.Repeat([]byte("long"), 30), Tombstone
			}
			f.entries = append(f.entries, e)
		}
		frames = append(frames, f)
	}
	return frames
}

func writeGolden(t *testing.T) *memory.FS {
	t.Helper()
	fs := memory.New()
	x := mustOpen(t, fs, tiny(), Options{Foreground: true, Lineage: [16]byte{0xab, 1, 2, 3}})
	for i, f := range goldenFrames() {
		add(x, f)
		if i == 40 {
			must(t, x.Flush())
			settle(t, x)
		}
	}
	x.DropStream(9)
	must(t, x.Close())
	return fs
}

func TestFormats_EveryReleasedOneOpens(t *testing.T) {
	root := filepath.Join("testdata", "formats")
	if *update {
		fs := writeGolden(t)
		names, err := fs.List("/keys")
		must(t, err)
		dir := filepath.Join(root, current)
		must(t, os.RemoveAll(dir))
		must(t, os.MkdirAll(dir, 0o755))
		for _, name := range names {
			if name != lockName {
				must(t, os.WriteFile(filepath.Join(dir, name), read(t, fs, path.Join("/keys", name)), 0o644))
			}
		}
	}
	versions, err := os.ReadDir(root)
	if err != nil || len(versions) == 0 {
		t.Fatalf("no golden folders: %v", err)
	}
	for _, v := range versions {
		t.Run(v.Name(), func(t *testing.T) {
			mem := memory.New()
			must(t, mem.MkdirAll("/keys"))
			must(t, fs.WalkDir(os.DirFS(filepath.Join(root, v.Name())), ".", func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(filepath.Join(root, v.Name(), name))
				if err != nil {
					return err
				}
				h, err := mem.Open(path.Join("/keys", name), vfs.Create)
				if err != nil {
					return err
				}
				defer h.Close()
				_, err = h.WriteAt(b, 0)
				return err
			}))
			x := mustOpen(t, mem, tiny(), Options{Foreground: true})
			defer x.Close()
			checkGolden(t, x)
		})
	}
}

func checkGolden(t *testing.T, x *Index) {
	t.Helper()
	m := newModel()
	for _, f := range goldenFrames() {
		for _, e := range f.entries {
			k := string(appendFullKey(nil, e.Stream, e.Key))
			m.entries[k] = append(m.entries[k], e)
		}
	}
	if x.Durable() != 180 {
		t.Fatalf("durable %d, want 180", x.Durable())
	}
	for k, want := range m.entries {
		compare(t, "history", collect(t, x.History(fullKey(k).stream(), fullKey(k).key(), false, math.MaxUint64), math.MaxInt), want)
	}
	if damage, err := x.Verify(nil); err != nil || len(damage) > 0 {
		t.Fatal(damage, err)
	}
}

// What this program writes is the format whose golden folder is there, byte for byte.
func TestFormats_CurrentIsGolden(t *testing.T) {
	fs := writeGolden(t)
	names, err := os.ReadDir(filepath.Join("testdata", "formats", current))
	must(t, err)
	for _, d := range names {
		want, err := os.ReadFile(filepath.Join("testdata", "formats", current, d.Name()))
		must(t, err)
		if got := read(t, fs, path.Join("/keys", d.Name())); !bytes.Equal(got, want) {
			t.Errorf("%s differs from the golden one: a new format needs a number and a folder of its own (change current, run with -update)", d.Name())
		}
	}
}

// A format of the future is refused by name, not taken for damage.
func TestFormats_NewerIsRefused(t *testing.T) {
	_, _, _, header, footer, man := someBlocks(t)
	for what, raw := range map[string][]byte{"header": header, "footer": footer, "manifest": man} {
		raw[8] = 9
		var err error
		switch raw = mend(raw); what {
		case "header":
			_, err = decodeHeader(raw)
		case "footer":
			_, err = decodeFooter(raw)
		case "manifest":
			_, err = decodeManifest(raw)
		}
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte("version 9")) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
