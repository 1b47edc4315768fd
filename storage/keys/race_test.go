package keys

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"leat/storage/vfs/memory"
)

// TestRace_ReadersBesideAdder has readers of every kind beside an adder whose chunks are written, merged and recycled. What they see of a key
// is always its first entries, without a gap, up to a frame that was shown.
func TestRace_ReadersBesideAdder(t *testing.T) {
	const keys, frames = 50, 3000
	x := mustOpen(t, memory.New(), tiny(), Options{})
	var stop atomic.Bool
	var wait sync.WaitGroup
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%03d", i) }
	// Entry n of a key has version n+1, and frame s holds an entry of each key k with s%(k+1) == 0.
	want := func(k int, seq uint64) uint64 { return seq / uint64(k+1) }
	for r := range 3 {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 1))
			for !stop.Load() {
				k := rng.IntN(keys)
				least := x.through.Load()
				switch rng.IntN(4) {
				case 0:
					it, n := x.History(1, key(k), false, math.MaxUint64), uint64(0)
					for it.Next() {
						if n++; it.Entry().Version != n {
							t.Errorf("key %d: entry %d has version %d", k, n, it.Entry().Version)
							stop.Store(true)
							break
						}
					}
					if it.Close(); it.Err() != nil || n < want(k, least) {
						t.Errorf("key %d: %d entries, at least %d were shown: %v", k, n, want(k, least), it.Err())
						stop.Store(true)
					}
				case 1:
					it := x.History(1, key(k), true, least)
					if it.Next() != (want(k, least) > 0) || want(k, least) > 0 && it.Entry().Version != want(k, least) {
						t.Errorf("key %d at %d: newest is %+v, want version %d: %v", k, least, it.Entry(), want(k, least), it.Err())
						stop.Store(true)
					}
					it.Close()
				case 2:
					if e, ok, err := x.Last(1, key(k), least); err != nil || ok != (want(k, least) > 0) || e.Version != want(k, least) {
						t.Errorf("key %d at %d: %+v %v %v", k, least, e, ok, err)
						stop.Store(true)
					}
				case 3:
					it, n := x.LastIn(1, key(k), nil, least), k
					for ; it.Next(); n++ {
						if e := it.Entry(); string(e.Key) != string(key(n)) || e.Version != want(n, least) {
							t.Errorf("range at %d: %q version %d, want %q %d", least, e.Key, e.Version, key(n), want(n, least))
							stop.Store(true)
							break
						}
					}
					it.Close()
					if it.Err() != nil {
						t.Error(it.Err())
						stop.Store(true)
					}
				}
			}
		})
	}
	for seq := uint64(1); seq <= frames && !stop.Load(); seq++ {
		for k := range keys {
			if seq%uint64(k+1) == 0 {
				x.Add(&Entry{Stream: 1, Key: key(k), Seq: seq, Record: uint32(k), Offset: seq*keys + uint64(k), Version: want(k, seq)})
			}
		}
		x.Through(seq)
		if seq%500 == 0 {
			must(t, x.Flush())
		}
	}
	stop.Store(true)
	wait.Wait()
	m := x.Metrics()
	if m.Written < 10 || m.Merges < 3 {
		t.Errorf("%d chunks, %d merges: nothing raced", m.Written, m.Merges)
	}
	must(t, x.Close())
	if live, named := liveFiles(x), len(x.manifest.files); live != named {
		t.Errorf("%d files in the folder, %d in the manifest", live, named)
	}
}

func liveFiles(x *Index) (n int) {
	names, _ := x.fs.List(x.dir)
	for _, name := range names {
		if isFileName(name) {
			n++
		}
	}
	return n
}
