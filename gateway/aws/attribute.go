package aws

import (
	"maps"
	"slices"
	"strconv"

	"leat/broker"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
)

// Attributes and tags of queues: kept in the queue's document, and what of them the broker does in the subscription.

func getAttributes(x *call, in *wire.GetQueueAttributesInput, out *wire.AttributesOutput) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil || len(in.Names) == 0 {
		return err
	}
	info, err := x.g.broker.DescribeSubscription(x.ctx, &x.who, q.name)
	if err != nil {
		return err
	}
	all := q.attributes()
	waiting := max(0, info.Waiting-int64(info.Leased)-int64(info.Delayed))
	all["ApproximateNumberOfMessages"] = strconv.FormatInt(waiting, 10)
	all["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(info.Leased)
	all["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(info.Delayed)
	all["CreatedTimestamp"] = strconv.FormatInt(q.CreatedMS/1000, 10)
	all["LastModifiedTimestamp"] = strconv.FormatInt(q.ChangedMS/1000, 10)
	all["QueueArn"] = x.arn(q.name)
	every := slices.Contains(in.Names, "All")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if every || slices.Contains(in.Names, name) {
			out.Attributes = append(out.Attributes, wire.Pair{Name: name, Value: all[name]})
		}
	}
	return nil
}

func setAttributes(x *call, in *wire.SetQueueAttributesInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	attributes, bad := wire.ParseQueueAttributes(in.Attributes, q.fifo, false)
	if bad != nil {
		return bad
	}
	if err := x.checkRedrive(q, &attributes); err != nil {
		return err
	}
	q, err = x.alter(q, func(d *queueDocument) error {
		d.set(in.Attributes)
		d.ChangedMS = clock.Now().UnixMilli()
		return nil
	})
	if err != nil {
		return err
	}
	return x.subscribe(q, broker.Start{Kind: broker.StartEarliest})
}

func tagsOf(old map[string]string, p wire.Pairs) map[string]string {
	tags := maps.Clone(old)
	if tags == nil && len(p) > 0 {
		tags = map[string]string{}
	}
	for _, t := range p {
		tags[t.Name] = t.Value
	}
	return tags
}

func tagQueue(x *call, in *wire.TagQueueInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	_, err = x.alter(q, func(d *queueDocument) error {
		if d.Tags = tagsOf(d.Tags, in.Tags); len(d.Tags) > wire.TagsMax {
			return wire.Refuse(wire.InvalidParameterValue, "Too many tags added for queue "+q.name+".")
		}
		return nil
	})
	return err
}

func untagQueue(x *call, in *wire.UntagQueueInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	_, err = x.alter(q, func(d *queueDocument) error {
		for _, k := range in.Keys {
			delete(d.Tags, k)
		}
		return nil
	})
	return err
}

func listTags(x *call, in *wire.QueueInput, out *wire.TagsOutput) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(q.Tags)) {
		out.Tags = append(out.Tags, wire.Pair{Name: k, Value: q.Tags[k]})
	}
	return nil
}
