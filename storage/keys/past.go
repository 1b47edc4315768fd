package keys

import (
	"bytes"
	"slices"
	"unsafe"
)

// past is what key files have of one key, as far as it is known: a key that is asked for is soon asked for again, and of the blocks in which its
// entries lie only a few bytes are its own. Files never change and their numbers never come again, so nothing in it is ever wrong; files that are
// merged away are left out the next time it is written. What is said of a file is all that the file has.
//
//	key ─┬─ file 3: 2 entries          asked again: files 3, 7 and 9 are not touched; file 12 is, and is then known too
//	     ├─ file 7: none
//	     └─ file 9: 1 entry
//
// It is one value of the block cache, and is replaced, never changed.
type past struct {
	key   fullKey
	files []pastFile // by number
}

// pastFile is all that a file has of the key.
type pastFile struct {
	number  uint64
	entries []pastEntry // oldest first
}

// pastEntry is an entry without its key. It has no pointer, so that the collector never looks at it.
type pastEntry struct {
	seq, offset, version     uint64
	batch, record, partition uint32
	flags                    uint8
}

const (
	pastBytesMax = 32 << 10 // of one key; longer histories are read from their blocks
	pastOff      = -1       // in cacheKey: no block is there

	pastFileBytes  = int64(unsafe.Sizeof(pastFile{}))
	pastEntryBytes = int64(unsafe.Sizeof(pastEntry{}))
)

// pastOf is what is known of a key, nil when nothing is.
func (t *fileTable) pastOf(key fullKey, hash uint64) *past {
	p, ok := t.cache.get(cacheKey{hash, pastOff}).(*past)
	if !ok || !bytes.Equal(p.key, key) {
		return nil
	}
	return p
}

// in is what a file has of the key; false is that this is not known.
func (p *past) in(number uint64) (entries []pastEntry, known bool) {
	if p == nil {
		return nil, false
	}
	for i := range p.files {
		if p.files[i].number == number {
			return p.files[i].entries, true
		}
	}
	return nil, false
}

// learn keeps what a history has found out about files, beside what was known of those that are still read.
func (t *fileTable) learn(key fullKey, hash uint64, known *past, files []*file, found []pastFile) {
	if len(found) == 0 {
		return
	}
	p := &past{key: key, files: slices.Clone(found)}
	for _, f := range files {
		if entries, ok := known.in(f.meta.number); ok {
			p.files = append(p.files, pastFile{f.meta.number, entries})
		}
	}
	size := int64(cap(key)) + int64(cap(p.files))*pastFileBytes
	for i := range p.files {
		size += int64(cap(p.files[i].entries)) * pastEntryBytes
	}
	if size <= pastBytesMax {
		t.cache.replace(cacheKey{hash, pastOff}, p, size)
	}
}

// seen is what a history that was opened, and not walked further than its first block, says about its file; false when its first block is not all.
func (h *fileHistory) seen() (pastFile, bool) {
	p := pastFile{number: h.f.meta.number}
	if h.err != nil {
		return p, false
	}
	if len(h.index) == 0 {
		return p, true // the filter has said no
	}
	if !h.whole() || int64(len(h.buf))*pastEntryBytes > pastBytesMax {
		return p, false
	}
	if len(h.buf) > 0 {
		p.entries = make([]pastEntry, len(h.buf))
	}
	for i := range h.buf {
		e := &h.buf[i]
		p.entries[i] = pastEntry{seq: e.Seq, offset: e.Offset, version: e.Version, batch: e.Batch, record: e.Record, partition: e.Partition, flags: e.Flags}
	}
	return p, true
}

// whole says that no block but the one that is loaded has entries of the key.
func (h *fileHistory) whole() bool {
	if from := &h.index[h.block].from; bytes.Equal(from.key, h.key) && from.pos != (Position{}) {
		return false // it goes on from the block before
	}
	next := h.block + 1
	if next < len(h.index) {
		return bytes.Compare(h.index[next].from.key, h.key) > 0
	}
	section := h.section + 1
	return section >= len(h.f.sections) || bytes.Compare(h.f.sections[section].from.key, h.key) > 0
}

// pastHistory gives the entries of a key in a file of which they are known.
type pastHistory struct {
	entries  []pastEntry // still to give
	backward bool
	e        Entry
}

// of takes the entries from a position on and up to a frame (backward: before the one and the other), and says whether there are any.
func (h *pastHistory) of(entries []pastEntry, stream uint32, key []byte, from Position, backward bool, upTo uint64) bool {
	for len(entries) > 0 {
		p := entries[0].position()
		if backward || p.Compare(from) >= 0 {
			break
		}
		entries = entries[1:]
	}
	for len(entries) > 0 {
		p := entries[len(entries)-1].position()
		if p.Seq <= upTo && (!backward || p.Compare(from) <= 0) {
			break
		}
		entries = entries[:len(entries)-1]
	}
	h.entries, h.backward = entries, backward
	h.e.Stream, h.e.Key = stream, key
	return len(entries) > 0
}

// bound is the frame of the first entry to give. There is one.
func (h *pastHistory) bound() uint64 {
	if h.backward {
		return h.entries[len(h.entries)-1].seq
	}
	return h.entries[0].seq
}

func (e *pastEntry) position() Position {
	return Position{Seq: e.seq, Batch: e.batch, Record: e.record}
}

func (h *pastHistory) next() bool {
	last := len(h.entries) - 1
	if last < 0 {
		return false
	}
	p := &h.entries[0]
	if h.backward {
		p, h.entries = &h.entries[last], h.entries[:last]
	} else {
		h.entries = h.entries[1:]
	}
	e := &h.e
	e.Seq, e.Batch, e.Record, e.Partition = p.seq, p.batch, p.record, p.partition
	e.Offset, e.Version, e.Flags = p.offset, p.version, p.flags
	return true
}

func (h *pastHistory) at() *Entry               { return &h.e }
func (h *pastHistory) fault() error             { return nil }
func (h *pastHistory) skip(uint32, []byte) bool { return false }
