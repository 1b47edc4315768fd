package kafka

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
)

// ListGroups(16), versions 0-5: the groups that the caller may describe, from version 4 on those of some states and from 5 on of some types.
func (k *conn) listGroups(ctx context.Context, s *slot, q *kmsg.ListGroupsRequest) (*kmsg.ListGroupsResponse, error) {
	r := kmsg.NewPtrListGroupsResponse()
	subs, err := k.g.b.ListSubscriptions(ctx, s.caller)
	if err != nil {
		r.ErrorCode = groupCode(0, err)
		return r, err
	}
	for i := range subs {
		if !isGroup(&subs[i].Config) {
			continue
		}
		g := k.g.groups.listed(s.caller.Namespace, &broker.OwnSubscription{Name: subs[i].Name, ID: subs[i].ID, Config: subs[i].Config})
		if among(q.StatesFilter, g.GroupState) && among(q.TypesFilter, g.GroupType) {
			r.Groups = append(r.Groups, g)
		}
	}
	return r, nil
}

func among(filter []string, s string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, s) })
}

// The types of groups, as they are listed.
const (
	typeClassic  = "classic"
	typeConsumer = "consumer"
)

// listed is a group as it is listed. One that nobody has used since the program began has no room, and no members.
func (x *groups) listed(namespace string, s *broker.OwnSubscription) kmsg.ListGroupsResponseGroup {
	g := kmsg.NewListGroupsResponseGroup()
	g.Group, g.GroupState, g.GroupType = groupID(s), "Empty", typeClassic
	x.mu.Lock()
	r := x.rooms[groupKey{cmp.Or(namespace, broker.DefaultNamespace), g.Group}]
	x.mu.Unlock()
	if r == nil || r.sub != s.ID {
		return g
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	g.GroupState = r.State().String()
	if r.consumer != nil {
		g.GroupType, g.ProtocolType = typeConsumer, "consumer"
	} else {
		g.ProtocolType = r.classic.Kind()
	}
	return g
}
