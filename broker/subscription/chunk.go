package subscription

import (
	"math/bits"

	"leat/broker/record"
)

// chunkBits is how many offsets one chunk speaks of. It is part of the format: a chunk's number is offset / chunkBits.
//
// 1,024 makes a row of at most 260 bytes: small enough that a frame which settles one record here and there writes little, large enough
// that a million records are a thousand rows.
const (
	chunkBits  = 1024
	chunkWords = chunkBits / 64
)

// chunk is two bitmaps. handed says that a record which is not done was given to a member at least once.
type chunk struct {
	done, handed [chunkWords]uint64
}

func chunkOf(o record.Offset) (int64, int, uint64) {
	i := int64(o) & (chunkBits - 1)
	return int64(o) / chunkBits, int(i / 64), 1 << (i % 64)
}

func (s *Source) chunk(k int64) *chunk {
	c := s.chunks[k]
	if c == nil {
		if s.chunks == nil {
			s.chunks = map[int64]*chunk{}
		}
		c = &chunk{}
		s.chunks[k] = c
	}
	return c
}

// done reports whether nothing has to be looked at any more.
func (s *Source) done(o record.Offset) bool {
	if o < s.Floor {
		return true
	}
	k, w, bit := chunkOf(o)
	c := s.chunks[k]
	return c != nil && c.done[w]&bit != 0
}

func (s *Source) handed(o record.Offset) bool {
	k, w, bit := chunkOf(o)
	c := s.chunks[k]
	return c != nil && c.handed[w]&bit != 0
}

func (s *Source) setDone(o record.Offset) {
	if o < s.Floor {
		return
	}
	k, w, bit := chunkOf(o)
	c := s.chunk(k)
	c.done[w] |= bit
	c.handed[w] &^= bit
}

func (s *Source) setHanded(o record.Offset) {
	if o < s.Floor {
		return
	}
	k, w, bit := chunkOf(o)
	if c := s.chunk(k); c.done[w]&bit == 0 {
		c.handed[w] |= bit
	}
}

// setDoneRange does what setDone does for from <= o < to, a word at a time.
func (s *Source) setDoneRange(from, to record.Offset) {
	for from = max(from, s.Floor); from < to; {
		k, w, _ := chunkOf(from)
		lo := uint(from) % 64
		n := min(64-int64(lo), int64(to-from))
		mask := (^uint64(0) >> (64 - uint(n))) << lo
		c := s.chunk(k)
		c.done[w] |= mask
		c.handed[w] &^= mask
		from += record.Offset(n)
	}
}

// undone counts what is not done in from <= o < to.
func (s *Source) undone(from, to record.Offset) int64 {
	from = max(from, s.Floor)
	if from >= to {
		return 0
	}
	n := int64(to - from)
	if len(s.chunks) == 0 {
		return n
	}
	for from < to {
		k, w, _ := chunkOf(from)
		c := s.chunks[k]
		if c == nil {
			from = record.Offset((k + 1) * chunkBits)
			continue
		}
		lo := uint(from) % 64
		m := min(64-int64(lo), int64(to-from))
		mask := (^uint64(0) >> (64 - uint(m))) << lo
		n -= int64(bits.OnesCount64(c.done[w] & mask))
		from += record.Offset(m)
	}
	return n
}

// raise moves the floor and lets go of what chunks say below it. It calls gone for each that says nothing any more.
func (s *Source) raise(to record.Offset, gone func(k int64)) {
	if to <= s.Floor {
		return
	}
	first, last := int64(s.Floor)/chunkBits, int64(to)/chunkBits
	s.Floor = to
	if len(s.chunks) == 0 {
		return
	}
	drop := func(k int64) {
		if s.chunks[k] != nil {
			delete(s.chunks, k)
			gone(k)
		}
	}
	if last-first > int64(len(s.chunks)) {
		for k := range s.chunks {
			if k < last {
				drop(k)
			}
		}
	} else {
		for k := first; k < last; k++ {
			drop(k)
		}
	}
	if c := s.chunks[last]; c != nil && c.clearBelow(int(int64(to)&(chunkBits-1))) {
		drop(last)
	}
}

// clearBelow forgets the first n offsets and reports whether nothing is left.
func (c *chunk) clearBelow(n int) bool {
	var any uint64
	for w := range c.done {
		switch {
		case n >= (w+1)*64:
			c.done[w], c.handed[w] = 0, 0
		case n > w*64:
			mask := ^uint64(0) << (n - w*64)
			c.done[w] &= mask
			c.handed[w] &= mask
		}
		any |= c.done[w] | c.handed[w]
	}
	return any == 0
}
