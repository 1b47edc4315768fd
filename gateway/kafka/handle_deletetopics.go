package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// DeleteTopics(20), versions 0-6, by name or (6) by id. Each topic is judged alone; when the answer comes, it is gone.
func (k *conn) deleteTopics(ctx context.Context, s *slot, q *kmsg.DeleteTopicsRequest) (*kmsg.DeleteTopicsResponse, error) {
	r := kmsg.NewPtrDeleteTopicsResponse()
	var failed error
	for _, name := range q.TopicNames { // to version 5
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = new(name)
		q.Topics = append(q.Topics, t)
	}
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		if err := k.deleteTopic(ctx, s.caller, t, &rt); err != nil {
			f := fault.As(err)
			rt.ErrorCode, rt.ErrorMessage = code(f, placeAdmin), message(f)
			r.ThrottleMillis = throttle(f, r.ThrottleMillis)
			k.report("", -1, err)
			failed = err
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, failed
}

func (k *conn) deleteTopic(ctx context.Context, caller *broker.Caller, t *kmsg.DeleteTopicsRequestTopic, rt *kmsg.DeleteTopicsResponseTopic) error {
	var name string
	switch byID := t.TopicID != [16]byte{}; {
	case byID == (t.Topic != nil):
		return fault.New(fault.Invalid, "delete", "request", "a topic is named by its name or by its id")
	case byID:
		var known bool
		if name, known = k.g.b.StreamName(caller, t.TopicID); !known {
			return fault.New(fault.NotFound, "delete", "request", "no topic has that id").Because(fault.ReasonUID)
		}
		if k.g.b.Allowed(caller, broker.ActionDescribe, broker.KindStream, name) {
			rt.Topic = &name
		}
	default:
		name = *t.Topic
		if info, err := k.g.b.DescribeStream(ctx, caller, name); err == nil {
			rt.TopicID = info.UID
		}
	}
	return k.g.b.DeleteStream(ctx, caller, name)
}
