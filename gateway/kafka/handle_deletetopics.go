package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker/fault"
)

// DeleteTopics(20), versions 0-5, by name (6 needs topic ids). Each topic is judged alone; when the answer comes, it is gone.
func (k *conn) deleteTopics(ctx context.Context, s *slot, q *kmsg.DeleteTopicsRequest) (*kmsg.DeleteTopicsResponse, error) {
	r := kmsg.NewPtrDeleteTopicsResponse()
	var failed error
	for _, name := range q.TopicNames {
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic = new(name)
		if err := k.g.b.DeleteStream(ctx, s.caller, name); err != nil {
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
