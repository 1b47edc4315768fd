package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/kafka/group"
)

// OffsetFetch(9), versions 0-10: the offsets that are kept of a group, of some partitions or (2+) of all; from version 8 on of several groups, from 10 on with topics by their ids. What nobody has committed
// is -1. Version 9 may say as which member, and is then refused as a commit would be. With require_stable a partition that a transaction is about to commit an offset of
// is refused until that has ended.
func (k *conn) offsetFetch(ctx context.Context, s *slot, q *kmsg.OffsetFetchRequest) (*kmsg.OffsetFetchResponse, error) {
	r := kmsg.NewPtrOffsetFetchResponse()
	if q.Version < 8 {
		one := fetchOf{group: q.Group, all: q.Topics == nil, memberEpoch: -1, stable: q.RequireStable}
		for i := range q.Topics {
			one.topics = append(one.topics, fetchTopic{name: q.Topics[i].Topic, partitions: q.Topics[i].Partitions})
		}
		found, c, err := k.offsetsOf(ctx, s.caller, &one)
		r.ErrorCode = c
		for _, t := range found {
			r.Topics = append(r.Topics, older(&t, c))
		}
		return r, err
	}
	var failed error
	for i := range q.Groups {
		g := &q.Groups[i]
		one := fetchOf{group: g.Group, all: g.Topics == nil, memberID: textOf(g.MemberID), memberEpoch: -1, stable: q.RequireStable, byID: q.Version >= 10}
		if q.Version >= 9 {
			one.memberEpoch = g.MemberEpoch
		}
		for j := range g.Topics {
			t := fetchTopic{name: g.Topics[j].Topic, id: g.Topics[j].TopicID, partitions: g.Topics[j].Partitions}
			t.unknown = !k.named(s.caller, one.byID, t.id, &t.name)
			one.topics = append(one.topics, t)
		}
		found, c, err := k.offsetsOf(ctx, s.caller, &one)
		if err != nil {
			failed = err
		}
		rg := kmsg.NewOffsetFetchResponseGroup()
		rg.Group, rg.ErrorCode = g.Group, c
		if c == codeNone {
			rg.Topics = found
		}
		r.Groups = append(r.Groups, rg)
	}
	return r, failed
}

// fetchOf is what is asked of one group.
type fetchOf struct {
	group       string
	all         bool
	topics      []fetchTopic
	memberID    string
	memberEpoch int32
	stable      bool // not what a transaction is about to change
	byID        bool // topics are given by their ids
}

type fetchTopic struct {
	name       string
	id         [16]byte
	partitions []int32
	unknown    bool // there is none of that id
}

// older is the answer for a topic in versions up to 7, which until version 1 say of each partition what is wrong with the group.
func older(t *kmsg.OffsetFetchResponseGroupTopic, c int16) kmsg.OffsetFetchResponseTopic {
	rt := kmsg.NewOffsetFetchResponseTopic()
	rt.Topic = t.Topic
	for _, p := range t.Partitions {
		rp := kmsg.NewOffsetFetchResponseTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
		if c != codeNone {
			rp.ErrorCode = c
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// offsetsOf reads the offsets of one group. With a code the partitions that were asked for are there, without offsets.
func (k *conn) offsetsOf(ctx context.Context, c *broker.Caller, q *fetchOf) (found []kmsg.OffsetFetchResponseGroupTopic, code int16, err error) {
	if err := k.mayGroup(c, broker.ActionDescribe, q.group); err != nil {
		return unknownOffsets(q), codeGroupDenied, err
	}
	x, err := k.g.groups.find(c.Namespace, q.group)
	if err == errNoGroup { //nolint:errorlint // it is returned as it is
		if q.memberEpoch >= 0 || q.memberID != "" {
			return unknownOffsets(q), codeGroupIDNotFound, nil
		}
		return unknownOffsets(q), codeNone, nil
	}
	if err != nil {
		return unknownOffsets(q), groupCode(group.None, err), err
	}
	if gc := x.mayFetch(q.memberID, q.memberEpoch); gc != group.None {
		return unknownOffsets(q), int16(gc), nil
	}
	names := make([]string, 0, len(q.topics))
	for i := range q.topics {
		if !q.topics[i].unknown {
			names = append(names, q.topics[i].name)
		}
	}
	if !q.all && len(names) == 0 {
		return unknownOffsets(q), codeNone, nil
	}
	var pending []broker.StreamPartition // asked for first: what has ended by then is among the positions
	if q.stable {
		if pending, err = k.g.b.PendingPositions(ctx, k.g.b.OwnCallerFor(c), x.name); err != nil && !fault.Is(err, fault.NotFound) {
			return unknownOffsets(q), groupCode(group.None, err), err
		}
	}
	ps, err := k.g.b.Positions(ctx, k.g.b.OwnCallerFor(c), x.name, names)
	if fault.Is(err, fault.NotFound) {
		return unknownOffsets(q), codeNone, nil // it was deleted just now
	}
	if err != nil {
		return unknownOffsets(q), groupCode(group.None, err), err
	}
	at := make(map[broker.StreamPartition]*broker.CommittedPosition, len(ps))
	for i := range ps {
		at[broker.StreamPartition{Stream: ps[i].Stream, Partition: ps[i].Partition}] = &ps[i]
	}
	if q.all {
		q.topics = asked(ps)
		k.identify(c, q)
	}
	for _, t := range q.topics {
		if t.unknown {
			found = append(found, offsetsOfTopic(&t, codeUnknownTopicID, nil))
			continue
		}
		if !k.g.b.Allowed(c, broker.ActionDescribe, broker.KindStream, t.name) {
			if !q.all { // who asks for all is not told of what is not his
				found = append(found, offsetsOfTopic(&t, codeTopicDenied, nil))
			}
			continue
		}
		found = append(found, offsetsOfTopic(&t, codeNone, at))
		unsettle(&found[len(found)-1], pending)
	}
	return found, codeNone, nil
}

// identify finds the ids of topics that are told of by them; one that has gone meanwhile is left out.
func (k *conn) identify(c *broker.Caller, q *fetchOf) {
	if !q.byID {
		return
	}
	q.topics = slices.DeleteFunc(q.topics, func(t fetchTopic) bool {
		_, there := k.g.b.OwnStreamBrief(c.Namespace, t.name)
		return !there
	})
	for i := range q.topics {
		s, _ := k.g.b.OwnStreamBrief(c.Namespace, q.topics[i].name)
		q.topics[i].id = s.UID
	}
}

// unsettle refuses the partitions of which offsets wait for the end of a transaction.
func unsettle(t *kmsg.OffsetFetchResponseGroupTopic, pending []broker.StreamPartition) {
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if slices.Contains(pending, broker.StreamPartition{Stream: t.Topic, Partition: record.PartitionID(p.Partition)}) {
			p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = -1, -1, new(string), codeUnstableOffset
		}
	}
}

// asked are all partitions that have an offset, as if they had been asked for.
func asked(ps []broker.CommittedPosition) (ts []fetchTopic) {
	at := map[string]int{}
	for i := range ps {
		n, there := at[ps[i].Stream]
		if !there {
			n = len(ts)
			at[ps[i].Stream] = n
			ts = append(ts, fetchTopic{name: ps[i].Stream})
		}
		ts[n].partitions = append(ts[n].partitions, int32(ps[i].Partition))
	}
	return ts
}

func unknownOffsets(q *fetchOf) (out []kmsg.OffsetFetchResponseGroupTopic) {
	for i := range q.topics {
		c := codeNone
		if q.topics[i].unknown {
			c = codeUnknownTopicID
		}
		out = append(out, offsetsOfTopic(&q.topics[i], c, nil))
	}
	return out
}

func offsetsOfTopic(t *fetchTopic, code int16, at map[broker.StreamPartition]*broker.CommittedPosition) kmsg.OffsetFetchResponseGroupTopic {
	rt := kmsg.NewOffsetFetchResponseGroupTopic()
	rt.Topic, rt.TopicID = t.name, t.id
	for _, p := range t.partitions {
		rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p, -1, -1, new(string), code
		if x := at[broker.StreamPartition{Stream: t.name, Partition: record.PartitionID(p)}]; x != nil {
			rp.Offset, rp.LeaderEpoch, rp.Metadata = int64(x.Offset), x.LeaderEpoch, &x.Metadata
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}
