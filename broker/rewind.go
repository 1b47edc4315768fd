package broker

import (
	"bytes"
	"cmp"
	"context"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// Rewind has a subscription begin again elsewhere with all its partitions, whatever it has settled; StartLatest is a purge. What members
// have is theirs no longer. It takes the right to alter the subscription.
func (b *Broker) Rewind(ctx context.Context, c *Caller, name string, to Start) error {
	return b.rewind(ctx, c, name, to, false)
}

// rewind is Rewind. untaken: only while no member has anything, else Conflict.
func (b *Broker) rewind(ctx context.Context, c *Caller, name string, to Start, untaken bool) error {
	x, err := b.findSubscription(c, "rewind", ActionAlter, name)
	if err != nil {
		return err
	}
	if to, err = b.ourStart("rewind", "to", to); err != nil {
		return err
	}
	if s := b.subs.shadows.of(subKey{x.shard, x.id}); s != nil {
		if to.Kind != StartLatest {
			return fault.New(fault.Invalid, "rewind", "to", "a shadow keeps nothing: rewind %q, which it shadows; to latest drops what waits", x.doc.ShadowOf)
		}
		s.purge()
		return nil
	}
	if n := b.occupants(x); n > 0 {
		return fault.New(fault.Conflict, "rewind", name, "%d members are in the group and keep their own positions: stop them first", n)
	}
	if x.doc.Policy.Kind == SubscriptionCursor && len(x.doc.Streams) == 0 {
		return b.rewindPositions(ctx, c, x, to)
	}
	cmd := &shard.Rewind{Sub: x.id, Untaken: untaken}
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

// RewindKeyMax is how many events of a key one call hands over again.
const RewindKeyMax = 100_000

// RewindKey hands the events of one key again, from somewhere on, to a subscription that has settled them, with attempts counted anew; those that wait or that
// somebody has stay as they are. It answers how many, and reads all that the subscription was reached by since: TooLarge when there are more of that key than
// RewindKeyMax, of which the first ones were handed over then. It takes the right to alter the subscription.
func (b *Broker) RewindKey(ctx context.Context, c *Caller, name string, to Start, key []byte) (int, error) {
	x, err := b.findSubscription(c, "rewind", ActionAlter, name)
	if err != nil {
		return 0, err
	}
	if to, err = b.ourStart("rewind", "to", to); err != nil {
		return 0, err
	}
	if x.doc.ShadowOf != "" {
		return 0, fault.New(fault.Invalid, "rewind", "to", "a shadow keeps nothing: rewind %q, which it shadows", x.doc.ShadowOf)
	}
	done := 0
	for _, id := range x.doc.StreamIDs {
		n := b.names.of(x.shard, id)
		if n == nil {
			continue // deleted
		}
		begin, err := b.beginnings(n, to)
		if err != nil {
			return done, err
		}
		for i := range begin {
			some, err := b.reviveKey(ctx, x, &begin[i], key, RewindKeyMax-done)
			if done += some; err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// reviveKey does so for one partition.
func (b *Broker) reviveKey(ctx context.Context, x *subscribed, from *shard.Beginning, key []byte, most int) (done int, err error) {
	pub := b.shards[x.shard].Published()
	src, ok := pub.Source(from.Stream, from.Partition)
	if !ok || from.Latest {
		return 0, nil
	}
	n, hash := b.streamOf(x, from.Stream), keyHash(key)
	cmd := &shard.Revive{Sub: x.id, At: from.Place}
	flush := func() error {
		if len(cmd.Revivals) == 0 {
			return nil
		}
		_, err := b.shards[x.shard].Do(ctx, cmd)
		done += cmd.Revived
		cmd = &shard.Revive{Sub: x.id, At: from.Place}
		return err
	}
	start, end := src.Part.Ends()
	for at := max(from.From, start); at < end; {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		var failed error
		through, err := b.eachReaching(x, from.Place, at, end, countPauseSize, func(m *subscription.Meta, matches bool) bool {
			if !matches || m.Key != hash && m.Key != 0 {
				return true
			}
			d, err := b.readOffset(pub, n, src, m.Offset) // another key may have the same hash
			if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Trimmed) {
				return true
			}
			if failed = err; err != nil || !bytes.Equal(d.Record.Key, key) {
				return err == nil
			}
			v := *m
			v.Key = hash
			cmd.Revivals = append(cmd.Revivals, subscription.Revival{Meta: v})
			return len(cmd.Revivals) < subscription.ReviveMax
		})
		if err = cmp.Or(failed, err); err != nil {
			return done, err
		}
		if len(cmd.Revivals) > most-done {
			return done, cmp.Or(flush(), error(fault.New(fault.TooLarge, "rewind", "key", "there are more than %d events of that key; rewind to a later place", RewindKeyMax)))
		}
		if err := flush(); err != nil {
			return done, err
		}
		at = through
	}
	return done, nil
}

// ReplayFailed hands over again what the subscription has given up since somewhere in the stream of its dead letters, as Replay does, and leaves out what was
// dropped. It answers how many were brought back. What dies again meanwhile is not met a second time.
func (b *Broker) ReplayFailed(ctx context.Context, c *Caller, name string, since Start, perSecond int) (int, error) {
	x, err := b.findSubscription(c, "rewind", ActionAlter, name)
	if err != nil {
		return 0, err
	}
	if x.doc.DeadLetters == "" {
		return 0, fault.New(fault.Invalid, "rewind", "failed", "the subscription keeps no dead letters, so nothing is known of what failed")
	}
	var refs []record.Ref
	for more := true; more; {
		var ls []DeadLetter
		var next record.Position
		if ls, next, more, err = b.DeadLetters(ctx, c, name, since, ReceiveMax); err != nil {
			return 0, err
		}
		for i := range ls {
			refs = append(refs, ls[i].Ref)
		}
		if len(refs) > RewindKeyMax {
			return 0, fault.New(fault.TooLarge, "rewind", "to", "more than %d failed since; begin later, or drop some", RewindKeyMax)
		}
		since = Start{Kind: StartPosition, Position: next}
	}
	done := 0
	for at := 0; at < len(refs); at += subscription.ReviveMax {
		n, err := b.replay(ctx, c, x, refs[at:min(at+subscription.ReviveMax, len(refs))], perSecond, at)
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
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

	Clause      string // of the condition, which it does not meet; "" where Matches
	ClauseError string // why, where that could not be told of it
	DeliveredMS int64  // when it was handed over last, as far as that is remembered; 0: it is not, or it was not
	SettledMS   int64  // when it was acked or rejected, likewise
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
	v.DeliveredMS, v.SettledMS = b.subs.recent.of(x.shard, x.id, at)
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
	if !v.Reaches || v.Matches {
		return v, nil
	}
	k.read(x, n, d)
	if where := x.whereAt(d.Position.Seq); where != nil {
		v.Clause, v.ClauseError = where.failing(k.extract)
	}
	if policy, _ := x.policyAt(n.id, d.Position.Seq); policy != nil && v.Clause == "" {
		v.Clause, v.ClauseError = policy.Failing(k.extract)
	}
	return v, nil
}
