package broker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"leat/broker"
)

// benchHouse is a house that a benchmark uses.
func benchHouse(b *testing.B) *house {
	b.Helper()
	h := newHouse(b, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
	return h
}

// appendMany appends from many at once, as producers do.
func appendMany(b *testing.B, h *house) {
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := h.append(event("s", "", "value")); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkAppend_NoSubscription(b *testing.B) {
	h := benchHouse(b)
	b.ResetTimer()
	appendMany(b, h)
}

func BenchmarkAppend_Unattended(b *testing.B) {
	h := benchHouse(b)
	h.subscribe("w", broker.StartLatest, nil, "s")
	b.ResetTimer()
	appendMany(b, h)
}

// BenchmarkReceiveAck is the whole cycle: appended, received ten at a time by eight, acked.
func BenchmarkReceiveAck(b *testing.B) {
	h := benchHouse(b)
	h.subscribe("w", broker.StartLatest, nil, "s")
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var acked atomic.Int64
	done := make(chan struct{})
	for range 8 {
		go func() {
			for ctx.Err() == nil {
				ds, err := h.b.Receive(ctx, h.c, "w", broker.ReceiveRequest{Max: 10, Wait: time.Second})
				if err != nil || len(ds) == 0 {
					continue
				}
				if _, err := h.b.Ack(ctx, h.c, handles(ds)); err == nil && acked.Add(int64(len(ds))) >= int64(b.N) {
					select {
					case done <- struct{}{}:
					default:
					}
				}
			}
		}()
	}
	b.ResetTimer()
	appendMany(b, h)
	for acked.Load() < int64(b.N) {
		select {
		case <-done:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// BenchmarkDeliverOne is one event at a time: appended, handed to a member that waits, acked.
func BenchmarkDeliverOne(b *testing.B) {
	h := benchHouse(b)
	h.subscribe("w", broker.StartLatest, nil, "s")
	ctx := context.Background()
	m, err := h.b.Attach(ctx, h.c, "w", broker.MemberOptions{Prefetch: 100})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.mustAppend(event("s", "", "value"))
		ds, err := m.Next(ctx, 1)
		if err != nil {
			b.Fatal(err)
		}
		h.ack(ds...)
	}
}
