package link

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
	"leat/internal/clock"
)

// A partition may end in offsets at which there is no record: the last ones were put into quarantine there, or were compacted away. The client hands over
// records, so it tells nothing of them, and the copy would never be whole:
//
//	there  … 96 97 98 ── ──│ 101        here  … 96 97 98 │ 99
//
// So where nothing has come of a partition that ends further on, the batches themselves are fetched, and as far as they hold nothing to copy, the offsets are
// left out here as well. A record that is there comes by itself, and everything before it with it.

const (
	tailAfter    = 500 * time.Millisecond // so long nothing has come
	tailWaitMS   = 200                    // how long the other side may take to find something
	tailTime     = 5 * time.Second        // how long an answer may take
	tailBytesMax = 1 << 20
	tailEmpty    = 3               // answers without a batch are believed,
	tailEmptyFor = 5 * time.Second // when there was nothing else for so long
	tailsAtOnce  = 8               // partitions in one look
)

// tail copies that there is nothing from the end of the copy up to some offset, as far as that is so.
func (w *worker) tail(ctx context.Context, x *copying, end record.Offset) error {
	p := w.fetchAt(ctx, x)
	if p == nil {
		return nil
	}
	end = min(end, record.Offset(p.LastStableOffset))
	to := x.next
	switch {
	case len(p.RecordBatches) > 0:
		x.empty = 0
		to = bare(p.RecordBatches, x.next)
	case x.empty == 0 || x.emptyAt != x.next:
		x.empty, x.emptyAt, x.emptySince = 1, x.next, clock.Now()
	default:
		x.empty++
	}
	if x.empty >= tailEmpty && clock.Since(x.emptySince) >= w.l.tailEmptyFor {
		// What lies elsewhere may take longer than anybody waits; then nothing comes, either.
		if remote, err := w.remote(ctx, x.topic); err != nil || remote {
			return err
		}
		to = end
	}
	if to = min(to, end); to <= x.next {
		return nil
	}
	w.log.Debug("a partition has no records at its end", "topic", x.topic, "partition", x.partition, "from", x.next, "to", to)
	return w.leaveOut(ctx, x, to)
}

// leaveOut has a partition end at an offset, with nothing before it.
func (w *worker) leaveOut(ctx context.Context, x *copying, to record.Offset) error {
	var entries []broker.BatchEntry
	b := open{x: x, at: x.next, builder: w.builder, entries: &entries}
	b.builder.Reset()
	if err := b.skipTo(to); err != nil {
		return err
	}
	if err := b.close(); err != nil {
		return err
	}
	for i := range entries { // each waits for the one before it
		if err := w.append(ctx, entries[i:i+1], []*copying{x}); err != nil {
			return err
		}
	}
	return nil
}

// fetchAt fetches a partition's batches from where the copy ends; nil: there is no answer that says anything. Trouble is told by whoever copies.
func (w *worker) fetchAt(ctx context.Context, x *copying) *kmsg.FetchResponseTopicPartition {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel, req.SessionEpoch = tailWaitMS, 1, tailBytesMax, 1, -1
	t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	t.Topic, t.TopicID = x.topic, w.known[x.topic]
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = x.partition, int64(x.next), tailBytesMax
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	client, err := w.openAside()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tailTime)
	defer cancel()
	resp, err := req.RequestWith(ctx, client.Broker(int(x.leader)))
	if err != nil || resp.ErrorCode != 0 || resp.ThrottleMillis > 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil
	}
	got := &resp.Topics[0].Partitions[0]
	if got.ErrorCode != 0 || got.Partition != x.partition {
		return nil // it has moved, or is being changed: the next look tells
	}
	return got
}

// openAside is a client with connections of its own: on one connection, a broker answers a fetch when those before it have waited long enough.
func (w *worker) openAside() (*kgo.Client, error) {
	if w.aside != nil {
		return w.aside, nil
	}
	opts, err := w.settings.reach(w.key.name, string(w.doc.Secret))
	if err == nil {
		w.aside, err = kgo.NewClient(opts...)
	}
	return w.aside, err
}

func (w *worker) closeAside() {
	if w.aside != nil {
		w.aside.Close()
		w.aside = nil
	}
}

// remote says whether a topic has records elsewhere than with its brokers.
func (w *worker) remote(ctx context.Context, topic string) (bool, error) {
	rs, err := w.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return false, fmt.Errorf("the configs of %s cannot be described: %w", topic, err)
	}
	for _, r := range rs {
		elsewhere := r.Err != nil     // who knows
		for _, c := range r.Configs { // Kafka's remote.storage.enable, Redpanda's redpanda.remote.read
			elsewhere = elsewhere || strings.Contains(c.Key, "remote.") && c.MaybeValue() == "true"
		}
		if elsewhere {
			return true, nil
		}
	}
	return false, nil
}

var errRecord = errors.New("there is a record")

// bare is up to where batches, which begin at an offset or before it, have nothing to copy. Of what is compressed as nobody knows, or cut off, nothing is said.
func bare(p []byte, from record.Offset) record.Offset {
	to := from
	for len(p) > 0 {
		h, err := record.ParseBatchHeader(p)
		if err != nil {
			break
		}
		if !h.Control() {
			err = record.EachRecord(p[:h.Bytes], record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
				if r.Offset >= from {
					return errRecord
				}
				return nil
			})
			if err != nil {
				break
			}
		}
		to, p = max(to, h.LastOffset()+1), p[h.Bytes:]
	}
	return to
}

// tails looks at partitions of which nothing has come for a while, and that end further on.
func (w *worker) tails(ctx context.Context, ends kadm.ListedOffsets) error {
	now, looked := clock.Now(), 0
	for k, x := range w.copies {
		if x.seen != x.next || x.since.IsZero() {
			x.seen, x.since = x.next, now
		}
		o, ok := ends.Lookup(k.topic, k.partition)
		if !ok || o.Err != nil || record.Offset(o.Offset) <= x.next || now.Sub(x.since) < tailAfter || looked == tailsAtOnce {
			continue
		}
		looked++
		if err := w.tail(ctx, x, record.Offset(o.Offset)); err != nil {
			return err
		}
	}
	return nil
}
