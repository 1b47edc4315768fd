package address

import (
	"slices"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/assert"
)

// ClausesMax is how many clauses one index holds.
const ClausesMax = 4 << 20

// Version counts the changes of an index.
type Version uint64

// Index knows the clauses of all subscriptions. It is never changed: Add and Remove give another one that shares what is the same, so
// any number of goroutines may match against the one they have while the next is made.
type Index struct {
	version Version
	clauses int
	streams trie[streamIndex]
}

// New is an index without clauses.
func New() *Index { return &Index{} }

// Version is how many changes led here.
func (x *Index) Version() Version { return x.version }

// Len is how many clauses the index has.
func (x *Index) Len() int { return x.clauses }

// streamIndex is what a record of one stream is held against.
type streamIndex struct {
	id    record.StreamID
	all   *posting   // clauses without a condition
	terms trie[term] // conditions that one look-up answers
	attrs [patterned]attrIndex
	used  [termKinds]int // clauses whose place is among terms, by kind
	n     int

	otherwise int    // clauses that ask for anything but a subject
	serial    uint64 // another one after each change
}

// attrIndex is the patterns of one attribute.
type attrIndex struct {
	lengths       []lengthUse // of prefixes, ascending
	words, levels *wordNode
}

// lengthUse is how many clauses have a prefix of that length.
type lengthUse struct{ bytes, n int }

// term is a condition with those who have it. It is laid out to be found with one or two steps through memory: values are mostly short, and
// a short one stands in the term itself, which then fills 80 bytes.
type term struct {
	posting
	cond  *cond
	kind  uint8
	bytes uint8 // of short; more than it holds: the value is in cond only
	short [shortBytes]byte
}

const shortBytes = 38

func (t *term) name(c *cond) {
	t.cond, t.kind, t.bytes = c, uint8(c.kind()), uint8(min(len(c.value), shortBytes+1))
	copy(t.short[:], c.value)
}

// is reports whether the term is that one. The kind tells attribute and operator.
func (t *term) is(kind int, name, value string) bool {
	if int(t.kind) != kind || name != "" && t.cond.name != name {
		return false
	}
	if len(value) <= shortBytes {
		return int(t.bytes) == len(value) && string(t.short[:len(value)]) == value
	}
	return t.cond.value == value
}

func dupTerm(to, from *term) {
	to.serial, to.sure, to.held = from.serial, from.sure, from.held
	to.cond, to.kind, to.bytes, to.short = from.cond, from.kind, from.bytes, from.short
}

func dupStream(to, from *streamIndex) { *to = *from }

// Kinds of terms: each attribute exact, headers by name, and each patterned attribute by prefix.
const (
	kindPresent = int(attrHeader) + 1
	kindPrefix  = kindPresent + 1
	termKinds   = kindPrefix + patterned
)

func (k *cond) kind() int {
	switch k.op {
	case present:
		return kindPresent
	case Prefix:
		return kindPrefix + int(k.attr)
	}
	return int(k.attr)
}

// hash of a term: kind, name and value.
func termHash(kind int, name, value uint64) uint64 {
	return mix(value + name*0x9e3779b97f4a7c15 + uint64(kind)<<56)
}

func (k *cond) hash() uint64 {
	if k.attr == attrHeader {
		return termHash(k.kind(), hashOf(k.name), hashOf(k.value))
	}
	return termHash(k.kind(), 0, hashOf(k.value))
}

func streamHash(id record.StreamID) uint64 { return mix(uint64(id) + 1) }

// WildMax is how many places in the patterns of a stream a walk may have to keep at once, before another pattern should be refused: so
// a record of SubjectWordsMax words costs some tens of milliseconds at worst, whatever the patterns are.
const WildMax = 4096

// Wild is how many places behind a wildcard, from which words follow, the patterns of a stream have. Patterns that begin alike share theirs, a
// # at the end has none, and neither have patterns without wildcards: "#.error", "#.warning" and "#.*.x" have two, "a.*" and "a.#" none.
func (x *Index) Wild(id record.StreamID) (n int) {
	if _, s := x.stream(id); s != nil {
		for i := range s.attrs {
			n += s.attrs[i].words.within(false) + s.attrs[i].levels.within(false)
		}
	}
	return n
}

// Reads reports whether any clause is for records of a stream.
func (x *Index) Reads(id record.StreamID) bool {
	_, s := x.stream(id)
	return s != nil
}

func (x *Index) stream(id record.StreamID) (*leaf[streamIndex], *streamIndex) {
	if l := x.streams.find(streamHash(id)); l != nil { // mix is a bijection: equal hashes are equal streams
		return l, &l.v
	}
	return nil, nil
}

// Add gives the index that has one clause more. A clause that the subscription has already is refused with Exists, one that is wrong
// with Invalid, and one too many with TooLarge.
func (x *Index) Add(id ID, c Clause) (*Index, error) {
	k, err := c.canonical()
	if err != nil {
		return nil, err
	}
	if x.clauses >= ClausesMax {
		return nil, fault.New(fault.TooLarge, "filter", "clauses", "there are %d address filters, which is the limit", ClausesMax)
	}
	old, was := x.stream(c.Stream)
	var s streamIndex
	if was != nil {
		s = *was
		if s.has(entry{id, k}) {
			return nil, fault.New(fault.Exists, "filter", "clauses", "the subscription has this address filter already")
		}
	}
	s.id = c.Stream
	s.n++
	if k.otherwise() {
		s.otherwise++
	}
	for _, place := range s.places(k) {
		s.change(place, entry{id, k}, true)
	}
	return x.with(old, &s, 1), nil
}

// Remove gives the index without a clause that was added; NotFound says that it is not there.
func (x *Index) Remove(id ID, c Clause) (*Index, error) {
	k, err := c.canonical()
	if err != nil {
		return nil, err
	}
	old, was := x.stream(c.Stream)
	if was == nil || !was.has(entry{id, k}) {
		return nil, fault.New(fault.NotFound, "filter", "clauses", "the subscription has no such address filter")
	}
	s := *was
	s.n--
	if k.otherwise() {
		s.otherwise--
	}
	if k.spread() {
		for i := range k.conds {
			s.change(&k.conds[i], entry{id, k}, false)
		}
	} else {
		s.change(s.placeOf(entry{id, k}), entry{id, k}, false)
	}
	return x.with(old, &s, -1), nil
}

func (x *Index) with(old *leaf[streamIndex], s *streamIndex, by int) *Index {
	y := &Index{version: x.version + 1, clauses: x.clauses + by}
	s.serial = serials.Add(1)
	l := &leaf[streamIndex]{v: *s}
	if s.n == 0 {
		l = nil
	}
	y.streams = x.streams.with(streamHash(s.id), old, l, dupStream)
	return y
}

// spread reports whether a clause stands under each of its headers: "any of these headers" and nothing that a look-up answers besides.
func (k *clause) spread() bool { return k.any && k.conds[0].attr == attrHeader }

// places are the conditions under which a new clause is found; nil stands for "all records". One is enough where all must hold: the one
// that fewest have by now, and look-ups before patterns, so that common conditions do not gather clauses whose rest has to be
// held against every record.
func (s *streamIndex) places(k *clause) []*cond {
	if k.spread() {
		all := make([]*cond, len(k.conds))
		for i := range k.conds {
			all[i] = &k.conds[i]
		}
		return all
	}
	var best *cond
	bestSize, bestClass := 0, 0
	for i := range k.conds {
		c := &k.conds[i]
		if k.any && c.attr == attrHeader {
			break
		}
		if size, class := s.posting(c).size(), c.class(); best == nil || class < bestClass || class == bestClass && size < bestSize {
			best, bestSize, bestClass = c, size, class
		}
	}
	return []*cond{best}
}

// class orders conditions by what they cost to find and how much they are likely to hold for.
func (k *cond) class() int {
	switch {
	case k.op == Exact:
		return 0
	case k.op == present:
		return 2
	}
	return 1
}

// placeOf finds where a clause stands that was added when other conditions may have been the rarest.
func (s *streamIndex) placeOf(e entry) *cond {
	for i := range e.clause.conds {
		c := &e.clause.conds[i]
		if e.clause.any && c.attr == attrHeader {
			break
		}
		if p := s.posting(c); p != nil {
			if _, _, found := p.list(e.clause).find(e); found {
				return c
			}
		}
	}
	return nil
}

func (s *streamIndex) has(e entry) bool {
	if e.clause.spread() {
		p := s.posting(&e.clause.conds[0])
		if p == nil {
			return false
		}
		_, _, found := p.list(e.clause).find(e)
		return found
	}
	if s.placeOf(e) != nil {
		return true
	}
	if s.all == nil {
		return false
	}
	_, _, found := s.all.list(e.clause).find(e)
	return found
}

// sure reports whether finding a clause at its place is all there is to know.
func (k *clause) sure() bool { return len(k.conds) <= 1 || k.spread() }

// list is where a posting keeps a clause.
func (p *posting) list(k *clause) *entries {
	if k.sure() {
		return p.sure
	}
	return p.held
}

// posting finds who is found by a condition; nil where nobody is.
func (s *streamIndex) posting(c *cond) *posting {
	if c == nil {
		return s.all
	}
	switch c.op {
	case Words:
		return s.attrs[c.attr].words.at(patternWords(c.op, c.value))
	case Levels:
		return s.attrs[c.attr].levels.at(patternWords(c.op, c.value))
	}
	if l := s.term(c, c.hash()); l != nil {
		return &l.v.posting
	}
	return nil
}

func (s *streamIndex) term(c *cond, hash uint64) *leaf[term] {
	for l := s.terms.find(hash); l != nil; l = l.next {
		if *l.v.cond == *c {
			return l
		}
	}
	return nil
}

// change puts an entry under a condition, or takes it away. s is a copy that nobody else sees.
func (s *streamIndex) change(c *cond, e entry, add bool) {
	edit := func(p, old *posting) *posting {
		take := p.drain
		if add {
			take = p.fill
		}
		ok := take(old, e, e.clause.sure())
		assert.That(ok, "an address filter stands where the index looks for it")
		if p.size() == 0 {
			return nil
		}
		return p
	}
	switch {
	case c == nil:
		s.all = edit(&posting{}, s.all)
	case c.op == Words:
		a := &s.attrs[c.attr]
		a.words = a.words.with(patternWords(c.op, c.value), edit(&posting{}, s.posting(c)))
	case c.op == Levels:
		a := &s.attrs[c.attr]
		a.levels = a.levels.with(patternWords(c.op, c.value), edit(&posting{}, s.posting(c)))
	default:
		s.changeTerm(c, edit, add)
	}
}

func (s *streamIndex) changeTerm(c *cond, edit func(p, old *posting) *posting, add bool) {
	hash := c.hash()
	old := s.term(c, hash)
	l := &leaf[term]{}
	l.v.name(c)
	var was *posting
	if old != nil {
		was = &old.v.posting
	}
	if edit(&l.v.posting, was) == nil {
		l = nil
	}
	s.terms = s.terms.with(hash, old, l, dupTerm)
	by := 1
	if !add {
		by = -1
	}
	s.used[c.kind()] += by
	if c.op == Prefix {
		s.attrs[c.attr].useLength(len(c.value), by)
	}
}

func (a *attrIndex) useLength(bytes, by int) {
	i, found := slices.BinarySearchFunc(a.lengths, bytes, func(l lengthUse, bytes int) int { return l.bytes - bytes })
	a.lengths = slices.Clone(a.lengths)
	switch {
	case !found:
		a.lengths = slices.Insert(a.lengths, i, lengthUse{bytes, by})
	case a.lengths[i].n+by == 0:
		a.lengths = slices.Delete(a.lengths, i, i+1)
	default:
		a.lengths[i].n += by
	}
}
