package address

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"unsafe"
)

// trie is a persistent map from hashes to values: a change copies the few nodes on the way to a leaf and shares the rest, so that a
// snapshot costs nothing and an update of one among 100,000 costs about a microsecond. Six bits of the hash choose the child at each
// node; values whose hashes are equal hang on one leaf.
type trie[V any] struct {
	root *node[V]
	n    int // values
}

type node[V any] struct {
	used  uint64 // which of 64 children there are
	slots []slot[V]
}

type slot[V any] struct { // one of both
	kid  *node[V]
	leaf *leaf[V]
}

// leaf holds its value by value, so that finding one ends with one step through memory.
type leaf[V any] struct {
	hash uint64
	next *leaf[V]
	v    V
}

const bitsPerNode = 6

// find gives the leaves of that hash; the caller compares what they hold.
func (t *trie[V]) find(hash uint64) *leaf[V] {
	h := hash
	for n := t.root; n != nil; h >>= bitsPerNode {
		bit := uint64(1) << (h & 63)
		if n.used&bit == 0 {
			return nil
		}
		s := &n.slots[bits.OnesCount64(n.used&(bit-1))]
		if s.leaf != nil {
			if s.leaf.hash == hash {
				return s.leaf
			}
			return nil
		}
		n = s.kid
	}
	return nil
}

// with gives the map in which l stands in the place of old; old is nil where l is new, l is nil where old goes. dup copies a value.
func (t trie[V]) with(hash uint64, old, l *leaf[V], dup func(to, from *V)) trie[V] {
	if l != nil {
		l.hash = hash
	}
	switch {
	case old == nil:
		t.n++
	case l == nil:
		t.n--
	}
	t.root = t.root.with(hash, 0, func(chain *leaf[V]) *leaf[V] { return rechain(chain, old, l, dup) })
	return t
}

// rechain copies a chain of leaves: they belong to older snapshots too.
func rechain[V any](chain, old, l *leaf[V], dup func(to, from *V)) *leaf[V] {
	if chain == nil || chain == old && chain.next == nil {
		return l
	}
	if chain == old {
		if l == nil {
			return chain.next
		}
		l.next = chain.next
		return l
	}
	if old == nil {
		l.next = chain
		return l
	}
	c := new(leaf[V])
	c.hash, c.next = chain.hash, rechain(chain.next, old, l, dup)
	dup(&c.v, &chain.v)
	return c
}

// with is one level of the change. A node that would hold nothing is nil.
func (n *node[V]) with(hash uint64, shift uint, change func(*leaf[V]) *leaf[V]) *node[V] {
	bit := uint64(1) << (hash >> shift & 63)
	if n == nil || n.used&bit == 0 {
		l := change(nil)
		if l == nil {
			return n
		}
		if n == nil {
			return &node[V]{used: bit, slots: []slot[V]{{leaf: l}}}
		}
		i := bits.OnesCount64(n.used & (bit - 1))
		slots := make([]slot[V], 0, len(n.slots)+1)
		slots = append(append(append(slots, n.slots[:i]...), slot[V]{leaf: l}), n.slots[i:]...)
		return &node[V]{used: n.used | bit, slots: slots}
	}
	i := bits.OnesCount64(n.used & (bit - 1))
	var s slot[V]
	switch at := n.slots[i]; {
	case at.kid != nil:
		s.kid = at.kid.with(hash, shift+bitsPerNode, change)
	case at.leaf.hash == hash:
		s.leaf = change(at.leaf)
	default:
		l := change(nil)
		if l == nil {
			return n
		}
		s.kid = fork(at.leaf, l, shift+bitsPerNode)
	}
	if s.kid == nil && s.leaf == nil {
		if len(n.slots) == 1 {
			return nil
		}
		return &node[V]{used: n.used &^ bit, slots: slices.Delete(slices.Clone(n.slots), i, i+1)}
	}
	if k := s.kid; k != nil && len(k.slots) == 1 && k.slots[0].leaf != nil {
		s = slot[V]{leaf: k.slots[0].leaf} // a node for one leaf is not needed
	}
	m := &node[V]{used: n.used, slots: slices.Clone(n.slots)}
	m.slots[i] = s
	return m
}

// fork makes the nodes that tell two leaves of different hashes apart.
func fork[V any](a, b *leaf[V], shift uint) *node[V] {
	x, y := a.hash>>shift&63, b.hash>>shift&63
	switch {
	case x == y:
		return &node[V]{used: 1 << x, slots: []slot[V]{{kid: fork(a, b, shift+bitsPerNode)}}}
	case x > y:
		a, b, x, y = b, a, y, x
	}
	return &node[V]{used: 1<<x | 1<<y, slots: []slot[V]{{leaf: a}, {leaf: b}}}
}

// seed makes hashes that nobody outside can foresee. Nothing that is decided depends on it.
var seed = maphash.MakeSeed()

func hashOf(s string) uint64 { return maphash.String(seed, s) }

// mix spreads a number over 64 bits (the finisher of splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// text sees bytes as text, without a copy: for as long as nobody changes them.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
