package keys

import "math"

// Last returns the newest entry of a key with Seq at most upTo. It asks the newest source first and stops at the first that has one. The
// entry's key is the caller's.
func (x *Index) Last(stream uint32, key []byte, upTo uint64) (Entry, bool, error) {
	if x.dropped(stream) {
		return Entry{}, false, nil
	}
	v := x.acquire()
	defer v.release()
	return x.lastOf(v, stream, key, upTo)
}

// lastOf is Last in a view.
//
// Chunks are newer than every file and each other in turn. Files may overlap (an import brings older entries late), so a file is asked
// unless all of it is older than what was found.
func (x *Index) lastOf(v *view, stream uint32, key []byte, upTo uint64) (last Entry, found bool, err error) {
	for _, c := range v.chunks {
		if c.published.Load() == 0 || c.first.Load() > upTo {
			continue
		}
		c.newest(stream, key, c.published.Load(), func(i uint32) bool {
			if c.mem[i].seq > upTo {
				return true
			}
			c.entry(i, &last)
			found = true
			return false
		})
		if found {
			last.Key = key
			return last, true, nil
		}
	}
	var buf [128]byte
	full := appendFullKey(buf[:0], stream, key)
	hash := hashKey(stream, key)
	var h *fileHistory // one for all files
	for _, f := range v.files {
		if found && f.meta.seqMax < last.Seq {
			break
		}
		if f.meta.seqMin > upTo || !f.meta.covers(full, full) {
			continue
		}
		if h == nil {
			h = &fileHistory{key: full, backward: true, upTo: upTo, from: Position{Seq: upTo, Batch: math.MaxUint32, Record: math.MaxUint32}}
		}
		h.f, h.done, h.err = f, false, nil
		if h.open(hash) && h.next() && (!found || newerFirst(h.e, &last) < 0) {
			last, found = *h.e, true
		}
		if h.err != nil {
			return Entry{}, false, h.err
		}
	}
	last.Key = key
	return last, found, nil
}

var newerFirst = twins(func(a, b *Entry) int { return comparePositions(b, a) })

// At returns the entry of a key at a position.
func (x *Index) At(stream uint32, key []byte, p Position) (Entry, bool, error) {
	it := x.HistoryFrom(stream, key, p, false, p.Seq)
	defer it.Close()
	if !it.Next() || it.Entry().Position() != p {
		return Entry{}, false, it.Err()
	}
	e := *it.Entry()
	e.Key = key
	return e, true, nil
}

// AtOffset returns the entry of a key that is the record at an offset of a partition. Its frame is at most upTo: the closer, the fewer
// entries are walked.
func (x *Index) AtOffset(stream uint32, key []byte, partition uint32, offset uint64, upTo uint64) (Entry, bool, error) {
	it := x.History(stream, key, true, upTo)
	defer it.Close()
	for it.Next() {
		if e := *it.Entry(); e.Partition == partition && e.Offset <= offset {
			e.Key = key
			return e, e.Offset == offset, nil // a partition's offsets grow with the position
		}
	}
	return Entry{}, false, it.Err()
}
