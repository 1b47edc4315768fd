package main

import (
	"fmt"
	"strings"
	"testing"
)

func story(n int64, without ...int64) *read {
	r := &read{end: n, records: map[int64]one{}}
	for at := range n {
		r.records[at] = one{key: fmt.Sprintf("k%d", at%3), text: fmt.Sprint("v", at)}
	}
	for _, at := range without {
		delete(r.records, at)
	}
	return r
}

// The judge is shown what must not be, each in one way.
func TestReport_SeesWhatIsWrong(t *testing.T) {
	p := part{"t", 0}
	sent := story(9).records
	altered := story(9)
	altered.records[8] = one{"k2", "v7", false}
	late := story(9)
	late.start = 4
	for name, c := range map[string]struct {
		judge func(r *report)
		want  string
	}{
		"the same":              {func(r *report) { r.same(p, story(9, 3), story(9, 3)) }, ""},
		"something is missing":  {func(r *report) { r.same(p, story(9), story(9, 3)) }, "LOST: t/0: nothing is at 3"},
		"something is too much": {func(r *report) { r.same(p, story(9, 3), story(9)) }, "at 3 is v3, there nothing"},
		"something is else":     {func(r *report) { r.same(p, story(9), altered) }, "at 8 is v7, there v8"},
		"another end":           {func(r *report) { r.same(p, story(9, 8), story(8)) }, "ends at 8, there at 9"},
		"trimmed there":         {func(r *report) { r.trimmed(p, late, story(9, 0, 1), sent) }, ""},
		"trimmed, and a loss":   {func(r *report) { r.trimmed(p, late, story(9, 5), sent) }, "LOST: t/0: at 5"},
		"trimmed, and else":     {func(r *report) { r.trimmed(p, late, altered, sent) }, "at 8 is v7"},
		"compacted":             {func(r *report) { r.compacted(p, story(9, 0, 1, 2, 3), story(9, 3, 4), sent) }, ""},
		"compacted too far":     {func(r *report) { r.compacted(p, story(9, 0), story(9, 8), sent) }, `LOST: t/0: the newest of "k2" is at 8, here at 5`},
		"compacted, and else":   {func(r *report) { r.compacted(p, story(9), altered, sent) }, "sent was v8"},
		"consumed":              {func(r *report) { r.consumed("g", p, story(4, 2).records, []int64{0, 1, 3}) }, ""},
		"consumed twice":        {func(r *report) { r.consumed("g", p, story(2).records, []int64{0, 1, 1}) }, "t/0 1 twice"},
		"not consumed":          {func(r *report) { r.consumed("g", p, story(2).records, []int64{0}) }, "was not given t/0 1"},
		"consumed what is not":  {func(r *report) { r.consumed("g", p, story(2).records, []int64{0, 1, 2}) }, "where nothing is"},
		"consumed out of order": {func(r *report) { r.consumed("g", p, story(2).records, []int64{1, 0}) }, "out of order"},
	} {
		r := &report{}
		c.judge(r)
		got := strings.Join(r.wrong, "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q in it", name, got, c.want)
		}
	}
}
