package keys

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"leat/storage/vfs/memory"
)

// pastKit has three files of keys a and b and of others between them, and a key of which there is more than a block in each.
func pastKit(t *testing.T) (x *Index, want map[string][]Entry, put func()) {
	t.Helper()
	cfg := tiny()
	cfg.CacheBytes, cfg.ChunkBytes = 4<<20, 1<<20
	x = mustOpen(t, memory.New(), cfg, Options{Foreground: true})
	want = map[string][]Entry{}
	seq := uint64(0)
	put = func() {
		for i := range 100 {
			seq++
			names := []string{"long", fmt.Sprintf("other-%d", i)}
			if i%40 == 0 {
				names = append(names, "a")
			}
			if i == 50 && len(want["b"]) == 0 {
				names = append(names, "b")
			}
			for r, name := range names {
				e := Entry{Stream: 1, Key: []byte(name), Seq: seq, Record: uint32(r), Offset: seq, Version: seq % 7, Partition: uint32(i % 3), Flags: uint8(i % 2)}
				want[name] = append(want[name], e)
				x.Add(&e)
			}
			x.Through(seq)
		}
		must(t, x.Flush())
	}
	for range 3 {
		put()
	}
	return x, want, put
}

// looks is how often files were asked for anything.
func looks(x *Index) int64 {
	m := x.Metrics()
	return m.FilterNo + m.FilterYes
}

func checkPast(t *testing.T, x *Index, want map[string][]Entry, key string) {
	t.Helper()
	compare(t, key, collect(t, x.History(1, []byte(key), false, math.MaxUint64), math.MaxInt), want[key])
	back := slices.Clone(want[key])
	slices.Reverse(back)
	compare(t, key+" backward", collect(t, x.History(1, []byte(key), true, math.MaxUint64), math.MaxInt), back)
	for i, e := range want[key] {
		from := e.Position()
		compare(t, key+" from", collect(t, x.HistoryFrom(1, []byte(key), from, false, math.MaxUint64), math.MaxInt), want[key][i:])
		compare(t, key+" back from", collect(t, x.HistoryFrom(1, []byte(key), from, true, math.MaxUint64), math.MaxInt), back[len(back)-1-i:])
		compare(t, key+" up to", collect(t, x.History(1, []byte(key), false, e.Seq), math.MaxInt), want[key][:i+1])
		from.Seq++
		from.Record = 0
		compare(t, key+" from behind", collect(t, x.HistoryFrom(1, []byte(key), from, false, math.MaxUint64), math.MaxInt), want[key][i+1:])
		from.Seq -= 2
		compare(t, key+" back from before", collect(t, x.HistoryFrom(1, []byte(key), from, true, math.MaxUint64), math.MaxInt), back[len(back)-i:])
	}
}

// TestPast_FilesAreAskedOnce: what files have of a key, and that they have none of it, is known from the first walk on; a file that comes is asked
// once, what is merged away is forgotten, and a key of many blocks is read from them.
func TestPast_FilesAreAskedOnce(t *testing.T) {
	x, want, put := pastKit(t)
	for _, key := range []string{"a", "b", "ab"} { // b is in one file, ab in none
		asked := looks(x)
		compare(t, key, collect(t, x.History(1, []byte(key), false, math.MaxUint64), math.MaxInt), want[key])
		if n := looks(x) - asked; n != 3 {
			t.Fatalf("%s: %d looks at 3 files", key, n)
		}
		asked = looks(x)
		checkPast(t, x, want, key)
		if n := looks(x) - asked; n != 0 {
			t.Fatalf("%s is known, but there were %d looks at files", key, n)
		}
	}
	put()
	asked := looks(x)
	checkPast(t, x, want, "a")
	if n := looks(x) - asked; n != 1 {
		t.Fatalf("%d looks where one file came", n)
	}
	settle(t, x)
	asked = looks(x)
	checkPast(t, x, want, "a")
	files := x.Metrics().Files
	if n := looks(x) - asked; n == 0 || n > files {
		t.Fatalf("%d looks at %d files after a merge", n, files)
	}
	p := x.table.pastOf(appendFullKey(nil, 1, []byte("a")), hashKey(1, []byte("a")))
	if p == nil || int64(len(p.files)) != files {
		t.Fatalf("%+v is known of %d files", p, files)
	}
	asked = looks(x)
	checkPast(t, x, want, "long")
	checkPast(t, x, want, "long")
	if n := looks(x) - asked; n < 10 {
		t.Fatalf("%d looks for a key of many blocks", n)
	}
	must(t, x.Close())
}

// TestPast_AWalkThatEndsEarlyKnowsLess: files that were not asked are not said to have nothing.
func TestPast_AWalkThatEndsEarlyKnowsLess(t *testing.T) {
	x, want, _ := pastKit(t)
	compare(t, "the first", collect(t, x.History(1, []byte("a"), false, math.MaxUint64), 1), want["a"][:1])
	p := x.table.pastOf(appendFullKey(nil, 1, []byte("a")), hashKey(1, []byte("a")))
	if p == nil || len(p.files) != 1 {
		t.Fatalf("%+v is known", p)
	}
	checkPast(t, x, want, "a")
	must(t, x.Close())
}

// TestPast_OfAnotherKey: two keys of one hash do not answer for each other.
func TestPast_OfAnotherKey(t *testing.T) {
	x, want, _ := pastKit(t)
	checkPast(t, x, want, "b")
	b := appendFullKey(nil, 1, []byte("b"))
	known := x.table.pastOf(b, hashKey(1, []byte("b")))
	if known == nil {
		t.Fatal("nothing is known of b")
	}
	x.table.cache.replace(cacheKey{hashKey(1, []byte("a")), pastOff}, known, 100)
	checkPast(t, x, want, "a")
	must(t, x.Close())
}

// TestPast_IsBounded: neither one key nor all together take more than they may.
func TestPast_IsBounded(t *testing.T) {
	x, _, _ := pastKit(t)
	found := []pastFile{{1, make([]pastEntry, pastBytesMax/pastEntryBytes)}}
	key := appendFullKey(nil, 1, []byte("a"))
	x.table.learn(key, 77, nil, nil, found)
	if x.table.pastOf(key, 77) != nil {
		t.Fatal("a history of any length is kept")
	}
	found[0].entries = found[0].entries[:100:100]
	for i := range 5000 {
		x.table.learn(key, uint64(i), nil, nil, found)
		x.table.learn(key, uint64(i), nil, nil, found)
	}
	for i := range x.table.cache.parts {
		p, sum := &x.table.cache.parts[i], int64(0)
		for _, b := range p.ring {
			sum += b.bytes
		}
		if sum != p.bytes || sum > p.most || len(p.ring) != len(p.at) {
			t.Fatalf("part %d: %d bytes said, %d there of %d", i, p.bytes, sum, p.most)
		}
	}
	if n := x.table.cache.size(); n < 3<<20 {
		t.Fatalf("%d bytes of 4 MiB are used", n)
	}
	must(t, x.Close())
}

// TestPast_ManyReaders: readers of the same keys, beside an adder and merges, in the background.
func TestPast_ManyReaders(t *testing.T) {
	cfg := tiny()
	cfg.CacheBytes = 1 << 20
	x := mustOpen(t, memory.New(), cfg, Options{})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for r := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				through := x.through.Load()
				it := x.History(1, fmt.Appendf(nil, "k%d", (i+r)%8), i%2 == 0, through)
				n := uint64(0)
				for it.Next() {
					n++
				}
				// Key k is added with every eighth frame from k+1 on.
				k := uint64((i + r) % 8)
				if want := (through + 7 - k) / 8; it.Err() != nil || n != want {
					t.Errorf("key %d up to %d: %d entries, want %d: %v", k, through, n, want, it.Err())
				}
				it.Close()
			}
		})
	}
	for seq := uint64(1); seq <= 3000; seq++ {
		x.Add(&Entry{Stream: 1, Key: fmt.Appendf(nil, "k%d", (seq-1)%8), Seq: seq, Offset: seq})
		x.Add(&Entry{Stream: 1, Key: fmt.Appendf(nil, "other-%d", seq), Seq: seq, Record: 1, Offset: seq})
		x.Through(seq)
	}
	close(stop)
	wg.Wait()
	must(t, x.Close())
}
