package broker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/internal/clock"
)

// Expect is a condition on the version of a key. Versions count a key's events from 1.
type Expect = stream.Expect

// What can be expected.
const (
	ExpectAny     = stream.ExpectAny
	ExpectNone    = stream.ExpectNone
	ExpectExists  = stream.ExpectExists
	ExpectVersion = stream.ExpectVersion
)

// EventEntry is one event to append.
type EventEntry struct {
	Stream    string
	Partition record.PartitionID // record.NoPartition: by key, else spread
	Record    record.Record      // Timestamp 0: now, unless Dated
	Dated     bool               // the timestamp counts whatever it is
	Source    string             // with ID, what makes it the same event; ID "" takes part in no dedup
	ID        string
	Within    time.Duration // how long it stays the same event, where that is less than the node's dedup window; 0: for that
	Expect    Expect        // on the version of Record.Key
}

// Condition is something that must hold besides.
type Condition struct {
	Stream string
	Key    []byte
	Expect Expect
}

// EventsAppend is a request of a producer that sends events one by one: all of them are appended or none.
type EventsAppend struct {
	Events     []EventEntry
	If         []Condition
	Unless     []Unless
	AutoCreate bool
	Defaults   StreamConfig
	Reserved   time.Time // as in BatchAppend

	// Acks are settled in the same frame: all is done or nothing is. They and the streams are of one namespace. When one of them is held no
	// longer, the error is a Conflict whose Detail is a []Outcome with what each would have become.
	Acks []Handle
}

// EventResult is where one event is.
type EventResult struct {
	Ref        record.Ref
	Position   record.Position
	Version    uint64 // of its key; 0 where the stream keeps none, or had it under another key the first time
	AppendTime int64  // ms
	Duplicate  bool   // it was there already; the rest is of the first time

	// Quarantined: the event broke its contract and lies in QuarantineStream instead. Ref and Position say where.
	Quarantined *ContractBreak
}

// FailedCondition is one condition that did not hold.
type FailedCondition struct {
	Event    int // place in Events, -1 when it is one of If or Unless
	If       int // place in If, -1 when it is none of those
	Stream   string
	Key      string
	Expected string      // "none", "exists", or a number
	Current  uint64      // 0: the key has no events
	Found    *FoundEvent // of an Unless: an event that must not be
}

// String says what was found instead of what was expected.
func (f *FailedCondition) String() string {
	if f.Found != nil {
		return f.Found.String()
	}
	return fmt.Sprintf("key %q is at version %d, expected %s", f.Key, f.Current, f.Expected)
}

// AppendEvents appends all events or none and returns when they are durable, with one result for each. When conditions fail, the error
// is a Conflict whose Detail is a []FailedCondition with all of them.
//
// What a refers to, but for the names of streams, is the caller's again when the call returns, also when ctx has ended it.
func (b *Broker) AppendEvents(ctx context.Context, c *Caller, a EventsAppend) ([]EventResult, error) {
	return b.appendEvents(ctx, c, a, nil)
}

// appendEvents is AppendEvents, for an event that comes back from quarantine where that is not nil.
func (b *Broker) appendEvents(ctx context.Context, c *Caller, a EventsAppend, back *comingBack) ([]EventResult, error) {
	if len(a.Events) > b.cfg.RequestEventsMax {
		return nil, fault.New(fault.TooLarge, "append", "events", "the request has %d events; the limit is %d", len(a.Events), b.cfg.RequestEventsMax)
	}
	if err := b.spendEvents(c, &a); err != nil {
		return nil, err
	}
	unless, err := b.prepareUnless(ctx, c, &a)
	if err != nil {
		return nil, err
	}
	for range resolveTriesMax {
		results, again, err := b.appendEventsOnce(ctx, c, &a, unless, back)
		if err != nil || !again {
			return results, err
		}
	}
	return nil, fault.New(fault.Unavailable, "append", "", "the streams are changing too fast; try again")
}

// eventsCommand is a request being resolved.
type eventsCommand struct {
	b       *Broker
	c       *Caller
	a       *EventsAppend
	cmd     *shard.Append
	shard   *shard.Shard
	now     int64
	groups  []eventGroup
	where   []eventPlace // of each event; group -1: duplicate
	results []EventResult
	same    map[stream.Identity]int
	terms   termer
	keys    []byte // copies of keys: the loop may look at them after a caller has given up and reused its memory

	apart map[int]*quarantined // events that are put into quarantine instead
	back  *comingBack

	// The stream of the event and of the condition before: most requests are for one stream, which is looked up once.
	target, conditioned *named
}

type eventGroup struct {
	target    *named
	partition record.PartitionID
	events    []int
}

type eventPlace struct {
	group, index int
	of           int // a duplicate of that event of the request, else -1
}

func (b *Broker) appendEventsOnce(ctx context.Context, c *Caller, a *EventsAppend, unless []*named, back *comingBack) (results []EventResult, again bool, err error) {
	x := &eventsCommand{b: b, c: c, a: a, back: back, cmd: &shard.Append{}, now: b.nowMS(), results: make([]EventResult, len(a.Events)), where: make([]eventPlace, len(a.Events))}
	x.cmd.Atomic = true
	x.cmd.Origin = c.origin()
	if err := x.resolve(ctx); err != nil {
		return nil, false, err
	}
	if len(x.groups) == 0 && len(x.cmd.Acks) == 0 && x.cmd.LetGo == nil && (len(a.Events) > 0 || len(x.cmd.If)+len(a.Unless) == 0) {
		x.tellApart()
		return x.results, false, nil // every event was there already
	}
	if err := x.unless(unless); err != nil {
		return nil, false, err
	}
	if err := x.build(); err != nil {
		return nil, false, err
	}
	if err := b.reach(slices.Index(b.shards, x.shard), x.cmd); err != nil {
		return nil, false, err
	}
	r := shard.NewRequest(x.cmd)
	r.Stages.Reserved = a.Reserved
	if err := x.shard.Run(ctx, r); err != nil {
		return nil, false, err
	}
	if x.cmd.Stale != stream.Fresh {
		return nil, true, nil
	}
	if err := x.refused(); err != nil {
		return nil, false, err
	}
	x.fill(r.Seq, r.TimeMS)
	b.stats.appended(c)
	x.sawEvents()
	return x.results, false, nil
}

// resolve finds streams, partitions, duplicates and versions.
func (x *eventsCommand) resolve(ctx context.Context) error {
	b, a := x.b, x.a
	x.room()
	for i := range a.Events {
		e := &a.Events[i]
		n, err := x.targetOf(ctx, e)
		if err != nil {
			return at(err, i, len(a.Events))
		}
		if x.shard == nil {
			x.shard = b.shards[n.shard]
			x.cmd.ResolvedAt = x.shard.Published().Seq()
		}
		d, err := b.keepsEvent(x.c, n, i, &e.Record)
		if err != nil {
			return at(err, i, len(a.Events))
		}
		if d == nil {
			err = x.place(i, e, n)
		} else {
			err = x.setApart(ctx, i, e, n, d)
		}
		if err != nil {
			return at(err, i, len(a.Events))
		}
	}
	for i := range a.If {
		if err := x.condition(ctx, &a.If[i]); err != nil {
			return at(err, i, len(a.If))
		}
	}
	x.comesBack()
	return x.acks()
}

// event is one of the request's, as it is appended.
func (x *eventsCommand) event(i int) *EventEntry {
	if q := x.apart[i]; q != nil {
		return &q.entry
	}
	return &x.a.Events[i]
}

// acks takes over what is to be settled with the append.
func (x *eventsCommand) acks() error {
	hs := x.a.Acks
	if x.shard == nil && len(hs) == 0 && len(x.a.Unless) == 0 {
		return fault.New(fault.Invalid, "append", "events", "the request has no events and no conditions")
	}
	if len(hs) == 0 {
		return nil
	}
	if err := x.b.mayServe(x.c, "append", hs); err != nil {
		return err
	}
	switch others, _, all := x.b.settleShadows(hs, shadowAck, 0); {
	case len(others) == 0:
		return nil
	case !all:
		return fault.New(fault.Invalid, "append", "ack", "handles of shadows and others cannot be acknowledged with one append")
	}
	if x.shard == nil {
		x.shard = x.b.shards[hs[0].shard]
		x.cmd.ResolvedAt = x.shard.Published().Seq()
	}
	if x.cmd.Acks = handlesOf(hs); x.cmd.Acks == nil || x.b.shards[hs[0].shard] != x.shard {
		return fault.New(fault.Invalid, "append", "ack", "what is acknowledged with an append is of the streams' namespace")
	}
	return nil
}

// room makes room for all keys and slots at once.
func (x *eventsCommand) room() {
	n, keys := max(len(x.a.Events), len(x.a.If)), 0
	for i := range x.a.Events {
		keys += len(x.a.Events[i].Record.Key)
	}
	for i := range x.a.If {
		keys += len(x.a.If[i].Key)
	}
	x.keys = make([]byte, 0, keys)
	if len(x.a.If) > 0 {
		x.cmd.If, x.cmd.Slots = make([]stream.Check, 0, len(x.a.If)), make([]stream.Slot, 0, n)
		if n > slotScanMax {
			x.cmd.SlotIndex = make(map[stream.Fingerprint]int32, n)
		}
	}
}

// targetOf is the stream that an event is for.
func (x *eventsCommand) targetOf(ctx context.Context, e *EventEntry) (n *named, err error) {
	if n = x.target; n == nil || n.name != e.Stream {
		if n, err = x.b.target(ctx, x.c, e.Stream, x.a.AutoCreate, x.a.Defaults); err == nil {
			err = n.linked(false)
		}
		if err != nil {
			return nil, err
		}
	}
	if e.Expect.Kind != ExpectAny {
		if n, err = x.b.versioned(ctx, n, e.Record.Key); err != nil {
			return nil, err
		}
	}
	x.target = n
	return n, nil
}

// at says which of several events or conditions a refusal is about.
func at(err error, i, of int) error {
	if of == 1 {
		return err
	}
	f := *fault.As(err)
	f.Text = fmt.Sprintf("%s (at index %d)", f.Text, i)
	return &f
}

// versioned makes sure that a stream numbers its keys. One that did not say what it keeps becomes versioned the first time a version is
// asked for.
func (b *Broker) versioned(ctx context.Context, n *named, key []byte) (*named, error) {
	if key == nil {
		return nil, fault.New(fault.Invalid, "append", "key", "an expected version needs a key")
	}
	if n.config.Keys == KeysVersioned {
		return n, b.numbered(ctx, n)
	}
	c := platformIn(n.namespace)
	for range alterTriesMax {
		switch n.config.Keys {
		case KeysVersioned:
			return n, b.numbered(ctx, n)
		case KeysUnset:
			err := b.alterOnce(ctx, c, n.name, func(cfg *StreamConfig) error {
				if cfg.Keys == KeysUnset {
					cfg.Keys = KeysVersioned
				}
				return nil
			}, 0)
			// A conflict is somebody else's change, which need not be this one: look again.
			if err != nil && !fault.Is(err, fault.Conflict) {
				return nil, err
			}
			if n, err = b.find(c, "append", n.name); err != nil {
				return nil, err
			}
		default:
			return nil, fault.New(fault.Unsupported, "append", n.name, "the stream keeps keys: %s, so its keys have no versions; expected versions need keys: versioned", n.config.Keys)
		}
	}
	return nil, changing(n)
}

const (
	numberedWait = 2 * time.Second // for the keys of a stream to be numbered, before the producer is told to come again
	numberedLook = 2 * time.Millisecond
)

// numbered waits until a stream that is to number its keys does.
func (b *Broker) numbered(ctx context.Context, n *named) error {
	pub := b.shards[n.shard].Published()
	for waited := time.Duration(0); ; waited += numberedLook {
		st, ok := pub.Stream(n.id)
		switch {
		case !ok || !st.Building:
			return nil
		case waited >= numberedWait:
			return fault.New(fault.Unavailable, "append", n.name, "the keys of the stream are being numbered, %d %% are; try again", pub.BuildingPercent(n.id))
		}
		if err := clock.Sleep(ctx, numberedLook); err != nil {
			return fault.New(fault.Unavailable, "append", n.name, "the keys of the stream are being numbered").From(err)
		}
	}
}

// changing refuses what cannot be judged because a stream's key mode is being changed: a condition is never passed over.
func changing(n *named) error {
	return fault.New(fault.Unavailable, "append", n.name, "the stream is being changed; try again")
}

func (x *eventsCommand) place(i int, e *EventEntry, n *named) error {
	x.where[i] = eventPlace{group: -1, of: -1}
	if len(e.Record.Key) > x.b.cfg.KeyBytesMax {
		return fault.New(fault.TooLarge, "append", "key", "the key has %d bytes; the limit is %d", len(e.Record.Key), x.b.cfg.KeyBytesMax)
	}
	if e.ID != "" && x.b.cfg.DedupWindow > 0 {
		if dup, err := x.duplicate(i, e, n); dup || err != nil {
			return err
		}
	}
	p := e.Partition
	if p == record.NoPartition {
		p = x.b.partitionFor(n, e.Record.Key, x.groups)
	}
	if p < 0 || p >= record.PartitionID(n.config.Partitions) {
		return fault.New(fault.NotFound, "append", n.name, "there is no partition %d; the stream has %d", p, n.config.Partitions).Because(fault.ReasonPartition)
	}
	for g := range x.groups {
		if gr := &x.groups[g]; gr.target.id == n.id && gr.partition == p {
			x.where[i] = eventPlace{g, len(gr.events), -1}
			gr.events = append(gr.events, i)
			return nil
		}
	}
	x.where[i] = eventPlace{len(x.groups), 0, -1}
	var events []int
	if len(x.groups) == 0 {
		events = make([]int, 0, len(x.a.Events)-i) // most requests are for one partition
	}
	x.groups = append(x.groups, eventGroup{n, p, append(events, i)})
	return nil
}

// duplicate looks the event's identity up, in the request and in what is published.
func (x *eventsCommand) duplicate(i int, e *EventEntry, n *named) (bool, error) {
	id := identity(n.id, e.Source, e.ID)
	if len(x.a.Events) > 1 {
		if x.same == nil {
			x.same = make(map[stream.Identity]int, len(x.a.Events))
		}
		if of, ok := x.same[id]; ok {
			x.where[i].of = of
			return true, nil
		}
		x.same[id] = i
	}
	first, seen, err := x.shard.Published().Identity(id, x.now)
	if err != nil || !seen {
		return false, err
	}
	if e.Within > 0 && first.TimeMS < x.now-e.Within.Milliseconds() {
		return false, nil // the identity is made known anew, and the newest is what is found
	}
	x.results[i] = EventResult{
		Ref:      record.Ref{Stream: n.name, Partition: first.Partition, Offset: first.Offset},
		Position: x.b.position(n.shard, first.Seq, first.Batch, first.Record), AppendTime: first.TimeMS, Duplicate: true,
	}
	if key := e.Record.Key; key != nil && n.config.Keys == KeysVersioned {
		x.results[i].Version, err = x.shard.Published().VersionAt(n.id, key, shard.At{Seq: first.Seq, Batch: first.Batch, Record: first.Record})
	}
	return true, err
}

// identity is a cryptographic hash, because two events that somebody makes collide would be one.
func identity(id record.StreamID, source, eventID string) stream.Identity {
	var stack [256]byte
	p := binary.BigEndian.AppendUint32(stack[:0], uint32(id))
	p = binary.AppendUvarint(p, uint64(len(source)))
	p = append(p, source...)
	p = append(p, eventID...)
	h := sha256.Sum256(p)
	return stream.Identity(h[:16])
}

// partitionFor hashes the key as Kafka's Java client does; without a key, all of a request goes to one partition and the next request to
// the next one.
func (b *Broker) partitionFor(n *named, key []byte, groups []eventGroup) record.PartitionID {
	if n.config.Partitions == 1 {
		return 0
	}
	if key != nil {
		return record.PartitionID(murmur2(key) & 0x7fffffff % uint32(n.config.Partitions))
	}
	for g := range groups {
		if groups[g].target.id == n.id {
			return groups[g].partition
		}
	}
	return record.PartitionID(b.spread.Add(1) % uint32(n.config.Partitions))
}

func murmur2(p []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(p))
	for ; len(p) >= 4; p = p[4:] {
		k := binary.LittleEndian.Uint32(p) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	switch len(p) {
	case 3:
		h ^= uint32(p[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(p[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(p[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

func (x *eventsCommand) condition(ctx context.Context, k *Condition) error {
	n := x.conditioned
	if n == nil || n.name != k.Stream || k.Key == nil {
		var err error
		if n, err = x.conditionedStream(ctx, k); err != nil {
			return err
		}
		x.conditioned = n
	}
	s, err := slot(x.cmd, x.shard.Published(), n.id, x.keep(k.Key))
	x.cmd.If = append(x.cmd.If, stream.Check{Slot: s, Expect: k.Expect})
	return err
}

// conditionedStream is the stream of a condition, which the caller may read and which numbers its keys.
func (x *eventsCommand) conditionedStream(ctx context.Context, k *Condition) (*named, error) {
	if err := x.b.allow(x.c, "append", ActionRead, KindStream, k.Stream); err != nil {
		return nil, err
	}
	n, err := x.b.find(x.c, "append", k.Stream)
	if err != nil {
		return nil, err
	}
	if n, err = x.b.versioned(ctx, n, k.Key); err != nil {
		return nil, err
	}
	if x.shard == nil {
		x.shard = x.b.shards[n.shard]
		x.cmd.ResolvedAt = x.shard.Published().Seq()
	}
	if st, ok := x.shard.Published().Stream(n.id); !ok || st.Keys != stream.KeysVersioned {
		return nil, changing(n)
	}
	return n, nil
}

// build makes one batch of each group.
func (x *eventsCommand) build() error {
	x.cmd.Entries = make([]stream.Entry, len(x.groups))
	pub, size := x.shard.Published(), int64(0)
	for g := range x.groups {
		gr := &x.groups[g]
		records := make([]record.Record, len(gr.events))
		e := &x.cmd.Entries[g]
		e.Stream, e.Partition = gr.target.id, gr.partition
		st, ok := pub.Stream(gr.target.id)
		if !ok {
			return fault.New(fault.NotFound, "append", gr.target.name, "the stream was deleted")
		}
		e.Mode = st.Keys
		e.Termed = st.Terms
		if st.Keys != stream.KeysOff {
			e.Keys = make([]stream.KeyUse, 0, len(gr.events))
		}
		for k, i := range gr.events {
			ev := x.event(i)
			records[k] = ev.Record
			if records[k].Timestamp == 0 && !ev.Dated {
				records[k].Timestamp = x.now
			}
			if err := x.use(e, st.Keys, gr.target, i, k, ev); err != nil {
				return err
			}
			if st.Terms {
				if err := x.terms.add(e, pub, gr.target.defaultType(), k, &ev.Record); err != nil {
					return at(err, i, len(x.a.Events))
				}
			}
		}
		batch, err := record.BuildBatch(records)
		if err != nil {
			return err
		}
		if gr.target.config.TimeOf == TimeOfAppend {
			record.StampAppendTime(batch, x.now)
		}
		if e.Header, err = record.ParseBatchHeader(batch); err != nil {
			return err
		}
		if err := x.b.checkTimes(gr.target, &e.Header); err != nil && !x.c.platform {
			return err
		}
		if err := x.b.checkBatch(gr.target, &e.Header); err != nil {
			return err
		}
		e.Batch = batch
		size += entryBytes(e)
	}
	if limit := x.shard.CommandBytesMax(); size > limit {
		return commandTooLarge("events", size, limit)
	}
	return nil
}

// use notes the key and the identity of one event.
func (x *eventsCommand) use(e *stream.Entry, mode KeyMode, n *named, i, k int, ev *EventEntry) error {
	if ev.Expect.Kind != ExpectAny && mode != stream.KeysVersioned {
		return changing(n)
	}
	if key := ev.Record.Key; key != nil && mode != stream.KeysOff {
		key = x.keep(key)
		u := stream.KeyUse{Index: int32(k), Slot: -1, Key: key, Tombstone: ev.Record.Value == nil, Expect: ev.Expect, Event: i}
		if mode == stream.KeysVersioned {
			s, err := slot(x.cmd, x.shard.Published(), n.id, key)
			if err != nil {
				return err
			}
			u.Slot = s
		}
		e.Keys = append(e.Keys, u)
	} else if key == nil && mode == stream.KeysLatest {
		return fault.New(fault.Invalid, "append", n.name, "the event has no key; the stream keeps the latest event of each key")
	}
	if ev.ID != "" && x.b.cfg.DedupWindow > 0 {
		e.IDs = append(e.IDs, stream.IDUse{Index: int32(k), Identity: identity(n.id, ev.Source, ev.ID)})
	}
	return nil
}

func (x *eventsCommand) keep(key []byte) []byte {
	if cap(x.keys)-len(x.keys) < len(key) {
		x.keys = make([]byte, 0, max(64, 2*cap(x.keys), len(key)))
	}
	at := len(x.keys)
	x.keys = append(x.keys, key...)
	return x.keys[at:len(x.keys):len(x.keys)]
}

// refused returns the error of a command that was not recorded.
func (x *eventsCommand) refused() error {
	for g := range x.cmd.Outcomes {
		if err := x.cmd.Outcomes[g].Err; err != nil {
			if q := x.apart[x.groups[g].events[0]]; q != nil {
				return at(q.why.noRoom(err), q.why.Index, len(x.a.Events))
			}
			return err
		}
	}
	if len(x.cmd.Failed) == 0 && !x.cmd.Unmet {
		return nil
	}
	failed := make([]FailedCondition, len(x.cmd.Failed))
	for i, f := range x.cmd.Failed {
		s := &x.cmd.Slots[f.Slot]
		failed[i] = FailedCondition{Event: f.Event, If: f.If, Stream: x.streamName(f), Key: string(s.Key), Expected: f.Expect.String(), Current: f.Current}
	}
	slices.SortStableFunc(failed, func(a, b FailedCondition) int { return a.Event - b.Event })
	why := fault.ReasonVersion
	if x.cmd.Unmet {
		if failed = x.b.unmet(slices.Index(x.b.shards, x.shard), x.cmd.Unless, failed); len(x.cmd.Failed) == 0 {
			why = fault.ReasonEvent
		}
	}
	f := failed[0]
	return fault.New(fault.Conflict, "append", f.Stream, "%s", &f).Because(why).With(failed)
}

func (x *eventsCommand) streamName(f stream.Failure) string {
	if f.Event < 0 {
		return x.a.If[f.If].Stream
	}
	return x.a.Events[f.Event].Stream
}

// fill makes the results of what was recorded in frame seq, at its time.
func (x *eventsCommand) fill(seq uint64, timeMS int64) {
	for g := range x.groups {
		gr, o := &x.groups[g], &x.cmd.Outcomes[g]
		for k, i := range gr.events {
			x.results[i] = EventResult{
				Ref:      record.Ref{Stream: gr.target.name, Partition: gr.partition, Offset: o.Base + record.Offset(k)},
				Position: x.b.position(gr.target.shard, seq, o.Batch, uint32(k)), AppendTime: timeMS,
			}
		}
		v := 0
		for _, u := range x.cmd.Entries[g].Keys {
			if u.Slot >= 0 {
				x.results[u.Event].Version = o.Versions[v]
				v++
			}
		}
	}
	x.tellApart()
	for i := range x.where {
		if of := x.where[i].of; of >= 0 {
			x.results[i] = x.results[of]
			x.results[i].Duplicate = true
		}
	}
}

func (b *Broker) position(sh int, seq uint64, batch, rec uint32) record.Position {
	return record.Position{Shard: uint16(sh), Lineage: b.opt.Lineage, Seq: seq, Batch: batch, Record: rec}
}
