package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

func (h *house) follow(from broker.Start, streams ...string) *broker.Follower {
	h.t.Helper()
	f, err := h.b.Follow(context.Background(), h.c, broker.FollowRequest{Streams: streams, From: from})
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// take reads n events, which must come soon.
func (h *house) take(f *broker.Follower, n int) (out []string) {
	h.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	for len(out) < n {
		ds, err := f.Next(ctx, n-len(out))
		if err != nil {
			h.t.Fatalf("after %v: %v", out, err)
		}
		out = append(out, texts(ds)...)
	}
	return out
}

func TestFollow_ResumesExactlyAfterAnyPosition(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		want := fill(h, 20)
		f := h.follow(broker.Start{}, "a", "b")
		defer f.Close()
		for i := range want {
			got := h.take(f, 1)
			if got[0] != want[i] {
				t.Fatalf("event %d is %s", i, got[0])
			}
			g := h.follow(from(f.Position()), "b", "a")
			if i == len(want)-1 {
				h.mustAppend(event("a", "", "next"))
				want = append(want, "next")
			}
			if d := cmp.Diff(want[i+1:], h.take(g, len(want)-i-1)); d != "" {
				t.Fatalf("resumed after %d: %s", i, d)
			}
			g.Close()
		}
	})
}

func TestFollow_Latest(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		fill(h, 5)
		f := h.follow(broker.Start{Kind: broker.StartLatest}, "a", "b")
		defer f.Close()
		if ds, err := f.TryNext(10); err != nil || len(ds) > 0 {
			t.Fatalf("%v, %v", texts(ds), err)
		}
		h.mustAppend(event("b", "", "x"), event("a", "", "y"))
		if got := fmt.Sprint(h.take(f, 2)); got != "[x y]" {
			t.Fatal(got)
		}
	})
}

func TestFollow_APartitionThatComesLater(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		f := h.follow(broker.Start{}, "s")
		defer f.Close()
		h.mustAppend(event("s", "", "0"))
		h.take(f, 1)
		got := make(chan []string)
		go func() { defer close(got); got <- h.take(f, 1) }()
		time.Sleep(20 * time.Millisecond) // it waits, most probably
		if _, err := h.b.AlterStream(context.Background(), h.c, "s", func(c *broker.StreamConfig) error { c.Partitions = 2; return nil }, 0); err != nil {
			t.Fatal(err)
		}
		h.mustAppend(in(event("s", "", "1"), 1))
		if v := <-got; fmt.Sprint(v) != "[1]" {
			t.Fatal(v)
		}
		// An event of the new partition that is older than one of the old partition, both unseen.
		if _, err := h.b.AlterStream(context.Background(), h.c, "s", func(c *broker.StreamConfig) error { c.Partitions = 3; return nil }, 0); err != nil {
			t.Fatal(err)
		}
		h.mustAppend(in(event("s", "", "2"), 2))
		h.mustAppend(in(event("s", "", "3"), 0))
		if v := fmt.Sprint(h.take(f, 2)); v != "[2 3]" {
			t.Fatal(v)
		}
	})
}

// Partitions are added while four write and two follow: nobody misses an event or sees one twice.
func TestFollow_NothingIsMissedWhileAStreamGrows(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		const writers, rounds = 4, 60
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range rounds {
					if w == 0 && i%6 == 0 {
						if _, err := h.b.AlterStream(context.Background(), h.c, "s", func(c *broker.StreamConfig) error { c.Partitions++; return nil }, 0); err != nil {
							t.Error(err)
						}
					}
					e := event("s", "", fmt.Sprint(w, " ", i))
					e.Partition = record.NoPartition
					if _, err := h.append(e); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				f := h.follow(broker.Start{}, "s")
				defer f.Close()
				seen := map[string]bool{}
				for _, v := range h.take(f, writers*rounds) {
					if seen[v] {
						t.Errorf("%q came twice", v)
					}
					seen[v] = true
				}
			})
		}
		wg.Wait()
	})
}

func TestFollow_AStreamThatIsDeleted(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.mustAppend(event("s", "", "0"))
		f := h.follow(broker.Start{}, "s")
		defer f.Close()
		h.take(f, 1)
		failed := make(chan error)
		go func() {
			ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
			defer stop()
			_, err := f.Next(ctx, 1)
			failed <- err
		}()
		time.Sleep(10 * time.Millisecond)
		if err := h.b.DeleteStream(context.Background(), h.c, "s"); err != nil {
			t.Fatal(err)
		}
		wantKind(t, <-failed, fault.NotFound)
		// Another stream of the same name is another stream.
		h.create("s", broker.StreamConfig{})
		if got := h.values("s"); len(got) != 0 {
			t.Fatalf("a new stream holds %v", got)
		}
		_, err := f.TryNext(1)
		wantKind(t, err, fault.NotFound)
	})
}

// A reader in the middle of a stream that goes is told so; it is not told that the disk is damaged.
func TestRead_WhileAStreamIsDeleted(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cfg.HotTailBytes = 0
		h.restart()
		for i := range 25 {
			name := fmt.Sprint("s", i)
			h.create(name, broker.StreamConfig{})
			h.mustAppend(event(name, "k", "0"), event(name, "k", "1"))
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for {
						r := h.b.Read(context.Background(), h.c, []broker.Cursor{{Stream: name, BytesMax: 100}}, 100)[0]
						if r.Err == nil {
							continue
						}
						if r.Err.Kind != fault.NotFound {
							t.Errorf("read: %v", r.Err)
						}
						return
					}
				})
			}
			if err := h.b.DeleteStream(context.Background(), h.c, name); err != nil {
				t.Error(err)
			}
			wg.Wait()
		}
	})
}

func TestFollow_AnErrorOfTheMatchEndsIt(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		fill(h, 3)
		broken := errors.New("broken")
		f, err := h.b.Follow(context.Background(), h.c, broker.FollowRequest{Streams: []string{"a"}, Match: func(*broker.Delivered) (bool, error) { return false, broken }})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Next(context.Background(), 1); !errors.Is(err, broken) {
			t.Fatal(err)
		}
	})
}
