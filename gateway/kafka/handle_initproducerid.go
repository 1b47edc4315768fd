package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker/fault"
)

// InitProducerId(22), versions 0-4: idempotence. Each call gives a new id with epoch 0, also to one that has an id (3+): the sequence
// begins again with it. A transactional id is refused with the one code that all clients take as final.
func (k *conn) initProducerID(ctx context.Context, s *slot, q *kmsg.InitProducerIDRequest) (*kmsg.InitProducerIDResponse, error) {
	r := kmsg.NewPtrInitProducerIDResponse()
	r.ProducerID, r.ProducerEpoch = -1, -1
	if q.TransactionalID != nil {
		r.ErrorCode = codeTransactionalDenied
		return r, fault.New(fault.Unsupported, "init producer", clip(*q.TransactionalID), "transactions are not offered")
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
