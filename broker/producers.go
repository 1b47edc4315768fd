package broker

import (
	"context"

	"leat/broker/fault"
	"leat/broker/shard"
)

// NewProducer gives out an id for a producer that numbers its batches. Its epoch starts at 0.
func (b *Broker) NewProducer(ctx context.Context, c *Caller) (id int64, epoch int16, err error) {
	if c.Principal == "" && b.UsersExist() {
		return 0, 0, fault.New(fault.Denied, "produce", "", "log in first: this node has users").Because(fault.ReasonLogin)
	}
	x := &shard.AllocateProducer{}
	if err := b.do(ctx, c, c.namespace(), x); err != nil {
		return 0, 0, err
	}
	return x.ID, 0, nil
}
