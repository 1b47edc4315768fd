package shard

import (
	"slices"
	"sync"
	"sync/atomic"

	"leat/broker/record"
	"leat/broker/stream"
)

// Batch is one stored batch in memory, whose Raw is never written to; or, for readers who ask for that, neighbouring batches by their place.
type Batch struct {
	Raw     []byte
	Span    Span // where they lie; Raw is nil then. See Source.Keep
	Base    record.Offset
	Next    record.Offset
	Seq     uint64
	Ordinal uint32 // among the frame's batches
	TimeMS  int64  // append time

	Shared atomic.Pointer[any] // what readers made of it (decoded records, encodings), for all of them
}

// Len is how many bytes there are.
func (b *Batch) Len() int {
	if b.Span != nil {
		return b.Span.Len()
	}
	return len(b.Raw)
}

const batchOverhead = 160

// Part is what readers see of one partition: its ends, and the hot tail, which are its newest batches without a gap.
type Part struct {
	marked atomic.Bool  // it has had a transaction: what is read has to be looked at
	first  atomic.Int64 // start, for those who look at nothing else: a lock for each record that is read would cost more than the look

	mu          sync.RWMutex
	start       record.Offset
	gone        stream.Point // of the last record before start
	end         record.Offset
	stable      record.Offset // no transaction is open before it
	unstableSeq uint64        // frame of the first record of an open one; stream.NeverStable without
	lastAborted record.Offset
	batches     []*Batch
	watches     []*Watch
	touched     uint32 // see touched
}

// touched counts the partitions that were appended to since the keeper began its last window: about how many pieces the next one will have. What
// that one leaves in the journal is not counted again.
type touched struct {
	window atomic.Uint32 // number of the window
	n      atomic.Int64
}

// begin is called by the keeper.
func (t *touched) begin() {
	t.window.Add(1)
	t.n.Store(0)
}

// add is called by the publisher, which holds the partition's lock.
func (t *touched) add(p *Part) {
	if now := t.window.Load() + 1; p.touched != now {
		p.touched = now
		t.n.Add(1)
	}
}

func (t *touched) count() int64 { return t.n.Load() }

func newPart(x *stream.Partition) *Part {
	p := &Part{end: x.Next}
	p.begin(x.Start, x.Gone)
	p.settle(x)
	return p
}

// begin moves the start. The lock is held, but for a part that nobody has yet.
func (p *Part) begin(start record.Offset, gone stream.Point) {
	p.start, p.gone = start, gone
	p.first.Store(int64(start))
}

// Start returns the first offset that is there.
func (p *Part) Start() record.Offset { return record.Offset(p.first.Load()) }

// Ends returns the first offset that is there and the one after the last.
func (p *Part) Ends() (start, end record.Offset) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.start, p.end
}

// Gone returns the first offset that is there and the last record before it: who has read up to that has missed nothing. Nothing is gone
// while the first offset is 0.
func (p *Part) Gone() (start record.Offset, last stream.Point) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.start, p.gone
}

// hot returns the batches from the one that holds from on, up to about max bytes, or false when from is older than the hot tail.
func (p *Part) hot(dst []*Batch, from record.Offset, maxBytes int, upTo uint64) ([]*Batch, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(p.batches) == 0 || from < p.batches[0].Base {
		return dst, from >= p.end
	}
	lo, hi := 0, len(p.batches)
	for lo < hi {
		if m := (lo + hi) / 2; p.batches[m].Next <= from {
			lo = m + 1
		} else {
			hi = m
		}
	}
	size := 0
	for _, b := range p.batches[lo:] {
		if b.Seq > upTo || size > 0 && size+len(b.Raw) > maxBytes {
			break
		}
		size += len(b.Raw)
		dst = append(dst, b)
	}
	return dst, true
}

// cool lets go of hot batches up to the last one of which something is gone from files, so that nobody reads it who comes after that. Their share of
// the tail is given back when it is their turn.
func (p *Part) cool(gone *deadOffsets) {
	last := record.Offset(-1)
	p.mu.RLock()
	for _, b := range slices.Backward(p.batches) {
		if gone.any(uint64(b.Base), uint64(b.Next)) {
			last = b.Next
			break
		}
	}
	p.mu.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.batches) > 0 && p.batches[0].Next <= last { // some may have gone meanwhile
		p.batches[0] = nil
		p.batches = p.batches[1:]
	}
}

// Watch wakes a reader when something was appended to a partition it watches.
type Watch struct {
	c     chan struct{}
	parts []*Part

	set    *WatchSet // not nil: it is one of these, of a single partition
	number int32
	noted  atomic.Bool
}

// NewWatch makes a watch on nothing.
func NewWatch() *Watch { return &Watch{c: make(chan struct{}, 1)} }

// Add watches one more partition.
func (w *Watch) Add(p *Part) {
	p.mu.Lock()
	p.watches = append(p.watches, w)
	p.mu.Unlock()
	w.parts = append(w.parts, p)
}

// C fires at least once after each append to a watched partition. It holds one token.
func (w *Watch) C() <-chan struct{} { return w.c }

// Close stops watching.
func (w *Watch) Close() {
	for _, p := range w.parts {
		p.mu.Lock()
		for i, x := range p.watches {
			if x == w {
				n := len(p.watches) - 1
				p.watches[i] = p.watches[n]
				p.watches[n] = nil
				p.watches = p.watches[:n]
				break
			}
		}
		p.mu.Unlock()
	}
	w.parts = nil
}

func (w *Watch) fire() {
	if w.set != nil {
		w.set.note(w)
	}
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// tail bounds the hot tails of all partitions by their bytes: the oldest batch of all goes first.
type tail struct {
	max   int64
	bytes int64
	order []hotBatch // a ring would save the copying; the slice is cut when half of it is gone
	first int
}

type hotBatch struct {
	part  *Part
	bytes int64
}

func (t *tail) add(p *Part, b *Batch) {
	n := int64(len(b.Raw)) + batchOverhead
	t.bytes += n
	t.order = append(t.order, hotBatch{p, n})
	for t.bytes > t.max && t.first < len(t.order) {
		t.drop()
	}
}

func (t *tail) drop() {
	h := t.order[t.first]
	t.order[t.first] = hotBatch{}
	t.first++
	if t.first > 1024 && t.first*2 > len(t.order) {
		n := copy(t.order, t.order[t.first:])
		clear(t.order[n:])
		t.order, t.first = t.order[:n], 0
	}
	t.bytes -= h.bytes
	h.part.mu.Lock()
	if len(h.part.batches) > 0 { // empty when the partition was cooled or deleted meanwhile
		h.part.batches[0] = nil
		h.part.batches = h.part.batches[1:]
	}
	h.part.mu.Unlock()
}
