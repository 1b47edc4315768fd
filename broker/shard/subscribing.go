package shard

import (
	"slices"

	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/subscription"
)

// Beginning is where a subscription is to begin with one partition.
type Beginning struct {
	subscription.Place
	From   record.Offset
	Latest bool // with the next record that is appended, wherever that will be
}

// PutSubscription makes a subscription with its catalog entry, or changes one. Document makes the entry's document, given the sequence of the
// frame, since address filters hold from there on, and the class.
type PutSubscription struct {
	Name     catalog.Name
	Revision uint64 // catalog.NoRevision makes one
	Policy   subscription.Policy
	Routed   bool // its records reach it by their address, not all of them
	// Class is that of a subscription with the same address filters as of ResolvedAt, 0 when there is none: then it gets a new one. Own: it is the
	// subscription's and nobody else's, and what it looks for changes.
	Class      subscription.ClassID
	Own        bool
	ResolvedAt uint64
	End        []subscription.Place // are read no more
	Begin      []Beginning          // places that it reads already are left out
	Document   func(seq uint64, class subscription.ClassID) []byte

	Entry *catalog.Entry // result
	Begun []subscription.Start
}

func (x *PutSubscription) kind() string { return "put-subscription" }

func (x *PutSubscription) decide(c *Core, r *Request) {
	if r.Fault = c.head.Needs(fact.Format3, "subscribe"); r.Fault != nil {
		return
	}
	id := subscription.ID(0)
	if e := c.catalog.Entries[x.Name]; e != nil {
		id = subscription.ID(e.ID)
	}
	was := c.subs.Subs[id]
	if x.Routed {
		if r.Fault = c.settleClass(x, was); r.Fault != nil {
			return
		}
	}
	doc := x.Document(c.open.Seq, x.Class)
	if r.Fault = c.catalog.Check(x.Name, doc, x.Revision); r.Fault != nil {
		return
	}
	left := was != nil && was.Class != x.Class
	starts, err := c.starts(c.subs.Subs[id], x.Begin, x.Routed)
	if err != nil {
		r.Fault = err
		return
	}
	if id, r.Fault = c.subs.Put(id, x.Policy, x.Class, &c.open.Frame); r.Fault != nil {
		return
	}
	if r.Fault = c.subs.Begin(id, starts, &c.open.Frame); r.Fault != nil {
		return // starts has seen to it that this does not happen
	}
	c.subs.End(id, x.End, &c.open.Frame)
	x.Begun = starts
	if x.Routed && x.Own {
		c.reshape(x.Class)
	}
	if x.Routed && left {
		for _, src := range c.subs.Subs[id].Sources {
			c.filtered[src.Stream] = c.open.Seq
		}
	}
	x.Entry, r.Fault = c.catalog.Put(x.Name, uint32(id), doc, x.Revision, &c.open.Frame)
}

// settleClass sees to it that what the broker looked up of classes still holds.
//
//	b is put, its filters are those of class 7 ── a, alone in 7, is changed ── b is decided: class 7 looks for something else now
func (c *Core) settleClass(x *PutSubscription, was *subscription.Sub) *fault.Error {
	k, mine := c.subs.Classes[x.Class], was != nil && was.Class == x.Class
	switch {
	case x.Own && (k == nil || !mine || len(k.Members) != 1):
		return fault.New(fault.Conflict, "subscribe", x.Name.Name, "somebody else has the same filters since just now; try again").Because(fault.ReasonRevision)
	case x.Own || mine:
	case k == nil || x.ResolvedAt < c.reshapedAll || x.ResolvedAt < c.reshaped[x.Class]:
		c.classes++
		x.Class = c.classes
	}
	return nil
}

const reshapedMax = 4096 // classes of which it is known since which frame they look for something else

// reshape notes that a class looks for something else from the open frame on.
func (c *Core) reshape(class subscription.ClassID) {
	if len(c.reshaped) >= reshapedMax {
		clear(c.reshaped)
		c.reshapedAll = c.open.Seq
	}
	c.reshaped[class] = c.open.Seq
}

// starts turns beginnings into starts, which Begin takes for certain.
func (c *Core) starts(x *subscription.Sub, begin []Beginning, routed bool) ([]subscription.Start, *fault.Error) {
	there := map[subscription.Place]bool{}
	if x != nil {
		for _, src := range x.Sources {
			there[src.Place] = true
		}
	}
	var starts []subscription.Start
	for _, b := range begin {
		if there[b.Place] {
			continue
		}
		there[b.Place] = true
		p := c.head.Partition(b.Stream, b.Partition)
		if p == nil {
			return nil, fault.New(fault.NotFound, "subscribe", "streams", "a stream was deleted or changed meanwhile; try again")
		}
		s := subscription.Start{Place: b.Place, All: !routed, From: min(max(b.From, p.Start), p.Next), End: p.Next}
		if s.Stable, s.Unstable = stableAt(p); b.Latest {
			s.From = s.End
		}
		starts = append(starts, s)
	}
	if len(there) > subscription.SourcesMax {
		return nil, fault.New(fault.QuotaSpent, "subscribe", "streams", "a subscription reads at most %d partitions", subscription.SourcesMax)
	}
	return starts, nil
}

// DeleteSubscription ends a subscription. What its members have is theirs no longer.
type DeleteSubscription struct {
	Name     catalog.Name
	Revision uint64
}

func (x *DeleteSubscription) kind() string { return "delete-subscription" }

func (x *DeleteSubscription) decide(c *Core, r *Request) {
	e := c.catalog.Entries[x.Name]
	if r.Fault = c.catalog.Delete(x.Name, x.Revision, &c.open.Frame); r.Fault == nil {
		c.subs.Delete(subscription.ID(e.ID), &c.open.Frame)
	}
}

// Attach brings a member in.
type Attach struct {
	Sub    subscription.ID
	Member subscription.Member
}

func (x *Attach) kind() string               { return "attach" }
func (x *Attach) decide(c *Core, r *Request) { r.Fault = c.subs.Attach(x.Sub, x.Member) }

// Detach takes a member out, and gives back what it has. Counts: those attempts count. Keeps: nothing is given back, its leases go on.
type Detach struct {
	Sub    subscription.ID
	Member subscription.MemberID
	Counts bool
	Keeps  bool
}

func (x *Detach) kind() string { return "detach" }

func (x *Detach) decide(c *Core, _ *Request) {
	if x.Keeps {
		c.subs.Depart(x.Sub, x.Member)
		return
	}
	c.subs.Detach(x.Sub, x.Member, x.Counts)
}

// Grant gives a member more credit, or takes some away where N is less than 0.
type Grant struct {
	Sub    subscription.ID
	Member subscription.MemberID
	N      int64
	Tell   bool // by Follow.Rests when nothing is left to be handed over

	Credit int64 // result
	Rest   uint64
}

func (x *Grant) kind() string { return "grant" }

func (x *Grant) decide(c *Core, _ *Request) {
	if x.N >= 0 {
		x.Credit = c.subs.Grant(x.Sub, x.Member, x.N)
		if x.Tell {
			x.Rest = c.subs.AskRest(x.Sub, x.Member)
		}
		return
	}
	left := max(c.subs.Grant(x.Sub, x.Member, 0)+x.N, 0)
	c.subs.Grant(x.Sub, x.Member, -1)
	x.Credit = c.subs.Grant(x.Sub, x.Member, left)
}

// SettleVerb is what is to become of records that members have.
type SettleVerb uint8

const (
	SettleAck SettleVerb = iota
	SettleRelease
	SettleReject
	SettleRenew
	SettlePostpone // until AfterMS from now
)

// Settle says what becomes of records; each is answered for.
type Settle struct {
	Verb    SettleVerb
	Handles []subscription.Handle
	AfterMS int64               // of a release: not before; subscription.ByPolicy: the policy's backoff. Of a renewal: so long from now
	Counts  bool                // a release counts as an attempt
	Why     subscription.Reason // of an ack that is none: the record cannot be had. 0: Acked

	Outcomes []subscription.Outcome // result
}

func (x *Settle) kind() string { return "settle" }

func (x *Settle) decide(c *Core, _ *Request) {
	c.settled += settledBytes * int64(len(x.Handles))
	switch x.Verb {
	case SettleAck:
		why := x.Why
		if why == 0 {
			why = subscription.Acked
		}
		x.Outcomes = c.subs.Settle(x.Outcomes, x.Handles, why)
	case SettleRelease:
		x.Outcomes = c.subs.Release(x.Outcomes, x.Handles, x.AfterMS, x.Counts)
	case SettleReject:
		x.Outcomes = c.subs.Reject(x.Outcomes, x.Handles)
	case SettleRenew:
		x.Outcomes = c.subs.Renew(x.Outcomes, x.Handles, x.AfterMS)
	case SettlePostpone:
		x.Outcomes = c.subs.Postpone(x.Outcomes, x.Handles, x.AfterMS)
	}
}

// Rewind has a subscription begin again elsewhere.
type Rewind struct {
	Sub   subscription.ID
	Begin []Beginning
	// Untaken has it refused while members have something, which would be theirs no longer.
	Untaken bool

	Begun []subscription.Start // result
}

func (x *Rewind) kind() string { return "rewind" }

func (x *Rewind) decide(c *Core, r *Request) {
	if x.Untaken && c.subs.Taken(x.Sub) > 0 {
		r.Fault = fault.New(fault.Conflict, "rewind", "", "members have something of the subscription")
		return
	}
	starts, err := c.starts(nil, x.Begin, true)
	if err != nil {
		r.Fault = err
		return
	}
	if r.Fault = c.subs.Rewind(x.Sub, starts, &c.open.Frame); r.Fault == nil {
		x.Begun = starts
	}
}

// Commit moves positions of a cursor, all or none.
type Commit struct {
	Sub   subscription.ID
	Moves []subscription.Move
}

func (x *Commit) kind() string { return "commit" }

func (x *Commit) decide(c *Core, r *Request) {
	for i := range x.Moves {
		if c.head.Partition(x.Moves[i].Stream, x.Moves[i].Partition) == nil {
			r.Fault = fault.New(fault.NotFound, "commit", "", "a stream was deleted or has no partition %d", x.Moves[i].Partition).Because(fault.ReasonPartition)
			return
		}
	}
	r.Fault = c.subs.Commit(x.Sub, x.Moves, &c.open.Frame)
}

// ForgetPositions has a cursor read partitions no more.
type ForgetPositions struct {
	Sub    subscription.ID
	Places []subscription.Place
}

func (x *ForgetPositions) kind() string { return "forget-positions" }

func (x *ForgetPositions) decide(c *Core, r *Request) {
	switch sub := c.subs.Subs[x.Sub]; {
	case sub == nil:
		r.Fault = fault.New(fault.NotFound, "forget", "", "the subscription was deleted")
	case sub.Policy.Kind != subscription.Cursor:
		r.Fault = fault.New(fault.Invalid, "forget", "", "the subscription keeps what became of each record, not positions")
	default:
		c.subs.End(x.Sub, x.Places, &c.open.Frame)
	}
}

// Positions are those of a cursor, as published, in the order of their places. They share their metadata, which is never changed.
func (p *Published) Positions(id subscription.ID) []subscription.Position {
	p.subsMu.RLock()
	defer p.subsMu.RUnlock()
	return p.subs.Positions(id)
}

// Revive brings settled records back.
type Revive struct {
	Sub      subscription.ID
	At       subscription.Place
	Revivals []subscription.Revival

	Revived int // result
}

func (x *Revive) kind() string { return "revive" }

func (x *Revive) decide(c *Core, r *Request) {
	x.Revived, r.Fault = c.subs.Revive(x.Sub, x.At, x.Revivals, &c.open.Frame)
}

// Cancelled is a record that is to be cancelled. Stream 0: none that the subscription could have.
type Cancelled struct {
	At    subscription.At
	Size  int32
	There bool // it was seen, and it matches
}

// Cancel settles records that nobody has.
type Cancel struct {
	Sub     subscription.ID
	Records []Cancelled

	Outcomes []subscription.Outcome // result
}

func (x *Cancel) kind() string { return "cancel" }

func (x *Cancel) decide(c *Core, _ *Request) {
	c.settled += settledBytes * int64(len(x.Records))
	x.Outcomes = x.Outcomes[:0]
	for i := range x.Records {
		v := &x.Records[i]
		x.Outcomes = append(x.Outcomes, c.subs.Cancel(x.Sub, v.At, v.Size, v.There))
	}
}

// Bury copies a record to where dead letters go, and settles it, in one frame. Without entries it is settled only.
type Bury struct {
	Append
	Burial subscription.Burial

	Buried bool // result: there was something to settle
}

func (x *Bury) kind() string { return "bury" }

func (x *Bury) decide(c *Core, r *Request) {
	switch how, ok := c.subs.Explain(x.Burial.Sub, x.Burial.At); {
	case !ok, how.State != "dying":
		return
	}
	if len(x.Entries) > 0 {
		if x.Append.decide(c, r); r.Fault != nil || x.Stale != 0 || !x.recorded() {
			return
		}
	}
	x.Buried = c.subs.Bury(x.Burial.Sub, x.Burial.At, x.Burial.Reason)
}

// Straggle asks which records of a subscription wait before an offset; see subscription.Head.
type Straggle struct {
	Sub    subscription.ID
	At     subscription.Place
	Before record.Offset

	Offsets []record.Offset // result
	Known   bool
}

func (x *Straggle) kind() string { return "straggle" }

func (x *Straggle) decide(c *Core, _ *Request) {
	x.Offsets, x.Known = c.subs.Straggle(x.Offsets[:0], x.Sub, x.At, x.Before)
}

// SetAside appends copies of records that wait, one entry for each of Offsets, and has the subscription read them there, in one frame.
type SetAside struct {
	Append
	Sub     subscription.ID
	At      subscription.Place
	Offsets []record.Offset

	Aside int // result: how many still waited
}

func (x *SetAside) kind() string { return "set-aside" }

func (x *SetAside) decide(c *Core, r *Request) {
	if x.Append.decide(c, r); r.Fault != nil || x.Stale != 0 || !x.recorded() {
		return
	}
	as := make([]subscription.Aside, len(x.Offsets))
	for i, o := range x.Offsets {
		e := &x.Entries[i]
		as[i] = subscription.Aside{Offset: o, Lies: subscription.At{Place: subscription.Place{Stream: e.Stream, Partition: e.Partition}, Offset: x.Outcomes[i].Base}}
	}
	x.Aside = c.subs.SetAside(x.Sub, x.At, as)
}

// HoldersOf says which subscriptions need records of a partition that lie before an offset, and from where on.
func (p *Published) HoldersOf(at subscription.Place, before record.Offset) ([]subscription.Holder, error) {
	p.subsMu.RLock()
	defer p.subsMu.RUnlock()
	return p.subs.HoldersOf(p.store, at, before)
}

// Count tells how many records there were between where a source began and where its arrivals began to count. Since is compared: it has
// not begun elsewhere meanwhile.
type Count struct {
	Sub    subscription.ID
	Start  subscription.Start
	Amount subscription.Amount
}

func (x *Count) kind() string { return "count" }

func (x *Count) decide(c *Core, _ *Request) {
	sub := c.subs.Subs[x.Sub]
	if sub == nil {
		return
	}
	for _, src := range sub.Sources {
		if src.Place == x.Start.Place && src.Start == x.Start.From && !src.Known {
			c.subs.Counted(x.Sub, src.Place, x.Amount, &c.open.Frame)
		}
	}
}

// SourceDepth is how a subscription stands with a partition.
type SourceDepth struct {
	subscription.Place
	Floor  record.Offset
	Oldest record.Offset // the oldest unsettled record; -1: there is none, or it has a row
	Since  int64         // when that was appended, ms; 0: nobody has looked
}

// Examine asks how a subscription stands.
type Examine struct {
	Sub subscription.ID

	Depth   subscription.Depth // result
	Sources []SourceDepth
}

func (x *Examine) kind() string { return "examine" }

func (x *Examine) decide(c *Core, r *Request) {
	var ok bool
	if x.Depth, ok = c.subs.Depth(x.Sub); !ok {
		r.Fault = fault.New(fault.NotFound, "describe", "", "the subscription was deleted")
		return
	}
	for _, src := range c.subs.Subs[x.Sub].Sources {
		x.Sources = append(x.Sources, SourceDepth{Place: src.Place, Floor: src.Floor, Oldest: -1})
	}
	c.subs.Oldest(x.Sub, func(at subscription.At, appendedMS int64) {
		for i := range x.Sources {
			if s := &x.Sources[i]; s.Place == at.Place {
				s.Oldest, s.Since = at.Offset, appendedMS
			}
		}
	})
}

// Explain asks how one record stands with a subscription.
type Explain struct {
	Sub subscription.ID
	At  subscription.At

	Condition subscription.Condition // result
	Read      bool                   // the subscription reads that partition
}

func (x *Explain) kind() string { return "explain" }

func (x *Explain) decide(c *Core, _ *Request) {
	x.Condition, x.Read = c.subs.Explain(x.Sub, x.At)
}

// Needed says for every partition that durable subscriptions need records of from where on.
func (p *Published) Needed() (map[subscription.Place]record.Offset, error) {
	p.subsMu.RLock()
	defer p.subsMu.RUnlock()
	if len(p.subs.Subs) == 0 {
		return nil, nil
	}
	needed, err := p.subs.Needed(p.store, func(at subscription.Place) record.Offset {
		part := p.Part(at.Stream, at.Partition)
		if part == nil {
			return 0
		}
		_, end := part.Ends()
		return end
	})
	if err != nil {
		return nil, err
	}
	copies, err := subscription.NeededCopies(p.store)
	for at, o := range copies {
		if was, there := needed[at]; !there || o < was {
			needed[at] = o
		}
	}
	return needed, err
}

// Members are the subscriptions of a class.
func (p *Published) Members(class subscription.ClassID) []subscription.ID {
	p.subsMu.RLock()
	defer p.subsMu.RUnlock()
	if k := p.subs.Classes[class]; k != nil {
		return slices.Clone(k.Members)
	}
	return nil
}

// Ways tells by which routes records of a partition reach a subscription; see subscription.State.
func (p *Published) Ways(id subscription.ID, at subscription.Place) (subscription.Ways, bool) {
	p.subsMu.RLock()
	defer p.subsMu.RUnlock()
	return p.subs.Ways(id, at)
}

// EachHit calls fn for published records that took one of some routes; see subscription.EachHit.
func (p *Published) EachHit(at subscription.Place, w *subscription.Ways, from, to record.Offset, fn func(*subscription.Hit) bool) (record.Offset, error) {
	return subscription.EachHit(p.store, at, w, from, to, fn)
}
