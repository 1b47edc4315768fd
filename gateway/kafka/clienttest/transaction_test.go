package clienttest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// values are those of records, in their order.
func values(rs []*kgo.Record) (out []string) {
	for _, r := range rs {
		out = append(out, string(r.Value))
	}
	return out
}

// franzTransaction sends values to partition 0 of a topic and ends as it is told.
func franzTransaction(t *testing.T, c *kgo.Client, topic string, end kgo.TransactionEndTry, vs ...string) error {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	for _, v := range vs {
		c.Produce(patience(t), &kgo.Record{Topic: topic, Value: []byte(v)}, nil)
	}
	if err := c.Flush(patience(t)); err != nil {
		return err
	}
	return c.EndTransaction(patience(t), end)
}

// Each transaction has an epoch of its own where client and node agree on transaction.version 2 (KIP-890); older clients announce partitions.
func TestFranz_Transactions(t *testing.T) {
	for name, opts := range map[string][]kgo.Opt{"KIP-890": nil, "announcing": {kgo.MaxVersions(kversion.V3_6_0())}} {
		t.Run(name, func(t *testing.T) {
			n := start(t)
			franzCreate(t, n, "orders", 1)
			tx := franz(t, n, append(opts, kgo.TransactionalID("t"))...)
			plain := franz(t, n)
			say := func(v string) {
				if err := plain.ProduceSync(patience(t), &kgo.Record{Topic: "orders", Value: []byte(v)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			committed := franz(t, n, append(opts, kgo.ConsumeTopics("orders"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
			for _, end := range []struct {
				how kgo.TransactionEndTry
				vs  []string
			}{{kgo.TryCommit, []string{"a", "b"}}, {kgo.TryAbort, []string{"x", "y"}}, {kgo.TryCommit, []string{"c"}}, {kgo.TryAbort, []string{"z"}}, {kgo.TryCommit, []string{"d"}}} {
				if err := franzTransaction(t, tx, "orders", end.how, end.vs...); err != nil {
					t.Fatalf("%v: %v", end.vs, err)
				}
			}
			say("plain")
			if got := strings.Join(values(franzRead(t, committed, 5)), " "); got != "a b c d plain" {
				t.Errorf("committed: %s", got)
			}
			all := franz(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if got := strings.Join(values(franzRead(t, all, 8)), " "); got != "a b x y c z d plain" {
				t.Errorf("all: %s", got)
			}
			// An instance that died in the middle is fenced by the next one, and what it left is aborted.
			if err := tx.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := tx.ProduceSync(patience(t), &kgo.Record{Topic: "orders", Value: []byte("lost")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			say("behind")
			next := franz(t, n, append(opts, kgo.TransactionalID("t"))...)
			if err := franzTransaction(t, next, "orders", kgo.TryCommit, "e"); err != nil {
				t.Fatal(err)
			}
			if err := tx.EndTransaction(patience(t), kgo.TryCommit); !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
				t.Errorf("a fenced instance commits: %v", err)
			}
			if got := strings.Join(values(franzRead(t, committed, 2)), " "); got != "behind e" {
				t.Errorf("behind what was lost: %s", got)
			}
		})
	}
}

// Consume, transform, produce: members come and go in the middle of transactions, and every record comes out once.
func TestFranz_GroupTransactSession(t *testing.T) {
	n := start(t, withQuickGroups)
	franzCreate(t, n, "in", 4)
	franzCreate(t, n, "out", 4)
	const count = 400
	franzProduce(t, n, "in", 4, 0, count)
	seen := franz(t, n, kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	stops := make([]func(), 0, 3)
	member := func(i int) {
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			transform(t, n, fmt.Sprint("t", i), stop)
		}()
		stops = append(stops, func() { close(stop); <-done })
	}
	member(0)
	member(1)
	got := map[string]int{}
	for _, r := range franzRead(t, seen, count/4) {
		got[string(r.Value)]++
	}
	member(2)
	stops[0]()
	stops = stops[1:]
	for len(got) < count {
		for _, r := range franzRead(t, seen, 1) {
			got[string(r.Value)]++
		}
	}
	for _, stop := range stops {
		stop()
	}
	for v, n := range got {
		if n != 1 {
			t.Errorf("%s came out %d times", v, n)
		}
	}
	os, err := kadm.NewClient(franz(t, n)).FetchOffsets(patience(t), "work")
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	os.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != count {
		t.Errorf("the group's offsets are at %d altogether: %v", sum, os)
	}
}

func transform(t *testing.T, n *node, id string, stop chan struct{}) {
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(n.kafka), kgo.TransactionalID(id), kgo.ConsumerGroup("work"), kgo.ConsumeTopics("in"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(), kgo.FetchMaxWait(100*time.Millisecond), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.Balancers(kgo.CooperativeStickyBalancer()))
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	ctx := patience(t)
	for {
		select {
		case <-stop:
			return
		default:
		}
		poll, cancel := context.WithTimeout(ctx, 300*time.Millisecond) // to look at stop
		fs := s.PollRecords(poll, 10)
		cancel()
		if err := fs.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", id, err)
			return
		}
		if fs.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			t.Errorf("%s: %v", id, err)
			return
		}
		failed := kgo.AbortingFirstErrPromise(s.Client())
		for _, r := range fs.Records() {
			s.Produce(ctx, &kgo.Record{Topic: "out", Key: r.Value, Value: r.Value}, failed.Promise())
		}
		if _, err := s.End(ctx, failed.Err() == nil); err != nil {
			t.Errorf("%s: %v", id, err)
			return
		}
	}
}

// What administrators see of transactions, and how they end one that hangs.
func TestFranz_TransactionAdmin(t *testing.T) {
	n := start(t)
	adm := franzCreate(t, n, "orders", 2)
	tx := franz(t, n, kgo.TransactionalID("slow"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(patience(t), &kgo.Record{Topic: "orders", Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ctx := patience(t)
	all, err := adm.ListTransactions(ctx, nil, []string{"Ongoing"})
	if err != nil || len(all) != 1 || all["slow"].State != "Ongoing" {
		t.Fatalf("list: %v %+v", err, all)
	}
	one, err := adm.DescribeTransactions(ctx, "slow")
	if x := one["slow"]; err != nil || x.Err != nil || x.TxnID != "slow" || !slices.Equal(x.Topics.Sorted()[0].Partitions, []int32{1}) {
		t.Fatalf("describe: %v %+v", err, one)
	}
	ps, err := adm.DescribeProducers(ctx, kadm.TopicsSet{"orders": {1: {}}})
	if err != nil || len(ps["orders"].Partitions[1].ActiveProducers) != 1 {
		t.Fatalf("producers: %v %+v", err, ps)
	}
	p := ps["orders"].Partitions[1].ActiveProducers.Sorted()[0]
	if p.CurrentTxnStartOffset != 0 || p.ProducerID != one["slow"].ProducerID {
		t.Errorf("producer: %+v", p)
	}
	ends, err := adm.ListCommittedOffsets(ctx, "orders")
	if o, _ := ends.Lookup("orders", 1); err != nil || o.Offset != 0 {
		t.Errorf("committed end: %v %+v", err, o)
	}
	q := kmsg.NewPtrWriteTxnMarkersRequest()
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch = p.ProducerID, int16(p.ProducerEpoch)
	mt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	mt.Topic, mt.Partitions = "orders", []int32{1}
	m.Topics = append(m.Topics, mt)
	q.Markers = append(q.Markers, m)
	r, err := q.RequestWith(ctx, franz(t, n))
	if err != nil || r.Markers[0].Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("abort: %v %+v", err, r)
	}
	if ends, err = adm.ListCommittedOffsets(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if o, _ := ends.Lookup("orders", 1); o.Offset != 2 {
		t.Errorf("committed end after the abort: %+v", o)
	}
	if err := tx.EndTransaction(ctx, kgo.TryCommit); err == nil {
		t.Error("a transaction that was aborted for its producer was committed")
	}
}

func TestSarama_Transactions(t *testing.T) {
	n := start(t)
	franzCreate(t, n, "orders", 1)
	cfg := saramaConfig(func(c *sarama.Config) {
		c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
		c.Producer.Transaction.ID, c.Producer.Return.Successes = "t", true
	})
	p, err := sarama.NewSyncProducer([]string{n.kafka}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, end := range []struct {
		commit bool
		vs     []string
	}{{true, []string{"a", "b"}}, {false, []string{"x"}}, {true, []string{"c"}}} {
		if err := p.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		for _, v := range end.vs {
			if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder(v)}); err != nil {
				t.Fatal(err)
			}
		}
		ended := p.AbortTxn
		if end.commit {
			ended = p.CommitTxn
		}
		if err := ended(); err != nil {
			t.Fatal(err)
		}
	}
	got := []string{}
	for _, m := range saramaRead(t, n, saramaConfig(func(c *sarama.Config) { c.Consumer.IsolationLevel = sarama.ReadCommitted }), "orders", 0, 3) {
		got = append(got, string(m.Value))
	}
	if strings.Join(got, " ") != "a b c" {
		t.Errorf("committed: %v", got)
	}
}

func TestJava_Transactions(t *testing.T) {
	for _, dir := range javaPeers(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			n := start(t, withQuickGroups)
			out, err := run(t, "", "java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(dir, "*"), "java/Transactions.java", n.kafka)
			t.Log(out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfluentPython_Transactions(t *testing.T) {
	python := confluentPython(t)
	n := start(t, withQuickGroups)
	out, err := run(t, "", python, "transactions.py", n.kafka)
	t.Log(out)
	if err != nil {
		t.Error(err)
	}
}
