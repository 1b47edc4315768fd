package statetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"leat/storage/state"
)

func (s *suite) moves() {
	st := s.open()
	defer s.close(st)
	s.apply(st, func(b state.Batch) { set(b, "a", "", "b", "", "c", "", "d", "", "e", "") })
	// A script of moves within [b, e) and the keys they arrive at; "-" is none.
	for _, c := range []struct{ moves, want string }{
		{"next next next next", "b c d -"},
		{"prev prev prev prev", "d c b -"},
		{"next prev next", "b - b"},
		{"prev next prev", "d - d"},
		{"prev next next", "d - -"},
		{"next prev prev", "b - -"},
		{"ge:a", "b"},
		{"ge:c next prev", "c d c"},
		{"ge:cc prev", "d c"},
		{"ge:e prev", "- d"},
		{"ge:z", "-"},
		{"lt:z prev", "d c"},
		{"lt:d next", "c d"},
		{"lt:b next", "- b"},
		{"lt:a next", "- b"},
		{"lt:cc", "c"},
		{"ge:d next prev ge:b prev next", "d - d b - b"},
		{"ge:c ge:b lt:c ge:d", "c b b d"},
	} {
		it, err := st.Iter([]byte("b"), []byte("e"))
		if err != nil {
			s.Fatal(err)
		}
		var got []string
		for m := range strings.FieldsSeq(c.moves) {
			got = append(got, arrive(it, move(it, m)))
		}
		if g := strings.Join(got, " "); g != c.want {
			s.Errorf("%s: got %s, want %s", c.moves, g, c.want)
		}
		if err := it.Close(); err != nil {
			s.Fatal(err)
		}
	}
}

func move(it state.Iterator, m string) bool {
	verb, key, _ := strings.Cut(m, ":")
	switch verb {
	case "next":
		return it.Next()
	case "prev":
		return it.Prev()
	case "ge":
		return it.SeekGE([]byte(key))
	case "lt":
		return it.SeekLT([]byte(key))
	}
	panic("no such move: " + m)
}

func arrive(it state.Iterator, ok bool) string {
	if !ok {
		return "-"
	}
	return string(it.Key())
}

func (s *suite) snapshot() {
	st := s.open()
	defer s.close(st)
	s.apply(st, func(b state.Batch) { set(b, "a", "1", "b", "1", "c", "1") })
	it, err := st.Iter(nil, nil)
	if err != nil {
		s.Fatal(err)
	}
	it.Next()
	s.apply(st, func(b state.Batch) {
		set(b, "a", "2", "aa", "2", "d", "2")
		b.DeleteRange([]byte("b"), []byte("d"))
	})
	if err := st.Flush(); err != nil {
		s.Fatal(err)
	}
	var got strings.Builder
	for ok := it.SeekGE([]byte("a")); ok; ok = it.Next() {
		fmt.Fprintf(&got, "%s=%s ", it.Key(), it.Value())
	}
	if want := "a=1 b=1 c=1 "; got.String() != want {
		s.Fatalf("an open iterator: got %q, want %q", got.String(), want)
	}
	if err := it.Close(); err != nil {
		s.Fatal(err)
	}
	if got, want := s.all(st, nil, nil), "a=2 aa=2 d=2 "; got != want {
		s.Fatalf("a new iterator: got %q, want %q", got, want)
	}
}

// model does the same random changes to the store and to a map, and compares reads, iterators with random moves, and reopened
// stores.
func (s *suite) model() {
	r := rng(1)
	st := s.open()
	defer func() { s.close(st) }()
	want := map[string]string{}
	for step := range 300 {
		s.apply(st, func(b state.Batch) { randomChanges(r, b, want, 1+r.IntN(20)) })
		switch {
		case step%60 == 59:
			if err := st.Flush(); err != nil {
				s.Fatal(err)
			}
			s.close(st)
			st = s.open()
		case step%25 == 24:
			if err := st.Flush(); err != nil {
				s.Fatal(err)
			}
		}
		s.compare(r, st, want)
	}
}

func randomKey(r *rand.Rand) string { return fmt.Sprintf("k%02d", r.IntN(60)) }

func randomChanges(r *rand.Rand, b state.Batch, want map[string]string, n int) {
	for range n {
		k := randomKey(r)
		switch p := r.IntN(20); {
		case p < 13:
			v := fmt.Sprint(r.Uint32())
			b.Set([]byte(k), []byte(v))
			want[k] = v
		case p < 19:
			b.Delete([]byte(k))
			delete(want, k)
		default:
			hi := randomKey(r)
			b.DeleteRange([]byte(k), []byte(hi))
			maps.DeleteFunc(want, func(x, _ string) bool { return x >= k && x < hi })
		}
	}
}

func (s *suite) compare(r *rand.Rand, st state.Store, want map[string]string) {
	s.Helper()
	k := randomKey(r)
	if v, ok := want[k]; ok {
		s.wantGet(st, k, v)
	} else {
		s.wantAbsent(st, k)
	}
	keys := slices.Sorted(maps.Keys(want))
	lo, hi := randomKey(r), randomKey(r)
	if lo > hi {
		lo, hi = hi, lo
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return k < lo || k >= hi })
	it, err := st.Iter([]byte(lo), []byte(hi))
	if err != nil {
		s.Fatal(err)
	}
	at := -2 // new; else -1 before the first to len(keys) after the last
	for range 12 {
		var ok bool
		var m string
		switch r.IntN(4) {
		case 0:
			m, ok, at = "next", it.Next(), min(max(at, -1)+1, len(keys))
		case 1:
			if m, ok = "prev", it.Prev(); at == -2 {
				at = len(keys)
			}
			at = max(at-1, -1)
		case 2:
			k := randomKey(r)
			m, ok = "ge:"+k, it.SeekGE([]byte(k))
			at, _ = slices.BinarySearch(keys, k)
		case 3:
			k := randomKey(r)
			m, ok = "lt:"+k, it.SeekLT([]byte(k))
			at, _ = slices.BinarySearch(keys, k)
			at--
		}
		if wantOK := at >= 0 && at < len(keys); ok != wantOK || (ok && (string(it.Key()) != keys[at] || string(it.Value()) != want[keys[at]])) {
			s.Fatalf("%s within [%s, %s) arrived: %v at %s; want place %d of %q", m, lo, hi, ok, arrive(it, ok), at, keys)
		}
	}
	if err := it.Close(); err != nil {
		s.Fatal(err)
	}
}
