package main

import (
	"context"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"leat/conformance/jepsen/history"
)

const (
	groupName      = "work"
	inputsMax      = 40 // of a transaction
	sessionTimeout = 6 * time.Second
)

// transform is a member of the group: for each record that it consumes it produces one, to the partition of the same number.
func (c *client) transform(ctx context.Context, who string) error {
	opts := c.common(
		kgo.TransactionalID(c.id), kgo.TransactionTimeout(transactionTimeout), kgo.ConsumerGroup(groupName), kgo.ConsumeTopics("a", "b"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.SessionTimeout(sessionTimeout), kgo.RebalanceTimeout(sessionTimeout))
	if c.consumer() {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	s, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.introduce(ctx, s.Client(), who); err != nil {
		return err
	}
	for n := 0; ctx.Err() == nil; {
		poll, stop := context.WithTimeout(ctx, time.Second) // to look whether it is to end
		fs := s.PollRecords(poll, 1+c.rand.IntN(inputsMax))
		stop()
		if fs.NumRecords() == 0 {
			continue
		}
		if err := c.transformed(s, who, n, fs.Records()); err != nil {
			return err
		}
		n++
	}
	return nil
}

func (c *client) transformed(s *kgo.GroupTransactSession, who string, n int, in []*kgo.Record) error {
	l := history.Line{Kind: history.KindBegin, Who: who, Name: c.id, N: n}
	for _, r := range in {
		at := history.Part{Topic: r.Topic, Partition: r.Partition}
		l.Inputs = append(l.Inputs, history.Input{Part: at, Offset: r.Offset, Value: history.Head(r.Value)})
		l.Records = append(l.Records, history.Part{Topic: outputOf(r.Topic), Partition: r.Partition})
	}
	if err := c.w.Add(&l); err != nil {
		return err
	}
	if err := s.Begin(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	acks, failed := c.send(ctx, s.Client(), who, n, l.Records)
	if c.rand.IntN(dawdleOneIn) == 0 {
		wait(ctx, transactionTimeout+time.Second)
	}
	commit := failed == nil && c.rand.IntN(4*abortOneIn) > 0
	if err := c.w.Add(&history.Line{Kind: history.KindEnd, Who: who, N: n, Commit: commit, Acks: acks}); err != nil {
		return err
	}
	committed, err := s.End(ctx, kgo.TransactionEndTry(commit))
	if err := c.ended(who, n, commit && (committed || err != nil), err); err != nil {
		return err
	}
	return err
}

// read is a reader: what it was given is written down before it asks for more, so that another life goes on from there.
func (c *client) read(ctx context.Context, committed bool) error {
	if err := c.w.Add(&history.Line{Kind: history.KindReader, Who: c.who, Committed: committed}); err != nil {
		return err
	}
	from, err := c.position()
	if err != nil {
		return err
	}
	opts := c.common(kgo.ConsumePartitions(from), kgo.FetchMaxWait(200*time.Millisecond), kgo.FetchMaxPartitionBytes(64<<10))
	if committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	k, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer k.Close()
	for ctx.Err() == nil {
		var failed error
		k.PollFetches(ctx).EachPartition(func(p kgo.FetchTopicPartition) {
			l := &history.Line{Kind: history.KindRead, Who: c.who, Place: &history.Part{Topic: p.Topic, Partition: p.Partition}}
			for _, r := range p.Records {
				l.Seen = append(l.Seen, history.Seen{Offset: r.Offset, Value: history.Head(r.Value)})
			}
			if len(l.Seen) > 0 && failed == nil {
				failed = c.w.Add(l)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// position is where a reader goes on: behind what its file says it was given.
func (c *client) position() (map[string]map[int32]kgo.Offset, error) {
	from := map[string]map[int32]kgo.Offset{}
	for _, at := range parts() {
		if from[at.Topic] == nil {
			from[at.Topic] = map[int32]kgo.Offset{}
		}
		from[at.Topic][at.Partition] = kgo.NewOffset().AtStart()
	}
	ls, err := history.Load(historyFile(c.dir, c.who))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for i := range ls {
		if l := &ls[i]; l.Kind == history.KindRead {
			from[l.Place.Topic][l.Place.Partition] = kgo.NewOffset().At(l.Seen[len(l.Seen)-1].Offset + 1)
		}
	}
	return from, nil
}
