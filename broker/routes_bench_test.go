package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/filter/address"
	"leat/broker/record"
	"leat/internal/clock"
	"leat/storage/journal"
	journalmem "leat/storage/journal/memory"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state/pebble"
)

// pebbleHouse is a house whose rows are where those of a node are. Its journal is in memory: what a disk costs is the same for all, and would hide
// what is compared.
func pebbleHouse(b *testing.B) *house {
	b.Helper()
	h := newHouse(b, 1, "")
	st, err := pebble.Open(b.TempDir(), pebble.Default())
	if err != nil {
		b.Fatal(err)
	}
	files, err := segment.Open(h.disks[0], "/segments", segment.Default(), segment.Options{Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	js, err := journalmem.NewStore(journalmem.Default())
	if err != nil {
		b.Fatal(err)
	}
	h.b, err = broker.Open(broker.Options{
		Config: h.cfg, Lineage: 7, Cluster: "test", Node: 1, Clock: clock.Real, Log: quiet,
		Shards: []broker.ShardStore{{
			OpenJournal: func() (journal.Journal, error) { return js.Open(), nil }, State: st, Segments: files,
			OpenKeys: func(opt keys.Options) (*keys.Index, error) {
				return keys.Open(h.disks[0], "/keys", keys.Default(), opt)
			},
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.b.Close(); err != nil {
			b.Error(err)
		}
		h.b = nil
		_ = st.Close()
	})
	h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
	return h
}

// queueNamed makes a subscription to the records of one subject, as gateways do for those who know work lists.
func queueNamed(b *testing.B, h *house, name string) {
	b.Helper()
	_, err := h.b.PutSubscription(context.Background(), h.c, name, func(c *broker.SubscriptionConfig) error {
		c.Streams, c.Policy.Kind = []string{"s"}, broker.SubscriptionDelivery
		c.Address = []broker.AddressFilter{{Stream: "s", Subject: address.Pattern{Syntax: address.Exact, Text: name}}}
		return nil
	}, broker.Start{Kind: broker.StartLatest}, broker.NewOnly)
	if err != nil {
		b.Fatal(err)
	}
}

func queueName(i int) string { return fmt.Sprintf("queue-%06d", i) }

func subjected(subject, value string) broker.EventEntry {
	return broker.EventEntry{Stream: "s", Record: record.Record{Value: []byte(value), Headers: []record.Header{{Key: "ce_subject", Value: []byte(subject)}}}}
}

// many makes queues from many goroutines, because one after another each waits for its frame.
func manyQueues(b *testing.B, h *house, n int) {
	b.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				queueNamed(b, h, queueName(i))
			}
		})
	}
	wg.Wait()
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkPutSubscription makes queues one after another: run it with -benchtime=100000x.
func BenchmarkPutSubscription(b *testing.B) {
	h := pebbleHouse(b)
	before := heapBytes()
	b.ResetTimer()
	for i := range b.N {
		queueNamed(b, h, queueName(i))
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	b.ReportMetric(float64(heapBytes()-before)/float64(b.N), "heap-B/sub")
}

// BenchmarkAppend_Queues appends to a stream that so many queues are bound to by exact subject: each record matches one.
func BenchmarkAppend_Queues(b *testing.B) {
	for _, n := range []int{1, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := pebbleHouse(b)
			manyQueues(b, h, n)
			for i := 0; i < n; i += 100 { // the first of each queue makes a route
				var es []broker.EventEntry
				for k := i; k < min(i+100, n); k++ {
					es = append(es, subjected(queueName(k), "value"))
				}
				h.mustAppend(es...)
			}
			var next atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(64)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := h.append(subjected(queueName(int(next.Add(7919))%n), "value")); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkDrain empties queues one after the other, of all of which records are in the stream: run it with -benchtime=1000000x. One queue
// with all of them is what it is compared with.
func BenchmarkDrain(b *testing.B) {
	for _, n := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := pebbleHouse(b)
			manyQueues(b, h, n)
			const size = 100
			for i := 0; i < b.N; i += size {
				var es []broker.EventEntry
				for k := i; k < min(i+size, b.N); k++ {
					es = append(es, subjected(queueName(k*7919%n), "value"))
				}
				h.mustAppend(es...)
			}
			b.ResetTimer()
			left := b.N
			for i := range n {
				left -= drain(b, h, queueName(i))
			}
			if left != 0 {
				b.Fatalf("%d records were not delivered", left)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// drain takes and acks all that a queue has.
func drain(b *testing.B, h *house, name string) (n int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	info, err := h.b.DescribeSubscription(ctx, h.c, name)
	if err != nil {
		b.Fatal(err)
	}
	if info.Waiting == 0 {
		return 0
	}
	m, err := h.b.Attach(ctx, h.c, name, broker.MemberOptions{Prefetch: 1000})
	if err != nil {
		b.Fatal(err)
	}
	for n < int(info.Waiting) {
		ds, err := m.Next(ctx, 1000)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.b.Ack(ctx, h.c, handles(ds)); err != nil {
			b.Fatal(err)
		}
		n += len(ds)
	}
	if err := m.Detach(ctx, false); err != nil {
		b.Fatal(err)
	}
	return n
}
