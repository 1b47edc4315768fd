package jsonschema

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"

	js "github.com/santhosh-tekuri/jsonschema/v6"
)

// matcher is a pattern. Where it has few states it is a table for ASCII: one step a letter. Other letters, and other patterns, are regexp's, which takes
// linear time, too.
type matcher struct {
	re      *regexp.Regexp
	classes [utf8.RuneSelf]uint8 // letters that no state tells apart
	steps   []uint8              // state × classes → state; nil: there is no table
	width   int                  // classes
	ends    []bool               // a text that ends in this state matches
}

const (
	matcherStatesMax         = 64
	matcherInstsMax          = 256
	stateMatched, stateUnfit = uint8(0), uint8(1) // states that stay: there is a match, there will be none
	matcherFirstState        = 2
)

// patternOf is nil for a pattern that Go does not know, which matches everything.
func patternOf(re js.Regexp) *matcher {
	r, ok := re.(*regexp.Regexp)
	if !ok {
		return nil
	}
	m := &matcher{re: r}
	m.tabulate()
	return m
}

func (m *matcher) match(text []byte, isASCII bool) bool {
	if m.steps == nil || !isASCII {
		return m.re.Match(text)
	}
	s := uint8(matcherFirstState)
	for _, c := range text {
		if s = m.steps[int(s)*m.width+int(m.classes[c&(utf8.RuneSelf-1)])]; s <= stateUnfit {
			return s == stateMatched
		}
	}
	return m.ends[s]
}

// tabulate makes the table: a state is the set of instructions of regexp's own program at which some start of the match may stand. What waits for the
// end of the text stays in the set until it is there.
func (m *matcher) tabulate() {
	tree, err := syntax.Parse(m.re.String(), syntax.Perl)
	if err != nil {
		return
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil || len(prog.Inst) > matcherInstsMax {
		return
	}
	for i := range prog.Inst {
		if x := &prog.Inst[i]; x.Op == syntax.InstEmptyWidth && syntax.EmptyOp(x.Arg)&^(syntax.EmptyBeginText|syntax.EmptyEndText) != 0 {
			return
		}
	}
	m.classify(prog)
	t := tabulator{prog: prog, numbers: map[string]uint8{}}
	again := t.closure(nil, uint32(prog.Start), 0) // a match may begin at every letter
	t.number(t.closure(nil, uint32(prog.Start), syntax.EmptyBeginText))
	steps := make([]uint8, matcherFirstState*m.width)
	for c := range m.width {
		steps[m.width+c] = stateUnfit
	}
	ends := []bool{true, false}
	for i := 0; i < len(t.sets); i++ { //nolint:intrange // sets are added on the way
		set := t.sets[i]
		flags := syntax.EmptyEndText
		if i == 0 {
			flags |= syntax.EmptyBeginText
		}
		ends = append(ends, t.endsAfter(set, flags))
		for c := range m.width {
			next := slices.Clone(again)
			letter := rune(slices.Index(m.classes[:], uint8(c)))
			for _, pc := range set {
				if x := &prog.Inst[pc]; x.Op != syntax.InstEmptyWidth && x.Op != syntax.InstMatch && x.MatchRune(letter) {
					next = t.closure(next, x.Out, 0)
				}
			}
			n := t.number(next)
			if len(t.sets) > matcherStatesMax {
				return
			}
			steps = append(steps, n) //nolint:makezero // behind the rows that are there from the start
		}
	}
	// The first state may be one that is decided at once.
	if slices.ContainsFunc(t.sets[0], func(pc uint32) bool { return prog.Inst[pc].Op == syntax.InstMatch }) {
		for c := range m.width {
			steps[matcherFirstState*m.width+c] = stateMatched
		}
		ends[matcherFirstState] = true
	}
	m.steps, m.ends = steps, ends
}

// classify puts letters into one class that stand between the same borders of all ranges.
func (m *matcher) classify(prog *syntax.Prog) {
	var borders [utf8.RuneSelf/64 + 1]uint64
	border := func(r rune) {
		if r >= 0 && r < utf8.RuneSelf {
			borders[r/64] |= 1 << (r % 64)
		}
	}
	for i := range prog.Inst {
		for j, r := range prog.Inst[i].Rune {
			border(r + rune(j&1)) // low, and one behind high
			if len(prog.Inst[i].Rune) == 1 {
				border(r + 1)
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					border(f)
					border(f + 1)
				}
			}
		}
	}
	class := uint8(0)
	for c := range m.classes {
		if c > 0 && borders[c/64]>>(c%64)&1 == 1 {
			class++
		}
		m.classes[c] = class
	}
	m.width = int(class) + 1
}

type tabulator struct {
	prog    *syntax.Prog
	sets    [][]uint32
	numbers map[string]uint8 // of a set
}

// closure adds the instructions that pc leads to without a letter, in their order.
func (t *tabulator) closure(set []uint32, pc uint32, flags syntax.EmptyOp) []uint32 {
	at, there := slices.BinarySearch(set, pc)
	if there {
		return set
	}
	set = slices.Insert(set, at, pc)
	switch x := &t.prog.Inst[pc]; x.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		set = t.closure(t.closure(set, x.Out, flags), x.Arg, flags)
	case syntax.InstCapture, syntax.InstNop:
		set = t.closure(set, x.Out, flags)
	case syntax.InstEmptyWidth:
		if syntax.EmptyOp(x.Arg)&^flags == 0 {
			set = t.closure(set, x.Out, flags)
		}
	default:
	}
	return set
}

// number is the state of a set.
func (t *tabulator) number(set []uint32) uint8 {
	useful := false
	name := make([]byte, 0, 2*len(set))
	for _, pc := range set {
		switch t.prog.Inst[pc].Op {
		case syntax.InstMatch:
			if len(t.sets) > 0 {
				return stateMatched
			}
			useful = true
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			useful = true
		case syntax.InstEmptyWidth:
			if t.prog.Inst[pc].Arg&uint32(syntax.EmptyBeginText) != 0 && len(t.sets) > 0 {
				continue // never again
			}
			useful = true
		default:
			continue
		}
		name = append(name, byte(pc), byte(pc>>8))
	}
	if !useful && len(t.sets) > 0 {
		return stateUnfit
	}
	if n, ok := t.numbers[string(name)]; ok {
		return n
	}
	n := uint8(len(t.sets) + matcherFirstState)
	if len(t.sets) > 0 { // the first one is at the start of the text, which no other is
		t.numbers[string(name)] = n
	}
	t.sets = append(t.sets, set)
	return n
}

func (t *tabulator) endsAfter(set []uint32, flags syntax.EmptyOp) bool {
	var all []uint32
	for _, pc := range set {
		if t.prog.Inst[pc].Op == syntax.InstEmptyWidth || t.prog.Inst[pc].Op == syntax.InstMatch {
			all = t.closure(all, pc, flags)
		}
	}
	return slices.ContainsFunc(all, func(pc uint32) bool { return t.prog.Inst[pc].Op == syntax.InstMatch })
}
