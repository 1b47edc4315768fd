package subscription

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/broker/record"
)

// What has waited comes in the order of arrival, however uneven its sources are and however much a member takes at once, while more arrives; and it
// all comes.
func TestMerge_ByArrival(t *testing.T) {
	for _, prefetch := range []int32{1, 10, 1000, 0} {
		for _, priorities := range []int32{1, 3} {
			t.Run(fmt.Sprintf("prefetch %d, %d priorities", prefetch, priorities), func(t *testing.T) {
				testMerge(t, prefetch, priorities)
			})
		}
	}
}

func testMerge(t *testing.T, prefetch, priorities int32) {
	const sources, frames = 5, 2500
	rng := rand.New(rand.NewPCG(uint64(prefetch), uint64(priorities)))
	w := newWorld(t)
	w.quiet = true
	id, fault := w.head.Put(0, Policy{Kind: Delivery, Priorities: priorities}, 1, w.open())
	if fault != nil {
		t.Fatal(fault)
	}
	var starts []Start
	for k := range sources {
		starts = append(starts, Start{Place: Place{Stream: 1 + record.StreamID(k)}})
	}
	if fault := w.head.Begin(id, starts, w.open()); fault != nil {
		t.Fatal(fault)
	}
	w.publish()
	total := 0
	arrive := func() {
		for range 1 + rng.IntN(2) {
			k := min(rng.IntN(sources), rng.IntN(sources)) // the first ones have more
			rs := make([]logged, 1+rng.IntN(3))
			for i := range rs {
				rs[i].Size, rs[i].Priority = 1, uint8(rng.IntN(int(priorities)))
				if rng.IntN(4) > 0 {
					rs[i].to = []ID{id}
					total++
				}
			}
			w.append(Place{Stream: 1 + record.StreamID(k)}, rs)
		}
		if rng.IntN(3) > 0 {
			w.publish()
		}
	}
	for range frames {
		arrive()
	}
	if fault := w.head.Attach(id, Member{ID: 1, Credit: Endless, Prefetch: prefetch}); fault != nil {
		t.Fatal(fault)
	}
	got, last := 0, map[Place]record.Offset{}
	newest := Meta{}
	for n := 0; got < total; n++ {
		if n > 1_000_000 {
			t.Fatalf("%d of %d came, and then nothing", got, total)
		}
		w.feed()
		o := w.head.Drain()
		var hs []Handle
		for _, l := range o.Deliveries {
			m := w.log[l.At.Place][l.At.Offset].Meta
			if before, some := last[l.At.Place]; priorities == 1 && (m.compare(&newest) < 0 || some && l.At.Offset <= before) {
				t.Fatalf("%v came after %v, and %d of its own", m, newest, before)
			}
			newest, last[l.At.Place] = m, l.At.Offset
			hs = append(hs, l.Handle)
		}
		got += len(hs)
		w.head.Drained()
		w.head.Settle(nil, hs, Acked)
		if w.publish(); rng.IntN(3) == 0 && n < 2000 {
			arrive()
		}
	}
}
