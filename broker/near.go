package broker

import (
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/subscription"
)

// nearReader reads records that were handed over: those that lie close together are read together, once for a batch, and what was read of the
// last one is kept for the next call. It is for one goroutine at a time.
type nearReader struct {
	b    *Broker
	x    *subscribed
	at   subscription.Place
	open bool
	last record.Offset
	r    hitReader
	k    matching // its batches
}

func newNearReader(b *Broker, x *subscribed) *nearReader { return &nearReader{b: b, x: x} }

// read returns the record of ls[i]. What follows in ls says whether more of its neighbours will be asked for.
func (q *nearReader) read(ls []subscription.Leased, i int) (*Delivered, error) {
	at := ls[i].Lies
	pub := q.b.shards[q.x.shard].Published()
	src, ok := pub.Source(at.Stream, at.Partition)
	if !ok {
		return nil, fault.New(fault.NotFound, "receive", q.x.name, "the stream was deleted")
	}
	n := q.b.streamOf(q.x, at.Stream)
	if q.open && (q.at != at.Place || q.r.src.Part != src.Part || at.Offset < q.last) {
		q.open = false
	}
	if !q.open && !followed(ls, i) {
		return q.b.readOffset(pub, n, src, at.Offset)
	}
	if start := src.Part.Start(); at.Offset < start {
		return nil, fault.New(fault.Trimmed, "receive", q.x.name, "offset %d is gone; the earliest is %d", at.Offset, start)
	}
	if !q.open {
		clear(q.k.batches[:cap(q.k.batches)])
		q.k.batches = q.k.batches[:0]
		q.r = hitReader{b: q.b, pub: pub, src: src, n: n, k: &q.k}
		q.open, q.at = true, at.Place
	} else if !q.holds(at.Offset) && !followed(ls, i) {
		q.open = false
		return q.b.readOffset(pub, n, src, at.Offset)
	}
	q.last = at.Offset
	d, _ := q.r.read(at.Offset)
	switch err := q.r.err; {
	case err != nil:
		q.open = false
		return nil, err
	case d == nil:
		return q.b.readOffset(pub, n, src, at.Offset) // which says why
	}
	return d, nil
}

// holds reports whether a record is among what was read last.
func (q *nearReader) holds(o record.Offset) bool {
	n := len(q.k.batches)
	return n > 0 && o < q.k.batches[n-1].Next
}

// followed reports whether the next one in ls lies close behind ls[i].
func followed(ls []subscription.Leased, i int) bool {
	if i+1 >= len(ls) {
		return false
	}
	a, b := &ls[i].Lies, &ls[i+1].Lies
	return a.Place == b.Place && b.Offset > a.Offset && b.Offset-a.Offset <= hitsNear
}
