package broker

import (
	"context"
	"slices"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// A subscription of kind cursor keeps one position for each partition, which whoever reads moves himself: records are read, not received. One that names
// no streams keeps positions of any stream of its namespace, from when one is committed.

// PositionsMax is how many positions one call commits or forgets.
const PositionsMax = subscription.SourcesMax

// PositionCommit is a position to be kept.
type PositionCommit struct {
	Stream      string
	Partition   record.PartitionID
	Offset      record.Offset // of the record that is to be read next
	LeaderEpoch int32         // as the client says; -1: not known
	Metadata    string        // kept with it, at most subscription.CursorMetadataMax bytes
}

// CommittedPosition is a position that is kept, and how far the partition goes.
type CommittedPosition struct {
	PositionCommit
	Committed time.Time // zero: nobody has; it is where the subscription began
	Start     record.Offset
	End       record.Offset
	Lag       int64 // records from the position to the end, or to the first one of an open transaction
}

// CommitPositions keeps positions, all or none of them, in one frame: once it returns they survive a crash. They may go back as well as forth, and
// lie behind the end. It takes the right to read the subscription and the streams.
func (b *Broker) CommitPositions(ctx context.Context, c *Caller, name string, ps []PositionCommit) error {
	x, moves, err := b.moves(c, name, ps)
	if err != nil {
		return err
	}
	b.sawCommit(c, x, ps)
	return b.do(ctx, c, x.namespace, &shard.Commit{Sub: x.id, Moves: moves})
}

// Positions are those that are kept, by stream and partition: of some streams, or of all where none is named. Streams that are gone are left out.
// It takes the right to describe the subscription.
func (b *Broker) Positions(_ context.Context, c *Caller, name string, streams []string) ([]CommittedPosition, error) {
	x, err := b.findCursor(c, "describe", ActionDescribe, name)
	if err != nil {
		return nil, err
	}
	return b.positions(x, streams), nil
}

func (b *Broker) positions(x *subscribed, streams []string) []CommittedPosition {
	pub := b.shards[x.shard].Published()
	kept := pub.Positions(x.id)
	out := make([]CommittedPosition, 0, len(kept))
	for i := range kept {
		k := &kept[i]
		n := b.names.of(x.shard, k.Stream)
		if n == nil || len(streams) > 0 && !slices.Contains(streams, n.name) {
			continue
		}
		part := pub.Part(k.Stream, k.Partition)
		if part == nil {
			continue
		}
		p := CommittedPosition{PositionCommit: PositionCommit{Stream: n.name, Partition: k.Partition, Offset: k.To, LeaderEpoch: k.Epoch - 1, Metadata: string(k.Metadata)}}
		if k.MovedMS > 0 {
			p.Committed = time.UnixMilli(k.MovedMS)
		}
		var stable record.Offset
		p.Start, stable, p.End = part.Bounds()
		p.Lag = max(int64(stable-max(p.Offset, p.Start)), 0)
		out = append(out, p)
	}
	return out
}

// StreamPartition names a partition.
type StreamPartition struct {
	Stream    string
	Partition record.PartitionID
}

// ForgetPositions has positions kept no more, all of them in one frame; such as are not kept are passed over. It takes the right to alter the subscription.
func (b *Broker) ForgetPositions(ctx context.Context, c *Caller, name string, ps []StreamPartition) error {
	x, err := b.findCursor(c, "forget", ActionAlter, name)
	if err != nil {
		return err
	}
	if len(ps) > PositionsMax {
		return fault.New(fault.TooLarge, "forget", name, "%d positions at once; the limit is %d", len(ps), PositionsMax)
	}
	cmd := &shard.ForgetPositions{Sub: x.id}
	for _, p := range ps {
		if n := b.names.get(x.namespace, p.Stream); n != nil {
			cmd.Places = append(cmd.Places, subscription.Place{Stream: n.id, Partition: p.Partition})
		}
	}
	return b.do(ctx, c, x.namespace, cmd)
}

func (b *Broker) findCursor(c *Caller, op string, a Action, name string) (*subscribed, error) {
	x, err := b.findSubscription(c, op, a, name)
	if err == nil && x.doc.Policy.Kind != SubscriptionCursor {
		return nil, fault.New(fault.Invalid, op, name, "the subscription keeps what became of each record, not positions: receive and ack")
	}
	return x, err
}

// describeCursor says how far a cursor is behind.
func (b *Broker) describeCursor(x *subscribed, info *SubscriptionInfo) {
	pub := b.shards[x.shard].Published()
	info.Exact = true
	info.Members = b.occupants(x)
	for _, p := range b.positions(x, nil) {
		info.Waiting += p.Lag
		n := b.names.get(x.namespace, p.Stream)
		if p.Lag == 0 || n == nil {
			continue
		}
		src, ok := pub.Source(n.id, p.Partition)
		if !ok {
			continue
		}
		run, found, err := pub.Seek(src, func(r *stream.Run) bool { return r.Next > p.Offset })
		if err == nil && found && (info.Oldest.IsZero() || run.TimeMS < info.Oldest.UnixMilli()) {
			info.Oldest = time.UnixMilli(run.TimeMS)
		}
	}
}

// checkCursor refuses what only makes sense where records are handed over.
func (d *subscriptionDocument) checkCursor() error {
	p := &d.Policy
	for _, v := range []struct {
		name string
		said bool
	}{
		{"address", d.Routed || len(d.Address) > 0},
		{"where", d.Where != "" || d.Selector != "" || len(d.Policies) > 0}, {"marks", d.Marks},
		{"dead_letters", d.DeadLetters != "" || d.Undertaker != ""},
		{"order", p.Order != 0}, {"members", p.Members != 0}, {"volatile", p.Volatile}, {"suspended", p.Suspended}, {"event_ttl", p.Expires},
		{"max_attempts", p.AttemptsMax != 0}, {"delay", p.DelayMS != 0}, {"ttl", p.TTLMS != 0}, {"max_length", p.LengthMax != 0 || p.BytesMax != 0},
	} {
		if v.said {
			return fault.New(fault.Invalid, "subscribe", v.name, "a subscription that keeps positions hands nothing over: %s says nothing there", v.name)
		}
	}
	return nil
}
