package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/storage/journal"
	journalmem "leat/storage/journal/memory"
)

// ledger is what clients know: what was appended for certain, what was acked for certain.
type ledger struct {
	mu       sync.Mutex
	appended map[string]bool
	seen     map[string]bool // delivered
	acked    map[string]int  // when, by count
	count    int
	again    []string // delivered although it had been acked
}

// TestSubscription_NothingIsLostNorComesBack has many receive and ack while the disk fails now and then, and the node is restarted.
func TestSubscription_NothingIsLostNorComesBack(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.LeaseMS = 60_000 }, "s")
		l := &ledger{appended: map[string]bool{}, seen: map[string]bool{}, acked: map[string]int{}}
		for life := range 3 {
			h.rough(life, true)
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			var all sync.WaitGroup
			for p := range 3 {
				all.Go(func() { l.produce(ctx, h, fmt.Sprint(life, "-", p)) })
			}
			for range 3 {
				all.Go(func() { l.work(ctx, h) })
			}
			all.Go(func() { l.attended(ctx, h) })
			all.Go(func() {
				for ctx.Err() == nil {
					h.clock.Advance(20 * time.Millisecond)
					time.Sleep(5 * time.Millisecond)
				}
			})
			all.Wait()
			cancel()
			h.rough(life, false)
			h.healthy()
			if life == 1 {
				h.forget()
			} else {
				h.restart()
			}
			h.clock.Advance(10 * time.Second)
		}
		wait(t, func() bool {
			h.clock.Advance(time.Second)
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			l.work(ctx, h)
			return h.standing("w").Waiting == 0
		})
		for v := range l.appended {
			if !l.seen[v] {
				t.Errorf("%s was never delivered", v)
			}
		}
		if len(l.again) > 0 || len(l.appended) < 50 {
			t.Fatalf("%d were appended; delivered after they were acked: %v", len(l.appended), l.again)
		}
		if i := h.standing("w"); i.WaitingBytes != 0 || i.Leased != 0 {
			t.Fatalf("%+v", i)
		}
	})
}

// rough has the disk fail now and then, or no more.
func (h *house) rough(seed int, on bool) {
	for _, j := range h.journals {
		if !on {
			j.SetHook(nil)
			continue
		}
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		var mu sync.Mutex
		j.SetHook(func(journal.Frame) journalmem.Outcome {
			mu.Lock()
			defer mu.Unlock()
			switch r.IntN(60) {
			case 0:
				return journalmem.NoSpace
			case 1:
				return journalmem.Lost
			case 2:
				return journalmem.Kept
			}
			return journalmem.Durable
		})
	}
}

func (l *ledger) produce(ctx context.Context, h *house, name string) {
	for i := 0; ctx.Err() == nil; i++ {
		v := fmt.Sprint(name, "-", i)
		e := event("s", "", v)
		e.Partition = -1
		if _, err := h.append(e); err == nil {
			l.mu.Lock()
			l.appended[v] = true
			l.mu.Unlock()
		}
		time.Sleep(time.Millisecond)
	}
}

// now counts: what was acknowledged before a count that was taken before a call must not be among what the call hands over.
func (l *ledger) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	return l.count
}

// see notes what was handed over, after since. That counts, and not the time of seeing: after a failed frame another receiver may have been given the
// same, and have acknowledged it meanwhile.
func (l *ledger) see(ds []broker.Delivery, since int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range ds {
		v := string(ds[i].Record.Value)
		l.seen[v] = true
		if at := l.acked[v]; at > 0 && at < since {
			l.again = append(l.again, v)
		}
	}
}

func (l *ledger) settle(h *house, ds []broker.Delivery) {
	out, err := h.b.Ack(context.Background(), h.c, handles(ds))
	if err != nil {
		return // it may have happened
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range ds {
		if out[i].Good() {
			l.count++
			l.acked[string(ds[i].Record.Value)] = l.count
		}
	}
}

func (l *ledger) work(ctx context.Context, h *house) {
	for ctx.Err() == nil {
		since := l.now()
		ds, err := h.b.Receive(ctx, h.c, "w", broker.ReceiveRequest{Max: 5, Wait: 20 * time.Millisecond})
		if err == nil {
			l.see(ds, since)
			l.settle(h, ds)
		}
	}
}

// attended is a member that stays, forgets some of what it gets, and comes back when it is gone.
func (l *ledger) attended(ctx context.Context, h *house) {
	for ctx.Err() == nil {
		before := l.now()
		m, err := h.b.Attach(ctx, h.c, "w", broker.MemberOptions{Prefetch: 4})
		if err != nil {
			continue
		}
		for n := 0; err == nil; n++ {
			var ds []broker.Delivery
			since := before // what is there when Next is called was handed over since it was called last
			before = l.now()
			if ds, err = m.Next(ctx, 4); err == nil {
				l.see(ds, since)
				if n%5 != 0 {
					l.settle(h, ds)
				}
			}
		}
		if ctx.Err() != nil || !fault.Is(err, fault.Unavailable) {
			_ = m.Detach(context.Background(), true)
		}
	}
}
