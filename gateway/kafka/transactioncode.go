package kafka

import (
	"leat/broker"
	"leat/broker/fault"
)

// Error codes of the protocol that only transactions have.
const (
	codeInvalidTxnState           int16 = 48
	codeInvalidProducerMapping    int16 = 49
	codeInvalidTransactionTimeout int16 = 50
	codeNotAttempted              int16 = 55
	codeUnstableOffset            int16 = 88
	codeProducerFenced            int16 = 90
	codeTransactionalIDNotFound   int16 = 105
	codeTransactionAbortable      int16 = 120
)

// transactionCode is the protocol's word for a refusal where a transaction was asked. fenced: the version knows PRODUCER_FENCED.
//
// What may work later is 15 (COORDINATOR_NOT_AVAILABLE): every client looks for the coordinator again, finds this node, and asks again. That is right also where
// nobody knows whether it has happened, since asking twice does the same as asking once.
func transactionCode(err error, fenced bool) int16 {
	if err == nil {
		return codeNone
	}
	switch f := fault.As(err); f.Kind {
	case fault.Fenced:
		if !fenced {
			return codeInvalidProducerEpoch
		}
		return codeProducerFenced
	case fault.NotFound:
		if f.Reason == fault.ReasonProducerMapping {
			return codeInvalidProducerMapping
		}
		return codeUnknownPartition
	case fault.Conflict:
		return codeInvalidTxnState
	case fault.Denied:
		return codeTransactionalDenied
	case fault.Unavailable, fault.Unknown, fault.QuotaSpent:
		return codeCoordinatorNotAvailable
	case fault.Unsupported:
		return codeUnsupportedVersion
	case fault.Invalid:
		if f.Reason == fault.ReasonTransactionTimeout {
			return codeInvalidTransactionTimeout
		}
		return codeInvalidRequest
	case fault.TooLarge, fault.Exists, fault.ContractBroken, fault.Trimmed:
		return codeInvalidRequest
	case fault.Corrupt, fault.Internal:
	}
	return codeUnknownServerError
}

// mayTransact reports, as an error, that c may not do that with a transactional id.
func (k *conn) mayTransact(c *broker.Caller, a broker.Action, id string) error {
	if k.g.b.Allowed(c, a, broker.KindProducer, id) {
		return nil
	}
	return fault.New(fault.Denied, string(a), clip(id), "%s on producer %q is not granted", a, clip(id))
}

// phaseNames are what the protocol calls how a transaction stands. Here nothing is ever being prepared: what ends, ends at once.
var phaseNames = [...]string{broker.TransactionIdle: "Empty", broker.TransactionOpen: "Ongoing", broker.TransactionCommitted: "CompleteCommit", broker.TransactionAborted: "CompleteAbort"}
