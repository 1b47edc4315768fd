package broker

import (
	"context"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// Cursor is where a reader stands in one partition.
type Cursor struct {
	Stream    string
	UID       StreamUID // not zero: this stream, and no other one of that name
	Partition record.PartitionID
	From      record.Offset
	BytesMax  int

	Committed bool // not behind the first record of an open transaction

	// Buffer gives memory of n bytes to read into; nil: new memory. It is the caller's again when it is done with what was read.
	Buffer func(n int) []byte

	// Keep, where it is not nil, says that neighbouring batches may come as one Stored with a Span, which says where they lie, and no Raw: for who only sends them.
	// Where they lie in a segment file, Keep is given what ends the use of them.
	Keep func(release func())

	// Ahead is what a reading from From on has given before, which is taken instead of reading it again, if it is of the same stream still.
	// Whether the caller may read, and where the stream ends, is looked at anew.
	Ahead *ReadResult
}

// ReadResult is what is there for one cursor.
type ReadResult struct {
	Batches []*Stored            // whole batches, ascending; the first one holds From
	Start   record.Offset        // of the partition
	End     record.Offset        // after its last record
	Stable  record.Offset        // up to where no transaction is open
	Aborted []AbortedTransaction // of a committed reading: whose records among Batches nobody is to see
	Err     *fault.Error

	epochOf func(seq uint64) int32 // nil: all of them are in epoch 0
	part    *shard.Part            // that was read
}

// Epoch is that in which one of the batches was appended.
func (r *ReadResult) Epoch(s *Stored) int32 {
	if r.epochOf == nil {
		return 0
	}
	return r.epochOf(s.Seq)
}

// AbortedTransaction is one of which records are stored that nobody is to see: those of the producer from First to its next marker.
type AbortedTransaction = stream.Aborted

// Stored is one stored batch. Raw is shared and never written to.
type Stored = shard.Batch

// Read returns what is stored now, also what is of transactions that are open or were aborted and markers, without waiting: for each cursor whole batches up to its BytesMax and, over all, up to totalMax. At
// least one batch is returned if there is any, even a larger one.
func (b *Broker) Read(_ context.Context, c *Caller, q []Cursor, totalMax int) []ReadResult {
	out := make([]ReadResult, len(q))
	left, any := totalMax, false
	for i := range q {
		if err := b.readOne(c, &q[i], &out[i], left, !any); err != nil {
			out[i].Err = fault.As(err)
		}
		for _, s := range out[i].Batches {
			left -= s.Len()
			any = true
		}
	}
	return out
}

func (b *Broker) readOne(c *Caller, q *Cursor, r *ReadResult, left int, first bool) error {
	if q.Stream == "" && q.UID != (StreamUID{}) {
		return noUID("read")
	}
	src, pub, from, err := b.source(c, q.Stream, q.Partition)
	if err != nil {
		return err
	}
	if err := from.is("read", q.UID); err != nil {
		return err
	}
	if len(b.opt.Past) > 0 {
		r.epochOf = func(seq uint64) int32 { return b.epochOf(from.shard, seq) }
	}
	r.part = src.Part
	r.Start, r.Stable, r.End = src.Part.Bounds()
	if q.Committed && q.From >= r.Stable && q.From <= r.End {
		return nil
	}
	if q.From == r.End || left <= 0 && !first {
		return nil
	}
	room := min(q.BytesMax, left)
	if r.Batches = q.ahead(src.Part, r.Start, room, left, first); len(r.Batches) > 0 {
		return nil
	}
	src.Buffer = q.Buffer
	if q.Keep != nil && len(b.opt.Past) == 0 && !b.wantsLook(c, from) { // with a past, the epoch is put into each batch
		src.Keep = q.Keep
	}
	if !first { // only the first one of all may be larger than asked for
		src.Most = left
	}
	if q.Committed {
		r.Batches, r.Aborted, err = pub.ReadStable(nil, src, q.From, room)
	} else {
		r.Batches, err = pub.ReadStored(nil, src, q.From, room, shard.AllSeqs)
	}
	if err != nil {
		return err
	}
	if n := len(r.Batches); n > 0 {
		if next := r.Batches[n-1].Next; next > r.End {
			_, r.Stable, r.End = src.Part.Bounds()
		}
		b.sawRead(c, from, q.From, r.Batches)
	}
	return nil
}

// ahead returns of what was read before as much as there is room for; nothing where it is not what is asked for now. What transactions have aborted is
// told with what is read, so such a reading is not taken.
func (q *Cursor) ahead(part *shard.Part, start record.Offset, room, left int, first bool) []*Stored {
	a := q.Ahead
	if a == nil || a.part != part || a.Err != nil || len(a.Aborted) > 0 || q.From < start || len(a.Batches) == 0 {
		return nil
	}
	if b := a.Batches[0]; q.From < b.Base || q.From >= b.Next || !first && b.Len() > left {
		return nil
	}
	n, size := 1, a.Batches[0].Len()
	for ; n < len(a.Batches) && size+a.Batches[n].Len() <= room; n++ {
		size += a.Batches[n].Len()
	}
	return a.Batches[:n]
}

// source finds a partition to read from.
func (b *Broker) source(c *Caller, name string, p record.PartitionID) (shard.Source, *shard.Published, *named, error) {
	if err := b.allow(c, "read", ActionRead, KindStream, name); err != nil {
		return shard.Source{}, nil, nil, err
	}
	n, err := b.find(c, "read", name)
	if err != nil {
		return shard.Source{}, nil, nil, err
	}
	pub := b.shards[n.shard].Published()
	src, ok := pub.Source(n.id, p)
	if !ok {
		return src, nil, nil, fault.New(fault.NotFound, "read", name, "there is no partition %d; the stream has %d", p, n.config.Partitions).Because(fault.ReasonPartition)
	}
	return src, pub, n, nil
}

// Watch wakes a reader that waits for more.
type Watch = shard.Watch

// Watch watches partitions. Those that are not there, or may not be read, are left out: reading says why.
func (b *Broker) Watch(c *Caller, q []Cursor) *Watch {
	w := shard.NewWatch()
	for i := range q {
		if src, _, _, err := b.source(c, q[i].Stream, q[i].Partition); err == nil {
			w.Add(src.Part)
		}
	}
	return w
}
