package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/gateway/kafka/group"
)

// ConsumerGroupDescribe(69), versions 0-1: groups of the newer protocol with their members, what each owns and what it is to own.
func (k *conn) consumerGroupDescribe(_ context.Context, s *slot, q *kmsg.ConsumerGroupDescribeRequest) (*kmsg.ConsumerGroupDescribeResponse, error) {
	r := kmsg.NewPtrConsumerGroupDescribeResponse()
	var failed error
	for _, id := range q.Groups {
		rg := kmsg.NewConsumerGroupDescribeResponseGroup()
		rg.Group = id
		if err := k.describeConsumerGroup(s.caller, id, &rg); err != nil {
			failed = err
		}
		if q.IncludeAuthorizedOperations && rg.ErrorCode == codeNone {
			rg.AuthorizedOperations = groupOperations(k.g.b, s.caller, id)
		}
		r.Groups = append(r.Groups, rg)
	}
	return r, failed
}

func (k *conn) describeConsumerGroup(c *broker.Caller, id string, r *kmsg.ConsumerGroupDescribeResponseGroup) error {
	if err := k.mayGroup(c, broker.ActionDescribe, id); err != nil {
		r.ErrorCode = codeGroupDenied
		return err
	}
	x, err := k.g.groups.find(c.Namespace, id)
	if err != nil && err != errNoGroup { //nolint:errorlint // it is returned as it is
		r.ErrorCode = groupCode(group.None, err)
		return err
	}
	var d group.ConsumerDescription
	is := false
	if x != nil {
		x.mu.RLock()
		if is = x.consumer != nil; is {
			d = x.consumer.Describe()
		}
		x.mu.RUnlock()
	}
	if !is {
		text := "Group " + clip(id) + " is not a consumer group."
		r.ErrorCode, r.ErrorMessage = codeGroupIDNotFound, &text
		return nil
	}
	r.State, r.Epoch, r.AssignmentEpoch, r.AssignorName = d.State.String(), d.Epoch, d.TargetEpoch, d.Assignor
	names := k.names848(c, &d)
	for i := range d.Members {
		r.Members = append(r.Members, describedConsumer(&d.Members[i], names))
	}
	return nil
}

// names848 are the names of the topics that members own or are to own. Those that are gone have none.
func (k *conn) names848(c *broker.Caller, d *group.ConsumerDescription) map[group.ID]string {
	names := d.Topics
	for i := range d.Members {
		for _, ps := range [...]group.Parts{d.Members[i].Owned, d.Members[i].Target} {
			for id := range ps {
				if _, known := names[id]; !known {
					name, _ := k.g.b.StreamName(c, broker.StreamUID(id))
					names[id] = name
				}
			}
		}
	}
	return names
}

func describedConsumer(m *group.DescribedConsumer, names map[group.ID]string) kmsg.ConsumerGroupDescribeResponseGroupMember {
	r := kmsg.NewConsumerGroupDescribeResponseGroupMember()
	r.MemberID, r.MemberEpoch, r.ClientID, r.ClientHost, r.SubscribedTopics, r.MemberType = m.ID, m.Epoch, m.ClientID, "/"+m.Host, m.Names, memberTypeConsumer
	if m.Classic {
		r.MemberType = memberTypeClassic
	}
	if m.Instance != "" {
		r.InstanceID = &m.Instance
	}
	if m.Rack != "" {
		r.RackID = &m.Rack
	}
	if m.Pattern != "" {
		r.SubscribedTopicRegex = &m.Pattern
	}
	r.Assignment, r.TargetAssignment = assignmentOf(m.Owned, names), assignmentOf(m.Target, names)
	return r
}

// Which protocol a member speaks: the older one, or the newer.
const (
	memberTypeClassic  = 0
	memberTypeConsumer = 1
)

func assignmentOf(p group.Parts, names map[group.ID]string) kmsg.Assignment {
	a := kmsg.NewAssignment()
	for _, id := range sortedIDs(p) {
		if names[id] == "" {
			continue
		}
		t := kmsg.NewAssignmentTopicPartition()
		t.TopicID, t.Topic, t.Partitions = id, names[id], p[id]
		a.TopicPartitions = append(a.TopicPartitions, t)
	}
	return a
}
