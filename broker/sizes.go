package broker

import (
	"context"
	"sync"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
)

// sizes remembers how many bytes partitions had when somebody asked, so that the next one only counts what came since.
type sizes struct {
	mu sync.Mutex
	m  map[sizeKey]partitionSize
}

type sizeKey struct {
	shard int
	partitionKey
}

// Bounds of what one answer may count and of what is remembered.
const (
	sizeRunsMax    = 4_000_000
	sizesKnownMax  = 200_000
	sizeRunsPerKey = 1000 // that are counted anew rather than remembered
)

// StreamBytes tells how many bytes the records of each of a stream's partitions take as they are stored. It takes the right to describe it.
func (b *Broker) StreamBytes(_ context.Context, c *Caller, name string) ([]int64, error) {
	if err := b.allow(c, "describe", ActionDescribe, KindStream, name); err != nil {
		return nil, err
	}
	n, err := b.find(c, "describe", name)
	if err != nil {
		return nil, err
	}
	out := make([]int64, n.config.Partitions)
	budget := sizeRunsMax
	for i := range out {
		if out[i], err = b.partitionBytes(n, record.PartitionID(i), &budget); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// partitionBytes counts the runs of a partition. What was counted is good as long as the partition begins where it did and nothing rewrites
// it; merging files cuts runs anew, which shows in the one that was counted last, and then all is counted again.
func (b *Broker) partitionBytes(n *named, p record.PartitionID, budget *int) (int64, error) {
	pub := b.shards[n.shard].Published()
	src, ok := pub.Source(n.id, p)
	if !ok {
		return 0, nil
	}
	start, end := src.Part.Ends()
	k := sizeKey{n.shard, partitionKey{n.id, p}}
	b.sizes.mu.Lock()
	size, known := b.sizes.m[k]
	b.sizes.mu.Unlock()
	if !known || size.from != start || size.to > end || n.config.effectiveKeys() == KeysLatest {
		size = partitionSize{from: start, to: start}
	}
	runs, recut := 0, false
	count := func(r *stream.Run) bool {
		if recut = r.Base < size.to && size.to > size.from; recut || r.Base >= end {
			return false
		}
		runs++
		size.to, size.bytes = r.Next, size.bytes+r.Bytes
		return runs < *budget
	}
	err := pub.Walk(src, size.to, count)
	if recut && err == nil {
		size = partitionSize{from: start, to: start}
		err = pub.Walk(src, start, count)
	}
	if err != nil {
		return 0, err
	}
	b.sizes.keep(k, size, runs)
	if *budget -= runs; *budget <= 0 {
		return 0, fault.New(fault.QuotaSpent, "describe", n.name, "the stream has more than %d runs of records to count; ask again, what was counted is remembered", sizeRunsMax)
	}
	return size.bytes, nil
}

func (s *sizes) keep(k sizeKey, size partitionSize, runs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.m[k]; !known && runs < sizeRunsPerKey {
		return
	}
	if s.m == nil || len(s.m) >= sizesKnownMax {
		s.m = map[sizeKey]partitionSize{}
	}
	s.m[k] = size
}
