package keys

import (
	"bytes"
	"cmp"
	"math"
	"slices"
)

// Iter walks entries as of the moment it was made: what is added, merged or removed meanwhile does not change what it gives. It is for
// one goroutine, and is to be closed.
type Iter struct {
	x *Index
	v *view
	m merger

	// A history opens a source only when its turn comes: its entries begin at bound.
	history  bool
	backward bool
	waiting  []source
	stream   uint32
	key      fullKey
	from     Position
	hash     uint64
	past     *past      // what was known of the key
	found    []pastFile // what is known since

	// A scan.
	hi     []byte // nil: to the end of the stream
	newest bool   // only the newest entry of each key
	keyBuf []byte

	upTo  uint64
	given bool // the merger's top was given: the next step moves it
	known bool // cur was given before, and may come again from another source
	cur   Entry
	out   Entry
	err   error
	done  bool
}

// source is one that a history has not opened yet.
type source struct {
	bound uint64 // seq before which (backward: behind which) it has nothing
	c     *chunk
	f     *file
	known *pastHistory // instead of f, where it is known what that has
	ahead *opening     // of f, when it has begun
}

// opening is a file that is being opened ahead of its turn: a key is in a handful of files, and each costs some reads one after the other, so
// that on a cold disk it is those that take the time.
type opening struct {
	h    *fileHistory
	ok   bool
	done chan struct{}
}

const openAheadMax = 8 // files of one history that are opened at a time

// openAhead begins to open the next files.
func (it *Iter) openAhead() {
	if it.x.opt.Foreground {
		return
	}
	for i := range min(len(it.waiting), openAheadMax) {
		s := &it.waiting[i]
		if s.f == nil || s.ahead != nil {
			continue
		}
		o := &opening{h: it.historyOf(s.f), done: make(chan struct{})}
		s.ahead = o
		go func() {
			o.ok = o.h.open(it.hash)
			close(o.done)
		}()
	}
}

func (it *Iter) historyOf(f *file) *fileHistory {
	return &fileHistory{f: f, key: it.key, from: it.from, backward: it.backward, upTo: it.upTo}
}

// opened returns a file's entries of the key; false when it has none.
func (it *Iter) opened(s *source) (h *fileHistory, ok bool) {
	if s.ahead == nil {
		h = it.historyOf(s.f)
		ok = h.open(it.hash)
	} else {
		<-s.ahead.done // its goroutine does not touch h any more
		h, ok = s.ahead.h, s.ahead.ok
	}
	if p, all := h.seen(); all {
		it.found = append(it.found, p)
	}
	return h, ok
}

// Err is what ended the walk, nil at its end. *CorruptError names a damaged block.
func (it *Iter) Err() error { return it.err }

// Entry is where the walk is, valid with its key until the next call of Next, SkipKey or Close.
func (it *Iter) Entry() *Entry { return &it.out }

// Close lets go of what the walk holds.
func (it *Iter) Close() {
	if it.v != nil {
		for i := range it.waiting {
			if it.waiting[i].ahead != nil {
				it.opened(&it.waiting[i]) // it reads what is let go of here
			}
		}
		it.x.table.learn(it.key, it.hash, it.past, it.v.files, it.found)
		it.v.release()
		it.v, it.done = nil, true
		it.m.heap, it.waiting = nil, nil
	}
}

// Next moves to the next entry. False is the end, or a fault: see Err.
func (it *Iter) Next() bool {
	if it.newest {
		return it.nextNewest()
	}
	if !it.step() {
		return false
	}
	it.out = it.cur
	return true
}

func (it *Iter) stop(err error) bool {
	it.done = true
	if it.err == nil {
		it.err = err
	}
	return false
}

// step moves cur to the next entry.
func (it *Iter) step() bool {
	for !it.done {
		if it.given {
			top := it.m.top()
			more := top.next()
			if err := top.fault(); err != nil {
				return it.stop(err)
			}
			it.m.settle(more)
			it.given = false
		}
		if it.history && !it.openDue() {
			return false
		}
		if len(it.m.heap) == 0 {
			return it.stop(nil)
		}
		e := it.m.top().at()
		it.given = true
		if !it.history && (e.Stream != it.stream || it.hi != nil && bytes.Compare(e.Key, it.hi) >= 0) {
			return it.stop(nil)
		}
		// One record has one key: the same position is the same entry, indexed twice.
		if e.Seq > it.upTo || it.known && comparePositions(e, &it.cur) == 0 {
			continue
		}
		it.cur, it.known = *e, true
		return true
	}
	return false
}

// openDue opens the sources that may have the next entry.
func (it *Iter) openDue() bool {
	for len(it.waiting) > 0 {
		s := it.waiting[0]
		if len(it.m.heap) > 0 {
			seq := it.m.top().at().Seq
			if it.backward && seq > s.bound || !it.backward && seq < s.bound {
				return true
			}
		}
		if s.f != nil && s.ahead == nil && len(it.waiting) > 1 {
			it.openAhead()
			s = it.waiting[0]
		}
		it.waiting = it.waiting[1:]
		var c cursor
		if s.known != nil {
			c = s.known
		} else if s.c != nil {
			c = newChunkHistory(s.c, it.stream, it.key.key(), it.from, it.backward, it.upTo)
		} else {
			h, ok := it.opened(&s)
			if !ok && h.err == nil {
				continue
			}
			c = h
		}
		more := c.next()
		if err := c.fault(); err != nil {
			return it.stop(err)
		}
		if more {
			it.m.push(c)
		}
	}
	return true
}

// History walks the entries of a key with Seq at most upTo, in position order or backward.
func (x *Index) History(stream uint32, key []byte, backward bool, upTo uint64) *Iter {
	from := Position{}
	if backward {
		from = Position{Seq: math.MaxUint64, Batch: math.MaxUint32, Record: math.MaxUint32}
	}
	return x.HistoryFrom(stream, key, from, backward, upTo)
}

// HistoryFrom is History that begins at a position: with the first entry at or after it, backward with the last at or before it. What lies
// before the position is not walked.
func (x *Index) HistoryFrom(stream uint32, key []byte, from Position, backward bool, upTo uint64) *Iter {
	it := &Iter{
		x: x, v: x.acquire(), history: true, backward: backward, stream: stream, upTo: upTo, hash: hashKey(stream, key),
		key: appendFullKey(make([]byte, 0, streamBytes+len(key)), stream, key), from: from,
	}
	it.m.compare = twins(comparePositions)
	if backward {
		it.m.compare = twins(func(a, b *Entry) int { return comparePositions(b, a) })
		if from.Seq > upTo {
			it.from = Position{Seq: upTo, Batch: math.MaxUint32, Record: math.MaxUint32}
		}
	}
	if x.dropped(stream) {
		it.done = true
		return it
	}
	least, most := uint64(0), upTo
	if backward {
		most = it.from.Seq
	} else {
		least = from.Seq
	}
	it.waiting = make([]source, 0, len(it.v.chunks)+len(it.v.files))
	it.m.heap = make([]cursor, 0, cap(it.waiting))
	for i, c := range it.v.chunks {
		if c.published.Load() == 0 || c.first.Load() > most || i > 0 && c.through < least {
			continue
		}
		bound := c.first.Load()
		if backward {
			if bound = math.MaxUint64; i > 0 {
				bound = c.through
			}
		}
		it.waiting = append(it.waiting, source{bound: bound, c: c})
	}
	it.filesOf(least, most)
	slices.SortStableFunc(it.waiting, func(a, b source) int {
		if backward {
			return cmp.Compare(b.bound, a.bound)
		}
		return cmp.Compare(a.bound, b.bound)
	})
	return it
}

// filesOf makes those files wait that may have entries of the key in frames from least to most.
func (it *Iter) filesOf(least, most uint64) {
	it.past = it.x.table.pastOf(it.key, it.hash)
	var known []pastHistory
	if it.past != nil {
		known = make([]pastHistory, len(it.v.files))
	}
	for i, f := range it.v.files {
		if f.meta.seqMin > most || f.meta.seqMax < least || !f.meta.covers(it.key, it.key) {
			continue
		}
		if entries, ok := it.past.in(f.meta.number); ok {
			if h := &known[i]; h.of(entries, it.stream, it.key.key(), it.from, it.backward, it.upTo) {
				it.waiting = append(it.waiting, source{bound: h.bound(), known: h})
			}
			continue
		}
		bound := f.meta.seqMin
		if it.backward {
			bound = f.meta.seqMax
		}
		it.waiting = append(it.waiting, source{bound: bound, f: f})
	}
}

// Scan walks all entries with Seq at most upTo of the keys from lo on and below hi, in (key, position) order. A nil hi is the end of the stream.
func (x *Index) Scan(stream uint32, lo, hi []byte, upTo uint64) *Iter {
	it := &Iter{x: x, v: x.acquire(), stream: stream, upTo: upTo}
	if hi != nil {
		it.hi = slices.Clone(hi)
		if len(hi) == 0 {
			it.done = true // no key is below the empty one
		}
	}
	it.m.compare = twins(compareEntries)
	if it.done || x.dropped(stream) {
		it.done = true
		return it
	}
	for _, c := range it.v.chunks {
		n := int(c.published.Load())
		if n == 0 || c.first.Load() > upTo {
			continue
		}
		for _, run := range c.sorted(n) {
			s := &chunkScan{c: c, run: run}
			if s.seek(stream, lo, false); s.next() {
				it.m.push(s)
			}
		}
	}
	from := place{key: appendFullKey(make([]byte, 0, streamBytes+len(lo)), stream, lo)}
	for _, f := range it.v.files {
		if f.meta.seqMin > upTo || bytes.Compare(f.meta.last, from.key) < 0 && !f.meta.lastCut || f.meta.first.stream() > stream {
			continue
		}
		s := &fileScan{f: f}
		more := s.seek(from) && s.next()
		for more && (s.at().Stream < stream || s.at().Stream == stream && bytes.Compare(s.at().Key, lo) < 0) {
			more = s.next()
		}
		if s.err != nil {
			it.stop(s.err)
			return it
		}
		if more {
			it.m.push(s)
		}
	}
	return it
}

// SkipKey passes over the rest of the entries of the key that Entry has.
func (it *Iter) SkipKey() {
	if it.newest || it.history || it.done || !it.given {
		return
	}
	it.keyBuf = append(it.keyBuf[:0], it.out.Key...)
	it.skipKey(it.keyBuf)
}

// skipKey moves every source behind a key.
func (it *Iter) skipKey(key []byte) {
	it.given, it.known = false, false
	for len(it.m.heap) > 0 {
		top := it.m.top()
		if e := top.at(); e.Stream != it.stream || !bytes.Equal(e.Key, key) {
			return
		}
		more := top.skip(it.stream, key)
		if err := top.fault(); err != nil {
			it.stop(err)
			return
		}
		it.m.settle(more)
	}
}

// LastIn walks the newest entry with Seq at most upTo of each key from lo on and below hi, in key order.
func (x *Index) LastIn(stream uint32, lo, hi []byte, upTo uint64) *Iter {
	it := x.Scan(stream, lo, hi, upTo)
	it.newest = true
	return it
}

// newestSteps is how many entries of a key are walked before its newest is looked up instead.
const newestSteps = 64

func (it *Iter) nextNewest() bool {
	if !it.step() {
		return false
	}
	it.keyBuf = append(it.keyBuf[:0], it.cur.Key...)
	it.out = it.cur
	for n := 1; it.step(); n++ {
		if !bytes.Equal(it.cur.Key, it.keyBuf) {
			it.given, it.known = false, false // it is the next one's
			break
		}
		it.out = it.cur
		if n < newestSteps {
			continue
		}
		e, ok, err := it.x.lastOf(it.v, it.stream, it.keyBuf, it.upTo)
		if err != nil {
			return it.stop(err)
		}
		if ok {
			it.out = e
		}
		it.skipKey(it.keyBuf)
		break
	}
	it.out.Key = it.keyBuf
	return it.err == nil
}
