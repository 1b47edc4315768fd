package clienttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stableOffset asks for the group's offset of orders/0 as a consumer that must not begin at what a transaction is about to change.
func stableOffset(t *testing.T, c *kgo.Client, group string) (int64, error) {
	t.Helper()
	q := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.Partitions = "orders", []int32{0}
	g.Group, g.Topics = group, append(g.Topics, gt)
	q.RequireStable, q.Groups = true, append(q.Groups, g)
	r, err := q.RequestWith(patience(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(r.Groups[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
	p := r.Groups[0].Topics[0].Partitions[0]
	return p.Offset, kerr.ErrorForCode(p.ErrorCode)
}

// An offset that a transaction is about to commit is not told to who requires a stable one, until the transaction has ended; a consumer that begins meanwhile
// begins at what it was ended with.
func TestFranz_RequireStable(t *testing.T) {
	n := start(t, withQuickGroups)
	franzCreate(t, n, "orders", 1)
	franzCreate(t, n, "out", 1)
	franzProduce(t, n, "orders", 1, 0, 10)
	c := franz(t, n)
	tx := franz(t, n, kgo.TransactionalID("t"))
	for _, step := range []struct {
		to   int64
		how  kgo.TransactionEndTry
		then int64
	}{{3, kgo.TryAbort, -1}, {4, kgo.TryCommit, 4}, {9, kgo.TryAbort, 4}, {6, kgo.TryCommit, 6}, {-1, kgo.TryCommit, -1}} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := tx.ProduceSync(patience(t), &kgo.Record{Topic: "out", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		deferOffset(t, tx, step.to)
		if at, err := stableOffset(t, c, "work"); !errors.Is(err, kerr.UnstableOffsetCommit) {
			t.Errorf("while the transaction is open: %d %v", at, err)
		}
		if err := tx.EndTransaction(patience(t), step.how); err != nil {
			t.Fatal(err)
		}
		if at, err := stableOffset(t, c, "work"); at != step.then || err != nil {
			t.Errorf("then %d %v, expected %d", at, err, step.then)
		}
	}
	// A consumer that comes while one is open waits for it.
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(patience(t), &kgo.Record{Topic: "out", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	deferOffset(t, tx, 8)
	asked := make(chan struct{}, 1000)
	reader := franz(t, n, kgo.ConsumerGroup("work"), kgo.ConsumeTopics("orders"), kgo.RequireStableFetchOffsets(), kgo.WithHooks(offsetFetches(asked)))
	first := make(chan int64, 1)
	ctx := patience(t)
	go func() {
		if rs := reader.PollRecords(ctx, 1).Records(); len(rs) > 0 {
			first <- rs[0].Offset
		}
		close(first)
	}()
	for range 2 { // asked, refused, and asked again
		select {
		case <-asked:
		case at := <-first:
			t.Fatalf("read from %d while the transaction was open", at)
		case <-ctx.Done():
			t.Fatal("the consumer does not ask for its offset")
		}
	}
	if err := tx.EndTransaction(patience(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if at := <-first; at != 8 {
		t.Errorf("it begins at %d, expected 8", at)
	}
}

// offsetFetches is told of each request for offsets that was answered.
type offsetFetches chan struct{}

func (c offsetFetches) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == int16(kmsg.OffsetFetch) && err == nil {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// deferOffset has the transaction of a producer move the offset of group work in orders/0.
func deferOffset(t *testing.T, tx *kgo.Client, to int64) {
	t.Helper()
	id, epoch, err := tx.ProducerID(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	q := kmsg.NewPtrTxnOffsetCommitRequest()
	q.TransactionalID, q.Group, q.ProducerID, q.ProducerEpoch = "t", "work", id, epoch
	qt := kmsg.NewTxnOffsetCommitRequestTopic()
	qp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	qp.Offset = to
	qt.Topic, qt.Partitions = "orders", append(qt.Partitions, qp)
	q.Topics = append(q.Topics, qt)
	r, err := q.RequestWith(patience(t), tx)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// Offsets by time, with a transaction that is open and one that was aborted: who reads everything is sent to the first record of any, who reads what is committed
// nowhere behind the first open one.
//
//	offset      0       1        2       3       4       5
//	            plain   aborted  marker  plain   open    plain
//	timestamp   1000    5000     now     2000    6000    3000
func TestFranz_OffsetsByTimeInTransactions(t *testing.T) {
	n := start(t)
	franzCreate(t, n, "orders", 1)
	plain, tx := franz(t, n), franz(t, n, kgo.TransactionalID("t"))
	send := func(c *kgo.Client, ms int64) {
		t.Helper()
		if err := c.ProduceSync(patience(t), &kgo.Record{Topic: "orders", Value: []byte("x"), Timestamp: time.UnixMilli(ms)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	begin := func() {
		t.Helper()
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	end := func(how kgo.TransactionEndTry) {
		t.Helper()
		if err := tx.EndTransaction(patience(t), how); err != nil {
			t.Fatal(err)
		}
	}
	send(plain, 1000)
	begin()
	send(tx, 5000)
	end(kgo.TryAbort)
	send(plain, 2000)
	begin()
	send(tx, 6000)
	send(plain, 3000)
	future := time.Now().Add(time.Hour).UnixMilli()
	check := func(when string, committed bool, ms, want int64) {
		t.Helper()
		level := int8(0)
		if committed {
			level = 1
		}
		if got := offsetAt(t, plain, ms, level); got != want {
			t.Errorf("%s, committed %t: the offset of %d is %d, expected %d", when, committed, ms, got, want)
		}
	}
	for _, committed := range []bool{false, true} {
		check("open", committed, 0, 0)
		check("open", committed, 1500, 1)
		check("open", committed, 5000, 1)
		check("open", committed, 5500, 2) // the marker, which was written now
		check("open", committed, future, -1)
	}
	check("open", false, -1, 6)
	check("open", true, -1, 4)
	begun := time.Now().Add(30 * time.Minute).UnixMilli()
	send(tx, begun) // greater than all, and open
	check("greatest open", false, begun, 6)
	check("greatest open", true, begun, -1)
	check("greatest open", false, -3, 6)
	end(kgo.TryCommit)
	check("ended", true, begun, 6)
	check("ended", true, -3, 6)
	check("ended", true, -1, 8)
}

func offsetAt(t *testing.T, c *kgo.Client, ms int64, level int8) int64 {
	t.Helper()
	q := kmsg.NewPtrListOffsetsRequest()
	q.IsolationLevel = level
	qt := kmsg.NewListOffsetsRequestTopic()
	qp := kmsg.NewListOffsetsRequestTopicPartition()
	qp.Timestamp = ms
	qt.Topic, qt.Partitions = "orders", append(qt.Partitions, qp)
	q.Topics = append(q.Topics, qt)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, s := range c.RequestSharded(ctx, q) {
		if s.Err != nil {
			t.Fatal(s.Err)
		}
		p := s.Resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			t.Fatal(err)
		}
		return p.Offset
	}
	return -2
}
