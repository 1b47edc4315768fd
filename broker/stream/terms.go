package stream

import (
	"encoding/binary"
	"errors"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// Terms are what events can be asked for besides their keys: their types and their tags. A stream that indexes them has, in the index of keys, a second
// number under which each term of a record is a key:
//
//	7             key "42"                                      the keys of stream 7
//	7 | 1<<31     "t" + tag, "y" + type                         its terms; the version of an entry is the mark of its record's type
//
// A record has one key and several terms, so that the same position stands under several keys there: such a number is read by History and Last only.

// termsBit marks numbers of terms. Numbers of streams grow by one from 1 and never have it.
const termsBit record.StreamID = 1 << 31

// TermsOf is the number under which the terms of a stream are in the index of keys.
func TermsOf(id record.StreamID) record.StreamID { return id | termsBit }

// OfTerms is the stream that a number of the index of keys is of, and whether it is that of its terms.
func OfTerms(id record.StreamID) (record.StreamID, bool) { return id &^ termsBit, id&termsBit != 0 }

// First byte of a term.
const (
	termTag  = 't'
	termType = 'y'
)

// AppendTagTerm appends the term of a tag.
func AppendTagTerm(dst []byte, tag string) []byte { return append(append(dst, termTag), tag...) }

// AppendTypeTerm appends the term of a type.
func AppendTypeTerm(dst []byte, typ string) []byte { return append(append(dst, termType), typ...) }

// TermMark is by what an entry of a tag knows the type of its record: 32 bits of FNV-1a over the type's term, never 0. Two types may have the same.
func TermMark(term []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range term {
		h = (h ^ uint32(c)) * 16777619
	}
	return max(h, 1)
}

// MarkOf is the mark that the entries of a record's terms have, the first of which is its type.
func MarkOf(first []byte) uint64 {
	if len(first) == 0 || first[0] != termType {
		return 0
	}
	return uint64(TermMark(first))
}

// EncodedTerms are the terms of a batch in the form of their fact, made by whoever resolves: there is nothing to decide about them.
//
//	| terms uvarint | bytes each | records uvarint | record | record | ...
//	record: index since the record before uvarint | n uvarint | n x place among the terms uvarint
type EncodedTerms struct {
	Prints []Fingerprint // of each term
	terms  []byte        // each with its length
	ends   []int         // of them in terms
	starts []int
	index  []byte // the records
	count  int
	last   int32
}

// Add adds a record, the one at index in its batch; they come in order. term i of n is what get gives, good until it is called again; the first is its type.
func (x *EncodedTerms) Add(index int32, n int, get func(i int) []byte, printOf func(term []byte) Fingerprint) {
	x.index = binary.AppendUvarint(x.index, uint64(index-x.last))
	x.index = binary.AppendUvarint(x.index, uint64(n))
	x.last = index
	x.count++
	for i := range n {
		x.index = binary.AppendUvarint(x.index, uint64(x.place(get(i), printOf)))
	}
}

// place finds a term among those before. A batch of one producer has few; of one that has many, the same one is said again.
func (x *EncodedTerms) place(term []byte, printOf func(term []byte) Fingerprint) int {
	const compareMax = 64
	for i := range min(len(x.ends), compareMax) {
		if string(x.terms[x.starts[i]:x.ends[i]]) == string(term) {
			return i
		}
	}
	x.terms = binary.AppendUvarint(x.terms, uint64(len(term)))
	x.starts = append(x.starts, len(x.terms))
	x.terms = append(x.terms, term...)
	x.ends = append(x.ends, len(x.terms))
	x.Prints = append(x.Prints, printOf(term))
	return len(x.ends) - 1
}

// Size is about how many bytes the fact takes.
func (x *EncodedTerms) Size() int { return len(x.terms) + len(x.index) + 2*binary.MaxVarintLen32 }

func (x *EncodedTerms) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(x.ends)))
	dst = append(dst, x.terms...)
	dst = binary.AppendUvarint(dst, uint64(x.count))
	return append(dst, x.index...)
}

var errTermed = errors.New("termed fact is malformed")

// readTermed calls each for every term of every record of a termed fact, record by record.
func readTermed(p []byte, each func(index int32, term []byte)) error {
	number := func() uint64 {
		v, n := binary.Uvarint(p)
		if n <= 0 {
			p = nil
			return 1 << 62 // more of anything than there can be
		}
		p = p[n:]
		return v
	}
	count := number()
	if count > uint64(len(p)) {
		return errTermed
	}
	terms := make([][]byte, count)
	for i := range terms {
		size := number()
		if size > uint64(len(p)) {
			return errTermed
		}
		terms[i], p = p[:size:size], p[size:]
	}
	records := number()
	if records > uint64(len(p)) {
		return errTermed
	}
	at := uint64(0)
	for range records {
		step, n := number(), number()
		if at += step; at > 1<<31-1 || n > uint64(len(p)) {
			return errTermed
		}
		for range n {
			i := number()
			if i >= uint64(len(terms)) {
				return errTermed
			}
			each(int32(at), terms[i])
		}
	}
	if len(p) > 0 {
		return errTermed
	}
	return nil
}

// eachTerm calls fn for every term of a termed fact, which speaks of the batch a.
func eachTerm(x fact.Fact, a *Appended, seq uint64, batch uint32, fn func(id record.StreamID, term []byte, e *HistoryEntry)) error {
	e := HistoryEntry{Partition: a.Partition, Seq: seq, Batch: batch, Provisional: a.Flags&AppendedTransactional != 0}
	id := TermsOf(a.Stream)
	last := int32(-1)
	return readTermed(x.Body, func(index int32, term []byte) {
		if index != last {
			last, e.Version = index, MarkOf(term)
		}
		e.Offset, e.Record = a.Base+record.Offset(index), uint32(index)
		fn(id, term, &e)
	})
}

// tips is the newest frame that appended something with a term, of frames that are not published or were so just now. It is what the decider knows of
// events that resolving did not see: a condition on a query is decided again where each of its parts was met since, and that rarely by chance.
type tips struct {
	of     map[Fingerprint]uint64
	frames []tipFrame // oldest first
}

type tipFrame struct {
	seq    uint64
	prints []Fingerprint
}

func (t *tips) add(seq uint64, prints []Fingerprint) {
	if t.of == nil {
		t.of = map[Fingerprint]uint64{}
	}
	n := len(t.frames)
	if n == 0 || t.frames[n-1].seq != seq {
		t.frames = append(t.frames, tipFrame{seq: seq})
		n++
	}
	for _, f := range prints {
		if t.of[f] != seq {
			t.of[f] = seq
			t.frames[n-1].prints = append(t.frames[n-1].prints, f)
		}
	}
}

// prune lets go of frames up to seq.
func (t *tips) prune(seq uint64) {
	n := 0
	for n < len(t.frames) && t.frames[n].seq <= seq {
		for _, f := range t.frames[n].prints {
			if t.of[f] == t.frames[n].seq {
				delete(t.of, f)
			}
		}
		t.frames[n].prints = nil
		n++
	}
	t.frames = append(t.frames[:0], t.frames[n:]...)
}

// Unless is a condition: no event has met all of its parts. Resolving has looked for one among what was published; Failed says that there is one.
type Unless struct {
	Stream record.StreamID
	Parts  [][]Fingerprint // an event meets a part when it has any of its terms
	Failed bool
	Found  HistoryEntry // why it Failed

	Place int    // in the request; of a record's own, the record's place in its batch
	Said  string // what it asks for, for people
}

// since reports whether an event that was appended after seq may meet the condition.
func (t *tips) since(seq uint64, u *Unless) bool {
	for _, part := range u.Parts {
		met := false
		for _, f := range part {
			if t.of[f] > seq {
				met = true
				break
			}
		}
		if !met {
			return false
		}
	}
	return true
}

// stale says that conditions may have come to fail since they were resolved. What may fail them is not published, or was so a moment ago.
func (h *Head) stale(us []Unless) Stale {
	for i := range us {
		st := h.Streams[us[i].Stream]
		switch {
		case st == nil || st.TermsSince == 0 || st.TermsSince > h.resolvedAt:
			return StaleNow // whether it indexes has changed: who asks again is told
		case !us[i].Failed && h.tips.since(h.resolvedAt, &us[i]):
			return StaleLater
		}
	}
	return Fresh
}

// SetTerms records that a stream indexes its terms from here on, or does so no more.
func (h *Head) SetTerms(id record.StreamID, on bool, f *fact.Frame) *fault.Error {
	st := h.Streams[id]
	switch {
	case st == nil:
		return fault.New(fault.NotFound, "alter", "", "the stream was deleted")
	case on == (st.TermsSince > 0):
		return nil
	}
	if err := h.Needs(fact.Format5, "alter"); err != nil {
		return err
	}
	f.Add(fact.TermsSet, 1, func(dst []byte) []byte { return appendTermsSet(dst, id, on) })
	h.evolveTerms(id, on, h.openSeq())
	return nil
}

// TermsBuilt records that the terms of older records are in the index, unless that was for an earlier time. It answers whether it was recorded.
func (h *Head) TermsBuilt(id record.StreamID, since uint64, f *fact.Frame) bool {
	st := h.Streams[id]
	if st == nil || since == 0 || st.TermsSince != since || !st.TermsPartial {
		return false
	}
	f.Add(fact.TermsBuilt, 1, func(dst []byte) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(id)), since)
	})
	h.evolveTermsBuilt(id, since)
	return true
}

func appendTermsSet(dst []byte, id record.StreamID, on bool) []byte {
	dst = binary.AppendUvarint(dst, uint64(id))
	if on {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func readTermsSet(p []byte) (id record.StreamID, on bool, err error) {
	b := fact.ReadBody(p)
	id = record.StreamID(b.Uvarint())
	on = b.Fixed(1)[0] != 0
	return id, on, b.Err()
}

func (s *State) evolveTerms(id record.StreamID, on bool, seq uint64) *Stream {
	st := s.Streams[id]
	if st == nil {
		return nil
	}
	st.TermsSince, st.TermsPartial = 0, false
	if on {
		st.TermsSince, st.TermsPartial = seq, st.holds()
	}
	return st
}

func (s *State) evolveTermsBuilt(id record.StreamID, since uint64) *Stream {
	st := s.Streams[id]
	if st == nil || st.TermsSince != since {
		return nil
	}
	st.TermsPartial = false
	return st
}

// termed is a fact about terms.
func (f *Folder) termed(x fact.Fact) error {
	if x.Kind == fact.Termed {
		if f.Streams[f.last.Stream] == nil || f.batches == 0 {
			return errTermed
		}
		if f.OnKey == nil {
			return nil
		}
		return eachTerm(x, &f.last, f.frame.Seq, f.batches-1, f.OnKey)
	}
	var st *Stream
	if x.Kind == fact.TermsSet {
		id, on, err := readTermsSet(x.Body)
		if err != nil {
			return err
		}
		st = f.evolveTerms(id, on, f.frame.Seq)
	} else {
		id, since, err := ReadTermsBuilt(x.Body)
		if err != nil {
			return err
		}
		if st = f.evolveTermsBuilt(id, since); st != nil {
			f.TermsBuilt = append(f.TermsBuilt, id)
		}
	}
	if st != nil {
		f.writeStream(st)
		f.Changed = append(f.Changed, st.ID)
	}
	return nil
}

// ReadTermsBuilt says which stream a terms-built fact is of, and for which beginning.
func ReadTermsBuilt(p []byte) (id record.StreamID, since uint64, err error) {
	b := fact.ReadBody(p)
	id, since = record.StreamID(b.Uvarint()), b.Uvarint()
	return id, since, b.Err()
}
