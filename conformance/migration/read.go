package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const readTimeout = 5 * time.Minute

func client(addr string, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.MetadataMinAge(100 * time.Millisecond),
	}, more...)...)
}

// offsets are the starts or the ends of all partitions of topics.
func offsets(ctx context.Context, addr string, at int64, topics map[string]int32) (map[part]int64, error) {
	c, err := client(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	q := kmsg.NewPtrListOffsetsRequest()
	for name, n := range topics {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = name
		for p := range n {
			x := kmsg.NewListOffsetsRequestTopicPartition()
			x.Partition, x.Timestamp = p, at
			t.Partitions = append(t.Partitions, x)
		}
		q.Topics = append(q.Topics, t)
	}
	out := map[part]int64{}
	for _, s := range c.RequestSharded(ctx, q) {
		if s.Err != nil {
			return nil, s.Err
		}
		for _, t := range s.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return nil, fmt.Errorf("offset %d of %s/%d at %s: code %d", at, t.Topic, p.Partition, addr, p.ErrorCode)
				}
				out[part{t.Topic, p.Partition}] = p.Offset
			}
		}
	}
	return out, nil
}

// readAll reads what is committed of topics, each partition up to where it ends now. Of what retention removes meanwhile nothing is missed: it begins
// further on.
func readAll(ctx context.Context, addr string, topics map[string]int32) (map[part]*read, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	ends, err1 := offsets(ctx, addr, -1, topics)
	starts, err2 := offsets(ctx, addr, -2, topics)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	out, from, open := map[part]*read{}, map[string]map[int32]kgo.Offset{}, map[part]bool{}
	for p, end := range ends {
		out[p] = &read{start: starts[p], end: end, records: map[int64]one{}}
		if from[p.topic] == nil {
			from[p.topic] = map[int32]kgo.Offset{}
		}
		from[p.topic][p.partition] = kgo.NewOffset().AtStart()
		if end > starts[p] {
			open[p] = true
		}
	}
	c, err := client(addr, kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for len(open) > 0 {
		// A partition that ends in a hole is done when nothing more comes.
		idle, stop := context.WithTimeout(ctx, 15*time.Second)
		fs := c.PollFetches(idle)
		over := idle.Err() != nil
		stop()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%v at %s were not read to their end: %w", maps.Clone(open), addr, ctx.Err())
		}
		fs.EachRecord(func(r *kgo.Record) {
			p := part{r.Topic, r.Partition}
			if r.Offset < ends[p] && !r.Attrs.IsControl() {
				out[p].records[r.Offset] = oneOf(r)
			}
			if r.Offset+1 >= ends[p] {
				delete(open, p)
			}
		})
		if over && fs.NumRecords() == 0 {
			break
		}
	}
	// What was removed while it was read is not held against anybody.
	if starts, err = offsets(ctx, addr, -2, topics); err != nil {
		return nil, err
	}
	for p, s := range starts {
		out[p].start = s
	}
	return out, nil
}

// committed are the offsets and metadata of a group.
func committed(ctx context.Context, addr, group string, topics map[string]int32) (map[part]string, error) {
	c, err := client(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	q := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	for name, n := range topics {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic = name
		for p := range n {
			t.Partitions = append(t.Partitions, p)
		}
		g.Topics = append(g.Topics, t)
	}
	q.Groups = append(q.Groups, g)
	a, err := q.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	out := map[part]string{}
	for _, g := range a.Groups {
		if g.ErrorCode != 0 {
			return nil, fmt.Errorf("offsets of %s at %s: code %d", group, addr, g.ErrorCode)
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				text := ""
				if p.Metadata != nil {
					text = *p.Metadata
				}
				if p.Offset >= 0 {
					out[part{t.Topic, p.Partition}] = fmt.Sprintf("%d %s", p.Offset, text)
				}
			}
		}
	}
	return out, nil
}
