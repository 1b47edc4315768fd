package link

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// topics sees to it that there is a stream for each topic that is meant, and that its partitions are copied.
func (w *worker) topics(ctx context.Context) error {
	all, err := w.admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("the topics cannot be listed: %w", err)
	}
	var fresh []string
	for name, t := range all {
		switch {
		case !matches(w.settings.Topics, name) || t.IsInternal && len(w.settings.Topics) == 0:
			delete(all, name)
		case t.Err != nil:
			w.halt(name, t.Err.Error())
			delete(all, name)
		case !w.known[name]:
			fresh = append(fresh, name)
		}
	}
	slices.Sort(fresh)
	if over := len(w.known) + len(fresh) - TopicsMax; over > 0 {
		w.halt("topics", fmt.Sprintf("%d topics are over the limit of %d for one link", over, TopicsMax))
		fresh = fresh[:len(fresh)-over]
	}
	configs := map[string]map[string]string{}
	if len(fresh) > 0 {
		rs, err := w.admin.DescribeTopicConfigs(ctx, fresh...)
		if err != nil {
			return fmt.Errorf("the configs of topics cannot be described: %w", err)
		}
		for _, r := range rs {
			m := map[string]string{}
			for _, c := range r.Configs {
				m[c.Key] = c.MaybeValue()
			}
			configs[r.Name] = m
		}
	}
	for _, name := range fresh {
		if err := w.adopt(ctx, name, len(all[name].Partitions), configs[name]); err != nil {
			if !final(err) {
				return err
			}
			w.halt(name, reason(err))
			continue
		}
		w.goesOn(name)
		w.known[name] = true
	}
	for name := range w.known {
		if t, ok := all[name]; ok {
			if err := w.grow(ctx, name, &t); err != nil {
				return err
			}
		}
	}
	return nil
}

// final reports whether trying again helps nothing, as long as nobody does something about it.
func final(err error) bool {
	switch fault.As(err).Kind {
	case fault.Conflict, fault.Denied, fault.Invalid, fault.Unsupported, fault.TooLarge, fault.Exists:
		return true
	default:
		return false
	}
}

// adopt makes the stream for a topic, or takes one over that is empty.
func (w *worker) adopt(ctx context.Context, name string, partitions int, configs map[string]string) error {
	info, err := w.l.broker.DescribeStream(ctx, w.caller, name)
	if fault.Is(err, fault.NotFound) {
		_, err = w.l.broker.CreateStream(ctx, w.caller, name, w.config(partitions, configs))
		return err
	}
	if err != nil || info.Config.LinkedBy == w.key.name {
		return err
	}
	if by := info.Config.LinkedBy; by != "" {
		return fault.New(fault.Conflict, "link", name, "stream %q is what link %q copies", name, by)
	}
	for _, p := range info.Partitions {
		if p.End > 0 {
			return fault.New(fault.Conflict, "link", name, "there is a stream %q with events of its own already; delete it, or leave the topic out", name)
		}
	}
	_, err = w.l.broker.AlterStream(ctx, w.caller, name, func(c *broker.StreamConfig) error {
		was := *c
		*c = w.config(partitions, configs)
		c.Partitions, c.Documents, c.Immutable, c.Protected = max(c.Partitions, was.Partitions), was.Documents, was.Immutable, was.Protected
		return nil
	}, info.Revision)
	return err
}

// config is what the configs of a topic mean here. What has no meaning here is not taken over.
func (w *worker) config(partitions int, configs map[string]string) broker.StreamConfig {
	c := broker.StreamConfig{Partitions: int32(partitions), Keys: broker.KeysOff, LinkedBy: w.key.name}
	c.RetentionMS, c.RetentionBytes = broker.Forever, broker.Forever
	number := func(name string) (n int64, ok bool) {
		n, err := strconv.ParseInt(configs[name], 10, 64)
		return n, err == nil
	}
	compact, del := strings.Contains(configs["cleanup.policy"], "compact"), strings.Contains(configs["cleanup.policy"], "delete")
	if compact {
		c.Keys = broker.KeysLatest
		if ms, ok := number("delete.retention.ms"); ok && ms > 0 {
			c.TombstoneRetentionMS = ms
		}
		if ms, ok := number("min.compaction.lag.ms"); ok && ms > 0 {
			c.CompactionLagMS = ms
		}
	}
	if del {
		if ms, ok := number("retention.ms"); ok && ms > 0 {
			c.RetentionMS = ms
		}
		if n, ok := number("retention.bytes"); ok && n > 0 {
			c.RetentionBytes = n
		}
	}
	if n, ok := number("max.message.bytes"); ok && n > 0 {
		c.BatchBytesMax = int(min(n, int64(broker.Default().BatchBytesMax)))
	}
	if configs["message.timestamp.type"] == "LogAppendTime" {
		c.TimeOf = broker.TimeOfAppend
	}
	return c
}

// grow has the partitions of a topic copied that are not yet.
func (w *worker) grow(ctx context.Context, name string, t *kadm.TopicDetail) error {
	fresh := false
	for p := range t.Partitions {
		fresh = fresh || w.copies[part{name, p}] == nil
	}
	if !fresh {
		return nil
	}
	info, err := w.l.broker.DescribeStream(ctx, w.caller, name)
	if err == nil && info.Config.LinkedBy == w.key.name && len(info.Partitions) < len(t.Partitions) {
		info, err = w.l.broker.AlterStream(ctx, w.caller, name, func(c *broker.StreamConfig) error {
			c.Partitions = max(c.Partitions, int32(len(t.Partitions)))
			return nil
		}, 0)
	}
	if err != nil {
		return err
	}
	if info.Config.LinkedBy != w.key.name {
		w.halt(name, "its stream is not linked any more")
		delete(w.known, name)
		return nil
	}
	from := map[int32]kgo.Offset{}
	for p := range t.Partitions {
		if k := (part{name, p}); w.copies[k] == nil && int(p) < len(info.Partitions) {
			x := &copying{part: k, next: info.Partitions[p].End}
			w.copies[k] = x
			w.progress(k, x.next, x.next)
			from[p] = kgo.NewOffset().At(int64(x.next))
		}
	}
	if len(from) > 0 {
		w.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{name: from})
	}
	return nil
}

// moveTo has a partition read from another offset.
func (w *worker) moveTo(x *copying, to record.Offset) {
	w.client.RemoveConsumePartitions(map[string][]int32{x.topic: {x.partition}})
	w.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{x.topic: {x.partition: kgo.NewOffset().At(int64(to))}})
}
