package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/kafka/group"
)

// TxnOffsetCommit(28), versions 0-5: offsets of a group that move when the transaction is committed, in the frame of its markers. From version 3 on a member says its
// generation, and is refused as a commit would be; from 5 on the group need not have been announced. Partitions that are not there, not to be read by the caller, or with more than
// 4096 bytes of metadata are refused alone. An offset below 0 takes away what was committed, as with OffsetCommit.
func (k *conn) txnOffsetCommit(ctx context.Context, s *slot, q *kmsg.TxnOffsetCommitRequest) (*kmsg.TxnOffsetCommitResponse, error) {
	c, err := k.enter(s.caller, q.Group)
	if c != codeNone {
		return txnCommitted(q, func(string, int32) int16 { return c }), err
	}
	if err := k.mayTransact(s.caller, broker.ActionWrite, q.TransactionalID); err != nil {
		return txnCommitted(q, func(string, int32) int16 { return codeTransactionalDenied }), err
	}
	codes := map[broker.StreamPartition]int16{}
	var ps ranked
	for i := range q.Topics {
		t := &q.Topics[i]
		refusal := k.mayCommit(s.caller, t.Topic)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			c := refusal.of(p.Partition)
			if len(textOf(p.Metadata)) > offsetMetadataMax {
				c = codeOffsetMetadataTooLarge
			}
			if c != codeNone {
				codes[broker.StreamPartition{Stream: t.Topic, Partition: record.PartitionID(p.Partition)}] = c
				continue
			}
			ps = append(ps, position(t.Topic, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata))
		}
	}
	who := committer{generation: -1, transactional: true}
	if q.Version >= 3 {
		who.member, who.instance, who.generation = q.MemberID, textOf(q.InstanceID), q.Generation
	}
	gc, err := k.g.groups.commitAs(ctx, s.caller, s.caller.Namespace, q.Group, who, func(sub string) error {
		if len(ps) == 0 {
			return nil
		}
		id := broker.ProducerEpoch{ID: q.ProducerID, Epoch: q.ProducerEpoch}
		return k.g.b.DeferPositions(ctx, k.g.b.OwnCallerFor(s.caller), q.TransactionalID, id, sub, ps, q.Version >= 5)
	})
	all := int16(gc)
	if err != nil {
		all = txnCommitCode(q, err)
	} else if gc == group.GroupIDNotFound {
		all = int16(group.IllegalGeneration)
	}
	return txnCommitted(q, func(topic string, p int32) int16 {
		if all != codeNone {
			return all
		}
		return codes[broker.StreamPartition{Stream: topic, Partition: record.PartitionID(p)}]
	}), err
}

func txnCommitCode(q *kmsg.TxnOffsetCommitRequest, err error) int16 {
	if f := fault.As(err); f.Reason == fault.ReasonTransaction && q.Version >= 4 {
		return codeTransactionAbortable
	}
	return transactionCode(err, q.Version >= 3)
}

// txnCommitted is the answer with a code for each partition.
func txnCommitted(q *kmsg.TxnOffsetCommitRequest, code func(topic string, p int32) int16) *kmsg.TxnOffsetCommitResponse {
	r := kmsg.NewPtrTxnOffsetCommitResponse()
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		for j := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition = t.Partitions[j].Partition
			rp.ErrorCode = code(t.Topic, rp.Partition)
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}
