package kafka

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/kafka/group"
)

// ConsumerGroupHeartbeat(68), versions 0-1: a member of a group of the newer protocol joins (epoch 0), is there, or leaves (-1; -2 for a static one that comes back). What
// it is to own is in the answer when that has changed. In version 0 the node makes the member's id; patterns come with version 1, and stand for whole names of
// topics, the platform's own left out.
func (k *conn) consumerGroupHeartbeat(ctx context.Context, s *slot, q *kmsg.ConsumerGroupHeartbeatRequest) (*kmsg.ConsumerGroupHeartbeatResponse, error) {
	r := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	reply, refusal, err := k.consumerBeat(ctx, s, q)
	switch {
	case refusal != nil:
		r.ErrorCode = int16(refusal.Code)
		if refusal.Text != "" {
			r.ErrorMessage = &refusal.Text
		}
		return r, err
	case err != nil:
		f := fault.As(err)
		r.ErrorCode, r.ErrorMessage = groupCode(group.None, err), message(f)
		return r, err
	}
	r.MemberID, r.MemberEpoch = &reply.Member, reply.Epoch
	r.HeartbeatIntervalMillis = int32(k.g.cfg.Groups.Heartbeat.Milliseconds())
	if reply.Owns != nil {
		a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
		for _, id := range sortedIDs(reply.Owns) {
			t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
			t.TopicID, t.Partitions = id, reply.Owns[id]
			a.Topics = append(a.Topics, t)
		}
		r.Assignment = &a
	}
	return r, nil
}

func sortedIDs(p group.Parts) []group.ID {
	return slices.SortedFunc(maps.Keys(p), func(a, b group.ID) int { return bytes.Compare(a[:], b[:]) })
}

func (k *conn) consumerBeat(ctx context.Context, s *slot, q *kmsg.ConsumerGroupHeartbeatRequest) (*group.BeatReply, *group.Refusal, error) {
	if q.Group == "" {
		return nil, &group.Refusal{Code: group.InvalidRequest, Text: "GroupId can't be empty."}, nil
	}
	if _, err := k.enter(s.caller, q.Group); err != nil {
		return nil, nil, err
	}
	for _, name := range q.SubscribedTopicNames {
		if !k.g.b.Allowed(s.caller, broker.ActionDescribe, broker.KindStream, name) {
			return nil, &group.Refusal{Code: group.Code(codeTopicDenied)}, fault.New(fault.Denied, "subscribe", clip(name), "describe on stream %q is not granted", clip(name))
		}
	}
	beat := &group.Beat{
		Member: q.MemberID, Epoch: q.MemberEpoch, Instance: q.InstanceID, Rack: q.RackID, ClientID: s.caller.Client, Host: s.caller.Address,
		RebalanceMS: q.RebalanceTimeoutMillis, Names: q.SubscribedTopicNames, Pattern: q.SubscribedTopicRegex, Assignor: q.ServerAssignor,
	}
	if q.Version == 0 {
		beat.Pattern = nil
		if beat.Member == "" && beat.Epoch == 0 {
			beat.Member = freshID("", "")[1:]
		}
	} else if beat.Member == "" {
		return nil, &group.Refusal{Code: group.InvalidRequest, Text: "MemberId can't be empty."}, nil
	}
	if len(beat.Member) > memberIDBytesMax || len(textOf(beat.Instance)) > memberIDBytesMax {
		return nil, &group.Refusal{Code: group.InvalidRequest, Text: "The id of a member is too long."}, nil
	}
	if q.Topics != nil {
		beat.Owned = group.PartsOf(func(add func(group.ID, int32)) {
			for i := range q.Topics {
				for _, p := range q.Topics[i].Partitions {
					add(q.Topics[i].TopicID, p)
				}
			}
		})
	}
	beat.Whole = q.RebalanceTimeoutMillis != -1 && (q.SubscribedTopicNames != nil || q.SubscribedTopicRegex != nil) && q.Topics != nil
	if r := beat.Check(); r != nil {
		return nil, r, nil
	}
	return k.beat(ctx, s.caller, q.Group, beat)
}

// beat gives a heartbeat to its group, which is made when somebody joins it.
func (k *conn) beat(ctx context.Context, c *broker.Caller, id string, beat *group.Beat) (reply *group.BeatReply, refusal *group.Refusal, err error) {
	x, err := k.g.groups.find(c.Namespace, id)
	if err == errNoGroup { //nolint:errorlint // it is returned as it is
		if beat.Epoch != 0 {
			return nil, &group.Refusal{Code: group.GroupIDNotFound, Text: "Group " + clip(id) + " not found."}, nil
		}
		x, err = k.g.groups.make(ctx, c, c.Namespace, id)
	}
	if err != nil {
		return nil, nil, err
	}
	err = x.step(func(nowMS int64) {
		if beat.Epoch != 0 && x.consumer == nil || beat.Epoch == 0 && !x.becomeConsumer(topicView{k.g.b, c}) {
			refusal = &group.Refusal{Code: group.GroupIDNotFound, Text: "Group " + clip(id) + " is not a consumer group: members of the older protocol are in it that are no consumers."}
			return
		}
		reply, refusal = x.consumer.Heartbeat(nowMS, beat, topicView{k.g.b, c})
	})
	return reply, refusal, err
}

// topicView is the topics as a group sees them.
type topicView struct {
	b *broker.Broker
	c *broker.Caller
}

func (v topicView) Version() uint64 { return v.b.StreamsVersion() }

func (v topicView) Topic(name string) (group.Topic, bool) {
	s, there := v.b.OwnStreamBrief(v.c.Namespace, name)
	return group.Topic{ID: group.ID(s.UID), Name: s.Name, Partitions: s.Partitions}, there
}

func (v topicView) Each(fn func(group.Topic)) {
	v.b.OwnStreamBriefs(v.c, func(s broker.StreamBrief) {
		if !strings.HasPrefix(s.Name, "leat.") {
			fn(group.Topic{ID: group.ID(s.UID), Name: s.Name, Partitions: s.Partitions})
		}
	})
}
