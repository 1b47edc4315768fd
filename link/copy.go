package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
)

// copying is a partition that is copied.
type copying struct {
	part
	next   record.Offset // everything before it is here
	leader int32         // who has it there

	seen  record.Offset // next, when it was last looked whether anything comes,
	since time.Time     // and since when it stands there

	empty      int // answers without a batch, at emptyAt
	emptyAt    record.Offset
	emptySince time.Time
}

// open is a batch that is being built.
type open struct {
	x       *copying
	at      record.Offset // of the batch
	codec   record.Codec
	builder *record.Builder
	entries *[]broker.BatchEntry
	bytes   int64
	records int64
}

// poll takes what has come, until a time.
func (w *worker) poll(ctx context.Context, until time.Time) error {
	wait := min(until.Sub(clock.Now()), switchLook)
	if w.asked == nil {
		wait = min(until.Sub(clock.Now()), lookEvery)
	}
	polled, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	fs := w.client.PollRecords(polled, recordsPoll)
	if err := w.take(ctx, fs); err != nil {
		return err
	}
	var failed error
	fs.EachError(func(topic string, p int32, err error) {
		switch {
		case failed != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.Is(err, kerr.OffsetOutOfRange):
			failed = w.outOfRange(ctx, part{topic, p})
		case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
			// It was deleted, or is being moved: the next look around tells.
		case topic == "":
			failed = err
		default:
			failed = fmt.Errorf("%s/%d cannot be read: %w", topic, p, err)
		}
	})
	return failed
}

// reached is how far a partition is copied once what goes with it is appended. It is told then and not before: whoever reads it finds the records.
type reached struct {
	x              *copying
	next, end      record.Offset
	records, bytes int64
}

// take appends what was fetched.
func (w *worker) take(ctx context.Context, fs kgo.Fetches) error {
	var entries []broker.BatchEntry
	var of []*copying // of each entry
	var bytes int64
	var to []reached
	flush := func() error {
		err := w.append(ctx, entries, of)
		if err == nil {
			w.copied(to)
		}
		entries, of, bytes, to = nil, nil, 0, nil
		return err
	}
	each := func(topic string, p *kgo.FetchPartition) error {
		x := w.copies[part{topic, p.Partition}]
		if x == nil || len(p.Records) == 0 {
			return nil
		}
		o := open{x: x, at: x.next, builder: w.builder, entries: &entries}
		o.builder.Reset()
		for _, r := range p.Records {
			if err := o.add(r); err != nil {
				return err
			}
		}
		if err := o.close(); err != nil {
			return err
		}
		bytes += o.bytes
		for len(of) < len(entries) {
			of = append(of, x)
		}
		to = append(to, reached{x: x, next: x.next, end: record.Offset(p.LastStableOffset), records: o.records, bytes: o.bytes})
		if bytes >= appendBytes {
			return flush()
		}
		return nil
	}
	for i := range fs {
		for j := range fs[i].Topics {
			t := &fs[i].Topics[j]
			if w.another(t.Topic, t.TopicID) {
				w.forget(t.Topic)
				w.halt(t.Topic, whyAnother)
				continue
			}
			for k := range t.Partitions {
				if err := each(t.Topic, &t.Partitions[k]); err != nil {
					return err
				}
			}
		}
	}
	if len(entries) > 0 {
		return flush()
	}
	return nil
}

// another reports whether what was fetched is of another topic than the one that is copied: it was deleted and made again before the client had seen it.
func (w *worker) another(topic string, id kadm.TopicID) bool {
	known, is := w.known[topic]
	none := kadm.TopicID{}
	return is && id != none && known != none && id != known
}

// add puts a record at its offset. What was there before it and is not any more, or is no record but a marker, is skipped.
func (o *open) add(r *kgo.Record) error {
	at := record.Offset(r.Offset)
	codec := record.Codec(r.Attrs.CompressionType())
	if o.builder.Len() > 0 && (codec != o.codec || o.builder.Bytes() >= batchBytes) {
		if err := o.close(); err != nil {
			return err
		}
	}
	if at < o.at+record.Offset(o.builder.Span()) {
		return nil // it is here
	}
	if err := o.skipTo(at); err != nil {
		return err
	}
	if r.Attrs.IsControl() {
		return o.skipTo(at + 1)
	}
	if o.builder.Len() == 0 {
		o.codec = codec
	}
	rec := record.Record{Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
	for i := range r.Headers {
		rec.Headers = append(rec.Headers, record.Header{Key: r.Headers[i].Key, Value: r.Headers[i].Value})
	}
	o.builder.Add(&rec)
	o.records++
	return nil
}

// skipTo leaves out offsets.
func (o *open) skipTo(to record.Offset) error {
	for {
		gap := int64(to-o.at) - o.builder.Span()
		if gap <= 0 {
			return nil
		}
		if room := record.SpanMax - 1 - o.builder.Span(); gap <= room { // one is left for the record
			o.builder.Skip(gap)
			return nil
		} else if room > 0 {
			o.builder.Skip(room)
		}
		if err := o.close(); err != nil {
			return err
		}
	}
}

// close ends a batch. The memory is the broker's from now on.
func (o *open) close() error {
	if o.builder.Span() == 0 {
		return nil
	}
	p, err := o.builder.Finish(nil, o.codec)
	if err != nil {
		return err
	}
	*o.entries = append(*o.entries, broker.BatchEntry{Stream: o.x.topic, Partition: record.PartitionID(o.x.partition), Batch: p, Copied: true, At: o.at})
	o.bytes += int64(len(p))
	o.at += record.Offset(o.builder.Span())
	o.x.next = o.at
	o.builder.Reset()
	return nil
}

// append has batches stored. Where a partition does not end where it is thought to, it is read again from where it does.
func (w *worker) append(ctx context.Context, entries []broker.BatchEntry, of []*copying) error {
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Batch)
	}
	free, err := w.l.broker.Reserve(ctx, w.caller, bytes)
	if err != nil {
		return err
	}
	defer free()
	results := w.l.broker.SubmitBatches(ctx, w.caller, broker.BatchAppend{Entries: entries}).Wait(ctx)
	again := map[*copying]bool{}
	for i := range results {
		switch e := results[i].Err; {
		case e == nil:
		case e.Kind == fault.Conflict && e.Reason == fault.ReasonOffset:
			again[of[i]] = true
		case e.Kind == fault.Conflict, e.Kind == fault.NotFound:
			// The stream is not linked any more, or gone: somebody has taken it away from the link.
			w.forget(of[i].topic)
			w.halt(of[i].topic, e.Text)
		default:
			return e
		}
	}
	for x := range again {
		info, err := w.l.broker.DescribeStream(ctx, w.caller, x.topic)
		if err != nil {
			return err
		}
		if int(x.partition) < len(info.Partitions) {
			x.next = info.Partitions[x.partition].End
			w.moveTo(x, x.next)
		}
	}
	return nil
}

// forget copies a topic no more, until it is adopted again. Its place in the client is purged: one with another id could not be added there.
func (w *worker) forget(topic string) {
	delete(w.known, topic)
	for k := range w.copies {
		if k.topic == topic {
			delete(w.copies, k)
		}
	}
	w.client.PurgeTopicsFromConsuming(topic)
	w.drop(topic)
}

// outOfRange goes on where the other log begins, when it has removed what was to be copied next. One that ends before what is here is another log.
func (w *worker) outOfRange(ctx context.Context, k part) error {
	x := w.copies[k]
	if x == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	starts, err := w.admin.ListStartOffsets(ctx, k.topic)
	if err != nil {
		return fmt.Errorf("the starts of partitions cannot be listed: %w", err)
	}
	o, ok := starts.Lookup(k.topic, k.partition)
	if !ok || o.Err != nil {
		return fmt.Errorf("the start of %s/%d is not known: %w", k.topic, k.partition, o.Err)
	}
	start := record.Offset(o.Offset)
	if start <= x.next {
		w.forget(k.topic)
		w.halt(k.topic, fmt.Sprintf("partition %d ends there before offset %d, up to which it was copied: %s", k.partition, x.next, whyAnother))
		return nil
	}
	before := x.next
	if err := w.leaveOut(ctx, x, start); err != nil {
		return err
	}
	if before == 0 {
		_, err := w.l.broker.Truncate(ctx, w.caller, broker.Truncation{
			Stream: k.topic, Partition: record.PartitionID(k.partition), Before: broker.Start{Kind: broker.StartOffset, Offset: start},
		})
		if err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	} else {
		w.lost(int64(start - before))
	}
	w.moveTo(x, start)
	return nil
}
