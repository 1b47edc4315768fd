package address

import (
	"math/bits"
	"sync/atomic"
)

// Recall remembers which one subscription the records of a subject reach. Where many filters ask for a subject and for nothing else, a match is
// a dozen steps through memory that no processor has near; this is one.
//
//	slot = hash of (subject, clauses of the stream)      check u64 = hash ^ value │ value u64 = subscription + 1; 0: nobody is reached
//
// The clauses of a stream have another number after each change, so what was remembered before is never found again. Two who write a slot at once leave
// one that is found by neither: check and value belong together or are of no use. A subject that is found has the same 64 bits of a hash that nobody
// outside can foresee.
//
// Any number of goroutines may use it.
type Recall struct {
	slots atomic.Pointer[[]recallSlot]
}

type recallSlot struct{ check, value atomic.Uint64 }

// Limits of what is remembered.
const (
	recallTermsMin = 1024    // from so many terms on, or with patterns: fewer are near anyway
	recallSlotsMax = 1 << 18 // 4 MiB
)

// Recalled is a place in a Recall. The zero value is none.
type Recalled struct {
	slot *recallSlot
	hash uint64
}

// Find tells which one subscription a record reaches, or that it reaches nobody. Where known is false that has to be matched, and Keep told.
func (m *Recall) Find(x *Index, r *Record) (id ID, reached, known bool, at Recalled) {
	_, s := x.stream(r.Stream)
	if s == nil || s.otherwise > 0 || s.terms.n < recallTermsMin && !s.patterns() {
		return 0, false, false, at
	}
	at.hash = termHash(int(attrSubject), s.serial, hashOf(r.Subject)) | 1 // a slot that is empty has none
	slots := m.of(s.n)
	at.slot = &slots[at.hash>>1&uint64(len(slots)-1)]
	v := at.slot.value.Load()
	if at.slot.check.Load()^v != at.hash {
		return 0, false, false, at
	}
	return ID(v - 1), v > 0, true, at
}

// Keep remembers whom the record reaches that was not found. More than one are not remembered.
func (m *Recall) Keep(at Recalled, ids []ID) {
	if at.slot == nil || len(ids) > 1 {
		return
	}
	v := uint64(0)
	if len(ids) == 1 {
		v = uint64(ids[0]) + 1
	}
	at.slot.value.Store(v)
	at.slot.check.Store(at.hash ^ v)
}

// of is the slots for so many clauses. There are about twice as many; a new set of them remembers nothing.
func (m *Recall) of(clauses int) []recallSlot {
	n := min(1<<bits.Len(uint(max(clauses, recallTermsMin))), recallSlotsMax)
	if p := m.slots.Load(); p != nil && len(*p) >= n {
		return *p
	}
	p := make([]recallSlot, n)
	m.slots.Store(&p)
	return p
}

// patterns reports whether a walk is needed.
func (s *streamIndex) patterns() bool {
	return s.attrs[attrSubject].words != nil || s.attrs[attrSubject].levels != nil
}

// otherwise reports whether a clause asks for anything but a subject.
func (k *clause) otherwise() bool {
	for i := range k.conds {
		if k.conds[i].attr != attrSubject {
			return true
		}
	}
	return false
}
