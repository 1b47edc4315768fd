package subscription

import "math/bits"

// wheel is the timer index: every entry that waits for a time, whatever for, in millisecond steps.
//
// Eight levels of 64 buckets, each level 64 times as coarse as the one below. An entry stands at the level of the highest six bits in which
// its time differs from the wheel's; so whatever stands at a level is due before anything at the levels above, and the next one due is found by
// looking at one word for each level. Moving on, a bucket of a coarse level is spread over the finer ones:
//
//	now 0x1000, due 0x1005  ->  level 0, bucket 5     due to the millisecond
//	now 0x1000, due 0x1105  ->  level 1, bucket 4     spread when the wheel reaches 0x1100
//
// Putting in and taking out are a few instructions; an entry moves at most seven times before it is due.
type wheel struct {
	now     int64
	buckets [wheelLevels * 64]list
	used    [wheelLevels]uint64
	due     list
}

const (
	wheelLevels = 8
	wheelDue    = wheelLevels*64 + 1

	// timeMaxMS is the latest time there is, in the year 4429: the wheel's last level begins to wrap at 2^48.
	timeMaxMS = 1 << 46
)

// timer is when something has to happen to an entry. timeMaxMS: never.
func (e *entry) timer() int64 {
	expires := e.ExpiresMS
	if expires == 0 {
		expires = timeMaxMS
	}
	switch e.state {
	case leased, dying:
		return e.DueMS
	case waiting:
		return min(e.DueMS, expires)
	default:
		return expires
	}
}

func (w *wheel) put(s *slab, i slot, at int64) {
	e := s.at(i)
	if at <= w.now {
		s.push(&w.due, inWheel, i)
		e.bucket = wheelDue
		return
	}
	level := (63 - bits.LeadingZeros64(uint64(at^w.now))) / 6
	b := int(at>>(6*level)) & 63
	s.push(&w.buckets[level*64+b], inWheel, i)
	w.used[level] |= 1 << b
	e.bucket = uint16(level*64+b) + 1
}

func (w *wheel) remove(s *slab, i slot) {
	e := s.at(i)
	switch b := int(e.bucket) - 1; {
	case b < 0:
		return
	case e.bucket == wheelDue:
		s.remove(&w.due, inWheel, i)
	default:
		l := &w.buckets[b]
		if s.remove(l, inWheel, i); l.n == 0 {
			w.used[b/64] &^= 1 << (b % 64)
		}
	}
	e.bucket = 0
}

// next is when the wheel has to move again at the earliest.
func (w *wheel) next() (at int64, ok bool) {
	if w.due.n > 0 {
		return w.now, true
	}
	for level, used := range w.used {
		if used == 0 {
			continue
		}
		shift := 6 * level
		b := int64(bits.TrailingZeros64(used))
		return w.now>>(shift+6)<<(shift+6) | b<<shift, true
	}
	return 0, false
}

// pop moves on to a time at most and takes out the first entry that is due, 0 when there is none.
func (w *wheel) pop(s *slab, to int64) slot {
	for w.due.n == 0 {
		at, ok := w.next()
		if !ok || at > to {
			w.now = max(w.now, to)
			return 0
		}
		w.turn(s, at)
	}
	i := w.due.head
	w.remove(s, i)
	return i
}

// turn moves on to at, where the first bucket of some level begins, and spreads it.
func (w *wheel) turn(s *slab, at int64) {
	level := 0
	for w.used[level] == 0 {
		level++
	}
	w.now = max(w.now, at)
	b := bits.TrailingZeros64(w.used[level])
	l := w.buckets[level*64+b]
	w.buckets[level*64+b] = list{}
	w.used[level] &^= 1 << b
	for i := l.head; i != 0; {
		e := s.at(i)
		follows := e.links[inWheel].next
		e.links[inWheel] = link{}
		w.put(s, i, e.timer())
		i = follows
	}
}
