package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/gateway/kafka/group"
)

// LeaveGroup(13), versions 0-5: members go, of groups of both protocols. From version 3 on there may be several, each judged alone, and static ones can be named by their instance.
func (k *conn) leaveGroup(_ context.Context, s *slot, q *kmsg.LeaveGroupRequest) (*kmsg.LeaveGroupResponse, error) {
	r := kmsg.NewPtrLeaveGroupResponse()
	c, err := k.enter(s.caller, q.Group)
	if c != codeNone {
		r.ErrorCode = c
		return r, err
	}
	members := q.Members
	if q.Version < 3 {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = q.MemberID
		members = []kmsg.LeaveGroupRequestMember{m}
	}
	x, err := k.g.groups.find(s.caller.Namespace, q.Group)
	if err != nil && err != errNoGroup { //nolint:errorlint // it is returned as it is
		r.ErrorCode = groupCode(group.None, err)
		return r, err
	}
	codes := make([]group.Code, len(members))
	if x == nil {
		for i := range codes {
			codes[i] = group.UnknownMemberID
		}
	} else if err = x.step(func(nowMS int64) {
		for i := range members {
			if id, instance := members[i].MemberID, textOf(members[i].InstanceID); x.classic != nil {
				codes[i] = x.classic.Leave(nowMS, id, instance)
			} else {
				codes[i] = x.consumer.Leave(nowMS, id, instance)
			}
		}
	}); err != nil {
		r.ErrorCode = groupCode(group.None, err)
		return r, err
	}
	if q.Version < 3 {
		r.ErrorCode = int16(codes[0])
		return r, nil
	}
	for i := range members {
		rm := kmsg.NewLeaveGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ErrorCode = members[i].MemberID, members[i].InstanceID, int16(codes[i])
		r.Members = append(r.Members, rm)
	}
	return r, nil
}
