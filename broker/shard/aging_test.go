package shard_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/internal/clock"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/memory"
)

// aging is a shard in which a window never comes together by itself: what is compacted is for its age.
type aging struct {
	*life
	t     *testing.T
	clock *clock.Manual
	id    record.StreamID
	terms shard.Compaction
	disk  *memory.FS
	count int
}

func newAging(t *testing.T, terms shard.Compaction) *aging {
	t.Helper()
	a := &aging{t: t, clock: clock.NewManual(time.UnixMilli(1_700_000_000_000)), terms: terms, disk: memory.New()}
	n, err := open(a.disk, statemem.New(), a.config)
	must(t, err)
	a.life = &life{t: t, rng: rand.New(rand.NewPCG(1, 1)), n: n, m: newModel()}
	a.create(stream.KeysLatest)
	a.id = a.ids()[0]
	return a
}

func (a *aging) config(cfg *shard.Config) {
	cfg.Clock, cfg.HotTailBytes, cfg.Keep.WindowBytes, cfg.Keep.EarlyBytes = a.clock, 1<<20, 1<<20, 1<<20
	cfg.Compactions = func() []shard.Compaction {
		c := a.terms
		c.Stream, c.TombstoneMS = a.id, time.Hour.Milliseconds()
		return []shard.Compaction{c}
	}
}

// reopen starts again from what is on the disk.
func (a *aging) reopen() {
	a.t.Helper()
	must(a.t, a.n.rows.Flush())
	n, err := open(a.disk.CrashClone(a.rng, memory.KeepAll), a.n.rows.Crash(), a.config)
	must(a.t, err)
	a.n = n
}

// put appends one record for each key.
func (a *aging) put(keys ...string) {
	a.t.Helper()
	a.nowMS = a.clock.Now().UnixMilli() - 1_700_000_000_000
	c := compactable{records: map[lane][]stored{}}
	for _, key := range keys {
		a.count++
		c.put(a.life, lane{a.id, 0}, stored{key, fmt.Sprintf("%s-%d", key, a.count)})
	}
}

// pass lets time go by, and the keeper do what it finds to do.
func (a *aging) pass(d time.Duration) {
	a.t.Helper()
	a.clock.Advance(d)
	must(a.t, a.n.keepAll())
}

// left counts what a reader from the start gets.
func (a *aging) left() (n int) {
	a.t.Helper()
	src, _ := a.n.Published().Source(a.id, 0)
	start, end := src.Part.Ends()
	for from := start; from < end; {
		got, err := a.n.Published().Read(nil, src, from, 1<<20, shard.AllSeqs)
		must(a.t, err)
		if len(got) == 0 {
			a.t.Fatalf("nothing at %d of %d", from, end)
		}
		for _, b := range got {
			must(a.t, record.EachRecord(b.Raw, record.DefaultInflateLimits(), func(int, *record.Record) error { n++; return nil }))
			from = b.Next
		}
	}
	return n
}

func (a *aging) want(what string, left int) {
	a.t.Helper()
	if got := a.left(); got != left {
		a.t.Fatalf("%s: %d records are left, want %d: %+v", what, got, left, a.n.KeepStats())
	}
}

// A handful of records, far fewer than a window or what is worth a rewriting, is compacted when the lag is over, and read so although it was hot.
func TestAging_WhatIsSupersededGoesWithinTheLag(t *testing.T) {
	a := newAging(t, shard.Compaction{MaxLagMS: time.Minute.Milliseconds()})
	a.put("a", "b", "a", "b", "a", "c")
	a.pass(50 * time.Second)
	a.want("before the lag is over", 6)
	a.pass(11 * time.Second)
	a.want("after it", 3)
	a.put("a", "d")
	a.pass(30 * time.Second)
	a.want("half a lag later", 5)
	a.reopen()
	a.pass(31 * time.Second)
	a.want("a lag later, opened again", 4)
	if k := a.n.KeepStats(); k.Windows != 1 {
		t.Errorf("%+v", k)
	}
	// Nothing has changed: nothing is written any more.
	before := a.n.KeepStats()
	for range 100 {
		a.pass(time.Minute)
	}
	if k := a.n.KeepStats(); k != before {
		t.Errorf("%+v became %+v", before, k)
	}
}

// A record that was moved with others before its lag was over goes when it is.
func TestAging_WhatIsInFilesAlready(t *testing.T) {
	a := newAging(t, shard.Compaction{MaxLagMS: time.Minute.Milliseconds()})
	a.put("a", "b")
	a.pass(40 * time.Second)
	a.put("a", "b", "c")
	a.pass(21 * time.Second) // the first two are due, and take the others with them
	a.want("moved with what was due", 3)
	a.put("a")
	a.pass(30 * time.Second)
	a.put("b")
	a.pass(31 * time.Second)
	a.want("again", 3)
}

// Who asks for a millisecond does not keep the keeper busy.
func TestAging_PausesBetweenRounds(t *testing.T) {
	a := newAging(t, shard.Compaction{MaxLagMS: 1})
	for range 200 {
		a.put("a", "b")
		a.pass(100 * time.Millisecond)
	}
	if k := a.n.KeepStats(); k.Windows < 3 || k.Windows > 5 || k.Merges > 8 {
		t.Errorf("20 s of a lag of a millisecond: %+v", k)
	}
	a.pass(10 * time.Second)
	a.pass(10 * time.Second)
	a.want("in the end", 2)
}

// Of small windows no small files are left.
func TestAging_SmallFilesBecomeOne(t *testing.T) {
	a := newAging(t, shard.Compaction{MaxLagMS: 1})
	for i := range 80 {
		a.put(fmt.Sprint("k", i))
		a.pass(time.Minute)
	}
	a.want("nothing superseded", 80)
	if files := len(a.n.files.Files()); files > 20 {
		t.Errorf("%d files of 80 records", files)
	}
}

// What is closed by its size or age goes when enough of the stream is superseded, and not before.
func TestAging_TailsAndRatio(t *testing.T) {
	for name, terms := range map[string]shard.Compaction{
		"time":  {TailMS: time.Minute.Milliseconds(), Ratio: 0.4},
		"bytes": {TailBytes: 200, Ratio: 0.4},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAging(t, terms)
			a.put("a", "b", "c", "d", "e", "f", "a", "b") // 2 of 8 are
			a.pass(2 * time.Minute)
			a.want("too few of them", 8)
			if a.n.KeepStats().Windows == 0 {
				t.Error("no window was moved")
			}
			a = newAging(t, terms)
			a.put("a", "b", "c", "d", "a", "b", "c", "d")
			a.pass(10 * time.Second)
			if name == "time" {
				a.want("not closed", 8)
			}
			a.pass(2 * time.Minute)
			a.want("enough", 4)
		})
	}
}

// A lag at least and a lag at most hold both.
func TestAging_NothingGoesTooEarly(t *testing.T) {
	a := newAging(t, shard.Compaction{LagMS: time.Minute.Milliseconds(), MaxLagMS: time.Minute.Milliseconds(), TailBytes: 1})
	a.put("a", "a")
	a.pass(59 * time.Second)
	a.want("young", 2)
	if k := a.n.KeepStats(); k.Windows != 0 {
		t.Errorf("a window in vain: %+v", k)
	}
	a.pass(2 * time.Second)
	a.want("old enough", 1)
}

// Terms may come later than the records.
func TestAging_StreamsWithoutTermsWait(t *testing.T) {
	a := newAging(t, shard.Compaction{})
	a.put("a", "a", "a")
	a.pass(24 * time.Hour)
	a.want("without terms", 3)
	a.terms.MaxLagMS = 1
	a.pass(time.Second)
	a.want("with terms that came later", 1)
}
