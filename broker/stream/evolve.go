package stream

import "leat/broker/record"

// The functions here are the only ones that change a State. Head calls them with what it has just recorded, Folder with what it reads
// from a durable frame; that is why both arrive at the same state.

func (s *State) evolveStream(id record.StreamID, partitions int, keys KeyMode, seq uint64, builds bool) {
	st := s.Streams[id]
	if st == nil {
		st = &Stream{ID: id, Keys: keys}
		s.Streams[id] = st
		s.NextStream = max(s.NextStream, id+1)
	}
	if builds {
		st.changeKeys(keys, seq)
	} else if st.Keys != keys {
		st.Converted = st.Converted || st.Keyed && keys == KeysVersioned
		st.Partial = st.Partial || st.Keys == KeysOff && st.holds()
		st.Keys, st.KeysSince = keys, seq
	}
	if grow := partitions - len(st.Partitions); grow > 0 {
		st.Partitions = append(st.Partitions, make([]Partition, grow)...)
	}
}

// changeKeys takes over another key mode.
//
//	off        → latest, history       at once for what comes; older records are being put into the index
//	any        → versioned             history until all keys are numbered, then versioned
//	others     → off, latest, history  at once
//
// Without records there is nothing to build.
func (st *Stream) changeKeys(keys KeyMode, seq uint64) {
	if st.Wanted() == keys {
		return
	}
	from := st.Keys
	st.Target = KeysUnset
	switch {
	case keys == KeysOff:
		st.Building, st.Partial = 0, false
	case from == KeysOff && st.holds():
		st.Building, st.Partial = seq, true
	case !st.Partial:
		st.Building = 0
	}
	if keys == KeysVersioned && (st.Keyed || st.Partial) {
		st.Building, st.Target, keys = seq, keys, KeysHistory
	}
	if st.Keys != keys {
		st.Keys, st.KeysSince = keys, seq
	}
}

// evolveBuilt ends a building, unless it was of an earlier change.
func (s *State) evolveBuilt(id record.StreamID, building, seq uint64) bool {
	st := s.Streams[id]
	if st == nil || building == 0 || st.Building != building {
		return false
	}
	st.Building, st.Partial, st.KeysSince, st.Keyed = 0, false, seq, true
	if st.Target != KeysUnset {
		st.Keys, st.Target, st.Converted = st.Target, KeysUnset, true
	}
	return true
}

func (s *State) evolveOrigin(n uint32, o Origin) {
	s.Origins[o] = n
	s.NextOrigin = max(s.NextOrigin, n+1)
}

// evolveTrimmed reports whether the partition begins further on now.
func (s *State) evolveTrimmed(t *Trimmed) bool {
	p := s.Partition(t.Stream, t.Partition)
	if p == nil || t.Start <= p.Start {
		return false
	}
	p.Start, p.Gone = t.Start, t.Gone
	return true
}

// evolveAppended returns the producer it changed and the id of one it forgot (-1: none).
func (s *State) evolveAppended(a *Appended, timeMS int64) (pr *Producer, forgotten int64) {
	p := &s.Streams[a.Stream].Partitions[a.Partition]
	p.Next = a.Base + record.Offset(a.Count)
	p.Bytes += a.Bytes
	p.MaxTimeMS = max(p.MaxTimeMS, a.MaxTimeMS)
	if a.Producer < 0 {
		return nil, -1
	}
	if a.Flags&AppendedMarker != 0 {
		pr = p.mark(a, timeMS)
	} else {
		pr = p.remember(a, timeMS)
	}
	if forgotten = p.crowded(); forgotten >= 0 {
		delete(p.Producers, forgotten)
	}
	return pr, forgotten
}
