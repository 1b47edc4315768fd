package archive_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"leat/storage/archive"
	"leat/storage/archive/dir"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	osfs "leat/storage/vfs/os"
)

// producer is a journal that somebody writes at a steady rate. Only what a shipper needs is there.
type producer struct {
	journal.Journal
	start time.Time
	every time.Duration // between two frames
	last  journal.Seq
	facts []byte
	data  []byte
}

func (p *producer) at(seq journal.Seq) time.Time {
	return p.start.Add(time.Duration(seq) * p.every)
}

func (p *producer) Tail() journal.Tail {
	seq := min(journal.Seq(time.Since(p.start)/p.every), p.last)
	return journal.Tail{Seq: seq, Place: journal.Place(seq)}
}

func (p *producer) Scan(_ journal.Place, after journal.Seq, fn func(journal.Entry) error) error {
	for seq := after + 1; seq <= p.Tail().Seq; seq++ {
		if err := fn(journal.Entry{Seq: seq, Epoch: 1, Place: journal.Place(seq), Facts: p.facts, DataBytes: int64(len(p.data))}); err != nil {
			return err
		}
	}
	return nil
}

func (p *producer) ReadAt(_ journal.Place, off int64, b []byte) error {
	copy(b, p.data[off:])
	return nil
}

// noise does not compress.
func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 1))
	p := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], rng.Uint64())
	}
	return p
}

// BenchmarkExposure ships 500 MB/s, 1 MB a frame, for some seconds into a folder of a real disk, and reports how long frames were durable here
// and nowhere else: from when a frame was durable until it was archived.
func BenchmarkExposure(b *testing.B) {
	for b.Loop() {
		const frames = 4000
		b.SetBytes(frames * 1_000_000)
		p := &producer{start: time.Now(), every: 2 * time.Millisecond, last: frames, facts: binary.LittleEndian.AppendUint64(nil, 1), data: noise(1_000_000)}
		s, err := archive.NewShipper(dir.New(osfs.New(), b.TempDir()), source(p), archive.Default())
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var run sync.WaitGroup
		run.Go(func() { _ = s.Run(ctx) })
		var exposed []float64
		for s.Archived() < frames {
			time.Sleep(5 * time.Millisecond)
			if a := s.Archived(); a < p.Tail().Seq {
				exposed = append(exposed, time.Since(p.at(a+1)).Seconds())
			}
		}
		cancel()
		run.Wait()
		slices.Sort(exposed)
		b.ReportMetric(exposed[len(exposed)/2], "p50-exposed-s")
		b.ReportMetric(exposed[len(exposed)-1], "max-exposed-s")
	}
}

// BenchmarkRestore writes an archive's frames into a journal on a real disk: 1 GB in frames of 1 MB, and 64 MB in frames of 4 KB.
func BenchmarkRestore(b *testing.B) {
	for _, c := range []struct {
		name   string
		frames journal.Seq
		bytes  int
	}{{"1MB", 1000, 1_000_000}, {"4KB", 16000, 4000}} {
		b.Run(c.name, func(b *testing.B) {
			bucket := dir.New(osfs.New(), b.TempDir())
			p := &producer{start: time.Now().Add(-time.Hour), every: time.Nanosecond, last: c.frames, facts: binary.LittleEndian.AppendUint64(nil, 1), data: noise(c.bytes)}
			ship(b, bucket, source(p), archive.Default())
			b.SetBytes(int64(c.frames) * int64(c.bytes))
			for b.Loop() {
				plan, err := archive.NewPlan(context.Background(), bucket, shard, archive.Until{})
				if err != nil {
					b.Fatal(err)
				}
				cfg := disk.Default()
				cfg.RingBytes = 0
				bulk := archive.NewBulk(osfs.New())
				j, err := disk.Open(bulk, b.TempDir()+"/journal", cfg, disk.Options{})
				if err != nil {
					b.Fatal(err)
				}
				if last, err := plan.WriteJournal(context.Background(), j, nil); err != nil || last != c.frames {
					b.Fatal(last, err)
				}
				if err := j.Close(); err != nil {
					b.Fatal(err)
				}
				if err := bulk.Flush(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFetch brings the files of a checkpoint back to a real disk: four of 128 MB.
func BenchmarkFetch(b *testing.B) {
	bucket := dir.New(osfs.New(), b.TempDir())
	data := noise(128_000_000)
	var refs []archive.FileRef
	for _, name := range []string{"a", "b", "c", "d"} {
		refs = append(refs, archive.FileRef{Name: name, Size: int64(len(data)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }})
	}
	if err := archive.NewCheckpoints(bucket, shard, ours).Put(context.Background(), archive.Checkpoint{Seq: 1, After: 1, Files: refs}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4 * int64(len(data)))
	for b.Loop() {
		p, err := archive.NewPlan(context.Background(), bucket, shard, archive.Until{})
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Fetch(context.Background(), osfs.New(), b.TempDir(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
