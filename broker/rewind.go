package broker

import (
	"context"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// Rewind has a subscription begin again elsewhere with all its partitions, whatever it has settled; StartLatest is a purge. What members
// have is theirs no longer. It takes the right to alter the subscription.
func (b *Broker) Rewind(ctx context.Context, c *Caller, name string, to Start) error {
	x, err := b.findSubscription(c, "rewind", ActionAlter, name)
	if err != nil {
		return err
	}
	if to, err = b.ourStart("rewind", "to", to); err != nil {
		return err
	}
	cmd := &shard.Rewind{Sub: x.id}
	for _, id := range x.doc.StreamIDs {
		n := b.names.of(x.shard, id)
		if n == nil {
			continue // deleted
		}
		begin, err := b.beginnings(n, to)
		if err != nil {
			return err
		}
		cmd.Begin = append(cmd.Begin, begin...)
	}
	if err := b.do(ctx, c, x.namespace, cmd); err != nil {
		return err
	}
	b.countBegun(x.shard, x.id, cmd.Begun) //nolint:contextcheck // what is given back or counted is no part of the request
	return nil
}

// Suspend has nothing handed over until Resume. Leases go on, and what is appended waits.
func (b *Broker) Suspend(ctx context.Context, c *Caller, name string) error {
	return b.suspend(ctx, c, name, true)
}

// Resume ends Suspend.
func (b *Broker) Resume(ctx context.Context, c *Caller, name string) error {
	return b.suspend(ctx, c, name, false)
}

func (b *Broker) suspend(ctx context.Context, c *Caller, name string, on bool) error {
	if _, err := b.findSubscription(c, "alter", ActionAlter, name); err != nil {
		return err
	}
	_, err := b.PutSubscription(ctx, c, name, func(cfg *SubscriptionConfig) error {
		cfg.Policy.Suspended = on
		return nil
	}, Start{Kind: StartLatest}, 0)
	return err
}

// Explanation is how one event stands with a subscription.
type Explanation struct {
	Reads    bool   // the subscription reads that partition
	Reaches  bool   // by its address
	Matches  bool   // by its content too
	State    string // ahead: not looked at yet; settled; coming, available, leased, waiting, dying
	Attempts int
	UntilMS  int64 // of what is leased or waits
}

// Explain says how an event stands with a subscription, and why it was not delivered if it was not.
func (b *Broker) Explain(ctx context.Context, c *Caller, name string, ref record.Ref) (v Explanation, err error) {
	x, err := b.findSubscription(c, "explain", ActionDescribe, name)
	if err != nil {
		return v, err
	}
	src, _, n, err := b.source(c, ref.Stream, ref.Partition)
	if err != nil {
		return v, err
	}
	at := subscription.At{Place: subscription.Place{Stream: src.Stream, Partition: src.Partition}, Offset: ref.Offset}
	q := &shard.Explain{Sub: x.id, At: at}
	if _, err := b.shards[x.shard].Do(ctx, q); err != nil {
		return v, err
	}
	if n.shard != x.shard || !q.Read {
		return v, nil
	}
	v = Explanation{Reads: true, State: q.Condition.State, Attempts: int(q.Condition.Attempts), UntilMS: q.Condition.UntilMS}
	d, err := b.ReadRef(ctx, c, ref)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Trimmed) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	k := b.subs.matchers.Get().(*matching)
	defer b.subs.matchers.Put(k)
	v.Reaches, v.Matches = b.reached(k, x, at.Place, d)
	return v, nil
}
