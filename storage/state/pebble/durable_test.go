package pebble

import (
	"encoding/binary"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat/storage/state"
)

// Memtables of 256 KiB are filled and flushed by Pebble itself while marks are asked for and the disk is cloned as a crash would leave
// it. No clone may be behind the mark that was given out before it was made, and each must hold all rows up to its mark and
// none after it.
func TestDurable_IsNeverAheadOfTheDisk(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s, err := OpenFS(fs, "state", small())
	if err != nil {
		t.Fatal(err)
	}
	const applies = 6000
	value := make([]byte, 200)
	clones := make(chan struct {
		promised state.Mark
		fs       *vfs.MemFS
	}, 64)
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(clones)
		last := state.Mark{}
		for len(clones) < cap(clones) {
			select {
			case <-done:
				return
			default:
			}
			m := s.Durable()
			if m.Seq < last.Seq {
				t.Errorf("durable went back from %v to %v", last, m)
			}
			if m != last {
				clones <- struct {
					promised state.Mark
					fs       *vfs.MemFS
				}{m, fs.CrashClone(vfs.CrashCloneCfg{})}
				last = m
			}
		}
	})
	for seq := uint64(1); seq <= applies; seq++ {
		b := s.NewBatch()
		b.Set(binary.BigEndian.AppendUint64([]byte{'p'}, seq), value)
		if err := s.Apply(b, state.Mark{Seq: seq, Place: seq * 1000}); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for c := range clones {
		n++
		checkClone(t, c.fs, c.promised)
	}
	if n == 0 {
		t.Fatal("no flush ended while there were applies: the test shows nothing")
	}
}

func checkClone(t *testing.T, fs vfs.FS, promised state.Mark) {
	t.Helper()
	s, err := OpenFS(fs, "state", small())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := s.Applied()
	if found.Seq < promised.Seq {
		t.Errorf("promised %v, the crash left %v", promised, found)
	}
	it, err := s.Iter([]byte("p"), []byte("q"))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	seq := uint64(0)
	for it.Next() {
		seq++
		if got := binary.BigEndian.Uint64(it.Key()[1:]); got != seq {
			t.Fatalf("row %d stands where %d should", got, seq)
		}
	}
	if seq != found.Seq {
		t.Errorf("the mark says %v and there are %d rows", found, seq)
	}
}

func TestConfig_BothEndsOfEachLimit(t *testing.T) {
	fields := []func(*Config, int64){
		func(c *Config, v int64) { c.CacheBytes = v },
		func(c *Config, v int64) { c.MemTableBytes = v },
		func(c *Config, v int64) { c.MemTablesMax = int(v) },
		func(c *Config, v int64) { c.OpenFilesMax = int(v) },
		func(c *Config, v int64) { c.CompactionsMax = int(v) },
	}
	for i, l := range limits {
		for v, ok := range map[int64]bool{l.min - 1: false, l.min: true, l.max: true, l.max + 1: false} {
			c := Default()
			fields[i](&c, v)
			if l.value(&c) != v {
				t.Fatalf("fields and limits do not stand in the same order at %s", l.name)
			}
			if err := c.Validate(); (err == nil) != ok {
				t.Errorf("%s = %d: %v", l.name, v, err)
			}
		}
	}
}
