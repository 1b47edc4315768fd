package aws

import (
	"leat/broker/fault"
	"leat/gateway/aws/wire"
)

// translateTopicFault is what a kind of fault is called by SNS. The switch is exhaustive: a new kind is a chore here.
func translateTopicFault(f *fault.Error) *wire.Error {
	switch f.Kind {
	case fault.Invalid, fault.ContractBroken, fault.Trimmed, fault.Exists, fault.TooLarge:
		return badTopic(f.Text)
	case fault.NotFound:
		return noTopic()
	case fault.Denied:
		if f.Reason == fault.ReasonLogin {
			return wire.Refuse(wire.InvalidClientTokenID, f.Text)
		}
		return wire.Refuse(wire.TopicAuthorizationError, f.Text)
	case fault.QuotaSpent:
		return wire.Refuse(wire.TopicThrottled, f.Text)
	case fault.Unsupported:
		return wire.Refuse(wire.InvalidAction, f.Text)
	case fault.Conflict, fault.Fenced:
		return wire.Refuse(wire.TopicConcurrentAccess, f.Text)
	case fault.Unavailable, fault.Unknown:
		return wire.Refuse(wire.ServiceUnavailable, f.Text)
	case fault.Corrupt, fault.Internal:
	}
	return wire.Refuse(wire.TopicInternalError, "Something went wrong inside; the log has the cause.")
}
