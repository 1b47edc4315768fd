package statetest

import (
	"maps"
	"slices"
	"strings"

	"leat/storage/state"
)

func (s *suite) marks() {
	st := s.open()
	if st.Applied() != (state.Mark{}) || st.Durable() != (state.Mark{}) {
		s.Fatalf("an empty store stands at %v, %v", st.Applied(), st.Durable())
	}
	if err := st.Flush(); err != nil {
		s.Fatalf("flush of an empty store: %v", err)
	}
	s.apply(st, func(b state.Batch) { set(b, "a", "1") })
	if st.Applied() != markOf(1) || st.Durable() != (state.Mark{}) {
		s.Fatalf("after one apply: applied %v, durable %v", st.Applied(), st.Durable())
	}
	if err := st.Flush(); err != nil {
		s.Fatal(err)
	}
	if st.Durable() != markOf(1) {
		s.Fatalf("after a flush: durable %v", st.Durable())
	}
	s.apply(st, func(state.Batch) {}) // a frame may change no row, and still moves the mark
	if err := st.Flush(); err != nil {
		s.Fatal(err)
	}
	if st.Applied() != markOf(2) || st.Durable() != markOf(2) {
		s.Fatalf("after a frame without rows: applied %v, durable %v", st.Applied(), st.Durable())
	}
	s.close(st)
	st = s.open()
	if st.Applied() != markOf(2) || st.Durable() != markOf(2) {
		s.Fatalf("after open: applied %v, durable %v", st.Applied(), st.Durable())
	}
	s.close(st)
}

func (s *suite) flushedSurvives() {
	st := s.open()
	s.apply(st, func(b state.Batch) { set(b, "a", "1", "b", "1", "gone", "1") })
	s.apply(st, func(b state.Batch) { set(b, "a", "2"); b.Delete([]byte("gone")) })
	if err := st.Flush(); err != nil {
		s.Fatal(err)
	}
	durable := st.Durable()
	s.disk.Crash()
	st = s.open()
	if st.Applied() != durable {
		s.Fatalf("after a crash: applied %v, want %v", st.Applied(), durable)
	}
	if got, want := s.all(st, nil, nil), "a=2 b=1 "; got != want {
		s.Fatalf("after a crash: got %q, want %q", got, want)
	}
	s.close(st)
}

// crashPrefix crashes again and again at random moments. What is left must be the rows after some apply, which Applied names, not
// before the one that Durable named.
func (s *suite) crashPrefix() {
	r := rng(2)
	history := map[uint64]string{0: ""} // seq → all rows after it
	rows := map[string]string{}
	for round := range 15 {
		st := s.open()
		at := st.Applied()
		if at != markOf(at.Seq) || history[at.Seq] != s.all(st, nil, nil) {
			s.Fatalf("round %d: applied says %v; rows are %q, want %q", round, at, s.all(st, nil, nil), history[at.Seq])
		}
		rows, s.seq = parse(history[at.Seq]), at.Seq
		var durable state.Mark
		for range r.IntN(40) {
			s.apply(st, func(b state.Batch) { randomChanges(r, b, rows, r.IntN(8)) })
			history[s.seq] = render(rows)
			if r.IntN(10) == 0 {
				if err := st.Flush(); err != nil {
					s.Fatal(err)
				}
				if st.Durable() != st.Applied() {
					s.Fatalf("after a flush with nothing beside it: durable %v, applied %v", st.Durable(), st.Applied())
				}
			}
			durable = st.Durable()
		}
		s.disk.Crash()
		st = s.open()
		if st.Applied().Seq < durable.Seq {
			s.Fatalf("round %d: durable was %v, the crash left %v", round, durable, st.Applied())
		}
		s.close(st)
	}
}

func render(rows map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(k + "=" + rows[k] + " ")
	}
	return b.String()
}

func parse(all string) map[string]string {
	rows := map[string]string{}
	for f := range strings.FieldsSeq(all) {
		k, v, _ := strings.Cut(f, "=")
		rows[k] = v
	}
	return rows
}
