package history

import "fmt"

// Stored is a record as a partition holds it, or a marker.
type Stored struct {
	Offset        int64
	Value         string // its head; none for a marker
	Producer      int64
	Epoch         int16
	Transactional bool
	Control       bool
	Commit        bool // of a marker
}

// visible computes from what a partition stores what readers are to see, by the markers alone, and notes what of an older epoch follows a newer one.
//
//	stored    7:a  8:x  7:b  [7 committed]  8:y  [8 aborted]  7:c
//	visible   7:a       7:b                                        (c waits for its marker)
func visible(at Part, stored []Stored, r *Report) (seen []Seen) {
	type run struct{ of []int }
	open, epoch, shown := map[int64]*run{}, map[int64]int16{}, make([]bool, len(stored))
	for i := range stored {
		s := &stored[i]
		if i > 0 && s.Offset != stored[i-1].Offset+1 {
			r.add("lost", "%v: offset %d follows %d", at, s.Offset, stored[i-1].Offset)
		}
		if !s.Transactional && !s.Control {
			shown[i] = true
			continue
		}
		if e, known := epoch[s.Producer]; known && s.Epoch < e {
			r.add("zombie", "%v: at offset %d producer %d has epoch %d, and had %d before", at, s.Offset, s.Producer, s.Epoch, e)
		}
		epoch[s.Producer] = s.Epoch
		x := open[s.Producer]
		switch {
		case !s.Control && x == nil:
			open[s.Producer] = &run{of: []int{i}}
		case !s.Control:
			x.of = append(x.of, i)
		case x != nil:
			for _, j := range x.of {
				shown[j] = s.Commit
			}
			delete(open, s.Producer)
		}
	}
	stable := len(stored)
	for _, x := range open {
		stable = min(stable, x.of[0])
	}
	for i := range stored[:stable] {
		if shown[i] {
			seen = append(seen, Seen{stored[i].Offset, stored[i].Value})
		}
	}
	return seen
}

// sameVisible compares what markers say is visible with what a reader of committed records was given.
func sameVisible(at Part, want, got []Seen, r *Report) {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			r.add("unseen", "%v: %d of %d visible records were not given, the first at offset %d (%s)", at, len(want)-i, len(want), want[i].Offset, want[i].Value)
			return
		case i >= len(want) || got[i].Offset < want[i].Offset:
			r.add("aborted", "%v: offset %d (%s) was given, and is not visible by its marker", at, got[i].Offset, got[i].Value)
			return
		case got[i].Offset > want[i].Offset:
			r.add("unseen", "%v: offset %d (%s) was passed over", at, want[i].Offset, want[i].Value)
			return
		case got[i].Value != want[i].Value:
			r.add("poll", "%v: offset %d is %s for one reader and %s for another", at, got[i].Offset, got[i].Value, want[i].Value)
			return
		}
	}
}

// Wrong is one thing that must not be.
type Wrong struct{ Kind, Text string }

// Report is what was found.
type Report struct {
	Wrong []Wrong
	More  map[string]int // of each kind, beyond wrongMax
	Stats Stats
	count map[string]int
}

// Stats say how much a history has in it.
type Stats struct {
	Instances, Committed, Aborted, Unknown, UnknownSeen, Fenced, Moves int
	Records, Visible, Markers, Read                                    int
	Parts                                                              int // of committed transactions, altogether
	State, StateKeys, StateWritten                                     int // records that are left in the compacted topic, their keys, and transactions that wrote to it
}

const wrongMax = 10 // of a kind

func (r *Report) add(kind, format string, args ...any) {
	if r.count == nil {
		r.count, r.More = map[string]int{}, map[string]int{}
	}
	if r.count[kind]++; r.count[kind] > wrongMax {
		r.More[kind]++
		return
	}
	r.Wrong = append(r.Wrong, Wrong{kind, fmt.Sprintf(format, args...)})
}
