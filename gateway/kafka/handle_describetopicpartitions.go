package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// describedPartitionsMax is how many partitions one answer tells of, whatever its client asks for.
const describedPartitionsMax = 2000

// DescribeTopicPartitions(75), version 0: what Metadata says, in pages. Topics come by name, so that a cursor, which is a topic and a partition
// of it, is a place among them; a topic that has gone since the last page is passed over.
func (k *conn) describeTopicPartitions(ctx context.Context, s *slot, q *kmsg.DescribeTopicPartitionsRequest) (*kmsg.DescribeTopicPartitionsResponse, error) {
	r := kmsg.NewPtrDescribeTopicPartitionsResponse()
	left := int32(describedPartitionsMax)
	if q.ResponsePartitionLimit > 0 {
		left = min(left, q.ResponsePartitionLimit)
	}
	names, err := k.describedNames(ctx, s.caller, q)
	if err != nil {
		return r, err
	}
	var failed error
	for _, name := range names {
		if left == 0 {
			r.NextCursor = cursorAt(name, 0)
			return r, failed
		}
		first := int32(0)
		if q.Cursor != nil && q.Cursor.Topic == name {
			first = max(q.Cursor.Partition, 0)
		}
		t := kmsg.NewDescribeTopicPartitionsResponseTopic()
		t.Topic = new(name)
		info, err := k.topic(ctx, s.caller, name)
		if err != nil {
			t.ErrorCode, failed = code(fault.As(err), placeRead), err
			r.Topics = append(r.Topics, t)
			continue
		}
		t.TopicID, t.IsInternal = info.UID, isInternal(name)
		t.AuthorizedOperations = operations(k.g.b, s.caller, broker.KindStream, name)
		behind := min(info.Config.Partitions, first+left)
		for p := first; p < behind; p++ {
			t.Partitions = append(t.Partitions, k.describedPartition(p))
		}
		left -= max(behind-first, 0)
		r.Topics = append(r.Topics, t)
		if behind < info.Config.Partitions {
			r.NextCursor = cursorAt(name, behind)
			return r, failed
		}
	}
	return r, failed
}

// describedNames are the topics from the cursor on, by name.
func (k *conn) describedNames(ctx context.Context, caller *broker.Caller, q *kmsg.DescribeTopicPartitionsRequest) ([]string, error) {
	var names []string
	for i := range q.Topics {
		names = append(names, q.Topics[i].Topic)
	}
	if len(names) == 0 {
		list, err := k.g.b.ListStreams(ctx, caller)
		if err != nil {
			return nil, err
		}
		for i := range list {
			names = append(names, list[i].Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if q.Cursor != nil {
		at, _ := slices.BinarySearchFunc(names, q.Cursor.Topic, strings.Compare)
		names = names[at:]
	}
	return names, nil
}

func (k *conn) describedPartition(p int32) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	node := k.g.b.NodeID()
	d := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	d.Partition, d.LeaderID, d.LeaderEpoch = p, node, k.g.b.Epoch()
	d.Replicas, d.ISR = []int32{node}, []int32{node}
	d.EligibleLeaderReplicas, d.LastKnownELR = []int32{}, []int32{}
	return d
}

func cursorAt(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, partition
	return &c
}
