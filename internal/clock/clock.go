// Package clock is the only way to the time of day.
//
// # What
//
// Clock is what code that must be steerable takes; Real is the machine's clock. Tests of goroutine-driven code run under
// testing/synctest, where Real is already fake, so there is no fake implementation but Manual, for the simulation.
//
// # Promises
//
// Nothing outside this package calls time.Now, time.Since, time.Sleep, time.After, time.NewTimer, time.NewTicker or time.AfterFunc.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// Clock.
//
// # How tested
//
// clock_test.go.
package clock

import (
	"context"
	"sync"
	"time"
)

// Clock tells the time. It is safe for many goroutines.
type Clock interface {
	Now() time.Time
}

type real struct{}

func (real) Now() time.Time { return time.Now() }

// Real is the machine's clock.
var Real Clock = real{}

// Manual is a clock that moves when told to. The zero Manual stands at the Unix epoch.
type Manual struct {
	mu  sync.Mutex
	now time.Time
}

// NewManual returns a clock that stands at t.
func NewManual(t time.Time) *Manual { return &Manual{now: t} }

// Now returns where the clock stands.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now.IsZero() {
		m.now = time.Unix(0, 0)
	}
	return m.now
}

// Advance moves the clock by d, which may be negative: clocks do that.
func (m *Manual) Advance(d time.Duration) {
	now := m.Now()
	m.mu.Lock()
	m.now = now.Add(d)
	m.mu.Unlock()
}

// Now is Real.Now.
func Now() time.Time { return time.Now() }

// Since is the time that has passed since t.
func Since(t time.Time) time.Duration { return time.Since(t) }

// NewTimer, NewTicker and AfterFunc are those of package time.
func NewTimer(d time.Duration) *time.Timer            { return time.NewTimer(d) }
func NewTicker(d time.Duration) *time.Ticker          { return time.NewTicker(d) }
func AfterFunc(d time.Duration, f func()) *time.Timer { return time.AfterFunc(d, f) }
func After(d time.Duration) <-chan time.Time          { return time.After(d) }

// Sleep waits for d or until ctx ends, whose error it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
