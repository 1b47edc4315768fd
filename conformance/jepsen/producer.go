package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"leat/conformance/jepsen/history"
)

// What producers do. Of all their numbers only these matter to what is checked: a transaction takes at most transactionTimeout before it is aborted, and
// some dawdle longer.
const (
	transactionTimeout = 4 * time.Second
	endTimeout         = 60 * time.Second // then nobody waits for an answer any more
	recordsMax         = 12               // of a transaction
	abortOneIn         = 6
	dawdleOneIn        = 150
	pauseMax           = 60 * time.Millisecond // between transactions
	rivalPauseMax      = 3 * time.Second       // before a fenced producer fences back
)

// inputs have as many partitions as their outputs.
var inputs = map[string]int32{"a": 3, "b": 2}

func outputOf(topic string) string { return "out-" + topic }

// stateTopic is compacted. Each transaction of a producer has a record in it, whose key is the producer's transactional id: the newest of a key is of the last
// transaction of that id that was committed, whatever compaction has taken away before it.
const stateTopic = "state"

// client is one process.
type client struct {
	*options
	w    *history.Writer
	rand *rand.Rand
	life int64 // number of this process among those of its name
	inst int
}

// be is the life of a client. SIGTERM ends it in order.
func be(ctx context.Context, role string, o *options) error {
	c := &client{options: o, rand: rand.New(rand.NewPCG(o.seed, uint64(time.Now().UnixNano()))), life: time.Now().UnixNano()}
	name := fmt.Sprintf("%s.%d", o.who, c.life)
	if role == "committed" || role == "all" {
		name = o.who
	}
	var err error
	if c.w, err = history.Open(filepath.Join(o.dir, "history", name+".jsonl")); err != nil {
		return err
	}
	switch role {
	case "producer":
		err = c.again(ctx, c.produce)
	case "transformer":
		err = c.again(ctx, c.transform)
	case "plain":
		err = c.again(ctx, c.plain)
	case "committed", "all":
		err = c.read(ctx, role == "committed")
	default:
		err = fmt.Errorf("no role %q", role)
	}
	return errors.Join(err, c.w.Close())
}

// again begins anew with each error, as a program that is started again would: a new client, which is a new instance.
func (c *client) again(ctx context.Context, live func(context.Context, string) error) error {
	for ctx.Err() == nil {
		c.inst++
		err := live(ctx, fmt.Sprintf("%s.%d.%d", c.who, c.life, c.inst))
		if _, broken := errors.AsType[*os.PathError](err); broken {
			return err
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", c.who, err)
			wait(ctx, time.Duration(c.rand.Int64N(int64(rivalPauseMax))))
		}
	}
	return nil
}

// common are options of all clients: they find the node again soon.
func (c *client) common(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(c.node), kgo.ClientID(c.who), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RequestRetries(1 << 20), kgo.RetryTimeout(10 * time.Minute), kgo.UnknownTopicRetries(-1), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
	}, more...)
}

// produce makes transactions until one has failed in a way that ends the instance.
func (c *client) produce(ctx context.Context, who string) error {
	k, err := kgo.NewClient(c.common(kgo.TransactionalID(c.id), kgo.TransactionTimeout(transactionTimeout))...)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := c.introduce(ctx, k, who); err != nil {
		return err
	}
	for n := 0; ctx.Err() == nil; n++ {
		if err := c.transact(k, who, n); err != nil {
			return err
		}
		wait(ctx, time.Duration(c.rand.Int64N(int64(pauseMax))))
	}
	return nil
}

// introduce asks for the producer's id and epoch: whoever had the name before is fenced when it is answered.
func (c *client) introduce(ctx context.Context, k *kgo.Client, who string) error {
	from := time.Now().UnixNano()
	id, epoch, err := k.ProducerID(ctx)
	if err != nil {
		return err
	}
	return c.w.Add(&history.Line{Kind: history.KindInit, Who: who, Name: c.id, From: from, Producer: id, Epoch: epoch})
}

// transact makes one transaction. Its error ends the instance.
func (c *client) transact(k *kgo.Client, who string, n int) error {
	records := make([]history.Part, 1+c.rand.IntN(recordsMax))
	for i := range records {
		records[i] = c.anyPart()
	}
	if err := c.w.Add(&history.Line{Kind: history.KindBegin, Who: who, Name: c.id, N: n, Records: records}); err != nil {
		return err
	}
	if err := k.BeginTransaction(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	some := len(records)
	abort := c.rand.IntN(abortOneIn) == 0
	if abort {
		some = c.rand.IntN(some + 1)
	}
	failed := k.ProduceSync(ctx, &kgo.Record{Topic: stateTopic, Key: []byte(c.id), Value: history.Value(who, n, 0)}).FirstErr()
	acks, err := c.send(ctx, k, who, n, records[:some])
	failed = errors.Join(failed, err)
	if c.rand.IntN(dawdleOneIn) == 0 {
		wait(ctx, transactionTimeout+time.Duration(c.rand.Int64N(int64(3*time.Second))))
	}
	commit := failed == nil && !abort
	if err := c.w.Add(&history.Line{Kind: history.KindEnd, Who: who, N: n, Commit: commit, Acks: acks}); err != nil {
		return err
	}
	err = k.EndTransaction(ctx, kgo.TransactionEndTry(commit))
	if lineErr := c.ended(who, n, commit, err); lineErr != nil {
		return lineErr
	}
	return err
}

// send sends records and waits for all answers.
func (c *client) send(ctx context.Context, k *kgo.Client, who string, n int, records []history.Part) (acks []history.Ack, failed error) {
	type answer struct {
		i   int
		r   *kgo.Record
		err error
	}
	answers := make(chan answer, len(records))
	for i, at := range records {
		r := &kgo.Record{Topic: at.Topic, Partition: at.Partition, Value: history.Value(who, n, i)}
		k.Produce(ctx, r, func(r *kgo.Record, err error) { answers <- answer{i, r, err} })
		if c.rand.IntN(8) == 0 {
			wait(ctx, time.Duration(c.rand.Int64N(int64(5*time.Millisecond))))
		}
	}
	for range records {
		if a := <-answers; a.err != nil {
			failed = a.err
		} else {
			acks = append(acks, history.Ack{Record: a.i, Offset: a.r.Offset})
		}
	}
	return acks, failed
}

// ended notes how a transaction ended, as far as this client knows.
func (c *client) ended(who string, n int, commit bool, err error) error {
	l := &history.Line{Kind: history.KindEnded, Who: who, N: n, Outcome: history.Aborted}
	switch {
	case commit && err != nil:
		l.Outcome = history.Unknown
	case commit:
		l.Outcome = history.Committed
	}
	if err != nil {
		l.Error = err.Error()
	}
	return c.w.Add(l)
}

// plain sends records that are of no transaction.
func (c *client) plain(ctx context.Context, who string) error {
	k, err := kgo.NewClient(c.common(kgo.StopProducerOnDataLossDetected())...)
	if err != nil {
		return err
	}
	defer k.Close()
	for n := 0; ctx.Err() == nil; n++ {
		at := c.anyPart()
		if err := c.w.Add(&history.Line{Kind: history.KindBegin, Who: who, N: n, Records: []history.Part{at}}); err != nil {
			return err
		}
		sent, cancel := context.WithTimeout(context.Background(), endTimeout)
		acks, failed := c.send(sent, k, who, n, []history.Part{at})
		cancel()
		l := &history.Line{Kind: history.KindEnded, Who: who, N: n, Outcome: history.Committed, Acks: acks}
		if failed != nil {
			l.Outcome, l.Error = history.Unknown, failed.Error()
		}
		if err := c.w.Add(l); err != nil || failed != nil {
			return errors.Join(err, failed)
		}
		wait(ctx, time.Duration(c.rand.Int64N(int64(pauseMax))))
	}
	return nil
}

func (c *client) anyPart() history.Part {
	if c.rand.IntN(2) == 0 {
		return history.Part{Topic: "a", Partition: c.rand.Int32N(inputs["a"])}
	}
	return history.Part{Topic: "b", Partition: c.rand.Int32N(inputs["b"])}
}
