package keys

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"leat/storage/vfs"
	"leat/storage/vfs/memory"
)

func tiny() Config {
	return Config{ChunkBytes: 4 << 10, ChunksMax: 2, CacheBytes: 64 << 10, BlockBytes: 256, FanIn: 3, FileBytesMax: 64 << 10, OpenFilesMax: 4}
}

func mustOpen(t testing.TB, fs vfs.FS, cfg Config, opt Options) *Index {
	t.Helper()
	x, err := Open(fs, "/keys", cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// model is what the index has to answer, kept as plainly as can be.
type model struct {
	entries map[string][]Entry // by stream and key, in position order
	frames  []frame
	seq     uint64
	dropped map[uint32]bool
	offsets map[[2]uint32]uint64
}

type frame struct {
	seq     uint64
	entries []Entry
	drop    uint32 // 0: none
}

func newModel() *model {
	return &model{entries: map[string][]Entry{}, dropped: map[uint32]bool{}, offsets: map[[2]uint32]uint64{}}
}

func modelKey(rng *rand.Rand) []byte {
	switch rng.IntN(10) {
	case 0:
		return nil
	case 1:
		return bytes.Repeat([]byte{0}, rng.IntN(12))
	case 2:
		return fmt.Appendf(nil, "long-%0*d", 40+rng.IntN(120), rng.IntN(20))
	case 3:
		return []byte("hot")
	}
	return fmt.Appendf(nil, "customer-%06d", rng.IntN(300))
}

// frame makes the next frame and adds it to the model.
func (m *model) frame(rng *rand.Rand) frame {
	m.seq += 1 + uint64(rng.IntN(3))
	f := frame{seq: m.seq}
	for batch := range uint32(rng.IntN(3)) {
		stream, partition := 1+uint32(rng.IntN(4)), uint32(rng.IntN(3))
		if m.dropped[stream] {
			continue
		}
		for record := range uint32(rng.IntN(12)) {
			if rng.IntN(8) == 0 {
				continue
			}
			at := [2]uint32{stream, partition}
			m.offsets[at] += 1 + uint64(rng.IntN(2))
			e := Entry{Stream: stream, Key: modelKey(rng), Seq: m.seq, Batch: batch, Record: record, Partition: partition, Offset: m.offsets[at]}
			k := string(appendFullKey(nil, stream, e.Key))
			if stream == 2 {
				e.Version = 1
				if before := m.entries[k]; len(before) > 0 {
					e.Version = before[len(before)-1].Version + 1 + uint64(rng.IntN(20)/19*1000)
				}
			}
			if rng.IntN(20) == 0 {
				e.Flags = Tombstone
			}
			m.entries[k] = append(m.entries[k], e)
			f.entries = append(f.entries, e)
		}
	}
	m.frames = append(m.frames, f)
	return f
}

func add(x *Index, f frame) {
	for i := range f.entries {
		x.Add(&f.entries[i])
	}
	if f.drop != 0 {
		x.DropStream(f.drop)
	}
	x.Through(f.seq)
}

// replay adds what the index does not have any more.
func (m *model) replay(x *Index) {
	for _, f := range m.frames {
		if f.seq > x.Durable() {
			add(x, f)
		}
	}
}

func (m *model) drop(x *Index, stream uint32) {
	m.dropped[stream] = true
	for k := range m.entries {
		if fullKey(k).stream() == stream {
			delete(m.entries, k)
		}
	}
	m.seq++
	f := frame{seq: m.seq, drop: stream}
	m.frames = append(m.frames, f)
	add(x, f)
}

func same(a, b *Entry) bool {
	return a.Stream == b.Stream && bytes.Equal(a.Key, b.Key) && a.Position() == b.Position() && a.Partition == b.Partition && a.Offset == b.Offset &&
		a.Version == b.Version && a.Flags == b.Flags
}

func collect(t testing.TB, it *Iter, most int) []Entry {
	t.Helper()
	defer it.Close()
	var all []Entry
	for len(all) < most && it.Next() {
		e := *it.Entry()
		e.Key = bytes.Clone(e.Key)
		all = append(all, e)
	}
	must(t, it.Err())
	return all
}

func compare(t testing.TB, what string, got, want []Entry) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b Entry) bool { return same(&a, &b) }) {
		t.Fatalf("%s: %d entries, want %d\n got %+v\nwant %+v", what, len(got), len(want), got, want)
	}
}

func upToOf(all []Entry, upTo uint64) []Entry {
	var out []Entry
	for _, e := range all {
		if e.Seq <= upTo {
			out = append(out, e)
		}
	}
	return out
}

// check compares every kind of answer for some keys and ranges.
func (m *model) check(t testing.TB, x *Index, rng *rand.Rand, keys int) {
	t.Helper()
	for range keys {
		stream, key := 1+uint32(rng.IntN(4)), modelKey(rng)
		upTo := uint64(math.MaxUint64)
		if rng.IntN(2) == 0 {
			upTo = uint64(rng.IntN(int(m.seq) + 2))
		}
		want := upToOf(m.entries[string(appendFullKey(nil, stream, key))], upTo)
		what := fmt.Sprintf("stream %d key %q up to %d", stream, key, upTo)
		compare(t, "history of "+what, collect(t, x.History(stream, key, false, upTo), math.MaxInt), want)
		back := slices.Clone(want)
		slices.Reverse(back)
		compare(t, "backward history of "+what, collect(t, x.History(stream, key, true, upTo), math.MaxInt), back)

		last, ok, err := x.Last(stream, key, upTo)
		must(t, err)
		if ok != (len(want) > 0) || ok && !same(&last, &want[len(want)-1]) {
			t.Fatalf("last of %s: %v %+v, want %+v", what, ok, last, want)
		}
		m.checkFrom(t, x, rng, stream, key, upTo, want)
	}
	m.checkRange(t, x, rng)
}

func (m *model) checkFrom(t testing.TB, x *Index, rng *rand.Rand, stream uint32, key []byte, upTo uint64, want []Entry) {
	t.Helper()
	from := Position{Seq: uint64(rng.IntN(int(m.seq) + 2)), Batch: uint32(rng.IntN(3)), Record: uint32(rng.IntN(12))}
	if len(want) > 0 && rng.IntN(2) == 0 {
		e := want[rng.IntN(len(want))]
		from = e.Position()
		got, ok, err := x.At(stream, key, from)
		must(t, err)
		if !ok || !same(&got, &e) {
			t.Fatalf("at %v of %q: %v %+v, want %+v", from, key, ok, got, e)
		}
		if got, ok, err = x.AtOffset(stream, key, e.Partition, e.Offset, e.Seq); err != nil || !ok || !same(&got, &e) {
			t.Fatalf("at offset %d of %q: %v %+v %v, want %+v", e.Offset, key, ok, got, err, e)
		}
	}
	var after, before []Entry
	for _, e := range want {
		if e.Position().Compare(from) >= 0 {
			after = append(after, e)
		}
		if e.Position().Compare(from) <= 0 {
			before = append(before, e)
		}
	}
	slices.Reverse(before)
	what := fmt.Sprintf("history of stream %d key %q from %v up to %d", stream, key, from, upTo)
	compare(t, what, collect(t, x.HistoryFrom(stream, key, from, false, upTo), math.MaxInt), after)
	compare(t, what+" backward", collect(t, x.HistoryFrom(stream, key, from, true, upTo), math.MaxInt), before)
}

func (m *model) checkRange(t testing.TB, x *Index, rng *rand.Rand) {
	t.Helper()
	stream, lo, hi := 1+uint32(rng.IntN(4)), modelKey(rng), modelKey(rng)
	if bytes.Compare(lo, hi) > 0 {
		lo, hi = hi, lo
	}
	if rng.IntN(4) == 0 {
		hi = nil
	}
	upTo := uint64(math.MaxUint64)
	if rng.IntN(2) == 0 {
		upTo = uint64(rng.IntN(int(m.seq) + 2))
	}
	var names []string
	for k := range m.entries {
		if s := fullKey(k); s.stream() == stream && bytes.Compare(s.key(), lo) >= 0 && (hi == nil || bytes.Compare(s.key(), hi) < 0) {
			names = append(names, k)
		}
	}
	sort.Strings(names)
	var all, newest, firsts []Entry
	for _, k := range names {
		of := upToOf(m.entries[k], upTo)
		if len(of) == 0 {
			continue
		}
		all, newest, firsts = append(all, of...), append(newest, of[len(of)-1]), append(firsts, of[0])
	}
	what := fmt.Sprintf("stream %d from %q to %q up to %d", stream, lo, hi, upTo)
	compare(t, "scan of "+what, collect(t, x.Scan(stream, lo, hi, upTo), math.MaxInt), all)
	compare(t, "newest in "+what, collect(t, x.LastIn(stream, lo, hi, upTo), math.MaxInt), newest)

	it := x.Scan(stream, lo, hi, upTo)
	defer it.Close()
	var got []Entry
	for it.Next() {
		e := *it.Entry()
		e.Key = bytes.Clone(e.Key)
		got = append(got, e)
		it.SkipKey()
	}
	must(t, it.Err())
	compare(t, "first of each in "+what, got, firsts)
}

func settle(t testing.TB, x *Index) {
	t.Helper()
	for {
		did, err := x.Maintain()
		must(t, err)
		if !did {
			return
		}
	}
}

// TestModel runs random adds, flushes, merges, drops, crashes and reopenings against the model.
func TestModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			fs := memory.New()
			m := newModel()
			opt := Options{Foreground: true}
			cfg := tiny()
			cfg.CacheBytes <<= 4 * (seed % 3) // little is known of keys, more, most
			x := mustOpen(t, fs, cfg, opt)
			for range 700 {
				switch n := rng.IntN(200); {
				case n < 150:
					add(x, m.frame(rng))
				case n < 170:
					_, err := x.Maintain()
					must(t, err)
				case n < 175:
					must(t, x.Flush())
				case n < 177:
					settle(t, x)
				case n < 178 && len(m.dropped) < 2 && rng.IntN(8) == 0:
					m.drop(x, 3+uint32(len(m.dropped)))
				case n < 179:
					fs = fs.CrashClone(rng, memory.Mode(rng.IntN(3)))
					x = mustOpen(t, fs, cfg, opt)
					m.replay(x)
				case n < 180:
					must(t, x.Close())
					x = mustOpen(t, fs, cfg, opt)
					m.replay(x)
				default:
					m.check(t, x, rng, 3)
				}
			}
			m.check(t, x, rng, 50)
			must(t, x.Flush())
			settle(t, x)
			m.check(t, x, rng, 50)
			damage, err := x.Verify(nil)
			if err != nil || len(damage) > 0 {
				t.Fatalf("verify: %v %v", damage, err)
			}
			must(t, x.Close())
			if err := x.Close(); !errors.Is(err, ErrClosed) {
				t.Fatalf("closed twice: %v", err)
			}
		})
	}
}
