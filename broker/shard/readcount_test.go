package shard_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/internal/clock"
	"leat/storage/segment"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs"
	"leat/storage/vfs/memory"
)

// counting counts the reads of segment files, which could send as well.
type counting struct {
	vfs.FS
	reads atomic.Int64
}

type countingFile struct {
	vfs.File
	fs *counting
}

func (c *counting) Sends() bool { return true }

func (c *counting) Open(name string, how vfs.How) (vfs.File, error) {
	f, err := c.FS.Open(name, how)
	if err != nil || how != vfs.Read || !strings.HasPrefix(name, "/segments/") {
		return f, err
	}
	return &countingFile{f, c}, nil
}

func (f *countingFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.reads.Add(1)
	return f.File.ReadAt(p, off)
}

func (f *countingFile) SendTo(syscall.RawConn, int64, int) (int, error) { return 0, syscall.ENOTSUP }

// What compaction has left of a stream lies together in its file, with offsets missing everywhere. It is read so: not each batch with a call of its own, whether the reader
// takes places in files or not.
func TestRead_CompactedRunsTogether(t *testing.T) {
	for _, c := range []struct {
		name           string
		records, bytes int
		callsMax       int // reads and places, of which each is a call
	}{
		{"small", 3000, 100, 4},
		{"large", 1200, 9 << 10, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := &counting{FS: memory.New()}
			now := clock.NewManual(time.UnixMilli(1_700_000_000_000))
			var id record.StreamID
			n, err := open(fs, statemem.New(), func(cfg *shard.Config) {
				must(t, cfg.Segments.Close())
				files, err := segment.Open(fs, "/segments", segment.Default(), segment.Options{Log: quiet})
				must(t, err)
				cfg.Segments = files
				cfg.Clock, cfg.HotTailBytes, cfg.Keep.WindowBytes, cfg.Keep.EarlyBytes = now, 1<<10, 16<<20, 16<<20
				cfg.Compactions = func() []shard.Compaction {
					return []shard.Compaction{{Stream: id, TombstoneMS: 1, MaxLagMS: 1}}
				}
			})
			must(t, err)
			l := &life{t: t, rng: rand.New(rand.NewPCG(1, 1)), n: n, m: newModel()}
			l.create(stream.KeysLatest)
			id = l.ids()[0]
			put := compactable{records: map[lane][]stored{}}
			value := strings.Repeat("v", c.bytes)
			for i := range c.records { // two of three are superseded, those between them are not
				key := fmt.Sprint("k", i)
				if i%3 > 0 {
					key = fmt.Sprint("same", i%5)
				}
				put.put(l, lane{id, 0}, stored{key, value})
			}
			now.Advance(time.Minute)
			must(t, n.keepAll())
			now.Advance(time.Minute)
			must(t, n.keepAll())

			pub := n.Published()
			src, _ := pub.Source(id, 0)
			read := func(keep bool) (places, batches int) {
				s := src
				if keep {
					s.Keep = func(release func()) { t.Cleanup(release) }
				}
				start, end := src.Part.Ends()
				for from := start; from < end; {
					got, err := pub.Read(nil, s, from, 1<<20, shard.AllSeqs)
					must(t, err)
					if len(got) == 0 {
						t.Fatalf("nothing at %d of %d", from, end)
					}
					for _, b := range got {
						if b.Span != nil {
							places++
						}
						batches, from = batches+1, b.Next
					}
				}
				return places, batches
			}
			_, left := read(false)
			if left > c.records/3+10 || left < c.records/3 {
				t.Fatalf("%d batches are left", left)
			}
			for _, keep := range []bool{false, true} {
				fs.reads.Store(0)
				places, batches := read(keep)
				if calls := int(fs.reads.Load()) + places; calls > c.callsMax || batches < 2 {
					t.Errorf("places taken: %v: %d reads and %d places for %d batches", keep, fs.reads.Load(), places, left)
				} else {
					t.Logf("places taken: %v: %d reads and %d places for %d batches", keep, fs.reads.Load(), places, left)
				}
			}
		})
	}
}
