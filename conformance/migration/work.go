package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	accountKeys  = 150
	plainPause   = 60 * time.Millisecond // between bursts, at most
	burstMax     = 60                    // records
	heldOpenMax  = 3 * time.Second       // a transaction that dawdles
	finishWithin = 30 * time.Second
)

var codecs = []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}

// configs are those of the topics there: the cleaner and retention find work every few seconds.
var configs = map[string]map[string]string{
	"orders": {}, "payments": {}, "temp": {}, "old": {},
	"accounts": {"cleanup.policy": "compact", "segment.ms": "3000", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "60000"},
	"clicks":   {"retention.ms": "15000", "segment.ms": "3000", "file.delete.delay.ms": "500"},
}

// ledger is what was sent and is committed, by offset.
type ledger struct {
	mu   sync.Mutex
	sent map[part]map[int64]one
}

func (l *ledger) keep(rs ...*kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rs {
		p := part{r.Topic, r.Partition}
		if l.sent[p] == nil {
			l.sent[p] = map[int64]one{}
		}
		l.sent[p][r.Offset] = oneOf(r)
	}
}

func createTopic(ctx context.Context, addr, name string, partitions int32) error {
	c, err := client(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	return until(ctx, finishWithin, "topic "+name+" is made", func() (bool, error) {
		q := kmsg.NewPtrCreateTopicsRequest()
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
		for k, v := range configs[name] {
			x := kmsg.NewCreateTopicsRequestTopicConfig()
			x.Name, x.Value = k, &v
			t.Configs = append(t.Configs, x)
		}
		q.Topics = append(q.Topics, t)
		a, err := q.RequestWith(ctx, c)
		if err != nil {
			return false, err
		}
		err = kerr.ErrorForCode(a.Topics[0].ErrorCode)
		return err == nil, ignore(err, kerr.TopicAlreadyExists)
	})
}

// ignore: an error of that kind is none, it is tried again.
func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

func deleteTopic(ctx context.Context, addr, name string) error {
	c, err := client(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	q := kmsg.NewPtrDeleteTopicsRequest()
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = &name
	q.Topics, q.TopicNames = append(q.Topics, t), []string{name}
	a, err := q.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(a.Topics[0].ErrorCode)
}

func growTopic(ctx context.Context, addr, name string, partitions int32) error {
	c, err := client(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	q := kmsg.NewPtrCreatePartitionsRequest()
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, partitions
	q.Topics = append(q.Topics, t)
	a, err := q.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(a.Topics[0].ErrorCode)
}

// producer writes to one side until its work is over.
type producer struct {
	addr, name string
	rand       *rand.Rand
	ledger     *ledger
	n          int
}

func (p *producer) record(topic string) *kgo.Record {
	p.n++
	r := &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%s %d %0*d", p.name, p.n, p.rand.IntN(200), 0), Timestamp: time.UnixMilli(time.Now().UnixMilli())}
	switch {
	case topic == "accounts":
		r.Key = fmt.Appendf(nil, "account-%d", p.rand.IntN(accountKeys))
		if p.rand.IntN(10) == 0 {
			r.Value = nil
		}
	case p.rand.IntN(3) > 0:
		r.Key = fmt.Appendf(nil, "key-%d", p.rand.IntN(50))
	}
	if p.rand.IntN(4) == 0 {
		r.Headers = []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, p.n)}, {Key: "empty"}}
	}
	return r
}

// plain writes bursts to some topics.
func (p *producer) plain(ctx context.Context, codec kgo.CompressionCodec, topics ...string) error {
	c, err := client(p.addr, kgo.ProducerBatchCompression(codec), kgo.MetadataMaxAge(2*time.Second), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer c.Close()
	for ctx.Err() == nil {
		var rs []*kgo.Record
		for range 1 + p.rand.IntN(burstMax) {
			rs = append(rs, p.record(topics[p.rand.IntN(len(topics))]))
		}
		if err := p.burst(c, rs); err != nil {
			return err
		}
		p.ledger.keep(rs...)
		wait(ctx, time.Duration(p.rand.Int64N(int64(plainPause))))
	}
	return nil
}

func (p *producer) burst(c *kgo.Client, rs []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	return c.ProduceSync(ctx, rs...).FirstErr()
}

// transactions writes some to payments and accounts, commits most, and dawdles now and then.
func (p *producer) transactions(ctx context.Context) error {
	c, err := client(p.addr, kgo.TransactionalID(p.name), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer c.Close()
	for ctx.Err() == nil {
		if err := c.BeginTransaction(); err != nil {
			return err
		}
		var rs []*kgo.Record
		for range 1 + p.rand.IntN(burstMax/2) {
			topic := "payments"
			if p.rand.IntN(4) == 0 {
				topic = "accounts"
			}
			rs = append(rs, p.record(topic))
		}
		if err := p.burst(c, rs); err != nil {
			return err
		}
		if p.rand.IntN(20) == 0 {
			wait(ctx, time.Duration(p.rand.Int64N(int64(heldOpenMax))))
		}
		commit := p.rand.IntN(4) > 0
		if err := p.end(c, commit); err != nil {
			return err
		}
		if commit {
			p.ledger.keep(rs...)
		}
		wait(ctx, time.Duration(p.rand.Int64N(int64(plainPause))))
	}
	return nil
}

func (p *producer) end(c *kgo.Client, commit bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	return c.EndTransaction(ctx, kgo.TransactionEndTry(commit))
}

// group is one that consumes and commits, on one side and then on the other.
type group struct {
	name   string
	topics []string
	next   bool // of KIP-848
	slow   bool // until the switch
	mu     sync.Mutex
	seen   map[part][]int64
}

// consume goes on until ctx ends. What it was given it has committed.
func (g *group) consume(ctx context.Context, addr string, slow bool) error {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(g.name), kgo.ConsumeTopics(g.topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(200 * time.Millisecond), kgo.MetadataMaxAge(2 * time.Second),
	}
	if g.next {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	c, err := client(addr, opts...)
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	for ctx.Err() == nil {
		most := 500
		if slow {
			most = 3
			wait(ctx, 100*time.Millisecond)
		}
		fs := c.PollRecords(ctx, most)
		g.mu.Lock()
		fs.EachRecord(func(r *kgo.Record) {
			p := part{r.Topic, r.Partition}
			g.seen[p] = append(g.seen[p], r.Offset)
		})
		g.mu.Unlock()
		if rs := fs.Records(); len(rs) > 0 {
			commit, cancel := context.WithTimeout(context.Background(), finishWithin)
			err := c.CommitRecords(commit, rs...)
			cancel()
			if err != nil {
				return fmt.Errorf("group %s: commit: %w", g.name, err)
			}
		}
		c.AllowRebalance()
	}
	return nil
}

func (g *group) count() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.seen {
		n += len(s)
	}
	return n
}
