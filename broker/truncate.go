package broker

import (
	"context"
	"math"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// Truncation asks for the events of a stream before a place to go.
type Truncation struct {
	Stream    string
	Partition record.PartitionID // record.NoPartition: all of them; an offset needs one, unless the stream has only one
	Before    Start              // StartLatest is everything there is now; what was read up to StartPosition goes, StartTime is that of the append
}

// Truncate lets go of events. It returns all partitions as they are then. An offset beyond the end is Invalid; where the events are gone
// already nothing happens. It is not held back by anything but an immutable stream.
func (b *Broker) Truncate(ctx context.Context, c *Caller, t Truncation) ([]PartitionInfo, error) {
	if err := b.allow(c, "truncate", ActionDelete, KindStream, t.Stream); err != nil {
		return nil, err
	}
	var err error
	if t.Before, err = b.ourStart("truncate", "before", t.Before); err != nil {
		return nil, err
	}
	for range alterTriesMax {
		err := b.truncateOnce(ctx, c, &t)
		if fault.Is(err, fault.Conflict) && fault.As(err).Reason == fault.ReasonRevision {
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := b.describe(c, t.Stream)
		return info.Partitions, err
	}
	return nil, fault.New(fault.Unavailable, "truncate", t.Stream, "the stream is being changed; try again")
}

func (b *Broker) truncateOnce(ctx context.Context, c *Caller, t *Truncation) error {
	n, err := b.find(c, "truncate", t.Stream)
	if err != nil {
		return err
	}
	if n.config.Immutable {
		return kept("truncate", n.name, "the stream is immutable: its events cannot be removed")
	}
	first, last := t.Partition, t.Partition
	if t.Partition == record.NoPartition {
		first, last = 0, record.PartitionID(n.config.Partitions)-1
		if t.Before.Kind == StartOffset && last > 0 {
			return fault.New(fault.Invalid, "truncate", "partition", "the stream has %d partitions; an offset is of one of them, so say which", n.config.Partitions)
		}
	}
	o := c.origin()
	x := &shard.Truncate{Name: streamName(n.namespace, n.name), Revision: n.revision, Origin: &o}
	pub := b.shards[n.shard].Published()
	for p := first; p <= last; p++ {
		src, ok := pub.Source(n.id, p)
		if !ok {
			return fault.New(fault.NotFound, "truncate", n.name, "there is no partition %d; the stream has %d", p, n.config.Partitions).Because(fault.ReasonPartition)
		}
		cut, err := b.cut(pub, n, src, &t.Before)
		if err != nil {
			return err
		}
		x.Cuts = append(x.Cuts, cut)
	}
	return b.do(ctx, c, n.namespace, x)
}

// cut finds where one partition is to begin.
func (b *Broker) cut(pub *shard.Published, n *named, src shard.Source, s *Start) (stream.Cut, error) {
	cut := stream.Cut{Partition: src.Partition, Why: stream.WhyRequest}
	start, end := src.Part.Ends()
	var err error
	switch s.Kind {
	case StartEarliest:
		cut.Before = start
	case StartLatest:
		cut.Before = end
	case StartOffset:
		if s.Offset < 0 || s.Offset > end {
			return cut, fault.New(fault.Invalid, "truncate", "before", "offset %d is outside partition %d, which ends at %d", s.Offset, src.Partition, end).
				Because(fault.ReasonOffset).With(end)
		}
		cut.Before = s.Offset
	case StartTime:
		cut.Before, err = expired(pub, src, s.Time)
	case StartPosition:
		cut.Before, err = b.offsetBehind(pub, n, src, s.Position)
	default:
		err = fault.New(fault.Unsupported, "truncate", "before", "a stream cannot be truncated before that")
	}
	if err != nil || cut.Before <= start {
		cut.Before = min(cut.Before, start) // gone already
		return cut, err
	}
	cut.Gone, err = pointBefore(pub, src, cut.Before)
	return cut, err
}

// offsetBehind returns the first offset of a partition behind a position: where who has read up to the position goes on.
func (b *Broker) offsetBehind(pub *shard.Published, n *named, src shard.Source, p record.Position) (record.Offset, error) {
	if int(p.Shard) != n.shard {
		return 0, fault.New(fault.Invalid, "truncate", "before", "the position is of streams that live elsewhere; it cannot be used for this one")
	}
	start, end := src.Part.Ends()
	run, ok, err := pub.Seek(src, func(r *stream.Run) bool { return r.Seq >= p.Seq })
	if err != nil || !ok {
		return end, err
	}
	from := max(run.Base, start)
	if run.Seq > p.Seq {
		return from, nil
	}
	for from < end {
		batches, err := pub.ReadStored(nil, src, from, stream.RunBytesMax, shard.AllSeqs)
		if err != nil || len(batches) == 0 {
			return from, err
		}
		for _, s := range batches {
			at := record.Position{Shard: p.Shard, Lineage: p.Lineage, Seq: s.Seq, Batch: s.Ordinal}
			switch last := at; {
			case p.Compare(at) < 0:
				return s.Base, nil
			default:
				if last.Record = uint32(min(s.Next-1-s.Base, math.MaxUint32)); p.Compare(last) < 0 {
					return s.Base + record.Offset(p.Record) + 1, nil
				}
			}
			from = s.Next
		}
	}
	return end, nil
}

// kept refuses to remove what a stream says must be kept.
func kept(op, name, text string) error {
	return fault.New(fault.Conflict, op, name, "%s", text).Because(fault.ReasonKept)
}
