package broker

import (
	"context"
	"slices"
	"strconv"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// BatchEntry is one batch for one partition. Batch is exactly one batch as its producer sent it, and the broker's from the call on.
type BatchEntry struct {
	Stream    string
	UID       StreamUID // not zero: this stream, and no other one of that name
	Partition record.PartitionID
	Batch     []byte

	// Copied says that the batch copies what another log has at offset At and behind: it is appended when the partition ends there, else it is a
	// Conflict. Offsets may be left out of it, its times are kept, and only a stream that is linked takes it.
	Copied bool
	At     record.Offset
}

// BatchAppend is a request of a producer that makes its own batches.
type BatchAppend struct {
	Entries    []BatchEntry
	AutoCreate bool         // make streams that are missing, if the caller may
	Defaults   StreamConfig // of streams made so
	Transactor string       // the named producer whose transaction the batches are of; "": none
	Implicit   bool         // its partitions need not be announced
	Reserved   time.Time    // when memory for the request was reserved, for the stage histograms; zero: not measured
	Lane       *Lane        // of requests that are handed in one behind the other; nil: this one is alone
}

// BatchResult is what became of one entry.
type BatchResult struct {
	Base       record.Offset
	Start      record.Offset // the partition's first offset
	AppendTime int64         // ms; -1 unless the stream's records carry the time of append
	Duplicate  bool          // it was appended before; Base is of the first time
	Err        *fault.Error

	// Quarantined are the records that broke their contract and lie in QuarantineStream instead, by Index. At their offsets there is nothing.
	Quarantined []*ContractBreak
}

// PendingBatches is a request on its way.
type PendingBatches struct {
	b       *Broker
	c       *Caller
	ctx     context.Context
	results []BatchResult
	shard   *shard.Shard
	began   time.Time
	open    *portion // being filled
	sent    []*portion
	lane    *Lane
	own     Lane // of a request that is alone: its portions
	room    [1]*portion

	throttle time.Duration
}

// SubmitBatches checks a request and hands it in and returns at once (it waits only while too many wait). Calls of one goroutine that have the same lane
// are appended in their order. Each entry is judged alone. Wait is to be called, also by whoever does not want to know.
func (b *Broker) SubmitBatches(ctx context.Context, c *Caller, a BatchAppend) *PendingBatches {
	p := &PendingBatches{b: b, c: c, ctx: ctx, began: a.Reserved, results: make([]BatchResult, len(a.Entries))}
	if p.lane = a.Lane; p.lane == nil {
		p.lane, p.own.sent = &p.own, p.room[:0]
	}
	throttle, spent := b.spendBatches(c, &a)
	p.throttle = throttle
	for i := range a.Entries {
		p.results[i].AppendTime = -1
		if spent != nil {
			p.results[i].Err = fault.As(spent)
		} else if err := p.resolve(i, &a); err != nil {
			p.results[i].Err = fault.As(err)
		}
	}
	p.submit()
	return p
}

// resolve turns entry i into one of a command's.
func (p *PendingBatches) resolve(i int, a *BatchAppend) error {
	b, in := p.b, &a.Entries[i]
	if in.Stream == "" && in.UID != (StreamUID{}) {
		return noUID("append")
	}
	n, err := b.target(p.ctx, p.c, in.Stream, a.AutoCreate, a.Defaults)
	if err != nil {
		return err
	}
	if err := n.is("append", in.UID); err != nil {
		return err
	}
	check := record.CheckBatch
	if in.Copied {
		check = record.CheckCopy
	}
	if err := n.linked(in.Copied); err != nil {
		return err
	}
	h, err := check(in.Batch)
	if err != nil {
		return err
	}
	if err := b.checkBatch(n, &h); err != nil {
		return err
	}
	if !in.Copied {
		if err := b.checkTimes(n, &h); err != nil {
			return err
		}
	}
	if err := checkTransaction(a.Transactor, n, &h); err != nil {
		return err
	}
	batch, joined := in.Batch, (*stream.Entry)(nil) // in stays as it came: it may be resolved again
	if !in.Copied {
		apart, err := b.keepsBatch(p.c, n, batch)
		if err != nil {
			return err
		}
		if p.results[i].Quarantined = apart; len(apart) > 0 {
			if batch, joined, err = b.divide(p.ctx, p.c, n, in, &h, apart); err != nil {
				return err
			}
		}
	}
	p.shard = b.shards[n.shard] // of a caller's namespace, so always the same
	if size, limit := batchBytes(batch)+joinedBytes(joined), p.shard.CommandBytesMax(); p.open != nil && p.open.bytes+size > limit {
		p.submit()
	}
	if p.open == nil {
		p.open = &portion{of: p, shard: p.shard}
		p.open.command.Origin = p.c.origin()
		if a.Transactor != "" {
			p.open.command.Transactor, p.open.command.Implicit = stream.TransactorName{Namespace: p.c.namespace(), Name: a.Transactor}, a.Implicit
		}
		p.open.command.Entries = make([]stream.Entry, 0, len(a.Entries)-i+min(len(p.results[i].Quarantined), 1))
		p.open.command.ResolvedAt = p.shard.Published().Seq()
	}
	if n.config.TimeOf == TimeOfAppend && !in.Copied {
		now := b.nowMS()
		record.StampAppendTime(batch, now)
		h.MaxTimestamp = now
		p.results[i].AppendTime = now
	}
	e := stream.Entry{Stream: n.id, Partition: in.Partition, Header: h, Batch: batch, Pinned: in.Copied, At: in.At}
	if err := b.resolveKeys(&p.open.command, &e, n); err != nil {
		return err
	}
	if joined != nil {
		// Left out, it would be found stale, and decided again behind what the same producer has sent since.
		if err := b.resolveKeys(&p.open.command, joined, &named{name: QuarantineStream, id: joined.Stream, shard: n.shard}); err != nil {
			return err
		}
	}
	size, limit := entryBytes(&e)+joinedBytes(joined), p.shard.CommandBytesMax()
	switch {
	case size > limit:
		return commandTooLarge(n.name, size, limit)
	case p.open.bytes+size > limit:
		// It would have fitted but for its keys, which were not known before. Once in a portion of its own it does.
		p.submit()
		return p.resolve(i, a)
	}
	p.open.bytes += size
	p.open.command.Entries = append(p.open.command.Entries, e)
	p.open.place = append(p.open.place, i)
	if joined != nil {
		p.open.command.Entries = append(p.open.command.Entries, *joined)
		p.open.place = append(p.open.place, noPlace)
	}
	return nil
}

// noPlace is the place of an entry that is joined to another and has no result of its own.
const noPlace = -1

// joinedBytes is about how much of a frame an entry takes that is joined to another, if there is one.
func joinedBytes(e *stream.Entry) int64 {
	if e == nil {
		return 0
	}
	return entryBytes(e)
}

// batchBytes is about how much of a frame a batch takes, but for its keys.
func batchBytes(batch []byte) int64 { return int64(factBytes + len(batch)) }

const factBytes = 128 // about what facts say of a batch

// entryBytes is about how much of a frame an entry takes. Keys are counted apart: a compressed batch may hold more of them than it has bytes.
func entryBytes(e *stream.Entry) int64 {
	const keyBytes, identityBytes = 16, 24
	n := batchBytes(e.Batch) + int64(e.Terms.Size()+len(e.Encoded.Bytes)+len(e.Keys)*keyBytes+len(e.IDs)*identityBytes)
	for i := range e.Keys {
		n += int64(len(e.Keys[i].Key))
	}
	return n
}

func commandTooLarge(subject string, size, limit int64) error {
	return fault.New(fault.TooLarge, "append", subject, "the request takes %d bytes with its keys; %d are appended at once", size, limit)
}

// target finds the stream to append to, making it where that is asked for and allowed.
func (b *Broker) target(ctx context.Context, c *Caller, name string, autoCreate bool, defaults StreamConfig) (*named, error) {
	if err := b.allow(c, "append", ActionWrite, KindStream, name); err != nil {
		return nil, err
	}
	if full := b.diskReserve(); full != nil && !c.platform {
		return nil, full
	}
	n, err := b.find(c, "append", name)
	if err == nil || !autoCreate || !fault.Is(err, fault.NotFound) {
		return n, err
	}
	if !b.Allowed(c, ActionCreate, KindStream, name) {
		return nil, err
	}
	if err := b.create(ctx, c, name, defaults); err != nil && !fault.Is(err, fault.Exists) {
		return nil, err
	}
	return b.find(c, "append", name)
}

// linked refuses what would put a stream that copies another out of step with it, and copies for any other stream.
func (n *named) linked(copied bool) error {
	switch by := n.config.LinkedBy; {
	case by != "" && !copied:
		return kept("append", n.name, "the stream is a copy that link "+strconv.Quote(by)+" makes, so nobody else may append to it; switch the link, or append where it copies from")
	case by == "" && copied:
		return fault.New(fault.Conflict, "append", n.name, "the stream is not linked")
	}
	return nil
}

func (b *Broker) checkBatch(n *named, h *record.BatchHeader) error {
	limit := n.config.BatchBytesMax
	if limit == 0 {
		limit = b.cfg.BatchBytesMax
	}
	switch {
	case h.Bytes > limit:
		return fault.New(fault.TooLarge, "append", n.name, "the batch has %d bytes; the stream takes %d", h.Bytes, limit)
	case h.Control():
		return fault.New(fault.Invalid, "append", n.name, "a producer cannot send control batches")
	case h.ProducerID >= 0 && h.BaseSequence < 0:
		return fault.New(fault.Invalid, "append", n.name, "a batch with a producer id needs a sequence")
	}
	return nil
}

// checkTransaction refuses a batch that is of a transaction where its request is of none.
func checkTransaction(transactor string, n *named, h *record.BatchHeader) error {
	if h.Transactional() && transactor == "" {
		return fault.New(fault.Invalid, "append", n.name, "the batch is of a transaction, and the request names no producer of one")
	}
	return nil
}

// checkTimes refuses a batch whose producer's clock is further off than the stream lets it be: its first record too old, or its newest too far ahead.
// Records between are not looked at.
func (b *Broker) checkTimes(n *named, h *record.BatchHeader) error {
	past, ahead := n.config.TimePastMSMax, n.config.TimeAheadMSMax
	if past == 0 && ahead == 0 || n.config.TimeOf != TimeOfProducer {
		return nil
	}
	now := b.nowMS()
	switch {
	case past > 0 && now-h.BaseTimestamp > past:
		return fault.New(fault.Invalid, "append", n.name, "the first record's time is %d ms ago; the stream takes records of at most %d ms ago", now-h.BaseTimestamp, past).Because(fault.ReasonTimestamp)
	case ahead > 0 && h.MaxTimestamp-now > ahead:
		return fault.New(fault.Invalid, "append", n.name, "a record's time is %d ms ahead; the stream takes at most %d", h.MaxTimestamp-now, ahead).Because(fault.ReasonTimestamp)
	}
	return nil
}

// resolveKeys reads the keys of a batch as far as its stream keeps them.
func (b *Broker) resolveKeys(cmd *shard.Append, e *stream.Entry, n *named) error {
	pub := b.shards[n.shard].Published()
	st, ok := pub.Stream(e.Stream)
	if !ok {
		return fault.New(fault.NotFound, "append", n.name, "the stream was deleted")
	}
	e.Mode = st.Keys
	if err := b.resolveTerms(cmd, e, n, st); err != nil {
		return err
	}
	if st.Keys == stream.KeysOff {
		return nil
	}
	if st.Keys != stream.KeysVersioned {
		return b.encodeKeys(e, n)
	}
	// Copied once for the whole batch: an inflated batch's records are only good during the call.
	var keys []byte
	var ends []int
	err := b.eachKey(e, n, func(i int, r *record.Record) error {
		keys = append(keys, r.Key...)
		ends = append(ends, len(keys))
		expect, err := expectOf(r, i)
		if err != nil {
			return err
		}
		e.Expects = e.Expects || expect.Kind != ExpectAny
		e.Keys = append(e.Keys, stream.KeyUse{Index: int32(i), Slot: -1, Tombstone: r.Value == nil, Expect: expect, Event: -1})
		return nil
	})
	if err != nil {
		return err
	}
	from := 0
	for i := range e.Keys {
		key := keys[from:ends[i]:ends[i]]
		from = ends[i]
		e.Keys[i].Key = key
		if e.Keys[i].Slot, err = slot(cmd, pub, e.Stream, key); err != nil {
			return err
		}
	}
	return nil
}

// HeaderExpectVersion is a header by which a record of a batch says which version its key must have: a number, "none" (or 0), or "exists". It counts
// in streams that keep versions. All records of a batch hold, or none of them is appended.
const HeaderExpectVersion = "leat-expect-version"

// expectOf is what a record's header asks of the version of its key.
func expectOf(r *record.Record, i int) (Expect, error) {
	text, ok := r.Header(HeaderExpectVersion)
	if !ok {
		return Expect{}, nil
	}
	switch string(text) {
	case "none", "0":
		return Expect{Kind: ExpectNone}, nil
	case "exists":
		return Expect{Kind: ExpectExists}, nil
	}
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return Expect{}, fault.New(fault.Invalid, "append", HeaderExpectVersion, "record %d expects version %q; it must be a number, none or exists", i, clip(string(text)))
	}
	return Expect{Kind: ExpectVersion, Version: n}, nil
}

// encodeKeys makes the keys' fact, where the stream does not number them.
func (b *Broker) encodeKeys(e *stream.Entry, n *named) error {
	const perKey = 24 // a first guess at a key with what stands around it
	e.Encoded = stream.EncodedKeys{Bytes: make([]byte, 0, perKey*min(int(e.Header.Count), len(e.Batch)))}
	return b.eachKey(e, n, func(i int, r *record.Record) error {
		if _, expects := r.Header(HeaderExpectVersion); expects {
			return fault.New(fault.Unsupported, "append", n.name, "record %d expects a version, and the stream does not keep them; it needs keys: versioned", i)
		}
		e.Encoded.Add(b.opt.Format, i, r.Key, r.Value == nil)
		return nil
	})
}

// eachKey calls fn for every record of a batch that has a key, with how far it is behind the batch's offset, and refuses those that must have one and
// do not.
func (b *Broker) eachKey(e *stream.Entry, n *named, fn func(i int, r *record.Record) error) error {
	var keyless Keyless
	err := record.EachRecord(e.Batch, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
		i := int(r.Offset - e.Header.BaseOffset)
		switch {
		case r.Key == nil && e.Mode == stream.KeysLatest && !e.Pinned:
			if len(keyless) < keylessMax {
				keyless = append(keyless, int32(i))
			}
			return nil
		case r.Key == nil:
			if _, expects := r.Header(HeaderExpectVersion); expects {
				return fault.New(fault.Invalid, "append", n.name, "record %d has no key, so there is no version of it to expect", i)
			}
			return nil
		case len(r.Key) > b.cfg.KeyBytesMax:
			return fault.New(fault.TooLarge, "append", n.name, "the key of record %d has %d bytes; a stream that keeps keys takes %d", i, len(r.Key), b.cfg.KeyBytesMax)
		}
		return fn(i, r)
	})
	if err == nil && keyless != nil {
		f := fault.New(fault.Invalid, "append", n.name, "record %d has no key; the stream keeps the latest record of each key", keyless[0])
		f.Detail = keyless
		return f
	}
	return err
}

// Keyless is the detail of a fault: the records of a batch that have no key and need one, by their place in it.
type Keyless []int32

const keylessMax = 1000 // of a batch that are told of

const slotScanMax = 8 // slots compared one by one before a batch's keys are indexed

// slot returns the command's slot for a key, reading its version for a new one.
func slot(cmd *shard.Append, pub *shard.Published, id record.StreamID, key []byte) (int32, error) {
	f := pub.Fingerprint(id, key)
	if len(cmd.Slots) < slotScanMax {
		for i := range cmd.Slots {
			if s := &cmd.Slots[i]; s.Stream == id && string(s.Key) == string(key) {
				return int32(i), nil
			}
		}
	} else {
		if cmd.SlotIndex == nil {
			cmd.SlotIndex = make(map[stream.Fingerprint]int32, 4*slotScanMax)
			for i := range cmd.Slots {
				cmd.SlotIndex[pub.Fingerprint(cmd.Slots[i].Stream, cmd.Slots[i].Key)] = int32(i)
			}
		}
		if i, ok := cmd.SlotIndex[f]; ok {
			return i, nil
		}
	}
	v, err := pub.Version(f, id, key)
	if err != nil {
		return 0, err
	}
	i := int32(len(cmd.Slots))
	cmd.Slots = append(cmd.Slots, stream.Slot{Stream: id, Key: key, Version: v})
	if cmd.SlotIndex != nil {
		cmd.SlotIndex[f] = i
	}
	return i, nil
}

// submit hands the open portion in.
func (p *PendingBatches) submit() {
	o := p.open
	if p.open = nil; o == nil || len(o.command.Entries) == 0 {
		return
	}
	if err := p.b.reach(slices.Index(p.b.shards, p.shard), &o.command); err != nil {
		p.fail(o, fault.As(err))
		return
	}
	if err := p.lane.submit(o); err != nil {
		p.fail(o, fault.As(err))
		return
	}
	p.sent = append(p.sent, o)
}

func (p *PendingBatches) fail(o *portion, err *fault.Error) {
	for _, i := range o.place {
		if i != noPlace {
			p.results[i].Err, p.results[i].Quarantined = err, nil
		}
	}
}

// Throttle is how long the caller should send no more, because of what was taken: its quota is spent for so long.
func (p *PendingBatches) Throttle() time.Duration { return p.throttle }

// Done is closed when Wait will not have to wait for the disk. It is nil when there is nothing to wait for.
func (p *PendingBatches) Done() <-chan struct{} {
	if len(p.sent) == 0 {
		return nil
	}
	return p.sent[len(p.sent)-1].request.Done() // portions are answered in order
}

// Wait returns the results, in the order of the entries, when what was appended is durable.
func (p *PendingBatches) Wait(ctx context.Context) []BatchResult {
	for _, o := range p.sent {
		for o != nil {
			o = p.collect(ctx, o)
		}
	}
	p.sent = nil
	return p.results
}

// collect waits for a portion, takes its outcomes, and returns what is left of one that was stale.
func (p *PendingBatches) collect(ctx context.Context, o *portion) *portion {
	err := o.err
	if err == nil {
		if e := o.shard.Wait(ctx, o.request); e != nil {
			err = fault.As(e)
		} else {
			err = o.request.Fault
		}
	}
	if err != nil {
		o.collected.Store(true)
		p.fail(o, err)
		return nil
	}
	for k := range o.command.Outcomes {
		if o.place[k] != noPlace {
			p.take(o.place[k], &o.command.Outcomes[k])
			p.saw(o, k)
			p.failed(o, k)
		}
	}
	if o.command.Stale != stream.Fresh {
		return p.lane.again(o) //nolint:contextcheck // it is done for others, too, who wait longer
	}
	o.collected.Store(true)
	return nil
}

// failed tells which conditions of an entry did not hold: Detail is a []FailedCondition with all of them, Event being the record's place in its batch.
func (p *PendingBatches) failed(o *portion, k int) {
	out := &o.command.Outcomes[k]
	if len(out.Failed) == 0 && !out.Unless {
		return
	}
	name := ""
	if n := p.b.names.of(slices.Index(p.b.shards, p.shard), o.command.Entries[k].Stream); n != nil {
		name = n.name
	}
	failed := make([]FailedCondition, len(out.Failed))
	for i, f := range out.Failed {
		failed[i] = FailedCondition{Event: f.Event, If: -1, Stream: name, Key: string(o.command.Slots[f.Slot].Key), Expected: f.Expect.String(), Current: f.Current}
	}
	why := fault.ReasonVersion
	if out.Unless {
		if failed = p.b.unmet(slices.Index(p.b.shards, p.shard), o.command.Entries[k].Unless, failed); len(out.Failed) == 0 {
			why = fault.ReasonEvent
		}
	}
	f := &failed[0]
	p.results[o.place[k]].Err = fault.New(fault.Conflict, "append", name, "%s", f).Because(why).With(failed)
}

// saw has the catalogue count what was appended.
func (p *PendingBatches) saw(o *portion, k int) {
	if out, e := &o.command.Outcomes[k], &o.command.Entries[k]; out.Err == nil && !out.Duplicate && len(out.Failed) == 0 {
		p.b.sawAppended(p.c, p.b.names.of(slices.Index(p.b.shards, p.shard), e.Stream), &e.Header, e.Batch)
	}
}

func (p *PendingBatches) take(i int, o *stream.Outcome) {
	r := &p.results[i]
	r.Base, r.Start, r.Duplicate, r.Err = o.Base, o.Start, o.Duplicate, o.Err
	switch apart := r.Quarantined; {
	case r.Err == nil && !r.Duplicate:
		p.b.stats.appended(p.c)
		countQuarantined(apart)
	case o.Beside:
		r.Err, r.Quarantined = apart[0].noRoom(o.Err), nil
	default:
		r.Quarantined = nil
	}
}
