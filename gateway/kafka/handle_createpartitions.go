package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// CreatePartitions(37), versions 0-3: partitions only grow. Keys are not moved, so those that hash elsewhere now begin a new order
// there, as anywhere. An assignment of replicas is accepted when it has as many lines as partitions are new, each of which names this node alone.
func (k *conn) createPartitions(ctx context.Context, s *slot, q *kmsg.CreatePartitionsRequest) (*kmsg.CreatePartitionsResponse, error) {
	r := kmsg.NewPtrCreatePartitionsResponse()
	var failed error
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic = t.Topic
		if err := k.grow(ctx, s.caller, t, q.ValidateOnly); err != nil {
			f := fault.As(err)
			if rt.ErrorCode, rt.ErrorMessage = createCode(f), message(f); f.Subject == "assignment" {
				rt.ErrorCode = codeInvalidAssignment
			}
			r.ThrottleMillis = throttle(f, r.ThrottleMillis)
			k.report("", -1, err)
			failed = err
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, failed
}

func (k *conn) grow(ctx context.Context, caller *broker.Caller, t *kmsg.CreatePartitionsRequestTopic, validate bool) error {
	check := func(c *broker.StreamConfig) error {
		switch most := k.g.cfg.PartitionsMax; {
		case t.Count <= c.Partitions:
			return fault.New(fault.Invalid, "alter", "partitions", "the topic has %d partitions; %d is not more", c.Partitions, t.Count)
		case t.Count > most:
			return fault.New(fault.Invalid, "alter", "partitions", "a topic has at most %d partitions, not %d", most, t.Count)
		case t.Assignment != nil && len(t.Assignment) != int(t.Count-c.Partitions):
			return fault.New(fault.Invalid, "alter", "assignment", "%d partitions are new and %d are assigned", t.Count-c.Partitions, len(t.Assignment))
		}
		for i := range t.Assignment {
			if text := k.g.badReplicas(t.Assignment[i].Replicas); text != "" {
				return fault.New(fault.Invalid, "alter", "assignment", "%s", text)
			}
		}
		return nil
	}
	if validate {
		info, err := k.g.b.DescribeStream(ctx, caller, t.Topic)
		if err != nil {
			return err
		}
		return check(&info.Config)
	}
	_, err := k.g.b.AlterStream(ctx, caller, t.Topic, func(c *broker.StreamConfig) error {
		if err := check(c); err != nil {
			return err
		}
		c.Partitions = t.Count
		return nil
	}, 0)
	return err
}
