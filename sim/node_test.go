package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// The tests here run the real broker with its goroutines over the disk journal: not repeatable to the letter, but the whole way.

func openBroker(fs vfs.FS, st state.Store) (*broker.Broker, error) {
	cfg := disk.Default()
	cfg.FileBytes, cfg.FrameBytesMax, cfg.RingBytes, cfg.IdleSeal = 256<<10, 64<<10, 0, time.Millisecond
	c := broker.Default()
	c.HotTailBytes = 0 // every read goes to the disk
	c.SegmentWindowBytes, c.SegmentBacklogBytesMax, c.KeepInterval = 64<<10, 1<<30, 20*time.Millisecond
	files, index, err := openFiles(fs)
	if err != nil {
		return nil, err
	}
	return broker.Open(broker.Options{
		Config: c, Lineage: lineage, Cluster: "sim", Clock: clock.Real, Log: quiet,
		Shards: []broker.ShardStore{{
			OpenJournal: func() (journal.Journal, error) { return disk.Open(fs, "/journal", cfg, disk.Options{Log: quiet}) }, State: st, Segments: files, OpenKeys: index,
		}},
	})
}

var nobody = &broker.Caller{Protocol: "sim"}

// promises are events that were acknowledged, by offset.
type promises struct {
	mu sync.Mutex
	at map[record.Offset]string
}

func (p *promises) copy() map[record.Offset]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := map[record.Offset]string{}
	maps.Copy(m, p.at)
	return m
}

func appendOne(b *broker.Broker, value string) (record.Offset, error) {
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	r, err := b.AppendEvents(ctx, nobody, broker.EventsAppend{Events: []broker.EventEntry{{Stream: "s", Record: record.Record{Value: []byte(value)}}}})
	if err != nil {
		return 0, err
	}
	return r[0].Ref.Offset, nil
}

// keep compares what a broker holds with what was promised: acknowledged events at their place, each event once, offsets dense.
func keep(b *broker.Broker, want map[record.Offset]string) error {
	seen := map[string]bool{}
	for at := record.Offset(0); ; {
		r := b.Read(context.Background(), nobody, []broker.Cursor{{Stream: "s", From: at, BytesMax: 1 << 20}}, 1<<20)[0]
		if r.Err != nil {
			return fmt.Errorf("read at %d: %w", at, r.Err)
		}
		if len(r.Batches) == 0 {
			if int(at) < len(want) {
				return fmt.Errorf("%d events, %d were acknowledged", at, len(want))
			}
			return nil
		}
		for _, x := range r.Batches {
			err := record.EachRecord(x.Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
				v := string(r.Value)
				if w, ok := want[r.Offset]; ok && w != v {
					return fmt.Errorf("offset %d was acknowledged as %q and is %q", r.Offset, w, v)
				}
				if r.Offset != at || seen[v] {
					return fmt.Errorf("offset %d, expected %d; seen before: %v", r.Offset, at, seen[v])
				}
				seen[v] = true
				at++
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
}

func TestBroker_CrashAfterEverySyncUnderLoad(t *testing.T) {
	base, st := memory.New(), statemem.New()
	fs := faulty.New(base)
	b, err := openBroker(fs, st)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateStream(context.Background(), nobody, "s", broker.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	type crash struct {
		disk  *memory.FS
		store *statemem.Store
		want  map[record.Offset]string
	}
	var (
		p       = promises{at: map[record.Offset]string{}}
		mu      sync.Mutex
		crashes []crash
		rng     = rand.New(rand.NewPCG(1, 2))
	)
	fs.Watch(func(c faulty.Call, _ error) {
		if c.Op != faulty.Sync && c.Op != faulty.WriteAt {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if len(crashes) < 150 {
			want := p.copy() // what was acknowledged before the power went
			mode := []memory.Mode{memory.KeepNone, memory.KeepAll, memory.KeepSome}[rng.IntN(3)]
			crashes = append(crashes, crash{base.CrashClone(rng, mode), st.Crash(), want})
		}
	})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range 60 {
				v := fmt.Sprintf("%d-%d", w, i)
				o, err := appendOne(b, v)
				if err != nil {
					t.Error(err)
					return
				}
				p.mu.Lock()
				p.at[o] = v
				p.mu.Unlock()
				if i%20 == 0 {
					_ = st.Flush() // rows of some crashes are newer than of others
				}
			}
		})
	}
	wg.Wait()
	fs.Watch(nil)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if len(crashes) < 100 {
		t.Fatalf("only %d crashes", len(crashes))
	}
	for i, c := range crashes {
		b, err := openBroker(c.disk, c.store)
		if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		if err := keep(b, c.want); err != nil {
			t.Errorf("crash %d: %v", i, err)
		}
		if _, err := appendOne(b, "after the crash"); err != nil {
			t.Errorf("crash %d: then append: %v", i, err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("crash %d: %v", i, err)
		}
	}
}

// A call fails, of each kind in turn and at several moments: nothing acknowledged is lost, and the node serves again without a restart.
func TestBroker_GoesOnAfterAFailedCall(t *testing.T) {
	for _, op := range []faulty.Op{faulty.WriteAt, faulty.Sync, faulty.Open, faulty.Rename, faulty.SyncDir, faulty.Size, faulty.Truncate} {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			t.Run(fmt.Sprint(op, " ", errno), func(t *testing.T) {
				t.Parallel()
				base := memory.New()
				fs := faulty.New(base)
				b, err := openBroker(fs, statemem.New())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.CreateStream(context.Background(), nobody, "s", broker.StreamConfig{}); err != nil {
					t.Fatal(err)
				}
				want, n := map[record.Offset]string{}, 0
				put := func() error {
					n++
					v := fmt.Sprint(n)
					o, err := appendOne(b, v)
					if err == nil {
						want[o] = v
					}
					return err
				}
				for round := range 3 {
					for range 5 {
						if err := put(); err != nil {
							t.Fatalf("round %d, before the fault: %v", round, err)
						}
					}
					fs.SetRule(faulty.NthOf(op, fs.Count(op)+1+round, errno))
					for range 5 {
						if err := put(); err != nil && !fault.Is(err, fault.Unknown) && !fault.Is(err, fault.Unavailable) {
							t.Fatalf("round %d: %v", round, err)
						}
					}
					fs.SetRule(nil)
					deadline := time.Now().Add(time.Minute)
					for put() != nil {
						if time.Now().After(deadline) {
							t.Fatalf("round %d: it does not serve again: %v", round, b.Ready())
						}
						time.Sleep(5 * time.Millisecond)
					}
					if err := keep(b, want); err != nil {
						t.Fatalf("round %d: %v", round, err)
					}
				}
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				again, err := openBroker(base.CrashClone(rand.New(rand.NewPCG(1, 1)), memory.KeepNone), statemem.New())
				if err != nil {
					t.Fatal(err)
				}
				if err := keep(again, want); err != nil {
					t.Fatalf("after a restart: %v", err)
				}
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// A bit flips in what is stored: whoever reads it is told, and never gets something else.
func TestBroker_FlippedBitsAreNeverServed(t *testing.T) {
	fs := faulty.New(memory.New())
	b, err := openBroker(fs, statemem.New())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := b.CreateStream(context.Background(), nobody, "s", broker.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	want := map[record.Offset]string{}
	for i := range 5 {
		v := fmt.Sprint("value ", i)
		o, err := appendOne(b, v)
		if err != nil {
			t.Fatal(err)
		}
		want[o] = v
	}
	if err := keep(b, want); err != nil {
		t.Fatal(err)
	}
	found := 0
	for bit := 1; bit < 1200; bit++ {
		fs.SetRule(func(c faulty.Call) faulty.Fault { return faulty.Fault{FlipBit: bit} })
		r := b.Read(context.Background(), nobody, []broker.Cursor{{Stream: "s", From: 2, BytesMax: 1}}, 1)[0]
		fs.SetRule(nil)
		switch {
		case r.Err != nil && r.Err.Kind == fault.Corrupt:
			found++
		case r.Err != nil:
			t.Fatalf("bit %d: %v", bit, r.Err)
		default:
			err := record.EachRecord(r.Batches[0].Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
				if string(r.Value) != want[2] || r.Offset != 2 {
					return fmt.Errorf("got %q at %d", r.Value, r.Offset)
				}
				return nil
			})
			if err != nil {
				t.Fatalf("bit %d was served: %v", bit, err)
			}
		}
	}
	if found < 400 {
		t.Fatalf("only %d of the bits were noticed", found)
	}
	if err := keep(b, want); err != nil {
		t.Fatalf("afterwards: %v", err)
	}
}
