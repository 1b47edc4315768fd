package kafka

import (
	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/kafka/group"
)

// Error codes of the protocol that only groups have, beside those of package group.
const (
	codeOffsetMetadataTooLarge  int16 = 12
	codeCoordinatorNotAvailable int16 = 15
	codeInvalidGroupID          int16 = 24
	codeGroupDenied             int16 = 30
	codeNonEmptyGroup           int16 = 68
	codeGroupIDNotFound         int16 = 69
	codeGroupSubscribed         int16 = 86
)

// groupCode is the protocol's word for a refusal where a group was asked.
func groupCode(c group.Code, err error) int16 {
	if err == nil {
		return int16(c)
	}
	f := fault.As(err)
	switch f.Kind {
	case fault.Denied:
		return codeGroupDenied
	case fault.NotFound:
		return codeGroupIDNotFound
	case fault.Invalid:
		return codeInvalidGroupID // a subscription that is no group has the name
	case fault.Conflict, fault.Fenced, fault.Exists, fault.QuotaSpent, fault.Unavailable:
		return codeCoordinatorNotAvailable
	case fault.Unknown:
		return codeTimedOut
	case fault.TooLarge, fault.Unsupported, fault.ContractBroken:
		return codeInvalidRequest
	case fault.Trimmed, fault.Corrupt, fault.Internal:
	}
	return codeUnknownServerError
}

// mayGroup reports, as an error, that c may not do that with a group.
func (k *conn) mayGroup(c *broker.Caller, a broker.Action, id string) error {
	if k.g.b.Allowed(c, a, broker.KindSubscription, ourName(id)) {
		return nil
	}
	return fault.New(fault.Denied, string(a), clip(id), "%s on subscription %q is not granted", a, clip(ourName(id)))
}

// enter is the check that every request of a member begins with.
func (k *conn) enter(c *broker.Caller, id string) (int16, error) {
	if id == "" {
		return codeInvalidGroupID, fault.New(fault.Invalid, "group", "", "a group has an id")
	}
	if err := k.mayGroup(c, broker.ActionRead, id); err != nil {
		return codeGroupDenied, err
	}
	return codeNone, nil
}

func textOf(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
