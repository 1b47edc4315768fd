package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/gateway/kafka/group"
)

// DescribeGroups(15), versions 0-6: classic groups with their members. One that is not there, or is of the newer protocol, is Dead, and from version 6 on also an error.
func (k *conn) describeGroups(_ context.Context, s *slot, q *kmsg.DescribeGroupsRequest) (*kmsg.DescribeGroupsResponse, error) {
	r := kmsg.NewPtrDescribeGroupsResponse()
	var failed error
	for _, id := range q.Groups {
		rg := kmsg.NewDescribeGroupsResponseGroup()
		rg.Group, rg.State = id, "Dead"
		if err := k.describeGroup(s.caller, id, &rg); err != nil {
			failed = err
		}
		if rg.ErrorCode == codeGroupIDNotFound && q.Version < 6 {
			rg.ErrorCode = codeNone
		}
		if q.IncludeAuthorizedOperations && rg.ErrorCode == codeNone {
			rg.AuthorizedOperations = groupOperations(k.g.b, s.caller, id)
		}
		r.Groups = append(r.Groups, rg)
	}
	return r, failed
}

func (k *conn) describeGroup(c *broker.Caller, id string, r *kmsg.DescribeGroupsResponseGroup) error {
	if err := k.mayGroup(c, broker.ActionDescribe, id); err != nil {
		r.ErrorCode, r.State = codeGroupDenied, ""
		return err
	}
	x, err := k.g.groups.find(c.Namespace, id)
	switch {
	case err == errNoGroup: //nolint:errorlint // it is returned as it is
		return notClassic(r, id)
	case err != nil:
		r.ErrorCode, r.State = groupCode(group.None, err), ""
		return err
	}
	x.mu.RLock()
	if x.classic == nil { // it is none that this request knows
		x.mu.RUnlock()
		return notClassic(r, id)
	}
	d := x.classic.Describe()
	x.mu.RUnlock()
	r.State, r.ProtocolType, r.Protocol = d.State.String(), d.Kind, d.Protocol
	for i := range d.Members {
		m := &d.Members[i]
		rm := kmsg.NewDescribeGroupsResponseGroupMember()
		rm.MemberID, rm.ClientID, rm.ClientHost, rm.ProtocolMetadata, rm.MemberAssignment = m.ID, m.ClientID, "/"+m.Host, m.Metadata, m.Assignment
		if m.Instance != "" {
			rm.InstanceID = &m.Instance
		}
		r.Members = append(r.Members, rm)
	}
	return nil
}

// notClassic is the answer for a group that is not there, or is of the newer protocol. Versions before 6 say that it is dead.
func notClassic(r *kmsg.DescribeGroupsResponseGroup, id string) error {
	text := "Group " + clip(id) + " is not a classic group."
	r.ErrorCode, r.ErrorMessage = codeGroupIDNotFound, &text
	return nil
}

// groupOperations is the bit field of what the caller may do with a group: bit n is the protocol's ACL operation n.
func groupOperations(b *broker.Broker, c *broker.Caller, id string) int32 {
	const opRead, opDelete, opDescribe = 3, 6, 8
	var bits int32
	for op, a := range map[int]broker.Action{opRead: broker.ActionRead, opDelete: broker.ActionDelete, opDescribe: broker.ActionDescribe} {
		if b.Allowed(c, a, broker.KindSubscription, ourName(id)) {
			bits |= 1 << op
		}
	}
	return bits
}
