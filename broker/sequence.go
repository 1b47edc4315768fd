package broker

import (
	"hash/maphash"
	"maps"
	"strconv"
	"sync"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// Producers may number what they send: the CloudEvents attribute sequence, of each source and key a series of its own. A subscription that asks for it is told
// with a delivery what its number says of it: some before it never came, it comes late, it was there already.
//
//	sequence   1  2  5  3  5  6         1 and 2 are as they should be; of 5 two are missing before it (gap 2); 3 is late;
//	offset     0  1  2  3  4  5         the second 5 is a duplicate of offset 2; 6 is as it should be
//
// A mark is told of the partition, not of what is handed over: what a filter leaves out is missing to nobody. It follows from the SequenceWindow offsets before the
// event and from nothing else, so that it is the same for each attempt, each subscription, after a rewind and after a restart, as long as those are stored. What is
// remembered, the window of a partition as one subscription goes through it, is read again where it is not there.
//
// Numbers are whole, or any text, whose order is that of its bytes and which has no gaps. Events of no key in a stream of several partitions have no marks: each
// partition has but some of a series.

// Limits of marks.
const (
	SequenceWindow     = 4096 // offsets before an event that its marks are told from, which cost about 200 bytes each
	SequenceWindowsMax = 256  // that a node remembers; with more, the one that was used least is read again
	sequenceBytesMax   = 64   // of a text that is a number
	sequenceSourcesMax = 16   // partitions of which windows are made anew for one answer, for what comes again
)

// Marks are what the number of an event says of it.
type Marks struct {
	Gap         int64 // so many numbers before it are missing
	Late        bool  // a later one was there before
	DuplicateOf string
}

// None reports that there is nothing to be told.
func (m Marks) None() bool { return m == Marks{} }

// sequenceWindows are those of a node.
type sequenceWindows struct {
	mu    sync.Mutex
	byKey map[sequenceKey]*sequenceWindow
	used  uint64 // counts
}

type sequenceKey struct {
	subKey
	at subscription.Place
}

// sequenceWindow is what is known of a partition up to next.
type sequenceWindow struct {
	used uint64 // of sequenceWindows.used, under its mu

	mu     sync.Mutex
	begins record.Offset // marks of offsets from here on are known, as far as they are within the window
	next   record.Offset
	ring   []numbered // of the window, oldest first, from first on
	first  int
	series map[uint64]*series
	seen   map[seenKey]record.Offset // where a number was last
	marks  map[record.Offset]mark    // of those in ring that have some
}

// series is of a source and key.
type series struct {
	events int        // in the ring
	top    []numbered // numbers that fall and offsets that rise: the first is the highest of the window
}

type seenKey struct {
	series uint64
	number number
}

// number is the place of an event in its series.
type number struct {
	whole int64
	text  string // where it is no whole number
}

func (a number) above(b number) bool {
	if a.text != "" || b.text != "" {
		return a.text > b.text
	}
	return a.whole > b.whole
}

type numbered struct {
	offset record.Offset
	series uint64
	number number
}

type mark struct {
	gap  int64
	late bool
	of   record.Offset // of the one before with that number; -1: none
}

var sequenceSeed = maphash.MakeSeed()

// mark tells the marks of deliveries, of a subscription that asks for them.
func (b *Broker) mark(x *subscribed, ds []Delivery) {
	var again map[subscription.Place]*sequenceWindow
	for i := range ds {
		d := &ds[i]
		at := d.Handle.h.At
		n := b.names.of(x.shard, at.Stream)
		if n == nil || d.Record.Key == nil && n.config.Partitions > 1 {
			continue
		}
		if !sequenced(d.Record) {
			continue
		}
		w := b.subs.sequences.of(sequenceKey{subKey{x.shard, x.id}, at.Place})
		w.mu.Lock()
		if d.Again && !w.covers(at.Offset) && at.Offset < w.next {
			w.mu.Unlock() // who goes on is not set back by what comes again
			if w = again[at.Place]; w == nil {
				if len(again) >= sequenceSourcesMax {
					again = nil
				}
				if again == nil {
					again = map[subscription.Place]*sequenceWindow{}
				}
				w = &sequenceWindow{}
				again[at.Place] = w
			}
			w.mu.Lock()
		}
		m, err := b.markAt(w, n, at)
		w.mu.Unlock()
		switch {
		case fault.Is(err, fault.Trimmed), fault.Is(err, fault.NotFound):
		case err != nil:
			b.opt.Log.Warn("marks of an event cannot be told", "subscription", x.name, "error", err)
		default:
			d.Marks = Marks{Gap: m.gap, Late: m.late}
			if m.of >= 0 {
				d.Marks.DuplicateOf = record.Ref{Stream: n.name, Partition: at.Partition, Offset: m.of}.String()
			}
		}
	}
	b.subs.sequences.shrink()
}

// sequenced reports whether a record has a number.
func sequenced(r *record.Record) bool {
	for i := range r.Headers {
		if r.Headers[i].Key == headerSequence {
			return len(r.Headers[i].Value) > 0
		}
	}
	return false
}

const headerSequence, headerSource = "ce_sequence", "ce_source"

// markAt is the mark of one offset: of a window that is read on, or anew. w.mu is held.
func (b *Broker) markAt(w *sequenceWindow, n *named, at subscription.At) (mark, error) {
	if !w.covers(at.Offset) && (at.Offset < w.next || at.Offset-w.next > SequenceWindow || w.series == nil) {
		w.reset(at.Offset)
	}
	pub := b.shards[n.shard].Published()
	src, ok := pub.Source(at.Stream, at.Partition)
	if !ok {
		return mark{}, fault.New(fault.NotFound, "receive", n.name, "the stream was deleted")
	}
	var batches []*shard.Batch
	for room := lookReadMin; w.next <= at.Offset; room = min(2*room, lookReadMax) {
		if start := src.Part.Start(); w.next < start {
			w.next = start
			continue
		}
		var err error
		if batches, err = pub.Read(batches[:0], src, w.next, room, shard.AllSeqs); err != nil {
			if fault.Is(err, fault.Trimmed) && src.Part.Start() > w.next {
				continue
			}
			return mark{}, err
		}
		if len(batches) == 0 {
			break // there is nothing from there on any more
		}
		for _, s := range batches {
			events, err := b.decode(n, at.Partition, s)
			if err != nil {
				return mark{}, err
			}
			for i := range events {
				if o := events[i].Ref.Offset; o >= w.next {
					w.take(o, events[i].Record)
				}
			}
			w.next = max(w.next, s.Next)
		}
	}
	if m, some := w.marks[at.Offset]; some {
		return m, nil
	}
	return mark{of: -1}, nil
}

// covers reports whether the mark of an offset is known, if it has one.
func (w *sequenceWindow) covers(o record.Offset) bool {
	return w.series != nil && o >= w.begins && o < w.next && o >= w.next-SequenceWindow
}

// reset has the window begin so far before an offset that its marks can be told.
func (w *sequenceWindow) reset(o record.Offset) {
	w.begins, w.next = o, max(0, o-SequenceWindow)
	w.ring, w.first = w.ring[:0], 0
	w.series, w.seen, w.marks = map[uint64]*series{}, map[seenKey]record.Offset{}, map[record.Offset]mark{}
}

// take goes on by one record.
func (w *sequenceWindow) take(o record.Offset, r *record.Record) {
	w.forget(o - SequenceWindow)
	v, ok := numberOf(r)
	if !ok {
		return
	}
	v.offset = o
	s := w.series[v.series]
	if s == nil {
		s = &series{}
		w.series[v.series] = s
	}
	m, k := mark{of: -1}, seenKey{v.series, v.number}
	if before, there := w.seen[k]; there {
		m.of = before
	} else if len(s.top) > 0 {
		switch top := s.top[0].number; {
		case top.above(v.number):
			m.late = true
		case v.number.text == "":
			m.gap = v.number.whole - top.whole - 1
		}
	}
	if m != (mark{of: -1}) {
		w.marks[o] = m
	}
	w.seen[k] = o
	for n := len(s.top); n > 0 && !s.top[n-1].number.above(v.number); n = len(s.top) {
		s.top = s.top[:n-1]
	}
	s.top = append(s.top, v)
	s.events++
	w.ring = append(w.ring, v)
}

// forget lets go of what lies before an offset.
func (w *sequenceWindow) forget(before record.Offset) {
	for ; w.first < len(w.ring) && w.ring[w.first].offset < before; w.first++ {
		v := &w.ring[w.first]
		delete(w.marks, v.offset)
		if k := (seenKey{v.series, v.number}); w.seen[k] == v.offset {
			delete(w.seen, k)
		}
		s := w.series[v.series]
		if s.top[0].offset == v.offset {
			s.top = s.top[1:]
		}
		if s.events--; s.events == 0 {
			delete(w.series, v.series)
		}
	}
	if w.first > SequenceWindow {
		w.ring = w.ring[:copy(w.ring, w.ring[w.first:])]
		w.first = 0
	}
}

// numberOf reads the number of a record, and which series it is of. Whole numbers and texts are series of their own, and so are sources and keys by a hash of 64
// bits: two of them share one once in very many years.
func numberOf(r *record.Record) (v numbered, ok bool) {
	var text, source []byte
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case headerSequence:
			text = h.Value
		case headerSource:
			source = h.Value
		}
	}
	if len(text) == 0 || len(text) > sequenceBytesMax {
		return v, false
	}
	kind := byte(0)
	n, err := strconv.ParseInt(string(text), 10, 64)
	if v.number.whole = n; err != nil || n < 0 {
		v.number, kind = number{text: string(text)}, 1
	}
	var h maphash.Hash
	h.SetSeed(sequenceSeed)
	_ = h.WriteByte(kind)
	_, _ = h.Write(strconv.AppendInt(nil, int64(len(source)), 10)) // so that no source and key are another source and key
	_ = h.WriteByte(' ')
	_, _ = h.Write(source)
	if r.Key != nil {
		_ = h.WriteByte(1)
		_, _ = h.Write(r.Key)
	}
	v.series = h.Sum64()
	return v, true
}

// of is the window of a partition for a subscription, a new one if there is none.
func (s *sequenceWindows) of(k sequenceKey) *sequenceWindow {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.byKey[k]
	if w == nil {
		if s.byKey == nil {
			s.byKey = map[sequenceKey]*sequenceWindow{}
		}
		w = &sequenceWindow{}
		s.byKey[k] = w
	}
	s.used++
	w.used = s.used
	return w
}

// shrink lets go of the windows that were used least while there are too many.
func (s *sequenceWindows) shrink() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.byKey) > SequenceWindowsMax {
		var least sequenceKey
		found := false
		for k, w := range s.byKey {
			if !found || w.used < s.byKey[least].used {
				least, found = k, true
			}
		}
		delete(s.byKey, least)
	}
}

// drop forgets what a subscription went through.
func (s *sequenceWindows) drop(sub subKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.byKey, func(k sequenceKey, _ *sequenceWindow) bool { return k.subKey == sub })
}
