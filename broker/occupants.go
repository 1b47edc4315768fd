package broker

import (
	"context"

	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// A gateway may let clients be members of a cursor, which the broker knows nothing of: it tells how many there are.

// SetOccupants has a gateway say how many members are in a cursor that has a document under a key of its own. It is asked with no lock held, and must answer at once.
func (b *Broker) SetOccupants(key string, members func(namespace, name string) int) {
	b.subs.occupants.Store(key, members)
}

// occupants is how many members are in a cursor.
func (b *Broker) occupants(x *subscribed) (n int) {
	for key := range x.doc.Documents {
		if f, ok := b.subs.occupants.Load(key); ok {
			n += f.(func(string, string) int)(x.namespace, x.name)
		}
	}
	return n
}

// rewindPositions has a cursor of no streams of its own begin elsewhere with all partitions of which a position is kept, up to PositionsMax in a frame.
func (b *Broker) rewindPositions(ctx context.Context, c *Caller, x *subscribed, to Start) error {
	pub := b.shards[x.shard].Published()
	cmd := &shard.Commit{Sub: x.id}
	for _, p := range pub.Positions(x.id) {
		n := b.names.of(x.shard, p.Stream)
		src, there := pub.Source(p.Stream, p.Partition)
		if n == nil || !there {
			continue // deleted
		}
		if err := b.allow(c, "rewind", ActionRead, KindStream, n.name); err != nil {
			return err
		}
		o, err := b.offsetOf(pub, n, src, to)
		if err != nil {
			return err
		}
		cmd.Moves = append(cmd.Moves, subscription.Move{Place: p.Place, To: max(o, record.Offset(0)), Epoch: p.Epoch})
	}
	if len(cmd.Moves) == 0 {
		return nil
	}
	return b.do(ctx, c, x.namespace, cmd)
}
