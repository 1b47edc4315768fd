package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// DeleteRecords(21), versions 0-2: records before an offset go, or with -1 all there are now. Each partition is judged alone. An offset that is gone
// already changes nothing; one beyond the end is out of range. The low watermark of the answer is where the partition begins then. Topics
// that are only compacted are truncated like any other, where Kafka refuses; immutable streams violate a policy.
func (k *conn) deleteRecords(ctx context.Context, s *slot, q *kmsg.DeleteRecordsRequest) (*kmsg.DeleteRecordsResponse, error) {
	r := kmsg.NewPtrDeleteRecordsResponse()
	var failed error
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition = p.Partition
			var err error
			if rp.LowWatermark, err = k.truncate(ctx, s.caller, t.Topic, p.Partition, p.Offset); err != nil {
				f := fault.As(err)
				rp.ErrorCode = code(f, placeAdmin)
				r.ThrottleMillis = throttle(f, r.ThrottleMillis)
				k.report("", -1, err)
				failed = err
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, failed
}

// truncate returns where the partition begins then, -1 when it is refused.
func (k *conn) truncate(ctx context.Context, caller *broker.Caller, topic string, partition int32, offset int64) (int64, error) {
	if partition < 0 {
		return -1, fault.New(fault.NotFound, "truncate", topic, "there is no partition %d", partition).Because(fault.ReasonPartition)
	}
	t := broker.Truncation{Stream: topic, Partition: record.PartitionID(partition), Before: truncationPlace(offset)}
	infos, err := k.g.b.Truncate(ctx, caller, t)
	if err != nil || int(partition) >= len(infos) {
		return -1, err
	}
	return int64(infos[partition].Start), nil
}
