package kafka

import (
	"context"
	"time"

	"leat/broker"
	"leat/gateway/kafka/group"
	"leat/internal/clock"
)

// Offsets that nobody uses go after a while (KIP-211): those of topics that no member reads so long after they were committed, those of a group without members so
// long after the last one left or, if there never was one or it was of the newer protocol, after each was committed. A group that has neither members nor offsets goes.

// sweepEvery is how often it is looked for them (offsets.retention.check.interval.ms).
const sweepEvery = 10 * time.Minute

// sweep lets go of offsets until ctx ends.
func (x *groups) sweep(ctx context.Context) {
	for clock.Sleep(ctx, sweepEvery) == nil {
		x.sweepOnce(ctx, x.nowMS())
	}
}

func (x *groups) sweepOnce(ctx context.Context, nowMS int64) {
	for _, ns := range x.b.OwnNamespaces() {
		for _, s := range x.b.OwnSubscriptions(ns, documentGroup) {
			if ctx.Err() != nil {
				return
			}
			r, err := x.find(ns, groupID(&s))
			if err == nil {
				err = r.expire(ctx, nowMS)
			}
			if err != nil && err != errNoGroup { //nolint:errorlint // it is returned as it is
				x.log.Warn("offsets of a group could not be looked through", "group", groupID(&s), "error", err)
			}
		}
	}
}

// expire lets go of what is due of one group, and of the group itself when nothing is left of it.
func (r *room) expire(ctx context.Context, nowMS int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || len(r.waiting) > 0 {
		return nil
	}
	c := r.x.b.OwnCaller(r.key.namespace)
	ps, err := r.x.b.Positions(ctx, c, r.name, nil)
	if err != nil {
		return err
	}
	var due []broker.StreamPartition
	for i := range ps {
		if r.due(&ps[i], nowMS) {
			due = append(due, broker.StreamPartition{Stream: ps[i].Stream, Partition: ps[i].Partition})
		}
	}
	if len(due) > 0 {
		if err := r.x.b.ForgetPositions(ctx, c, r.name, due); err != nil {
			return err
		}
	}
	if len(due) == len(ps) && r.State() == group.Empty && (r.classic == nil || r.classic.Settled() && nowMS-r.classic.SinceMS() >= sweepEvery.Milliseconds()) {
		return r.x.dropEmpty(ctx, c, r)
	}
	return nil
}

// due reports whether an offset has been kept for long enough.
func (r *room) due(p *broker.CommittedPosition, nowMS int64) bool {
	since := p.Committed.UnixMilli()
	empty := r.State() == group.Empty
	switch {
	case empty && r.classic != nil && r.classic.Kind() != "":
		since = max(since, r.classic.SinceMS())
	case empty:
	default:
		read, known := r.Subscription()
		if !known || read[p.Stream] {
			return false
		}
	}
	return nowMS-since >= r.x.cfg.OffsetRetention.Milliseconds()
}
