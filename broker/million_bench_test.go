package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/record"
)

// Sizes that were promised of subscriptions, through the broker, with journal and rows on the disk:
//
//	go test ./broker -run '^$' -bench Million -benchtime 1x

const million = 1_000_000

// held is what the heap has.
func held() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func diskHouse(b *testing.B) *house {
	dir := b.TempDir()
	h := newHouse(b, 1, "")
	h.dir = dir
	h.cfg.HotTailBytes = 4 << 20
	h.open()
	return h
}

func fillStream(b *testing.B, h *house, n int, headers func(i int) []record.Header) {
	const batch = 1000
	for at := 0; at < n; at += batch {
		es := make([]broker.EventEntry, batch)
		for i := range es {
			es[i] = event("s", "", strconv.Itoa(at+i))
			if headers != nil {
				es[i].Record.Headers = headers(at + i)
			}
		}
		if _, err := h.b.AppendEvents(context.Background(), h.c, broker.EventsAppend{Events: es}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMillion_AckedOutOfOrder: a million records, nine tenths acked in any order, the rest held: what the heap has for that while members hold them and
// after a start, and how long the start takes.
func BenchmarkMillion_AckedOutOfOrder(b *testing.B) {
	for b.Loop() {
		h := diskHouse(b)
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.UnackedMax, c.Policy.LeaseMS = 2_000_000, 12*60*60*1000 }, "s")
		fillStream(b, h, million, nil)
		before := held()
		var members []*broker.Member
		for range 10 {
			m, err := h.b.Attach(ctx, h.c, "w", broker.MemberOptions{Credit: broker.MemberCreditMax})
			if err != nil {
				b.Fatal(err)
			}
			members = append(members, m)
		}
		var hs []broker.Handle
		begun := time.Now()
		for len(hs) < million {
			for _, m := range members {
				ds, err := m.TryNext(broker.ReceiveMax)
				if err != nil {
					b.Fatal(err)
				}
				for i := range ds {
					hs = append(hs, ds[i].Handle)
				}
			}
		}
		b.ReportMetric(million/time.Since(begun).Seconds(), "received/s")
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(hs), func(i, j int) { hs[i], hs[j] = hs[j], hs[i] })
		begun = time.Now()
		for c := range slices.Chunk(hs[:million/10*9], 1000) {
			if _, err := h.b.Ack(ctx, h.c, c); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(million*0.9/time.Since(begun).Seconds(), "acked/s")
		hs = nil
		time.Sleep(2 * time.Second) // what is lazy is written
		b.ReportMetric(float64(held()-before)/(1<<20), "MiB-held")
		for _, m := range members {
			if err := m.Detach(ctx, true); err != nil {
				b.Fatal(err)
			}
		}
		members = nil
		if err := h.b.Close(); err != nil {
			b.Fatal(err)
		}
		begun = time.Now()
		h.open()
		b.ReportMetric(time.Since(begun).Seconds(), "s-start")
		if i := h.standing("w"); i.Waiting != million/10 {
			b.Fatalf("%+v", i)
		}
		b.ReportMetric(float64(held()-before)/(1<<20), "MiB-started")
		if err := h.b.Close(); err != nil {
			b.Fatal(err)
		}
		h.b = nil
	}
}

// BenchmarkMillion_Delayed: a million records wait, 100,000 of them for times 100 µs apart: how late they come.
func BenchmarkMillion_Delayed(b *testing.B) {
	const soon, lead = 100_000, 3 * time.Second
	for b.Loop() {
		h := diskHouse(b)
		h.create("s", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.DelayMS = 1 }, "s")
		before := held()
		far := h.clock.Now().Add(24 * time.Hour).UnixMilli()
		fillStream(b, h, million-soon, func(int) []record.Header {
			return []record.Header{{Key: broker.HeaderDeliverAt, Value: []byte(strconv.FormatInt(far, 10))}}
		})
		m, err := h.b.Attach(ctx, h.c, "w", broker.MemberOptions{Credit: broker.MemberCreditMax})
		if err != nil {
			b.Fatal(err)
		}
		wait := func(n int) {
			for h.standing("w").Delayed < n {
				time.Sleep(50 * time.Millisecond)
				h.clock.Advance(10 * time.Millisecond)
			}
		}
		wait(million - soon)
		b.ReportMetric(float64(held()-before)/(1<<20), "MiB-delayed")
		base := h.clock.Now().Add(lead)
		fillStream(b, h, soon, func(i int) []record.Header {
			return []record.Header{{Key: broker.HeaderDeliverAt, Value: strconv.AppendInt(nil, base.Add(time.Duration(i)*100*time.Microsecond).UnixMilli(), 10)}}
		})
		wait(million)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { // the machine's time
			at := time.Now()
			for ctx.Err() == nil {
				time.Sleep(time.Millisecond)
				now := time.Now()
				h.clock.Advance(now.Sub(at))
				at = now
			}
		}()
		late := make([]int64, 0, soon)
		for len(late) < soon {
			ds, err := m.Next(ctx, broker.ReceiveMax)
			if err != nil {
				b.Fatal(err)
			}
			now := h.clock.Now().UnixMilli()
			hs := make([]broker.Handle, len(ds))
			for i := range ds {
				due, _ := strconv.ParseInt(string(ds[i].Record.Headers[0].Value), 10, 64)
				late = append(late, now-due)
				hs[i] = ds[i].Handle
			}
			if _, err := h.b.Ack(ctx, h.c, hs); err != nil {
				b.Fatal(err)
			}
		}
		cancel()
		slices.Sort(late)
		b.ReportMetric(float64(late[soon/2]), "ms-late-p50")
		b.ReportMetric(float64(late[soon*99/100]), "ms-late-p99")
		b.ReportMetric(float64(late[soon-1]), "ms-late-max")
		if late[0] < 0 {
			b.Fatal(fmt.Sprint("early by ", -late[0]))
		}
		if err := h.b.Close(); err != nil {
			b.Fatal(err)
		}
		h.b = nil
	}
}
