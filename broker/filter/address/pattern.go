package address

import (
	"errors"
	"fmt"
	"strings"
)

// Syntax is how the text of a Pattern is read.
type Syntax uint8

const (
	Anything Syntax = iota // no condition
	Exact                  // the text itself
	Prefix                 // what begins with the text
	Words                  // words between dots: * is one word, # any number of words, none included
	Levels                 // levels between slashes: + is one level, # at the end any number of levels, none included

	present // of a header: any value
)

// Pattern is a condition on text. The zero Pattern holds for everything.
//
// Words and Levels read text as brokers do that know them. Empty text has no word at all but one level, which is empty. What begins
// with "$" is not matched by a + or # at the first level.
type Pattern struct {
	Syntax Syntax
	Text   string
}

// canonical gives the pattern reduced: text that says the same is the same. Wildcards that follow one another are a number of single
// ones and at most one #: "#.*.#" and "*.#" say both "one word or more". So a walk has one way to reach a node, and hostile
// runs of wildcards cost what honest ones do.
func (p Pattern) canonical() (Syntax, string, error) {
	if len(p.Text) > PatternBytesMax {
		return 0, "", fmt.Errorf("its pattern has %d bytes; at most %d", len(p.Text), PatternBytesMax)
	}
	switch p.Syntax {
	case Anything:
		if p.Text != "" {
			return 0, "", errors.New("its pattern has text and no syntax")
		}
		return Anything, "", nil
	case Exact:
		return Exact, p.Text, nil
	case Prefix:
		if len(p.Text) > PrefixBytesMax {
			return 0, "", fmt.Errorf("its prefix has %d bytes; at most %d", len(p.Text), PrefixBytesMax)
		}
		if p.Text == "" {
			return Anything, "", nil
		}
		return Prefix, p.Text, nil
	case Words:
		return canonicalWords(p.Text)
	case Levels:
		return canonicalLevels(p.Text)
	}
	return 0, "", fmt.Errorf("its pattern has syntax %d, which there is not", p.Syntax)
}

func canonicalWords(s string) (Syntax, string, error) {
	if strings.Count(s, ".") >= PatternWordsMax {
		return 0, "", fmt.Errorf("its pattern has %d words; at most %d", strings.Count(s, ".")+1, PatternWordsMax)
	}
	var out []string
	rest, wild, rests := false, false, 0 // rest: of the run that is being read
	flush := func() {
		if rest {
			out = append(out, "#")
			rests++
		}
		rest = false
	}
	for w := range strings.SplitSeq(s, ".") {
		switch w {
		case "#":
			rest, wild = true, true
		case "*":
			out, wild = append(out, w), true
		default:
			flush()
			out = append(out, w)
		}
	}
	flush()
	switch {
	case rests > PatternRestsMax:
		return 0, "", fmt.Errorf("its pattern has %d times #; at most %d", rests, PatternRestsMax)
	case !wild:
		return Exact, s, nil
	case len(out) == 1 && out[0] == "#":
		return Anything, "", nil
	}
	return Words, strings.Join(out, "."), nil
}

func canonicalLevels(s string) (Syntax, string, error) {
	if strings.Count(s, "/") >= PatternWordsMax {
		return 0, "", fmt.Errorf("its pattern has %d levels; at most %d", strings.Count(s, "/")+1, PatternWordsMax)
	}
	wild, ended := false, false
	for l := range strings.SplitSeq(s, "/") {
		switch {
		case ended:
			return 0, "", errors.New("its pattern goes on after #, which stands only at the end")
		case l == "#":
			wild, ended = true, true
		case l == "+":
			wild = true
		case strings.ContainsAny(l, "+#"):
			return 0, "", fmt.Errorf("level %q of its pattern has a wildcard beside other characters", l)
		}
	}
	if !wild {
		return Exact, s, nil
	}
	return Levels, s, nil
}

// match reports whether a canonical pattern holds for s.
func (op Syntax) match(pattern, s string) bool {
	switch op {
	case Anything, present:
		return true
	case Exact:
		return pattern == s
	case Prefix:
		return strings.HasPrefix(s, pattern)
	case Words:
		return matchWords(op, pattern, s)
	case Levels:
		if strings.HasPrefix(s, "$") && (pattern[0] == '+' || pattern[0] == '#') {
			return false
		}
		return matchWords(op, pattern, s)
	}
	return false
}

// matchWords walks pattern and text side by side. After a # only the last # needs to be tried again with one word more: what came
// before it has matched in the shortest way. So the cost is at most words of the pattern times words of the text.
func matchWords(op Syntax, pattern, s string) bool {
	sep := separator(op)
	s, long := cutWords(s, sep)
	if long && pattern[len(pattern)-1] != '#' {
		return false
	}
	p, t := patternWords(op, pattern), textWords(sep, s)
	var afterRest, retry cursor
	again := false
	for !t.end || !p.end {
		switch {
		case !p.end && p.word == "#":
			p.next()
			afterRest, retry, again = p, t, true
			if p.end {
				return true
			}
		case !p.end && !t.end && (p.word == p.one || p.word == t.word):
			p.next()
			t.next()
		case again && !retry.end:
			retry.next()
			p, t = afterRest, retry
		default:
			return false
		}
	}
	return true
}

// cutWords gives the words of s that patterns look at, and whether there are more.
func cutWords(s string, sep byte) (head string, long bool) {
	if len(s) < SubjectWordsMax {
		return s, false
	}
	n := 0
	for i := range len(s) {
		if s[i] == sep {
			if n++; n == SubjectWordsMax {
				return s[:i], true
			}
		}
	}
	return s, false
}

// cursor goes through words.
type cursor struct {
	rest string
	word string
	one  string // of a pattern: the word that stands for any one
	sep  byte
	done bool // rest was the last word
	end  bool // there is no word
}

func (c *cursor) next() {
	if c.done {
		c.end, c.word = true, ""
		return
	}
	var more bool
	if c.word, c.rest, more = cutByte(c.rest, c.sep); !more {
		c.done = true
	}
}

// textWords begins to read a record's text.
func textWords(sep byte, s string) cursor {
	c := cursor{rest: s, sep: sep, done: s == "" && sep == '.'}
	c.next()
	return c
}

func cutByte(s string, sep byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
