package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// OffsetCommit(8), versions 0-10: offsets of a group are kept; once it is answered they survive a crash. A member says its generation, or from version 9 on its epoch;
// who is no member says -1 and may while there are none. From version 10 on topics are given by their ids. Partitions that are not there, not to be read by the caller, or with more than 4096 bytes of metadata
// are refused alone; the others are kept together. An offset below 0 takes away what was committed, which is what clients make of it; -2 is the one that the partition begins with. The retention time that versions 2-4 ask for is not heard, as in Kafka; when offsets go is the node's to say.
func (k *conn) offsetCommit(ctx context.Context, s *slot, q *kmsg.OffsetCommitRequest) (*kmsg.OffsetCommitResponse, error) {
	c, err := k.enter(s.caller, q.Group)
	if c != codeNone {
		return committed(q, func(topicPartition) int16 { return c }), err
	}
	codes := map[topicPartition]int16{}
	var ps ranked
	for i := range q.Topics {
		t := &q.Topics[i]
		refusal := topicRefusal{code: codeUnknownTopicID}
		if k.named(s.caller, q.Version >= 10, t.TopicID, &t.Topic) {
			refusal = k.mayCommit(s.caller, t.Topic)
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			c := refusal.of(p.Partition)
			if len(textOf(p.Metadata)) > offsetMetadataMax {
				c = codeOffsetMetadataTooLarge
			}
			if c != codeNone {
				codes[topicPartition{i, p.Partition}] = c
				continue
			}
			ps = append(ps, position(t.Topic, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata))
		}
	}
	who := committer{member: q.MemberID, instance: textOf(q.InstanceID), generation: q.Generation, newer: q.Version >= 9}
	gc, err := k.g.groups.commit(ctx, s.caller, s.caller.Namespace, q.Group, who, ps)
	all := groupCode(gc, err)
	if f := fault.As(err); err != nil && f.Kind == fault.NotFound {
		all = codeUnknownPartition // one was deleted meanwhile
	}
	return committed(q, func(p topicPartition) int16 {
		if all != codeNone {
			return all
		}
		return codes[p]
	}), err
}

// topicPartition is a partition of a topic, given by where that stands in a request.
type topicPartition struct {
	topic     int
	partition int32
}

// named finds the name of a topic that is given by its id; false: there is none of that id.
func (k *conn) named(c *broker.Caller, byID bool, id [16]byte, name *string) (there bool) {
	if byID {
		*name, there = k.g.b.StreamName(c, broker.StreamUID(id))
		return there
	}
	return true
}

// offsetMetadataMax is how much text is kept with an offset, as in Kafka (offset.metadata.max.bytes).
const offsetMetadataMax = 4096

// committed is the answer with a code for each partition.
func committed(q *kmsg.OffsetCommitRequest, code func(topicPartition) int16) *kmsg.OffsetCommitResponse {
	r := kmsg.NewPtrOffsetCommitResponse()
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for j := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = t.Partitions[j].Partition
			rp.ErrorCode = code(topicPartition{i, rp.Partition})
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}

// topicRefusal is whether offsets of a topic can be committed.
type topicRefusal struct {
	code       int16
	partitions int32
}

func (r topicRefusal) of(p int32) int16 {
	if r.code == codeNone && (p < 0 || p >= r.partitions) {
		return codeUnknownPartition
	}
	return r.code
}

// mayCommit looks whether offsets of a topic can be committed by c.
func (k *conn) mayCommit(c *broker.Caller, topic string) topicRefusal {
	if !k.g.b.Allowed(c, broker.ActionRead, broker.KindStream, topic) {
		return topicRefusal{code: codeTopicDenied}
	}
	n, there := k.g.b.OwnStreamBrief(c.Namespace, topic)
	if !there {
		return topicRefusal{code: codeUnknownPartition}
	}
	return topicRefusal{partitions: n.Partitions}
}
