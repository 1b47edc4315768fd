package stream

import (
	"fmt"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// Append is a resolved command: everything it needs was read before, at a known sequence of published state, so deciding only compares.
type Append struct {
	Origin  Origin
	Atomic  bool    // all entries or none
	Entries []Entry // judged in order, each on what the ones before it left
	Slots   []Slot
	If      []Check
	Unless  []Unless

	// Transactor is who appends with a transaction; the zero name: nobody. Implicit: appending to a partition makes it one of the transaction's.
	Transactor TransactorName
	Implicit   bool

	// Admit says whether an entry that could be appended may be; nil: any.
	Admit func(i int) *fault.Error

	SlotIndex map[Fingerprint]int32 // of Slots, once there are many; only for whoever resolves

	// Set by Head.Append.
	Outcomes []Outcome
	Failed   []Failure // conditions that did not hold; with Atomic nothing was recorded then
	Unmet    bool      // so is one of Unless, of those that Failed
	Stale    Stale     // not decided: resolve again
}

// Entry is one batch for one partition. Batch is patched in place and must not be touched any more.
type Entry struct {
	Stream    record.StreamID
	Partition record.PartitionID
	Header    record.BatchHeader
	Batch     []byte
	Pinned    bool // it is to be at offset At or nowhere
	At        record.Offset
	Mode      KeyMode // the stream's key mode as resolved
	Keys      []KeyUse
	Encoded   EncodedKeys // instead of Keys where nothing about them has to be decided
	Expects   bool        // one of Keys has a condition, of an entry that is judged alone
	Unless    []Unless    // of an entry that is judged alone
	Termed    bool        // the stream indexed terms as resolved
	Terms     EncodedTerms
	IDs       []IDUse

	// Joined: it goes with the entry before it, of which it holds what that one leaves out. Both are recorded or neither is, and whether they were
	// before, and whether their producer may, is judged by that entry alone. Blanks are filled with offsets of it.
	Joined bool
	Blanks []record.Blank
}

// Slot is one key whose version the command reads or moves. Version is as resolved; deciding replaces it by what is current.
type Slot struct {
	Stream  record.StreamID
	Key     []byte
	Version uint64
}

// Fingerprint stands for a stream and a key: 128 bits of hashes with random seeds, so that no two are ever met that are equal by chance.
type Fingerprint [2]uint64

// KeyUse is one record's key. Slot is -1 where the stream keeps no versions.
type KeyUse struct {
	Index     int32 // of the record in its batch
	Slot      int32
	Key       []byte
	Tombstone bool // the record has no value
	Expect    Expect
	Event     int // place in the request, for the failure
}

// IDUse is one record's identity, which resolving found unused.
type IDUse struct {
	Index    int32
	Identity Identity
}

// Check is a condition on a key that the command need not write.
type Check struct {
	Slot   int32
	Expect Expect
}

// ExpectKind is what is asked of a key's version.
type ExpectKind uint8

const (
	ExpectAny ExpectKind = iota
	ExpectNone
	ExpectExists
	ExpectVersion
)

// Expect is a condition on the version of a key.
type Expect struct {
	Kind    ExpectKind
	Version uint64
}

// Holds reports whether current satisfies the condition. 0 is a key without events.
func (e Expect) Holds(current uint64) bool {
	switch e.Kind {
	case ExpectNone:
		return current == 0
	case ExpectExists:
		return current != 0
	case ExpectVersion:
		return current == e.Version
	default:
		return true
	}
}

func (e Expect) String() string {
	switch e.Kind {
	case ExpectNone:
		return "none"
	case ExpectExists:
		return "exists"
	case ExpectVersion:
		return fmt.Sprint(e.Version)
	default:
		return "any"
	}
}

// Failure is one condition that did not hold. Event is the place in the request, or -1 and If the place among the command's checks.
type Failure struct {
	Event, If int
	Slot      int32
	Expect    Expect
	Current   uint64
}

// Stale says whether and how a command has to be resolved again.
type Stale uint8

const (
	Fresh      Stale = iota
	StaleNow         // what it was resolved against has moved on: again, at once
	StaleLater       // it collides with something not yet durable: again, when that is published
)

// Outcome is what became of one entry.
type Outcome struct {
	Base      record.Offset
	Start     record.Offset
	Batch     uint32 // place among the frame's batches
	Duplicate bool
	Versions  []uint64 // one for each of Keys with a slot, else nil
	Err       *fault.Error
	Beside    bool      // Err is that of the entry that is joined to it
	Unless    bool      // so has one of its Unless that failed
	Failed    []Failure // conditions of the entry's own keys that did not hold; Event is the record's place in the batch
}

// Append judges c, which was resolved when published state stood at resolvedAt, and records what it decided.
func (h *Head) Append(c *Append, resolvedAt uint64, f *fact.Frame) {
	h.resolvedAt = resolvedAt
	if cap(c.Outcomes) < len(c.Entries) {
		c.Outcomes = make([]Outcome, len(c.Entries))
	}
	c.Outcomes = c.Outcomes[:len(c.Entries)]
	clear(c.Outcomes)
	c.Failed, c.Unmet, c.Stale = c.Failed[:0], false, Fresh
	h.refreshSlots(c)
	if c.Atomic {
		h.appendAtomic(c, f)
		return
	}
	for i := 0; i < len(c.Entries); i++ {
		next := i + 1
		if c.Stale = h.judge(c, i); c.Stale == Fresh && next < len(c.Entries) && c.Entries[next].Joined {
			c.Stale = h.judge(c, next)
		}
		if c.Stale != Fresh {
			// What was recorded of earlier entries stands; resolving again must not repeat them.
			for j := i; j < len(c.Entries); j++ {
				c.Outcomes[j].Err = nil
			}
			c.Entries, c.Outcomes = c.Entries[:len(c.Entries):len(c.Entries)], c.Outcomes[:i]
			return
		}
		o := &c.Outcomes[i]
		if o.Err == nil && !o.Duplicate && c.Entries[i].Expects {
			h.conditions(c, i)
		}
		if o.Err == nil && !o.Duplicate || len(o.Failed) > 0 {
			h.unless(c, i)
		}
		if next < len(c.Entries) && c.Entries[next].Joined {
			h.recordBoth(c, i, f)
			i = next
			continue
		}
		if o.Err == nil && !o.Duplicate {
			h.record(c, i, f)
		}
	}
}

// recordBoth records an entry and the one that is joined to it, or neither.
func (h *Head) recordBoth(c *Append, i int, f *fact.Frame) {
	o, joined := &c.Outcomes[i], &c.Outcomes[i+1]
	switch {
	case o.Err != nil:
		joined.Err = o.Err
	case o.Duplicate:
		joined.Err, joined.Duplicate = nil, true
	case joined.Err != nil:
		o.Err, o.Beside = joined.Err, true
	default:
		h.record(c, i, f)
		h.record(c, i+1, f)
	}
}

// conditions judges those of an entry that stands alone: all hold, each on what the records before it in the batch leave, or the entry is
// refused and has moved nothing.
func (h *Head) conditions(c *Append, i int) {
	e, o := &c.Entries[i], &c.Outcomes[i]
	for _, k := range e.Keys {
		if k.Slot < 0 {
			continue
		}
		s := &c.Slots[k.Slot]
		if !k.Expect.Holds(s.Version) {
			o.Failed = append(o.Failed, Failure{Event: int(k.Index), If: -1, Slot: k.Slot, Expect: k.Expect, Current: s.Version})
		}
		s.Version++
	}
	for _, k := range e.Keys { // recording does it again
		if k.Slot >= 0 {
			c.Slots[k.Slot].Version--
		}
	}
	if len(o.Failed) > 0 {
		o.Err = fault.New(fault.Conflict, "append", "", "%d records expect other versions of their keys", len(o.Failed)).Because(fault.ReasonVersion)
	}
}

// unless judges the conditions on queries of an entry that stands alone: those that failed as it was resolved. judge has seen that none can have
// come to fail since.
func (h *Head) unless(c *Append, i int) {
	e, o := &c.Entries[i], &c.Outcomes[i]
	for j := range e.Unless {
		if o.Unless = e.Unless[j].Failed; o.Unless {
			o.Err = fault.New(fault.Conflict, "append", "", "there are events that must not be").Because(fault.ReasonEvent)
			return
		}
	}
}

// appendAtomic records all entries or none. Entries that were appended before stay as they are: they are not recorded again, move no
// version, and their conditions held then. When all are, so did the command's own.
func (h *Head) appendAtomic(c *Append, f *fact.Frame) {
	before := len(c.Slots)
	versions := h.versions[:0]
	for i := range c.Slots {
		versions = append(versions, c.Slots[i].Version)
	}
	h.versions = versions
	for i, k := range c.If {
		if cur := c.Slots[k.Slot].Version; !k.Expect.Holds(cur) {
			c.Failed = append(c.Failed, Failure{Event: -1, If: i, Slot: k.Slot, Expect: k.Expect, Current: cur})
		}
	}
	refused, again := false, 0
	for i := range c.Entries {
		if c.Stale = h.judge(c, i); c.Stale != Fresh {
			return
		}
		o := &c.Outcomes[i]
		if o.Err == nil && sameProducerBefore(c.Entries, i) {
			o.Err, o.Duplicate = fault.New(fault.Unsupported, "append", "", "an atomic append takes one batch of a producer for a partition"), false
		}
		refused = refused || o.Err != nil
		if o.Duplicate {
			again++
			continue
		}
		h.expectations(c, i)
	}
	if again > 0 && again == len(c.Entries) {
		c.Failed = c.Failed[:0]
	} else {
		if c.Stale = h.stale(c.Unless); c.Stale != Fresh {
			return
		}
		for i := range c.Unless {
			c.Unmet = c.Unmet || c.Unless[i].Failed
		}
	}
	// expectations moved the slots forward as if the entries were recorded; recording does it again from the start.
	for i := range before {
		c.Slots[i].Version = versions[i]
	}
	if refused || c.Unmet || len(c.Failed) > 0 {
		return
	}
	for i := range c.Entries {
		if !c.Outcomes[i].Duplicate {
			h.record(c, i, f)
		}
	}
}

// sameProducerBefore reports whether an earlier entry is of the same producer and partition as entry i. Sequences are judged on what is
// recorded, and of an atomic command nothing is until all of it is judged.
func sameProducerBefore(es []Entry, i int) bool {
	e := &es[i]
	if e.Header.ProducerID < 0 {
		return false
	}
	for j := range es[:i] {
		if b := &es[j]; b.Header.ProducerID == e.Header.ProducerID && b.Partition == e.Partition && b.Stream == e.Stream {
			return true
		}
	}
	return false
}

// expectations judges the conditions of entry i's own keys, on what the ones before left.
func (h *Head) expectations(c *Append, i int) {
	for _, k := range c.Entries[i].Keys {
		if k.Slot < 0 {
			continue
		}
		s := &c.Slots[k.Slot]
		if !k.Expect.Holds(s.Version) {
			c.Failed = append(c.Failed, Failure{Event: k.Event, If: -1, Slot: k.Slot, Expect: k.Expect, Current: s.Version})
		}
		s.Version++
	}
}

// refreshSlots replaces resolved versions by those of changes that came after.
func (h *Head) refreshSlots(c *Append) {
	for i := range c.Slots {
		s := &c.Slots[i]
		h.key = versionKey(h.key[:0], s.Stream, s.Key)
		if v, ok := h.overlay[string(h.key)]; ok {
			s.Version = v.version
		}
	}
}

// judge says whether entry i may be appended, without recording anything.
func (h *Head) judge(c *Append, i int) Stale {
	e, o := &c.Entries[i], &c.Outcomes[i]
	st := h.Streams[e.Stream]
	if st == nil {
		o.Err = fault.New(fault.NotFound, "append", "", "the stream was deleted")
		return Fresh
	}
	if e.Partition < 0 || int(e.Partition) >= len(st.Partitions) {
		o.Err = fault.New(fault.NotFound, "append", "", "there is no partition %d; the stream has %d", e.Partition, len(st.Partitions)).Because(fault.ReasonPartition)
		return Fresh
	}
	if st.Keys != e.Mode || e.Termed != (st.TermsSince > 0) {
		return StaleNow
	}
	p := &st.Partitions[e.Partition]
	o.Start = p.Start
	if e.Pinned && e.At != p.Next {
		o.Err = fault.New(fault.Conflict, "append", "", "the partition ends at offset %d, not at %d", p.Next, e.At).Because(fault.ReasonOffset)
		return Fresh
	}
	if e.Header.ProducerID >= 0 {
		if o.Err = h.judgeTransaction(c, e, p); o.Err != nil {
			return Fresh
		}
		if !e.Joined {
			p.judgeProducer(&e.Header, h.frameTime, o)
		}
		if o.Err != nil || o.Duplicate {
			return Fresh
		}
	}
	for _, u := range e.IDs {
		h.key = identityKey(h.key[:0], u.Identity)
		// Of a frame that resolving could see, it is an identity whose window has passed: resolving would have found any other.
		if v, seen := h.overlay[string(h.key)]; seen && v.seq > h.resolvedAt {
			return StaleLater
		}
	}
	if stale := h.stale(e.Unless); stale != Fresh {
		return stale
	}
	if c.Admit != nil {
		o.Err = c.Admit(i)
	}
	return Fresh
}

// record gives entry i its offsets and versions, as facts, and evolves the head by them.
func (h *Head) record(c *Append, i int, f *fact.Frame) {
	e, o := &c.Entries[i], &c.Outcomes[i]
	st := h.Streams[e.Stream]
	p := &st.Partitions[e.Partition]
	if e.Joined && len(e.Blanks) > 0 {
		record.FillBlanks(e.Batch, e.Blanks, c.Outcomes[i-1].Base)
	}
	record.PatchBatch(e.Batch, p.Next, LeaderEpoch)
	a := Appended{
		Stream: e.Stream, Partition: e.Partition, Base: p.Next, Count: e.Header.LastOffsetDelta + 1, Bytes: int64(len(e.Batch)),
		MaxTimeMS: e.Header.MaxTimestamp, Origin: h.origin(c.Origin, f), Producer: e.Header.ProducerID,
	}
	if a.Producer >= 0 {
		a.Epoch, a.First = e.Header.ProducerEpoch, e.Header.BaseSequence
	}
	o.Base, o.Batch = a.Base, h.batches
	h.batches++
	if e.Header.Transactional() {
		a.Flags = AppendedTransactional
	}
	f.Add(fact.Appended, a.version(), a.append)
	f.Attach(e.Batch)
	h.evolveAppended(&a, h.frameTime)
	if a.Flags != 0 {
		if t := h.evolveOpened(&a, h.openSeq(), h.frameTime); t != nil {
			h.schedule(t)
		}
	}
	switch {
	case e.Encoded.Count > 0:
		f.Add(fact.Keyed, keyedVersion(h.Format), e.Encoded.append)
		st.Keyed = true
	case len(e.Keys) > 0:
		h.recordKeys(c, e, o, f)
		st.Keyed = true
	}
	if e.Terms.count > 0 {
		f.Add(fact.Termed, 1, e.Terms.append)
		h.tips.add(h.openSeq(), e.Terms.Prints)
	}
	if len(e.IDs) > 0 {
		f.Add(fact.Identified, 1, func(dst []byte) []byte { return appendIdentified(dst, e.IDs) })
		for _, u := range e.IDs {
			h.remember(identityKey(h.key[:0], u.Identity), 0)
		}
	}
}

func (h *Head) recordKeys(c *Append, e *Entry, o *Outcome, f *fact.Frame) {
	keys := h.keyed[:0]
	for _, k := range e.Keys {
		at := KeyAt{Index: k.Index, Key: k.Key, Tombstone: k.Tombstone}
		if k.Slot >= 0 {
			s := &c.Slots[k.Slot]
			s.Version++
			at.Version = s.Version
			o.Versions = append(o.Versions, s.Version)
			h.remember(versionKey(h.key[:0], s.Stream, s.Key), s.Version)
		}
		keys = append(keys, at)
	}
	version := keyedVersion(h.Format)
	f.Add(fact.Keyed, version, func(dst []byte) []byte { return appendKeyed(dst, version, keys) })
	clear(keys)
	h.keyed = keys
}
