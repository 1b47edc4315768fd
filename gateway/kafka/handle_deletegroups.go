package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/gateway/kafka/group"
)

// DeleteGroups(42), versions 0-2: groups without members go, with their offsets. Each is judged alone.
func (k *conn) deleteGroups(ctx context.Context, s *slot, q *kmsg.DeleteGroupsRequest) (*kmsg.DeleteGroupsResponse, error) {
	r := kmsg.NewPtrDeleteGroupsResponse()
	var failed error
	for _, id := range q.Groups {
		rg := kmsg.NewDeleteGroupsResponseGroup()
		rg.Group = id
		c, err := k.deleteGroup(ctx, s.caller, id)
		if rg.ErrorCode = groupCode(c, err); err != nil {
			failed = err
		}
		r.Groups = append(r.Groups, rg)
	}
	return r, failed
}

func (k *conn) deleteGroup(ctx context.Context, c *broker.Caller, id string) (group.Code, error) {
	if id == "" {
		return group.InvalidGroupID, nil
	}
	if err := k.mayGroup(c, broker.ActionDelete, id); err != nil {
		return group.None, err
	}
	x, err := k.g.groups.find(c.Namespace, id)
	switch {
	case err == errNoGroup: //nolint:errorlint // it is returned as it is
		return group.GroupIDNotFound, nil
	case err != nil:
		return group.None, err
	}
	return k.g.groups.drop(ctx, c, x)
}
