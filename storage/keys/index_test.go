package keys

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// TestImport_OlderEntries: a stream gets its past while it lives on; all of it shows at once, and what was added as well counts once.
func TestImport_OlderEntries(t *testing.T) {
	fs, m := memory.New(), newModel()
	cfg := tiny()
	x := mustOpen(t, fs, cfg, Options{Foreground: true})
	rng := rand.New(rand.NewPCG(2, 2))
	var old []Entry // of stream 1, kept from the index for now
	for i := range 200 {
		f := m.frame(rng)
		if i < 150 {
			rest := frame{seq: f.seq}
			for _, e := range f.entries {
				if e.Stream == 1 {
					old = append(old, e)
				} else {
					rest.entries = append(rest.entries, e)
				}
			}
			f = rest
		} else {
			for _, e := range f.entries { // and these twice
				if e.Stream == 1 {
					old = append(old, e)
				}
			}
		}
		add(x, f)
	}
	rng.Shuffle(len(old), func(i, j int) { old[i], old[j] = old[j], old[i] })

	failed := errors.New("no more")
	n := 0
	err := x.Import(1, func() (*Entry, error) {
		if n++; n > len(old)/2 {
			return nil, failed
		}
		return &old[n], nil
	})
	if !errors.Is(err, failed) || x.Metrics().Imported == 0 {
		t.Fatalf("import: %v", err)
	}
	before := x.Metrics().Files
	if got := collect(t, x.History(1, []byte("hot"), false, 100), math.MaxInt); len(got) > 0 {
		t.Fatalf("half an import shows: %+v", got)
	}
	n = 0
	must(t, x.Import(1, func() (*Entry, error) {
		if n == len(old) {
			return nil, nil
		}
		n++
		return &old[n-1], nil
	}))
	if after := x.Metrics().Files; after <= before {
		t.Fatalf("%d files, %d before", after, before)
	}
	m.check(t, x, rng, 200)
	must(t, x.Flush())
	settle(t, x)
	m.check(t, x, rng, 200)
	must(t, x.Close())
	if live := liveFiles(x); live != len(x.manifest.files) {
		t.Errorf("%d files in the folder, %d in the manifest", live, len(x.manifest.files))
	}
	recovered(t, "after an import", fs, m)
}

// TestDropStream_FilesVanish: what only a dropped stream has is gone with the next step, what others share when it is merged or swept.
func TestDropStream_FilesVanish(t *testing.T) {
	fs := memory.New()
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	seq := uint64(0)
	put := func(streams ...uint32) {
		for i := range 30 {
			seq++
			for r, s := range streams {
				x.Add(&Entry{Stream: s, Key: fmt.Appendf(nil, "k%03d", i), Seq: seq, Record: uint32(r), Offset: seq})
			}
			x.Through(seq)
		}
		must(t, x.Flush())
	}
	put(7)
	put(7, 8)
	open := x.History(7, []byte("k001"), false, math.MaxUint64)
	x.DropStream(7)
	seq++
	x.Through(seq)
	if got := collect(t, x.History(7, []byte("k001"), false, math.MaxUint64), 10); len(got) > 0 {
		t.Fatalf("a dropped stream shows %+v", got)
	}
	if _, ok, _ := x.Last(7, []byte("k001"), math.MaxUint64); ok {
		t.Fatal("a dropped stream has a last entry")
	}
	if got := collect(t, x.Scan(7, nil, nil, math.MaxUint64), 10); len(got) > 0 {
		t.Fatalf("a dropped stream scans %+v", got)
	}
	before := x.Metrics().Files
	if did, err := x.Maintain(); !did || err != nil {
		t.Fatal(did, err)
	}
	if after := x.Metrics().Files; after != before-1 || liveFiles(x) != int(before) {
		t.Fatalf("%d files of %d left, %d in the folder while a reader has them", after, before, liveFiles(x))
	}
	if got := collect(t, open, 10); len(got) != 2 {
		t.Fatalf("an open walk has %+v, want two entries", got)
	}
	if liveFiles(x) != int(before)-1 {
		t.Fatalf("%d files in the folder after the last reader", liveFiles(x))
	}
	must(t, x.Flush())
	must(t, x.Close())
	x = mustOpen(t, fs, tiny(), Options{Foreground: true})
	if got := collect(t, x.History(7, []byte("k001"), false, math.MaxUint64), 10); len(got) > 0 {
		t.Fatalf("after reopening a dropped stream shows %+v", got)
	}
	for range 12 { // merges leave the rest out, and then nobody needs to remember
		put(8)
		settle(t, x)
	}
	if drops := *x.drops.Load(); len(drops) != 0 {
		t.Fatalf("still remembered: %+v in %+v", drops, x.manifest.files)
	}
	if n := len(collect(t, x.History(8, []byte("k001"), false, math.MaxUint64), 100)); n != 13 {
		t.Fatalf("%d entries of the stream beside it, want 13", n)
	}
	must(t, x.Close())
}

// TestKeep_SweepsWhatIsMostlyGone: a file that no merge takes any more is written anew when most of it is refused.
func TestKeep_SweepsWhatIsMostlyGone(t *testing.T) {
	start := uint64(0)
	cfg := tiny()
	cfg.FileBytesMax = FileBytesMaxMin
	x := mustOpen(t, memory.New(), cfg, Options{Foreground: true, Keep: func(stream uint32) Keeper {
		if stream == 2 {
			return nil
		}
		return func(_ uint32, offset uint64) bool { return offset >= start }
	}})
	for seq := uint64(1); seq <= 4000; seq++ {
		x.Add(&Entry{Stream: 1, Key: fmt.Appendf(nil, "key-%d", seq%500), Seq: seq, Offset: seq})
		if seq%4 == 0 {
			x.Add(&Entry{Stream: 2, Key: []byte("kept"), Seq: seq, Record: 1, Offset: 1})
		}
		x.Through(seq)
		if seq%200 == 0 {
			must(t, x.Flush())
			settle(t, x)
		}
	}
	before := x.Metrics()
	start = 4000
	for seq := uint64(4001); seq <= 8000; seq++ {
		x.Add(&Entry{Stream: 1, Key: fmt.Appendf(nil, "key-%d", seq%500), Seq: seq, Offset: seq})
		x.Through(seq)
		if seq%40 == 0 {
			must(t, x.Flush())
			settle(t, x)
		}
	}
	after := x.Metrics()
	if after.LeftOut-before.LeftOut < 3500 {
		t.Fatalf("%d entries left out, %d files with %d entries (before: %d, %d)", after.LeftOut, after.Files, after.FilesEntries, before.Files, before.FilesEntries)
	}
	if got := len(collect(t, x.History(2, []byte("kept"), false, math.MaxUint64), math.MaxInt)); got != 1000 {
		t.Fatalf("%d entries of the stream that is kept, want 1000", got)
	}
	must(t, x.Close())
}

// TestAdd_WaitsForTheDisk: when ChunksMax chunks wait, so does Add, and it goes on when the disk does.
func TestAdd_WaitsForTheDisk(t *testing.T) {
	fs := faulty.New(memory.New())
	x := mustOpen(t, fs, tiny(), Options{})
	fs.SetRule(func(c faulty.Call) faulty.Fault {
		if c.Op == faulty.Sync {
			return faulty.Fault{Err: syscall.ENOSPC}
		}
		return faulty.Fault{}
	})
	const frames = 2000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seq := uint64(1); seq <= frames; seq++ {
			x.Add(&Entry{Stream: 1, Key: []byte("key"), Seq: seq})
			x.Through(seq)
		}
	}()
	for x.Metrics().Blocked == 0 {
		time.Sleep(time.Millisecond)
	}
	if m := x.Metrics(); m.Chunks > int64(x.cfg.ChunksMax)+1 || m.Added >= frames {
		t.Errorf("%d chunks, %d entries although the disk is full", m.Chunks, m.Added)
	}
	fs.SetRule(nil)
	<-done
	if got := len(collect(t, x.History(1, []byte("key"), true, math.MaxUint64), math.MaxInt)); got != frames {
		t.Errorf("%d entries, want %d", got, frames)
	}
	if x.Metrics().BlockedNanos == 0 {
		t.Error("no time spent waiting")
	}
	must(t, x.Close())
}

// TestAdd_FrameLargerThanAChunk, and keys larger than a block: nothing is split, nothing is lost.
func TestAdd_FrameLargerThanAChunk(t *testing.T) {
	fs := memory.New()
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	huge := bytes.Repeat([]byte("k"), 20_000)
	x.Add(&Entry{Stream: 1, Key: []byte("small"), Seq: 1})
	x.Through(1)
	for r := range uint32(1000) {
		x.Add(&Entry{Stream: 1, Key: fmt.Appendf(nil, "key-%d", r%10), Seq: 2, Record: r})
	}
	x.Add(&Entry{Stream: 1, Key: huge, Seq: 2, Record: 1000})
	if _, ok, _ := x.Last(1, huge, math.MaxUint64); ok {
		t.Fatal("an entry shows before its frame has ended")
	}
	x.Through(2)
	for range 2 {
		for r := range 10 {
			if got := len(collect(t, x.History(1, fmt.Appendf(nil, "key-%d", r), false, math.MaxUint64), math.MaxInt)); got != 100 {
				t.Fatalf("%d entries, want 100", got)
			}
		}
		for _, key := range [][]byte{huge, []byte("small")} {
			if e, ok, err := x.Last(1, key, math.MaxUint64); err != nil || !ok || !bytes.Equal(e.Key, key) {
				t.Fatalf("%d bytes of key: %v %v", len(key), ok, err)
			}
		}
		must(t, x.Flush())
	}
	if x.Durable() != 2 {
		t.Fatalf("durable %d", x.Durable())
	}
	must(t, x.Close())
}

// TestHistoryFrom_ReadsNoMoreThanItNeeds: a page in the middle of a long history costs a few blocks, not a walk.
func TestHistoryFrom_ReadsNoMoreThanItNeeds(t *testing.T) {
	cfg := tiny()
	cfg.CacheBytes, cfg.BlockBytes, cfg.ChunkBytes, cfg.FileBytesMax = 0, 1024, 1<<20, 1<<30
	x := mustOpen(t, memory.New(), cfg, Options{Foreground: true})
	const n = 60_000
	for seq := uint64(1); seq <= n; seq++ {
		x.Add(&Entry{Stream: 1, Key: []byte("one"), Seq: seq, Offset: seq})
		x.Through(seq)
	}
	must(t, x.Flush())
	settle(t, x)
	for _, backward := range []bool{false, true} {
		before := x.table.cache.misses.Load()
		got := collect(t, x.HistoryFrom(1, []byte("one"), Position{Seq: n / 2}, backward, math.MaxUint64), 100)
		if backward { // record 0 of the frame itself is at the position
			if got[0].Seq != n/2 || got[99].Seq != n/2-99 {
				t.Fatalf("from %d to %d", got[0].Seq, got[99].Seq)
			}
		} else if got[0].Seq != n/2 || got[99].Seq != n/2+99 {
			t.Fatalf("from %d to %d", got[0].Seq, got[99].Seq)
		}
		if blocks := x.table.cache.misses.Load() - before; blocks > 8 {
			t.Errorf("backward %v: %d blocks read", backward, blocks)
		}
	}
	before := x.table.cache.misses.Load()
	it := x.LastIn(1, nil, nil, math.MaxUint64)
	if got := collect(t, it, 10); len(got) != 1 || got[0].Seq != n {
		t.Fatalf("newest in the range: %+v", got)
	}
	if blocks := x.table.cache.misses.Load() - before; blocks > 60 {
		t.Errorf("newest in a range: %d blocks read", blocks)
	}
	must(t, x.Close())
}

// TestBloom_SaysNo: a key that is not there costs a line of the filter, hardly ever more.
func TestBloom_SaysNo(t *testing.T) {
	cfg := Default()
	cfg.ChunkBytes = 1 << 20
	x := mustOpen(t, memory.New(), cfg, Options{Foreground: true})
	fill(x, rand.New(rand.NewPCG(1, 1)), 15_000, math.MaxInt)
	must(t, x.Flush())
	before := x.Metrics()
	for i := range uint64(10_000) {
		if _, ok, err := x.Last(1, benchKey(nil, i<<40|0xffff), math.MaxUint64); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	m := x.Metrics()
	if m.FilterMistaken-before.FilterMistaken != m.FilterYes-before.FilterYes {
		t.Errorf("%d times mistaken of %d", m.FilterMistaken-before.FilterMistaken, m.FilterYes-before.FilterYes)
	}
	if yes, no := m.FilterYes-before.FilterYes, m.FilterNo-before.FilterNo; yes+no < 9000 || yes*100 > 3*(yes+no) {
		t.Errorf("the filter says yes %d times, no %d times", yes, no)
	}
	must(t, x.Close())
}

func TestConfig_Bounds(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for i, breakIt := range []func(*Config){
		func(c *Config) { c.ChunkBytes = ChunkBytesMin - 1 }, func(c *Config) { c.ChunkBytes = ChunkBytesMax + 1 },
		func(c *Config) { c.ChunksMax = 0 }, func(c *Config) { c.ChunksMax = ChunksMaxMost + 1 },
		func(c *Config) { c.CacheBytes = -1 }, func(c *Config) { c.CacheBytes = CacheBytesMax + 1 },
		func(c *Config) { c.BlockBytes = BlockBytesMin - 1 }, func(c *Config) { c.BlockBytes = BlockBytesMax + 1 },
		func(c *Config) { c.FanIn = FanInMin - 1 }, func(c *Config) { c.FanIn = FanInMax + 1 },
		func(c *Config) { c.FileBytesMax = FileBytesMaxMin - 1 }, func(c *Config) { c.FileBytesMax = FileBytesMost + 1 },
		func(c *Config) { c.OpenFilesMax = OpenFilesMin - 1 }, func(c *Config) { c.OpenFilesMax = OpenFilesMost + 1 },
	} {
		c := Default()
		breakIt(&c)
		if c.Validate() == nil {
			t.Errorf("case %d passes: %+v", i, c)
		}
		if _, err := Open(memory.New(), "/keys", c, Options{}); err == nil {
			t.Errorf("case %d opens", i)
		}
	}
}

// TestSort_LikeBytes: the radix sort orders as bytes.Compare does, ties by slot, for keys that begin alike, end in zeros, or are long.
func TestSort_LikeBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, n := range []int{1, 2, 30, 600, 5000} {
		c := newChunk(&chunkPool{}, 4<<20)
		for range n {
			key := modelKey(rng)
			if rng.IntN(3) == 0 {
				key = append(bytes.Repeat([]byte("same"), rng.IntN(5)), bytes.Repeat([]byte{0}, rng.IntN(10))...)
			}
			c.add(&Entry{Stream: uint32(rng.IntN(3)) << (8 * rng.IntN(4)), Key: key, Seq: 1})
		}
		c.publish()
		var s sorter
		order := s.sort(c, 0, n)
		for i := 1; i < n; i++ {
			if c.compareSlots(order[i-1], order[i]) >= 0 {
				t.Fatalf("%d slots: %d and %d: %q before %q", n, order[i-1], order[i], c.key(order[i-1]), c.key(order[i]))
			}
		}
		if runs := c.sorted(n); len(runs) != 1 || len(runs[0]) != n {
			t.Fatalf("%d runs", len(runs))
		}
	}
}

// A history opens the files it needs as it walks. One that cannot be opened then ends the walk with a fault.
func TestHistory_AFileThatCannotBeReadEndsTheWalk(t *testing.T) {
	base := memory.New()
	fs := faulty.New(base)
	cfg := tiny()
	cfg.CacheBytes = 0
	x := mustOpen(t, fs, cfg, Options{Foreground: true})
	defer func() { _ = x.Close() }()
	const frames = 40
	for seq := uint64(1); seq <= frames; seq++ {
		x.Add(&Entry{Stream: 1, Key: []byte("key"), Seq: seq, Version: seq})
		x.Through(seq)
		if seq%10 == 0 {
			must(t, x.Flush())
		}
	}
	calls := func() (int, error) { // how many of its calls a walk makes, and how it ends
		n := fs.Calls()
		for _, backward := range []bool{false, true} {
			it := x.History(1, []byte("key"), backward, math.MaxUint64)
			read := 0
			for it.Next() {
				read++
			}
			it.Close()
			if it.Err() != nil {
				return fs.Calls() - n, it.Err()
			}
			if read != frames {
				t.Fatalf("backward %t: %d entries", backward, read)
			}
		}
		return fs.Calls() - n, nil
	}
	n, err := calls()
	if err != nil || n < 8 {
		t.Fatal(n, err)
	}
	for i := range n {
		fs.SetRule(faulty.NthCall(fs.Calls()+1+i, syscall.EIO))
		if _, err := calls(); !errors.Is(err, syscall.EIO) {
			t.Errorf("call %d failed, and the walk says %v", i, err)
		}
		fs.SetRule(nil)
	}
}
