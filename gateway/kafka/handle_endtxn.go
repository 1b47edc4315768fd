package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
)

// EndTxn(26), versions 0-5: the markers of all partitions, the offsets of its groups and the end of the transaction are one frame of the journal, so it is done when it is
// answered. From version 5 on each transaction has an epoch of its own: the answer says the next one, a request that is sent again is known by the one before,
// and aborting what was never begun is allowed. Up to version 4 it is known by how the last transaction has ended.
func (k *conn) endTxn(ctx context.Context, s *slot, q *kmsg.EndTxnRequest) (*kmsg.EndTxnResponse, error) {
	r := kmsg.NewPtrEndTxnResponse()
	r.ProducerID, r.ProducerEpoch = -1, -1
	now, err := k.g.b.EndTransaction(ctx, s.caller, q.TransactionalID, broker.ProducerEpoch{ID: q.ProducerID, Epoch: q.ProducerEpoch}, q.Commit, q.Version >= 5)
	if err != nil {
		r.ErrorCode = transactionCode(err, q.Version >= 2)
		return r, err
	}
	r.ProducerID, r.ProducerEpoch = now.ID, now.Epoch
	return r, nil
}
