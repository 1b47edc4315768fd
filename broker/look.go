package broker

import (
	"hash/fnv"
	"strconv"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// Headers of a record that subscriptions look at.
const (
	HeaderPriority  = "leat-priority"   // 0 to 31, where the subscription has priorities
	HeaderDeliverAt = "leat-deliver-at" // ms since 1970: not delivered before
	HeaderExpiresAt = "leat-expires-at" // ms since 1970: not delivered after
)

const (
	lookReadMin    = 16 << 10 // read at a time, at first: who wants a few records is not shown ten thousand small batches
	lookReadMax    = 1 << 20
	lookBytesMax   = 4 << 20 // read for one answer, which may say that there is more to look at
	countPauseSize = 64 << 20
)

// look reads what a subscription wants to be shown of a partition.
func (b *Broker) look(sh int, w subscription.Want) (*subscription.Feed, []subscription.Handle, error) {
	f := &subscription.Feed{Want: w, Through: w.From}
	select {
	case <-b.subs.opened:
	case <-b.subs.stop:
		return f, nil, fault.New(fault.Unavailable, "receive", "", "the node is stopping")
	}
	x := b.subs.of(sh, w.Sub)
	if x == nil {
		return f, nil, nil // deleted meanwhile
	}
	var skipped []subscription.Handle
	through, err := b.eachMatch(x, w.Place, w.From, w.To, lookBytesMax, func(m *subscription.Meta, matches bool) bool {
		if matches {
			f.Records = append(f.Records, *m)
		} else {
			skipped = append(skipped, subscription.Handle{
				Sub: w.Sub, At: subscription.At{Place: w.Place, Offset: m.Offset}, Turn: w.Turn, Size: m.Size,
			})
		}
		return len(f.Records) < w.Max && len(skipped) < w.Max+1000
	})
	if f.Through = through; err != nil && through > w.From {
		err = nil // what was found is of use, and who goes on meets the error again
	}
	return f, skipped, err
}

// eachMatch calls fn for the records of a partition from one offset to another that reach a subscription, until it answers false or
// so many bytes were read. matches: their content matches too. It returns how far it came.
func (b *Broker) eachMatch(x *subscribed, at subscription.Place, from, to record.Offset, bytesMax int, fn func(m *subscription.Meta, matches bool) bool) (record.Offset, error) {
	pub := b.shards[x.shard].Published()
	src, ok := pub.Source(at.Stream, at.Partition)
	if !ok {
		return to, nil // the stream is gone for good, and its records with it
	}
	n := b.streamOf(x, at.Stream)
	k := b.subs.matchers.Get().(*matching)
	defer func() {
		clear(k.batches[:cap(k.batches)])
		b.subs.matchers.Put(k)
	}()
	room := lookReadMin
	for read := 0; from < to && read < bytesMax; {
		if start := src.Part.Start(); from < start {
			from = min(start, to)
			continue
		}
		batches, err := pub.Read(k.batches[:0], src, from, room, shard.AllSeqs)
		k.batches, room = batches, min(2*room, lookReadMax)
		if fault.Is(err, fault.Trimmed) && src.Part.Start() > from {
			continue
		}
		if err != nil {
			return from, err
		}
		if len(batches) == 0 {
			return to, nil // compacted away up to the end
		}
		for _, s := range batches {
			events, err := b.decode(n, at.Partition, s)
			if err != nil {
				return from, err
			}
			f := x.filterAt(s.Seq)
			for i := range events {
				d := &events[i]
				o := d.Ref.Offset
				if o < from {
					continue
				}
				if o >= to {
					return to, nil
				}
				reaches, matches := k.judge(x, f, n, d, s.Seq)
				if from = o; !reaches {
					continue
				}
				m := meta(d, s)
				if from = o + 1; !fn(&m, matches) {
					return from, nil
				}
			}
			from = max(from, min(s.Next, to))
			read += len(s.Raw)
		}
	}
	return from, nil
}

// judge says whether a record reaches a subscription, and whether its content matches. An error of the condition is no match; the
// condition counts it.
func (k *matching) judge(x *subscribed, f *compiledFilter, n *named, d *Delivered, seq uint64) (reaches, matches bool) {
	if x.doc.Routed {
		typ := DefaultEventType
		if n.config.DefaultType != "" {
			typ = n.config.DefaultType
		}
		k.rec.Of(n.id, d.Record, typ, &k.scratch)
		if !k.m.Match(f.index, &k.rec) {
			return false, false
		}
	}
	policy, some := x.policyAt(n.id, seq)
	switch {
	case some && policy == nil:
		return true, false
	case !some && f.where == nil:
		return true, true
	}
	k.event = d.Event()
	k.input.Reset(&k.event, n.name, d.Ref.Partition, d.Ref.Offset)
	ok := true
	if f.where != nil {
		ok, _ = f.where.Match(&k.input)
	}
	if some && ok {
		k.extract.Reset(&k.input)
		ok, _ = policy.Match(k.extract)
	}
	return true, ok
}

// meta is what a subscription has to know of a record.
func meta(d *Delivered, s *shard.Batch) subscription.Meta {
	r := d.Record
	m := subscription.Meta{
		Offset: d.Ref.Offset, Seq: s.Seq, AppendedMS: s.TimeMS, Size: int32(share(len(s.Raw), int64(s.Next-s.Base), int64(d.Ref.Offset-s.Base))),
	}
	if r.Key != nil {
		m.Key = keyHash(r.Key)
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		switch h.Key {
		case HeaderPriority:
			if v, err := strconv.ParseUint(string(h.Value), 10, 8); err == nil {
				m.Priority = uint8(v)
			}
		case HeaderDeliverAt:
			m.DueMS = timeHeader(h.Value)
		case HeaderExpiresAt:
			m.ExpiresMS = timeHeader(h.Value)
		}
	}
	return m
}

// timeHeader reads a time; what is none is as if it was not there.
func timeHeader(p []byte) int64 {
	v, err := strconv.ParseInt(string(p), 10, 64)
	if err != nil || v < 0 {
		return 0
	}
	return v
}

// keyHash is FNV-1a, the same in every process, and never 0.
func keyHash(key []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(key) // never fails
	return max(h.Sum64(), 1)
}

// countBegun counts what there was for a subscription before it began, in the background.
func (b *Broker) countBegun(sh int, id subscription.ID, begun []subscription.Start) {
	for _, s := range begun {
		if s.From < s.End {
			b.subs.chore(func() { b.count(sh, id, s) })
		}
	}
}

func (b *Broker) count(sh int, id subscription.ID, s subscription.Start) {
	x := b.subs.of(sh, id)
	if x == nil {
		return
	}
	var n subscription.Amount
	var err error
	if x.doc.Routed {
		n, err = b.countMatches(x, &s)
	} else {
		n, err = b.countAll(x, &s)
	}
	if err == nil {
		_, err = b.shards[sh].Do(b.choreContext(), &shard.Count{Sub: id, Start: s, Amount: n})
	}
	if err != nil {
		b.opt.Log.Warn("what a subscription began with could not be counted; its depth is inexact until it has caught up", "subscription", x.name, "error", err)
	}
}

// countAll counts offsets, those that hold nothing any more too: they are settled as they are met.
func (b *Broker) countAll(x *subscribed, s *subscription.Start) (n subscription.Amount, err error) {
	pub := b.shards[x.shard].Published()
	src, ok := pub.Source(s.Stream, s.Partition)
	if !ok {
		return n, nil
	}
	n.Count = int64(s.End - s.From)
	err = pub.Walk(src, max(s.From, src.Part.Start()), func(r *stream.Run) bool {
		all := int64(r.Next - r.Base)
		lo, hi := max(s.From, r.Base), min(s.End, r.Next)
		if lo < hi && all > 0 {
			n.Bytes += r.Bytes*int64(hi-r.Base)/all - r.Bytes*int64(lo-r.Base)/all
		}
		return r.Next < s.End
	})
	return n, err
}

func (b *Broker) countMatches(x *subscribed, s *subscription.Start) (n subscription.Amount, err error) {
	for from := s.From; from < s.End && err == nil; {
		select {
		case <-b.subs.stop:
			return n, fault.New(fault.Unavailable, "subscribe", x.name, "the node is stopping")
		default:
		}
		from, err = b.eachMatch(x, s.Place, from, s.End, countPauseSize, func(m *subscription.Meta, _ bool) bool {
			n.Count++
			n.Bytes += int64(m.Size)
			return true
		})
	}
	return n, err
}
