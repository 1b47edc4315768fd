package gateway

import (
	"sync"
	"time"

	"leat/internal/clock"
)

// FaultLineInterval is how far apart two lines about the same thing that keeps failing are, at least: one broken disk and one eager
// producer would otherwise fill what is left of it with log.
const FaultLineInterval = time.Second

// Sparse lets one line through in FaultLineInterval and counts those it holds back. The zero Sparse lets the next one through. Any
// goroutine may call it.
type Sparse struct {
	mu   sync.Mutex
	next time.Time
	held int
}

// Pass reports whether a line may be written now, and then how many were held back since the last one.
func (s *Sparse) Pass() (held int, ok bool) { return s.pass(clock.Now()) }

func (s *Sparse) pass(now time.Time) (held int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next) {
		s.held++
		return 0, false
	}
	held, s.held, s.next = s.held, 0, now.Add(FaultLineInterval)
	return held, true
}

// Rest takes what is held back and was not told yet, for a last word.
func (s *Sparse) Rest() (held int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held, s.held = s.held, 0
	return held
}
