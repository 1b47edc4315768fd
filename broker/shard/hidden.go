package shard

import (
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/state"
)

// What readers do not see: records from the first one of an open transaction on, those of aborted transactions, and markers. All reading but that of
// clients that ask for what is stored comes through Read, ReadOne, ReadBefore and the index of keys, and so through here. A partition that never had a
// transaction costs them the look at one flag, behind the reading:
//
//	reader: not marked ── a transaction begins, marked ── reader: reads, and its first record is there ── marked now: looks again

// settle takes over what transactions say of the partition. The lock is held, but for a part that nobody has yet.
func (p *Part) settle(x *stream.Partition) {
	stable, seq := x.Stable()
	p.stable, p.unstableSeq, p.lastAborted = min(stable, p.end), seq, x.LastAborted
	if x.Marked {
		p.marked.Store(true)
	}
}

// Stable is the offset before which no transaction is open.
func (p *Part) Stable() record.Offset {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.stable
}

// Bounds returns the first offset that is there, the one before which no transaction is open, and the one after the last.
func (p *Part) Bounds() (start, stable, end record.Offset) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.start, p.stable, p.end
}

// StableSeq is the last frame of which everything in the partition is stable; stream.NeverStable where nothing is open.
func (p *Part) StableSeq() uint64 {
	if !p.marked.Load() {
		return stream.NeverStable
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.unstableSeq == stream.NeverStable {
		return stream.NeverStable
	}
	return p.unstableSeq - 1
}

func (p *Part) hides() (stable, lastAborted record.Offset) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.stable, p.lastAborted
}

// Read is ReadStored for readers: of what is stable, and without what was aborted and markers. Nothing is appended when there is nothing of that from there on.
func (p *Published) Read(dst []*Batch, src Source, from record.Offset, maxBytes int, upTo uint64) ([]*Batch, error) {
	for {
		got, err := p.ReadStored(dst, src, from, maxBytes, upTo)
		if len(got) == len(dst) || !src.Part.marked.Load() {
			return got, err
		}
		next := got[len(got)-1].Next
		seen, more, hideErr := p.unhidden(got, len(dst), src)
		if err == nil {
			err = hideErr
		}
		if len(seen) > len(dst) || err != nil || !more {
			return seen, err
		}
		from = next
	}
}

// unhidden takes out of got, from old on, what readers do not see. more: there may be something behind it.
func (p *Published) unhidden(got []*Batch, old int, src Source) (_ []*Batch, more bool, err error) {
	stable, lastAborted := src.Part.hides()
	var gone []stream.Aborted
	if base := got[old].Base; base <= lastAborted {
		if gone, err = p.Aborted(src, base, got[len(got)-1].Next); err != nil {
			return got[:old], false, err
		}
	}
	n := old
	for _, b := range got[old:] {
		if b.Next > stable { // not by its base: a partition may begin within a batch
			clear(got[n:])
			return got[:n], false, nil
		}
		transactional, marker := record.Hidden(b.Raw)
		if marker || transactional && isAborted(gone, b.Base, record.ProducerOf(b.Raw)) {
			continue
		}
		got[n] = b
		n++
	}
	clear(got[n:])
	return got[:n], true, nil
}

// ReadStable is ReadStored of what is stable, with the aborted transactions among it: for clients that leave out themselves what they are not to see.
func (p *Published) ReadStable(dst []*Batch, src Source, from record.Offset, maxBytes int) (_ []*Batch, gone []stream.Aborted, err error) {
	marked := src.Part.marked.Load()
	if marked {
		if src.SpanEnd, _ = src.Part.hides(); src.SpanEnd <= from {
			src.Keep = nil
		}
	}
	got, err := p.ReadStored(dst, src, from, maxBytes, AllSeqs)
	if err != nil || len(got) == len(dst) || !src.Part.marked.Load() {
		return got, nil, err
	}
	if !marked && src.Keep != nil { // the first transaction began meanwhile: a span may go beyond what is stable
		clear(got[len(dst):])
		return p.ReadStable(got[:len(dst)], src, from, maxBytes)
	}
	// What was stable before is so still: spans are whole.
	stable, lastAborted := src.Part.hides()
	n := len(dst)
	for n < len(got) && got[n].Next <= stable {
		n++
	}
	clear(got[n:])
	if got = got[:n]; n == len(dst) || got[len(dst)].Base > lastAborted {
		return got, nil, nil
	}
	gone, err = p.Aborted(src, got[len(dst)].Base, got[n-1].Next)
	return got, gone, err
}

func isAborted(gone []stream.Aborted, base record.Offset, producer int64) bool {
	for i := range gone {
		if a := &gone[i]; a.Producer == producer && a.First <= base && base < a.Last {
			return true
		}
	}
	return false
}

// Aborted lists the aborted transactions that have records between two offsets, or may have: in the order of their markers.
func (p *Published) Aborted(src Source, from, to record.Offset) (gone []stream.Aborted, err error) {
	if _, last := src.Part.hides(); last < from || last == 0 {
		return nil, nil
	}
	lo := stream.AbortedKey(src.Stream, src.Partition, from)
	it, err := p.store.Iter(lo, state.After(stream.PartitionKey(state.PrefixAborted, src.Stream, src.Partition)))
	if err != nil {
		return nil, damaged(err)
	}
	defer it.Close()
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		a, err := stream.ReadAborted(it.Key(), it.Value())
		if err != nil {
			return nil, corrupt(err)
		}
		if a.First < to {
			gone = append(gone, a)
		}
		if a.Stable >= to {
			break // those that ended later begin behind it
		}
	}
	if err := it.Err(); err != nil {
		return nil, damaged(err)
	}
	return gone, nil
}

// hidesOne is whether readers do not see a batch, or what was read of one.
func (p *Published) hidesOne(src Source, one *One) (bool, error) {
	stable, lastAborted := src.Part.hides()
	h := one.header
	if one.part == nil {
		var err error
		if h, err = record.PeekBatchHeader(one.Batch.Raw); err != nil {
			return true, err
		}
	}
	switch {
	case h.LastOffset() >= stable || h.Control():
		return true, nil
	case !h.Transactional() || h.BaseOffset > lastAborted:
		return false, nil
	}
	gone, err := p.Aborted(src, h.BaseOffset, h.BaseOffset+1)
	return isAborted(gone, h.BaseOffset, h.ProducerID), err
}

// sees reports whether readers see a record of a transaction. The producer of its batch is looked up only where it can have been aborted.
func (p *Published) sees(src Source, offset record.Offset) (bool, error) {
	stable, lastAborted := src.Part.hides()
	if offset >= stable {
		return false, nil
	}
	if offset > lastAborted {
		return true, nil
	}
	gone, err := p.Aborted(src, offset, offset+1)
	if err != nil || len(gone) == 0 {
		return err == nil, err
	}
	seen := false
	err = p.readStoredOne(src, offset, func(one *One) error {
		hidden, err := p.hidesOne(src, one)
		seen = !hidden
		return err
	})
	return seen, err
}

// newestSeen is the newest record of a key that readers see, given its newest one, which is of a transaction.
func (p *Published) newestSeen(id record.StreamID, key []byte, e stream.HistoryEntry, upTo uint64) (stream.HistoryEntry, bool, error) {
	if src, ok := p.Source(id, e.Partition); ok && e.Offset >= src.Part.Start() {
		if seen, err := p.sees(src, e.Offset); err != nil || seen {
			return e, seen, err
		}
	}
	h := p.History(id, key, nil, true, upTo)
	defer h.Close()
	older, ok := h.Next()
	if !ok {
		return e, false, h.Err()
	}
	return older, true, nil
}

// Hider says which records of a part of a partition readers do not see, by their offsets. One goroutine uses it.
type Hider struct {
	p      *Published
	src    Source
	gone   []stream.Aborted
	last   record.Offset // the one that was asked for last, and what was said
	hidden bool
}

// Hider looks at what was aborted between two offsets, the second of which is stable; nil when nothing was.
func (p *Published) Hider(src Source, from, to record.Offset) (*Hider, error) {
	if !src.Part.marked.Load() {
		return nil, nil
	}
	gone, err := p.Aborted(src, from, to)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	return &Hider{p: p, src: src, gone: gone, last: -1}, nil
}

// Hides reports whether readers do not see a record.
func (h *Hider) Hides(offset record.Offset) (bool, error) {
	among := false
	for i := range h.gone {
		among = among || h.gone[i].First <= offset && offset <= h.gone[i].Last
	}
	if !among {
		return false, nil
	}
	if offset != h.last {
		seen, err := h.p.sees(h.src, offset)
		if err != nil {
			return false, err
		}
		h.last, h.hidden = offset, !seen
	}
	return h.hidden, nil
}

// stableAt is Stable with 0 for no frame.
func stableAt(p *stream.Partition) (record.Offset, uint64) {
	stable, seq := p.Stable()
	if seq == stream.NeverStable {
		seq = 0
	}
	return stable, seq
}
