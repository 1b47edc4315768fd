package history

import "testing"

// What compaction has left is held against what is committed: the newest of each name, and nothing of what was aborted.
func TestCheck_Compacted(t *testing.T) {
	for name, c := range map[string]struct {
		state []Seen
		want  string
	}{
		"right":                    {[]Seen{{0, "p 0 0"}, {4, "q 0 0"}}, ""},
		"something older is left":  {[]Seen{{0, "p 0 0"}, {1, "p 2 0"}, {4, "q 0 0"}}, ""},
		"the newest is gone":       {[]Seen{{0, "p 0 0"}, {4, "q 0 0"}}, "compacted"},
		"all of a name is gone":    {[]Seen{{4, "q 0 0"}}, "compacted"},
		"an aborted one came back": {[]Seen{{0, "p 0 0"}, {2, "p 1 0"}, {4, "q 0 0"}}, "compacted"},
		"nobody sent it":           {[]Seen{{0, "p 0 0"}, {2, "p 9 0"}, {4, "q 0 0"}}, "foreign"},
	} {
		s := right()
		if name == "something older is left" || name == "the newest is gone" { // p has one more, which is committed
			s.lines = append(s.lines, Line{Kind: KindBegin, Who: "p", Name: "x", N: 2, At: 20, Records: []Part{b0}},
				Line{Kind: KindEnd, Who: "p", N: 2, At: 21, Commit: true}, Line{Kind: KindEnded, Who: "p", N: 2, At: 22, Outcome: Committed})
			s.final.Stored[b0] = append(s.final.Stored[b0], Stored{2, "p 2 0", 7, 2, true, false, false}, Stored{3, "", 7, 3, true, true, true})
			s.see(b0, Seen{2, "p 2 0"})
			s.read("ru", b0).Seen = data(s.final.Stored[b0])
		}
		s.final.State = c.state
		if got := kinds(Check(s.lines, s.final)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
