package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// keepStart kills a node that has just acknowledged a long run, takes everything out of the page cache, and starts it again.
func (b *bench) keepStart(ctx context.Context) error {
	const size = 1024
	volume := b.keep.volume()
	row := b.row("keep-start", fmt.Sprintf("start after kill -9 right after writing %s, cold", bytesText(volume)), "s", "", 3)
	row.less = true
	p, err := b.startShipped(ctx, volume)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	if err := createTopic(ctx, p, "work", keepPartitions, nil); err != nil {
		return err
	}
	n := int(volume / size)
	if _, _, err := produce(ctx, p, []string{"work"}, size, n); err != nil {
		return err
	}
	pending, err := p.metric("leat_segment_pending_bytes")
	if err != nil {
		return err
	}
	if err := p.end(syscall.SIGKILL); err != nil {
		return err
	}
	how, err := b.dropCaches(p)
	if err != nil {
		return err
	}
	if err := p.begin(ctx); err != nil {
		return err
	}
	row.one(p.took.Seconds())
	row.Note = fmt.Sprintf("until /readyz says so; %.0f MiB were in the journal only; %s", pending/(1<<20), how)
	if got, err := endOffsets(ctx, p, "work", keepPartitions); err != nil || got != int64(n) {
		return errors.Join(err, fmt.Errorf("of %d acknowledged records %d are there", n, got))
	}
	return nil
}

// endOffsets sums up where the partitions of a topic end.
func endOffsets(ctx context.Context, p *proc, topic string, partitions int32) (sum int64, err error) {
	c, err := kafkaClient(p)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for i := range partitions {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp, part.CurrentLeaderEpoch = i, -1, -1
		t.Partitions = append(t.Partitions, part)
	}
	r.ReplicaID, r.Topics = -1, append(r.Topics, t)
	answer, err := c.Request(ctx, r)
	if err != nil {
		return 0, err
	}
	for _, t := range answer.(*kmsg.ListOffsetsResponse).Topics {
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return 0, fmt.Errorf("where %s-%d ends: %w", topic, part.Partition, err)
			}
			sum += part.Offset
		}
	}
	return sum, nil
}

// keepMemory is what a node holds in memory after very many records.
func (b *bench) keepMemory(ctx context.Context) error {
	const size, idle = 128, 10 * time.Second
	n := b.keep.memoryRecords
	row := b.row("keep-memory", fmt.Sprintf("memory, idle for %v, after %s records of %d B", idle, number(float64(n)), size), "MiB resident", "", 300)
	row.less = true
	p, err := b.startShipped(ctx, int64(n)*size*5/4)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	if err := createTopic(ctx, p, "work", keepPartitions, nil); err != nil {
		return err
	}
	perSecond, _, err := produce(ctx, p, []string{"work"}, size, n)
	if err != nil {
		return err
	}
	if err := pause(ctx, idle); err != nil {
		return err
	}
	rss, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	most, err := p.memory("VmHWM")
	if err != nil {
		return err
	}
	row.one(float64(rss) / (1 << 20))
	row.Note = fmt.Sprintf("VmRSS; the most it ever was (VmHWM) %.0f MiB; written at %s records/s, %d partitions", float64(most)/(1<<20), number(perSecond), keepPartitions)
	return nil
}

// batchFloor counts how much of what a client sends goes in small batches.
type batchFloor struct {
	bytes, small, batches atomic.Int64
}

// smallBatch is below what the goal for small records supposes.
const smallBatch = 32 << 10

func (b *batchFloor) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.ProduceBatchMetrics) {
	b.batches.Add(1)
	b.bytes.Add(int64(m.UncompressedBytes))
	if m.UncompressedBytes < smallBatch {
		b.small.Add(int64(m.UncompressedBytes))
	}
}

// keepDisk is how many bytes segment files have for each byte of payload in them. What is still in the journal only is left out by its share of
// all frames: all of them are alike.
func (b *bench) keepDisk(ctx context.Context) error {
	for _, w := range []struct {
		size int
		goal float64
	}{{1024, 1.05}, {128, 1.12}} {
		if err := b.diskUse(ctx, w.size, w.goal); err != nil {
			return fmt.Errorf("%d B: %w", w.size, err)
		}
	}
	return nil
}

func (b *bench) diskUse(ctx context.Context, size int, goal float64) error {
	const linger, smallMax = 100 * time.Millisecond, 0.01
	volume := b.keep.volume() / 5
	row := b.row(fmt.Sprintf("keep-disk-%d", size), fmt.Sprintf("segment files of %s in records of %d B, no keys", bytesText(volume), size), "× payload", "", goal)
	row.less = true
	p, err := b.startShipped(ctx, volume)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	if err := createTopic(ctx, p, "work", keepPartitions, nil); err != nil {
		return err
	}
	before, err := p.metrics("leat_shard_frame_bytes_total")
	if err != nil {
		return err
	}
	batches := &batchFloor{}
	n := int(volume) / size
	l := load{topics: []string{"work"}, size: size, n: n, client: []kgo.Opt{kgo.ProducerLinger(linger), kgo.WithHooks(batches)}}
	if _, _, err := l.run(ctx, p); err != nil {
		return err
	}
	if share := float64(batches.small.Load()) / float64(batches.bytes.Load()); share > smallMax && !b.quick {
		return fmt.Errorf("%.1f %% of the bytes went in batches below %d KiB", 100*share, smallBatch>>10)
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	m, err := p.metrics("leat_segment_pending_bytes", "leat_shard_frame_bytes_total", "leat_segment_files", "leat_segment_data_bytes")
	if err != nil {
		return err
	}
	files, err := p.filesBytes("segments")
	if err != nil {
		return err
	}
	moved := float64(n*size) * (1 - m[0]/(m[1]-before[0]))
	row.one(float64(files) / moved)
	row.Note = fmt.Sprintf("batches of %.0f KiB; %.0f MiB in %s files, of which batches as stored are %.4f ×", float64(batches.bytes.Load())/float64(batches.batches.Load())/1024,
		float64(files)/(1<<20), number(m[2]), m[3]/moved)
	return nil
}
