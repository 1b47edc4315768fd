package subscription

import (
	"math/rand/v2"
	"testing"
)

// The wheel pops everything at its time, in order, whatever is put in, taken out and how time moves.
func TestWheel_PopsInOrderAndOnTime(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		var s slab
		w := wheel{now: int64(r.IntN(1 << 40))}
		alive := map[slot]int64{}
		for range 3000 {
			switch r.IntN(5) {
			case 0, 1, 2:
				i := s.take()
				at := w.now + int64(r.IntN(1<<r.IntN(36))) - 5
				s.at(i).state, s.at(i).DueMS = leased, at
				w.put(&s, i, at)
				alive[i] = at
			case 3:
				for i := range alive {
					w.remove(&s, i)
					s.give(i)
					delete(alive, i)
					break
				}
			default:
				to := w.now + int64(r.IntN(1<<r.IntN(30)))
				first, ok := w.next()
				last := int64(0)
				for i := w.pop(&s, to); i != 0; i = w.pop(&s, to) {
					at := alive[i]
					if at > to || max(at, last) != max(last, at) || at > w.now {
						t.Fatalf("seed %d: popped %d at %d, up to %d", seed, at, w.now, to)
					}
					if at > last {
						last = at
					}
					if !ok || at < first && first != w.now && at > w.now {
						t.Fatalf("seed %d: next said %d", seed, first)
					}
					delete(alive, i)
					s.give(i)
				}
				for _, at := range alive {
					if at <= to {
						t.Fatalf("seed %d: %d is still there at %d", seed, at, to)
					}
				}
				if next, ok := w.next(); ok != (len(alive) > 0) || ok && !anyAtOrAfter(alive, next) {
					t.Fatalf("seed %d: next says %d, %v of %d", seed, next, ok, len(alive))
				}
			}
		}
	}
}

// anyAtOrAfter: next may be early, never late.
func anyAtOrAfter(alive map[slot]int64, next int64) bool {
	for _, at := range alive {
		if at < next {
			return false
		}
	}
	return true
}

// What is left after a peak moves to low pages, and everything that points at it follows.
func TestSlab_ShrinksAfterAPeak(t *testing.T) {
	w := newWorld(t)
	id, err := w.head.Put(0, Policy{Kind: Delivery, Order: OrderKey, LeaseMS: 1000}, 0, w.open())
	if err != nil {
		t.Fatal(err)
	}
	at := Place{1, 0}
	if err := w.head.Begin(id, []Start{{Place: at, All: true}}, w.open()); err != nil {
		t.Fatal(err)
	}
	const n = 60_000
	rs := make([]logged, n)
	for i := range rs {
		rs[i] = logged{Meta: Meta{Size: 1, Key: uint64(i + 1)}}
	}
	w.append(at, rs)
	w.publish()
	if err := w.head.Attach(id, Member{ID: 1, Credit: Endless}); err != nil {
		t.Fatal(err)
	}
	w.feed()
	var got []Leased
	for o := w.head.Drain(); !o.Empty(); o = w.head.Drain() {
		if len(o.Deliveries) > HandOverStep {
			t.Fatalf("%d at once", len(o.Deliveries))
		}
		got = append(got, o.Deliveries...)
		w.head.Drained()
		w.feed()
	}
	if len(got) != n || len(w.head.slab.pages) < n/pageEntries {
		t.Fatalf("%d records in %d pages", len(got), len(w.head.slab.pages))
	}
	for k := range got {
		if k%20 != 0 {
			w.head.Settle(nil, []Handle{got[k].Handle}, Acked)
		}
	}
	for range 100 {
		w.head.Flush(w.open(), true)
	}
	w.publish()
	if p := len(w.head.slab.pages); p > slabPagesKept {
		t.Fatalf("%d records are left in %d pages", w.head.slab.used, p)
	}
	// Timers, lanes and members still find them.
	w.now += 1000
	for w.head.Tick(w.now) {
	}
	if lost := len(w.head.Drain().Lost); lost != n/20 {
		t.Fatalf("%d leases ran out", lost)
	}
	w.publish()
	w.check()
}
