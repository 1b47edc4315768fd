package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/storage/journal"
	"leat/storage/keys"
	"leat/storage/segment"
)

// stuckJournal writes a frame only when it may.
type stuckJournal struct {
	journal.Journal
	*gate
}

type gate struct {
	may   sync.RWMutex
	asked atomic.Int64 // frames that were to be written
}

func (j stuckJournal) Append(f journal.Frame) (journal.Place, error) {
	j.asked.Add(1)
	j.may.RLock()
	defer j.may.RUnlock()
	return j.Journal.Append(f)
}

// stuck is a house of one shard whose journal stands still while may is locked.
func stuck(t *testing.T) (h *house, g *gate) {
	t.Helper()
	h, g = newHouse(t, 1, ""), &gate{}
	files, err := segment.Open(h.disks[0], "/segments", segment.Default(), segment.Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	h.b, err = broker.Open(broker.Options{
		Config: h.cfg, Lineage: 7, Cluster: "test", Node: 1, Clock: h.clock, Log: quiet,
		Shards: []broker.ShardStore{{
			OpenJournal: func() (journal.Journal, error) { return stuckJournal{h.journals[0].Open(), g}, nil }, State: h.states[0], Segments: files,
			OpenKeys: func(opt keys.Options) (*keys.Index, error) {
				return keys.Open(h.disks[0], "/keys", keys.Default(), opt)
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, g
}

// pipe is a connection that hands in one batch behind the other.
type pipe struct {
	h        *house
	lane     broker.Lane
	producer int64
	sequence int32
	waits    []*broker.PendingBatches
}

func (p *pipe) entry(stream, value string) broker.BatchEntry {
	r := record.Record{Timestamp: 1_700_000_000_000, Key: []byte("k"), Value: []byte(value), Headers: []record.Header{{Key: "ce_subject", Value: []byte("a.b")}}}
	b, err := record.BuildBatch([]record.Record{r})
	if err != nil {
		p.h.t.Fatal(err)
	}
	if p.producer >= 0 {
		record.StampProducer(b, p.producer, 0, p.sequence)
		p.sequence++
	}
	return broker.BatchEntry{Stream: stream, Batch: b}
}

func (p *pipe) send(entries ...broker.BatchEntry) {
	p.waits = append(p.waits, p.h.b.SubmitBatches(context.Background(), p.h.c, broker.BatchAppend{Entries: entries, Lane: &p.lane}))
}

func (p *pipe) wait(t *testing.T) {
	for i, w := range p.waits {
		for _, r := range w.Wait(context.Background()) {
			if r.Err != nil {
				t.Errorf("request %d: %v", i, r.Err)
			}
		}
	}
	p.waits = nil
}

// wantInOrder checks that a stream's values are 0, 1, 2, ….
func (h *house) wantInOrder(stream string, n int) {
	h.t.Helper()
	got := h.values(stream)
	if len(got) != n {
		h.t.Fatalf("%s has %d events, expected %d", stream, len(got), n)
	}
	for i, v := range got {
		if v != fmt.Sprint(i) {
			h.t.Fatalf("event %d of %s is %s", i, stream, v)
		}
	}
}

// What is handed in while the key mode changes, of which its maker cannot know yet, is resolved again; what the same connection hands in afterwards stays behind it.
func TestLane_StaleBatchesStayInOrder(t *testing.T) {
	for _, producer := range []int64{-1, 7} {
		t.Run(fmt.Sprint("producer ", producer), func(t *testing.T) {
			h, g := stuck(t)
			h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
			h.create("other", broker.StreamConfig{Keys: broker.KeysOff})
			p := &pipe{h: h, producer: producer}
			n := 0
			next := func() broker.BatchEntry {
				n++
				return p.entry("s", fmt.Sprint(n-1))
			}
			p.send(next())
			p.wait(t)
			for _, mode := range []broker.KeyMode{broker.KeysVersioned, broker.KeysOff, broker.KeysHistory} {
				h.built("s")
				g.may.Lock()
				before := g.asked.Load()
				var alter sync.WaitGroup
				alter.Go(func() { h.change("s", mode) })
				for g.asked.Load() == before {
					time.Sleep(time.Millisecond)
				}
				p.send(next())
				p.send(p.entryAside("other"), next())
				p.send(next())
				g.may.Unlock()
				alter.Wait()
				p.send(next()) // resolved against what is published now
				p.send(next())
				p.wait(t)
			}
			h.wantInOrder("s", n)
		})
	}
}

// entryAside is for another stream, where it is not stale.
func (p *pipe) entryAside(stream string) broker.BatchEntry {
	aside := pipe{h: p.h, producer: -1}
	return aside.entry(stream, "x")
}

// A connection hands in batch after batch while everything that they are resolved against changes.
func TestLane_OrderWhileAllElseChanges(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const batches, inFlight = 1500, 40
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		h.subscribe("v", broker.StartLatest, routedBy("a.b", "x"), "s")
		h.subscribe("w", broker.StartLatest, routedBy("a.b", "x"), "s") // of the class of v until it is changed
		stop := make(chan struct{})
		var changes sync.WaitGroup
		changes.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				switch i % 4 {
				case 0:
					err = tryAlter(h, "s", func(c *broker.StreamConfig) {
						c.Keys = []broker.KeyMode{broker.KeysHistory, broker.KeysVersioned, broker.KeysOff}[i/4%3]
					})
				case 1, 3:
					err = h.bind("w", []string{"y"}, i%4 == 1)
				case 2:
					if i < 40 {
						err = tryAlter(h, "s", func(c *broker.StreamConfig) { c.Partitions++ })
					}
				}
				if err != nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
			}
		})
		var pipes sync.WaitGroup
		for producer := range int64(2) {
			pipes.Go(func() {
				p := &pipe{h: h, producer: producer - 1}
				sent := make(chan *broker.PendingBatches, inFlight)
				pipes.Go(func() {
					for w := range sent {
						if r := w.Wait(context.Background())[0]; r.Err != nil {
							t.Error(r.Err)
						}
					}
				})
				for i := range batches {
					e := p.entry("s", fmt.Sprint(producer, " ", i))
					sent <- h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: []broker.BatchEntry{e}, Lane: &p.lane})
				}
				close(sent)
			})
		}
		pipes.Wait()
		close(stop)
		changes.Wait()
		next := [2]int{}
		for _, v := range h.values("s") {
			var producer, i int
			if _, err := fmt.Sscan(v, &producer, &i); err != nil || i != next[producer] {
				t.Fatalf("%s comes where %d was expected (%v)", v, next[producer], err)
			}
			next[producer]++
		}
		if next != [2]int{batches, batches} {
			t.Fatalf("%v events", next)
		}
	})
}

// Who gives up waiting keeps nobody else from being appended.
func TestLane_SomebodyGivesUp(t *testing.T) {
	h, g := stuck(t)
	h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
	p := &pipe{h: h, producer: -1}
	g.may.Lock()
	before := g.asked.Load()
	var alter sync.WaitGroup
	alter.Go(func() { h.change("s", broker.KeysHistory) })
	for g.asked.Load() == before {
		time.Sleep(time.Millisecond)
	}
	for i := range 3 {
		p.send(p.entry("s", fmt.Sprint(i)))
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if r := p.waits[0].Wait(gone)[0]; !fault.Is(r.Err, fault.Unknown) {
		t.Fatalf("%+v", r)
	}
	g.may.Unlock()
	alter.Wait()
	p.send(p.entry("s", "3"))
	p.waits = p.waits[1:]
	p.wait(t)
	if got := h.values("s"); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Fatal(got)
	}
}
