package address

import "testing"

// Any pattern against any text: the index, the single pattern and the definition agree.
func FuzzPattern(f *testing.F) {
	f.Add(byte(Words), "a.#.*.b", "a.x.b")
	f.Add(byte(Levels), "+/a/#", "$x/a")
	f.Add(byte(Prefix), "a", "ab")
	f.Fuzz(func(t *testing.T, syntax byte, pattern, s string) {
		if len(pattern) > 24 || len(s) > 48 { // the definition takes exponential time
			return
		}
		p := Pattern{Syntax(syntax), pattern}
		x, err := New().Add(1, Clause{Subject: p})
		if err != nil {
			return
		}
		op, canonical, _ := p.canonical()
		want := naivePattern(p, s)
		if got := op.match(canonical, s); got != want {
			t.Fatalf("%v of %q: %v", p, s, got)
		}
		if got := NewMatcher().Match(x, &Record{Subject: s}); got != want {
			t.Fatalf("%v of %q in the index: %v", p, s, got)
		}
	})
}
