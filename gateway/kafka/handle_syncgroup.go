package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/gateway/kafka/group"
)

// SyncGroup(14), versions 0-5: the leader says who reads what, and everybody asks for his part. The answer comes when the leader has said it and it is kept.
func (k *conn) syncGroup(ctx context.Context, s *slot, q *kmsg.SyncGroupRequest) (*kmsg.SyncGroupResponse, error) {
	a, err := k.sync(ctx, s, q)
	if a == nil {
		a = &group.SyncReply{Code: group.Code(groupCode(group.None, err))}
	}
	r := kmsg.NewPtrSyncGroupResponse()
	r.ErrorCode, r.MemberAssignment = int16(a.Code), a.Assignment
	if a.Code == group.None {
		r.ProtocolType, r.Protocol = &a.Kind, &a.Protocol
	}
	return r, err
}

func (k *conn) sync(ctx context.Context, s *slot, q *kmsg.SyncGroupRequest) (*group.SyncReply, error) {
	refused := func(c int16) *group.SyncReply { return &group.SyncReply{Code: group.Code(c)} }
	if c, err := k.enter(s.caller, q.Group); c != codeNone {
		return refused(c), err
	}
	r, err := k.g.groups.find(s.caller.Namespace, q.Group)
	if err == errNoGroup { //nolint:errorlint // it is returned as it is
		return refused(int16(group.UnknownMemberID)), nil
	}
	if err != nil {
		return nil, err
	}
	y := &group.Sync{Member: q.MemberID, Instance: textOf(q.InstanceID), Generation: q.Generation, Kind: q.ProtocolType, Protocol: q.Protocol, Assignments: map[string][]byte{}}
	for i := range q.GroupAssignment {
		x := &q.GroupAssignment[i]
		y.Assignments[x.MemberID] = append([]byte(nil), x.MemberAssignment...)
	}
	a, err := r.await(ctx, k, false, func(nowMS int64, t group.Token) { r.classic.Sync(nowMS, y, t) }, func(nowMS int64) answer {
		return answer{sync: r.consumer.SyncClassic(nowMS, y, topicView{k.g.b, s.caller})}
	})
	if err != nil {
		return nil, err
	}
	if a.sync == nil {
		return refused(codeCoordinatorNotAvailable), nil // the connection ends
	}
	return a.sync, nil
}
