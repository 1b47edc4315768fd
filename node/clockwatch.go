package node

import (
	"context"
	"sync"
	"time"

	"leat/broker"
	"leat/internal/clock"
)

// A clock that jumps moves retention, leases and timers. The process has a second one that cannot be set, the monotonic: what the two differ by
// in an interval is how far the clock was moved in it.
const (
	clockLookEvery = 5 * time.Second
	clockJumpMin   = time.Second
)

// clockWatch remembers jumps.
type clockWatch struct {
	mu    sync.Mutex
	state broker.ClockState
	at    time.Time // of the last jump; with the monotonic reading
}

// run looks at the clock until ctx ends, and has jumps told.
func (w *clockWatch) run(ctx context.Context, tell func(broker.SystemEvent)) {
	last := clock.Now()
	for clock.Sleep(ctx, clockLookEvery) == nil {
		now := clock.Now()
		if jump := jumped(now.Round(0).Sub(last.Round(0)), now.Sub(last)); jump != 0 {
			w.note(now, jump)
			tell(broker.SystemEvent{Type: broker.TypeClockJumped, Subject: "clock", Data: map[string]any{"ms": jump.Milliseconds()}})
		}
		last = now
	}
}

// jumped is how far the clock was set in an interval that is so long by either clock; 0 when it was not, or no further than clocks are trimmed.
func jumped(wall, monotonic time.Duration) time.Duration {
	d := wall - monotonic
	if d.Abs() < clockJumpMin {
		return 0
	}
	return d
}

func (w *clockWatch) note(now time.Time, jump time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.Jumps++
	w.state.LastMS, w.state.Last, w.at = jump.Milliseconds(), now.Round(0), now
}

// get is what was seen.
func (w *clockWatch) get() *broker.ClockState {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state
	if s.Jumps > 0 {
		s.Age = clock.Since(w.at)
	}
	return &s
}
