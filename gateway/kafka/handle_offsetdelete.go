package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/kafka/group"
)

// OffsetDelete(47), version 0: offsets of a group are kept no more. It takes the right to delete the group and to read the topics; while there are members, those of
// topics that none of them reads.
func (k *conn) offsetDelete(ctx context.Context, s *slot, q *kmsg.OffsetDeleteRequest) (*kmsg.OffsetDeleteResponse, error) {
	r := kmsg.NewPtrOffsetDeleteResponse()
	if q.Group == "" {
		r.ErrorCode = codeInvalidGroupID
		return r, nil
	}
	if err := k.mayGroup(s.caller, broker.ActionDelete, q.Group); err != nil {
		r.ErrorCode = codeGroupDenied
		return r, err
	}
	x, err := k.g.groups.find(s.caller.Namespace, q.Group)
	if err != nil {
		r.ErrorCode = groupCode(group.None, err)
		return r, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	read, known := x.Subscription()
	if x.State() != group.Empty && !known {
		r.ErrorCode = codeNonEmptyGroup
		return r, nil
	}
	var places []broker.StreamPartition
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		refusal := k.mayCommit(s.caller, t.Topic)
		for j := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition = t.Partitions[j].Partition
			switch rp.ErrorCode = refusal.of(rp.Partition); {
			case rp.ErrorCode != codeNone:
			case read[t.Topic]:
				rp.ErrorCode = codeGroupSubscribed
			default:
				places = append(places, broker.StreamPartition{Stream: t.Topic, Partition: record.PartitionID(rp.Partition)})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	if len(places) > 0 {
		if err := k.g.b.ForgetPositions(ctx, k.g.b.OwnCallerFor(s.caller), x.name, places); err != nil {
			r.ErrorCode, r.Topics = groupCode(group.None, err), nil
			return r, err
		}
	}
	return r, nil
}
