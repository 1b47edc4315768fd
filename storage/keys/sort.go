package keys

import (
	"bytes"
	"cmp"
	"slices"
)

// sorter sorts the slots of a chunk by (stream, key, slot). Slots are in position order, so this is the order of a file.
//
// It looks at eight bytes of the key at a time, kept beside the slot's number, so that comparing touches no key. What is equal in
// those is a group, and is sorted by the next eight: keys that begin alike ("customer-000…") cost one more pass, not a comparison of
// bytes far apart for each step. Level -8 is the stream.
type sorter struct{ a, b []item }

type item struct {
	prefix uint64
	slot   uint32
	class  uint32 // how many bytes of the key the prefix holds; longer: there are more
}

const (
	longer      = 9
	fewItems    = 24  // sorted by insertion, whole keys compared
	radixAtMost = 512 // sorted by comparing prefixes; beyond, byte by byte
)

// sort returns the slots from..to in order.
func (s *sorter) sort(c *chunk, from, to int) []uint32 {
	n := to - from
	if cap(s.a) < n {
		s.a, s.b = make([]item, n), make([]item, n)
	}
	a := s.a[:n]
	for i := range a {
		slot := uint32(from + i)
		a[i] = item{prefix: uint64(c.mem[slot].stream), slot: slot, class: longer}
	}
	level(c, a, s.b[:n], -8)
	order := make([]uint32, n)
	for i := range a {
		order[i] = a[i].slot
	}
	return order
}

// level sorts items whose prefixes are those of a depth and whose keys are equal before it.
func level(c *chunk, a, b []item, depth int) {
	for {
		switch {
		case len(a) <= fewItems:
			insertion(c, a, depth)
			return
		case len(a) <= radixAtMost:
			byPrefix(a)
		default:
			radix(a, b)
		}
		depth += 8
		if first, last := a[0], a[len(a)-1]; first.prefix == last.prefix && first.class == last.class {
			if first.class != longer {
				return // one key
			}
			deepen(c, a, depth)
			continue // one group: no deeper stack for it
		}
		for i := 0; i < len(a); {
			j := i + 1
			for j < len(a) && a[j].prefix == a[i].prefix && a[j].class == a[i].class {
				j++
			}
			if j-i > 1 && a[i].class == longer {
				deepen(c, a[i:j], depth)
				level(c, a[i:j], b[i:j], depth)
			}
			i = j
		}
		return
	}
}

// deepen loads the prefixes of the next depth.
func deepen(c *chunk, a []item, depth int) {
	for i := range a {
		a[i].prefix, a[i].class = prefixAt(c.key(a[i].slot), depth)
	}
}

func insertion(c *chunk, a []item, depth int) {
	for i := 1; i < len(a); i++ {
		x := a[i]
		j := i
		for ; j > 0 && before(c, &x, &a[j-1], depth); j-- {
			a[j] = a[j-1]
		}
		a[j] = x
	}
}

// before compares two items whole.
func before(c *chunk, x, y *item, depth int) bool {
	switch {
	case x.prefix != y.prefix:
		return x.prefix < y.prefix
	case x.class != y.class:
		return x.class < y.class
	case x.class == longer:
		if o := bytes.Compare(c.key(x.slot)[depth+8:], c.key(y.slot)[depth+8:]); o != 0 {
			return o < 0
		}
	}
	return x.slot < y.slot
}

// radix sorts by prefix, class and slot. One pass counts the values of every byte. Then the most significant bytes that differ at all, as
// many as it takes to tell the items apart, are sorted on from the last to the first; what is still together after that is a small group.
func radix(a, b []item) {
	var counts [8][256]uint32
	for i := range a {
		p := a[i].prefix
		for d := range counts {
			counts[d][byte(p)]++
			p >>= 8
		}
	}
	var digits [8]uint // shifts, most significant first
	used, spread := 0, 1
	for d := 7; d >= 0 && spread < 4*len(a); d-- {
		values := 0
		for _, n := range counts[d] {
			if n > 0 {
				values++
			}
		}
		if values > 1 {
			digits[used] = uint(8 * d)
			used, spread = used+1, spread*values
		}
	}
	src, dst := a, b
	for i := used - 1; i >= 0; i-- {
		shift := digits[i]
		count := &counts[shift/8]
		sum := uint32(0)
		for v := range count {
			sum, count[v] = sum+count[v], sum
		}
		for j := range src {
			at := &count[byte(src[j].prefix>>shift)]
			dst[*at] = src[j]
			*at++
		}
		src, dst = dst, src
	}
	if &src[0] != &a[0] {
		copy(a, src)
	}
	low := uint(0) // bits below were not looked at
	if used > 0 {
		low = digits[used-1]
	}
	for i := 0; i < len(a); {
		j := i + 1
		for j < len(a) && a[j].prefix>>low == a[i].prefix>>low {
			j++
		}
		if j-i > 1 {
			byPrefix(a[i:j])
		}
		i = j
	}
}

// byPrefix sorts by prefix, class and slot, comparing.
func byPrefix(a []item) {
	if !slices.IsSortedFunc(a, compareItems) {
		slices.SortFunc(a, compareItems)
	}
}

func compareItems(x, y item) int {
	if x.prefix != y.prefix {
		return cmp.Compare(x.prefix, y.prefix)
	}
	if x.class != y.class {
		return cmp.Compare(x.class, y.class)
	}
	return cmp.Compare(x.slot, y.slot)
}

// sorted returns sorted runs that together hold the first n slots, or more that are published. Runs are kept and merged as they
// double, so that a scan of a chunk that is being filled sorts only what is new to it.
func (c *chunk) sorted(n int) [][]uint32 {
	c.sortMu.Lock()
	defer c.sortMu.Unlock()
	if c.sortedTo < n {
		var s sorter
		c.runs = append(c.runs, s.sort(c, c.sortedTo, n))
		c.sortedTo = n
		for len(c.runs) > 1 && len(c.runs[len(c.runs)-2]) < 2*len(c.runs[len(c.runs)-1]) {
			last := len(c.runs) - 1
			c.runs = append(c.runs[:last-1:last-1], c.mergeRuns(c.runs[last-1], c.runs[last]))
		}
	}
	return c.runs
}

// sortAll sorts a sealed chunk into one run.
func (c *chunk) sortAll(s *sorter) []uint32 {
	n := int(c.published.Load())
	c.sortMu.Lock()
	if len(c.runs) == 1 && c.sortedTo == n {
		defer c.sortMu.Unlock()
		return c.runs[0]
	}
	c.sortMu.Unlock()
	run := s.sort(c, 0, n) // not under the lock: readers make their own runs meanwhile
	c.sortMu.Lock()
	defer c.sortMu.Unlock()
	c.runs, c.sortedTo = [][]uint32{run}, n
	return run
}

func (c *chunk) compareSlots(i, j uint32) int {
	x, y := &c.mem[i], &c.mem[j]
	if x.stream != y.stream {
		return cmp.Compare(x.stream, y.stream)
	}
	if o := bytes.Compare(c.key(i), c.key(j)); o != 0 {
		return o
	}
	return cmp.Compare(i, j)
}

func (c *chunk) mergeRuns(a, b []uint32) []uint32 {
	out := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if c.compareSlots(a[0], b[0]) < 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
