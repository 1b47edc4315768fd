package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// CreateTopics(19), versions 0-7.
//
// Any replication factor is accepted and reported as 1: scripts and frameworks ask for 3 and mean "safe". An assignment of replicas by
// hand counts as its number of partitions, and has to name this node alone. -1 partitions are the default. Each topic is judged alone; one named twice is refused twice.
func (k *conn) createTopics(ctx context.Context, s *slot, q *kmsg.CreateTopicsRequest) (*kmsg.CreateTopicsResponse, error) {
	r := kmsg.NewPtrCreateTopicsResponse()
	times := make(map[string]int, len(q.Topics))
	for i := range q.Topics {
		times[q.Topics[i].Topic]++
	}
	var failed error
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Topic, -1, -1
		rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // null makes the Java client fail
		cfg, codeIs, text := k.wanted(t, times[t.Topic])
		if codeIs == codeNone {
			info, err := k.create(ctx, s.caller, t.Topic, cfg, q.ValidateOnly)
			if err == nil {
				describeCreated(&rt, &info)
				r.Topics = append(r.Topics, rt)
				continue
			}
			f := fault.As(err)
			codeIs, text = createCode(f), f.Text
			r.ThrottleMillis = throttle(f, r.ThrottleMillis)
			k.report("", -1, err)
			failed = err
		} else {
			failed = fault.New(fault.Invalid, "create", clip(t.Topic), "%s", text)
		}
		rt.ErrorCode, rt.ErrorMessage = codeIs, &text
		r.Topics = append(r.Topics, rt)
	}
	return r, failed
}

func (k *conn) create(ctx context.Context, caller *broker.Caller, name string, cfg broker.StreamConfig, validate bool) (broker.StreamInfo, error) {
	if !validate {
		return k.g.b.CreateStream(ctx, caller, name, cfg)
	}
	return broker.StreamInfo{Name: name, Config: cfg}, k.g.b.CheckCreateStream(ctx, caller, name, cfg)
}

// createCode is code, with the words that CreateTopics has of its own.
func createCode(f *fault.Error) int16 {
	switch {
	case f.Kind == fault.Invalid && f.Subject == "partitions":
		return codeInvalidPartitions
	case f.Kind == fault.Invalid && f.Op != "name":
		return codeInvalidConfig
	}
	return code(f, placeAdmin)
}

// wanted is the configuration that a request asks for, or why it cannot be had.
func (k *conn) wanted(t *kmsg.CreateTopicsRequestTopic, times int) (cfg broker.StreamConfig, codeIs int16, text string) {
	partitions := t.NumPartitions
	switch {
	case times > 1:
		return cfg, codeInvalidRequest, "the topic is named twice in one request"
	case len(t.ReplicaAssignment) > 0 && (t.NumPartitions != -1 || t.ReplicationFactor != -1):
		return cfg, codeInvalidRequest, "give an assignment of replicas, or numbers, not both"
	case len(t.ReplicaAssignment) > 0:
		if text := k.g.badAssignment(t.ReplicaAssignment); text != "" {
			return cfg, codeInvalidAssignment, text
		}
		partitions = int32(len(t.ReplicaAssignment))
	case partitions == 0 || partitions < -1 || partitions > k.g.cfg.PartitionsMax:
		return cfg, codeInvalidPartitions, "partitions is " + formatNumber(int64(partitions)) + "; it must be from 1 to " +
			formatNumber(int64(k.g.cfg.PartitionsMax)) + ", or -1 for the default"
	case t.ReplicationFactor == 0 || t.ReplicationFactor < -1:
		return cfg, codeInvalidReplication, "replication factor is " + formatNumber(int64(t.ReplicationFactor)) + "; it must be 1 or more, or -1 for the default"
	}
	if partitions > k.g.cfg.PartitionsMax {
		return cfg, codeInvalidPartitions, "a topic has at most " + formatNumber(int64(k.g.cfg.PartitionsMax)) + " partitions"
	}
	cfg = k.g.newStream(partitions)
	for _, c := range t.Configs {
		key, text := findConfig(c.Name)
		if key == nil {
			return cfg, codeInvalidConfig, text
		}
		if c.Value == nil {
			continue
		}
		if text := key.check(*c.Value); text != "" {
			return cfg, codeInvalidConfig, text
		}
		setTopicConfig(&cfg, c.Name, c.Value)
	}
	return cfg, codeNone, ""
}

// badAssignment says what is wrong with partitions that are assigned by hand: they must be 0, 1, 2 and so on, each here.
func (g *Gateway) badAssignment(as []kmsg.CreateTopicsRequestTopicReplicaAssignment) string {
	seen := make([]bool, len(as))
	for _, a := range as {
		if a.Partition < 0 || int(a.Partition) >= len(as) || seen[a.Partition] {
			return "the partitions of an assignment must be 0, 1, 2 and so on"
		}
		if text := g.badReplicas(a.Replicas); text != "" {
			return text
		}
		seen[a.Partition] = true
	}
	return ""
}

// badReplicas says what is wrong with the brokers that a partition is assigned to: there is one.
func (g *Gateway) badReplicas(of []int32) string {
	if len(of) == 1 && of[0] == g.b.NodeID() {
		return ""
	}
	return "a partition can be assigned to this node, " + formatNumber(int64(g.b.NodeID())) + ", and nowhere else"
}

func describeCreated(rt *kmsg.CreateTopicsResponseTopic, info *broker.StreamInfo) {
	rt.NumPartitions, rt.ReplicationFactor, rt.TopicID = info.Config.Partitions, 1, info.UID
	for i := range configKeys {
		key := &configKeys[i]
		value, own := topicConfig(&info.Config, key)
		if !own && slices.Contains(bygone, key.name) {
			continue
		}
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.Source = key.name, &value, int8(sourceOf(own))
		rt.Configs = append(rt.Configs, c)
	}
}
