package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/record"
	"leat/broker/subscription"
)

// What goes before a subscription had it is counted in the frame in which it goes, and told in the system stream. A subscription that nobody attends
// to loses something in every pass of retention; that is told once, with what it comes to: when somebody comes, and a day after its beginning at
// the latest. Whoever is there is told at once.
//
//	hour 0   30 events wait, the limit     hour 1   a pass: 1 goes     hour 2   1 goes   …   hour 12   somebody comes: one gap of 12 is told
//
// What is not told yet when the process is killed is told no more; it is counted all the same.
const (
	gapUntoldMax  = 24 * time.Hour
	gapsUntoldMax = 10_000 // kept to be told; more are told at once
)

type gaps struct {
	mu     sync.Mutex
	untold map[gapKey]*untoldGap
	some   atomic.Int64 // how many
}

type gapKey struct {
	shard int
	sub   subscription.ID
	at    subscription.Place
}

type untoldGap struct {
	from, to record.Offset
	events   int64
	more     bool
	since    time.Time
}

// noteGap takes note that events went before a subscription had them.
func (b *Broker) noteGap(sh int, g subscription.Gap) {
	k, now := gapKey{sh, g.Sub, g.At}, b.opt.Clock.Now()
	b.subs.gaps.mu.Lock()
	u := b.subs.gaps.untold[k]
	if u == nil {
		u = &untoldGap{from: g.From, since: now}
		if b.subs.gaps.untold == nil {
			b.subs.gaps.untold = map[gapKey]*untoldGap{}
		}
		b.subs.gaps.untold[k] = u
	}
	u.to, u.events, u.more = g.To, u.events+g.Lost.Count, u.more || g.More
	b.subs.gaps.some.Store(int64(len(b.subs.gaps.untold)))
	crowded := len(b.subs.gaps.untold) > gapsUntoldMax
	b.subs.gaps.mu.Unlock()
	if crowded || b.attended(sh, g.Sub) {
		b.tellGaps(func(x gapKey, _ *untoldGap) bool { return x == k })
	}
}

// attended reports whether somebody who stays receives from a subscription.
func (b *Broker) attended(sh int, id subscription.ID) (some bool) {
	b.subs.members.Range(func(_, v any) bool {
		m := v.(*Member)
		some = m.x.shard == sh && m.x.id == id && !m.pulls.Load()
		return !some
	})
	return some
}

// tellGapsTo tells of what a subscription has missed, since somebody has come.
func (b *Broker) tellGapsTo(x *subscribed) {
	if b.subs.gaps.some.Load() == 0 {
		return
	}
	b.tellGaps(func(k gapKey, _ *untoldGap) bool { return k.shard == x.shard && k.sub == x.id })
}

// tellOldGaps tells of what has waited long enough.
func (b *Broker) tellOldGaps() {
	now := b.opt.Clock.Now()
	b.tellGaps(func(_ gapKey, u *untoldGap) bool { return now.Sub(u.since) >= gapUntoldMax })
}

func (b *Broker) tellGaps(which func(gapKey, *untoldGap) bool) {
	type told struct {
		gapKey
		untoldGap
	}
	var all []told
	b.subs.gaps.mu.Lock()
	for k, u := range b.subs.gaps.untold {
		if which(k, u) {
			all = append(all, told{k, *u})
			delete(b.subs.gaps.untold, k)
		}
	}
	b.subs.gaps.some.Store(int64(len(b.subs.gaps.untold)))
	b.subs.gaps.mu.Unlock()
	for _, g := range all {
		x := b.subs.of(g.shard, g.sub)
		if x == nil {
			continue // deleted
		}
		b.System(SystemEvent{Type: TypeSubscriptionGap, Subject: x.name, Caller: platformIn(x.namespace), Data: map[string]any{
			"namespace": x.namespace, "stream": b.streamOf(x, g.at.Stream).name, "partition": g.at.Partition, "from": g.from, "to": g.to, "events": g.events, "more": g.more,
		}})
	}
}
