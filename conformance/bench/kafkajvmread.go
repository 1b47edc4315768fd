package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// jvmReads reads topics that both sides hold alike: who is written to as fast as a client can, gets smaller batches the sooner it answers, and what a
// client does with batches is most of the work.
func (b *bench) jvmReads(ctx context.Context, i int, leat, theirs *proc, rows *jvmRows) error {
	for _, s := range jvmShapes {
		out, raw, cost, clients, free := rows.consume[s], rows.fetch[s], rows.cost[s], rows.client[s], rows.free[s]
		if out == nil || !b.wants(out) && !b.wants(raw) && !b.wants(free) {
			continue
		}
		s.producers = 0 // a topic of its own
		n := s.alike(b.volume / 2)
		for _, p := range []*proc{leat, theirs} {
			if err := fillAlike(ctx, p, s, n); err != nil {
				return err
			}
		}
		if err := calm(ctx, leat); err != nil {
			return err
		}
		// The first reading after some quiet is slower by a third, whoever is read: the client's heap grows again. It is not counted.
		for _, p := range []*proc{leat, theirs} {
			if _, err := consumeAll(ctx, p, s, n); err != nil {
				return err
			}
		}
		var used, client, bytes [2]float64 // by side: CPU, that of a client that consumes, and what was read for it
		for round := range jvmReadRounds {
			consume := func(ctx context.Context, p *proc, s shape, n int) (float64, error) { return consumeAll(ctx, p, s, n) }
			for _, x := range []reading{{out, consume}, {raw, fetchAll}} {
				if !b.wants(x.row) {
					continue
				}
				if err := x.row.pair(i+round, leat, theirs, func(side int, p *proc) (float64, error) {
					before, self := p.cpu(), cpuOf("self")
					perSecond, err := x.read(ctx, p, s, n)
					used[side] += (p.cpu() - before).Seconds()
					if x.row == out {
						client[side] += (cpuOf("self") - self).Seconds()
					}
					bytes[side] += float64(n * s.size)
					return perSecond, err
				}); err != nil {
					return err
				}
			}
		}
		if b.wants(free) {
			if err := b.jvmFree(ctx, i, leat, theirs, s, n, free); err != nil {
				return err
			}
		}
		if bytes[0] > 0 {
			cost.add(used[0]/bytes[0]*1e12, used[1]/bytes[1]*1e12)
		}
		if b.wants(out) {
			consumed := float64(jvmReadRounds * n * s.size)
			clients.add(client[0]/consumed*1e12, client[1]/consumed*1e12)
		}
	}
	return nil
}

// jvmFree reads what the node holds from a broker that costs nothing, beside the other one: the most that any broker could reach with this client here.
func (b *bench) jvmFree(ctx context.Context, i int, leat, theirs *proc, s shape, n int, r *row) error {
	free, err := b.startFree(ctx, leat)
	if err != nil {
		return err
	}
	defer func() { _ = free.stop() }()
	// Without sessions, whose ids differ from one reading to the next, the same is asked each time.
	read := func(_ int, p *proc) (float64, error) {
		return consumeAll(ctx, p, s, n, kgo.DisableFetchSessions(), kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.kafka)
		}))
	}
	for _, p := range []*proc{free, theirs} { // which is when it learns the answers
		if _, err := read(0, p); err != nil {
			return err
		}
	}
	syscall.Sync() // what it has written
	for round := range jvmReadRounds {
		if err := r.pair(i+round, free, theirs, read); err != nil {
			return err
		}
	}
	return nil
}

// reading is a way to read a topic, and its row.
type reading struct {
	row  *row
	read func(context.Context, *proc, shape, int) (float64, error)
}

const (
	jvmBatchBytes = 64 << 10 // of values, in a batch that is to be read
	jvmReadRounds = 6        // of one topic: a reading takes about a second; each side is first in as many
)

// alike is how many records make so many whole batches.
func (s shape) alike(volume int) int {
	return volume / jvmBatchBytes * (jvmBatchBytes / s.size)
}

// fillAlike writes n records as full batches to the partitions in turn.
func fillAlike(ctx context.Context, p *proc, s shape, n int) error {
	if err := makeTopic(ctx, p, s.topic(), s.partitions); err != nil {
		return err
	}
	c, err := kafkaClient(p, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ManualFlushing())
	if err != nil {
		return err
	}
	defer c.Close()
	var failed atomic.Pointer[error]
	each, value := jvmBatchBytes/s.size, make([]byte, s.size)
	for done := 0; done < n; {
		for part := 0; part < s.partitions && done < n; part++ {
			for range each {
				c.Produce(ctx, &kgo.Record{Topic: s.topic(), Partition: int32(part), Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						failed.CompareAndSwap(nil, &err)
					}
				})
			}
			done += each
		}
		if err := c.Flush(ctx); err != nil {
			return err
		}
	}
	if e := failed.Load(); e != nil {
		return fmt.Errorf("fill %s of %s: %w", s.topic(), p.name, *e)
	}
	return nil
}

// fetchAll reads the n records of a topic by requests of all partitions, one after the other, and returns records a second.
func fetchAll(ctx context.Context, p *proc, s shape, n int) (float64, error) {
	c, err := kafkaClient(p)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	name := s.topic()
	m, mt := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
	mt.Topic = &name
	m.Topics = append(m.Topics, mt)
	known, err := m.RequestWith(ctx, c)
	if err != nil {
		return 0, err
	}
	r, t := kmsg.NewPtrFetchRequest(), kmsg.NewFetchRequestTopic()
	r.MaxWaitMillis, r.MinBytes, r.MaxBytes, r.SessionEpoch = 1000, 1, fetchBytesMax, -1
	t.Topic, t.TopicID = name, known.Topics[0].TopicID
	for i := range s.partitions {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.PartitionMaxBytes, part.CurrentLeaderEpoch = int32(i), fetchPartBytesMax, -1
		t.Partitions = append(t.Partitions, part)
	}
	r.Topics = append(r.Topics, t)
	began, got := time.Now(), 0
	for got < n {
		answer, err := c.SeedBrokers()[0].RetriableRequest(ctx, r)
		if err != nil {
			return 0, err
		}
		more, err := goOn(t.Partitions, answer.(*kmsg.FetchResponse))
		if err != nil {
			return 0, fmt.Errorf("fetch from %s after %d of %d records: %w", p.name, got, n, err)
		}
		got += more
		r.Topics[0].Partitions = append(t.Partitions[1:len(t.Partitions):len(t.Partitions)], t.Partitions[0]) // another one comes first, as clients do it
		t.Partitions = r.Topics[0].Partitions
	}
	return float64(got) / time.Since(began).Seconds(), nil
}

// goOn moves partitions behind what an answer holds of them and returns how many records that is.
func goOn(parts []kmsg.FetchRequestTopicPartition, r *kmsg.FetchResponse) (records int, err error) {
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return 0, err
	}
	for _, got := range r.Topics[0].Partitions {
		if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
			return 0, err
		}
		next, _, err := batchesEnd(got.RecordBatches, math.MaxInt64)
		if err != nil {
			return 0, err
		}
		for i := range parts {
			if q := &parts[i]; q.Partition == got.Partition && next > q.FetchOffset {
				records += int(next - q.FetchOffset)
				q.FetchOffset = next
			}
		}
	}
	return records, nil
}

// consumeAll reads the n records of a topic and returns records a second.
func consumeAll(ctx context.Context, p *proc, s shape, n int, more ...kgo.Opt) (float64, error) {
	c, err := kafkaClient(p, append(more, kgo.FetchMaxBytes(fetchBytesMax), kgo.FetchMaxPartitionBytes(fetchPartBytesMax),
		kgo.ConsumeTopics(s.topic()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := c.Ping(ctx); err != nil {
		return 0, err
	}
	began, got := time.Now(), 0
	for got < n {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			return 0, fmt.Errorf("consume from %s after %d of %d records: %w", p.name, got, n, err)
		}
		for part := range partitions(f) {
			if r := part.Records[len(part.Records)-1]; len(r.Value) != s.size {
				return 0, fmt.Errorf("consume from %s: %d bytes at offset %d, want %d", p.name, len(r.Value), r.Offset, s.size)
			}
			got += len(part.Records)
		}
	}
	return float64(got) / time.Since(began).Seconds(), nil
}
