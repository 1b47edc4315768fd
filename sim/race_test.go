package sim

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/keys"
	"leat/storage/segment"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/memory"
)

var raceFlag = flag.Duration("race-for", 3*time.Second, "how long TestRace_ReadersBesideTheKeeper goes on")

// raceBroker is a real broker on a disk in memory, with windows, files and chunks as small as they may be, and no hot tail.
func raceBroker(t *testing.T) *broker.Broker {
	t.Helper()
	fs := memory.New()
	jc, sc, kc := disk.Default(), segment.Default(), keys.Default()
	jc.FileBytes, jc.FrameBytesMax, jc.RingBytes, jc.IdleSeal = 64<<10, 24<<10, 256<<10, time.Millisecond
	sc.OwnBytesMin, sc.BlockBytes, sc.SharedBytesMax, sc.MergeFiles, sc.OpenFilesMax, sc.CacheBytes = 8<<10, 1<<10, 64<<10, 2, 2, 64<<10
	kc.ChunkBytes, kc.BlockBytes, kc.FanIn, kc.OpenFilesMax, kc.CacheBytes = 4<<10, 512, 2, 4, 4<<10
	files, err := segment.Open(fs, "/segments", sc, segment.Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c := broker.Default()
	c.HotTailBytes, c.SegmentWindowBytes, c.SegmentBacklogBytesMax, c.KeepInterval = 0, 16<<10, 1<<20, 10*time.Millisecond
	b, err := broker.Open(broker.Options{
		Config: c, Lineage: lineage, Cluster: "race", Clock: clock.Real, Log: quiet,
		Shards: []broker.ShardStore{{
			OpenJournal: func() (journal.Journal, error) { return disk.Open(fs, "/journal", jc, disk.Options{Log: quiet}) },
			State:       statemem.New(), Segments: files,
			OpenKeys: func(opt keys.Options) (*keys.Index, error) {
				opt.Log = quiet
				return keys.Open(fs, "/keys", kc, opt)
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// race is what its goroutines share. Every key is written by one of them, and its n-th event says n: whoever reads the events of a partition, or of a
// key, finds them one behind the other, or has been told why not.
type race struct {
	t     *testing.T
	b     *broker.Broker
	over  chan struct{}
	tips  sync.Map // stream/key -> *atomic.Int64: events that were answered
	reads [readerKinds]atomic.Int64
	told  atomic.Int64 // readers that were told of a truncation
	cuts  atomic.Int64
}

const (
	byOffset = iota
	byFollowing
	byKey
	byPage
	ofDeleted
	readerKinds

	raceWriters    = 2
	raceKeys       = 5 // of each writer
	racePartitions = 2
	raceKept       = 1500 // events of a partition that truncation leaves
)

var raceStreams = []string{"history", "versioned", "latest"}

func (r *race) running() bool {
	select {
	case <-r.over:
		return false
	default:
		return !r.t.Failed()
	}
}

func (r *race) tip(stream, key string) *atomic.Int64 {
	v, _ := r.tips.LoadOrStore(stream+"/"+key, new(atomic.Int64))
	return v.(*atomic.Int64)
}

func entryOf(stream, key, value string) broker.EventEntry {
	return broker.EventEntry{Stream: stream, Partition: record.NoPartition, Record: record.Record{Key: []byte(key), Value: []byte(value)}}
}

func (r *race) write(id int) {
	rng := rand.New(rand.NewPCG(uint64(id), 1))
	next := map[string]int64{}
	for r.running() {
		var events []broker.EventEntry
		for range 1 + rng.IntN(8) {
			s, key := raceStreams[rng.IntN(len(raceStreams))], fmt.Sprintf("w%d-k%d", id, rng.IntN(raceKeys))
			events = append(events, entryOf(s, key, fmt.Sprintf("%s %d %s", key, next[s+"/"+key], strings.Repeat(".", rng.IntN(120)))))
			next[s+"/"+key]++
		}
		if _, err := r.b.AppendEvents(context.Background(), nobody, broker.EventsAppend{Events: events}); err != nil {
			r.t.Errorf("append: %v", err)
			return
		}
		for _, e := range events {
			r.tip(e.Stream, string(e.Record.Key)).Add(1)
		}
	}
}

// order follows the events of keys.
type order struct {
	last   map[string]int64
	sparse bool // the stream lets go of all but the latest event of a key
}

func newOrder(stream string) *order { return &order{map[string]int64{}, stream == "latest"} }

// next takes an event; step is 1, or -1 for whoever reads backwards.
func (o *order) next(value string, step int64) error {
	var key string
	var n int64
	if _, err := fmt.Sscanf(value, "%s %d ", &key, &n); err != nil {
		return fmt.Errorf("%.40q: %w", value, err)
	}
	if last, ok := o.last[key]; ok && n != last+step && (!o.sparse || (n-last)*step < 1) {
		return fmt.Errorf("a hole: of key %s, %d comes after %d", key, n, last)
	}
	o.last[key] = n
	return nil
}

func (r *race) readOffsets(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for r.running() {
		c := broker.Cursor{Stream: raceStreams[rng.IntN(len(raceStreams))], Partition: record.PartitionID(rng.IntN(racePartitions)), BytesMax: 1 + rng.IntN(8<<10)}
		o := newOrder(c.Stream)
		for range 60 {
			x := r.b.Read(context.Background(), nobody, []broker.Cursor{c}, c.BytesMax)[0]
			if x.Err != nil {
				start, ok := x.Err.Detail.(record.Offset)
				if x.Err.Kind != fault.Trimmed || !ok || start <= c.From {
					r.t.Errorf("read %s/%d at %d: %v", c.Stream, c.Partition, c.From, x.Err)
					return
				}
				r.told.Add(1)
				c.From, o = start, newOrder(c.Stream)
				continue
			}
			if len(x.Batches) == 0 {
				break
			}
			for _, s := range x.Batches {
				if s.Base > c.From && !o.sparse {
					r.t.Errorf("a hole: at %d of %s/%d the next batch is %d to %d", c.From, c.Stream, c.Partition, s.Base, s.Next)
					return
				}
				err := record.EachRecord(s.Raw, record.DefaultInflateLimits(), func(_ int, rec *record.Record) error {
					if rec.Offset < c.From {
						return nil
					}
					return o.next(string(rec.Value), 1)
				})
				if err != nil {
					r.t.Errorf("read %s/%d from %d: %v", c.Stream, c.Partition, c.From, err)
					return
				}
				c.From = s.Next
			}
			r.reads[byOffset].Add(1)
		}
	}
}

// follow reads all streams together. Once told of a truncation, it begins anew.
func (r *race) follow() {
	for r.running() {
		f, err := r.b.Follow(context.Background(), nobody, broker.FollowRequest{Streams: raceStreams})
		if err != nil {
			r.t.Errorf("follow: %v", err)
			return
		}
		orders := map[string]*order{}
		for _, s := range raceStreams {
			orders[s] = newOrder(s)
		}
		for r.running() {
			ctx, stop := context.WithTimeout(context.Background(), time.Second)
			events, err := f.Next(ctx, 100)
			stop()
			if ctx.Err() != nil && err != nil {
				continue
			}
			if fault.Is(err, fault.Trimmed) {
				r.told.Add(1)
				break
			}
			if err != nil {
				r.t.Errorf("follow: %v", err)
				return
			}
			for _, e := range events {
				if err := orders[e.Ref.Stream].next(string(e.Record.Value), 1); err != nil {
					r.t.Errorf("follow %s: %v", e.Ref.Stream, err)
					return
				}
			}
			r.reads[byFollowing].Add(1)
		}
		f.Close()
	}
}

func (r *race) readKeys(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	for r.running() {
		s, key := raceStreams[rng.IntN(len(raceStreams))], fmt.Sprintf("w%d-k%d", rng.IntN(raceWriters), rng.IntN(raceKeys))
		least := r.tip(s, key).Load()
		p, err := r.b.ReadPage(context.Background(), nobody, broker.PageRequest{Streams: []string{s}, Key: []byte(key), Limit: 200, Backward: rng.IntN(2) == 0, From: broker.Start{Kind: broker.StartEarliest}})
		if err != nil && !fault.Is(err, fault.Trimmed) {
			r.t.Errorf("key %s of %s: %v", key, s, err)
			return
		}
		if err := r.checkKey(s, p, least); err != nil {
			r.t.Errorf("key %s of %s: %v", key, s, err)
			return
		}
		r.reads[byKey].Add(1)
	}
}

// checkKey: a key's events follow one another and have the version that their number says; the latest is no older than one answered before.
func (r *race) checkKey(stream string, p broker.Page, least int64) error {
	o := newOrder(stream)
	for i, e := range p.Events {
		var key string
		var n int64
		if _, err := fmt.Sscanf(string(e.Record.Value), "%s %d ", &key, &n); err != nil {
			return err
		}
		if stream == "versioned" && e.Version != uint64(n+1) {
			return fmt.Errorf("event %d has version %d", n, e.Version)
		}
		if stream == "latest" && (n+1 < least || i > 0) {
			return fmt.Errorf("the latest is %d, and %d were answered", n, least)
		}
		if err := o.next(string(e.Record.Value), 1); err != nil {
			return err
		}
	}
	return nil
}

// readBack pages backwards from the end.
func (r *race) readBack() {
	for n := 0; r.running(); n++ {
		s := raceStreams[n%len(raceStreams)]
		q := broker.PageRequest{Streams: []string{s}, Backward: true, Limit: 50, From: broker.Start{Kind: broker.StartLatest}}
		o := newOrder(s)
		for range 10 {
			p, err := r.b.ReadPage(context.Background(), nobody, q)
			if err != nil {
				if !fault.Is(err, fault.Trimmed) {
					r.t.Errorf("back in %s: %v", s, err)
					return
				}
				r.told.Add(1)
				break
			}
			for _, e := range p.Events {
				if err := o.next(string(e.Record.Value), -1); err != nil {
					r.t.Errorf("back in %s: %v", s, err)
					return
				}
			}
			r.reads[byPage].Add(1)
			if p.CaughtUp {
				break
			}
			q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
		}
	}
}

// truncate keeps partitions short, by large and small steps.
func (r *race) truncate() {
	rng := rand.New(rand.NewPCG(9, 9))
	for r.running() {
		s, n := raceStreams[rng.IntN(len(raceStreams))], record.PartitionID(rng.IntN(racePartitions))
		x := r.b.Read(context.Background(), nobody, []broker.Cursor{{Stream: s, Partition: n, BytesMax: 1}}, 1)[0]
		before := x.Start + record.Offset(rng.IntN(50))
		if x.End-x.Start > raceKept || rng.IntN(8) == 0 {
			before = x.End - record.Offset(rng.Int64N(min(int64(x.End-x.Start), raceKept)/2+1))
		}
		before = min(before, x.End)
		if _, err := r.b.Truncate(context.Background(), nobody, broker.Truncation{
			Stream: s, Partition: n, Before: broker.Start{Kind: broker.StartOffset, Offset: before},
		}); err != nil {
			r.t.Errorf("truncate %s/%d before %d: %v", s, n, before, err)
			return
		}
		r.cuts.Add(1)
		time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
	}
}

// remake makes and deletes a stream again and again, while readGone reads it.
func (r *race) remake() {
	for life := 0; r.running(); life++ {
		if _, err := r.b.CreateStream(context.Background(), nobody, "gone", broker.StreamConfig{Keys: broker.KeysHistory}); err != nil {
			r.t.Errorf("create: %v", err)
			return
		}
		for n := range 60 {
			if _, err := r.b.AppendEvents(context.Background(), nobody, broker.EventsAppend{Events: []broker.EventEntry{
				entryOf("gone", "k", fmt.Sprintf("life%d %d %s", life, n, strings.Repeat(".", 200))),
			}}); err != nil {
				r.t.Errorf("append: %v", err)
				return
			}
		}
		if err := r.b.DeleteStream(context.Background(), nobody, "gone"); err != nil {
			r.t.Errorf("delete: %v", err)
			return
		}
	}
}

// readGone reads from the beginning; each life of the stream is a key to order, so none may have a hole from its first event on.
func (r *race) readGone() {
	for r.running() {
		o := newOrder("gone")
		for from := record.Offset(0); r.running(); {
			x := r.b.Read(context.Background(), nobody, []broker.Cursor{{Stream: "gone", From: from, BytesMax: 2 << 10}}, 2<<10)[0]
			if x.Err != nil {
				if x.Err.Kind != fault.NotFound && (x.Err.Kind != fault.Invalid || from == 0) { // past the end of the next life
					r.t.Errorf("read a stream that comes and goes, at %d: %v", from, x.Err)
					return
				}
				break
			}
			if len(x.Batches) == 0 {
				time.Sleep(time.Millisecond) // nothing new
				continue
			}
			for _, s := range x.Batches {
				if s.Base > from {
					r.t.Errorf("a hole: at %d the next batch is %d to %d", from, s.Base, s.Next)
					return
				}
				err := record.EachRecord(s.Raw, record.DefaultInflateLimits(), func(_ int, rec *record.Record) error { return o.next(string(rec.Value), 1) })
				if err != nil {
					r.t.Errorf("read a stream that comes and goes: %v", err)
					return
				}
				from = s.Next
			}
			r.reads[ofDeleted].Add(1)
		}
	}
}

// TestRace_ReadersBesideTheKeeper has readers of every kind beside appends, windows, merges, truncation and deletion. For long, and with the race
// detector: go test ./sim -race -run TestRace -race-for 30s.
func TestRace_ReadersBesideTheKeeper(t *testing.T) {
	b := raceBroker(t)
	for s, mode := range map[string]broker.KeyMode{"history": broker.KeysHistory, "versioned": broker.KeysVersioned, "latest": broker.KeysLatest} {
		if _, err := b.CreateStream(context.Background(), nobody, s, broker.StreamConfig{Partitions: racePartitions, Keys: mode}); err != nil {
			t.Fatal(err)
		}
	}
	r := &race{t: t, b: b, over: make(chan struct{})}
	var wg sync.WaitGroup
	for i := range raceWriters {
		wg.Go(func() { r.write(i) })
		wg.Go(func() { r.readOffsets(uint64(i)) })
		wg.Go(func() { r.readKeys(uint64(i)) })
	}
	for _, fn := range []func(){r.follow, r.readBack, r.truncate, r.remake, r.readGone} {
		wg.Go(fn)
	}
	time.AfterFunc(*raceFlag, func() { close(r.over) })
	wg.Wait()
	k := b.KeepStats()[0]
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for kind := range r.reads {
		// A follower begins at the earliest, which is being cut off under it: in a short run it may never get to read.
		if n := r.reads[kind].Load(); n < 1 && !t.Failed() && (kind != 1 || *raceFlag >= 30*time.Second) {
			t.Errorf("readers of kind %d read %d times", kind, n)
		}
	}
	if !t.Failed() && (k.Windows < 3 || k.Merges < 1 || r.told.Load() < 1 || r.cuts.Load() < 5) {
		t.Errorf("too little happened: %+v, told %d, cuts %d", k, r.told.Load(), r.cuts.Load())
	}
	t.Logf("%d windows, %d merges, %d truncations, readers told of one %d times; reads by offset %d, following %d, by key %d, backwards %d, of a deleted stream %d",
		k.Windows, k.Merges, r.cuts.Load(), r.told.Load(), r.reads[byOffset].Load(), r.reads[byFollowing].Load(), r.reads[byKey].Load(), r.reads[byPage].Load(),
		r.reads[ofDeleted].Load())
}
