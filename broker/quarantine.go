package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// What breaks a contract that says so is put into quarantine: a stream, where it lies with the reason, and a delivery subscription to it, for which it
// waits until somebody has replayed it, dropped it, or received and acknowledged it. It is appended in the same frame as what came with it.
//
//	batch of a producer, 0 to 4, sequence 70          orders/0                 leat.quarantine/0
//	┌───┬───┬───┬───┬───┐                             100 101 ___ 103 104      17: what was 102
//	│ 0 │ 1 │ 2 │ 3 │ 4 │   2 breaks the contract  →   0   1       3   4        2  and why
//	└───┴───┴───┴───┴───┘                             sequences 70 to 74
//
// A batch keeps its offsets and its producer's sequences: what is set apart leaves a hole, as compaction does. So what a producer is told of its other
// records is right, its next batch is the next, and a batch that it sends again is known. Events that come one by one take no offset where they are not.
//
// While quarantine is full a record that breaks its contract is refused, as `reject` would have it.

// QuarantineStream is where such records lie, and the name of the subscription for which they wait. Each namespace has one, once it needs it.
const QuarantineStream = "leat.quarantine"

// Headers of a record in quarantine, behind its own.
const (
	HeaderQuarantineContract  = "leat-quarantine-contract"
	HeaderQuarantineSubject   = "leat-quarantine-subject"
	HeaderQuarantineVersion   = "leat-quarantine-version"   // of the subject; not there where none could be told
	HeaderQuarantineField     = "leat-quarantine-field"     // not there for the payload as a whole
	HeaderQuarantineReason    = "leat-quarantine-reason"    // in words
	HeaderQuarantineStream    = "leat-quarantine-stream"    // where it was to go
	HeaderQuarantinePartition = "leat-quarantine-partition" // not there where the key was to say it
	HeaderQuarantineOffset    = "leat-quarantine-offset"    // where it is missing; not there for events that came one by one
	HeaderQuarantineIndex     = "leat-quarantine-index"     // in its batch or request, from 0
	HeaderQuarantineProtocol  = "leat-quarantine-protocol"
	HeaderQuarantineUser      = "leat-quarantine-user" // not there where nobody was logged in

	quarantinePrefix = "leat-quarantine-"
)

// Limits of quarantine.
const (
	QuarantineEventsMax  = 100_000 // that wait, of a namespace, unless the subscription's max_length says otherwise
	QuarantineBytesMax   = 1 << 30 // likewise, max_bytes
	QuarantinedAtOnceMax = 10_000  // records of one batch
	QuarantineReasonMax  = 1 << 10 // bytes of a reason
	quarantineKeepMS     = 24 * 60 * 60 * 1000
	quarantinedHeaders   = 11
)

// quarantine is a namespace's stream and subscription.
type quarantine struct {
	to  *named
	sub *subscribed
}

// quarantineOf is that of a namespace, which is made when it is not there.
func (b *Broker) quarantineOf(ctx context.Context, namespace string) (q quarantine, err error) {
	if b.opt.Format < fact.Format3 {
		return q, fault.New(fault.Unsupported, "append", QuarantineStream, "quarantine needs a data directory of format %d, and this has %d; run `leat upgrade --finalize`", fact.Format3, b.opt.Format)
	}
	for range alterTriesMax {
		if q.to = b.names.get(namespace, QuarantineStream); q.to == nil {
			cfg := StreamConfig{Partitions: 1, Keys: KeysOff, BatchBytesMax: BatchBytesLimit, Keep: Keep{RetentionMS: quarantineKeepMS}}
			if err = b.create(ctx, platformIn(namespace), QuarantineStream, cfg); err != nil && !fault.Is(err, fault.Exists) {
				return q, err
			}
			continue
		}
		if q.sub = b.subs.get(namespace, QuarantineStream); q.sub != nil {
			if len(q.sub.doc.StreamIDs) != 1 || q.sub.doc.StreamIDs[0] != q.to.id || q.sub.doc.Policy.Kind != SubscriptionDelivery {
				return q, fault.New(fault.Conflict, "append", QuarantineStream, "the subscription %s is another one; delete it", QuarantineStream)
			}
			return q, nil
		}
		err = b.putSubscription(ctx, platformIn(namespace), QuarantineStream, func(c *SubscriptionConfig) error {
			c.Streams = []string{QuarantineStream}
			c.Policy = Policy{Kind: SubscriptionDelivery, LengthMax: QuarantineEventsMax, BytesMax: QuarantineBytesMax, Overflow: OverflowRejectAppend}
			return nil
		}, Start{Kind: StartEarliest}, NewOnly)
		if err != nil && !fault.Is(err, fault.Exists) && !fault.Is(err, fault.Conflict) {
			return q, err
		}
	}
	return q, fault.New(fault.Unavailable, "append", QuarantineStream, "quarantine is being made; try again").From(err)
}

// noRoom is the fault of a record that breaks its contract and cannot be put into quarantine.
func (d *ContractBreak) noRoom(why *fault.Error) *fault.Error {
	if why.Kind != fault.QuotaSpent {
		return why
	}
	f := fault.New(fault.ContractBroken, "append", QuarantineStream, "the contract %s is broken: %s; and quarantine is full: replay or drop some of what is in %s (%s)", d.Contract, d.Text, QuarantineStream, why.Text)
	f.Detail = d
	return f
}

func countQuarantined(apart []*ContractBreak) {
	for _, d := range apart {
		d.stats.Quarantined.Add(1)
	}
}

// apartRecord is a record as it lies in quarantine; blank: its last header is to be filled in.
func apartRecord(c *Caller, r *record.Record, d *ContractBreak, to string, p record.PartitionID, blank bool) record.Record {
	out := *r
	out.Headers = append(make([]record.Header, 0, len(r.Headers)+quarantinedHeaders), asItCame(r.Headers)...)
	say := func(name, value string) {
		if value != "" {
			out.Headers = append(out.Headers, record.Header{Key: name, Value: []byte(value)})
		}
	}
	say(HeaderQuarantineContract, d.Contract)
	say(HeaderQuarantineSubject, d.Subject)
	if d.Version > 0 {
		say(HeaderQuarantineVersion, strconv.Itoa(d.Version))
	}
	say(HeaderQuarantineField, clipTo(d.Field, QuarantineReasonMax))
	say(HeaderQuarantineReason, clipTo(d.Text, QuarantineReasonMax))
	say(HeaderQuarantineStream, to)
	if p != record.NoPartition {
		say(HeaderQuarantinePartition, strconv.Itoa(int(p)))
	}
	say(HeaderQuarantineIndex, strconv.Itoa(d.Index))
	say(HeaderQuarantineProtocol, c.Protocol)
	say(HeaderQuarantineUser, c.Principal)
	if blank {
		say(HeaderQuarantineOffset, record.BlankOffset)
	}
	return out
}

// asItCame are the headers that a record had before it was put into quarantine.
func asItCame(hs []record.Header) []record.Header {
	for i := range hs {
		if strings.HasPrefix(hs[i].Key, quarantinePrefix) {
			kept := append([]record.Header(nil), hs[:i]...)
			for _, h := range hs[i:] {
				if !strings.HasPrefix(h.Key, quarantinePrefix) {
					kept = append(kept, h)
				}
			}
			return kept
		}
	}
	return hs
}

func clipTo(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

// divide makes two batches of one: what keeps its contracts, at the offsets that it would have had, and an entry with the rest. h becomes the header of
// the first.
func (b *Broker) divide(ctx context.Context, c *Caller, n *named, in *BatchEntry, h *record.BatchHeader, apart []*ContractBreak) ([]byte, *stream.Entry, error) {
	q, err := b.quarantineOf(ctx, n.namespace)
	if err != nil {
		return nil, nil, ofBatch(apart[0].Index, apart[0].without(n, err))
	}
	if q.to.shard != n.shard {
		return nil, nil, fmt.Errorf("%s and %s are of one namespace and not of one shard", n.name, q.to.name)
	}
	keep, rest := record.NewBuilder(), record.Draft{}
	e := stream.Entry{Stream: q.to.id, Joined: true, Blanks: make([]record.Blank, 0, len(apart))}
	most, next := batchesBytesMost(b, n), 0
	err = record.EachRecord(in.Batch, record.DefaultInflateLimits(), func(i int, r *record.Record) error {
		if next == len(apart) || apart[next].Index != i {
			keep.Add(r)
			return nil
		}
		out := apartRecord(c, r, apart[next], n.name, in.Partition, true)
		rest.Add(&out)
		e.Blanks = append(e.Blanks, record.Blank{End: int32(rest.Bytes()), Behind: int32(i)})
		keep.Skip(1)
		next++
		if int64(rest.Bytes()) > most {
			return ofBatch(i, apart[next-1].tooMuch(n))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	out, err := keep.Finish(nil, h.Codec())
	if err != nil {
		return nil, nil, err
	}
	e.Batch = rest.Finish()
	if h.ProducerID >= 0 {
		record.StampProducer(out, h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	}
	if h.Transactional() { // it comes to be there, or not, with the rest of its transaction
		record.StampTransactional(out)
		record.StampProducer(e.Batch, h.ProducerID, h.ProducerEpoch, h.BaseSequence)
		record.StampTransactional(e.Batch)
	}
	if *h, err = record.ParseBatchHeader(out); err == nil {
		e.Header, err = record.ParseBatchHeader(e.Batch)
	}
	return out, &e, err
}

// batchesBytesMost is how many bytes of a batch are put into quarantine at most; of one with more, all is refused.
func batchesBytesMost(b *Broker, n *named) int64 { return b.shards[n.shard].CommandBytesMax() / 2 }

// tooMuch is the fault of a record with which more of one batch or request would be put into quarantine than is at once.
func (d *ContractBreak) tooMuch(n *named) error {
	f := fault.As(d.refusal(n))
	f.Text += "; and too many others are as well: so much is not put into quarantine at once"
	return f
}

// without is the fault of a record that breaks its contract where there is no quarantine for it.
func (d *ContractBreak) without(n *named, why error) error {
	f := fault.As(why)
	if f.Retry != fault.Never {
		return why
	}
	x := fault.As(d.refusal(n))
	x.Text += "; and there is no quarantine: " + f.Text
	return x
}

// quarantined is an event that is put into quarantine instead of where it was to go.
type quarantined struct {
	entry EventEntry
	why   *ContractBreak
}

// setApart puts an event into quarantine, unless it was in its stream already. One with an expected version is refused: its producer asks for a decision about
// a key.
func (x *eventsCommand) setApart(ctx context.Context, i int, e *EventEntry, n *named, d *ContractBreak) error {
	switch {
	case e.Expect.Kind != ExpectAny || x.back != nil:
		return d.refusal(n)
	case len(x.apart) >= QuarantinedAtOnceMax:
		return d.tooMuch(n)
	}
	x.where[i] = eventPlace{group: -1, of: -1}
	if e.ID != "" && x.b.cfg.DedupWindow > 0 {
		if dup, err := x.duplicate(i, e, n); dup || err != nil {
			return err
		}
	}
	q, err := x.b.quarantineOf(ctx, n.namespace)
	if err != nil {
		return d.without(n, err)
	}
	// Known again by what it was to be in its stream: one of the same source and id for another stream is another one.
	out := quarantined{EventEntry{Stream: q.to.name, Record: apartRecord(x.c, &e.Record, d, n.name, e.Partition, false), Dated: e.Dated, Source: n.name + "/" + e.Source, ID: e.ID, Within: e.Within}, d}
	if x.apart == nil {
		x.apart = map[int]*quarantined{}
	}
	x.apart[i] = &out
	return x.place(i, &out.entry, q.to)
}

// tellApart has the results of what was put into quarantine say so.
func (x *eventsCommand) tellApart() {
	for i, q := range x.apart {
		r := &x.results[i]
		if r.Quarantined = q.why; !r.Duplicate && x.where[i].of < 0 {
			q.why.stats.Quarantined.Add(1)
		}
	}
}

// comingBack is a record that leaves quarantine with the append.
type comingBack struct {
	sub  subscription.ID
	at   subscription.At
	size int32
}
