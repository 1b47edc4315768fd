package keys

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"leat/storage/vfs/memory"
	osfs "leat/storage/vfs/os"
)

// cpu is the processor time of this process: on a busy machine it says more than the clock.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchKey is a key of 16 bytes of so many values.
func benchKey(dst []byte, i uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, "customer"...), i*0x9e3779b97f4a7c15)
}

func benchIndex(b *testing.B, cfg Config) *Index {
	b.Helper()
	x, err := Open(osfs.New(), b.TempDir(), cfg, Options{Foreground: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.Close() })
	return x
}

func fill(x *Index, rng *rand.Rand, entries, keys int) {
	var key [16]byte
	for i := range entries {
		e := Entry{
			Stream: 1, Key: benchKey(key[:0], rng.Uint64N(uint64(keys))), Seq: x.through.Load() + 1, Batch: uint32(i % 1000 / 100), Record: uint32(i % 100),
			Partition: uint32(i % 1000 / 100), Offset: uint64(i / 10),
		}
		x.Add(&e)
		if i%1000 == 999 {
			x.Through(e.Seq)
		}
	}
	x.Through(x.through.Load() + 1)
}

// BenchmarkAdd is the way in alone: chunks are thrown away, not written.
func BenchmarkAdd(b *testing.B) {
	pool := &chunkPool{size: 16 << 20, most: 4}
	rng := rand.New(rand.NewPCG(1, 1))
	keys := make([][]byte, 1<<16)
	for i := range keys {
		keys[i] = benchKey(nil, rng.Uint64N(1_000_000))
	}
	x := &Index{active: newChunk(pool, pool.size)}
	i := 0
	e := Entry{Stream: 1, Seq: 1}
	since := cpu()
	defer func() { b.ReportMetric(float64(cpu()-since)/float64(b.N), "cpu-ns/entry") }()
	for b.Loop() {
		e.Key, e.Offset = keys[i&(len(keys)-1)], uint64(i)
		if !x.active.room(len(e.Key)) {
			x.active.release()
			x.active = newChunk(pool, pool.size)
		}
		x.Add(&e)
		i++
	}
}

// BenchmarkChunk is what an entry costs until it is durable: add, sort, write, sync.
func BenchmarkChunk(b *testing.B) {
	for _, keys := range []int{1_000_000, 1000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			x := benchIndex(b, Default())
			rng := rand.New(rand.NewPCG(1, 1))
			const n = 250_000
			since := cpu()
			for b.Loop() {
				fill(x, rng, n, keys)
				if err := x.Flush(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu()-since)/float64(b.N*n), "cpu-ns/entry")
			m := x.Metrics()
			b.ReportMetric(float64(m.FilesBytes)/float64(m.FilesEntries), "B/entry")
		})
	}
}

// BenchmarkSort is the sort of a full chunk, for an entry.
func BenchmarkSort(b *testing.B) {
	for name, key := range map[string]func([]byte, uint64) []byte{
		"random": benchKey,
		"digits": func(dst []byte, i uint64) []byte { return fmt.Appendf(dst, "%016d", i) },
	} {
		b.Run(name, func(b *testing.B) {
			pool := &chunkPool{size: 16 << 20, most: 4}
			c := newChunk(pool, pool.size)
			rng := rand.New(rand.NewPCG(1, 1))
			for e := (Entry{Stream: 1, Seq: 1}); c.room(16); {
				e.Key = key(e.Key[:0], rng.Uint64N(1_000_000))
				c.add(&e)
			}
			var s sorter
			since := cpu()
			for b.Loop() {
				s.sort(c, 0, c.n)
			}
			b.ReportMetric(float64(cpu()-since)/float64(b.N*c.n), "cpu-ns/entry")
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	var spent time.Duration
	entries := 0
	for b.Loop() {
		b.StopTimer()
		x := benchIndex(b, Default())
		rng := rand.New(rand.NewPCG(1, 1))
		const n = 100_000
		for range 8 {
			fill(x, rng, n, 1_000_000)
			if err := x.Flush(); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		since := cpu()
		if did, err := x.Maintain(); !did || err != nil {
			b.Fatal(did, err)
		}
		spent += cpu() - since
		entries += n * 8
	}
	b.ReportMetric(float64(spent)/float64(entries), "cpu-ns/entry")
}

// warm is an index of some millions of entries in files, 20 to a key.
func warm(b *testing.B, keys int) *Index {
	x := benchIndex(b, Default())
	rng := rand.New(rand.NewPCG(1, 1))
	fill(x, rng, 20*keys, keys)
	if err := x.Flush(); err != nil {
		b.Fatal(err)
	}
	for {
		did, err := x.Maintain()
		if err != nil {
			b.Fatal(err)
		}
		if !did {
			return x
		}
	}
}

func BenchmarkRead(b *testing.B) {
	const keys = 500_000
	x := warm(b, keys)
	b.Logf("%+v", x.Metrics())
	rng := rand.New(rand.NewPCG(2, 2))
	var buf [16]byte
	b.Run("history", func(b *testing.B) {
		b.ReportAllocs()
		since := cpu()
		defer func() { b.ReportMetric(float64(cpu()-since)/float64(b.N), "cpu-ns/op") }()
		for b.Loop() {
			it := x.History(1, benchKey(buf[:0], rng.Uint64N(keys)), false, math.MaxUint64)
			for it.Next() {
			}
			if it.Close(); it.Err() != nil {
				b.Fatal(it.Err())
			}
		}
	})
	b.Run("last", func(b *testing.B) {
		b.ReportAllocs()
		since := cpu()
		defer func() { b.ReportMetric(float64(cpu()-since)/float64(b.N), "cpu-ns/op") }()
		for b.Loop() {
			if _, _, err := x.Last(1, benchKey(buf[:0], rng.Uint64N(keys)), math.MaxUint64); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		since := cpu()
		defer func() { b.ReportMetric(float64(cpu()-since)/float64(b.N), "cpu-ns/op") }()
		for b.Loop() {
			if _, ok, err := x.Last(1, benchKey(buf[:0], keys+rng.Uint64()>>8), math.MaxUint64); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("scan", func(b *testing.B) {
		it := x.Scan(1, nil, nil, math.MaxUint64)
		for b.Loop() {
			if !it.Next() {
				it.Close()
				it = x.Scan(1, nil, nil, math.MaxUint64)
			}
		}
		it.Close()
	})
}

// BenchmarkLookupInChunk is a look-up after every entry: the index of a chunk is built as it is asked for.
func BenchmarkLookupInChunk(b *testing.B) {
	fs := memory.New()
	cfg := Default()
	x, err := Open(fs, "/", cfg, Options{Foreground: true})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var buf [16]byte
	fill(x, rng, 100_000, 10_000)
	for b.Loop() {
		if _, _, err := x.Last(1, benchKey(buf[:0], rng.Uint64N(10_000)), math.MaxUint64); err != nil {
			b.Fatal(err)
		}
	}
}
