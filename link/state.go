package link

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"leat/broker/record"
)

// States of a link.
const (
	StateStarting  = "starting"
	StateCopying   = "copying"
	StatePaused    = "paused"
	StateWaiting   = "waiting"   // after an error; it is tried again
	StateSwitching = "switching" // somebody waits for everything to be copied
)

// State is how a link fares.
type State struct {
	State      string
	Why        string // the last error, while it matters
	Since      time.Time
	Topics     int
	Groups     int // that are followed
	Copied     int64
	Bytes      int64
	Lost       int64 // offsets that were gone there before they were copied
	Lag        int64 // offsets that are there and not here
	Partitions []PartitionState
	Stopped    []Stopped
}

// PartitionState is how far one partition is.
type PartitionState struct {
	Topic     string
	Partition record.PartitionID
	Next      record.Offset // here
	End       record.Offset // there, of what is committed
}

// Stopped is what is not copied, and why.
type Stopped struct {
	What string // topic, topic/partition, group
	Why  string
}

// shown is the part of a worker that others look at.
type shown struct {
	mu sync.Mutex
	State
	parts   map[part]*PartitionState
	stopped map[string]string
}

type part struct {
	topic     string
	partition int32
}

func (s *shown) at(state, why string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.State.State != state {
		s.Since = now
	}
	s.State.State, s.Why = state, why
}

// stop notes that something is not copied; true: it was not known.
func (s *shown) stop(what, why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, known := s.stopped[what]
	s.stopped[what] = why
	return !known || was != why
}

func (s *shown) goesOn(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stopped, what)
}

func (s *shown) progress(p part, next, end record.Offset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reach(p, next, end)
}

// drop tells nothing more of a topic's partitions.
func (s *shown) drop(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.parts, func(p part, _ *PartitionState) bool { return p.topic == topic })
}

func (s *shown) reach(p part, next, end record.Offset) {
	x := s.parts[p]
	if x == nil {
		x = &PartitionState{Topic: p.topic, Partition: record.PartitionID(p.partition)}
		s.parts[p] = x
	}
	x.Next = max(x.Next, next)
	x.End = max(x.End, end, x.Next)
}

func (s *shown) count(topics, groups int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Topics, s.Groups = topics, groups
}

// copied counts what is here now, and how far that is, at once. What was found to lie elsewhere than expected is fetched again, and counted then.
func (s *shown) copied(to []reached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range to {
		if r.x.next < r.next {
			continue
		}
		s.Copied += r.records
		s.Bytes += r.bytes
		s.reach(r.x.part, r.next, r.end)
	}
}

func (s *shown) lost(offsets int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Lost += offsets
}

func (s *shown) tell() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.State
	for _, p := range s.parts {
		out.Partitions = append(out.Partitions, *p)
		out.Lag += int64(p.End - p.Next)
	}
	slices.SortFunc(out.Partitions, func(a, b PartitionState) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for what, why := range s.stopped {
		out.Stopped = append(out.Stopped, Stopped{what, why})
	}
	slices.SortFunc(out.Stopped, func(a, b Stopped) int { return cmp.Compare(a.What, b.What) })
	return out
}
