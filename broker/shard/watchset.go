package shard

import "sync"

// WatchSet watches many partitions for a reader that comes back to them again and again, and tells it which of them have something new. Each has a number,
// which the reader chooses; small ones from 0 on, since there is a place for each. It is not for two goroutines at once, but for the firing.
//
//	append   ends move ── fire: number noted once ── token
//	reader   token ── Take: numbers forgotten ── reads those partitions
//
// What is appended before Take is read after it, and what is appended later is noted again: nothing is lost between the two.
type WatchSet struct {
	c       chan struct{}
	watches []*Watch // by number; nil: not watched

	mu    sync.Mutex
	noted []int32 // each number at most once, until it is taken
}

// NewWatchSet watches nothing yet.
func NewWatchSet() *WatchSet { return &WatchSet{c: make(chan struct{}, 1)} }

// C fires at least once after something has been noted. It holds one token.
func (s *WatchSet) C() <-chan struct{} { return s.c }

// Set watches p as number n, instead of what had that number. It reports whether that is news: what was appended before is not noted.
func (s *WatchSet) Set(n int32, p *Part) bool {
	for int(n) >= len(s.watches) {
		s.watches = append(s.watches, nil)
	}
	if w := s.watches[n]; w != nil {
		if w.parts[0] == p {
			return false
		}
		w.Close()
	}
	w := &Watch{c: s.c, set: s, number: n}
	w.Add(p)
	s.watches[n] = w
	return true
}

// Clear stops watching what has number n. It may be noted once more.
func (s *WatchSet) Clear(n int32) {
	if int(n) < len(s.watches) && s.watches[n] != nil {
		s.watches[n].Close()
		s.watches[n] = nil
	}
}

// Take appends to dst the numbers of the partitions that had something appended, or were trimmed or deleted, since they were last taken.
func (s *WatchSet) Take(dst []int32) []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.noted {
		if w := s.watches[n]; w != nil {
			w.noted.Store(false)
		}
	}
	dst = append(dst, s.noted...)
	s.noted = s.noted[:0]
	return dst
}

// Close stops watching.
func (s *WatchSet) Close() {
	for n := range s.watches {
		s.Clear(int32(n))
	}
	s.watches = nil
}

// note is called by whoever has appended.
func (s *WatchSet) note(w *Watch) {
	if w.noted.Load() {
		return // and not read yet
	}
	s.mu.Lock()
	if !w.noted.Swap(true) {
		s.noted = append(s.noted, w.number)
	}
	s.mu.Unlock()
}
