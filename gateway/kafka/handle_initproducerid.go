package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// InitProducerId(22), versions 0-5. Without a transactional id: idempotence; each call gives a new id with epoch 0, also to one that has an id (3+): the
// sequence begins again with it. With one: the id's producer with its next epoch; who had it before is fenced, and what that had open is aborted in the
// same moment, so that CONCURRENT_TRANSACTIONS is never answered. A producer that says who it is (3+) gets the same answer when it asks twice.
func (k *conn) initProducerID(ctx context.Context, s *slot, q *kmsg.InitProducerIDRequest) (*kmsg.InitProducerIDResponse, error) {
	r := kmsg.NewPtrInitProducerIDResponse()
	r.ProducerID, r.ProducerEpoch = -1, -1
	if q.TransactionalID != nil {
		now, err := k.initTransactions(ctx, s, q)
		if err != nil {
			r.ErrorCode = transactionCode(err, q.Version >= 4)
			return r, err
		}
		r.ProducerID, r.ProducerEpoch = now.ID, now.Epoch
		return r, nil
	}
	id, epoch, err := k.g.b.NewProducer(ctx, s.caller)
	if err != nil {
		f := fault.As(err)
		r.ErrorCode, r.ThrottleMillis = code(f, placeCluster), throttle(f, 0)
		return r, err
	}
	r.ProducerID, r.ProducerEpoch = id, epoch
	return r, nil
}

func (k *conn) initTransactions(ctx context.Context, s *slot, q *kmsg.InitProducerIDRequest) (broker.ProducerEpoch, error) {
	var expect *broker.ProducerEpoch
	if q.Version >= 3 && q.ProducerID >= 0 {
		expect = &broker.ProducerEpoch{ID: q.ProducerID, Epoch: q.ProducerEpoch}
	}
	timeout := time.Duration(q.TransactionTimeoutMillis) * time.Millisecond
	return k.g.b.InitTransactor(ctx, s.caller, *q.TransactionalID, timeout, expect)
}
