package keys

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/memory"
)

// settled is an index with one merged file and one of a chunk, closed.
func settled(t *testing.T) (*memory.FS, *model) {
	t.Helper()
	fs, m := memory.New(), newModel()
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	rng := rand.New(rand.NewPCG(8, 8))
	for range 4 {
		for range 12 {
			add(x, m.frame(rng))
		}
		must(t, x.Flush())
		settle(t, x)
	}
	must(t, x.Close())
	return fs, m
}

func read(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	h, err := fs.Open(name, vfs.Read)
	must(t, err)
	defer h.Close()
	size, err := h.Size()
	must(t, err)
	b := make([]byte, size)
	if _, err := h.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b
}

func flip(t *testing.T, fs vfs.FS, name string, at int64, bit byte) {
	t.Helper()
	h, err := fs.Open(name, vfs.Write)
	must(t, err)
	defer h.Close()
	var b [1]byte
	if _, err := h.ReadAt(b[:], at); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	b[0] ^= bit
	_, err = h.WriteAt(b[:], at)
	must(t, err)
}

// TestDamage_EveryByte flips a bit in every few bytes of every file: Open refuses, or Verify names it and no reader gets anything wrong.
func TestDamage_EveryByte(t *testing.T) {
	fs, m := settled(t)
	names, err := fs.List("/keys")
	must(t, err)
	rng := rand.New(rand.NewPCG(9, 9))
	refused, named := 0, 0
	for _, name := range names {
		if name == lockName {
			continue
		}
		full := path.Join("/keys", name)
		size := int64(len(read(t, fs, full)))
		for at := rng.Int64N(17); at < size; at += 1 + rng.Int64N(max(2, size/60)) {
			bit := byte(1) << rng.IntN(8)
			broken := fs.CrashClone(rng, memory.KeepAll)
			flip(t, broken, full, at, bit)
			var c *CorruptError
			x, err := Open(broken, "/keys", tiny(), Options{Foreground: true, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				if !errors.As(err, &c) && !errors.Is(err, ErrVersion) {
					t.Fatalf("%s, byte %d: %v", name, at, err)
				}
				refused++
				continue
			}
			damage, err := x.Verify(nil)
			must(t, err)
			if padding(t, x, name, at) {
				if len(damage) != 0 {
					t.Fatalf("%s, byte %d is padding: %v", name, at, damage)
				}
			} else if len(damage) == 0 || damage[0].File != name || damage[0].Offset > at {
				t.Fatalf("%s, byte %d: %v", name, at, damage)
			}
			named++
			neverWrong(t, x, m)
			must(t, x.Close())
		}
	}
	if refused < 20 || named < 100 {
		t.Fatalf("%d refused, %d named: too few to say anything", refused, named)
	}
}

// padding says whether a byte stands between an index block and its filter: the one place that no sum covers, and nobody reads.
func padding(t *testing.T, x *Index, name string, at int64) bool {
	t.Helper()
	v := x.acquire()
	defer v.release()
	for _, f := range v.files {
		for i := range f.sections {
			if s := &f.sections[i]; f.name == name && at >= s.off+int64(s.bytes) && at < s.filterOff() {
				return true
			}
		}
	}
	return false
}

// neverWrong reads every key: what comes is what was written, or a fault that names a block.
func neverWrong(t *testing.T, x *Index, m *model) {
	t.Helper()
	var c *CorruptError
	for k, want := range m.entries {
		it := x.History(fullKey(k).stream(), fullKey(k).key(), false, math.MaxUint64)
		n := 0
		for it.Next() {
			if n >= len(want) || !same(it.Entry(), &want[n]) {
				t.Fatalf("%q: entry %d is %+v", k, n, it.Entry())
			}
			n++
		}
		if err := it.Err(); err != nil && !errors.As(err, &c) {
			t.Fatal(err)
		} else if err == nil && n != len(want) {
			t.Fatalf("%q: %d entries without a fault, want %d", k, n, len(want))
		}
		it.Close()
	}
}

// TestDamage_OtherBlocksStayReadable: one bad block takes its own keys, not the file's.
func TestDamage_OtherBlocksStayReadable(t *testing.T) {
	fs, m := settled(t)
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	v := x.acquire()
	f := v.files[len(v.files)-1]
	index, err := f.index(0, nil)
	must(t, err)
	flip(t, fs, path.Join("/keys", f.name), index[1].off+30, 4)
	v.release()
	good, faults := 0, 0
	for k := range m.entries {
		it := x.History(fullKey(k).stream(), fullKey(k).key(), false, math.MaxUint64)
		for it.Next() {
		}
		var c *CorruptError
		switch err := it.Err(); {
		case err == nil:
			good++
		case errors.As(err, &c) && c.Offset == index[1].off:
			faults++
		default:
			t.Fatal(err)
		}
		it.Close()
	}
	if faults == 0 || faults > 60 || good < 100 {
		t.Fatalf("%d keys read, %d not", good, faults)
	}
	must(t, x.Close())
}

// TestDamage_SwappedBlocks puts a whole valid block in another's place: its sum says where it belongs.
func TestDamage_SwappedBlocks(t *testing.T) {
	fs, _ := settled(t)
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	defer x.Close()
	v := x.acquire()
	defer v.release()
	f := v.files[len(v.files)-1]
	index, err := f.index(0, nil)
	must(t, err)
	raw := make([]byte, index[0].bytes)
	must(t, f.readAt(raw, index[0].off))
	if _, err := openBlock(raw, kindData, f.meta.number, index[0].off); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"another place": second(openBlock(raw, kindData, f.meta.number, index[1].off)),
		"another file":  second(openBlock(raw, kindData, f.meta.number+1, index[0].off)),
		"another kind":  second(openBlock(raw, kindIndex, f.meta.number, index[0].off)),
	} {
		if err == nil {
			t.Errorf("a block in %s passes", what)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestOpen_RefusesWhatIsMissing: a file or the manifest that is not there is damage, not an empty index.
func TestOpen_RefusesWhatIsMissing(t *testing.T) {
	fs, _ := settled(t)
	names, err := fs.List("/keys")
	must(t, err)
	for _, name := range names {
		if name == lockName {
			continue
		}
		broken := fs.CrashClone(rand.New(rand.NewPCG(1, 1)), memory.KeepAll)
		must(t, broken.Remove(path.Join("/keys", name)))
		if x, err := Open(broken, "/keys", tiny(), Options{Foreground: true}); err == nil {
			t.Errorf("opens without %s: %+v", name, x.Metrics())
		}
	}
	if _, err := Open(fs, "/keys", tiny(), Options{Foreground: true, Lineage: [16]byte{1}}); !errors.Is(err, ErrLineage) {
		t.Errorf("another lineage: %v", err)
	}
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	if _, err := Open(fs, "/keys", tiny(), Options{Foreground: true}); err == nil || !strings.Contains(err.Error(), "lock") {
		t.Errorf("opened twice: %v", err)
	}
	must(t, x.Close())
}
