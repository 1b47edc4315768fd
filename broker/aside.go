package broker

import (
	"context"
	"errors"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// A record that waits (a failing one, one that is delayed for a week, one whose receiver has gone) holds back all behind it, and with that whole files. Where
// retention would let go of a partition's records and subscriptions need a few of them, those are copied to AsideStream, in the frame that says where they lie
// from then on, and delivered from there as if nothing had happened:
//
//	pass n     retention would cut at 9,000; billing needs 17 ── copy of 17, and "17 lies at leat.aside/0/4" ── one frame
//	pass n+1   nothing before 9,000 is needed any more: cut
//
// Copies go when nobody needs them.

// AsideStream is where records are copied that wait while those around them go. Each namespace has one, once it needs it.
const AsideStream = "leat.aside"

// HeaderAside is the ref of the record that one in AsideStream is a copy of.
const HeaderAside = "leat-aside-origin"

const (
	asideBatch      = 128            // records copied in one frame
	asidePassMax    = 10_000         // in one pass
	asideShare      = 8              // of so many records one may wait for that; where more do, somebody is behind, for whom retention waits as far as it may
	asideHoldersMax = 100            // subscriptions of one partition that are looked at
	asideKeepMS     = 60 * 60 * 1000 // of copies that nobody needs; longer than a pass, which has asked before what is needed
)

// setAside copies what waits before an offset of a partition, unless it is too much. It is called by a pass of retention, and budget is what that has left.
func (b *Broker) setAside(ctx context.Context, n *named, at subscription.Place, before record.Offset, budget *int) error {
	if n.name == AsideStream || n.name == QuarantineStream || *budget <= 0 { // what waits in quarantine is listed from there
		return nil
	}
	holders, err := b.shards[n.shard].Published().HoldersOf(at, before)
	if err != nil || len(holders) == 0 || len(holders) > asideHoldersMax {
		return err
	}
	type found struct {
		x       *subscribed
		offsets []record.Offset
	}
	var all []found
	for _, h := range holders {
		x := b.subs.of(n.shard, h.Sub)
		if x == nil || x.doc.Policy.Kind != SubscriptionDelivery {
			return nil // a position needs all behind it
		}
		q := &shard.Straggle{Sub: h.Sub, At: at, Before: before}
		if _, err := b.shards[n.shard].Do(ctx, q); err != nil {
			return err
		}
		if !q.Known || int64(len(q.Offsets))*asideShare > int64(before-h.From) {
			return nil // not looked at yet, or too much: whatever others have there stays as well
		}
		all = append(all, found{x, q.Offsets})
	}
	for _, f := range all {
		for len(f.offsets) > 0 && *budget > 0 {
			some := f.offsets[:min(asideBatch, len(f.offsets))]
			f.offsets = f.offsets[len(some):]
			*budget -= len(some)
			if err := b.copyAside(ctx, n, f.x, at, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyAside copies some records of a subscription and says where they lie.
func (b *Broker) copyAside(ctx context.Context, n *named, x *subscribed, at subscription.Place, offsets []record.Offset) error {
	to, err := b.asideOf(ctx, x.namespace)
	if err != nil {
		return err
	}
	for range resolveTriesMax {
		cmd := &shard.SetAside{Sub: x.id, At: at}
		cmd.Atomic = true
		cmd.Origin = platformIn(x.namespace).origin()
		cmd.ResolvedAt = b.shards[x.shard].Published().Seq()
		for _, o := range offsets {
			d, err := b.readLying(x, subscription.At{Place: at, Offset: o})
			if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Trimmed) {
				continue // it is found out when it is delivered
			}
			if err != nil {
				return err
			}
			r := *d.Record
			r.Headers = append(append(make([]record.Header, 0, len(r.Headers)+1), r.Headers...), record.Header{Key: HeaderAside, Value: []byte(d.Ref.String())})
			e, err := b.entryTo(to, &r)
			if err != nil {
				return err
			}
			if err := b.resolveKeys(&cmd.Append, &e, to); err != nil {
				return err
			}
			cmd.Entries, cmd.Offsets = append(cmd.Entries, e), append(cmd.Offsets, o)
		}
		if len(cmd.Entries) == 0 {
			return nil
		}
		if err := b.reach(x.shard, &cmd.Append); err != nil {
			return err
		}
		if err := b.do(ctx, platformIn(x.namespace), n.namespace, cmd); err != nil {
			return err
		}
		if cmd.Stale == stream.Fresh {
			var errs []error
			for i := range cmd.Outcomes {
				if e := cmd.Outcomes[i].Err; e != nil {
					errs = append(errs, e)
				}
			}
			return errors.Join(errs...)
		}
	}
	return nil // the next pass tries again
}

// asideOf is the namespace's stream of copies, which is made when it is not there.
func (b *Broker) asideOf(ctx context.Context, namespace string) (*named, error) {
	if n := b.names.get(namespace, AsideStream); n != nil {
		return n, nil
	}
	err := b.create(ctx, platformIn(namespace), AsideStream, StreamConfig{Partitions: 1, Keys: KeysOff, Keep: Keep{RetentionMS: asideKeepMS}})
	if err != nil && !fault.Is(err, fault.Exists) {
		return nil, err
	}
	n := b.names.get(namespace, AsideStream)
	if n == nil {
		return nil, fault.New(fault.Unavailable, "truncate", AsideStream, "the stream of copies is being made")
	}
	return n, nil
}
