package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// AlterConfigs(33), versions 0-2: what is given replaces all that was set. IncrementalAlterConfigs(44), versions 0-1: set, delete, and
// for lists append and subtract. Only topics can be altered. All of a topic's changes are made, or none.

// configChange is one change to a topic config.
type configChange struct {
	name  string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

func (k *conn) alterConfigs(ctx context.Context, s *slot, q *kmsg.AlterConfigsRequest) (*kmsg.AlterConfigsResponse, error) {
	r := kmsg.NewPtrAlterConfigsResponse()
	var failed error
	for i := range q.Resources {
		res := &q.Resources[i]
		var changes []configChange
		for _, c := range res.Configs {
			changes = append(changes, configChange{c.Name, kmsg.IncrementalAlterConfigOpSet, c.Value})
		}
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
		if err := k.alter(ctx, s.caller, res.ResourceType, res.ResourceName, true, changes, q.ValidateOnly); err != nil {
			rr.ErrorCode, rr.ErrorMessage = alterCode(fault.As(err), res.ResourceType), message(fault.As(err))
			k.report("", -1, err)
			failed = err
		}
		r.Resources = append(r.Resources, rr)
	}
	return r, failed
}

func (k *conn) incrementalAlterConfigs(ctx context.Context, s *slot, q *kmsg.IncrementalAlterConfigsRequest) (*kmsg.IncrementalAlterConfigsResponse, error) {
	r := kmsg.NewPtrIncrementalAlterConfigsResponse()
	var failed error
	for i := range q.Resources {
		res := &q.Resources[i]
		var changes []configChange
		for _, c := range res.Configs {
			changes = append(changes, configChange{c.Name, c.Op, c.Value})
		}
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
		if err := k.alter(ctx, s.caller, res.ResourceType, res.ResourceName, false, changes, q.ValidateOnly); err != nil {
			rr.ErrorCode, rr.ErrorMessage = alterCode(fault.As(err), res.ResourceType), message(fault.As(err))
			k.report("", -1, err)
			failed = err
		}
		r.Resources = append(r.Resources, rr)
	}
	return r, failed
}

func alterCode(f *fault.Error, t kmsg.ConfigResourceType) int16 {
	if f.Kind == fault.Invalid && f.Op != "name" {
		if f.Subject == "request" {
			return codeInvalidRequest
		}
		return codeInvalidConfig
	}
	return code(f, configPlace(t))
}

func (k *conn) alter(ctx context.Context, caller *broker.Caller, kind kmsg.ConfigResourceType, name string, replace bool, changes []configChange, validate bool) error {
	if kind == kmsg.ConfigResourceTypeBroker && !replace && onlyDeletes(changes) {
		// Nothing of a node is set by clients, so what they take back is not there: kafka-reassign-partitions ends with taking throttles back.
		return k.mayCluster(caller, broker.ActionAlter)
	}
	if kind != kmsg.ConfigResourceTypeTopic {
		return fault.New(fault.Invalid, "alter", "request", "only configs of topics can be altered; a node is configured by its file")
	}
	apply := func(c *broker.StreamConfig) error {
		if replace {
			clearTopicConfigs(c)
		}
		seen := map[string]bool{}
		for _, change := range changes {
			if seen[change.name] {
				return fault.New(fault.Invalid, "alter", "request", "%s is named twice", clip(change.name))
			}
			seen[change.name] = true
			if err := change.apply(c); err != nil {
				return err
			}
		}
		return nil
	}
	if validate {
		info, err := k.g.b.DescribeStream(ctx, caller, name)
		if err != nil {
			return err
		}
		return apply(&info.Config)
	}
	_, err := k.g.b.AlterStream(ctx, caller, name, apply, 0)
	return err
}

func onlyDeletes(changes []configChange) bool {
	return !slices.ContainsFunc(changes, func(c configChange) bool { return c.op != kmsg.IncrementalAlterConfigOpDelete })
}

// apply makes the change, or says why it cannot be made.
func (ch *configChange) apply(c *broker.StreamConfig) error {
	bad := func(text string) error { return fault.New(fault.Invalid, "alter", clip(ch.name), "%s", text) }
	key, text := findConfig(ch.name)
	if key == nil {
		return bad(text)
	}
	value := ch.value
	if value == nil || ch.op == kmsg.IncrementalAlterConfigOpDelete {
		if value == nil && ch.op != kmsg.IncrementalAlterConfigOpDelete {
			return bad(ch.name + " has no value")
		}
		setTopicConfig(c, ch.name, nil)
		return nil
	}
	switch ch.op {
	case kmsg.IncrementalAlterConfigOpSet:
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
		if key.kind != kmsg.ConfigTypeList {
			return bad(ch.name + " is no list, so nothing can be appended to it or taken out")
		}
		now, _ := topicConfig(c, key)
		list := changeList(now, *value, ch.op == kmsg.IncrementalAlterConfigOpAppend)
		value = &list
	default:
		return fault.New(fault.Invalid, "alter", "request", "operation %d is not one", ch.op)
	}
	if text := key.check(*value); text != "" {
		return bad(text)
	}
	setTopicConfig(c, ch.name, value)
	return nil
}

// changeList adds the words of change that are not in list, or takes out those that are.
func changeList(list, change string, add bool) string {
	var words []string
	for w := range strings.SplitSeq(list, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	for w := range strings.SplitSeq(change, ",") {
		w = strings.TrimSpace(w)
		at := slices.Index(words, w)
		switch {
		case add && at < 0 && w != "":
			words = append(words, w)
		case !add && at >= 0:
			words = slices.Delete(words, at, at+1)
		}
	}
	return strings.Join(words, ",")
}
