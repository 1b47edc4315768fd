package segment

import "fmt"

// Run is some batches of one partition that lie together. The i-th of them has the ordinal Batch+i among the batches of its frame.
type Run struct {
	Stream    uint32
	Partition uint32
	Base      uint64 // first offset
	Next      uint64 // behind the last; more than Base
	Seq       uint64 // of the frame it came with; never falls along a partition
	Batch     uint32
	TimeMS    int64 // of the append; never falls along a partition
	MaxTimeMS int64 // the greatest time a producer gave, in the partition up to here; never falls
	Origin    uint32
	Route     uint32
	Bytes     int64
}

// RunBytesMax is the largest run.
const RunBytesMax = 1 << 30

// valid says what is wrong with a run by itself.
func (r *Run) valid() error {
	switch {
	case r.Next <= r.Base:
		return fmt.Errorf("%w: it goes from offset %d to %d", ErrOrder, r.Base, r.Next)
	case r.Bytes <= 0 || r.Bytes > RunBytesMax:
		return fmt.Errorf("%w: it has %d bytes, of 1 to %d", ErrOrder, r.Bytes, RunBytesMax)
	}
	return nil
}

// follows says what is wrong with a run behind another of its partition.
func (r *Run) follows(p *Run) error {
	switch {
	case r.Base < p.Next:
		return fmt.Errorf("%w: offset %d after a run that ends at %d", ErrOrder, r.Base, p.Next)
	case r.Seq < p.Seq || r.Seq == p.Seq && r.Batch <= p.Batch:
		return fmt.Errorf("%w: seq %d, batch %d after seq %d, batch %d", ErrOrder, r.Seq, r.Batch, p.Seq, p.Batch)
	case r.TimeMS < p.TimeMS || r.MaxTimeMS < p.MaxTimeMS:
		return fmt.Errorf("%w: times %d, %d after %d, %d", ErrOrder, r.TimeMS, r.MaxTimeMS, p.TimeMS, p.MaxTimeMS)
	}
	return nil
}

// partition is the key of a partition in memory: stream, partition.
type partition uint64

func partitionOf(stream, number uint32) partition { return partition(stream)<<32 | partition(number) }
