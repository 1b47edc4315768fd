package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What producers do while the node puts aside what breaks a contract, and is killed.

const (
	asideKafkaBatch  = 500
	asideFlight      = 2000 // records that are on their way at a time, of who does not wait
	asideTransaction = 60   // records of one, at most
	asideSmallBatch  = 10   // of HTTP, SQS and AMQP
	asideAbortOneIn  = 5
	asideEndTimeout  = 20 * time.Second
)

var asideCodecs = []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression()}

// asideProducer writes until work ends, then waits for what is on its way as long as finish.
type asideProducer struct {
	k            *asideKiller
	way          *asideWay
	who          string
	i            int
	r            *rand.Rand
	work, finish context.Context
}

func (p *asideProducer) run() error {
	p.k.book.introduce(p.who, p.way)
	switch p.way.name {
	case "kafka":
		return p.kafka(kgo.ManualFlushing(), kgo.ProducerBatchMaxBytes(1<<20))
	case "kafka-pipelined":
		return p.kafka(kgo.ProducerLinger(30*time.Millisecond), kgo.MaxBufferedRecords(asideFlight))
	case "kafka-transaction":
		return p.transactions()
	case "http":
		return p.http()
	case "sqs":
		return p.sqs()
	default:
		return p.amqp()
	}
}

func (p *asideProducer) text(n int) string { return p.way.text(p.k.seed, p.who, n) }

func (p *asideProducer) client(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(p.k.kafka), kgo.ClientID(p.who), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerBatchCompression(asideCodecs[p.i%len(asideCodecs)]),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RequestRetries(1 << 20), kgo.RetryTimeout(10 * time.Minute), kgo.UnknownTopicRetries(-1), kgo.AlwaysRetryEOF(), kgo.StopProducerOnDataLossDetected(),
	}, more...)...)
}

// produce hands one record to the client; the promise is noted when it is answered.
func (p *asideProducer) produce(c *kgo.Client, n int, promise bool, failed *atomic.Bool) {
	c.Produce(p.finish, &kgo.Record{Topic: p.way.stream, Key: []byte(p.who), Value: []byte(p.text(n))}, func(rec *kgo.Record, err error) {
		switch {
		case err == nil:
			p.k.book.told(p.who, n, place{p.way.stream, rec.Partition, rec.Offset})
			if promise {
				p.k.book.answer(p.who, n, n+1, asidePromised)
			}
		case failed != nil:
			failed.Store(true)
		case !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed):
			p.k.book.fault("%s %d was refused: %v", p.who, n, err)
		}
	})
}

// kafka writes 500 and flushes. With a client that lingers instead, that is a batch whenever its time has come.
func (p *asideProducer) kafka(opts ...kgo.Opt) error {
	c, err := p.client(opts...)
	if err != nil {
		return err
	}
	defer c.Close()
	waits := p.way.name == "kafka"
	for n := 0; p.work.Err() == nil; n += asideKafkaBatch {
		p.k.book.send(p.who, asideKafkaBatch)
		for i := range asideKafkaBatch {
			p.produce(c, n+i, true, nil)
			if !waits {
				pause(p.work, p.r)
			}
		}
		if waits {
			if err := c.Flush(p.finish); err != nil {
				break
			}
			rest(p.work, time.Duration(p.r.Int64N(int64(50*time.Millisecond))))
		}
	}
	if err := c.Flush(p.finish); err != nil {
		return fmt.Errorf("%s: %w: %w", p.who, errGaveUp, err)
	}
	return nil
}

// transactions commits most and aborts some. After an error nobody knows, and a new instance goes on.
func (p *asideProducer) transactions() error {
	n := 0
	for p.work.Err() == nil {
		c, err := p.client(kgo.TransactionalID(p.who), kgo.TransactionTimeout(time.Minute))
		if err != nil {
			return err
		}
		for err == nil && p.work.Err() == nil {
			size := 1 + p.r.IntN(asideTransaction)
			p.k.book.send(p.who, size)
			err = p.transaction(c, n, n+size)
			n += size
			rest(p.work, time.Duration(p.r.Int64N(int64(20*time.Millisecond))))
		}
		c.Close()
	}
	// What the last instance left open is aborted by the next one.
	c, err := p.client(kgo.TransactionalID(p.who))
	if err != nil {
		return err
	}
	defer c.Close()
	p.k.book.send(p.who, 1)
	if err := p.transaction(c, n, n+1); err != nil {
		return fmt.Errorf("%s: %w: %w", p.who, errGaveUp, err)
	}
	return nil
}

func (p *asideProducer) transaction(c *kgo.Client, from, to int) error {
	if err := c.BeginTransaction(); err != nil {
		p.k.book.answer(p.who, from, to, asideForbidden)
		return err
	}
	p.k.book.whole(p.who, from, to)
	var failed atomic.Bool
	for n := from; n < to; n++ {
		p.produce(c, n, false, &failed)
		if p.r.IntN(20) == 0 {
			pause(p.work, p.r)
		}
	}
	ctx, cancel := context.WithTimeout(p.finish, asideEndTimeout)
	defer cancel()
	err := c.Flush(ctx)
	if err == nil && failed.Load() {
		err = errors.New("not all of it was taken")
	}
	commit := err == nil && p.r.IntN(asideAbortOneIn) > 0
	if err == nil {
		err = c.EndTransaction(ctx, kgo.TransactionEndTry(commit))
	}
	switch {
	case err == nil && commit:
		p.k.book.answer(p.who, from, to, asidePromised)
	case err == nil || !commit: // no commit was asked for: whatever became of it, it is not there
		p.k.book.answer(p.who, from, to, asideForbidden)
	}
	return err
}

// http sends batches of events with ids, again and again until they are answered.
func (p *asideProducer) http() error {
	type ce struct {
		Spec   string          `json:"specversion"`
		ID     string          `json:"id"`
		Source string          `json:"source"`
		Type   string          `json:"type"`
		Data   json.RawMessage `json:"data"`
	}
	for n := 0; p.work.Err() == nil; n += asideSmallBatch {
		events := make([]ce, asideSmallBatch)
		for i := range events {
			events[i] = ce{"1.0", strconv.Itoa(n + i), "/crash/" + p.who, "order", json.RawMessage(p.text(n + i))}
		}
		body, err := json.Marshal(events)
		if err != nil {
			return err
		}
		p.k.book.send(p.who, asideSmallBatch)
		text, tries, err := p.k.send(p.finish, "/v1/streams/"+p.way.stream+"/events", "application/cloudevents-batch+json", body)
		if err != nil {
			return fmt.Errorf("%s %d: %w: %w", p.who, n, errGaveUp, err)
		}
		p.k.book.answer(p.who, n, n+asideSmallBatch, asidePromised)
		p.answered(n, text, tries)
		pause(p.work, p.r)
	}
	return nil
}

// answered looks whether the answer says which events were put aside, also when it is given a second time.
func (p *asideProducer) answered(from int, text []byte, tries int) {
	var a []struct {
		Ref         string
		Duplicate   bool
		Quarantined *struct{ Field string }
	}
	if err := json.Unmarshal(text, &a); err != nil || len(a) != asideSmallBatch {
		p.k.book.fault("%s %d was answered %.300q: %v", p.who, from, text, err)
		return
	}
	for i := range a {
		if a[i].Duplicate && tries == 1 {
			p.k.book.fault("%s %d was sent once and is said to be a duplicate", p.who, from+i)
		}
		if (a[i].Quarantined != nil) != p.way.broken(p.k.seed, p.who, from+i) {
			p.k.book.fault("%s %d was answered %+v (try %d), which is wrong about quarantine", p.who, from+i, a[i], tries)
		}
	}
}

// sqs sends batches to a FIFO queue, again and again until they are answered.
func (p *asideProducer) sqs() error {
	for n := 0; p.work.Err() == nil; n += asideSmallBatch {
		var entries []object
		for i := range asideSmallBatch {
			entries = append(entries, object{"Id": strconv.Itoa(i), "MessageBody": p.text(n + i), "MessageGroupId": p.who, "MessageDeduplicationId": fmt.Sprintf("%s-%d", p.who, n+i)})
		}
		p.k.book.send(p.who, asideSmallBatch)
		for {
			var out struct {
				Successful []struct{ Id string } //nolint:revive // the protocol's name
				Failed     []object
			}
			err := p.k.queue.sqs(p.finish, "SendMessageBatch", object{"QueueUrl": p.way.stream, "Entries": entries}, &out)
			if err == nil && len(out.Successful) == asideSmallBatch {
				break
			}
			if p.finish.Err() != nil {
				return fmt.Errorf("%s %d: %w", p.who, n, errGaveUp)
			}
			if err == nil || !unsure(err) {
				p.k.book.fault("%s %d was answered %+v, %v", p.who, n, out, err)
			}
			rest(p.finish, 5*time.Millisecond)
		}
		p.k.book.answer(p.who, n, n+asideSmallBatch, asidePromised)
		pause(p.work, p.r)
	}
	return nil
}

// amqp publishes with confirms. What was not confirmed when a connection ends is published again.
func (p *asideProducer) amqp() error {
	n, sent := 0, 0
	for p.work.Err() == nil || n < sent {
		if p.finish.Err() != nil {
			return fmt.Errorf("%s %d: %w", p.who, n, errGaveUp)
		}
		c, err := amqp.Dial("amqp://guest:guest@" + p.k.amqp + "/")
		if err != nil {
			rest(p.finish, 10*time.Millisecond)
			continue
		}
		for err == nil && (p.work.Err() == nil || n < sent) {
			if sent == n {
				p.k.book.send(p.who, asideSmallBatch)
				sent = n + asideSmallBatch
			}
			if err = p.publish(c, n, sent); err == nil {
				p.k.book.answer(p.who, n, sent, asidePromised)
				n = sent
				pause(p.work, p.r)
			}
		}
		_ = c.Close() // it may be gone
	}
	return nil
}

func (p *asideProducer) publish(c *amqp.Connection, from, to int) error {
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if err := ch.Confirm(false); err != nil {
		return err
	}
	var all []*amqp.DeferredConfirmation
	for n := from; n < to; n++ {
		d, err := ch.PublishWithDeferredConfirm(p.way.stream, "k", false, false, amqp.Publishing{Body: []byte(p.text(n))})
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	ctx, cancel := context.WithTimeout(p.finish, requestTimeout)
	defer cancel()
	gone := c.NotifyClose(make(chan *amqp.Error, 1))
	for _, d := range all {
		select {
		case <-d.Done():
			if !d.Acked() {
				return errors.New("it was not confirmed")
			}
		case <-gone:
			return errors.New("the connection is gone")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
