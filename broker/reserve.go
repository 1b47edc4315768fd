package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/fault"
	"leat/internal/clock"
)

// budget is the node's memory for requests in flight. Who comes first is served first, so that a large request is not starved by small
// ones.
type budget struct {
	mu      sync.Mutex
	max     int64
	used    int64
	waiting []*waiter
}

type waiter struct {
	n     int64
	ready chan struct{}
}

func (m *budget) init(bytes int64) { m.max = bytes }

// Reserve takes memory for a request before its bytes are read. The caller calls release once, when it no longer holds them. When there is
// none, Reserve waits at most Config.ReserveWait and then refuses with QuotaSpent.
func (b *Broker) Reserve(ctx context.Context, _ *Caller, bytes int) (release func(), err error) {
	m, n := &b.memory, int64(bytes)
	if n > m.max {
		return nil, fault.New(fault.TooLarge, "reserve", "", "the request has %d bytes; the node takes %d for all requests together (broker.memory_bytes)", bytes, m.max)
	}
	m.mu.Lock()
	if len(m.waiting) == 0 && m.used+n <= m.max {
		m.used += n
		m.mu.Unlock()
		return func() { m.release(n) }, nil
	}
	if len(m.waiting) >= reserveWaitersMax {
		m.mu.Unlock()
		return nil, spent(b.cfg.ReserveWait)
	}
	w := &waiter{n, make(chan struct{})}
	m.waiting = append(m.waiting, w)
	m.mu.Unlock()
	t := clock.NewTimer(b.cfg.ReserveWait)
	defer t.Stop()
	select {
	case <-w.ready:
		return func() { m.release(n) }, nil
	case <-t.C:
	case <-ctx.Done():
	}
	if !m.cancel(w) {
		m.release(n) // it became ready just now
	}
	return nil, spent(b.cfg.ReserveWait)
}

const reserveWaitersMax = 20_000

func spent(after time.Duration) error {
	f := fault.New(fault.QuotaSpent, "reserve", "", "the node's memory for requests is in use; try again")
	f.AfterMS = max(after.Milliseconds(), 100)
	return f
}

func (m *budget) release(n int64) {
	m.mu.Lock()
	m.used -= n
	m.grantLocked()
	m.mu.Unlock()
}

// grantLocked serves those who wait, in their order, as far as there is memory.
func (m *budget) grantLocked() {
	for len(m.waiting) > 0 && m.used+m.waiting[0].n <= m.max {
		w := m.waiting[0]
		m.waiting = m.waiting[1:]
		m.used += w.n
		close(w.ready)
	}
}

func (m *budget) cancel(w *waiter) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, x := range m.waiting {
		if x == w {
			m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
			m.grantLocked() // those behind may be smaller
			return true
		}
	}
	return false
}

// MemoryReserved is what requests in flight hold now.
func (b *Broker) MemoryReserved() int64 {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	return b.memory.used
}

// diskReserve keeps appends off the last part of the disk, so that clean-up can still be written there.
type diskReserve struct {
	checked atomic.Int64 // ns
	low     atomic.Bool
	free    atomic.Int64
}

const diskCheckEvery = time.Second

// DiskFull is what an append is refused with while the disk is down to its reserve, nil otherwise: for gateways that would rather have
// their producers wait.
func (b *Broker) DiskFull() error { return b.diskReserve() }

// DiskFree is how much can still be written to the disk; false where there is none.
func (b *Broker) DiskFree() (bytes int64, known bool) {
	if b.opt.FreeBytes == nil {
		return 0, false
	}
	free, _ := b.opt.FreeBytes()
	return free, true
}

// diskReserve refuses an append while the disk is down to its reserve. That it has come to that, or is over, is told in the system stream.
func (b *Broker) diskReserve() error {
	d, now := &b.reserve, b.opt.Clock.Now()
	if b.opt.FreeBytes == nil {
		return nil
	}
	if last := d.checked.Load(); now.UnixNano()-last > int64(diskCheckEvery) && d.checked.CompareAndSwap(last, now.UnixNano()) {
		have, keep := b.opt.FreeBytes()
		d.free.Store(have)
		if low := have < keep; d.low.Swap(low) != low {
			kind := TypeDiskRecovered
			if low {
				kind = TypeDiskLow
			}
			b.System(SystemEvent{Type: kind, Subject: "disk", Data: map[string]any{"free_bytes": have, "reserve_bytes": keep}})
		}
	}
	if !d.low.Load() {
		return nil
	}
	f := fault.New(fault.Unavailable, "append", "", "the disk is nearly full (%d MiB free); delete or truncate streams, or add space", d.free.Load()>>20).Because(fault.ReasonDiskReserve)
	f.AfterMS = 5000
	return f
}

// roomToMove says how much of the disk moving events to segment files may take: half of the reserve stays for what removes events, for the catalog
// and for state. nil: there is no disk.
func (b *Broker) roomToMove() func() int64 {
	if b.opt.FreeBytes == nil {
		return nil
	}
	return func() int64 {
		free, reserve := b.opt.FreeBytes()
		return max(free-reserve/2, 0)
	}
}
