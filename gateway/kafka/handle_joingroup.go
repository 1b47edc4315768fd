package kafka

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker/fault"
	"leat/gateway/kafka/group"
)

// JoinGroup(11), versions 0-9: becoming a member, and every rebalance after that. The answer comes when the rebalance ends. From version 4 on, who is not
// a static member is told an id first (79) and joins with it, so that clients which never hear the answer leave nobody behind. Version 0 has no rebalance
// timeout: it is the session's.
func (k *conn) joinGroup(ctx context.Context, s *slot, q *kmsg.JoinGroupRequest) (*kmsg.JoinGroupResponse, error) {
	a, err := k.join(ctx, s, q)
	if a == nil {
		a = &group.JoinReply{Code: group.Code(groupCode(group.None, err)), Generation: -1, Member: q.MemberID}
	}
	r := kmsg.NewPtrJoinGroupResponse()
	r.ErrorCode, r.Generation, r.LeaderID, r.MemberID, r.SkipAssignment = int16(a.Code), a.Generation, a.Leader, a.Member, a.Skip
	if a.Code == group.None || q.Version < 7 {
		r.Protocol = &a.Protocol
	}
	if a.Code == group.None {
		r.ProtocolType = &a.Kind
	}
	for _, m := range a.Members {
		rm := kmsg.NewJoinGroupResponseMember()
		rm.MemberID, rm.ProtocolMetadata = m.ID, m.Metadata
		if m.Instance != "" {
			rm.InstanceID = &m.Instance
		}
		r.Members = append(r.Members, rm)
	}
	return r, err
}

func (k *conn) join(ctx context.Context, s *slot, q *kmsg.JoinGroupRequest) (*group.JoinReply, error) {
	refused := func(c int16) *group.JoinReply {
		return &group.JoinReply{Code: group.Code(c), Generation: -1, Member: q.MemberID}
	}
	if c, err := k.enter(s.caller, q.Group); c != codeNone {
		return refused(c), err
	}
	if len(q.MemberID) > memberIDBytesMax || len(textOf(q.InstanceID)) > memberIDBytesMax {
		return refused(codeInvalidRequest), fault.New(fault.Invalid, "join", clip(q.Group), "the id of a member has at most %d bytes", memberIDBytesMax)
	}
	r, err := k.g.groups.find(s.caller.Namespace, q.Group)
	if err == errNoGroup { //nolint:errorlint // it is returned as it is
		if q.MemberID != "" {
			return refused(int16(group.UnknownMemberID)), nil
		}
		r, err = k.g.groups.make(ctx, s.caller, s.caller.Namespace, q.Group)
	}
	if err != nil {
		return nil, err
	}
	j := &group.Join{
		Member: q.MemberID, Instance: textOf(q.InstanceID), ClientID: s.caller.Client, Host: s.caller.Address,
		SessionMS: q.SessionTimeoutMillis, RebalanceMS: q.RebalanceTimeoutMillis, Kind: q.ProtocolType,
		FreshID: freshID(s.caller.Client, textOf(q.InstanceID)), KnownFirst: q.Version >= 4, Skips: q.Version >= 9,
	}
	for i := range q.Protocols {
		// The frame is not kept: what stays of it is copied.
		j.Protocols = append(j.Protocols, group.Protocol{Name: q.Protocols[i].Name, Metadata: append([]byte(nil), q.Protocols[i].Metadata...)})
	}
	a, err := r.await(ctx, k, true, func(nowMS int64, t group.Token) { r.classic.Join(nowMS, j, t) }, func(nowMS int64) answer {
		return answer{join: r.consumer.JoinClassic(nowMS, j, topicView{k.g.b, s.caller})}
	})
	if err != nil {
		return nil, err
	}
	if a.join == nil {
		return refused(codeCoordinatorNotAvailable), nil // the connection ends
	}
	return a.join, nil
}

// memberIDBytesMax is the length of an id of a member: a client's name and what makes it unique.
const memberIDBytesMax = 400

// freshID is the id of a new member: what people know it by, and something that no other has.
func freshID(client, instance string) string {
	var p [16]byte
	_, _ = rand.Read(p[:]) // never fails
	p[6], p[8] = p[6]&0x0f|0x40, p[8]&0x3f|0x80
	h := hex.EncodeToString(p[:])
	if instance != "" {
		client = instance
	}
	return client[:min(len(client), clientIDBytesMax)] + "-" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
