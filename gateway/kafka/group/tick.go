package group

import "math"

// Never is a time that does not come.
const Never int64 = math.MaxInt64

// NextMS is when Tick is to be called, Never if there is nothing to wait for. What members say puts it off, so it may be early.
func (g *Classic) NextMS() int64 {
	next := Never
	if g.state == Preparing {
		next = g.joinMS
	}
	if g.syncMS > 0 {
		next = min(next, g.syncMS)
	}
	for _, ms := range g.pending {
		next = min(next, ms)
	}
	for _, m := range g.order {
		if g.expires(m) {
			next = min(next, m.deadlineMS)
		}
	}
	return next
}

// expires reports whether the session of a member can end: not while it waits for others, unless nobody has ever answered it.
func (g *Classic) expires(m *member) bool {
	return m.isNew || m.join == 0 && m.sync == 0
}

// Tick does what is due.
func (g *Classic) Tick(nowMS int64) {
	if g.state == Preparing && nowMS >= g.joinMS {
		g.joinIsDue(nowMS)
	}
	if g.syncMS > 0 && nowMS >= g.syncMS {
		g.syncIsDue(nowMS)
	}
	gone := false
	for id, ms := range g.pending {
		if nowMS >= ms {
			delete(g.pending, id)
			gone = true
		}
	}
	if gone {
		g.left(nowMS)
	}
	for _, m := range append([]*member(nil), g.order...) {
		if g.expires(m) && nowMS >= m.deadlineMS && g.members[m.id] == m {
			g.remove(m)
			g.left(nowMS)
		}
	}
}
