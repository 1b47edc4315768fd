package broker

import (
	"context"
	"time"

	"leat/broker/fault"
	"leat/broker/shard"
	"leat/broker/subscription"
	"leat/internal/clock"
)

// Draining through a member.
const (
	drainCredit  = 4096
	drainLookMax = 30 * time.Second // for all that is there to be shown
)

// Drain drops what nobody has and that is due, and answers how much that was as far as it has been counted. What members have stays theirs, and what
// they give back comes again; what waits for its time stays. It takes the right to alter the subscription.
func (b *Broker) Drain(ctx context.Context, c *Caller, name string) (int64, error) {
	x, err := b.findSubscription(c, "drain", ActionAlter, name)
	if err != nil {
		return 0, err
	}
	if b.subs.shadows.of(subKey{x.shard, x.id}) != nil && x.doc.Policy.Members != MembersShared {
		return 0, b.Rewind(ctx, c, name, Start{Kind: StartLatest}) // it has members of its own kind
	}
	info, err := b.describeSubscription(ctx, x, name)
	if err != nil {
		return 0, err
	}
	ready := info.Waiting - int64(info.Leased) - int64(info.Delayed) - int64(info.Dying)
	if ready <= 0 && info.Exact {
		return 0, nil
	}
	if info.Leased == 0 && info.Delayed == 0 && info.Dying == 0 { // all at once, unless somebody is handed something just now
		err = b.rewind(ctx, c, name, Start{Kind: StartLatest}, true)
		if !fault.Is(err, fault.Conflict) {
			return ready, err
		}
	}
	return b.drainMember(ctx, x, max(ready, 1))
}

// Skip drops the first n of what nobody has, as Drain does, and answers how many those were: fewer when there are fewer. It takes the right to alter
// the subscription.
func (b *Broker) Skip(ctx context.Context, c *Caller, name string, n int64) (int64, error) {
	x, err := b.findSubscription(c, "drain", ActionAlter, name)
	if err != nil || n <= 0 {
		return 0, err
	}
	return b.drainMember(ctx, x, n)
}

// drainMember settles what a member is handed that comes before all others.
func (b *Broker) drainMember(ctx context.Context, x *subscribed, most int64) (n int64, err error) {
	given := min(most, drainCredit)
	m, err := b.attach(ctx, nil, x, MemberOptions{Credit: int(given), Rank: drainRank, apart: true})
	if err != nil {
		return 0, err
	}
	defer func() { _ = m.Detach(context.WithoutCancel(ctx), false) }() // what it has goes back
	for n < most {
		ls, err := m.takeOrRest(ctx)
		if err != nil || len(ls) == 0 {
			return n, err
		}
		hs := make([]subscription.Handle, len(ls))
		for i := range ls {
			hs[i] = ls[i].Handle
		}
		if _, err := b.shards[x.shard].Do(ctx, &shard.Settle{Verb: shard.SettleAck, Why: subscription.Skipped, Handles: hs}); err != nil {
			return n, err
		}
		n += int64(len(ls))
		if more := min(most-given, int64(len(ls))); more > 0 {
			given += more
			if err := m.Grant(ctx, int(more)); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// takeOrRest takes what is handed over, and waits for it until all that is there has been looked at: then it takes nothing.
func (m *Member) takeOrRest(ctx context.Context) ([]subscription.Leased, error) {
	ls, err := m.take(drainCredit)
	if len(ls) > 0 || err != nil {
		return ls, err
	}
	number, err := m.askRest(ctx)
	if err != nil {
		return nil, err
	}
	most := clock.NewTimer(drainLookMax)
	defer most.Stop()
	for {
		r := m.restedBy(number)
		if ls, err = m.take(drainCredit); len(ls) > 0 || err != nil || r.came {
			return ls, err
		}
		select {
		case <-m.ready:
		case <-r.next:
		case <-most.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// drainRank is before that of every member of a shadow.
const drainRank MemberRank = 1<<31 - 1
