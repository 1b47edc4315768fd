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

// Transactions against Apache Kafka: the same client for both, Leat synced, the other with its default of leaving that to the kernel. A producer sends 100
// records, waits for their acknowledgement, commits, and begins anew when that is answered.

const (
	txnRecords = 100 // of a transaction
	txnGoal    = 2.0
	txnWarmFor = 4 * time.Second
	// Apache Kafka answers the first batches of a transaction with CONCURRENT_TRANSACTIONS while it is still ending the one before. The client's own pause is up to
	// 5 s then, which would be measured and nothing else; this is the pause of the Java client.
	txnRetry = 20 * time.Millisecond
)

// txnShape is producers at once, each with a client and a transactional id of its own, all to the partitions of one topic.
type txnShape struct{ size, partitions, producers int }

func (s txnShape) String() string { return fmt.Sprintf("%d-%d-%d", s.size, s.partitions, s.producers) }

var txnShapes = []txnShape{{jvmLargeBytes, 1, 1}, {jvmSmallBytes, 1, 1}, {jvmLargeBytes, 16, 1}, {jvmLargeBytes, 16, 8}}

// jvmTransactions measures transactions a second, and for one producer to one partition how long one takes.
func (b *bench) jvmTransactions(ctx context.Context) error {
	other := kafkaPeer(false)
	rates, p99 := map[txnShape]*row{}, map[txnShape]*row{}
	for _, s := range txnShapes {
		what := fmt.Sprintf("transactions of %d records of %d B, %d partitions, %d producers", txnRecords, s.size, s.partitions, s.producers)
		rates[s] = b.row("jvm-transactions-"+s.String(), what, "transactions/s", other.name, txnGoal)
		p99[s] = b.row("jvm-transactions-p99-"+s.String(), what+": p99 from begin to committed", "ms", other.name, 0)
		p99[s].less = true
	}
	for i := range b.pairs {
		if err := b.transactionPair(ctx, i, other, rates, p99); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) transactionPair(ctx context.Context, i int, other peer, rates, p99 map[txnShape]*row) error {
	leat, err := b.startLeat(ctx, b.ring)
	if err != nil {
		return err
	}
	defer func() { _ = leat.stop() }()
	theirs, err := other.start(b, ctx)
	if err != nil {
		return err
	}
	defer func() { _ = theirs.stop() }()
	for _, p := range []*proc{leat, theirs} {
		if _, _, err := transactBy(ctx, p, txnShape{jvmLargeBytes, 4, 4}, min(txnWarmFor, 2*b.latencyFor)); err != nil {
			return fmt.Errorf("warm %s: %w", p.name, err)
		}
	}
	for _, s := range txnShapes {
		var tails [2]float64
		if err := rates[s].pair(i, leat, theirs, func(side int, p *proc) (float64, error) {
			perSecond, h, err := transactBy(ctx, p, s, b.latencyFor)
			if err != nil {
				return 0, err
			}
			tails[side] = h.quantile(0.99) / 1e6
			return perSecond, nil
		}); err != nil {
			return err
		}
		p99[s].add(tails[0], tails[1])
	}
	return nil
}

// transactBy makes transactions for a time and returns how many a second were committed, and how long they took.
func transactBy(ctx context.Context, p *proc, s txnShape, duration time.Duration) (float64, *histogram, error) {
	topic := "transactions-" + s.String()
	if err := makeTopic(ctx, p, topic, s.partitions); err != nil {
		return 0, nil, err
	}
	clients := make([]*kgo.Client, s.producers)
	for i := range clients {
		c, err := kafkaClient(p, kgo.TransactionalID(fmt.Sprintf("%s-%d", topic, i)), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.MetadataMinAge(txnRetry), kgo.RetryBackoffFn(func(int) time.Duration { return txnRetry }))
		if err != nil {
			return 0, nil, err
		}
		defer c.Close()
		if err := transactOnce(ctx, c, topic, s); err != nil { // its producer id, and the coordinator's topic, are made
			return 0, nil, fmt.Errorf("%s: %w", p.name, err)
		}
		clients[i] = c
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		h    = &histogram{}
		n    int
		errs = make([]error, s.producers)
	)
	began := time.Now()
	for i, c := range clients {
		wg.Go(func() {
			for time.Since(began) < duration && errs[i] == nil {
				from := time.Now()
				errs[i] = transactOnce(ctx, c, topic, s)
				mu.Lock()
				h.add(int64(time.Since(from)))
				n++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return float64(n) / time.Since(began).Seconds(), h, nil
}

func transactOnce(ctx context.Context, c *kgo.Client, topic string, s txnShape) error {
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	var failed atomic.Pointer[error]
	value := bytes.Repeat([]byte("x"), s.size)
	for i := range txnRecords {
		c.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % s.partitions), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return c.EndTransaction(ctx, kgo.TryCommit)
}
