package broker

import (
	"hash/fnv"
	"sort"
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
	// What is not stable is no gap: it is looked for again when its transaction has ended.
	if part := b.shards[sh].Published().Part(w.Stream, w.Partition); part != nil {
		if w.To = min(w.To, part.Stable()); w.To <= w.From {
			return f, nil, nil
		}
	}
	through, err := b.eachReaching(x, w.Place, w.From, w.To, lookBytesMax, func(m *subscription.Meta, matches bool) bool {
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

// eachReaching calls fn for the records of a partition from one offset to another that reach a subscription, until it answers false or
// so many bytes were read. matches: their content matches too. It returns how far it came. Records of others are not looked at where routes tell whose they are.
func (b *Broker) eachReaching(x *subscribed, at subscription.Place, from, to record.Offset, bytesMax int, fn func(m *subscription.Meta, matches bool) bool) (record.Offset, error) {
	if !x.doc.Routed {
		return b.eachMatch(x, at, from, to, bytesMax, fn)
	}
	pub := b.shards[x.shard].Published()
	ways, ok := pub.Ways(x.id, at)
	if !ok || to <= ways.From {
		return b.eachMatch(x, at, from, to, bytesMax, fn)
	}
	if from < ways.From {
		more := true
		through, err := b.eachMatch(x, at, from, ways.From, bytesMax, func(m *subscription.Meta, matches bool) bool {
			more = fn(m, matches)
			return more
		})
		if err != nil || !more || through < ways.From {
			return through, err
		}
		from = ways.From
	}
	return b.eachHit(x, at, &ways, from, to, bytesMax, fn)
}

// eachHit is eachReaching where routes tell. Only what they do not tell of a record is read.
func (b *Broker) eachHit(x *subscribed, at subscription.Place, ways *subscription.Ways, from, to record.Offset, bytesMax int, fn func(m *subscription.Meta, matches bool) bool) (record.Offset, error) {
	pub := b.shards[x.shard].Published()
	src, ok := pub.Source(at.Stream, at.Partition)
	if !ok {
		return to, nil // the stream is gone for good, and its records with it
	}
	k := b.subs.matchers.Get().(*matching)
	defer b.freeMatching(k)
	r := hitReader{b: b, pub: pub, src: src, n: b.streamOf(x, at.Stream), k: k}
	hider, err := pub.Hider(src, from, to)
	if err != nil {
		return from, err
	}
	through, err := pub.EachHit(at, ways, max(from, min(src.Part.Start(), to)), to, func(h *subscription.Hit) bool {
		if hider != nil {
			var hides bool
			if hides, r.err = hider.Hides(h.Offset); r.err != nil {
				return false
			} else if hides {
				return fn(&subscription.Meta{Offset: h.Offset, Size: h.Size, Seq: h.Seq, AppendedMS: h.AppendedMS}, false)
			}
		}
		if h.Plain && !x.judged(at.Stream, h.Seq) {
			return fn(&subscription.Meta{Offset: h.Offset, Size: h.Size, Seq: h.Seq, Step: h.Step, AppendedMS: h.AppendedMS}, true)
		}
		d, s := r.read(h.Offset)
		if d == nil {
			return r.err == nil // it is not there any more
		}
		m := meta(d, s)
		m.Step = h.Step
		x.delay(&m, r.n.id, h.Seq)
		return fn(&m, k.matches(x, r.n, d, h.Seq)) && r.bytes < bytesMax
	})
	if r.err != nil {
		return through - 1, r.err
	}
	return through, err
}

// hitReader reads single records of a partition, in ascending order.
type hitReader struct {
	b      *Broker
	pub    *shard.Published
	src    shard.Source
	n      *named
	k      *matching
	at     int // of k.batches, the one that was read last
	events []Delivered
	room   int
	bytes  int
	err    error
}

// read returns the record at an offset, nil where there is none or err says why. Records that lie close together are read together.
func (r *hitReader) read(o record.Offset) (*Delivered, *shard.Batch) {
	for r.at < len(r.k.batches) && r.k.batches[r.at].Next <= o {
		r.at++
		r.events = nil
	}
	if r.at == len(r.k.batches) {
		if !r.fetch(o) {
			return nil, nil
		}
	}
	s := r.k.batches[r.at]
	if s.Base > o {
		return nil, nil
	}
	if r.events == nil {
		if r.events, r.err = r.b.decode(r.n, r.src.Partition, s); r.err != nil {
			return nil, nil
		}
		r.bytes += len(s.Raw)
	}
	i := sort.Search(len(r.events), func(i int) bool { return r.events[i].Ref.Offset >= o })
	if i == len(r.events) || r.events[i].Ref.Offset != o {
		return nil, nil
	}
	return &r.events[i], s
}

// fetch reads batches from the one that holds an offset on: more of them when the last ones were read to their end.
func (r *hitReader) fetch(o record.Offset) bool {
	room := 1
	if n := len(r.k.batches); n > 0 && o < r.k.batches[n-1].Next+hitsNear {
		room = min(max(2*r.room, lookReadMin), lookReadMax)
	}
	r.room, r.at, r.events = room, 0, nil
	for range 2 {
		if o < r.src.Part.Start() {
			return false
		}
		r.k.batches, r.err = r.pub.Read(r.k.batches[:0], r.src, o, room, shard.AllSeqs)
		if !fault.Is(r.err, fault.Trimmed) {
			break
		}
	}
	return r.err == nil && len(r.k.batches) > 0
}

const hitsNear = 16 // offsets between records from when on they are not read together

// eachMatch is eachReaching for records of which no routes are known: it looks at all, and matches again.
func (b *Broker) eachMatch(x *subscribed, at subscription.Place, from, to record.Offset, bytesMax int, fn func(m *subscription.Meta, matches bool) bool) (record.Offset, error) {
	pub := b.shards[x.shard].Published()
	src, ok := pub.Source(at.Stream, at.Partition)
	if !ok {
		return to, nil // the stream is gone for good, and its records with it
	}
	n := b.streamOf(x, at.Stream)
	k := b.subs.matchers.Get().(*matching)
	defer b.freeMatching(k)
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
			for i := range events {
				d := &events[i]
				o := d.Ref.Offset
				if o < from {
					continue
				}
				if o >= to {
					return to, nil
				}
				reaches, matches := k.judge(x, n, d, s.Seq)
				if from = o; !reaches {
					continue
				}
				m := meta(d, s)
				x.delay(&m, n.id, s.Seq)
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

func (b *Broker) freeMatching(k *matching) {
	clear(k.batches[:cap(k.batches)])
	k.batches = k.batches[:0]
	b.subs.matchers.Put(k)
}

// judge says whether a record reaches a subscription, and whether its content matches. An error of the condition is no match; the
// condition counts it.
func (k *matching) judge(x *subscribed, n *named, d *Delivered, seq uint64) (reaches, matches bool) {
	if x.doc.Routed {
		typ := DefaultEventType
		if n.config.DefaultType != "" {
			typ = n.config.DefaultType
		}
		k.rec.Of(n.id, d.Record, typ, &k.scratch)
		if !k.reaches(x, seq) {
			return false, false
		}
	}
	return true, k.matches(x, n, d, seq)
}

// reached is judge for a record of which the route may be known.
func (b *Broker) reached(k *matching, x *subscribed, at subscription.Place, d *Delivered) (reaches, matches bool) {
	n, seq := b.streamOf(x, at.Stream), d.Position.Seq
	pub := b.shards[x.shard].Published()
	ways, ok := pub.Ways(x.id, at)
	if !x.doc.Routed || !ok || d.Ref.Offset < ways.From {
		return k.judge(x, n, d, seq)
	}
	_, err := pub.EachHit(at, &ways, d.Ref.Offset, d.Ref.Offset+1, func(*subscription.Hit) bool { reaches = true; return false })
	if err != nil {
		b.opt.Log.Warn("the routes of a record cannot be read", "subscription", x.name, "error", err)
		return k.judge(x, n, d, seq)
	}
	return reaches, reaches && k.matches(x, n, d, seq)
}

// judged reports whether the content of a stream's records is looked at on delivery.
func (x *subscribed) judged(id record.StreamID, seq uint64) bool {
	_, some := x.policyAt(id, seq)
	return some || x.whereAt(seq) != nil
}

// matches says whether a record's content does.
func (k *matching) matches(x *subscribed, n *named, d *Delivered, seq uint64) bool {
	where := x.whereAt(seq)
	policy, some := x.policyAt(n.id, seq)
	switch {
	case some && policy == nil || where != nil && where.none:
		return false
	case !some && where == nil:
		return true
	}
	k.read(x, n, d)
	if where != nil && !where.matches(k.extract) {
		return false
	}
	if some {
		ok, _ := policy.Match(k.extract)
		return ok
	}
	return true
}

// read makes ready what the conditions of a subscription look at. Fields of other subscriptions are not read along.
func (k *matching) read(x *subscribed, n *named, d *Delivered) {
	k.event = d.Event()
	k.input.Reset(&k.event, n.name, d.Ref.Partition, d.Ref.Offset)
	if k.learned != x {
		k.extract.Forget()
		k.learned = x
	}
	k.extract.Reset(&k.input)
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
	if part := b.shards[sh].Published().Part(s.Stream, s.Partition); part != nil && part.Stable() < s.End {
		return // of what is open nobody knows whether it will be there: it is counted when the subscription has come so far
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
		from, err = b.eachReaching(x, s.Place, from, s.End, countPauseSize, func(m *subscription.Meta, _ bool) bool {
			n.Count++
			n.Bytes += int64(m.Size)
			return true
		})
	}
	return n, err
}
