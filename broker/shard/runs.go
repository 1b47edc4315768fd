package shard

import (
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/state"
)

// EachRun walks the runs of a partition in offset order, from the one that holds from (or else the first one after it), until fn returns
// false. It reads what is known of runs and none of their records. The run is only good during the call.
func (p *Published) EachRun(src Source, from record.Offset, fn func(*stream.Run) bool) error {
	lo := stream.PartitionKey(state.PrefixRun, src.Stream, src.Partition)
	it, err := p.store.Iter(lo, state.After(lo))
	if err != nil {
		return err
	}
	defer it.Close()
	key := stream.RunKey(src.Stream, src.Partition, from)
	ok := it.SeekLT(stream.RunKey(src.Stream, src.Partition, from+1))
	if !ok {
		ok = it.SeekGE(key)
	}
	for ; ok; ok = it.Next() {
		run, err := stream.ReadRun(it.Key(), it.Value())
		if err != nil {
			return corrupt(err)
		}
		if run.Next > from && !fn(&run) {
			return nil
		}
	}
	return it.Err()
}

// OriginOf returns who stands behind the number that runs carry; the zero Origin when that is not kept.
func (p *Published) OriginOf(n uint32) (stream.Origin, error) {
	if n == 0 {
		return stream.Origin{}, nil
	}
	o, _, err := stream.LoadOrigin(p.store, n)
	return o, err
}
