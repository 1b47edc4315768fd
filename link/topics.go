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

// topicKey is the document of a linked stream that says which topic it is a copy of: its id there. A topic that is deleted and made again has another
// one, and offsets of its own.
const topicKey = "link.topic"

// Why a topic is left out, and what helps.
const (
	whyAnother = "it is not the topic that it was, which has been deleted there: delete the stream here, and the new one is copied"
	whyGone    = "it is not there any more: delete the stream here, too"
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
		}
	}
	if err := w.stillThere(ctx, all); err != nil {
		return err
	}
	for name := range all {
		if _, known := w.known[name]; !known {
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
		t := all[name]
		if err := w.adopt(ctx, &t, configs[name]); err != nil {
			if !final(err) {
				return err
			}
			w.halt(name, reason(err))
			continue
		}
		w.goesOn(name)
		w.known[name] = t.ID
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

// stillThere leaves out what has been copied of topics that are gone, there or here, or are others by now.
//
//	there: orders (id 1) …900     deleted     orders (id 2) 0…1200
//	here:  orders        …900                               ↑ 900 exists, and is not what follows
//
// A client of the old topic keeps to its id and is told that there is none. One that begins anew, as after a restart, knows the name only: so the id
// is kept with the stream.
func (w *worker) stillThere(ctx context.Context, all kadm.TopicDetails) error {
	if w.gone == nil {
		if err := w.left(ctx, all); err != nil {
			return err
		}
	}
	for name, id := range w.known {
		t, there := all[name]
		info, err := w.l.broker.DescribeStream(ctx, w.caller, name)
		switch {
		case err != nil && !fault.Is(err, fault.NotFound):
			return err
		case err != nil || info.Config.LinkedBy != w.key.name:
			w.forget(name)
		case !there:
			w.forget(name)
			w.halt(name, whyGone)
			w.gone[name] = true
		case t.ID != id:
			w.forget(name)
			w.halt(name, whyAnother)
		}
	}
	for name := range w.gone {
		_, there := all[name]
		info, err := w.l.broker.DescribeStream(ctx, w.caller, name)
		switch {
		case there:
			delete(w.gone, name)
		case fault.Is(err, fault.NotFound) || err == nil && info.Config.LinkedBy != w.key.name:
			delete(w.gone, name)
			w.goesOn(name)
		case err != nil:
			return err
		}
	}
	return nil
}

// left finds streams of this link for which there is no topic any more: those that were deleted while nobody looked.
func (w *worker) left(ctx context.Context, all kadm.TopicDetails) error {
	list, err := w.l.broker.ListStreams(ctx, w.caller)
	if err != nil {
		return err
	}
	w.gone = map[string]bool{}
	for i := range list {
		name := list[i].Name
		if _, there := all[name]; there {
			continue
		}
		if info, err := w.l.broker.DescribeStream(ctx, w.caller, name); err == nil && info.Config.LinkedBy == w.key.name {
			w.halt(name, whyGone)
			w.gone[name] = true
		}
	}
	return nil
}

// adopt makes the stream for a topic, or takes one over that is empty.
func (w *worker) adopt(ctx context.Context, t *kadm.TopicDetail, configs map[string]string) error {
	name, partitions := t.Topic, len(t.Partitions)
	info, err := w.l.broker.DescribeStream(ctx, w.caller, name)
	if fault.Is(err, fault.NotFound) {
		c := w.config(partitions, configs)
		of(&c, t.ID)
		_, err = w.l.broker.CreateStream(ctx, w.caller, name, c)
		return err
	}
	if err != nil {
		return err
	}
	if info.Config.LinkedBy == w.key.name {
		switch was := info.Config.Documents[topicKey]; {
		case t.ID == (kadm.TopicID{}) || was == t.ID.String():
			return nil
		case was != "":
			return fault.New(fault.Conflict, "link", name, whyAnother)
		}
		// It was made before ids were kept.
		_, err = w.l.broker.AlterStream(ctx, w.caller, name, func(c *broker.StreamConfig) error { of(c, t.ID); return nil }, info.Revision)
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
		of(c, t.ID)
		return nil
	}, info.Revision)
	return err
}

// of notes which topic a stream is a copy of. Clusters before Kafka 2.8 have no ids.
func of(c *broker.StreamConfig, id kadm.TopicID) {
	if id == (kadm.TopicID{}) {
		return
	}
	if c.Documents == nil {
		c.Documents = map[string]string{}
	}
	c.Documents[topicKey] = id.String()
}

// limitMost is the longest time that is taken over; more is for ever.
const limitMost = 1 << 43

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
		if ms, ok := number("max.compaction.lag.ms"); ok && ms > 0 && ms <= limitMost {
			c.CompactionMaxLagMS = max(ms, c.CompactionLagMS)
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
	for p, d := range t.Partitions {
		if x := w.copies[part{name, p}]; x != nil {
			x.leader = d.Leader
		} else {
			fresh = true
		}
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
		w.forget(name)
		return nil
	}
	from := map[int32]kgo.Offset{}
	for p, d := range t.Partitions {
		if k := (part{name, p}); w.copies[k] == nil && int(p) < len(info.Partitions) {
			x := &copying{part: k, next: info.Partitions[p].End, leader: d.Leader}
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
