package aws

import (
	"errors"

	"leat/broker/fault"
	"leat/gateway/aws/wire"
)

// refusal is an error in Amazon's words. What is our own fault is logged with the id of the request.
func (x *call) refusal(err error) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	f := fault.As(err)
	if e = translateFault(f); x.wire.Service == wire.SNS {
		e = translateTopicFault(f)
	}
	if !e.SenderFault() {
		if held, ok := x.g.failures[f.Kind].Pass(); ok {
			x.g.log.Warn("a request failed", "request", x.id, "action", x.wire.Action, "error", err, "held_back", held)
		}
	}
	return e
}

// translateFault is what a kind of fault is called here. The switch is exhaustive: a new kind is a chore here.
func translateFault(f *fault.Error) *wire.Error {
	switch f.Kind {
	case fault.Invalid, fault.ContractBroken, fault.Trimmed, fault.Exists:
		return wire.Refuse(wire.InvalidParameterValue, f.Text)
	case fault.NotFound:
		return noQueue()
	case fault.Denied:
		if f.Reason == fault.ReasonLogin {
			return wire.Refuse(wire.InvalidClientTokenID, f.Text)
		}
		return wire.Refuse(wire.AccessDenied, f.Text)
	case fault.TooLarge:
		return wire.Refuse(wire.InvalidParameterValue, f.Text)
	case fault.QuotaSpent:
		return wire.Refuse(wire.Throttled, f.Text)
	case fault.Unsupported:
		return wire.Refuse(wire.UnsupportedOperation, f.Text)
	case fault.Conflict, fault.Fenced, fault.Unavailable, fault.Unknown:
		return wire.Refuse(wire.ServiceUnavailable, f.Text)
	case fault.Corrupt, fault.Internal:
		return wire.Refuse(wire.InternalFailure, "Something went wrong inside; the log has the cause.")
	}
	return wire.Refuse(wire.InternalFailure, "Something went wrong inside; the log has the cause.")
}

func noQueue() *wire.Error {
	return wire.Refuse(wire.QueueDoesNotExist, "The specified queue does not exist.")
}
