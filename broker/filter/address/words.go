package address

import (
	"cmp"
	"slices"
)

// wordNode is a node in the tree of the patterns of one syntax: patterns that begin with the same words share their first nodes.
//
//	sensor.*.temp   root ─sensor→ n ─*→ n ─temp→ n   ends here
//	sensor.#                      └─#→ n             ends here
//
// Nodes are never changed.
type wordNode struct {
	kids trie[wordEdge] // by their word
	one  *wordNode      // after * or +
	rest *wordNode      // after #
	end  *posting       // of the patterns that end here
	wild int            // places behind it that a walk may have to keep: see Index.Wild
}

type wordEdge struct {
	word string
	to   *wordNode
}

func dupEdge(to, from *wordEdge) { *to = *from }

func (n *wordNode) empty() bool {
	return n.kids.n == 0 && n.one == nil && n.rest == nil && n.end == nil
}

// goesOn reports whether patterns have further words behind n.
func (n *wordNode) goesOn() bool { return n.kids.n > 0 || n.one != nil || n.rest != nil }

// within is how much of wild a node is for the one before it, from which a wildcard leads to it, or a word.
func (n *wordNode) within(byWildcard bool) int {
	switch {
	case n == nil:
		return 0
	case byWildcard && n.goesOn():
		return n.wild + 1
	}
	return n.wild
}

// kid finds the node after a word.
func (n *wordNode) kid(word string, hash uint64) (*leaf[wordEdge], *wordNode) {
	for l := n.kids.find(hash); l != nil; l = l.next {
		if l.v.word == word {
			return l, l.v.to
		}
	}
	return nil, nil
}

// at finds the posting of a pattern.
func (n *wordNode) at(pattern cursor) *posting {
	for ; n != nil; pattern.next() {
		if pattern.end {
			return n.end
		}
		switch pattern.word {
		case pattern.one:
			n = n.one
		case "#":
			n = n.rest
		default:
			_, n = n.kid(pattern.word, hashOf(pattern.word))
		}
	}
	return nil
}

// with gives the tree in which the pattern ends with p, nil where nobody has it any more. A tree without patterns is nil.
func (n *wordNode) with(pattern cursor, p *posting) *wordNode {
	var m wordNode
	if n != nil {
		m = *n
	}
	switch w := pattern.word; {
	case pattern.end:
		m.end = p
	case w == pattern.one:
		pattern.next()
		old := m.one
		m.one = old.with(pattern, p)
		m.wild += m.one.within(true) - old.within(true)
	case w == "#":
		pattern.next()
		old := m.rest
		m.rest = old.with(pattern, p)
		m.wild += m.rest.within(true) - old.within(true)
	default:
		hash := hashOf(w)
		old, to := m.kid(w, hash)
		was := to
		pattern.next()
		to = to.with(pattern, p)
		if m.wild += to.within(false) - was.within(false); to != nil {
			m.kids = m.kids.with(hash, old, &leaf[wordEdge]{v: wordEdge{w, to}}, dupEdge)
		} else if old != nil {
			m.kids = m.kids.with(hash, old, nil, dupEdge)
		}
	}
	if m.empty() {
		return nil
	}
	return &m
}

// patternWords begins to read a canonical pattern.
func patternWords(op Syntax, s string) cursor {
	c := cursor{rest: s, sep: separator(op), one: "*", done: s == "" && op == Words}
	if op == Levels {
		c.one = "+"
	}
	c.next()
	return c
}

func separator(op Syntax) byte {
	if op == Levels {
		return '/'
	}
	return '.'
}

// loopsScanned is up to where active # nodes are looked through one by one; beyond, a set tells which are active.
const loopsScanned = 16

// walk finds all patterns of a tree that hold for s. It reads s word by word and keeps the nodes that are reached: in
// now those after a word or a single wildcard, in loops those after a #, which stay for good, since a # takes any number of words.
//
// A node has one way in. One in now is there once, because its parent was; one in loops is entered once and kept. So a word costs at most
// the nodes that are reached, and the whole at most SubjectWordsMax times the nodes of the tree, whatever the patterns are.
func (m *Matcher) walk(root *wordNode, op Syntax, s string) {
	if root == nil {
		return
	}
	sep := separator(op)
	head, long := cutWords(s, sep)
	m.now, m.loops, m.ended = append(m.now[:0], root), m.loops[:0], m.ended[:0]
	hidden := op == Levels && len(s) > 0 && s[0] == '$'
	if !hidden {
		m.loop(root.rest)
	}
	for words := textWords(sep, head); !words.end; words.next() {
		hash := hashOf(words.word)
		now, loops := m.now, m.loops
		m.now = m.then[:0]
		for _, n := range now {
			m.step(n, words.word, hash, hidden)
		}
		for _, n := range loops {
			m.step(n, words.word, hash, false)
		}
		m.then, hidden = now, false
		if len(m.now) == 0 && len(m.loops) == 0 {
			break
		}
	}
	if !long {
		for _, n := range m.now {
			m.hit(n.end)
		}
	}
	for _, n := range m.loops {
		m.hit(n.end)
	}
	// A # at the end is come to as often as what is before it; patterns before another # may be so more than once.
	if len(m.ended) > 1 {
		slices.SortFunc(m.ended, func(a, b *wordNode) int { return cmp.Compare(a.end.serial, b.end.serial) })
		m.ended = slices.Compact(m.ended)
	}
	for _, n := range m.ended {
		m.hit(n.end)
	}
	if len(m.inLoops) > 0 {
		clear(m.inLoops)
	}
}

func (m *Matcher) step(n *wordNode, word string, hash uint64, hidden bool) {
	if n.kids.n > 0 {
		if _, to := n.kid(word, hash); to != nil {
			m.now = append(m.now, to)
			m.loop(to.rest)
		}
	}
	if n.one != nil && !hidden {
		m.now = append(m.now, n.one)
		m.loop(n.one.rest)
	}
}

// loop enters a # node, once. Where nothing follows the #, whatever comes holds, and there is nothing to keep.
func (m *Matcher) loop(n *wordNode) {
	if n == nil {
		return
	}
	if !n.goesOn() {
		m.ended = append(m.ended, n)
		return
	}
	if len(m.loops) < loopsScanned {
		if slices.Contains(m.loops, n) {
			return
		}
		m.loops = append(m.loops, n)
		return
	}
	if len(m.inLoops) == 0 {
		for _, l := range m.loops {
			m.inLoops[l] = struct{}{}
		}
	}
	if _, in := m.inLoops[n]; !in {
		m.inLoops[n] = struct{}{}
		m.loops = append(m.loops, n)
	}
}
