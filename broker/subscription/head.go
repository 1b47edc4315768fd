package subscription

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/storage/state"
)

// Limits of a head.
const (
	WindowMax     = 4096      // records of a subscription that are ready to be handed over; more are asked for when half of them have gone
	BehindMax     = 262_144   // records that wait behind others of their key, or in lower lanes: so far a head looks ahead
	TrackedMax    = 4_000_000 // records known at once in a shard, about 140 bytes each
	GraceMS       = 5_000     // after a start, whoever had a record may still settle it for so long before another gets it
	CarryAfterMS  = 10_000    // a record that waits for longer gets a row, so that it holds nothing back
	BuryAgainMS   = 30_000    // whoever was asked to bury a record and did not is asked again
	FloorLag      = 4_096     // offsets by which a floor may have moved without a fact
	MembersMax    = 100_000   // of a subscription
	HandOverStep  = 4_096     // records handed over at once; Drain goes on
	TimersPerTick = 10_000    // of which one call takes care
	gatedStep     = 256       // records that are asked for when all that are known wait for a source that is behind
	sortedBackMax = 64        // places looked at for where a returned record stood
)

// Head is the state that decisions are made on: what is durable, what is on its way, and what is never written: members, leases, what
// records are next. One goroutine uses it. It is made again from State and rows after a start or a failed write; leases end with it.
type Head struct {
	*State
	Out    Output
	Format int // of the data directory: what facts may be recorded; see fact.Format1

	nowMS   int64
	frameMS int64 // of the open frame
	chance  uint64
	epoch   uint32
	started int64

	slab    slab
	wheel   wheel
	lies    map[slot]At
	desks   map[ID]*desk
	numbers []*desk // by entry.desk
	vacant  []int32
	readers map[record.StreamID][]ID // who reads a stream

	ends       []end // of frames that are not published, oldest first
	visible    map[Place]record.Offset
	openSeq    uint64
	grips      uint32 // handings-over so far
	published  uint64
	hungry     []*desk
	dirty      []*desk
	unfinished []*desk // with more to hand over
	starved    []*desk // that were shown nothing more because too much is known altogether
	trackedMax int
	must       bool              // something has to be recorded with this frame
	wide       map[Place][]*desk // those to whom every record goes
	wake       []*desk
	touched    []*desk
	attended   map[ClassID][]*desk // those of a class that have a desk
	refusing   map[ID]bool         // those that refuse appends when they are full
	interned   map[uint64][]RouteID
	scratch    scratch
}

type scratch struct {
	offsets []record.Offset
	runs    []Run
	rows    []Carried
	slots   []slot
	buf     []byte
}

// end is how far a partition goes when a frame is published, and whom that concerns.
type end struct {
	seq   uint64
	at    Place
	end   record.Offset
	sub   ID // that was started; else 0
	runs  []RouteRun
	ready []slot // entries that are to be handed over from then on
}

// Output collects what follows from what was done: Drain takes it.
type Output struct {
	Deliveries []Leased
	Burials    []Burial
	Gaps       []Gap
	Lost       []Leased // leases that ran out
}

// Leased is a record that a member now has.
type Leased struct {
	Handle
	Member  MemberID
	Lies    At // where its bytes are
	UntilMS int64
	Again   bool // was handed over before
	After   bool // its attempt is recorded with the frame that is open, or the next: a crash forgets it if it is given out before that is published
	Seq     uint64
}

// Burial asks for a record to be copied to dead letters and settled by Bury, in one frame. It is asked again after BuryAgainMS.
type Burial struct {
	Sub ID
	At
	Lies     At
	Reason   Reason
	Attempts int32
}

// Gap tells that records went before the subscription had them.
type Gap struct {
	Sub  ID
	At   Place
	From record.Offset // the first that was missing and what came after the last one, at most
	To   record.Offset
	Lost Amount
	More bool // and others, which nobody had counted
}

// Options of a head.
type Options struct {
	Epoch uint32 // greater with every start: handles from before are known by it
	NowMS int64
	Seq   uint64 // of the last published frame
}

// NewHead makes a head of published state and the rows of its carried records. It keeps s.
func NewHead(s *State, st state.Store, opt Options) (*Head, error) {
	h := &Head{
		State: s, Format: fact.Format3, trackedMax: TrackedMax, epoch: opt.Epoch, nowMS: opt.NowMS, published: opt.Seq, started: opt.NowMS, lies: map[slot]At{}, desks: map[ID]*desk{}, readers: map[record.StreamID][]ID{},
		visible: map[Place]record.Offset{}, interned: map[uint64][]RouteID{}, wide: map[Place][]*desk{}, refusing: map[ID]bool{}, attended: map[ClassID][]*desk{},
	}
	h.wheel.now = opt.NowMS
	for at, a := range s.Arrivals {
		h.visible[at] = a.End
	}
	for _, id := range sortedIDs(s.Subs) {
		h.noteReads(s.Subs[id])
		h.noteRefusing(s.Subs[id])
	}
	for _, r := range s.Routes {
		f := fingerprint(r.Classes)
		h.interned[f] = append(h.interned[f], r.ID)
	}
	for _, id := range sortedIDs(s.Subs) {
		if h.needsDesk(s.Subs[id]) {
			h.desk(s.Subs[id])
		}
	}
	if err := eachCarried(st, h.loadCarried); err != nil {
		return nil, fmt.Errorf("load carried records: %w", err)
	}
	for _, d := range h.numbers {
		h.settleDown(d)
	}
	return h, nil
}

var errNoSource = errors.New("no subscription reads this place")

func sortedIDs(m map[ID]*Sub) []ID {
	ids := make([]ID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// needsDesk reports whether records have to be looked at although nobody asks for them.
func (h *Head) needsDesk(x *Sub) bool {
	p := &x.Policy
	return p.Kind == Delivery && (p.Expires || p.TTLMS > 0 || p.LengthMax > 0 || p.BytesMax > 0)
}

func (h *Head) noteRefusing(x *Sub) {
	delete(h.refusing, x.ID)
	if x.Policy.Overflow == RejectAppend && h.needsDesk(x) {
		h.refusing[x.ID] = true
	}
}

func (h *Head) noteReads(x *Sub) {
	last := record.StreamID(0)
	for _, src := range x.Sources { // in the order of streams
		if src.Stream != last {
			last = src.Stream
			if i, there := slices.BinarySearch(h.readers[last], x.ID); !there {
				h.readers[last] = slices.Insert(h.readers[last], i, x.ID)
			}
		}
	}
}

// OpenFrame begins a frame at that time. seed is chance from outside: jitter is taken from it.
func (h *Head) OpenFrame(seq uint64, nowMS int64, seed uint64) {
	h.openSeq, h.chance, h.frameMS = seq, seed, nowMS
	h.Now(nowMS)
}

// Now tells the time, which does not run backwards.
func (h *Head) Now(ms int64) { h.nowMS = max(h.nowMS, ms) }

// Drain hands out what has collected, and goes on where there was too much for one step: it is called, each time followed by Drained, until
// what it answers is Empty. That is good until the next call of any method.
func (h *Head) Drain() *Output {
	for h.Out.Empty() && len(h.unfinished) > 0 {
		d := h.unfinished[0]
		h.unfinished = slices.Delete(h.unfinished, 0, 1)
		d.unfinished = false
		h.settleDown(d)
	}
	return &h.Out
}

// Empty reports whether nothing has collected.
func (o *Output) Empty() bool {
	return len(o.Deliveries)+len(o.Burials)+len(o.Gaps)+len(o.Lost) == 0
}

// Drained forgets what Drain handed out.
func (h *Head) Drained() {
	h.Out = Output{Deliveries: emptied(h.Out.Deliveries), Burials: emptied(h.Out.Burials), Gaps: emptied(h.Out.Gaps), Lost: emptied(h.Out.Lost)}
}

// emptiedMax is how many elements a slice that is used again may have room for: a peak is not kept.
const emptiedMax = 8192

func emptied[T any](s []T) []T {
	if cap(s) > emptiedMax {
		return nil
	}
	return s[:0]
}

// random is the next of a sequence that the frame's seed begins (splitmix64).
func (h *Head) random() uint64 {
	h.chance += 0x9e3779b97f4a7c15
	z := h.chance
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Put makes a subscription, or changes the policy of one. id 0 makes one. What a policy no longer allows ends with the next step, not at
// once: a member that is one too many keeps what it has. class says what it looks for; another one counts from now on, and records
// from before are shown to it as they matched then.
func (h *Head) Put(id ID, p Policy, class ClassID, f *fact.Frame) (ID, *fault.Error) {
	if err := p.Check(); err != nil {
		return 0, err
	}
	old := h.Subs[id]
	switch {
	case h.Format < fact.Format3:
		return 0, fault.New(fault.Unsupported, "subscribe", "", "the data directory has format %d and this needs %d; run `leat upgrade --finalize`", h.Format, fact.Format3)
	case id != 0 && old == nil:
		return 0, noSub("subscribe")
	case old != nil && (old.Policy.Kind != p.Kind || old.Policy.Volatile != p.Volatile || old.Policy.Order != p.Order || old.Policy.Priorities != p.Priorities):
		return 0, fault.New(fault.Conflict, "subscribe", "", "kind, order, priorities and durability of a subscription stay as they were made")
	case old == nil && len(h.Subs) >= SubscriptionsMax:
		return 0, fault.New(fault.QuotaSpent, "subscribe", "", "there are %d subscriptions; the limit is %d", len(h.Subs), SubscriptionsMax)
	}
	if id == 0 {
		id = h.Next
	}
	f.Add(fact.SubscriptionPut, 1, func(dst []byte) []byte {
		return p.append(binary.AppendUvarint(binary.AppendUvarint(dst, uint64(id)), uint64(class)))
	})
	if d := h.desks[id]; d != nil && d.sub.Class != class {
		h.attend(d, d.sub.Class, class)
	}
	x, _ := h.evolvePut(id, p, class, nil)
	h.noteRefusing(x)
	if h.needsDesk(x) || h.desks[id] != nil {
		h.settleDown(h.desk(x))
	}
	return id, nil
}

func noSub(op string) *fault.Error {
	return fault.New(fault.NotFound, op, "", "the subscription was deleted")
}

// Start is where a subscription begins with a partition.
type Start struct {
	Place
	All  bool          // every record; otherwise what routes say
	From record.Offset // the first it wants; at most End
	End  record.Offset // of the partition now, that is: of the head that decides
}

// Begin starts sources that a subscription does not have yet: all that it was made with, and later partitions and streams. From here on
// arrivals count; what lies between From and End is counted by whoever looks, and told by Counted.
func (h *Head) Begin(id ID, starts []Start, f *fact.Frame) *fault.Error {
	x := h.Subs[id]
	if x == nil {
		return noSub("subscribe")
	}
	if len(x.Sources)+len(starts) > SourcesMax {
		return fault.New(fault.QuotaSpent, "subscribe", "", "a subscription reads at most %d partitions", SourcesMax)
	}
	for _, s := range starts {
		if s.From < 0 || s.From > s.End {
			return fault.New(fault.Invalid, "subscribe", "from", "offset %d is outside partition %d, which ends at %d", s.From, s.Partition, s.End)
		}
		if x.source(s.Place) != nil {
			return fault.New(fault.Exists, "subscribe", "", "the subscription reads partition %d already", s.Partition)
		}
	}
	for _, s := range starts {
		h.start(x, s, f)
	}
	h.noteReads(x)
	if d := h.desks[id]; d != nil {
		h.sitDown(d)
		h.settleDown(d)
	}
	return nil
}

func (h *Head) start(x *Sub, s Start, f *fact.Frame) {
	v := started{sub: x.ID, at: s.Place, all: s.All, start: s.From, since: s.End}
	if a := h.Arrivals[s.Place]; a != nil {
		v.since = max(v.since, a.End)
	}
	v.known = s.From == v.since || x.Policy.Kind == Cursor
	if src := x.source(s.Place); src != nil {
		v.turn = src.Turn + 1
	}
	f.Add(fact.SourceStarted, 1, v.append)
	h.evolveStarted(&v, nil)
	if x.Policy.Kind == Delivery {
		h.ends = append(h.ends, end{seq: h.openSeq, at: s.Place, end: v.since, sub: x.ID})
	}
}

// Counted tells how many records there were between where a source began and where its arrivals began to count. Without it they are counted
// when the subscription has caught up.
func (h *Head) Counted(id ID, at Place, n Amount, f *fact.Frame) {
	x := h.Subs[id]
	if x == nil || x.source(at) == nil || x.source(at).Known {
		return
	}
	d := h.desks[id]
	if d != nil && d.source(at).counted {
		return
	}
	h.count(x.source(at), n, f)
	if d != nil {
		d.source(at).backlog.add(n)
		h.settleDown(d)
	}
}

func (h *Head) count(src *Source, n Amount, f *fact.Frame) {
	f.Add(fact.Counted, 1, func(dst []byte) []byte {
		return binary.AppendVarint(binary.AppendVarint(appendSubPlace(dst, src.Sub, src.Place), n.Count), n.Bytes)
	})
	src.evolveCounted(n)
}

// Delete ends a subscription. Members are gone, and with them what they have.
func (h *Head) Delete(id ID, f *fact.Frame) {
	x := h.Subs[id]
	if x == nil {
		return
	}
	f.Add(fact.SubscriptionDeleted, 1, func(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(id)) })
	if d := h.desks[id]; d != nil {
		h.clear(d)
		h.close(d)
	}
	for _, src := range x.Sources {
		ids := h.readers[src.Stream]
		if i, there := slices.BinarySearch(ids, id); there {
			h.readers[src.Stream] = slices.Delete(ids, i, i+1)
		}
		if len(h.readers[src.Stream]) == 0 {
			delete(h.readers, src.Stream)
		}
	}
	h.evolveDeleted(id)
	delete(h.refusing, id)
	for _, src := range x.Sources {
		if h.Arrivals[src.Place] == nil {
			delete(h.visible, src.Place)
		}
	}
}

// Commit moves a cursor, forwards or back. metadata is kept with it. A partition that it does not read yet it does from here on.
func (h *Head) Commit(id ID, at Place, to record.Offset, metadata []byte, f *fact.Frame) *fault.Error {
	x := h.Subs[id]
	if x == nil {
		return noSub("ack")
	}
	switch {
	case x.Policy.Kind != Cursor:
		return fault.New(fault.Invalid, "ack", "", "the subscription keeps what became of each record, not one position")
	case to < 0:
		return fault.New(fault.Invalid, "ack", "offset", "offset %d is less than 0", to).Because(fault.ReasonOffset)
	case len(metadata) > CursorMetadataMax:
		return fault.New(fault.TooLarge, "ack", "metadata", "%d bytes; the limit is %d", len(metadata), CursorMetadataMax)
	}
	src := x.source(at)
	if src == nil {
		if err := h.Begin(id, []Start{{Place: at, All: true, From: to, End: to}}, f); err != nil {
			return err
		}
		src = x.source(at)
	}
	f.Add(fact.CursorMoved, 1, func(dst []byte) []byte {
		return fact.AppendBytes(binary.AppendUvarint(appendSubPlace(dst, id, at), uint64(to)), metadata)
	})
	src.moveCursor(to, metadata, h.frameMS)
	return nil
}

func (src *Source) moveCursor(to record.Offset, metadata []byte, nowMS int64) {
	src.Floor, src.MovedMS = to, nowMS
	src.Metadata = nil
	if len(metadata) > 0 {
		src.Metadata = append([]byte(nil), metadata...)
	}
}

// Route returns the number of a set of classes, which is ascending, and records a new one. Whoever keeps what it answers may use it again as
// long as Routes has it.
func (h *Head) Route(classes []ClassID, f *fact.Frame) (RouteID, *fault.Error) {
	if len(classes) == 0 {
		return 0, nil
	}
	k := fingerprint(classes)
	for _, r := range h.interned[k] {
		if rt := h.Routes[r]; rt != nil && slices.Equal(rt.Classes, classes) {
			return r, nil
		}
	}
	if live := slices.DeleteFunc(slices.Clone(classes), func(c ClassID) bool { return h.Classes[c] == nil }); len(live) < len(classes) {
		return h.Route(live, f) // whoever looked them up has not heard yet that some are gone
	}
	if len(h.Routes) >= RoutesMax || h.members+len(classes) > RouteMembersMax {
		return 0, fault.New(fault.QuotaSpent, "append", "", "filters have made %d different sets; the limit is %d, of %d filters together", len(h.Routes), RoutesMax, RouteMembersMax)
	}
	r := &Route{ID: h.NextRoute, Classes: slices.Clone(classes)}
	f.Add(fact.RouteDefined, 1, r.append)
	h.evolveRoute(r)
	h.interned[k] = append(slices.DeleteFunc(h.interned[k], func(r RouteID) bool { return h.Routes[r] == nil }), r.ID)
	return r.ID, nil
}

// fingerprint is FNV-1a over the classes.
func fingerprint(classes []ClassID) uint64 {
	f := uint64(14695981039346656037)
	for _, id := range classes {
		f = (f ^ uint64(id)) * 1099511628211
	}
	return f
}

// attend moves a desk from one class to another; 0 is none.
func (h *Head) attend(d *desk, from, to ClassID) {
	if from != 0 {
		if k := slices.DeleteFunc(h.attended[from], func(x *desk) bool { return x == d }); len(k) > 0 {
			h.attended[from] = k
		} else {
			delete(h.attended, from)
		}
	}
	if to != 0 {
		h.attended[to] = append(h.attended[to], d)
	}
}
