package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker/fault"
)

// OffsetForLeaderEpoch(23), versions 0-4: where the records of an epoch end. A consumer that has read on in a future that was restored away
// learns here that it is ahead of what there is now, instead of going on as if nothing had been.
func (k *conn) offsetForLeaderEpoch(ctx context.Context, s *slot, q *kmsg.OffsetForLeaderEpochRequest) (*kmsg.OffsetForLeaderEpochResponse, error) {
	r := kmsg.NewPtrOffsetForLeaderEpochResponse()
	var failed error
	for _, t := range q.Topics {
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition = p.Partition
			if rp.ErrorCode = epochCode(p.CurrentLeaderEpoch, k.g.b.Epoch()); rp.ErrorCode == codeNone {
				epoch, end, err := k.g.b.EpochEnd(ctx, s.caller, t.Topic, partitionID(p.Partition), p.LeaderEpoch)
				if err != nil {
					rp.ErrorCode, failed = code(fault.As(err), placeRead), err
				} else {
					rp.LeaderEpoch, rp.EndOffset = epoch, int64(end)
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, failed
}
