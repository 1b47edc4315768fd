package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	kafkaBuffered = 100 // records a Kafka producer has in flight at a time
	partitions    = 3
	keys          = 20
)

// produceKafka writes until ctx ends, then waits for what is on its way. The client is stock: it finds the node again by itself.
func (k *killer) produceKafka(ctx context.Context, name string, idempotent bool, r *rand.Rand) error {
	stream := "plain"
	opts := []kgo.Opt{
		kgo.SeedBrokers(k.kafka), kgo.ClientID(name), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxBufferedRecords(kafkaBuffered),
		kgo.ProducerLinger(time.Millisecond), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RequestRetries(1 << 20), kgo.RetryTimeout(10 * time.Minute), kgo.UnknownTopicRetries(-1),
		kgo.AlwaysRetryEOF(), // it is killed while it starts, too: after a listener is open, and before anybody is served
	}
	if idempotent {
		stream = "idempotent"
		opts = append(opts, kgo.StopProducerOnDataLossDetected()) // a producer that starts anew would hide a duplicate
	} else {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer c.Close()
	for seq := 0; ctx.Err() == nil; seq++ {
		key := fmt.Sprintf("%s-key-%d", name, r.IntN(keys))
		rec := &kgo.Record{Topic: stream, Key: []byte(key), Value: []byte(payload(k.seed, name, seq))}
		c.Produce(k.finish, rec, func(rec *kgo.Record, err error) {
			switch {
			case err == nil:
				k.ledger.keep(promise{producer: name, seq: seq, at: place{stream, rec.Partition, rec.Offset}, key: key})
			case !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed):
				k.ledger.fault("%s %d was refused: %v", name, seq, err)
			}
		})
		pause(ctx, r)
	}
	flush, cancel := context.WithTimeout(k.finish, finishTimeout)
	defer cancel()
	if err := c.Flush(flush); err != nil {
		return fmt.Errorf("%s: the node answers again, but not to this client within %v: %w", name, finishTimeout, err)
	}
	return nil
}

// pause spreads the load, so that a run is about kills and not about how much the machine can take.
func pause(ctx context.Context, r *rand.Rand) {
	if r.IntN(4) > 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(r.IntN(4000)) * time.Microsecond):
	}
}
