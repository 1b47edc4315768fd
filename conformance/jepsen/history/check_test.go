package history

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// story is a right history, made anew for each test:
//
//	a/0   0 p 0 0   1 p 1 0 (aborted)   2 marker   3 q 0 0   4 marker of p 0   5 marker of q   6 plain 0 0
//	b/0   0 p 0 1   1 marker of p 0
//	out/0 0 t 0 0   1 t 0 1   2 marker of t
//
// p, q and t are instances of producers of the names x, y and z; t consumed the first two visible records of a/0.
type story struct {
	lines []Line
	final *Final
}

var (
	a0, b0, out0 = Part{"a", 0}, Part{"b", 0}, Part{"out", 0}
)

func right() *story {
	s := &story{final: &Final{Stored: map[Part][]Stored{}, Visible: map[Part][]Seen{}, Group: map[Part]int64{a0: 4}}}
	put := func(at Part, producer int64, epoch int16, head string) {
		s.final.Stored[at] = append(s.final.Stored[at], Stored{int64(len(s.final.Stored[at])), head, producer, epoch, producer >= 0, false, false})
	}
	mark := func(at Part, producer int64, epoch int16, commit bool) {
		s.final.Stored[at] = append(s.final.Stored[at], Stored{int64(len(s.final.Stored[at])), "", producer, epoch, true, true, commit})
	}
	put(a0, 7, 0, "p 0 0")
	put(b0, 7, 0, "p 0 1")
	mark(b0, 7, 1, true)
	s.final.Stored[a0] = append(s.final.Stored[a0], Stored{1, "", 7, 1, true, true, true})
	put(a0, 7, 1, "p 1 0")
	mark(a0, 7, 2, false)
	put(a0, 8, 0, "q 0 0")
	mark(a0, 8, 1, true)
	put(a0, -1, -1, "plain 0 0")
	put(out0, 9, 0, "t 0 0")
	put(out0, 9, 0, "t 0 1")
	mark(out0, 9, 1, true)
	s.final.Visible[a0] = []Seen{{0, "p 0 0"}, {4, "q 0 0"}, {6, "plain 0 0"}}
	s.final.Visible[b0] = []Seen{{0, "p 0 1"}}
	s.final.Visible[out0] = []Seen{{0, "t 0 0"}, {1, "t 0 1"}}
	s.final.Group[a0] = 5
	in := func(o int64, v string) Input { return Input{a0, o, v} }
	s.lines = []Line{
		{Kind: KindInit, Who: "p", Name: "x", From: 1, At: 2, Producer: 7},
		{Kind: KindBegin, Who: "p", Name: "x", At: 3, Records: []Part{a0, b0}},
		{Kind: KindEnd, Who: "p", At: 5, Commit: true, Acks: []Ack{{0, 0}, {1, 0}}},
		{Kind: KindEnded, Who: "p", At: 6, Outcome: Committed},
		{Kind: KindBegin, Who: "p", Name: "x", N: 1, At: 7, Records: []Part{a0}},
		{Kind: KindEnd, Who: "p", N: 1, At: 8, Acks: []Ack{{0, 2}}},
		{Kind: KindEnded, Who: "p", N: 1, At: 9, Outcome: Aborted},
		{Kind: KindInit, Who: "q", Name: "y", From: 1, At: 2, Producer: 8},
		{Kind: KindBegin, Who: "q", Name: "y", At: 3, Records: []Part{a0}},
		{Kind: KindEnd, Who: "q", At: 8, Commit: true, Acks: []Ack{{0, 4}}},
		{Kind: KindBegin, Who: "plain", At: 3, Records: []Part{a0}},
		{Kind: KindEnded, Who: "plain", At: 9, Outcome: Committed, Acks: []Ack{{0, 6}}},
		{Kind: KindInit, Who: "t", Name: "z", From: 1, At: 2, Producer: 9},
		{Kind: KindBegin, Who: "t", Name: "z", At: 10, Records: []Part{out0, out0}, Inputs: []Input{in(0, "p 0 0"), in(4, "q 0 0")}},
		{Kind: KindEnd, Who: "t", At: 11, Commit: true},
		{Kind: KindEnded, Who: "t", At: 12, Outcome: Committed},
		{Kind: KindReader, Who: "rc", Committed: true},
		{Kind: KindReader, Who: "ru"},
	}
	for at, seen := range s.final.Visible {
		s.lines = append(s.lines, Line{Kind: KindRead, Who: "rc", Place: &at, Seen: slices.Clone(seen)})
		s.lines = append(s.lines, Line{Kind: KindRead, Who: "ru", Place: &at, Seen: data(s.final.Stored[at])})
	}
	return s
}

// line finds the first line of a kind, a who and a number.
func (s *story) line(kind, who string, n int) *Line {
	for i := range s.lines {
		if l := &s.lines[i]; l.Kind == kind && l.Who == who && l.N == n {
			return l
		}
	}
	panic("no such line")
}

// read finds what a reader was given of a partition.
func (s *story) read(who string, at Part) *Line {
	for i := range s.lines {
		if l := &s.lines[i]; l.Kind == KindRead && l.Who == who && *l.Place == at {
			return l
		}
	}
	panic("no such line")
}

// unsee takes a record out of what everybody was given, as if its marker said otherwise.
func (s *story) unsee(at Part, offset int64) {
	is := func(x Seen) bool { return x.Offset == offset }
	s.final.Visible[at] = slices.DeleteFunc(s.final.Visible[at], is)
	l := s.read("rc", at)
	l.Seen = slices.DeleteFunc(l.Seen, is)
}

func (s *story) see(at Part, x Seen) {
	less := func(a, b Seen) int { return int(a.Offset - b.Offset) }
	s.final.Visible[at] = append(s.final.Visible[at], x)
	slices.SortFunc(s.final.Visible[at], less)
	s.read("rc", at).Seen = slices.Clone(s.final.Visible[at])
}

func kinds(r *Report) string {
	var out []string
	for _, w := range r.Wrong {
		if !slices.Contains(out, w.Kind) {
			out = append(out, w.Kind)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// The checker notices each thing that can be wrong, by its name, and nothing else.
func TestCheck_NoticesEachWrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*story)
		want  string
	}{
		"right": {func(*story) {}, ""},
		"unknown and not there": {func(s *story) {
			s.final.Stored[a0][5].Commit = false
			s.unsee(a0, 4)
			s.line(KindEnd, "q", 0).Acks = nil
			l := s.line(KindBegin, "t", 0)
			l.Records, l.Inputs = l.Records[:1], l.Inputs[:1]
			s.final.Stored[out0] = []Stored{s.final.Stored[out0][0], {Offset: 1, Producer: 9, Epoch: 1, Transactional: true, Control: true, Commit: true}}
			s.final.Visible[out0] = s.final.Visible[out0][:1]
			s.read("rc", out0).Seen = s.read("rc", out0).Seen[:1]
			s.read("ru", out0).Seen = s.read("ru", out0).Seen[:1]
		}, ""},
		"a committed transaction lost": {func(s *story) {
			s.final.Stored[a0][5].Commit = false
			s.unsee(a0, 4)
			s.lines = append(s.lines, Line{Kind: KindEnded, Who: "q", Outcome: Committed})
		}, "aborted lost"}, // its output is one of what is not visible
		"a torn transaction": {func(s *story) {
			s.final.Stored[b0][1].Commit = false
			s.unsee(b0, 0)
		}, "torn"},
		"torn, and nobody knows": {func(s *story) {
			s.final.Stored[b0][1].Commit = false
			s.unsee(b0, 0)
			s.line(KindEnded, "p", 0).Outcome = Unknown
		}, "torn"},
		"aborted and read at the end": {func(s *story) {
			s.final.Stored[a0][3].Commit = true
			s.see(a0, Seen{2, "p 1 0"})
			s.final.Group[a0] = 5
		}, "aborted offset"}, // visible, before the group's offset, without an output
		"never asked to commit and read": {func(s *story) {
			s.final.Stored[a0][3].Commit = true
			s.see(a0, Seen{2, "p 1 0"})
			s.final.Group[a0] = 5
			s.lines = slices.DeleteFunc(s.lines, func(l Line) bool { return l.Who == "p" && l.N == 1 && (l.Kind == KindEnd || l.Kind == KindEnded) })
		}, "aborted offset"},
		"aborted and read by a reader": {func(s *story) {
			l := s.read("rc", a0)
			l.Seen = slices.Insert(l.Seen, 1, Seen{2, "p 1 0"})
		}, "aborted"},
		"given against its marker": {func(s *story) {
			s.final.Visible[a0] = slices.Insert(s.final.Visible[a0], 1, Seen{2, "p 1 0"})
		}, "aborted offset unseen"},
		"an acknowledged record lost at the end": {func(s *story) {
			s.final.Stored[a0], s.final.Visible[a0] = s.final.Stored[a0][:6], s.final.Visible[a0][:2]
			s.read("rc", a0).Seen, s.read("ru", a0).Seen = s.read("rc", a0).Seen[:2], s.read("ru", a0).Seen[:3]
		}, "lost"},
		"an aborted record altered": {func(s *story) {
			s.line(KindEnd, "p", 1).Acks[0].Offset = 3
		}, "lost"},
		"a hole": {func(s *story) {
			s.final.Stored[b0][1].Offset = 2
		}, "lost"},
		"stored twice": {func(s *story) {
			s.final.Stored[b0] = append(s.final.Stored[b0], Stored{2, "p 0 1", 7, 1, true, false, false}, Stored{3, "", 7, 2, true, true, false})
			l := s.read("ru", b0)
			l.Seen = append(l.Seen, Seen{2, "p 0 1"})
		}, "duplicated"},
		"out twice": {func(s *story) {
			s.line(KindBegin, "t", 0).Inputs[1] = s.line(KindBegin, "t", 0).Inputs[0]
		}, "duplicated offset"},
		"reordered within a producer": {func(s *story) {
			st := s.final.Stored[out0]
			st[0].Value, st[1].Value = st[1].Value, st[0].Value
			v := s.final.Visible[out0]
			v[0].Value, v[1].Value = v[1].Value, v[0].Value
			copy(s.read("rc", out0).Seen, v)
			copy(s.read("ru", out0).Seen, v)
		}, "reordered"},
		"outputs reordered": {func(s *story) {
			in := s.line(KindBegin, "t", 0).Inputs
			in[0], in[1] = in[1], in[0]
		}, "reordered"},
		"an old epoch behind a marker": {func(s *story) {
			s.final.Stored[a0][2].Epoch = 0
		}, "zombie"},
		"a fenced instance commits": {func(s *story) {
			s.lines = append(s.lines, Line{Kind: KindInit, Who: "p2", Name: "x", From: 3, At: 4, Producer: 7, Epoch: 9})
		}, "zombie"},
		"taken over after it was asked for": {func(s *story) {
			s.lines = append(s.lines, Line{Kind: KindInit, Who: "p2", Name: "x", From: 4, At: 6, Producer: 7, Epoch: 9})
		}, ""},
		"polled again": {func(s *story) {
			l := s.read("rc", a0)
			l.Seen = append(l.Seen, l.Seen[0])
		}, "poll"},
		"passed over": {func(s *story) {
			l := s.read("rc", a0)
			l.Seen = slices.Delete(l.Seen, 1, 2)
		}, "unseen"},
		"unseen after the end": {func(s *story) {
			l := s.read("ru", a0)
			l.Seen = l.Seen[:len(l.Seen)-1]
		}, "unseen"},
		"a partition never read": {func(s *story) {
			s.lines = slices.DeleteFunc(s.lines, func(l Line) bool { return l.Kind == KindRead && l.Who == "rc" && *l.Place == b0 })
		}, "unseen"},
		"not given at the end": {func(s *story) {
			s.final.Visible[out0] = s.final.Visible[out0][:1]
		}, "aborted offset torn unseen"},
		"another value for another reader": {func(s *story) {
			s.read("ru", b0).Seen[0].Value = "p 0 0"
		}, "poll"},
		"an offset without its output": {func(s *story) {
			s.final.Group[a0] = 7
		}, "offset"},
		"an output without its offset": {func(s *story) {
			s.final.Group[a0] = 4
		}, "offset"},
		"an output of nothing": {func(s *story) {
			s.line(KindBegin, "t", 0).Inputs[1].Value = "p 5 5"
		}, "aborted offset"},
		"what nobody sent": {func(s *story) {
			s.final.Stored[b0][0].Value = "p 3 0"
			s.final.Visible[b0][0].Value = "p 3 0"
			s.read("rc", b0).Seen[0].Value, s.read("ru", b0).Seen[0].Value = "p 3 0", "p 3 0"
		}, "foreign lost torn"},
		"sent to elsewhere": {func(s *story) {
			s.line(KindBegin, "plain", 0).Records[0] = b0
		}, "foreign lost"},
	} {
		t.Run(name, func(t *testing.T) {
			s := right()
			c.spoil(s)
			r := Check(s.lines, s.final)
			if got := kinds(r); got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, r.Wrong)
			}
		})
	}
}

func TestCheck_Counts(t *testing.T) {
	s := right()
	got := Check(s.lines, s.final).Stats
	want := Stats{Instances: 3, Committed: 2, Aborted: 1, Unknown: 1, UnknownSeen: 1, Moves: 2, Records: 7, Visible: 6, Markers: 5, Read: 13, Parts: 3}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Of many wrongs of a kind some are told, and the rest counted.
func TestCheck_ManyWrongs(t *testing.T) {
	s := right()
	for n := range 50 {
		s.lines = append(s.lines, Line{Kind: KindBegin, Who: "p", Name: "x", N: 10 + n, Records: []Part{a0}},
			Line{Kind: KindEnd, Who: "p", N: 10 + n, Commit: true}, Line{Kind: KindEnded, Who: "p", N: 10 + n, Outcome: Committed})
	}
	if r := Check(s.lines, s.final); len(r.Wrong) != wrongMax || r.More["lost"] != 50-wrongMax {
		t.Errorf("%d wrongs, %v more", len(r.Wrong), r.More)
	}
}

func TestValue_HeadNoticesOtherBytes(t *testing.T) {
	for _, n := range []int{0, 1, 7, 1000} {
		v := Value("p1.2", n, 3)
		if got, want := Head(v), headOf("p1.2", n, 3); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		v[len(v)-1] ^= 1
		if got := Head(v); !strings.HasPrefix(got, "? ") {
			t.Errorf("got %q of other bytes", got)
		}
	}
}

// What a process that was killed has left of its last line is no line, and does not spoil the next one.
func TestWriter_TornLineIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.jsonl")
	write := func(n int) {
		w, err := Open(path)
		if err == nil {
			err = w.Add(&Line{Kind: KindBegin, Who: "p", N: n})
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"k":"end","w":"p`)
	_ = f.Close()
	if ls, err := Load(path); err != nil || len(ls) != 1 {
		t.Fatalf("%v %v", ls, err)
	}
	write(2)
	ls, err := Load(path)
	if err != nil || len(ls) != 2 || ls[1].N != 2 || ls[0].At == 0 {
		t.Fatalf("%v %v", ls, err)
	}
}
