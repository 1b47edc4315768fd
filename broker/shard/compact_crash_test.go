package shard_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/internal/clock"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// One whole compaction, with the merges, rewritings and removals that come with it, is interrupted before and after every call to the file system, by a crash and
// by a call that fails. Whatever is left must be what compaction may leave.

// stored is one record of a stream that lets go of superseded ones.
type stored struct {
	key   string
	value string // empty: a tombstone
}

// compactable is a disk on which there is much to compact, and what was appended to it.
type compactable struct {
	disk    *memory.FS
	rows    *statemem.Store
	ids     []record.StreamID
	records map[lane][]stored
	start   map[lane]record.Offset
}

const compactKeys = 12

func makeCompactable(t *testing.T) *compactable {
	t.Helper()
	c := &compactable{disk: memory.New(), rows: statemem.New(), records: map[lane][]stored{}, start: map[lane]record.Offset{}}
	n, err := open(c.disk, c.rows, func(cfg *shard.Config) { cfg.Keep.EarlyBytes = cfg.Keep.WindowBytes })
	must(t, err)
	l := &life{t: t, rng: rand.New(rand.NewPCG(5, 5)), n: n, m: newModel()}
	for range 2 {
		l.create(stream.KeysLatest)
	}
	c.ids = l.ids()
	for i := range 400 {
		at := lane{c.ids[l.rng.IntN(len(c.ids))], record.PartitionID(l.rng.IntN(partitions))}
		// Keys go over both partitions. The first ones end with a tombstone, and are not touched for long after it.
		r := stored{key: fmt.Sprint("k", l.rng.IntN(compactKeys)), value: fmt.Sprint("v", i, strings.Repeat(".", l.rng.IntN(120)))}
		if i > 150 && l.rng.IntN(4) == 0 || i > 250 && r.key < "k4" {
			r.value = ""
		}
		if i > 300 && r.key < "k4" {
			r.key = "k9"
		}
		c.put(l, at, r)
		if i == 200 {
			cut := lane{c.ids[0], 0}
			before := record.Offset(len(c.records[cut]) / 3)
			l.do(&shard.Truncate{Name: l.m.names[cut.stream], Cuts: []stream.Cut{{Partition: cut.partition, Before: before, Why: stream.WhyRequest}}})
			c.start[cut] = before
		}
		if i%60 == 59 {
			must(t, n.keepAll())
			must(t, n.index.Flush())
		}
	}
	must(t, c.rows.Flush())
	must(t, n.keepAll())
	return c
}

func (c *compactable) put(l *life, at lane, r stored) {
	l.t.Helper()
	x := record.Record{Timestamp: 1, Key: []byte(r.key), Value: []byte(r.value)}
	if r.value == "" {
		x.Value = nil
	}
	raw, err := record.BuildBatch([]record.Record{x})
	must(l.t, err)
	h, err := record.CheckBatch(raw)
	must(l.t, err)
	cmd := &shard.Append{ResolvedAt: l.n.Published().Seq()}
	cmd.Entries = []stream.Entry{{
		Stream: at.stream, Partition: at.partition, Mode: stream.KeysLatest, Batch: raw, Header: h,
		Keys: []stream.KeyUse{{Slot: -1, Key: []byte(r.key), Tombstone: r.value == ""}},
	}}
	l.do(cmd)
	c.records[at] = append(c.records[at], r)
}

// compacting is a node as of an hour later, when all tombstones are old enough.
func (c *compactable) compacting(cfg *shard.Config) {
	cfg.Clock = clock.NewManual(time.UnixMilli(1_700_000_000_000).Add(time.Hour))
	cfg.Compactions = func() (out []shard.Compaction) {
		for _, id := range c.ids {
			// The first one has terms, too, and is compacted by age.
			out = append(out, shard.Compaction{Stream: id, TombstoneMS: 1, MaxLagMS: map[bool]int64{true: 1}[id == c.ids[0]]})
		}
		return out
	}
}

// check says what a node has that it must not have, or lacks. It returns how many records are gone.
func (c *compactable) check(n *node) (gone int, err error) {
	pub := n.Published()
	for _, id := range c.ids {
		there := map[lane]map[record.Offset]bool{}
		for p := range record.PartitionID(partitions) {
			at := lane{id, p}
			if there[at], err = c.read(pub, at); err != nil {
				return 0, fmt.Errorf("stream %d, partition %d: %w", id, p, err)
			}
			gone += len(c.records[at]) - int(c.start[at]) - len(there[at])
		}
		for k := range compactKeys {
			if err := c.checkKey(pub, id, fmt.Sprint("k", k), there); err != nil {
				return 0, fmt.Errorf("stream %d: %w", id, err)
			}
		}
	}
	return gone, nil
}

// read returns the offsets that a reader from the start gets.
func (c *compactable) read(pub *shard.Published, at lane) (map[record.Offset]bool, error) {
	src, _ := pub.Source(at.stream, at.partition)
	start, end := src.Part.Ends()
	if start != c.start[at] || int(end) != len(c.records[at]) {
		return nil, fmt.Errorf("it is %d to %d, want %d to %d", start, end, c.start[at], len(c.records[at]))
	}
	there := map[record.Offset]bool{}
	for from := start; from < end; {
		got, err := pub.Read(nil, src, from, 1<<10, shard.AllSeqs)
		if err != nil || len(got) == 0 {
			return nil, fmt.Errorf("read at %d of %d: %d batches, %w", from, end, len(got), err)
		}
		for _, b := range got {
			err := record.EachRecord(b.Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
				if want := c.records[at][r.Offset]; want != (stored{string(r.Key), string(r.Value)}) {
					return fmt.Errorf("offset %d is %q, want %+v", r.Offset, r.Value, want)
				}
				there[r.Offset] = r.Offset >= start
				return nil
			})
			if err != nil {
				return nil, err
			}
			from = b.Next
		}
	}
	if start < end && !there[end-1] {
		return nil, fmt.Errorf("the last record, %d, is gone", end-1)
	}
	return there, nil
}

// checkKey: the newest record of a key is there, or it is a tombstone and nothing of the key is. Positions of the two partitions are asked of the index, which has an entry of
// the newest one at least.
func (c *compactable) checkKey(pub *shard.Published, id record.StreamID, key string, there map[lane]map[record.Offset]bool) error {
	e, ok, err := pub.Latest(id, []byte(key), pub.Seq())
	if err != nil {
		return err
	}
	left := 0
	for at, offsets := range there {
		for o := range offsets {
			if c.records[at][o].key == key {
				left++
			}
		}
	}
	if !ok {
		if left > 0 {
			return fmt.Errorf("%q has %d records and no newest one", key, left)
		}
		return nil
	}
	at := lane{id, e.Partition}
	r := c.records[at][e.Offset]
	last := e.Offset
	for o := range c.records[at] {
		if c.records[at][o].key == key {
			last = record.Offset(o)
		}
	}
	switch {
	case r.key != key || r.value == "" != e.Tombstone:
		return fmt.Errorf("the newest of %q is %+v, which is %+v", key, e, r)
	case e.Offset != last:
		return fmt.Errorf("the newest of %q is offset %d of partition %d, and %d is newer", key, e.Offset, e.Partition, last)
	case !there[at][e.Offset] && (r.value != "" || left > 0):
		return fmt.Errorf("the newest of %q, %+v, is gone, and %d older ones are there", key, e, left)
	}
	return nil
}

// whole opens what is there, finishes what was begun, and comes back once more.
func (c *compactable) whole(fs *memory.FS, rows *statemem.Store, rng *rand.Rand) error {
	for range 2 {
		n, err := open(fs, rows, c.compacting)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		if _, err := c.check(n); err != nil {
			return err
		}
		if err := n.keepAll(); err != nil {
			return err
		}
		if gone, err := c.check(n); err != nil || gone < 100 {
			return fmt.Errorf("after the keeper: %d records are gone, %w", gone, err)
		}
		if err := n.noLeaks(fs); err != nil {
			return err
		}
		if damage, err := n.files.Verify(nil); err != nil || len(damage) > 0 {
			return fmt.Errorf("verify: %v, %w", damage, err)
		}
		fs, rows = fs.CrashClone(rng, memory.KeepNone), rows.Crash()
	}
	return nil
}

func TestCompaction_CrashAfterEveryCall(t *testing.T) {
	c := makeCompactable(t)
	rng := rand.New(rand.NewPCG(6, 6))
	base := c.disk.CrashClone(rng, memory.KeepAll)
	fs := faulty.New(base)
	rows := c.rows.Crash()
	n, err := open(fs, rows, c.compacting)
	must(t, err)
	crashes := map[string]int{}
	fs.Watch(func(call faulty.Call, _ error) {
		switch call.Op {
		case faulty.WriteAt, faulty.Truncate, faulty.Sync, faulty.Rename, faulty.SyncDir, faulty.Remove, faulty.Open:
		default:
			return // changes nothing
		}
		if t.Failed() || testing.Short() && rng.IntN(6) > 0 {
			return
		}
		mode := memory.Mode(rng.IntN(3))
		crashes[strings.Split(call.Name, "/")[1]]++
		if err := c.whole(base.CrashClone(rng, mode), rows.Crash(), rng); err != nil {
			t.Errorf("mode %d, after call %d (%s %s): %v", mode, call.Number, call.Op, call.Name, err)
		}
	})
	must(t, n.keepAll())
	for range 2 { // and the removal of what was trimmed, and merges of key files
		must(t, n.index.Flush())
		must(t, n.keepAll())
	}
	fs.Watch(nil)
	gone, err := c.check(n)
	must(t, err)
	k := n.KeepStats()
	if k.Compacted < 100 || gone < 100 || crashes["segments"] < 4 || !testing.Short() && crashes["segments"] < 20 {
		t.Errorf("%d gone, %v crashes: %+v", gone, crashes, k)
	}
	t.Log(gone, crashes, k)
}

func TestCompaction_EveryCallFails(t *testing.T) {
	c := makeCompactable(t)
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		failed := 0
		step := 3 // all of them take twenty seconds with the race detector
		if testing.Short() {
			step = 11
		}
		for nth := 1 + int(errno)%step; ; nth += step {
			hit, err := c.fails(nth, errno)
			if err != nil {
				t.Fatalf("call %d fails with %s: %v", nth, errno, err)
			}
			if !hit {
				break
			}
			failed++
		}
		if least := 50; failed < least && !testing.Short() || failed < 10 {
			t.Errorf("%s: only %d calls failed", errno, failed)
		}
		t.Log(errno, failed)
	}
}

// fails has the nth call of a compaction fail. hit: there were so many.
func (c *compactable) fails(nth int, errno syscall.Errno) (hit bool, err error) {
	rng := rand.New(rand.NewPCG(uint64(nth), uint64(errno)))
	base := c.disk.CrashClone(rng, memory.KeepAll)
	rows := c.rows.Crash()
	fs := faulty.New(base)
	n, err := open(fs, rows, c.compacting)
	if err != nil {
		return false, err
	}
	at := fs.Calls() + nth
	fs.SetRule(func(call faulty.Call) faulty.Fault {
		if hit = hit || call.Number == at; call.Number == at {
			return faulty.Fault{Err: errno, Written: int64(rng.IntN(200))}
		}
		return faulty.Fault{}
	})
	kept := n.keepAll()
	fs.SetRule(nil)
	if _, err := c.check(n); err != nil {
		return hit, fmt.Errorf("after %v: %w", kept, err)
	}
	crashed, left := base.CrashClone(rng, memory.Mode(rng.IntN(3))), rows.Crash()
	if err := n.keepAll(); err != nil {
		return hit, fmt.Errorf("it works again, and the keeper does not: %w", err)
	}
	if gone, err := c.check(n); err != nil || gone < 100 {
		return hit, fmt.Errorf("%d gone, %w", gone, err)
	}
	return hit, c.whole(crashed, left, rng)
}
