package kafka

import (
	"context"
	"sync/atomic"
	"time"

	"leat/broker"
	"leat/internal/clock"
)

// mute is until when nothing is read from a connection: it has used more than it may, has been told so, and a client that does not keep away by
// itself feels it so (KIP-219). Both goroutines of a connection set it; only the reader waits.
type mute struct{ until atomic.Int64 } // ns

// muteMax is the longest wait for one thing that was used; what is left of a debt is waited for with the next.
const muteMax = 30 * time.Second

// keep makes the wait at least so long from now on, and returns it as it is told to clients.
func (m *mute) keep(d time.Duration) (throttleMS int32) {
	if d <= 0 {
		return 0
	}
	d = min(d, muteMax)
	until := clock.Now().Add(d).UnixNano()
	for {
		was := m.until.Load()
		if was >= until || m.until.CompareAndSwap(was, until) {
			return throttleFor(d)
		}
	}
}

// wait waits as long as the connection is muted, or until it ends or drains.
func (m *mute) wait(ctx context.Context, draining <-chan struct{}) error {
	until := m.until.Load()
	if until == 0 {
		return nil
	}
	d := time.Duration(until - clock.Now().UnixNano())
	if d <= 0 {
		m.until.CompareAndSwap(until, 0)
		return nil
	}
	t := clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-draining:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// work measures what a request costs, where anybody is allotted so much and no more.
type work struct {
	k     *conn
	began time.Time
	apart time.Duration // spent waiting
}

func (k *conn) startWork() work {
	if !k.g.b.Allotted() {
		return work{}
	}
	return work{k: k, began: clock.Now()}
}

// spent ends the measuring and says how long the caller should keep away for it.
func (w *work) spent(c *broker.Caller) time.Duration {
	if w.k == nil {
		return 0
	}
	return w.k.g.b.SpendWork(c, clock.Since(w.began)-w.apart)
}
