package subscription

import "math/bits"

// slot is the place of an entry in the slab; 0 is none.
type slot int32

// where an entry stands besides its source's index.
const (
	inWindow = iota // of its source, in the order of offsets: what holds the floor
	inTurn          // to be handed over; or of a member, while it has it
	inLane          // of its key
	inWheel         // until its time
	linkKinds
)

type link struct{ prev, next slot }

type list struct {
	head, tail slot
	n          int
}

// entry is a record that the head knows of. It holds no pointers, so a million of them cost the collector nothing.
type entry struct {
	Meta
	links    [linkKinds]link
	desk     int32
	source   int32 // of the desk
	member   int32 // that has it, by its place in the desk
	attempts int32
	grip     uint32 // of the last handing-over
	bucket   uint16 // of the wheel, plus one; 0: none
	state    uint8
	flags    uint8
}

const (
	coming    uint8 = iota // its frame is not durable yet
	available              // to be handed over, when its turn comes
	leased                 // a member has it
	waiting                // for its time
	dying                  // for the caller to bury
)

const (
	flagStored   uint8 = 1 << iota // a row tells of it
	flagCarry                      // a row shall tell of it, with the next frame
	flagBack                       // was handed over before: goes before those that were not
	flagLies                       // Head.lies says where
	flagCounted                    // among the desk's numbers
	flagInWindow                   // stands in its source's window
	flagInTurn                     // stands in a list of those to be handed over
	flagTurnBack                   // and that is the list of those that came back
)

const pageEntries = 1024

// slab gives out entries in pages, so that growing moves nothing. The lowest free place is taken first; so what is left after a peak can
// be moved down, and the pages above it let go of.
type slab struct {
	pages []*page
	room  []uint64 // a bit for each page that has a free entry
	used  int
}

type page struct {
	entries [pageEntries]entry
	free    []uint16
}

func (s *slab) at(i slot) *entry { return &s.pages[i/pageEntries].entries[i%pageEntries] }

// lowest is the first page with a free entry, a new one if there is none.
func (s *slab) lowest() int {
	for w, m := range s.room {
		if m != 0 {
			return w*64 + bits.TrailingZeros64(m)
		}
	}
	k := len(s.pages)
	p := &page{free: make([]uint16, 0, pageEntries)}
	for i := pageEntries - 1; i >= 0; i-- {
		if k > 0 || i > 0 { // no entry has place 0
			p.free = append(p.free, uint16(i))
		}
	}
	s.pages = append(s.pages, p)
	if k/64 == len(s.room) {
		s.room = append(s.room, 0)
	}
	s.room[k/64] |= 1 << (k % 64)
	return k
}

func (s *slab) take() slot {
	k := s.lowest()
	p := s.pages[k]
	n := len(p.free) - 1
	i := slot(k*pageEntries) + slot(p.free[n])
	if p.free = p.free[:n]; n == 0 {
		s.room[k/64] &^= 1 << (k % 64)
	}
	s.used++
	return i
}

func (s *slab) give(i slot) {
	k := int(i / pageEntries)
	p := s.pages[k]
	p.entries[i%pageEntries] = entry{}
	p.free = append(p.free, uint16(i%pageEntries))
	s.room[k/64] |= 1 << (k % 64)
	s.used--
	for last := len(s.pages) - 1; last > 0 && len(s.pages[last].free) == pageEntries; last-- {
		s.pages[last] = nil
		s.pages = s.pages[:last]
		s.room[last/64] &^= 1 << (last % 64)
		s.room = s.room[:(last-1)/64+1]
	}
}

// sparse reports whether the last page should be emptied: most of what the pages could hold is free.
func (s *slab) sparse() bool {
	return len(s.pages) > slabPagesKept && s.used < len(s.pages)*pageEntries/4
}

const slabPagesKept = 16

// before puts i before at, or last when at is 0.
func (s *slab) before(l *list, kind int, at, i slot) {
	e := s.at(i)
	prev := l.tail
	if at != 0 {
		prev = s.at(at).links[kind].prev
	}
	e.links[kind] = link{prev: prev, next: at}
	if prev != 0 {
		s.at(prev).links[kind].next = i
	} else {
		l.head = i
	}
	if at != 0 {
		s.at(at).links[kind].prev = i
	} else {
		l.tail = i
	}
	l.n++
}

func (s *slab) push(l *list, kind int, i slot) { s.before(l, kind, 0, i) }

func (s *slab) remove(l *list, kind int, i slot) {
	k := &s.at(i).links[kind]
	if k.prev != 0 {
		s.at(k.prev).links[kind].next = k.next
	} else {
		l.head = k.next
	}
	if k.next != 0 {
		s.at(k.next).links[kind].prev = k.prev
	} else {
		l.tail = k.prev
	}
	*k = link{}
	l.n--
}
