package subscription

import (
	"errors"
	"fmt"
	"slices"

	"leat/broker/fact"
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
	CarryMost     = 32_768    // rows that wait to be written with a frame, of a source: with more one is written for them, so that none grows too large
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
	unstable   map[Place]uint64 // the first frame of which not all may be handed over yet, where there is one
	openSeq    uint64
	steps      steps  // of the open frame
	grips      uint32 // handings-over so far
	published  uint64
	hungry     []*desk
	dirty      []*desk
	unfinished []*desk // with more to hand over
	resting    []*desk // with rests to tell
	restsAsked uint64
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
	runs  []Run
	rows  []Carried
	slots []slot
}

// end is how far a partition goes when a frame is published, and whom that concerns.
type end struct {
	seq      uint64
	step     uint16
	at       Place
	end      record.Offset
	stable   record.Offset // up to here records may be handed over
	unstable uint64        // see Head; 0: none
	frees    bool          // what came before may be handed over from now on, whomever it reaches
	sub      ID            // that was started; else 0
	runs     []RouteRun
	all      bool   // instead of runs: there was no desk then, so it may concern any that is there by now
	ready    []slot // entries that are to be handed over from then on
}

// Options of a head.
type Options struct {
	Epoch uint32 // greater with every start: handles from before are known by it
	NowMS int64
	Seq   uint64 // of the last published frame
	// Stable says up to where records of a place may be handed over, and the first frame of which not all may; 0: all of it may. nil: everywhere.
	Stable func(Place) (record.Offset, uint64)
}

// NewHead makes a head of published state and the rows of its carried records. It keeps s.
func NewHead(s *State, st state.Store, opt Options) (*Head, error) {
	h := &Head{
		State: s, Format: fact.Format3, trackedMax: TrackedMax, epoch: opt.Epoch, nowMS: opt.NowMS, published: opt.Seq, started: opt.NowMS, lies: map[slot]At{}, desks: map[ID]*desk{}, readers: map[record.StreamID][]ID{},
		visible: map[Place]record.Offset{}, unstable: map[Place]uint64{}, interned: map[uint64][]RouteID{}, wide: map[Place][]*desk{}, refusing: map[ID]bool{}, attended: map[ClassID][]*desk{},
	}
	h.wheel.now = opt.NowMS
	for at, a := range s.Arrivals {
		h.visible[at] = a.End
		if opt.Stable == nil {
			continue
		}
		if stable, unstable := opt.Stable(at); unstable != 0 {
			h.visible[at], h.unstable[at] = min(a.End, stable), unstable
		}
	}
	for _, id := range sortedIDs(s.Subs) {
		h.noteReads(s.Subs[id])
		h.noteRefusing(s.Subs[id])
	}
	for _, r := range s.Routes {
		if len(r.Classes) == 1 {
			continue // its class knows it
		}
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
	p := x.Policy
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
	h.openSeq, h.chance, h.frameMS, h.steps = seq, seed, nowMS, steps{}
	h.Now(nowMS)
}

// Now tells the time, which does not run backwards.
func (h *Head) Now(ms int64) { h.nowMS = max(h.nowMS, ms) }

// random is the next of a sequence that the frame's seed begins (splitmix64).
func (h *Head) random() uint64 {
	h.chance += 0x9e3779b97f4a7c15
	z := h.chance
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
