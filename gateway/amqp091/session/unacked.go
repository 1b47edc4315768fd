package session

import (
	"fmt"
	"sort"

	"leat/gateway/amqp091/wire"
	"leat/internal/assert"
)

// Unacked are the deliveries of a channel that wait for an ack, each with the handle H by which the gateway knows it. Tags count from 1
// over all deliveries of the channel, also those that want no ack, and are never used twice.
//
//	list   … [tag 7 ✓] [tag 8 ·] [tag 9 ✓] [tag 12 ·] …      ✓ gone, · waiting      head is before the first that waits
//
// The list is in the order of tags. Without gaps a tag is found by counting; with them by bisection. What is gone stays in the list as a
// hole, until there are more holes than deliveries or more before head than behind it: one that is held for ever costs only itself.
type Unacked[H any] struct {
	tag   uint64 // the last one given
	list  []delivery[H]
	head  int // of list: all before are holes
	holes int // in list[head:]
}

type delivery[H any] struct {
	tag     uint64
	waiting bool
	handle  H
}

// holesMin is how many holes are worth no tidying.
const holesMin = 64

// Add gives a delivery its tag.
func (u *Unacked[H]) Add(handle H) uint64 {
	u.tag++
	u.list = append(u.list, delivery[H]{u.tag, true, handle})
	return u.tag
}

// Skip is the tag of a delivery that wants no ack.
func (u *Unacked[H]) Skip() uint64 {
	u.tag++
	return u.tag
}

// Next is the tag that the next delivery is given.
func (u *Unacked[H]) Next() uint64 { return u.tag + 1 }

// Len is the number of deliveries that wait.
func (u *Unacked[H]) Len() int { return len(u.list) - u.head - u.holes }

// Take removes the delivery of this tag, with multiple all up to it, and gives each to take in the order of tags. Tag 0 with multiple
// is all. A tag that does not wait is refused, also with multiple: clients find their bugs by that.
func (u *Unacked[H]) Take(tag uint64, multiple bool, by wire.ID, take func(tag uint64, handle H)) error {
	if tag == 0 && multiple {
		u.All(take)
		return nil
	}
	i := u.find(tag)
	if i < 0 {
		return &wire.Error{Code: wire.PreconditionFailed, Method: by, Text: fmt.Sprintf("unknown delivery tag %d", tag)}
	}
	from := i
	if multiple {
		from = u.head
	}
	for ; from <= i; from++ {
		if d := u.list[from]; d.waiting {
			u.list[from] = delivery[H]{tag: d.tag}
			u.holes++
			take(d.tag, d.handle)
		}
	}
	u.trim()
	return nil
}

// All removes all deliveries, and gives each to take in the order of tags: when a channel ends, or recovers.
func (u *Unacked[H]) All(take func(tag uint64, handle H)) {
	list := u.list[u.head:]
	u.list, u.head, u.holes = nil, 0, 0
	for _, d := range list {
		if d.waiting {
			take(d.tag, d.handle)
		}
	}
}

// Restore puts a delivery back that was taken, when the transaction it was acknowledged in is rolled back.
func (u *Unacked[H]) Restore(tag uint64, handle H) {
	assert.That(tag > 0 && tag <= u.tag, "a delivery that is restored was given its tag here")
	i := sort.Search(len(u.list), func(i int) bool { return u.list[i].tag >= tag })
	if i < len(u.list) && u.list[i].tag == tag {
		assert.That(!u.list[i].waiting, "a delivery is restored once")
		u.list[i] = delivery[H]{tag, true, handle}
		if i >= u.head {
			u.holes--
			return
		}
	} else {
		u.list = append(u.list, delivery[H]{})
		copy(u.list[i+1:], u.list[i:])
		u.list[i] = delivery[H]{tag, true, handle}
		if i >= u.head {
			return
		}
	}
	u.head = i
	u.holes = 0
	for _, d := range u.list[i:] {
		if !d.waiting {
			u.holes++
		}
	}
}

// find is the place of a delivery that waits, or -1.
func (u *Unacked[H]) find(tag uint64) int {
	list := u.list[u.head:]
	if len(list) == 0 || tag < list[0].tag {
		return -1
	}
	i := int(min(tag-list[0].tag, uint64(len(list)-1))) // its place if no tag is missing, otherwise behind it
	if list[i].tag != tag {
		i = sort.Search(i, func(i int) bool { return list[i].tag >= tag })
	}
	if list[i].tag != tag || !list[i].waiting {
		return -1
	}
	return u.head + i
}

// trim moves head to the first delivery that waits, and tidies when that is worth it: what tidying moves is less than what has gone.
func (u *Unacked[H]) trim() {
	for u.head < len(u.list) && !u.list[u.head].waiting {
		u.head++
		u.holes--
	}
	if u.head == len(u.list) {
		u.list, u.head = u.list[:0], 0
		if cap(u.list) > unackedKept {
			u.list = nil
		}
	}
	if u.holes > max(holesMin, u.Len()) || u.head > max(holesMin, len(u.list)/2) {
		u.tidy()
	}
}

// unackedKept is how many deliveries a channel without any keeps room for.
const unackedKept = 4096

// tidy removes the holes.
func (u *Unacked[H]) tidy() {
	to := 0
	for _, d := range u.list[u.head:] {
		if d.waiting {
			u.list[to] = d
			to++
		}
	}
	clear(u.list[to:])
	u.list, u.head, u.holes = u.list[:to], 0, 0
}
