package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
)

// poll asks without waiting.
func (h *house) poll(name string, most int) []broker.Delivery {
	h.t.Helper()
	ds, err := h.b.Receive(context.Background(), h.c, name, broker.ReceiveRequest{Max: most})
	if err != nil {
		h.t.Fatal(err)
	}
	return ds
}

// Whoever does not wait gets what is there all the same: right after the append, right after a restart, and behind many that do not match.
func TestReceive_WithoutWaitingFindsWhatIsThere(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, nil, "s")
		h.subscribe("last", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Where = `data.x == "y"` }, "s")
		if ds := h.poll("w", 10); len(ds) > 0 {
			t.Fatalf("%v of an empty stream", payloads(ds))
		}
		for i := range 20 {
			h.numbers("s", i, i+1)
			ds := h.poll("w", 10)
			if got := strings.Join(payloads(ds), " "); got != fmt.Sprint(i) {
				t.Fatalf("%q was there right after %d was appended", got, i)
			}
			h.ack(ds...)
		}
		var batches []broker.EventEntry
		for range 3000 {
			batches = append(batches, event("s", "", "no match"))
		}
		h.mustAppend(batches...)
		h.mustAppend(event("s", "", `{"x":"y"}`))
		for _, again := range []func(){func() {}, h.restart} {
			again()
			h.clock.Advance(10 * time.Second)
			ds := h.poll("last", 3)
			if got := strings.Join(payloads(ds), " "); got != `{"x":"y"}` {
				t.Fatalf("%q was there behind others", got)
			}
			if ds := h.poll("last", 3); len(ds) > 0 {
				t.Fatal("twice")
			}
		}
	})
}

// Several who poll at once get everything between them, and an empty answer only when nothing is left.
func TestReceive_PollersShareAndEmptyIsEmpty(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, nil, "s")
		const all = 600
		h.numbers("s", 0, all)
		var mu sync.Mutex
		got := map[string]int{}
		var pollers sync.WaitGroup
		for n := range 8 {
			pollers.Go(func() {
				for {
					ds, err := h.b.Receive(context.Background(), h.c, "w", broker.ReceiveRequest{Max: n + 1})
					if err != nil {
						t.Error(err)
						return
					}
					if len(ds) == 0 {
						return // all of them are somebody's
					}
					mu.Lock()
					for _, v := range payloads(ds) {
						got[v]++
					}
					mu.Unlock()
				}
			})
		}
		pollers.Wait()
		if len(got) != all {
			t.Fatalf("%d of %d came before an empty answer", len(got), all)
		}
	})
}

// Of an exclusive subscription whoever receives is gone when the answer is there; what he has stays his.
func TestReceive_NobodyStaysAttached(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		for name, how := range map[string]func(*broker.SubscriptionConfig){
			"exclusive": func(c *broker.SubscriptionConfig) { c.Policy.Members = broker.MembersExclusive },
			"single":    func(c *broker.SubscriptionConfig) { c.Policy.Members = broker.MembersSingleActive },
		} {
			h.subscribe(name, broker.StartLatest, how, "s")
			h.numbers("s", 0, 3)
			ds := h.poll(name, 2)
			if len(ds) != 2 || h.standing(name).Members != 0 {
				t.Fatalf("%s: %v, %d members", name, payloads(ds), h.standing(name).Members)
			}
			m, err := h.b.Attach(ctx, h.c, name, broker.MemberOptions{Prefetch: 10})
			if err != nil {
				t.Fatal(err)
			}
			next, err := m.Next(ctx, 10)
			if err != nil || len(next) != 1 {
				t.Fatalf("%s: %v, %v", name, payloads(next), err)
			}
			if name == "exclusive" {
				_, err := h.b.Receive(ctx, h.c, name, broker.ReceiveRequest{})
				wantKind(t, err, fault.Conflict)
			}
			h.ack(ds...) // its leases went on
			if err := m.Detach(ctx, true); err != nil {
				t.Fatal(err)
			}
			if got := h.poll(name, 10); len(got) != 1 || string(got[0].Record.Value) != "2" {
				t.Fatalf("%s: %v", name, payloads(got))
			}
		}
		var wg sync.WaitGroup
		for range 6 { // by turns, and nobody is refused
			wg.Go(func() {
				for range 20 {
					if _, err := h.b.Receive(ctx, h.c, "exclusive", broker.ReceiveRequest{}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
