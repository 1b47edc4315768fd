package archive

import (
	"time"

	"leat/internal/clock"
	"leat/storage/journal"
)

// State is a look at a shipper. Counts are since its start.
type State struct {
	Running  bool        // the bucket was read and frames are being shipped
	Stopped  error       // why Run ended, when only a person can put it right
	Archived journal.Seq // as Shipper.Archived
	Resumed  journal.Seq // what was archived before the start

	LagSeqs   uint64        // from Archived to the end of the journal
	LagBytes  int64         // taken from the journal and not archived; what is not taken yet (while a bucket fails) is not in it
	Lag       time.Duration // age of the oldest frame that was taken and is not archived: what a loss of this machine would cost
	InFlight  int           // packs on their way
	Packs     int64
	SentBytes int64 // to the bucket

	PackedBytes int64 // the content of those packs, before compression

	Failures  int64 // tries that failed
	Failing   bool  // the last try failed
	LastError error
	ErrorTime time.Time

	failing map[string]bool
}

// State returns how the shipper is doing. It may be called by many goroutines.
func (s *Shipper) State() State {
	tail := journal.Seq(0)
	if j := s.src.Journal(); j != nil {
		tail = j.Tail().Seq
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state
	st.Archived, st.InFlight, st.Failing = s.archived, len(s.flying), len(s.state.failing) > 0
	st.failing = nil
	if tail > s.archived {
		st.LagSeqs = uint64(tail - s.archived)
	}
	oldest := s.openAt
	st.LagBytes = s.openSize
	for i, p := range s.flying {
		if i == 0 {
			oldest = p.since
		}
		st.LagBytes += p.head.content
	}
	if !oldest.IsZero() {
		st.Lag = clock.Since(oldest)
	}
	return st
}

// failed counts a failure, and logs the first of a row.
func (s *Shipper) failed(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Failures++
	s.state.LastError, s.state.ErrorTime = err, clock.Now()
	if s.state.failing == nil {
		s.state.failing = map[string]bool{}
	}
	if !s.state.failing[what] {
		s.state.failing[what] = true
		s.log.Error("archive: "+what+" fails, it is tried again", "shard", s.src.Shard, "archived", s.archived, "err", err)
	}
}

// worked ends a row of failures.
func (s *Shipper) worked(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.failing[what] {
		delete(s.state.failing, what)
		s.log.Info("archive: "+what+" works again", "shard", s.src.Shard, "failures", s.state.Failures)
	}
}
