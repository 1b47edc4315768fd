package shard

import (
	"math"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/keys"
)

// TermWalk walks the records of a stream that meet all of some parts, in the order of their positions; a record meets a part when it has any of its terms.
// It is for one goroutine, sees the index as it was when it was made, and is to be closed.
//
// Each part is at the first of its records that is not before the place looked for. The part that is furthest says where to look next, and the others
// leap there:
//
//	tag course:1    3  .  .  7  .  .  .  21         place 3: type says 5; place 5: tag says 7; place 7: both: a record
//	type enrolled   .  5  .  7  9  11 .  21
//
// It costs what the rarest part has, not what the stream is.
type TermWalk struct {
	p      *Published
	id     record.StreamID
	parts  []termPart
	at     keys.Position // the next record is there or behind
	upTo   uint64
	looked int
	max    int
	err    error
}

type termPart struct{ lists []termList }

// termList is the records of one term.
type termList struct {
	term []byte
	it   *keys.Iter
	pos  keys.Position
	e    stream.HistoryEntry
	end  bool
}

// stepsBeforeLeap is how many entries of a list are walked before it is opened anew at the place looked for.
const stepsBeforeLeap = 16

// Terms begins a walk of records behind a place, in frames up to one. It looks at so many entries of the index at most, then TooLarge is its error.
func (p *Published) Terms(id record.StreamID, parts [][][]byte, after At, upTo uint64, lookMax int) *TermWalk {
	w := &TermWalk{p: p, id: id, at: behind(after), upTo: upTo, max: lookMax, parts: make([]termPart, len(parts))}
	for i, terms := range parts {
		w.parts[i].lists = make([]termList, len(terms))
		for k, t := range terms {
			w.parts[i].lists[k].term = t
		}
	}
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

// Close lets go of what the walk sees.
func (w *TermWalk) Close() {
	for i := range w.parts {
		for k := range w.parts[i].lists {
			if it := w.parts[i].lists[k].it; it != nil {
				it.Close()
			}
		}
	}
}

// Err says why Next ended early.
func (w *TermWalk) Err() error { return w.err }

// Next returns the next record that is still there, also one of a transaction that is not decided; false at the end or after an error.
func (w *TermWalk) Next() (stream.HistoryEntry, bool) {
	for w.err == nil {
		e, ok := w.meet()
		if !ok {
			return stream.HistoryEntry{}, false
		}
		w.at = keys.Position{Seq: e.Seq, Batch: e.Batch, Record: e.Record}
		w.at.Record++ // no batch has so many records
		part := w.p.Part(w.id, e.Partition)
		if !part.has(&e) {
			continue
		}
		if e.Provisional && e.Offset < part.Stable() {
			seen, err := w.p.sees(Source{Stream: w.id, Partition: e.Partition, Part: part}, e.Offset)
			if w.err = err; err != nil || !seen {
				continue
			}
		}
		return e, true
	}
	return stream.HistoryEntry{}, false
}

// meet moves all parts to the next place at which each has a record.
func (w *TermWalk) meet() (stream.HistoryEntry, bool) {
	for same := 0; ; {
		for i := range w.parts {
			l := w.seek(&w.parts[i])
			if l == nil {
				return stream.HistoryEntry{}, false
			}
			if c := l.pos.Compare(w.at); c > 0 && len(w.parts) > 1 {
				w.at, same = l.pos, 1
			} else {
				w.at = l.pos
				same++
			}
			if same == len(w.parts) {
				return l.e, true
			}
		}
	}
}

// seek moves a part to its first record that is not before w.at; nil when there is none.
func (w *TermWalk) seek(p *termPart) (first *termList) {
	for i := range p.lists {
		l := &p.lists[i]
		w.seekList(l)
		if w.err != nil {
			return nil
		}
		if !l.end && (first == nil || l.pos.Compare(first.pos) < 0) {
			first = l
		}
	}
	return first
}

func (w *TermWalk) seekList(l *termList) {
	for steps := 0; !l.end && (l.it == nil || l.pos.Compare(w.at) < 0); steps++ {
		if w.looked++; w.looked > w.max {
			w.err = fault.New(fault.TooLarge, "read", "", "more than %d entries of the index would have to be looked at; ask for what is rarer, or from further on", w.max)
			return
		}
		if l.it == nil || steps == stepsBeforeLeap {
			if l.it != nil {
				l.it.Close()
			}
			l.it, steps = w.p.keys.HistoryFrom(uint32(stream.TermsOf(w.id)), l.term, w.at, false, w.upTo), 0
		}
		if !l.it.Next() {
			w.err, l.end = keysFault(l.it.Err()), true
			return
		}
		e := l.it.Entry()
		l.pos, l.e = e.Position(), historyEntry(e)
	}
}

// TermsAfter reports whether each part has a term that was met after a place: when not, no record there meets all of them. It is a look at the newest
// entry of each term, and mostly all there is to do for a condition.
func (p *Published) TermsAfter(id record.StreamID, parts [][][]byte, after At, upTo uint64) (bool, error) {
	at := after.position()
	for _, terms := range parts {
		met := false
		for _, t := range terms {
			e, ok, err := p.keys.Last(uint32(stream.TermsOf(id)), t, upTo)
			if err != nil {
				return false, keysFault(err)
			}
			if met = ok && e.Position().Compare(at) > 0; met {
				break
			}
		}
		if !met {
			return false, nil
		}
	}
	return true, nil
}

// termsOf says what the terms of a stream's records are.
func (p *Published) termsOf(id record.StreamID) func(r *record.Record, each func(term []byte)) {
	if p.terms == nil {
		return func(*record.Record, func([]byte)) {}
	}
	return p.terms(id)
}
