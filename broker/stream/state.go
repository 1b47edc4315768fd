package stream

import (
	"maps"
	"slices"

	"leat/broker/record"
)

// KeyMode is what a stream keeps about the keys of its records.
type KeyMode uint8

const (
	KeysUnset     KeyMode = iota // not said: the broker's default for who creates the stream
	KeysOff                      // nothing
	KeysLatest                   // the last record of each key
	KeysHistory                  // all records of each key
	KeysVersioned                // all records of each key, numbered from 1
)

var keyModeNames = [...]string{"", "off", "latest", "history", "versioned"}

func (m KeyMode) String() string {
	if int(m) < len(keyModeNames) {
		return keyModeNames[m]
	}
	return "unknown"
}

// ParseKeyMode is the inverse of String.
func ParseKeyMode(s string) (KeyMode, bool) {
	for i, n := range keyModeNames {
		if n == s {
			return KeyMode(i), true
		}
	}
	return KeysUnset, false
}

// Limits of the machine.
const (
	PartitionsMax               = 10_000              // per stream
	ProducersPerPartition       = 10_000              // idempotent producers remembered per partition; the longest silent goes first
	ProducerBatchesKept         = 5                   // as Kafka: five requests may be in flight
	ProducerIdleMS        int64 = 24 * 60 * 60 * 1000 // a producer silent for longer is forgotten
)

// State is what facts have made of all streams of a shard so far.
type State struct {
	Streams      map[record.StreamID]*Stream
	NextStream   record.StreamID
	NextProducer int64
	NextOrigin   uint32
	Origins      map[Origin]uint32
	Transactors  map[TransactorName]*Transactor
	ByProducer   map[int64]*Transactor // the same by their numbers
	TimeMS       int64                 // of the last frame: append time never runs backwards
}

// Stream is one durable log.
type Stream struct {
	ID           record.StreamID
	Keys         KeyMode
	Keyed        bool    // has ever held a record that its key mode kept
	KeysSince    uint64  // frame that changed the mode last; 0: it is as the stream was created
	Target       KeyMode // takes the place of Keys when it is built; KeysUnset: nothing does
	Building     uint64  // frame of the change whose keys are being built; 0: none are
	Partial      bool    // records from before Building are not in the index of keys
	TermsSince   uint64  // frame from which on it indexes types and tags; 0: it does not
	TermsPartial bool    // those of records from before that are not in the index
	Converted    bool    // kept keys before it numbered them: a key without a version row has as many versions as records
	Partitions   []Partition
}

// Wanted is the key mode that was asked for last; Keys may still have to become it.
func (st *Stream) Wanted() KeyMode {
	if st.Target != KeysUnset {
		return st.Target
	}
	return st.Keys
}

func (st *Stream) holds() bool {
	for i := range st.Partitions {
		if st.Partitions[i].Next > 0 {
			return true
		}
	}
	return false
}

// Partition is one ordered part of a stream.
type Partition struct {
	Start       record.Offset // of the first record that is still there
	Gone        Point         // of the last record before Start
	Next        record.Offset // that the next record will get
	Bytes       int64         // of all batches ever appended
	MaxTimeMS   int64         // greatest time a producer gave so far
	Producers   map[int64]*Producer
	Open        []OpenTransaction // oldest first
	Marked      bool              // it has had a transaction
	LastAborted record.Offset     // marker of the last transaction that was aborted; 0: none was
}

// Producer is what a partition remembers of an idempotent producer.
type Producer struct {
	Epoch  int16
	LastMS int64
	Recent [ProducerBatchesKept]Sent // oldest first; Count of them are set
	Count  int
}

// Sent is one batch of an idempotent producer.
type Sent struct {
	First, Last int32
	Base        record.Offset
}

// Origin is who appended something, through what.
type Origin struct{ Principal, Listener, Protocol, Client string }

// NewState is the state before the first fact.
func NewState() *State {
	return &State{Streams: map[record.StreamID]*Stream{}, NextStream: 1, NextProducer: 1, NextOrigin: 1, Origins: map[Origin]uint32{}, Transactors: map[TransactorName]*Transactor{}, ByProducer: map[int64]*Transactor{}}
}

// Partition returns the partition, or nil.
func (s *State) Partition(id record.StreamID, p record.PartitionID) *Partition {
	st := s.Streams[id]
	if st == nil || p < 0 || int(p) >= len(st.Partitions) {
		return nil
	}
	return &st.Partitions[p]
}

// Clone returns a copy that shares nothing that changes.
func (s *State) Clone() *State {
	c := *s
	c.Origins = maps.Clone(s.Origins)
	c.Transactors, c.ByProducer = make(map[TransactorName]*Transactor, len(s.Transactors)), make(map[int64]*Transactor, len(s.Transactors))
	for name, t := range s.Transactors {
		n := t.clone()
		c.Transactors[name], c.ByProducer[n.Producer] = n, n
	}
	c.Streams = make(map[record.StreamID]*Stream, len(s.Streams))
	for id, st := range s.Streams {
		n := *st
		n.Partitions = make([]Partition, len(st.Partitions))
		copy(n.Partitions, st.Partitions)
		for i := range n.Partitions {
			n.Partitions[i].Open = slices.Clone(n.Partitions[i].Open)
			if ps := n.Partitions[i].Producers; ps != nil {
				m := make(map[int64]*Producer, len(ps))
				for pid, p := range ps {
					q := *p
					m[pid] = &q
				}
				n.Partitions[i].Producers = m
			}
		}
		c.Streams[id] = &n
	}
	return &c
}
