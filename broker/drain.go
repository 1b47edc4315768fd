package broker

import (
	"context"
	"time"

	"leat/broker/shard"
	"leat/broker/subscription"
	"leat/internal/clock"
)

// Draining through a member.
const (
	drainCredit = 4096
	drainWait   = 250 * time.Millisecond // for more that is said to be there
)

// Drain drops what nobody has and that is due, and answers how much that was as far as it has been counted. What members have stays theirs, and what
// they give back comes again; what waits for its time stays. Where another member alone is served, it drops what that has, too. It takes the right to alter the subscription.
func (b *Broker) Drain(ctx context.Context, c *Caller, name string) (int64, error) {
	x, err := b.findSubscription(c, "drain", ActionAlter, name)
	if err != nil {
		return 0, err
	}
	info, err := b.describeSubscription(ctx, x, name)
	if err != nil {
		return 0, err
	}
	ready := info.Waiting - int64(info.Leased) - int64(info.Delayed) - int64(info.Dying)
	switch {
	case ready <= 0 && info.Exact:
		return 0, nil
	case info.Leased == 0 && info.Delayed == 0 && info.Dying == 0:
		return ready, b.Rewind(ctx, c, name, Start{Kind: StartLatest})
	}
	if x.doc.Policy.Members == MembersShared {
		return b.drainMember(ctx, x, max(ready, 1))
	}
	return ready, b.Rewind(ctx, c, name, Start{Kind: StartLatest})
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
	m, err := b.attach(ctx, nil, x, MemberOptions{Credit: int(min(most, drainCredit)), Rank: drainRank})
	if err != nil {
		return 0, err
	}
	defer func() { _ = m.Detach(context.WithoutCancel(ctx), false) }() // what it has goes back
	given := min(most, drainCredit)
	for n < most {
		ls, err := m.take(drainCredit)
		if err != nil {
			return n, err
		}
		if len(ls) == 0 {
			timer := clock.NewTimer(drainWait)
			select {
			case <-m.ready:
				timer.Stop()
				continue
			case <-timer.C:
				return n, nil
			case <-ctx.Done():
				timer.Stop()
				return n, ctx.Err()
			}
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

// drainRank is before that of every member.
const drainRank MemberRank = 1<<31 - 1
