package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// WriteTxnMarkers(27), versions 0-1: between brokers it writes markers; here it is what an operator's tool aborts a transaction with (kafka-transactions.sh abort). All of the
// transaction is aborted, not only the partitions that are named, and its producer is fenced. Committing for somebody else is refused: nobody but the producer knows whether it has all.
func (k *conn) writeTxnMarkers(ctx context.Context, s *slot, q *kmsg.WriteTxnMarkersRequest) (*kmsg.WriteTxnMarkersResponse, error) {
	r := kmsg.NewPtrWriteTxnMarkersResponse()
	var failed error
	for i := range q.Markers {
		m := &q.Markers[i]
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = m.ProducerID
		done := false
		for j := range m.Topics {
			t := &m.Topics[j]
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				rp.Partition = p
				var err error
				if rp.ErrorCode, err = k.abortOpen(ctx, s.caller, m, broker.StreamPartition{Stream: t.Topic, Partition: record.PartitionID(p)}, &done); err != nil {
					failed = err
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			rm.Topics = append(rm.Topics, rt)
		}
		r.Markers = append(r.Markers, rm)
	}
	return r, failed
}

// abortOpen aborts a producer's transaction. done: another partition has had it aborted already.
func (k *conn) abortOpen(ctx context.Context, c *broker.Caller, m *kmsg.WriteTxnMarkersRequestMarker, at broker.StreamPartition, done *bool) (int16, error) {
	if m.Committed {
		return codeInvalidRequest, fault.New(fault.Unsupported, "write markers", at.Stream, "only the producer of a transaction commits it")
	}
	did, err := k.g.b.AbortTransaction(ctx, c, at, broker.ProducerEpoch{ID: m.ProducerID, Epoch: m.ProducerEpoch})
	switch {
	case err != nil:
		return code(fault.As(err), placeAdmin), err
	case !did && !*done:
		return codeInvalidProducerEpoch, nil
	}
	*done = true
	return codeNone, nil
}
