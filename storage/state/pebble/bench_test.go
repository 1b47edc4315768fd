package pebble

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"leat/storage/state"
)

// rowsForBench is how many rows BenchmarkGet looks among; LEAT_STATE_ROWS changes it.
func rowsForBench() int {
	if n, err := strconv.Atoi(os.Getenv("LEAT_STATE_ROWS")); err == nil {
		return n
	}
	return 200_000
}

// benchKey is 20 bytes: prefix, stream, 11 bytes of key as random as an identifier.
func benchKey(dst []byte, n uint64) []byte {
	x := n * 0x9E3779B97F4A7C15
	dst = append(dst[:0], state.PrefixVersion)
	dst = binary.BigEndian.AppendUint64(dst, 7)
	dst = binary.BigEndian.AppendUint64(dst, x^x>>29)
	return append(dst, 'k', 0, 1)
}

func openBench(b *testing.B, cache int64) *Store {
	b.Helper()
	cfg := Default()
	cfg.Log = quiet()
	cfg.CacheBytes = cache
	s, err := Open(b.TempDir(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func BenchmarkApply(b *testing.B) {
	for _, rows := range []int{1, 3, 100} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			s := openBench(b, 8*mib)
			value := make([]byte, 20)
			var key []byte
			seq := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				batch := s.NewBatch()
				for range rows {
					seq++
					key = benchKey(key, seq)
					batch.Set(key, value)
				}
				if err := s.Apply(batch, state.Mark{Seq: seq}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGet looks rows up by chance, those that are there and those that are not, in a store that has been compacted by its own
// background work only.
func BenchmarkGet(b *testing.B) {
	n := rowsForBench()
	s := openBench(b, 64*mib)
	value := make([]byte, 20)
	var key []byte
	for i := 0; i < n; {
		batch := s.NewBatch()
		for range 1000 {
			key = benchKey(key, uint64(i))
			batch.Set(key, value)
			i++
		}
		if err := s.Apply(batch, state.Mark{Seq: uint64(i)}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		b.Fatal(err)
	}
	for m := s.db.Metrics(); m.Compact.NumInProgress > 0 || m.Levels[0].Sublevels > 3; m = s.db.Metrics() {
		time.Sleep(10 * time.Millisecond) // a look-up is measured, not the work after a load
	}
	if testing.Verbose() {
		b.Logf("\n%s", s.db.Metrics())
	}
	r := rand.New(rand.NewPCG(1, 1))
	b.Run("present", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			key = benchKey(key, r.Uint64N(uint64(n)))
			if _, err := s.Get(key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("absent", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			key = benchKey(key, uint64(n)+r.Uint64N(1<<40))
			if _, err := s.Get(key); err != state.ErrNotFound { //nolint:errorlint // as the contract says
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpenEmpty(b *testing.B) {
	cfg := Default()
	cfg.Log = quiet()
	for b.Loop() {
		s, err := Open(b.TempDir(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
