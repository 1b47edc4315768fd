package subscription

import (
	"cmp"
	"slices"

	"leat/broker/fault"
)

// MemberID is a member's number. Its maker sees to it that no two are alike.
type MemberID uint64

// Member is somebody who takes records.
type Member struct {
	ID       MemberID
	Rank     int32 // whoever has the highest is served first, while it can take something
	Prefetch int32 // records it has at once at most. 0: as many as it has credit for
	Credit   int64 // records it is given until it is granted more. Endless: no end
	LeaseMS  int64 // instead of the policy's
	Apart    bool  // it takes what nobody has, and goes: before all others, also where one alone is served, and does not count as one
}

// Endless is credit that does not end.
const Endless int64 = -1

type member struct {
	Member
	index int32
	has   list
	able  bool
	left  bool // and what it has is still its own
}

// Attach brings a member in.
func (h *Head) Attach(id ID, m Member) *fault.Error {
	x := h.Subs[id]
	if x == nil {
		return noSub("receive")
	}
	if x.Policy.Kind != Delivery {
		return fault.New(fault.Invalid, "receive", "", "the subscription keeps a position; records are read, not received")
	}
	d := h.desk(x)
	first := d.apart()
	switch {
	case len(d.order) > first && x.Policy.Members == Exclusive && !m.Apart:
		return fault.New(fault.Conflict, "receive", "", "the subscription is exclusive and somebody receives from it")
	case len(d.order) >= MembersMax:
		return fault.New(fault.QuotaSpent, "receive", "", "%d receive from the subscription; that is the limit", MembersMax)
	case d.find(m.ID) != nil:
		return fault.New(fault.Exists, "receive", "", "this member is there already")
	}
	n := &member{Member: m}
	n.LeaseMS = min(max(m.LeaseMS, 0), LeaseMaxMS)
	free := slices.Index(d.members, nil)
	if free < 0 {
		free = len(d.members)
		d.members = append(d.members, nil)
	}
	n.index = int32(free)
	d.members[free] = n
	at, _ := slices.BinarySearchFunc(d.order[first:], m.Rank, func(a *member, rank int32) int {
		if c := cmp.Compare(rank, a.Rank); c != 0 {
			return c
		}
		return -1
	})
	if at += first; x.Policy.Members == SingleActive && at == first && len(d.order) > first {
		at++ // the active one stays
	}
	if m.Apart {
		at = 0
	}
	d.order = slices.Insert(d.order, at, n)
	h.measure(d, n)
	h.settleDown(d)
	return nil
}

// apart is how many members come before all others.
func (d *desk) apart() int {
	n := 0
	for n < len(d.order) && d.order[n].Apart {
		n++
	}
	return n
}

func (d *desk) find(id MemberID) *member {
	for _, m := range d.order {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// Detach takes a member out. What it has goes back, as after Release: with counts, its attempt counts.
func (h *Head) Detach(id ID, who MemberID, counts bool) {
	d := h.desks[id]
	if d == nil {
		return
	}
	m := d.find(who)
	if m == nil {
		return
	}
	m.Credit, m.Prefetch = 0, 0
	for i := m.has.head; i != 0; i = m.has.head {
		if !counts {
			h.uncountAttempt(d, i)
		}
		h.giveBack(d, i, 0)
	}
	h.measure(d, m)
	d.order = slices.DeleteFunc(d.order, func(o *member) bool { return o == m })
	d.vacate(m)
	h.settleDown(d)
	h.closeIfIdle(d)
}

// Depart takes a member out and leaves it what it has, until that is settled or its leases run out: for one that comes and goes.
func (h *Head) Depart(id ID, who MemberID) {
	d := h.desks[id]
	if d == nil {
		return
	}
	m := d.find(who)
	if m == nil {
		return
	}
	m.Credit, m.Prefetch, m.left = 0, 0, true
	h.measure(d, m)
	d.order = slices.DeleteFunc(d.order, func(o *member) bool { return o == m })
	if m.has.n == 0 {
		d.vacate(m)
	}
	h.settleDown(d)
	h.closeIfIdle(d)
}

// vacate gives a member's place to the next who comes.
func (d *desk) vacate(m *member) {
	d.members[m.index] = nil
	for n := len(d.members); n > 0 && d.members[n-1] == nil; n-- {
		d.members = d.members[:n-1]
	}
}

// Grant gives a member more credit, or, when n is less than 0, takes all it has. It answers what credit it has then.
func (h *Head) Grant(id ID, who MemberID, n int64) int64 {
	d := h.desks[id]
	if d == nil {
		return 0
	}
	m := d.find(who)
	if m == nil {
		return 0
	}
	switch {
	case n < 0:
		m.Credit = 0
	case m.Credit != Endless:
		m.Credit += n
	}
	h.measure(d, m)
	h.settleDown(d)
	return m.Credit
}

// room is how much a member can take.
func (m *member) room() int64 {
	room := m.Credit
	if room == Endless {
		room = UnackedLimit
	}
	if m.Prefetch > 0 {
		room = min(room, int64(m.Prefetch)-int64(m.has.n))
	}
	return max(room, 0)
}

// measure looks whether a member can take something now.
func (h *Head) measure(d *desk, m *member) {
	able := m.room() > 0
	if able == m.able {
		return
	}
	if m.able = able; able {
		d.able++
	} else {
		d.able--
	}
}

// pick returns who is to get the next record, nil when nobody can take one. Among those of the highest rank that can, each has its turn.
func (d *desk) pick() *member {
	if d.able == 0 {
		return nil
	}
	first := d.apart()
	for _, m := range d.order[:first] {
		if m.able {
			return m
		}
	}
	if d.sub.Policy.Members != Shared {
		if first < len(d.order) && d.order[first].able {
			return d.order[first]
		}
		return nil
	}
	first = slices.IndexFunc(d.order, func(m *member) bool { return m.able })
	rank := d.order[first].Rank
	for i := range d.order {
		k := (d.next + i) % len(d.order)
		if m := d.order[k]; m.able && m.Rank == rank {
			d.next = k + 1
			return m
		}
	}
	return d.order[first]
}

// demand is how many records could be handed over at once, up to a window.
func (d *desk) demand() int64 {
	if d.able == 0 || d.sub.Policy.Suspended {
		return 0
	}
	var n int64
	for _, m := range d.order {
		if n += m.room(); n >= WindowMax {
			return WindowMax
		}
		if d.sub.Policy.Members != Shared && !m.Apart {
			break
		}
	}
	return n
}

// closeIfIdle lets go of a desk that remembers nothing: what was shown to it will be shown again.
func (h *Head) closeIfIdle(d *desk) {
	if len(d.order) > 0 || d.dirty || d.sweeps > 0 || d.leased+d.waiting+d.dying+d.coming > 0 || h.needsDesk(d.sub) || d.sub.Policy.Volatile {
		return
	}
	for _, ds := range d.sources {
		if ds.window.n != len(ds.entries) {
			return // some have rows
		}
		for _, i := range ds.entries {
			if h.slab.at(i).attempts > 0 {
				return
			}
		}
	}
	h.clear(d)
	h.close(d)
}
