package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// What goes before a subscription had it is counted in the frame in which it goes, and told in the system stream. A subscription that nobody attends
// to loses something in every pass of retention; that is told once, with what it comes to: when somebody comes, and a day after its beginning at
// the latest. Whoever is there is told at once.
//
//	hour 0   30 events wait, the limit     hour 1   a pass: 1 goes     hour 2   1 goes   …   hour 12   somebody comes: one gap of 12 is told
//
// What was not told when the process ended is told when it begins again: the subscription remembers how much of what it has lost was told. What was told just
// before a kill may be told twice.
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
	type one struct {
		gapKey
		untoldGap
	}
	var all []one
	b.subs.gaps.mu.Lock()
	for k, u := range b.subs.gaps.untold {
		if which(k, u) {
			all = append(all, one{k, *u})
			delete(b.subs.gaps.untold, k)
		}
	}
	b.subs.gaps.some.Store(int64(len(b.subs.gaps.untold)))
	b.subs.gaps.mu.Unlock()
	told := map[subKey][]toldGap{}
	for _, g := range all {
		x := b.subs.of(g.shard, g.sub)
		if x == nil {
			continue // deleted
		}
		k := subKey{g.shard, g.sub}
		told[k] = append(told[k], toldGap{Stream: g.at.Stream, Partition: g.at.Partition, Events: g.events, To: g.to})
		b.System(SystemEvent{Type: TypeSubscriptionGap, Subject: x.name, Caller: platformIn(x.namespace), Data: map[string]any{
			"namespace": x.namespace, "stream": b.streamOf(x, g.at.Stream).name, "partition": g.at.Partition, "from": g.from, "to": g.to, "events": g.events, "more": g.more,
		}})
	}
	for k, gs := range told {
		b.subs.chore(func() { b.noteTold(k, gs) })
	}
}

// toldGap is what was told of a partition.
type toldGap struct {
	Stream    record.StreamID    `json:"stream"`
	Partition record.PartitionID `json:"partition"`
	Events    int64              `json:"events"` // of all gaps together
	To        record.Offset      `json:"to"`
}

// noteTold has a subscription remember what was told of it.
func (b *Broker) noteTold(k subKey, gs []toldGap) {
	if !b.opt.System {
		return
	}
	var err error
	for range alterTriesMax {
		x := b.subs.of(k.shard, k.id)
		if x == nil || !x.doc.Tells {
			return
		}
		doc := x.doc
		doc.Told = slices.Clone(x.doc.Told)
		for _, g := range gs {
			i := slices.IndexFunc(doc.Told, func(t toldGap) bool { return t.Stream == g.Stream && t.Partition == g.Partition })
			if i < 0 {
				doc.Told = append(doc.Told, g)
				continue
			}
			doc.Told[i].Events, doc.Told[i].To = doc.Told[i].Events+g.Events, g.To
		}
		doc.Told = slices.DeleteFunc(doc.Told, func(t toldGap) bool { return !slices.Contains(doc.StreamIDs, t.Stream) })
		put := &shard.PutSubscription{Name: subscriptionName(x.namespace, x.name), Revision: x.revision, Policy: doc.Policy, Routed: doc.Routed}
		b.classOf(put, x, &doc, false)
		put.Document = func(_ uint64, class subscription.ClassID) []byte {
			doc.Class = uint32(class)
			return doc.text()
		}
		if _, err = b.shards[k.shard].Do(b.choreContext(), put); !again(err) {
			break
		}
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		b.opt.Log.Warn("what was told of gaps could not be noted; it is told again after a restart", "error", err)
	}
}

// findUntoldGaps tells what was not told before the start.
func (b *Broker) findUntoldGaps() {
	for sh, s := range b.shards {
		for _, g := range s.Published().Gaps() {
			x := b.subs.of(sh, g.Sub)
			if x == nil || !x.doc.Tells {
				continue
			}
			i := slices.IndexFunc(x.doc.Told, func(t toldGap) bool { return t.Stream == g.At.Stream && t.Partition == g.At.Partition })
			if i >= 0 {
				g.From, g.Lost.Count = max(g.From, x.doc.Told[i].To), g.Lost.Count-x.doc.Told[i].Events
			}
			if g.Lost.Count > 0 {
				b.noteGap(sh, g)
			}
		}
	}
	b.tellGaps(func(gapKey, *untoldGap) bool { return true })
}
