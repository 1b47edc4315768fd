package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/gateway/kafka/group"
)

// Heartbeat(12), versions 0-4: a member is there. It is told when it should join again (27), or is no member any more.
func (k *conn) heartbeat(_ context.Context, s *slot, q *kmsg.HeartbeatRequest) (*kmsg.HeartbeatResponse, error) {
	r := kmsg.NewPtrHeartbeatResponse()
	c, err := k.enter(s.caller, q.Group)
	if c != codeNone {
		r.ErrorCode = c
		return r, err
	}
	x, err := k.g.groups.find(s.caller.Namespace, q.Group)
	switch {
	case err == errNoGroup: //nolint:errorlint // it is returned as it is
		r.ErrorCode = int16(group.UnknownMemberID)
		return r, nil
	case err != nil:
		r.ErrorCode = groupCode(group.None, err)
		return r, err
	}
	r.ErrorCode = int16(x.heartbeat(q.MemberID, textOf(q.InstanceID), q.Generation))
	return r, nil
}
