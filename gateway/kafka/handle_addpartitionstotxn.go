package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// AddPartitionsToTxn(24), versions 0-3: partitions are announced before records of a transaction are sent to them (Produce up to version 11 refuses any others). All of
// them, or none: beside those that cannot be, the others were not attempted. Versions 4 and 5 are for brokers among themselves.
func (k *conn) addPartitionsToTxn(ctx context.Context, s *slot, q *kmsg.AddPartitionsToTxnRequest) (*kmsg.AddPartitionsToTxnResponse, error) {
	codes, parts := map[broker.StreamPartition]int16{}, []broker.StreamPartition(nil)
	for i := range q.Topics {
		t := &q.Topics[i]
		for _, p := range t.Partitions {
			at := broker.StreamPartition{Stream: t.Topic, Partition: record.PartitionID(p)}
			if c := k.mayProduce(s.caller, t.Topic).of(p); c != codeNone {
				codes[at] = c
				continue
			}
			parts = append(parts, at)
		}
	}
	var failed error
	all := codeNone
	if len(codes) > 0 {
		all = codeNotAttempted
		failed = fault.New(fault.NotFound, "add partitions", clip(q.TransactionalID), "some of the partitions are not there or not granted")
	} else if failed = k.g.b.EnlistPartitions(ctx, s.caller, q.TransactionalID, broker.ProducerEpoch{ID: q.ProducerID, Epoch: q.ProducerEpoch}, parts); failed != nil {
		all = transactionCode(failed, q.Version >= 2)
	}
	r := kmsg.NewPtrAddPartitionsToTxnResponse()
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewAddPartitionsToTxnResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p, all
			if c, its := codes[broker.StreamPartition{Stream: t.Topic, Partition: record.PartitionID(p)}]; its {
				rp.ErrorCode = c
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, failed
}

// mayProduce looks whether records can be appended to a topic by c.
func (k *conn) mayProduce(c *broker.Caller, topic string) topicRefusal {
	if !k.g.b.Allowed(c, broker.ActionWrite, broker.KindStream, topic) {
		return topicRefusal{code: codeTopicDenied}
	}
	n, there := k.g.b.OwnStreamBrief(c.Namespace, topic)
	if !there {
		return topicRefusal{code: codeUnknownPartition}
	}
	return topicRefusal{partitions: n.Partitions}
}
