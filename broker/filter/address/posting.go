package address

import (
	"cmp"
	"slices"
	"sync/atomic"

	"leat/internal/assert"
)

// posting is who is reached from one place of the index. It is never changed.
type posting struct {
	serial uint64   // no other posting of this process has it
	sure   *entries // reached whenever the walk comes here; nil is nobody
	held   *entries // reached when the rest of their clause holds as well; nil is nobody
}

// entry is a subscription with the clause by which it is reached.
type entry struct {
	id     ID
	clause *clause
}

func (e entry) compare(o entry) int {
	if c := cmp.Compare(e.id, o.id); c != 0 {
		return c
	}
	return e.clause.compare(o.clause)
}

// chunkEntries is how many entries are copied at most by a change among however many.
const chunkEntries = 256

// entries is a persistent sorted list.
type entries struct {
	chunks [][]entry
	n      int
}

// listOfOne is what most lists are, in one piece with the clause that it has.
type listOfOne struct {
	entries
	chunk [1][]entry
	first [1]entry
}

// of makes it the list of that entry. A clause is added for one subscription, so what is there is that entry, or nothing yet.
func (x *listOfOne) of(e entry) *entries {
	if x.n == 0 {
		x.first[0] = e
		x.chunk[0] = x.first[:]
		x.chunks, x.n = x.chunk[:], 1
	}
	assert.That(x.first[0] == e, "a clause is of one subscription")
	return &x.entries
}

func (l *entries) find(e entry) (chunk, at int, found bool) {
	if l == nil {
		return 0, 0, false
	}
	i, _ := slices.BinarySearchFunc(l.chunks, e, func(c []entry, e entry) int { return c[len(c)-1].compare(e) })
	if i == len(l.chunks) {
		return i, 0, false
	}
	at, found = slices.BinarySearchFunc(l.chunks[i], e, entry.compare)
	return i, at, found
}

// with gives the list with e in it, which it did not have.
func (l *entries) with(e entry) *entries {
	if l == nil {
		return e.clause.alone.of(e)
	}
	i, at, _ := l.find(e)
	out := &entries{n: l.n + 1}
	if i == len(l.chunks) {
		i--
		at = len(l.chunks[i])
	}
	c := make([]entry, 0, len(l.chunks[i])+1)
	c = append(append(append(c, l.chunks[i][:at]...), e), l.chunks[i][at:]...)
	if len(c) <= chunkEntries {
		out.chunks = slices.Clone(l.chunks)
		out.chunks[i] = c
		return out
	}
	cut := len(c) / 2
	if i == len(l.chunks)-1 && at == len(c)-1 {
		cut = len(c) - 1 // numbers grow, so most changes come at the end: full chunks stay full
	}
	out.chunks = make([][]entry, 0, len(l.chunks)+1)
	out.chunks = append(append(append(out.chunks, l.chunks[:i]...), c[:cut:cut], c[cut:]), l.chunks[i+1:]...)
	return out
}

// without gives the list without the entry at that place.
func (l *entries) without(chunk, at int) *entries {
	if l.n == 1 {
		return nil
	}
	out := &entries{n: l.n - 1}
	if len(l.chunks[chunk]) == 1 {
		out.chunks = slices.Delete(slices.Clone(l.chunks), chunk, chunk+1)
		return out
	}
	out.chunks = slices.Clone(l.chunks)
	out.chunks[chunk] = slices.Delete(slices.Clone(l.chunks[chunk]), at, at+1)
	return out
}

var serials atomic.Uint64

// size is how many entries there are; a posting that nobody has is empty.
func (p *posting) size() int {
	if p == nil {
		return 0
	}
	return p.sure.len() + p.held.len()
}

func (l *entries) len() int {
	if l == nil {
		return 0
	}
	return l.n
}

// fill makes p what old is with e in it. ok is false when it is there already.
func (p *posting) fill(old *posting, e entry, sure bool) (ok bool) {
	p.serial = serials.Add(1)
	if old != nil {
		p.sure, p.held = old.sure, old.held
	}
	l := &p.held
	if sure {
		l = &p.sure
	}
	if _, _, found := (*l).find(e); found {
		return false
	}
	*l = (*l).with(e)
	return true
}

// drain makes p what old is without e. ok is false when it is not there.
func (p *posting) drain(old *posting, e entry, sure bool) (ok bool) {
	p.serial = serials.Add(1)
	p.sure, p.held = old.sure, old.held
	l := &p.held
	if sure {
		l = &p.sure
	}
	chunk, at, found := (*l).find(e)
	if !found {
		return false
	}
	*l = (*l).without(chunk, at)
	return true
}
