package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// bufferedBytesMax bounds what the client holds; a producer that fills it waits.
	bufferedBytesMax   = 64 << 20
	bufferedRecordsMax = 256 << 10
	fetchBytesMax      = 16 << 20
	fetchPartBytesMax  = 4 << 20
	latencyRate        = 2000 // requests a second
)

func kafkaClient(p *proc, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(p.kafka), kgo.ClientID("bench"), kgo.AllowAutoTopicCreation(), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(bufferedRecordsMax), kgo.MaxBufferedBytes(bufferedBytesMax),
	}, more...)...)
}

// produce writes n records of size bytes, without keys, in turn to the topics, acks=all, and returns records a second and the first offset.
func produce(ctx context.Context, p *proc, topics []string, size, n int) (perSecond float64, first int64, err error) {
	return load{topics: topics, size: size, n: n}.run(ctx, p)
}

// load is what a producer writes: n records of size bytes, in turn to the topics.
type load struct {
	topics  []string
	size, n int
	key     func(i int, k []byte) []byte // appends the key of record i to k; nil: no keys
	client  []kgo.Opt
}

// run writes it all, acks=all, and returns records a second and the first offset. A record is reused once it is acknowledged: what the client
// costs is sending, not garbage.
func (l load) run(ctx context.Context, p *proc) (perSecond float64, first int64, err error) {
	c, err := kafkaClient(p, l.client...)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	var (
		value    = bytes.Repeat([]byte("x"), l.size)
		pool     = sync.Pool{New: func() any { return new(kgo.Record) }}
		failed   atomic.Pointer[error]
		earliest atomic.Int64
		done     = func(r *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			} else if at := earliest.Load(); at < 0 || r.Offset < at {
				earliest.Store(r.Offset) // promises of a client run one after another
			}
			pool.Put(r)
		}
	)
	earliest.Store(-1)
	if err := c.Ping(ctx); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	for i := range l.n {
		r := pool.Get().(*kgo.Record)
		*r = kgo.Record{Topic: l.topics[i%len(l.topics)], Key: r.Key[:0], Value: value}
		if l.key != nil {
			r.Key = l.key(i, r.Key)
		} else {
			r.Key = nil
		}
		c.Produce(ctx, r, done)
		if i&1023 == 0 && failed.Load() != nil {
			break
		}
	}
	err = c.Flush(ctx)
	seconds := time.Since(began).Seconds()
	if e := failed.Load(); e != nil {
		err = errors.Join(err, fmt.Errorf("produce to %s: %w", p.name, *e))
	}
	return float64(l.n) / seconds, earliest.Load(), err
}

// consume reads n records from an offset on and returns records a second.
func consume(ctx context.Context, p *proc, topic string, first int64, size, n int) (float64, error) {
	c, err := kafkaClient(p, kgo.FetchMaxBytes(fetchBytesMax), kgo.FetchMaxPartitionBytes(fetchPartBytesMax),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(first)}}))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	began := time.Now()
	got := 0
	for got < n {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			return 0, fmt.Errorf("consume from %s after %d of %d records: %w", p.name, got, n, err)
		}
		for part := range partitions(f) {
			if r := part.Records[len(part.Records)-1]; len(r.Value) != size {
				return 0, fmt.Errorf("consume from %s: %d bytes at offset %d, want %d", p.name, len(r.Value), r.Offset, size)
			}
			got += len(part.Records)
		}
	}
	return float64(got) / time.Since(began).Seconds(), nil
}

func partitions(f kgo.Fetches) func(func(kgo.FetchPartition) bool) {
	return func(yield func(kgo.FetchPartition) bool) {
		stop := false
		f.EachPartition(func(p kgo.FetchTopicPartition) {
			if !stop && len(p.Records) > 0 {
				stop = !yield(p.FetchPartition)
			}
		})
	}
}

// acks sends single records at a fixed rate and takes the time of each from send to acknowledgement. The rate does not wait for answers.
func acks(ctx context.Context, p *proc, size int, duration time.Duration) (*histogram, error) {
	batches := &batchCounter{}
	// A batch has room for one record, so that a client that waits for one of its requests does not send fewer of them.
	c, err := kafkaClient(p, kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(int32(size+size/2)), kgo.WithHooks(batches))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	h := &histogram{}
	var failed atomic.Pointer[error]
	value := bytes.Repeat([]byte("x"), size)
	send := func() {
		began := time.Now()
		c.Produce(ctx, &kgo.Record{Topic: "latency", Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
			h.add(int64(time.Since(began))) // promises run one after another
		})
	}
	if err := pace(ctx, latencyRate, duration/5, send); err != nil { // warm: connections, metadata
		return nil, err
	}
	if err := c.Flush(ctx); err != nil {
		return nil, err
	}
	*h = histogram{}
	batches.records.Store(0)
	batches.batches.Store(0)
	if err := pace(ctx, latencyRate, duration, send); err != nil {
		return nil, err
	}
	if err := c.Flush(ctx); err != nil {
		return nil, err
	}
	if e := failed.Load(); e != nil {
		return nil, fmt.Errorf("produce to %s: %w", p.name, *e)
	}
	if r, b := batches.records.Load(), batches.batches.Load(); r != b {
		return nil, fmt.Errorf("%d records went in %d requests: the client did not send single records", r, b)
	}
	return h, nil
}

// pace calls f at a rate. When the machine was late it catches up, one call after another.
func pace(ctx context.Context, perSecond int, duration time.Duration, f func()) error {
	began := time.Now()
	n := int(duration.Seconds() * float64(perSecond))
	sleep, done := sleeper()
	defer done()
	for i := range n {
		if d := time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))); d > 0 {
			sleep(d)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f()
	}
	return nil
}

type batchCounter struct{ records, batches atomic.Int64 }

func (b *batchCounter) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.ProduceBatchMetrics) {
	b.records.Add(int64(m.NumRecords))
	b.batches.Add(1)
}

// withPair runs f on Leat and the ceiling, both new and warmed alike.
func (b *bench) withPair(ctx context.Context, f func(leat, ceiling *proc) error) error {
	leat, err := b.startLeat(ctx, b.ring)
	if err != nil {
		return err
	}
	defer func() { _ = leat.stop() }()
	ceiling, err := b.startCeiling(ctx, b.ring)
	if err != nil {
		return err
	}
	defer func() { _ = ceiling.stop() }()
	for _, p := range []*proc{leat, ceiling} {
		if _, _, err := produce(ctx, p, []string{"warm"}, 1024, b.warmBytes/1024); err != nil {
			return err
		}
	}
	return f(leat, ceiling)
}

// throughput is a row for producing and one for consuming what was produced.
func (b *bench) throughput(ctx context.Context, size int) error {
	in := b.row(fmt.Sprintf("kafka-produce-%d", size), fmt.Sprintf("produce, acks=all, %d B, one partition, no keys", size), "records/s", "ceiling", map[int]float64{1024: 0.75, 128: 0.85}[size])
	out := b.row(fmt.Sprintf("kafka-consume-%d", size), fmt.Sprintf("consume from the start, %d B", size), "records/s", "ceiling", 0.85)
	n := b.volume / size
	for i := range b.pairs {
		err := b.withPair(ctx, func(leat, ceiling *proc) error {
			var first [2]int64
			if err := in.pair(i, leat, ceiling, func(side int, p *proc) (v float64, err error) {
				v, first[side], err = produce(ctx, p, []string{"work"}, size, n)
				return v, err
			}); err != nil {
				return err
			}
			return out.pair(i, leat, ceiling, func(side int, p *proc) (float64, error) { return consume(ctx, p, "work", first[side], size, n) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// manyStreams writes to streams in turn; they exist before the clock runs.
func (b *bench) manyStreams(ctx context.Context) error {
	const streams, size = 1000, 1024
	row := b.row("kafka-streams", fmt.Sprintf("%d streams written in turn, %d B", streams, size), "records/s", "ceiling", 0.80)
	topics := make([]string, streams)
	for i := range topics {
		topics[i] = fmt.Sprintf("stream-%04d", i)
	}
	n := b.volume / 4 / size
	for i := range b.pairs {
		err := b.withPair(ctx, func(leat, ceiling *proc) error {
			return row.pair(i, leat, ceiling, func(_ int, p *proc) (float64, error) {
				if _, _, err := produce(ctx, p, topics, size, streams); err != nil {
					return 0, err
				}
				v, _, err := produce(ctx, p, topics, size, n)
				return v, err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// latency is the time of an acknowledgement under a light, steady load: nine runs of each, interleaved.
func (b *bench) latency(ctx context.Context) error {
	p50 := b.row("kafka-ack-p50", fmt.Sprintf("acknowledgement at %d requests/s, p50", latencyRate), "ms", "ceiling", 1.2)
	p99 := b.row("kafka-ack-p99", fmt.Sprintf("acknowledgement at %d requests/s, p99", latencyRate), "ms", "ceiling", 1.5)
	p50.less, p99.less = true, true
	return b.withPair(ctx, func(leat, ceiling *proc) error {
		for i := range b.latencyRuns {
			if err := times(i, leat, ceiling, p50, p99, func(_ int, p *proc) (*histogram, error) {
				return acks(ctx, p, 1024, b.latencyFor)
			}); err != nil {
				return err
			}
		}
		return nil
	})
}
