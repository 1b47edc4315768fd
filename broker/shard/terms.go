package shard

import (
	"math"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/keys"
)

// TermQuery asks for records that have all of some tags and one of some types. Without tags it asks for types alone.
type TermQuery struct {
	Tags, Types [][]byte // terms
}

// TermWalk walks the records that a query asks for, in the order of their positions. It is for one goroutine, sees the index as it was when it was made,
// and is to be closed.
//
// With tags, one list is walked: that of the tag that is rarest from there on. Which one that is shows in a race, an entry of each at a time: the first at
// its end has won, and no list was walked further than the shortest one.
//
//	tag course:1    3  7  21 |                    won: 3, 7 and 21 may be asked for
//	tag full-time   1  2  3  .  .  .  .  .  .
//
// An entry of a tag knows a mark of its record's type, which rules most others out. What is left is read and looked at, where the index alone does not tell:
// by verify. Without tags, the lists of all types are merged.
type TermWalk struct {
	p      *Published
	id     record.StreamID
	lists  []termList
	marks  []uint32 // of types, any; none: all
	verify func(e *stream.HistoryEntry) (bool, error)
	looked int
	max    int
	err    error
}

// termList is the records of one term.
type termList struct {
	it    *keys.Iter
	ahead []stream.HistoryEntry // met in the race
	next  stream.HistoryEntry
	ok    bool
}

// raceMax is how far tags are walked to see which is the rarest. Where none has ended by then, any will do: a page or a first match comes soon.
const raceMax = 4096

// Terms begins a walk of records behind a place, in frames up to one. It looks at so many entries of the index at most, then TooLarge is its error.
// verify says whether a record is what the query asks for; nil: who is given it finds out.
func (p *Published) Terms(id record.StreamID, q TermQuery, after At, upTo uint64, lookMax int, verify func(e *stream.HistoryEntry) (bool, error)) *TermWalk {
	w := &TermWalk{p: p, id: id, max: lookMax, verify: verify}
	from := behind(after)
	open := func(term []byte) {
		w.lists = append(w.lists, termList{it: p.keys.HistoryFrom(uint32(stream.TermsOf(id)), term, from, false, upTo)})
	}
	if len(q.Tags) == 0 {
		w.verify = nil
		for _, t := range q.Types {
			open(t)
			w.step(&w.lists[len(w.lists)-1])
		}
		return w
	}
	for _, t := range q.Types {
		w.marks = append(w.marks, stream.TermMark(t))
	}
	if len(q.Tags) == 1 && len(q.Types) == 0 {
		w.verify = nil
	}
	for _, t := range q.Tags {
		open(t)
	}
	w.race()
	return w
}

// behind is the first place after one.
func behind(a At) keys.Position {
	switch {
	case a.Record < math.MaxUint32:
		return keys.Position{Seq: a.Seq, Batch: a.Batch, Record: a.Record + 1}
	case a.Batch < math.MaxUint32:
		return keys.Position{Seq: a.Seq, Batch: a.Batch + 1}
	}
	return keys.Position{Seq: a.Seq + 1}
}

// race leaves the list of the rarest tag, as far as that is known.
func (w *TermWalk) race() {
	best, over := 0, len(w.lists) == 1
	for n := 0; !over && n < raceMax && w.err == nil; n++ {
		for i := range w.lists {
			l := &w.lists[i]
			if w.step(l); !l.ok {
				best, over = i, true
				break
			}
			l.ahead = append(l.ahead, l.next)
		}
	}
	for i := range w.lists {
		if i != best {
			w.lists[i].it.Close()
		}
	}
	w.lists = w.lists[best : best+1]
	w.take(&w.lists[0])
}

// take moves a list on: first through what was met in the race.
func (w *TermWalk) take(l *termList) {
	if len(l.ahead) > 0 {
		l.next, l.ahead, l.ok = l.ahead[0], l.ahead[1:], true
		return
	}
	w.step(l)
}

// step moves a list to its next entry.
func (w *TermWalk) step(l *termList) {
	if l.ok = false; w.err != nil {
		return
	}
	if w.looked++; w.looked > w.max {
		w.err = fault.New(fault.TooLarge, "read", "", "more than %d entries of the index would have to be looked at; ask for what is rarer, or from further on", w.max)
		return
	}
	if l.ok = l.it.Next(); !l.ok {
		w.err = keysFault(l.it.Err())
		return
	}
	l.next = historyEntry(l.it.Entry())
}

// Close lets go of what the walk sees.
func (w *TermWalk) Close() {
	for i := range w.lists {
		w.lists[i].it.Close()
	}
}

// Err says why Next ended early.
func (w *TermWalk) Err() error { return w.err }

// Next returns the next record that is still there, also one of a transaction that is not decided; false at the end or after an error.
func (w *TermWalk) Next() (stream.HistoryEntry, bool) {
	for {
		var first *termList
		for i := range w.lists {
			if l := &w.lists[i]; l.ok && (first == nil || at(&l.next).Compare(at(&first.next)) < 0) {
				first = l
			}
		}
		if first == nil || w.err != nil {
			return stream.HistoryEntry{}, false
		}
		e := first.next
		w.take(first)
		ok, err := w.asks(&e)
		if err != nil {
			w.err = err
			return stream.HistoryEntry{}, false
		}
		if ok {
			e.Version = 0
			return e, true
		}
	}
}

func at(e *stream.HistoryEntry) keys.Position {
	return keys.Position{Seq: e.Seq, Batch: e.Batch, Record: e.Record}
}

// asks says whether a record that an entry names is asked for and there.
func (w *TermWalk) asks(e *stream.HistoryEntry) (bool, error) {
	if len(w.marks) > 0 {
		some := false
		for _, m := range w.marks {
			some = some || uint64(m) == e.Version
		}
		if !some {
			return false, nil
		}
	}
	part := w.p.Part(w.id, e.Partition)
	if !part.has(e) {
		return false, nil
	}
	if e.Provisional && e.Offset < part.Stable() {
		if seen, err := w.p.sees(Source{Stream: w.id, Partition: e.Partition, Part: part}, e.Offset); err != nil || !seen {
			return false, err
		}
	}
	if w.verify == nil {
		return true, nil
	}
	return w.verify(e)
}

// TermsAfter reports whether something that a query asks for may lie after a place: when the newest entry of one of its tags, or of all of its types, does
// not, nothing can. Mostly that is all there is to do for a condition.
func (p *Published) TermsAfter(id record.StreamID, q TermQuery, after At, upTo uint64) (bool, error) {
	pos := after.position()
	newer := func(term []byte) (bool, error) {
		e, ok, err := p.keys.Last(uint32(stream.TermsOf(id)), term, upTo)
		return ok && e.Position().Compare(pos) > 0, keysFault(err)
	}
	for _, t := range q.Tags {
		if met, err := newer(t); err != nil || !met {
			return false, err
		}
	}
	if len(q.Tags) > 0 {
		return true, nil // what an entry says of its type rules it out sooner
	}
	for _, t := range q.Types {
		if met, err := newer(t); err != nil || met {
			return met, err
		}
	}
	return false, nil
}

// termsOf says what the terms of a stream's records are, the type first.
func (p *Published) termsOf(id record.StreamID) func(r *record.Record, each func(term []byte)) {
	if p.terms == nil {
		return func(*record.Record, func([]byte)) {}
	}
	return p.terms(id)
}
