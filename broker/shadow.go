package broker

import (
	"slices"
	"sync"
	"sync/atomic"

	"leat/broker/fault"
	"leat/broker/subscription"
)

// A shadow gets what another subscription hands over, and nothing of what it does with that counts: so new code is tried on live traffic.
//
//	real subscription ── hands over ──▶ its member            ack, release, reject: settle, retry, bury
//	        └─────────── the same, once durable ──▶ shadow's backlog ──▶ the shadow's member    ack, release, reject: make room, and no more
//
// So the same deliveries are just that: what passes the same filters, in the same order, with the same ids and attempt numbers, again when the real
// one hands over again, whatever the reason: a retry, a rewind, a replay of dead letters. What the real one does not hand over, since it is suspended or nobody
// receives, no shadow gets. A shadow is bound to a name: it follows whatever subscription has that name, and waits where none has.
//
// What waits are names of records, not bytes, and volatile. Whoever is so slow that there are too many loses the oldest, which are counted as gaps. A shadow keeps no record:
// what retention takes before it was read is a gap, too.

// Limits of shadows.
const (
	ShadowsMax           = 256     // of a node
	ShadowWaitingDefault = 10_000  // deliveries that wait for a shadow's members, unless LengthMax says otherwise; about 150 bytes each
	ShadowWaitingLimit   = 100_000 // the most that LengthMax can say
	ShadowUnackedMax     = 10_000  // that members have and have said nothing of, within their leases
)

// shadows are those of a node.
type shadows struct {
	some     atomic.Int64 // how many: whoever hands over looks no further when there are none
	mu       sync.RWMutex
	byKey    map[subKey]*shadow
	byTarget map[nameKey][]*shadow
}

// shadow is one, in memory.
type shadow struct {
	b *Broker

	mu      sync.Mutex
	x       *subscribed // as it is set now
	waiting []shaded    // from first on
	first   int
	held    map[uint32]*shaded // by grip
	seats   []*seat            // by rank
	next    int
	grips   uint32
	epoch   uint32 // of this start: handles from before are of nothing that is held

	acked, rejected, lost int64
}

// shaded is a delivery for a shadow. The turn of its handle, which a shadow has no use for, is the number of the real subscription.
type shaded struct {
	subscription.Leased
	cameMS int64 // when it was handed over there
	seat   *seat // of one that is held
}

// seat is what a shadow knows of a member.
type seat struct {
	s        *shadow
	m        *Member
	rank     MemberRank
	credit   int64 // subscription.Endless: bounded by prefetch alone
	prefetch int
	has      int
	leaseMS  int64
}

func (s *seat) able() bool { return s.credit != 0 && (s.prefetch == 0 || s.has < s.prefetch) }

// checkShadow refuses what a shadow cannot have of its own.
func (b *Broker) checkShadow(c *Caller, d *subscriptionDocument, old *subscribed) error {
	switch {
	case old != nil && old.doc.ShadowOf != d.ShadowOf:
		return fault.New(fault.Conflict, "subscribe", "shadow_of", "what a subscription is a shadow of stays as it was made")
	case d.ShadowOf == "":
		return nil
	case old == nil && b.subs.shadows.some.Load() >= ShadowsMax:
		return fault.New(fault.QuotaSpent, "subscribe", "shadow_of", "there are %d shadows; that is the limit", ShadowsMax)
	}
	d.Policy.Kind, d.Policy.Volatile = SubscriptionDelivery, true
	if d.Policy.LengthMax == 0 {
		d.Policy.LengthMax = ShadowWaitingDefault
	}
	p := d.Policy
	want := Policy{Kind: p.Kind, Volatile: true, Members: p.Members, Suspended: p.Suspended, LeaseMS: p.LeaseMS, LengthMax: p.LengthMax}
	for _, v := range []*Policy{&p, &want} {
		if err := v.Check(); err != nil {
			return err
		}
	}
	if p.LengthMax > ShadowWaitingLimit {
		return fault.New(fault.Invalid, "subscribe", "max_length", "%d events wait for a shadow at most", ShadowWaitingLimit)
	}
	if p != want || len(d.Streams)+len(d.Address)+len(d.Policies) > 0 || d.Routed || d.Where != "" || d.Selector != "" || d.Marks || d.DeadLetters != "" || d.Undertaker != "" || d.DropExpired {
		return fault.New(fault.Invalid, "subscribe", "shadow_of", "a shadow has streams, filters, order and retries of the subscription it shadows; of its own are members, lease, max_length, suspended and push")
	}
	if old != nil {
		return nil // whatever has become of the other
	}
	x, err := b.findSubscription(c, "subscribe", ActionRead, d.ShadowOf)
	switch {
	case err != nil:
		return err
	case x.doc.Policy.Kind != SubscriptionDelivery:
		return fault.New(fault.Invalid, "subscribe", "shadow_of", "%q keeps positions and hands nothing over", d.ShadowOf)
	case x.doc.ShadowOf != "":
		return fault.New(fault.Invalid, "subscribe", "shadow_of", "%q is a shadow itself; make one of %q", d.ShadowOf, x.doc.ShadowOf)
	}
	return nil
}

// take notes a shadow, or what has changed of it.
func (s *shadows) take(b *Broker, k subKey, x *subscribed) {
	if x.doc.ShadowOf == "" {
		return
	}
	s.mu.Lock()
	w := s.byKey[k]
	if w == nil {
		w = &shadow{b: b, x: x, held: map[uint32]*shaded{}, epoch: uint32(b.nowMS())}
		if s.byKey == nil {
			s.byKey, s.byTarget = map[subKey]*shadow{}, map[nameKey][]*shadow{}
		}
		s.byKey[k] = w
		t := nameKey{x.namespace, x.doc.ShadowOf}
		s.byTarget[t] = append(slices.Clip(s.byTarget[t]), w) // who reads has the old one
		s.some.Store(int64(len(s.byKey)))
	}
	s.mu.Unlock()
	w.mu.Lock()
	w.x = x
	w.shrink()
	w.handOver()
	w.mu.Unlock()
}

// drop forgets a shadow that was deleted.
func (s *shadows) drop(k subKey) {
	if s.some.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.byKey[k]
	if w == nil {
		return
	}
	delete(s.byKey, k)
	t := nameKey{w.x.namespace, w.x.doc.ShadowOf} // neither ever changes
	left := slices.DeleteFunc(slices.Clone(s.byTarget[t]), func(v *shadow) bool { return v == w })
	if s.byTarget[t] = left; len(left) == 0 {
		delete(s.byTarget, t)
	}
	s.some.Store(int64(len(s.byKey)))
}

func (s *shadows) of(k subKey) *shadow {
	if s.some.Load() == 0 {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byKey[k]
}

// shade hands what a member was just handed to the shadows of its subscription.
func (b *Broker) shade(sh int, l *subscription.Leased, nowMS int64) {
	x := b.subs.of(sh, l.Sub)
	if x == nil {
		return
	}
	b.subs.shadows.mu.RLock()
	ws := b.subs.shadows.byTarget[nameKey{x.namespace, x.name}]
	b.subs.shadows.mu.RUnlock()
	for _, w := range ws {
		w.offer(l, nowMS)
	}
}

func (s *shadow) offer(l *subscription.Leased, nowMS int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := shaded{Leased: *l, cameMS: nowMS}
	v.Sub, v.Turn = s.x.id, uint32(l.Sub)
	s.waiting = append(s.waiting, v)
	s.handOver()
	s.shrink()
}

// shrink drops the oldest of what is too much. mu is held.
func (s *shadow) shrink() {
	if over := len(s.waiting) - s.first - int(s.x.doc.Policy.LengthMax); over > 0 {
		s.first += over
		s.lost += int64(over)
	}
	s.compact()
}

// compact gives back the room before the first that waits, once that is half of all. mu is held.
func (s *shadow) compact() {
	switch n := len(s.waiting) - s.first; {
	case n == 0:
		s.waiting, s.first = s.waiting[:0], 0
		if cap(s.waiting) > ShadowWaitingDefault {
			s.waiting = nil // a peak is not kept
		}
	case s.first > n:
		s.waiting = s.waiting[:copy(s.waiting, s.waiting[s.first:])]
		s.first = 0
	}
}

// handOver gives members what waits, as far as they can take it. mu is held.
func (s *shadow) handOver() {
	if s.x.doc.Policy.Suspended {
		return
	}
	now := s.b.nowMS()
	for s.first < len(s.waiting) {
		if len(s.held) >= ShadowUnackedMax {
			if s.lapse(now); len(s.held) >= ShadowUnackedMax {
				return
			}
		}
		t := s.pick()
		if t == nil && s.lapse(now) {
			t = s.pick()
		}
		if t == nil {
			return
		}
		v := s.waiting[s.first]
		s.first++
		s.grips++
		lease := t.leaseMS
		if lease == 0 {
			lease = s.x.doc.Policy.LeaseMS
		}
		v.seat, v.UntilMS = t, now+lease
		v.Grip, v.Epoch = s.grips, s.epoch
		s.held[v.Grip] = &v
		if t.has++; t.credit != subscription.Endless {
			t.credit--
		}
		t.m.push(&v.Leased)
	}
}

// pick is whose turn it is, nil when nobody can take one. mu is held.
func (s *shadow) pick() *seat {
	if s.x.doc.Policy.Members != MembersShared {
		if len(s.seats) > 0 && s.seats[0].able() {
			return s.seats[0]
		}
		return nil
	}
	var best *seat
	at := 0
	for i := range s.seats {
		k := (s.next + i) % len(s.seats)
		if t := s.seats[k]; t.able() && (best == nil || t.rank > best.rank) {
			best, at = t, k
		}
	}
	if best != nil {
		s.next = at + 1
	}
	return best
}

// lapse lets go of what members have had for longer than their leases, and reports whether that was anything. mu is held.
func (s *shadow) lapse(nowMS int64) bool {
	some := false
	for g, v := range s.held {
		if v.UntilMS <= nowMS {
			s.letGo(g, v)
			some = true
		}
	}
	return some
}

func (s *shadow) letGo(grip uint32, v *shaded) {
	delete(s.held, grip)
	v.seat.has--
}

// attach brings a member in.
func (s *shadow) attach(m *Member, o *MemberOptions, credit int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.seats) > 0 && s.x.doc.Policy.Members == MembersExclusive:
		return fault.New(fault.Conflict, "receive", s.x.name, "the subscription is exclusive and somebody receives from it")
	case len(s.seats) >= subscription.MembersMax:
		return fault.New(fault.QuotaSpent, "receive", s.x.name, "%d receive from the subscription; that is the limit", subscription.MembersMax)
	}
	m.seat = &seat{s: s, m: m, rank: o.Rank, credit: credit, prefetch: o.Prefetch, leaseMS: min(o.Lease.Milliseconds(), subscription.LeaseMaxMS)}
	s.seats = append(s.seats, m.seat)
	s.handOver()
	s.compact()
	return nil
}

// attachShadow brings in a member of a shadow. Whoever deletes the shadow finds it among the members, or is found to have deleted it.
func (b *Broker) attachShadow(s *shadow, k memberKey, m *Member, o *MemberOptions, credit int64) error {
	if err := s.attach(m, o, credit); err != nil {
		return err
	}
	b.subs.members.Store(k, m)
	if b.subs.of(m.x.shard, m.x.id) == nil {
		b.subs.members.Delete(k)
		m.seat.leave()
		return fault.New(fault.NotFound, "receive", m.x.name, "the subscription was deleted")
	}
	return nil
}

// leave takes a member out. What it has is its own: nothing is handed to another.
func (t *seat) leave() {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.seats, t); i >= 0 {
		s.seats = slices.Delete(s.seats, i, i+1)
	}
	t.credit = 0
	s.handOver() // a single active one may be another now
	s.compact()
}

func (t *seat) grant(n int64) {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case n < 0:
		t.credit = 0
	case t.credit != subscription.Endless:
		t.credit += n
	}
	s.handOver()
	s.compact()
}

// rest says that all that is there was handed over, for it is as soon as it comes.
func (t *seat) rest() (number uint64) {
	t.s.mu.Lock()
	spare := t.credit != 0
	t.s.mu.Unlock()
	m := t.m
	m.mu.Lock()
	defer m.mu.Unlock()
	number = m.rested + 1
	if m.rested = number; spare {
		m.spare = number
	}
	m.tellRested()
	return number
}

// settle makes room, and that is all that settling is here. Only what was given back and was no attempt, since nobody has seen it, waits
// again, before all others.
func (s *shadow) settle(v *subscription.Handle, what shadowVerb, untilMS int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[v.Grip]
	if h == nil || v.Epoch != s.epoch {
		return
	}
	if what == shadowRenew {
		h.UntilMS = untilMS
		return
	}
	s.letGo(v.Grip, h)
	switch what {
	case shadowAck:
		s.acked++
	case shadowReject:
		s.rejected++
	case shadowGone:
		s.lost++
	case shadowBack:
		back := *h
		back.seat = nil
		if s.first > 0 {
			s.first--
			s.waiting[s.first] = back
		} else {
			s.waiting = slices.Insert(s.waiting, 0, back)
		}
		s.shrink()
	}
	s.handOver()
	s.compact()
}

type shadowVerb uint8

const (
	shadowAck shadowVerb = iota
	shadowRelease
	shadowReject
	shadowRenew
	shadowBack // nobody has seen it
	shadowGone // the record is not there any more
)

// purge drops what waits.
func (s *shadow) purge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = len(s.waiting)
	s.compact()
}

// describe says how a shadow stands.
func (s *shadow) describe(info *SubscriptionInfo) (oldestMS int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse(s.b.nowMS())
	waiting := s.waiting[s.first:]
	info.Exact, info.Leased, info.Members = true, len(s.held), len(s.seats)
	info.Waiting = int64(len(waiting) + len(s.held))
	for i := range waiting {
		info.WaitingBytes += int64(waiting[i].Size)
	}
	for _, v := range s.held {
		info.WaitingBytes += int64(v.Size)
		if oldestMS == 0 || v.cameMS < oldestMS {
			oldestMS = v.cameMS
		}
	}
	if len(waiting) > 0 && (oldestMS == 0 || waiting[0].cameMS < oldestMS) {
		oldestMS = waiting[0].cameMS
	}
	info.Acked, info.Dead, info.Gaps = s.acked, s.rejected, s.lost
	return oldestMS
}

// realID is whose a delivery to a shadow is really: both have the same id.
func (m *Member) realID(l *subscription.Leased) subscription.ID {
	if m.seat == nil {
		return l.Sub
	}
	return subscription.ID(l.Turn)
}

// settleShadows does with handles of shadows what is to be done and answers the others, with where in hs they were; all says that hs has no
// handle of a shadow.
func (b *Broker) settleShadows(hs []Handle, what shadowVerb, untilMS int64) (others []Handle, places []int, all bool) {
	if b.subs.shadows.some.Load() == 0 {
		return hs, nil, true
	}
	for i := range hs {
		if s := b.subs.shadows.of(subKey{hs[i].shard, hs[i].h.Sub}); s != nil {
			s.settle(&hs[i].h, what, untilMS)
			continue
		}
		others, places = append(others, hs[i]), append(places, i)
	}
	return others, places, len(others) == len(hs)
}

// settleAside settles what is of shadows, and the others with do.
func (b *Broker) settleAside(hs []Handle, what shadowVerb, untilMS int64, do func([]Handle) ([]Outcome, error)) ([]Outcome, error) {
	others, places, all := b.settleShadows(hs, what, untilMS)
	if all {
		return do(hs)
	}
	out := make([]Outcome, len(hs))
	for i := range out {
		out[i] = OutcomeDone
	}
	some, err := do(others)
	if err != nil {
		return nil, err
	}
	for i, o := range some {
		out[places[i]] = o
	}
	return out, nil
}
