package shard_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
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

// writing counts the bytes that are written to segment files.
type writing struct {
	vfs.FS
	bytes int64
}

type writingFile struct {
	vfs.File
	fs *writing
}

func (w *writing) Open(name string, how vfs.How) (vfs.File, error) {
	f, err := w.FS.Open(name, how)
	if err != nil || how == vfs.Read || !strings.HasPrefix(name, "/segments/") {
		return f, err
	}
	return &writingFile{f, w}, nil
}

func (f *writingFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.bytes += int64(len(p))
	return f.File.WriteAt(p, off)
}

func (f *writingFile) WriteV(ps [][]byte, off int64) (int64, error) {
	n, err := f.File.WriteV(ps, off)
	f.fs.bytes += n
	return n, err
}

// One stream that closes its tail every minute has windows moved early for all others of its shard. What that costs is bounded: what they have is written once more, when
// small files are merged, and not each time that something of the one has to go.
func TestAging_WhatForcedWindowsCostOthers(t *testing.T) {
	const minutes, others, perMinute = 32, 10, 6
	amplify := func(terms shard.Compaction) (float64, shard.KeepStats) {
		var kept *segment.Store
		fs, now := &writing{FS: memory.New()}, clock.NewManual(time.UnixMilli(1_700_000_000_000))
		n, err := open(fs, statemem.New(), func(cfg *shard.Config) {
			must(t, cfg.Segments.Close())
			files, err := segment.Open(fs, "/segments", segment.Default(), segment.Options{Log: quiet})
			must(t, err)
			kept, cfg.Segments, cfg.Clock, cfg.HotTailBytes = files, files, now, 1<<10
			cfg.Keep.WindowBytes = others * perMinute * minutes / 4 * 4000 // four windows in an hour by themselves
			cfg.Keep.EarlyBytes = cfg.Keep.WindowBytes
			cfg.Compactions = func() []shard.Compaction {
				terms.Stream, terms.TombstoneMS = 1, time.Hour.Milliseconds()
				return []shard.Compaction{terms}
			}
		})
		must(t, err)
		l := &life{t: t, rng: rand.New(rand.NewPCG(1, 1)), n: n, m: newModel()}
		for range 1 + others {
			l.create(stream.KeysLatest)
		}
		ids := l.ids()
		put, total := compactable{records: map[lane][]stored{}}, 0
		value := strings.Repeat("v", 4000)
		for range minutes {
			l.nowMS = now.Now().UnixMilli() - 1_700_000_000_000
			put.put(l, lane{ids[0], 0}, stored{"k", "small"})
			for _, id := range ids[1:] {
				for range perMinute {
					put.put(l, lane{id, record.PartitionID(total % partitions)}, stored{fmt.Sprint("k", total), value})
					total++
				}
			}
			now.Advance(time.Minute)
			must(t, n.keepAll())
		}
		for _, f := range kept.Files() {
			if terms.MaxLagMS > 0 && f.StreamFirst == uint32(ids[0]) && f.StreamLast != f.StreamFirst {
				t.Errorf("a file has the stream that is compacted by age and others: %+v", f)
			}
		}
		return float64(fs.bytes) / float64(total*len(value)), n.KeepStats()
	}
	plain, rare := amplify(shard.Compaction{})
	forced, often := amplify(shard.Compaction{TailMS: time.Minute.Milliseconds(), MaxLagMS: time.Minute.Milliseconds()})
	t.Logf("bytes written for each appended: %.2f in %d windows and %d merges by themselves, %.2f in %d and %d where forced", plain, rare.Windows, rare.Merges, forced, often.Windows, often.Merges)
	if often.Windows < minutes/2 || rare.Windows > 6 {
		t.Errorf("%d windows were forced, and %d were not", often.Windows, rare.Windows)
	}
	if forced > 3 {
		t.Errorf("%.2f bytes are written for each that is appended; 3 are the most", forced)
	}
}

// However long it goes on, forced windows do not leave more and more small files.
func TestAging_ForcedWindowsLeaveFewFiles(t *testing.T) {
	const windows = 300
	now := clock.NewManual(time.UnixMilli(1_700_000_000_000))
	fs := memory.New()
	var kept *segment.Store
	n, err := open(fs, statemem.New(), func(cfg *shard.Config) {
		must(t, cfg.Segments.Close())
		files, err := segment.Open(fs, "/segments", segment.Default(), segment.Options{Log: quiet})
		must(t, err)
		kept, cfg.Segments, cfg.Clock, cfg.HotTailBytes, cfg.Keep.WindowBytes, cfg.Keep.EarlyBytes = files, files, now, 1<<10, 1<<20, 1<<20
		cfg.Compactions = func() []shard.Compaction {
			return []shard.Compaction{{Stream: 1, TombstoneMS: time.Hour.Milliseconds(), MaxLagMS: 1}}
		}
	})
	must(t, err)
	l := &life{t: t, rng: rand.New(rand.NewPCG(1, 1)), n: n, m: newModel()}
	for range 4 {
		l.create(stream.KeysLatest)
	}
	put := compactable{records: map[lane][]stored{}}
	most := 0
	for i := range windows {
		l.nowMS = now.Now().UnixMilli() - 1_700_000_000_000
		for _, id := range l.ids() {
			put.put(l, lane{id, 0}, stored{fmt.Sprint("k", i), "v"})
		}
		now.Advance(time.Minute)
		must(t, n.keepAll())
		most = max(most, len(kept.Files()))
	}
	t.Logf("%d windows, %d merges, at most %d files, %d at the end", n.KeepStats().Windows, n.KeepStats().Merges, most, len(kept.Files()))
	if n.KeepStats().Windows < windows/2 {
		t.Errorf("%d windows", n.KeepStats().Windows)
	}
	if most > 40 {
		t.Errorf("%d files", most)
	}
}
