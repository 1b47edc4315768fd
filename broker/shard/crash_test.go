package shard_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/broker/catalog"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/keys"
	"leat/storage/segment"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// A shard lives through appends, windows, merges, truncations, deletions, flushes and merges of keys, and the power goes after every sync, rename
// and removal of any of it. What it had answered must be there, byte for byte, in what is left on the disk.

const (
	lineage          = 7
	journalFileBytes = 32 << 10
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// node is a shard on a disk in memory, with everything small.
type node struct {
	*shard.Stepper
	rows  *statemem.Store
	files *segment.Store
	index *keys.Index
}

func open(fs vfs.FS, rows *statemem.Store, change func(*shard.Config)) (*node, error) {
	n := &node{rows: rows}
	jc, sc, kc := disk.Default(), segment.Default(), keys.Default()
	jc.FileBytes, jc.FrameBytesMax, jc.RingBytes, jc.IdleSeal = journalFileBytes, 12<<10, 64<<10, 0
	sc.OwnBytesMin, sc.BlockBytes, sc.SharedBytesMax, sc.MergeFiles = 6<<10, 1<<10, 64<<10, 2
	kc.ChunkBytes, kc.BlockBytes, kc.FanIn = 4<<10, 512, 2
	var err error
	if n.files, err = segment.Open(fs, "/segments", sc, segment.Options{Log: quiet}); err != nil {
		return nil, err
	}
	cfg := shard.Config{
		Lineage: lineage, InboxMax: 16, DedupWindow: time.Minute, Limits: shard.DefaultLimits(), Store: rows, Segments: n.files,
		Clock: clock.NewManual(time.UnixMilli(1_700_000_000_000)), Log: quiet,
		Keep: shard.KeepConfig{WindowBytes: 6 << 10, EarlyBytes: 2 << 10, BacklogBytesMax: 1 << 30, RewriteBytesMin: 1 << 10, Unpaced: true},
		OpenJournal: func() (journal.Journal, error) {
			return disk.Open(fs, "/journal", jc, disk.Options{Log: quiet, Random: rand.New(rand.NewPCG(1, 2)).Uint64, Foreground: true})
		},
		OpenKeys: func(opt keys.Options) (x *keys.Index, err error) {
			opt.Log, opt.Foreground = quiet, true
			x, err = keys.Open(fs, "/keys", kc, opt)
			n.index = x
			return x, err
		},
	}
	if change != nil {
		change(&cfg)
	}
	n.Stepper, err = shard.OpenStepper(cfg)
	return n, err
}

// keepAll lets the keeper come to its end.
func (n *node) keepAll() error {
	for range 1000 {
		if did, err := n.Keep(); err != nil || !did {
			return err
		}
	}
	return fmt.Errorf("the keeper does not come to rest: %+v", n.KeepStats())
}

// lane is a partition.
type lane struct {
	stream    record.StreamID
	partition record.PartitionID
}

// model is what a shard was told to keep and has answered.
type model struct {
	names   map[record.StreamID]catalog.Name
	keys    map[record.StreamID]stream.KeyMode
	start   map[lane]record.Offset
	batches map[lane][]batch

	// In flight: it is there whole after a crash, or not at all.
	appending map[lane]batch
	trimming  map[lane]record.Offset
	deleting  record.StreamID
}

// batch is one as it is stored, of records that have one key.
type batch struct {
	base, next record.Offset
	raw        []byte
	key        string
}

func newModel() *model {
	return &model{
		names: map[record.StreamID]catalog.Name{}, keys: map[record.StreamID]stream.KeyMode{}, start: map[lane]record.Offset{}, batches: map[lane][]batch{},
	}
}

func (m *model) clone() *model {
	c := *m
	c.names, c.keys, c.start, c.batches = maps.Clone(m.names), maps.Clone(m.keys), maps.Clone(m.start), maps.Clone(m.batches)
	return &c
}

const partitions = 2

// life drives a node and its model.
type life struct {
	t     *testing.T
	rng   *rand.Rand
	n     *node
	m     *model
	next  int
	nowMS int64
}

// do runs one command to its end.
func (l *life) do(c shard.Command) {
	l.t.Helper()
	r := shard.NewRequest(c)
	l.nowMS += int64(l.rng.IntN(5))
	l.n.Core().Step(r, 1_700_000_000_000+l.nowMS)
	f := l.n.Core().Take()
	if r.Fault != nil {
		l.t.Fatalf("%T: %v", c, r.Fault)
	}
	if err := l.n.Write(f); err != nil {
		l.t.Fatal(err)
	}
	if err := l.n.Publish(f); err != nil {
		l.t.Fatal(err)
	}
}

func (l *life) create(mode stream.KeyMode) {
	l.next++
	name := catalog.Name{Kind: catalog.Stream, Namespace: "default", Name: fmt.Sprint("s", l.next)}
	l.do(&shard.CreateStream{Name: name, Document: []byte("{}"), Partitions: partitions, Keys: mode})
	id := record.StreamID(l.n.Published().Entry(name).ID)
	l.m.names[id], l.m.keys[id] = name, mode
	for p := range record.PartitionID(partitions) {
		l.m.start[lane{id, p}] = 0
	}
}

func (l *life) ids() []record.StreamID { return slices.Sorted(maps.Keys(l.m.names)) }

// append puts batches into two partitions, both or neither.
func (l *life) append() {
	pub := l.n.Published()
	cmd := &shard.Append{ResolvedAt: pub.Seq()}
	cmd.Atomic = true
	cmd.Origin = stream.Origin{Protocol: "test", Client: fmt.Sprint("c", l.rng.IntN(2))}
	ids := l.ids()
	l.m.appending = map[lane]batch{}
	for len(l.m.appending) < 2 {
		at := lane{ids[l.rng.IntN(len(ids))], record.PartitionID(l.rng.IntN(partitions))}
		if _, ok := l.m.appending[at]; ok {
			continue
		}
		key := fmt.Sprintf("p%d-k%d", at.partition, l.rng.IntN(3))
		records := make([]record.Record, 1+l.rng.IntN(3))
		for i := range records {
			l.next++
			records[i] = record.Record{Timestamp: 1, Key: []byte(key), Value: []byte(strings.Repeat("v", l.rng.IntN(200)) + fmt.Sprint(l.next))}
		}
		raw, err := record.BuildBatch(records)
		if err != nil {
			l.t.Fatal(err)
		}
		e := stream.Entry{Stream: at.stream, Partition: at.partition, Mode: l.m.keys[at.stream], Batch: raw}
		if e.Header, err = record.CheckBatch(raw); err != nil {
			l.t.Fatal(err)
		}
		for i := range records {
			u := stream.KeyUse{Index: int32(i), Slot: -1, Key: []byte(key), Event: i}
			if l.m.keys[at.stream] == stream.KeysVersioned {
				v, err := pub.Version(pub.Fingerprint(at.stream, []byte(key)), at.stream, []byte(key))
				if err != nil {
					l.t.Fatal(err)
				}
				if i == 0 {
					cmd.Slots = append(cmd.Slots, stream.Slot{Stream: at.stream, Key: []byte(key), Version: v})
				}
				u.Slot = int32(len(cmd.Slots) - 1)
			}
			e.Keys = append(e.Keys, u)
		}
		cmd.Entries = append(cmd.Entries, e)
		_, end := pub.Part(at.stream, at.partition).Ends()
		l.m.appending[at] = batch{end, end + record.Offset(len(records)), raw, key}
	}
	l.do(cmd)
	for i := range cmd.Outcomes {
		if err := cmd.Outcomes[i].Err; err != nil || cmd.Stale != stream.Fresh {
			l.t.Fatal(err, cmd.Stale)
		}
	}
	for at, b := range l.m.appending {
		src, _ := pub.Source(at.stream, at.partition)
		got, err := pub.Read(nil, src, b.base, 1, shard.AllSeqs)
		if err != nil || len(got) != 1 || got[0].Base != b.base || got[0].Next != b.next {
			l.t.Fatalf("what was appended at %d: %v, %v", b.base, got, err)
		}
		b.raw = bytes.Clone(got[0].Raw)
		l.m.batches[at] = append(l.m.batches[at][:len(l.m.batches[at]):len(l.m.batches[at])], b)
	}
	l.m.appending = nil
}

// truncate cuts a partition somewhere, sometimes all of it.
func (l *life) truncate() {
	ids := l.ids()
	at := lane{ids[l.rng.IntN(len(ids))], record.PartitionID(l.rng.IntN(partitions))}
	start, end := l.n.Published().Part(at.stream, at.partition).Ends()
	before := start + record.Offset(l.rng.IntN(int(end-start)+1))
	if l.rng.IntN(3) == 0 {
		before = end
	}
	l.m.trimming = map[lane]record.Offset{at: before}
	l.do(&shard.Truncate{Name: l.m.names[at.stream], Cuts: []stream.Cut{{Partition: at.partition, Before: before, Why: stream.WhyRequest}}})
	l.m.start[at], l.m.trimming = before, nil
}

func (l *life) delete() {
	ids := l.ids()
	id := ids[l.rng.IntN(len(ids))]
	mode := l.m.keys[id]
	l.m.deleting = id
	l.do(&shard.DeleteStream{Name: l.m.names[id]})
	delete(l.m.names, id)
	l.m.deleting = 0
	l.create(mode)
}

// check compares a node with the model.
func (m *model) check(n *node) error {
	pub := n.Published()
	appended := 0
	for _, id := range slices.Sorted(maps.Keys(m.names)) {
		if _, ok := pub.Stream(id); !ok {
			if id == m.deleting {
				continue
			}
			return fmt.Errorf("stream %d is gone", id)
		}
		for p := range record.PartitionID(partitions) {
			found, err := m.checkLane(pub, lane{id, p})
			if err != nil {
				return fmt.Errorf("stream %d, partition %d: %w", id, p, err)
			}
			if found {
				appended++
			}
		}
	}
	if appended != 0 && appended != len(m.appending) {
		return fmt.Errorf("%d of %d batches of a frame are there", appended, len(m.appending))
	}
	return nil
}

// checkLane compares a partition with what was answered; found: what was in flight is there as well.
func (m *model) checkLane(pub *shard.Published, at lane) (found bool, err error) {
	src, _ := pub.Source(at.stream, at.partition)
	start, end := src.Part.Ends()
	if start != m.start[at] && !(m.trimming != nil && start == m.trimming[at]) {
		return false, fmt.Errorf("it begins at %d, want %d or %d", start, m.start[at], m.trimming[at])
	}
	want := m.batches[at]
	if b, ok := m.appending[at]; ok && end == b.next {
		want, found = append(want[:len(want):len(want)], b), true
	}
	last := record.Offset(0)
	if len(want) > 0 {
		last = want[len(want)-1].next
	}
	if end != last {
		return found, fmt.Errorf("it ends at %d, want %d", end, last)
	}
	from := start
	for _, b := range want {
		if b.next <= start {
			continue
		}
		got, err := pub.Read(nil, src, from, 1, shard.AllSeqs)
		if err != nil || len(got) == 0 {
			return found, fmt.Errorf("read at %d of %d: %d batches, %w", from, end, len(got), err)
		}
		// A stored batch differs in base offset and leader epoch from one that was never answered; both lie outside of what is compared then.
		if g := got[0]; g.Base != b.base || g.Next != b.next || !bytes.Equal(g.Raw[16:], b.raw[16:]) || !found && !bytes.Equal(g.Raw, b.raw) {
			return found, fmt.Errorf("offsets %d to %d are other bytes", b.base, b.next)
		}
		from = b.next
	}
	return found, m.checkKeys(pub, at, start, want)
}

func (m *model) checkKeys(pub *shard.Published, at lane, start record.Offset, want []batch) error {
	offsets, total := map[string][]record.Offset{}, map[string]uint64{}
	for _, b := range want {
		for o := b.base; o < b.next; o++ {
			if total[b.key]++; o >= start {
				offsets[b.key] = append(offsets[b.key], o)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(total)) {
		left := offsets[key]
		e, ok, err := pub.Latest(at.stream, []byte(key), pub.Seq())
		if err != nil || ok != (len(left) > 0) || ok && (e.Offset != left[len(left)-1] || e.Partition != at.partition) {
			return fmt.Errorf("latest of %q is %+v, %t, %w; it has %v", key, e, ok, err, left)
		}
		first := total[key] - uint64(len(left))
		h := pub.History(at.stream, []byte(key), nil, false, pub.Seq())
		n := 0
		for e, ok := h.Next(); ok; e, ok = h.Next() {
			if n >= len(left) || e.Offset != left[n] || m.keys[at.stream] == stream.KeysVersioned && e.Version != first+uint64(n)+1 {
				return fmt.Errorf("history of %q: entry %d is %+v of %v, the first has version %d", key, n, e, left, first+1)
			}
			n++
		}
		if h.Close(); h.Err() != nil || n != len(left) {
			return fmt.Errorf("history of %q has %d entries of %d: %w", key, n, len(left), h.Err())
		}
		if m.keys[at.stream] != stream.KeysVersioned {
			continue
		}
		if v, err := pub.Version(pub.Fingerprint(at.stream, []byte(key)), at.stream, []byte(key)); err != nil || v != total[key] {
			return fmt.Errorf("version of %q is %d, %w; it has had %d records", key, v, err, total[key])
		}
	}
	return nil
}

// survives opens what a crash left, lets the keeper finish what it finds, crashes again, and opens once more: nothing is lost, and no file lies about.
func (m *model) survives(fs *memory.FS, rows *statemem.Store, rng *rand.Rand) error {
	for range 2 {
		n, err := open(fs, rows, nil)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		if err := m.check(n); err != nil {
			return err
		}
		if err := n.keepAll(); err != nil {
			return err
		}
		if err := m.check(n); err != nil {
			return fmt.Errorf("after the keeper: %w", err)
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

// noLeaks looks for files that nobody names.
func (n *node) noLeaks(fs vfs.FS) error {
	for dir, want := range map[string]int{"/segments": 2 * len(n.files.Files()), "/keys": int(n.index.Metrics().Files)} {
		names, err := fs.List(dir)
		names = slices.DeleteFunc(names, func(s string) bool { return s == "LOCK" || strings.EqualFold(s, "manifest") })
		if err != nil || len(names) != want {
			return fmt.Errorf("%s holds %v, want %d files: %w", dir, names, want, err)
		}
	}
	return nil
}

func TestCrash_AfterEverySyncAndRename(t *testing.T) {
	const rounds = 14
	base := memory.New()
	fs := faulty.New(base)
	rows := statemem.New()
	n, err := open(fs, rows, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, rng: rand.New(rand.NewPCG(1, 1)), n: n, m: newModel()}
	for _, mode := range []stream.KeyMode{stream.KeysLatest, stream.KeysHistory, stream.KeysVersioned, stream.KeysVersioned} {
		l.create(mode)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	crashes := map[string]int{}
	fs.Watch(func(c faulty.Call, _ error) {
		switch c.Op {
		case faulty.Sync, faulty.Rename, faulty.SyncDir, faulty.Remove:
		default:
			return
		}
		dir := strings.Split(c.Name, "/")[1]
		if t.Failed() || dir == "journal" && rng.IntN(8) > 0 || testing.Short() && rng.IntN(8) > 0 {
			return // each append syncs the journal, and the journal's own tests crash at each
		}
		mode := memory.Mode(rng.IntN(3))
		crashes[dir]++
		if err := l.m.clone().survives(base.CrashClone(rng, mode), rows.Crash(), rng); err != nil {
			t.Errorf("mode %d, after call %d (%s %s): %v", mode, c.Number, c.Op, c.Name, err)
		}
	})
	merges := int64(0)
	for round := range rounds {
		for range 20 {
			l.append()
		}
		switch round % 5 {
		case 1:
			must(t, n.index.Flush())
		case 2:
			l.truncate()
			l.truncate()
		case 3:
			must(t, rows.Flush())
		case 4:
			l.delete()
		}
		must(t, n.keepAll())
		merges = max(merges, n.KeepStats().Merges)
	}
	fs.Watch(nil)
	must(t, l.m.check(n))
	if k := n.KeepStats(); k.Windows < rounds/2 || merges < 2 || n.index.Metrics().Merges < 2 {
		t.Errorf("too little was kept: %+v, %+v", k, n.index.Metrics())
	}
	if least := 20; crashes["segments"] < least || crashes["keys"] < least || !testing.Short() && crashes["segments"]+crashes["keys"] < 20*least {
		t.Errorf("too few crashes: %v", crashes)
	}
	t.Log(crashes, n.KeepStats(), n.index.Metrics().Merges)
}

// Key files may be merged from the moment the index is open, when the frames that made their streams are still to be replayed: what a merge does
// not know must not be taken for gone.
func TestOpen_MergesBeforeTheReplayKeepEverything(t *testing.T) {
	fs, rows := memory.New(), statemem.New()
	noWindows := func(c *shard.Config) { c.Keep.WindowBytes = 0 }
	n, err := open(fs, rows, noWindows)
	must(t, err)
	l := &life{t: t, rng: rand.New(rand.NewPCG(3, 1)), n: n, m: newModel()}
	must(t, rows.Flush()) // before there is any stream
	for _, mode := range []stream.KeyMode{stream.KeysLatest, stream.KeysHistory, stream.KeysVersioned} {
		l.create(mode)
	}
	for range 6 {
		for range 5 {
			l.append()
		}
		must(t, n.index.Flush())
	}
	var again *node
	merged := int64(0)
	again, err = open(fs.CrashClone(l.rng, memory.KeepNone), rows.Crash(), func(c *shard.Config) {
		noWindows(c)
		openKeys, openJournal := c.OpenKeys, c.OpenJournal
		var index *keys.Index
		c.OpenKeys = func(opt keys.Options) (x *keys.Index, err error) {
			index, err = openKeys(opt)
			return index, err
		}
		c.OpenJournal = func() (journal.Journal, error) {
			for did := true; did; {
				var err error
				if did, err = index.Maintain(); err != nil {
					return nil, err
				}
			}
			merged = index.Metrics().Merges
			return openJournal()
		}
	})
	must(t, err)
	if merged == 0 {
		t.Fatal("nothing was merged before the replay")
	}
	must(t, l.m.check(again))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
