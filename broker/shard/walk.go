package shard

import (
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/state"
)

// Walk calls fn for the runs of a partition in order, from the one that holds from on, until fn returns false. Runs that begin before
// the partition does are among them when they end behind its start. fn must not call back.
func (p *Published) Walk(src Source, from record.Offset, fn func(*stream.Run) bool) error {
	lo := stream.PartitionKey(state.PrefixRun, src.Stream, src.Partition)
	it, err := p.store.Iter(lo, state.After(lo))
	if err != nil {
		return err
	}
	defer it.Close()
	ok := it.SeekLT(stream.RunKey(src.Stream, src.Partition, from+1))
	if !ok {
		ok = it.SeekGE(lo)
	}
	for ; ok; ok = it.Next() {
		run, err := stream.ReadRun(it.Key(), it.Value())
		if err != nil {
			return corrupt(err)
		}
		if run.Next > from && !fn(&run) {
			break
		}
	}
	return it.Err()
}
