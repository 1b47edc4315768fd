package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The table against Apache Kafka: the same client for both, Leat synced, the other with its default of leaving that to the kernel.
//
//	produce      records of 1 KiB and 100 B to 1 and 16 partitions, by one and four producers, each a client of its own
//	consume      records from the start, by one client; both sides hold the same batches, each written alone
//	fetch        the same by fetch requests one after the other, of which nothing is opened: what the brokers can do, not what a client makes of it
//	free         consume from a broker that costs nothing, which holds what Leat answers; see free.go
//	end to end   records at a fixed rate, from the call that sends one to its return from the consumer's poll

const (
	jvmRate         = 5000 // records a second, end to end
	jvmLargeBytes   = 1024
	jvmSmallBytes   = 100
	jvmSmallerShare = 3 // of the volume, for small records that are produced: their cost is per record
	jvmWarmBytes    = 192 << 20
	// jvmClientGC is the client's GOGC. It holds little and makes much garbage: at the default it collects so often that it takes 1.6 times as long for records
	// of 100 B, whoever is read, and that much less is seen of the brokers.
	jvmClientGC = 400

	jvmTimeRounds = 3               // of the times from end to end; each side is first in about as many
	jvmQuiet      = 2 * time.Second // as long as nothing was moved or merged, Leat's background has come to rest
)

// shape is one kind of producing.
type shape struct{ size, partitions, producers int }

func (s shape) topic() string { return fmt.Sprintf("jvm-%d-%d-%d", s.size, s.partitions, s.producers) }

func (s shape) records(volume int) int {
	if s.size == jvmSmallBytes {
		volume /= jvmSmallerShare
	}
	return volume / s.size / s.producers * s.producers
}

var jvmShapes = func() (all []shape) {
	for _, size := range []int{jvmLargeBytes, jvmSmallBytes} {
		for _, partitions := range []int{1, 16} {
			for _, producers := range []int{1, 4} {
				all = append(all, shape{size, partitions, producers})
			}
		}
	}
	return all
}()

// jvmRows are the rows of the table, in its order.
type jvmRows struct {
	produce map[shape]*row
	written map[shape]*row // what that costs the broker
	consume map[shape]*row
	fetch   map[shape]*row
	cost    map[shape]*row // of both
	client  map[shape]*row // what consuming costs the client
	free    map[shape]*row // consuming from a broker that costs nothing
	p50     map[int]*row   // by size
	p99     map[int]*row
}

const (
	jvmGoal        = 1.2
	jvmLatencyGoal = 1.0
)

func (b *bench) jvmRows(other string) *jvmRows {
	rows := &jvmRows{produce: map[shape]*row{}, written: map[shape]*row{}, consume: map[shape]*row{}, fetch: map[shape]*row{}, cost: map[shape]*row{}, client: map[shape]*row{}, free: map[shape]*row{}, p50: map[int]*row{}, p99: map[int]*row{}}
	for _, s := range jvmShapes {
		id := fmt.Sprintf("jvm-produce-%d-%d-%d", s.size, s.partitions, s.producers)
		rows.produce[s] = b.row(id, fmt.Sprintf("produce %d B, %d partitions, %d producers", s.size, s.partitions, s.producers), "records/s", other, jvmGoal)
	}
	for _, s := range jvmShapes {
		id := fmt.Sprintf("jvm-write-cpu-%d-%d-%d", s.size, s.partitions, s.producers)
		rows.written[s] = b.row(id, fmt.Sprintf("CPU of the broker while this was produced, %d B, %d partitions, %d producers", s.size, s.partitions, s.producers), "ms/GB", other, 0)
		rows.written[s].less = true
	}
	for _, s := range jvmShapes {
		if s.producers == 1 {
			id := fmt.Sprintf("jvm-consume-%d-%d", s.size, s.partitions)
			rows.consume[s] = b.row(id, fmt.Sprintf("consume %d B from the start, %d partitions", s.size, s.partitions), "records/s", other, jvmGoal)
		}
	}
	for _, s := range jvmShapes {
		if s.producers == 1 {
			id := fmt.Sprintf("jvm-fetch-%d-%d", s.size, s.partitions)
			rows.fetch[s] = b.row(id, fmt.Sprintf("fetch %d B from the start, %d partitions", s.size, s.partitions), "records/s", other, 0)
			id = fmt.Sprintf("jvm-read-cpu-%d-%d", s.size, s.partitions)
			rows.cost[s] = b.row(id, fmt.Sprintf("CPU of the broker while these were read, %d B, %d partitions", s.size, s.partitions), "ms/GB", other, 0)
			rows.cost[s].less = true
			id = fmt.Sprintf("jvm-client-cpu-%d-%d", s.size, s.partitions)
			rows.client[s] = b.row(id, fmt.Sprintf("CPU of the client while it consumed, %d B, %d partitions", s.size, s.partitions), "ms/GB", other, 0)
			rows.client[s].less = true
			id = fmt.Sprintf("jvm-free-%d-%d", s.size, s.partitions)
			rows.free[s] = b.row(id, fmt.Sprintf("consume %d B from a broker that costs nothing, %d partitions", s.size, s.partitions), "records/s", other, 0)
		}
	}
	for _, size := range []int{jvmLargeBytes, jvmSmallBytes} {
		what := fmt.Sprintf("end to end, %d B at %d/s", size, jvmRate)
		rows.p50[size] = b.row(fmt.Sprintf("jvm-e2e-%d-p50", size), what+", p50", "ms", other, 0)
		rows.p99[size] = b.row(fmt.Sprintf("jvm-e2e-%d-p99", size), what+", p99", "ms", other, jvmLatencyGoal)
		rows.p50[size].less, rows.p99[size].less = true, true
	}
	return rows
}

// jvm measures the table, in pairs; both sides are started anew for each and warmed alike.
func (b *bench) jvm(ctx context.Context) error {
	other := kafkaPeer(false)
	rows := b.jvmRows(other.name)
	defer debug.SetGCPercent(debug.SetGCPercent(jvmClientGC))
	for i := range b.pairs {
		if err := b.jvmPair(ctx, i, other, rows); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) jvmPair(ctx context.Context, i int, other peer, rows *jvmRows) error {
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
		if err := jvmWarm(ctx, p, min(jvmWarmBytes, b.volume)); err != nil {
			return fmt.Errorf("warm %s: %w", p.name, err)
		}
	}
	for _, s := range jvmShapes {
		in := rows.produce[s]
		if !b.wants(in) {
			continue
		}
		n := s.records(b.volume)
		var used [2]float64
		if err := in.pair(i, leat, theirs, func(side int, p *proc) (float64, error) {
			if err := calm(ctx, leat); err != nil {
				return 0, err
			}
			before := p.cpu()
			perSecond, err := produceBy(ctx, p, s, n)
			used[side] = (p.cpu() - before).Seconds() / float64(n*s.size) * 1e12
			return perSecond, err
		}); err != nil {
			return err
		}
		rows.written[s].add(used[0], used[1])
	}
	if err := b.jvmReads(ctx, i, leat, theirs, rows); err != nil {
		return err
	}
	for _, size := range []int{jvmLargeBytes, jvmSmallBytes} {
		p50 := rows.p50[size]
		if !b.wants(p50) && !b.wants(rows.p99[size]) {
			continue
		}
		for round := range jvmTimeRounds {
			if err := times(i+round, leat, theirs, p50, rows.p99[size], func(_ int, p *proc) (*histogram, error) {
				if err := calm(ctx, leat); err != nil {
					return nil, err
				}
				return endToEnd(ctx, p, size, b.latencyFor)
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// calm waits until what one side has left to the kernel, and the other to its keeper, is done: it is not done while the other one is measured.
func calm(ctx context.Context, leat *proc) error {
	syscall.Sync()
	leat.window = shippedWindow // less than this may stay in the journal
	return leat.settleFor(ctx, jvmQuiet)
}

// jvmWarm lets just-in-time compilers see every path that is measured.
func jvmWarm(ctx context.Context, p *proc, bytes int) error {
	for _, size := range []int{jvmLargeBytes, jvmSmallBytes} {
		s := shape{size, 4, 2}
		n := s.records(bytes)
		if _, err := produceBy(ctx, p, s, n); err != nil {
			return err
		}
		if _, err := consumeAll(ctx, p, s, n); err != nil {
			return err
		}
	}
	_, err := endToEnd(ctx, p, jvmLargeBytes, 2*time.Second)
	return err
}

// makeTopic makes a topic unless it is there, and waits until its partitions can be written.
func makeTopic(ctx context.Context, p *proc, topic string, partitions int) error {
	c, err := kafkaClient(p)
	if err != nil {
		return err
	}
	defer c.Close()
	q := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, int32(partitions), 1
	q.Topics, q.TimeoutMillis = append(q.Topics, t), 30_000
	r, err := q.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	const exists = 36
	if code := r.Topics[0].ErrorCode; code != 0 && code != exists {
		return fmt.Errorf("make %s on %s: error %d", topic, p.name, code)
	}
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		m := kmsg.NewPtrMetadataRequest()
		mt := kmsg.NewMetadataRequestTopic()
		mt.Topic = &topic
		m.Topics = append(m.Topics, mt)
		led := 0
		if r, err := m.RequestWith(ctx, c); err == nil && len(r.Topics) == 1 {
			for _, part := range r.Topics[0].Partitions {
				if part.ErrorCode == 0 && part.Leader >= 0 {
					led++
				}
			}
		}
		if led == partitions {
			return nil
		}
	}
	return fmt.Errorf("%s on %s: its partitions have no leaders", topic, p.name)
}

// touch writes a record to each partition of a topic. A broker may name leaders that do not know of it yet: a client that is refused then asks
// again after seconds, which would be most of what is measured.
func touch(ctx context.Context, p *proc, s shape) error {
	c, err := kafkaClient(p, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer c.Close()
	var all []*kgo.Record
	for part := range s.partitions {
		all = append(all, &kgo.Record{Topic: s.topic(), Partition: int32(part), Value: make([]byte, s.size)})
	}
	return c.ProduceSync(ctx, all...).FirstErr()
}

// produceBy writes n records with so many clients at once and returns records a second.
func produceBy(ctx context.Context, p *proc, s shape, n int) (float64, error) {
	if err := makeTopic(ctx, p, s.topic(), s.partitions); err != nil {
		return 0, err
	}
	if err := touch(ctx, p, s); err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	errs := make([]error, s.producers)
	began := time.Now()
	for i := range s.producers {
		wg.Go(func() {
			_, _, errs[i] = load{topics: []string{s.topic()}, size: s.size, n: n / s.producers}.run(ctx, p)
		})
	}
	wg.Wait()
	return float64(n) / time.Since(began).Seconds(), errors.Join(errs...)
}

// endToEnd sends records at a fixed rate while another client reads them, and takes the time of each from send to poll. The rate does not wait.
func endToEnd(ctx context.Context, p *proc, size int, duration time.Duration) (*histogram, error) {
	topic := fmt.Sprintf("e2e-%d", size)
	if err := makeTopic(ctx, p, topic, 1); err != nil {
		return nil, err
	}
	in, err := kafkaClient(p, kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := kafkaClient(p, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	var (
		h       = &histogram{}
		failed  atomic.Pointer[error]
		got     = make(chan int, 1)
		measure atomic.Bool
		zero    = time.Now()
	)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		n := 0
		defer func() { got <- n }()
		for {
			f := out.PollFetches(ctx)
			if ctx.Err() != nil {
				return
			}
			now := time.Since(zero)
			f.EachRecord(func(r *kgo.Record) {
				if sent := binary.BigEndian.Uint64(r.Value); sent > 0 {
					h.add(int64(now) - int64(sent))
					n++
				}
			})
		}
	}()
	sent := 0
	send := func() {
		value := make([]byte, size)
		if measure.Load() {
			binary.BigEndian.PutUint64(value, uint64(time.Since(zero)))
			sent++
		}
		in.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := pace(ctx, jvmRate, 2*time.Second, send); err != nil { // warm
		return nil, err
	}
	measure.Store(true)
	if err := pace(ctx, jvmRate, duration, send); err != nil {
		return nil, err
	}
	if err := in.Flush(ctx); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // the last ones arrive
	cancel()
	if n := <-got; n < sent*99/100 {
		return nil, fmt.Errorf("%s: %d of %d records arrived", p.name, n, sent)
	}
	if e := failed.Load(); e != nil {
		return nil, fmt.Errorf("produce to %s: %w", p.name, *e)
	}
	return h, nil
}
