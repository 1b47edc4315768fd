package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
)

// AddOffsetsToTxn(25), versions 0-4: a group is announced before its offsets are committed with a transaction (TxnOffsetCommit up to version 4 refuses any other). A group
// that is not there is made.
func (k *conn) addOffsetsToTxn(ctx context.Context, s *slot, q *kmsg.AddOffsetsToTxnRequest) (*kmsg.AddOffsetsToTxnResponse, error) {
	r := kmsg.NewPtrAddOffsetsToTxnResponse()
	c, err := k.enter(s.caller, q.Group)
	if r.ErrorCode = c; c != codeNone {
		return r, err
	}
	if err := k.mayTransact(s.caller, broker.ActionWrite, q.TransactionalID); err != nil {
		r.ErrorCode = codeTransactionalDenied
		return r, err
	}
	x, err := k.g.groups.make(ctx, s.caller, s.caller.Namespace, q.Group)
	if err == nil {
		err = k.g.b.EnlistSubscription(ctx, k.g.b.OwnCallerFor(s.caller), q.TransactionalID, broker.ProducerEpoch{ID: q.ProducerID, Epoch: q.ProducerEpoch}, x.name)
	}
	r.ErrorCode = transactionCode(err, q.Version >= 2)
	return r, err
}
