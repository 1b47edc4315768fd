package keys

import (
	"bytes"
)

// cursor gives the entries of one source in order. at is valid until next.
type cursor interface {
	next() bool
	at() *Entry
	fault() error
	skip(stream uint32, key []byte) bool // moves to the first entry of a greater key
}

// chunkHistory gives the entries of one key in a chunk.
type chunkHistory struct {
	c     *chunk
	slots []uint32 // in the order to give them
	e     Entry
}

func newChunkHistory(c *chunk, stream uint32, key []byte, from Position, backward bool, upTo uint64) *chunkHistory {
	h := &chunkHistory{c: c}
	c.newest(stream, key, c.published.Load(), func(i uint32) bool {
		s := &c.mem[i]
		p := Position{Seq: s.seq, Batch: s.batch, Record: s.record}
		switch {
		case s.seq > upTo || backward && p.Compare(from) > 0:
			return true
		case !backward && p.Compare(from) < 0:
			return false
		}
		h.slots = append(h.slots, i)
		return true
	})
	if !backward {
		for i, j := 0, len(h.slots)-1; i < j; i, j = i+1, j-1 {
			h.slots[i], h.slots[j] = h.slots[j], h.slots[i]
		}
	}
	return h
}

func (h *chunkHistory) next() bool {
	if len(h.slots) == 0 {
		return false
	}
	h.c.entry(h.slots[0], &h.e)
	h.slots = h.slots[1:]
	return true
}

func (h *chunkHistory) at() *Entry               { return &h.e }
func (h *chunkHistory) fault() error             { return nil }
func (h *chunkHistory) skip(uint32, []byte) bool { return false }

// chunkScan gives the entries of a sorted run of a chunk.
type chunkScan struct {
	c   *chunk
	run []uint32
	e   Entry
}

// seek moves before the first entry whose key is not less (after: is greater).
func (s *chunkScan) seek(stream uint32, key []byte, after bool) {
	lo, hi := 0, len(s.run)
	for lo < hi {
		mid := (lo + hi) / 2
		slot := &s.c.mem[s.run[mid]]
		less := slot.stream < stream
		if slot.stream == stream {
			o := bytes.Compare(s.c.key(s.run[mid]), key)
			less = o < 0 || after && o == 0
		}
		if less {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	s.run = s.run[lo:]
}

func (s *chunkScan) next() bool {
	if len(s.run) == 0 {
		return false
	}
	s.c.entry(s.run[0], &s.e)
	s.run = s.run[1:]
	return true
}

func (s *chunkScan) at() *Entry   { return &s.e }
func (s *chunkScan) fault() error { return nil }
func (s *chunkScan) skip(stream uint32, key []byte) bool {
	s.seek(stream, key, true)
	return s.next()
}

// fileScan gives the entries of a file in order.
type fileScan struct {
	f       *file
	ahead   *readahead
	section int
	index   []mark
	block   int
	r       blockReader
	open    bool // r has a block
	err     error
}

// seek moves before an entry that is not greater than the first at or behind p: who calls next from there on meets it.
func (s *fileScan) seek(p place) bool {
	s.section, s.open = lastAt(s.f.sections, p), false
	if s.index, s.err = s.f.index(s.section, s.ahead); s.err != nil {
		return false
	}
	s.block = lastAt(s.index, p)
	if !s.load() {
		return false
	}
	if len(p.key) > 0 {
		s.r.seek(p.key)
	}
	return true
}

func (s *fileScan) load() bool {
	body, err := s.f.data(&s.index[s.block], s.ahead)
	if err == nil {
		err = corrupt(s.f.name, s.index[s.block].off, s.r.open(body))
	}
	s.open, s.err = err == nil, err
	return s.open
}

// step moves to the block that follows.
func (s *fileScan) step() bool {
	if s.block++; s.block >= len(s.index) {
		if s.section++; s.section >= len(s.f.sections) {
			s.open = false
			return false
		}
		if s.index, s.err = s.f.index(s.section, s.ahead); s.err != nil {
			s.open = false
			return false
		}
		s.block = 0
	}
	return s.load()
}

func (s *fileScan) next() bool {
	for s.open {
		if ok, _ := s.r.next(); ok {
			return true
		}
		if s.r.err != nil {
			s.open, s.err = false, corrupt(s.f.name, s.index[s.block].off, s.r.err)
			return false
		}
		s.step()
	}
	return false
}

func (s *fileScan) at() *Entry   { return &s.r.e }
func (s *fileScan) fault() error { return s.err }

// skipSteps is how many entries of a key are passed over before the index is asked for the next one.
const skipSteps = 128

func (s *fileScan) skip(stream uint32, key []byte) bool {
	for range skipSteps {
		if !s.next() {
			return false
		}
		if e := s.at(); e.Stream != stream || !bytes.Equal(e.Key, key) {
			return true
		}
	}
	after := appendFullKey(make([]byte, 0, streamBytes+len(key)+1), stream, key)
	after = append(after, 0) // the least key that is greater
	if !s.seek(place{key: after}) {
		return false
	}
	for s.next() {
		if e := s.at(); e.Stream > stream || e.Stream == stream && bytes.Compare(e.Key, key) > 0 {
			return true
		}
	}
	return false
}

// fileHistory gives the entries of one key in a file, a block's worth at a time.
type fileHistory struct {
	f        *file
	key      fullKey
	from     Position
	backward bool
	upTo     uint64
	section  int
	index    []mark
	block    int
	buf      []Entry // of this block, oldest first; without keys
	i        int     // the next to give
	e        *Entry
	err      error
	done     bool
	line     [lineBytes]byte // of the filter
}

// open looks for the key; false is that the file has none of it, or a fault.
func (h *fileHistory) open(hash uint64) bool {
	p := place{key: h.key, pos: h.from}
	h.done = true // until there is a block: next must not look for one after a fault
	var ok bool
	if h.section, ok, h.err = h.f.find(p, hash, h.line[:]); !ok || h.err != nil {
		return false
	}
	if h.index, h.err = h.f.index(h.section, nil); h.err != nil {
		return false
	}
	h.block = lastAt(h.index, p)
	h.done = !h.load()
	if !h.done && len(h.buf) == 0 {
		h.f.files.counts.filterMistaken.Add(1)
	}
	return !h.done
}

// load fills buf with the key's entries in the block.
func (h *fileHistory) load() bool {
	h.buf = h.buf[:0]
	m := &h.index[h.block]
	body, err := h.f.data(m, nil)
	if err != nil {
		h.err = err
		return false
	}
	var r blockReader
	if err := r.open(body); err == nil {
		r.seek(h.key)
		for {
			ok, newKey := r.next()
			if !ok {
				break
			}
			if newKey {
				if o := bytes.Compare(r.key, h.key); o > 0 {
					break
				}
			}
			if len(r.key) == len(h.key) && bytes.Equal(r.key, h.key) {
				e := r.e
				e.Key = h.key.key()
				h.buf = append(h.buf, e)
			}
		}
	}
	if r.err != nil {
		h.err = corrupt(h.f.name, m.off, r.err)
		return false
	}
	h.i = 0
	if h.backward {
		h.i = len(h.buf) - 1
	}
	return true
}

func (h *fileHistory) next() bool {
	for !h.done {
		if h.i >= 0 && h.i < len(h.buf) {
			h.e = &h.buf[h.i]
			if h.backward {
				h.i--
			} else {
				h.i++
			}
			switch o := h.e.Position().Compare(h.from); {
			case h.backward && (o > 0 || h.e.Seq > h.upTo), !h.backward && o < 0:
				continue
			case !h.backward && h.e.Seq > h.upTo:
				h.done = true
				return false
			}
			return true
		}
		h.done = !h.turn()
	}
	return false
}

// turn loads the block before or after, when it has entries of the key too.
func (h *fileHistory) turn() bool {
	if h.backward {
		// A block that begins with the key's first entry has position 0.
		if from := &h.index[h.block].from; !bytes.Equal(from.key, h.key) || from.pos == (Position{}) {
			return false
		}
		if h.block--; h.block < 0 {
			if h.section--; h.section < 0 {
				return false
			}
			if h.index, h.err = h.f.index(h.section, nil); h.err != nil {
				return false
			}
			h.block = len(h.index) - 1
		}
		return h.load()
	}
	if h.block++; h.block >= len(h.index) {
		if h.section++; h.section >= len(h.f.sections) || bytes.Compare(h.f.sections[h.section].from.key, h.key) > 0 {
			return false
		}
		if h.index, h.err = h.f.index(h.section, nil); h.err != nil {
			return false
		}
		h.block = 0
	}
	if bytes.Compare(h.index[h.block].from.key, h.key) > 0 {
		return false
	}
	return h.load()
}

func (h *fileHistory) at() *Entry               { return h.e }
func (h *fileHistory) fault() error             { return h.err }
func (h *fileHistory) skip(uint32, []byte) bool { return false }
