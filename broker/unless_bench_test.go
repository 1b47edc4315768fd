package broker_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"leat/broker"
	"leat/broker/record"
)

// BenchmarkUnless appends on conditions to a stream that has a history: LEAT_HISTORY events of it, 1 M unless said. On the disk of the machine.
//
//	name     a name is taken once: no position, a tag that nobody has
//	course   one of 10,000 courses has 100 events; the condition comes behind a position that a query gave
//	query    reading such a course
func BenchmarkUnless(b *testing.B) {
	history := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("LEAT_HISTORY")); err == nil {
		history = n
	}
	dir := b.TempDir() // goes after the house has closed
	h := newHouse(b, 1, "")
	h.dir = dir
	h.open()
	ctx := context.Background()
	h.create("campus", broker.StreamConfig{Tags: true, Keys: broker.KeysOff})
	for at := 0; at < history; at += 1000 {
		events := make([]broker.EventEntry, 1000)
		for i := range events {
			events[i] = tagged("campus", "enrolled", fmt.Sprintf("course:%d student:%d", (at+i)%10_000, at+i), "x")
		}
		h.mustAppend(events...)
	}
	var n atomic.Int64
	run := func(name string, clients int, do func(i int64) error) {
		b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
			var wg sync.WaitGroup
			left := atomic.Int64{}
			left.Store(int64(b.N))
			for range clients {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := do(n.Add(1)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
	plain := func(i int64) error {
		_, err := h.append(tagged("campus", "enrolled", fmt.Sprintf("course:%d student:p%d", i%10_000, i), "x"))
		return err
	}
	name := func(i int64) error {
		tag := fmt.Sprintf("student:n%d", i)
		_, err := h.b.AppendEvents(ctx, h.c, broker.EventsAppend{
			Events: []broker.EventEntry{tagged("campus", "enrolled", tag, "x")},
			Unless: []broker.Unless{{Stream: "campus", Query: broker.EventQuery{Types: []string{"enrolled"}, Tags: []string{tag}}}},
		})
		return err
	}
	query := func(i int64) (record.Position, error) {
		q := broker.PageRequest{Streams: []string{"campus"}, Limit: 1000, Any: []broker.EventQuery{{Types: []string{"enrolled"}, Tags: []string{fmt.Sprintf("course:%d", i%10_000)}}}}
		p, err := h.b.ReadPage(ctx, h.c, q)
		if err == nil && (!p.CaughtUp || len(p.Events) < history/10_000) {
			err = fmt.Errorf("%d events", len(p.Events))
		}
		return p.Next, err
	}
	after, err := query(0)
	if err != nil {
		b.Fatal(err)
	}
	course := func(i int64) error {
		tag := fmt.Sprintf("course:c%d", i)
		_, err := h.b.AppendEvents(ctx, h.c, broker.EventsAppend{
			Events: []broker.EventEntry{tagged("campus", "enrolled", tag+" student:1", "x")},
			Unless: []broker.Unless{
				{Stream: "campus", Query: broker.EventQuery{Types: []string{"enrolled"}, Tags: []string{tag}}, After: after},
				{Stream: "campus", Query: broker.EventQuery{Types: []string{"left"}, Tags: []string{fmt.Sprintf("course:%d", i%10_000)}}, After: after},
			},
		})
		return err
	}
	for _, clients := range []int{1, 32, 256} {
		run("plain", clients, plain)
		run("name", clients, name)
		run("course", clients, course)
	}
	run("query", 2, func(i int64) error { _, err := query(i * 7919); return err })
}
