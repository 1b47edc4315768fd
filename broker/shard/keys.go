package shard

import (
	"errors"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/keys"
)

// addKey is told of every keyed record of a frame that is being published.
func (p *Published) addKey(id record.StreamID, key []byte, e *stream.HistoryEntry) {
	if e.Seq <= p.keyed {
		return // a replay of what key files hold already
	}
	p.keyEntry = keys.Entry{
		Stream: uint32(id), Key: key, Seq: e.Seq, Batch: e.Batch, Record: e.Record, Partition: uint32(e.Partition), Offset: uint64(e.Offset), Version: e.Version,
	}
	if e.Tombstone {
		p.keyEntry.Flags = keys.Tombstone
	}
	if e.Provisional {
		p.keyEntry.Flags |= keys.Provisional
	}
	p.keys.Add(&p.keyEntry)
}

// replayKeys takes the keys of a frame whose rows are applied already: key files were written less far than rows.
func (p *Published) replayKeys(seq uint64, facts []byte) error {
	if seq <= p.keyed {
		return nil
	}
	_, body, err := fact.ReadHead(facts)
	if err != nil {
		return err
	}
	if err := p.replayBuilt(seq, body); err != nil {
		return err
	}
	err = stream.EachKey(body, seq, p.addKey)
	p.keys.Through(seq)
	p.keyed = seq
	return err
}

// keepKeys tells merges of key files which entries are still wanted: those of records that are there, of streams that keep keys.
func (p *Published) keepKeys(id uint32) keys.Keeper {
	if p.journal.Load() == nil {
		return nil // not replayed yet: that a stream numbers its keys may be among what is to come
	}
	p.mu.RLock()
	of, terms := stream.OfTerms(record.StreamID(id))
	v := p.streams[of]
	p.mu.RUnlock()
	if v == nil || !terms && v.keys == stream.KeysOff || terms && v.termsSince == 0 {
		return func(uint32, uint64) bool { return false }
	}
	if terms {
		return v.keepThere()
	}
	if v.keys == stream.KeysVersioned || v.target == stream.KeysVersioned {
		return nil // the newest entry of a key says its version, also when the record has been trimmed
	}
	return v.keepThere()
}

// keepThere keeps entries of records that have not been trimmed; nil: none have.
func (v *view) keepThere() keys.Keeper {
	starts := make([]uint64, len(v.parts))
	any := false
	for i, part := range v.parts {
		start, _ := part.Ends()
		starts[i] = uint64(start)
		any = any || start > 0
	}
	if !any {
		return nil
	}
	return func(partition uint32, offset uint64) bool {
		return int(partition) >= len(starts) || offset >= starts[partition]
	}
}

func historyEntry(e *keys.Entry) stream.HistoryEntry {
	return stream.HistoryEntry{
		Partition: record.PartitionID(e.Partition), Offset: record.Offset(e.Offset), Version: e.Version, Seq: e.Seq, Batch: e.Batch, Record: e.Record,
		Tombstone: e.Flags&keys.Tombstone != 0, Provisional: e.Flags&keys.Provisional != 0,
	}
}

// At is a place among the records of a key: after it when walking forward, before it when walking backward.
type At struct {
	Seq           uint64
	Batch, Record uint32
}

func (a At) position() keys.Position {
	return keys.Position{Seq: a.Seq, Batch: a.Batch, Record: a.Record}
}

// KeyHistory walks the records of a key. It sees the index as it was when it was opened; the caller closes it.
type KeyHistory struct {
	p  *Published
	id record.StreamID
	it *keys.Iter

	part *Part // of the record before: most keys stay in one partition
	of   record.PartitionID
	err  error
}

// History walks the records of a key that are still there, in order of position, or backwards. from is where to begin, nil at the end that
// comes first. Frames beyond upTo are left out.
func (p *Published) History(id record.StreamID, key []byte, from *At, backward bool, upTo uint64) *KeyHistory {
	if from != nil {
		return &KeyHistory{p: p, id: id, it: p.keys.HistoryFrom(uint32(id), key, from.position(), backward, upTo)}
	}
	return &KeyHistory{p: p, id: id, it: p.keys.History(uint32(id), key, backward, upTo)}
}

// Next returns the next record, false at the end or after an error.
func (h *KeyHistory) Next() (stream.HistoryEntry, bool) {
	for h.it.Next() {
		e := historyEntry(h.it.Entry())
		if h.part == nil || h.of != e.Partition {
			h.part, h.of = h.p.Part(h.id, e.Partition), e.Partition
		}
		if !h.part.has(&e) {
			continue
		}
		if e.Provisional {
			if seen, err := h.p.sees(Source{Stream: h.id, Partition: e.Partition, Part: h.part}, e.Offset); err != nil || !seen {
				if h.err = err; err != nil {
					break
				}
				continue
			}
		}
		return e, true
	}
	return stream.HistoryEntry{}, false
}

// Err says why Next ended early.
func (h *KeyHistory) Err() error {
	if h.err != nil {
		return h.err
	}
	return keysFault(h.it.Err())
}

// Close lets go of what the walk sees.
func (h *KeyHistory) Close() { h.it.Close() }

// LatestKeys walks the newest record of each key in the order of the keys' bytes. It sees the index as it was when it was opened; the caller
// closes it.
type LatestKeys struct {
	p    *Published
	id   record.StreamID
	it   *keys.Iter
	upTo uint64
	err  error
}

// LatestIn walks the newest record of each key from lo on and below hi; a nil hi is the end of the stream. Frames beyond upTo are left out. It
// costs what the keys are, not what the stream is.
func (p *Published) LatestIn(id record.StreamID, lo, hi []byte, upTo uint64) *LatestKeys {
	return &LatestKeys{p: p, id: id, it: p.keys.LastIn(uint32(id), lo, hi, upTo), upTo: upTo}
}

// Next moves to the next key, also to one whose newest record has been trimmed, so that whoever walks decides how many of these it passes over.
// False is the end, or a fault: see Err.
func (l *LatestKeys) Next() bool { return l.err == nil && l.it.Next() }

// Key is where the walk is, until it moves.
func (l *LatestKeys) Key() []byte { return l.it.Entry().Key }

// Entry is the newest record of that key; false when it has been trimmed.
func (l *LatestKeys) Entry() (stream.HistoryEntry, bool) {
	e := historyEntry(l.it.Entry())
	if e.Provisional {
		var there bool
		if e, there, l.err = l.p.newestSeen(l.id, l.it.Entry().Key, e, l.upTo); l.err != nil {
			return e, false
		}
		return e, there
	}
	return e, l.p.isThere(l.id, &e)
}

// Err says why Next ended early.
func (l *LatestKeys) Err() error {
	if l.err != nil {
		return l.err
	}
	return keysFault(l.it.Err())
}

// Close lets go of what the walk sees.
func (l *LatestKeys) Close() { l.it.Close() }

// isThere says whether a record has not been trimmed.
func (p *Published) isThere(id record.StreamID, e *stream.HistoryEntry) bool {
	return p.Part(id, e.Partition).has(e)
}

// has says whether a record of the partition has not been trimmed. There may be no such partition any more.
func (p *Part) has(e *stream.HistoryEntry) bool {
	return p != nil && e.Offset >= p.Start()
}

// Latest returns the last record of a key; false when there is none.
func (p *Published) Latest(id record.StreamID, key []byte, upTo uint64) (stream.HistoryEntry, bool, error) {
	k, ok, err := p.keys.Last(uint32(id), key, upTo)
	if err != nil || !ok {
		return stream.HistoryEntry{}, false, keysFault(err)
	}
	e := historyEntry(&k)
	if e.Provisional {
		return p.newestSeen(id, key, e, upTo)
	}
	return e, p.isThere(id, &e), nil
}

// VersionAt returns the version that a record gave to its key; 0 where the stream keeps none, or it is no record of that key.
func (p *Published) VersionAt(id record.StreamID, key []byte, at At) (uint64, error) {
	e, ok, err := p.keys.At(uint32(id), key, at.position())
	if err != nil || !ok {
		return 0, keysFault(err)
	}
	return e.Version, nil
}

// keysFault is what a reader is told when the index does not answer.
func keysFault(err error) error {
	var c *keys.CorruptError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &c):
		return fault.New(fault.Corrupt, "read", "", "the index of keys is damaged; run `leat stream verify`").From(err)
	default:
		return fault.New(fault.Unavailable, "read", "", "the index of keys cannot be read now").From(err)
	}
}
