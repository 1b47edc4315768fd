package broker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// A transaction is what a named producer appends (BatchAppend.Transactor) and the positions that it commits with it, of which readers see all or
// nothing: see stream.Transactor. Its producer says who it is with every call, and is refused as Fenced once somebody else has begun under its name.

// ProducerEpoch is a producer's number and epoch.
type ProducerEpoch = stream.ProducerEpoch

// Phases of a transaction.
const (
	TransactionIdle      = stream.PhaseIdle
	TransactionOpen      = stream.PhaseOpen
	TransactionCommitted = stream.PhaseCommitted
	TransactionAborted   = stream.PhaseAborted
)

// TransactionTimeout is how long a transaction may take unless its producer says, and TransactionTimeoutMax the most that it may say.
const (
	TransactionTimeout    = stream.TransactionTimeoutMS * time.Millisecond
	TransactionTimeoutMax = stream.TransactionTimeoutMaxMS * time.Millisecond
)

// transactor is how a producer of a caller's namespace is named, if the caller may have one.
func (b *Broker) transactor(c *Caller, op, name string) (stream.TransactorName, error) {
	if err := b.allow(c, op, ActionWrite, KindProducer, name); err != nil {
		return stream.TransactorName{}, err
	}
	return stream.TransactorName{Namespace: c.namespace(), Name: name}, nil
}

// InitTransactor makes a named producer, or takes its name over: what was open under it is aborted, and whoever had it is fenced. expect is what a
// producer says that it is, which wants another epoch after an error; nil: it begins.
func (b *Broker) InitTransactor(ctx context.Context, c *Caller, name string, timeout time.Duration, expect *ProducerEpoch) (ProducerEpoch, error) {
	t, err := b.transactor(c, "init producer", name)
	if err != nil {
		return ProducerEpoch{}, err
	}
	x := &shard.InitTransactor{Name: t, TimeoutMS: timeout.Milliseconds(), Expect: expect}
	err = b.do(ctx, c, c.namespace(), x)
	return x.Now, err
}

// EnlistPartitions announces partitions that a transaction will append to, and begins it. It takes the right to write all their streams.
func (b *Broker) EnlistPartitions(ctx context.Context, c *Caller, name string, id ProducerEpoch, parts []StreamPartition) error {
	t, err := b.transactor(c, "enlist", name)
	if err != nil {
		return err
	}
	x := &shard.Enlist{Name: t, ID: id}
	for _, p := range parts {
		if err := b.allow(c, "enlist", ActionWrite, KindStream, p.Stream); err != nil {
			return err
		}
		n, err := b.find(c, "enlist", p.Stream)
		if err != nil {
			return err
		}
		x.Places = append(x.Places, stream.Place{Stream: n.id, Partition: p.Partition})
	}
	return b.do(ctx, c, c.namespace(), x)
}

// EnlistSubscription announces that positions of a cursor will be committed with a transaction, and begins it. It takes the right to read the subscription.
func (b *Broker) EnlistSubscription(ctx context.Context, c *Caller, name string, id ProducerEpoch, sub string) error {
	t, err := b.transactor(c, "enlist", name)
	if err != nil {
		return err
	}
	s, err := b.findCursor(c, "enlist", ActionRead, sub)
	if err != nil {
		return err
	}
	return b.do(ctx, c, c.namespace(), &shard.Enlist{Name: t, ID: id, Cursors: []subscription.ID{s.id}})
}

// DeferPositions has positions of a cursor move when the transaction is committed, in its frame: until then they are as they were. Unless it is
// implicit, the subscription was announced. An offset below 0 has the position kept no more then.
func (b *Broker) DeferPositions(ctx context.Context, c *Caller, name string, id ProducerEpoch, sub string, ps []PositionCommit, implicit bool) error {
	t, err := b.transactor(c, "commit", name)
	if err != nil {
		return err
	}
	s, moves, err := b.moves(c, sub, ps)
	if err != nil {
		return err
	}
	b.sawCommit(c, s, ps)
	return b.do(ctx, c, c.namespace(), &shard.Defer{Name: t, ID: id, Sub: s.id, Moves: moves, Implicit: implicit})
}

// EndTransaction commits or aborts, in one frame: once it returns, all of it survives a crash, and all readers see all of it or nothing. bump: the
// producer goes on with the epoch that is returned, and whatever of this transaction comes late is refused.
func (b *Broker) EndTransaction(ctx context.Context, c *Caller, name string, id ProducerEpoch, commit, bump bool) (ProducerEpoch, error) {
	t, err := b.transactor(c, "end transaction", name)
	if err != nil {
		return ProducerEpoch{}, err
	}
	x := &shard.EndTransaction{Name: t, ID: id, Commit: commit, Bump: bump}
	err = b.do(ctx, c, c.namespace(), x)
	return x.Now, err
}

// AbortTransaction aborts what a producer has open in a partition, for an operator: the producer is fenced. It takes the right to alter the stream,
// and reports whether there was such a transaction.
func (b *Broker) AbortTransaction(ctx context.Context, c *Caller, at StreamPartition, id ProducerEpoch) (bool, error) {
	if err := b.allow(c, "abort transaction", ActionAlter, KindStream, at.Stream); err != nil {
		return false, err
	}
	n, err := b.find(c, "abort transaction", at.Stream)
	if err != nil {
		return false, err
	}
	x := &shard.AbortTransaction{At: stream.Place{Stream: n.id, Partition: at.Partition}, ID: id}
	err = b.do(ctx, c, n.namespace, x)
	return x.Aborted, err
}

// TransactorInfo is how a named producer stands.
type TransactorInfo struct {
	Name    string
	ID      ProducerEpoch
	Phase   stream.Phase
	Timeout time.Duration
	Begun   time.Time // of the open transaction; zero: none is
	Changed time.Time
	Parts   []StreamPartition // of the open transaction
}

// TransactorsMost is how many named producers one call describes.
const TransactorsMost = stream.TransactorsMax

// Transactors describes named producers of the caller's namespace, by name: some, or all where none is named. Those that are not there, or not for the
// caller to know, are left out, and so are partitions of streams that the caller may not describe.
func (b *Broker) Transactors(ctx context.Context, c *Caller, names []string) ([]TransactorInfo, error) {
	x := &shard.ExamineTransactors{Namespace: c.namespace(), Names: names, Most: TransactorsMost}
	if err := b.do(ctx, c, c.namespace(), x); err != nil {
		return nil, err
	}
	sh := b.shardOf(c.namespace())
	out := make([]TransactorInfo, 0, len(x.Found))
	for i := range x.Found {
		t := &x.Found[i]
		if !b.Allowed(c, ActionDescribe, KindProducer, t.Name.Name) {
			continue
		}
		v := TransactorInfo{
			Name: t.Name.Name, ID: ProducerEpoch{ID: t.Producer, Epoch: t.Epoch}, Phase: t.Phase,
			Timeout: time.Duration(t.TimeoutMS) * time.Millisecond, Changed: time.UnixMilli(t.ChangedMS),
		}
		if t.Phase == stream.PhaseOpen {
			v.Begun = time.UnixMilli(t.BegunMS)
		}
		for _, e := range t.Places {
			if n := b.names.of(sh, e.Stream); n != nil && b.Allowed(c, ActionDescribe, KindStream, n.name) {
				v.Parts = append(v.Parts, StreamPartition{Stream: n.name, Partition: e.Partition})
			}
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(x, y TransactorInfo) int { return cmp.Compare(x.Name, y.Name) })
	return out, nil
}

// ProducerInfo is what a partition knows of a numbered producer.
type ProducerInfo = shard.ProducerState

// PartitionProducers are the numbered producers that a partition knows, by number. It takes the right to read the stream.
func (b *Broker) PartitionProducers(ctx context.Context, c *Caller, at StreamPartition) ([]ProducerInfo, error) {
	if err := b.allow(c, "describe", ActionRead, KindStream, at.Stream); err != nil {
		return nil, err
	}
	n, err := b.find(c, "describe", at.Stream)
	if err != nil {
		return nil, err
	}
	x := &shard.ExamineProducers{At: stream.Place{Stream: n.id, Partition: at.Partition}}
	if err := b.do(ctx, c, n.namespace, x); err != nil {
		return nil, err
	}
	slices.SortFunc(x.Found, func(x, y ProducerInfo) int { return cmp.Compare(x.ID, y.ID) })
	return x.Found, nil
}

// PendingPositions are the partitions of which positions of a cursor wait for the end of a transaction: who goes on from what is kept would read again
// what that has read.
func (b *Broker) PendingPositions(ctx context.Context, c *Caller, name string) ([]StreamPartition, error) {
	s, err := b.findCursor(c, "describe", ActionDescribe, name)
	if err != nil {
		return nil, err
	}
	x := &shard.PendingPositions{Sub: s.id}
	if err := b.do(ctx, c, s.namespace, x); err != nil {
		return nil, err
	}
	var out []StreamPartition
	for _, p := range x.Places {
		if n := b.names.of(s.shard, p.Stream); n != nil {
			out = append(out, StreamPartition{Stream: n.name, Partition: p.Partition})
		}
	}
	return out, nil
}

// moves turns positions of a cursor into what a shard takes.
func (b *Broker) moves(c *Caller, name string, ps []PositionCommit) (*subscribed, []subscription.Move, error) {
	x, err := b.findCursor(c, "commit", ActionRead, name)
	if err != nil {
		return nil, nil, err
	}
	if len(ps) > PositionsMax {
		return nil, nil, fault.New(fault.TooLarge, "commit", name, "%d positions at once; the limit is %d", len(ps), PositionsMax)
	}
	moves := make([]subscription.Move, len(ps))
	for i := range ps {
		p := &ps[i]
		if len(x.doc.Streams) > 0 && !slices.Contains(x.doc.Streams, p.Stream) {
			return nil, nil, fault.New(fault.Invalid, "commit", p.Stream, "the subscription does not read stream %q", p.Stream)
		}
		if i == 0 || ps[i-1].Stream != p.Stream {
			if err := b.allow(c, "commit", ActionRead, KindStream, p.Stream); err != nil {
				return nil, nil, err
			}
		}
		n, err := b.find(c, "commit", p.Stream)
		if err != nil {
			return nil, nil, err
		}
		if n.shard != x.shard || p.Partition < 0 || int32(p.Partition) >= n.config.Partitions {
			return nil, nil, fault.New(fault.NotFound, "commit", p.Stream, "stream %q has no partition %d", p.Stream, p.Partition).Because(fault.ReasonPartition)
		}
		moves[i] = move(n.id, p)
	}
	return x, moves, nil
}

func move(id record.StreamID, p *PositionCommit) subscription.Move {
	return subscription.Move{Place: subscription.Place{Stream: id, Partition: p.Partition}, To: p.Offset, Epoch: max(p.LeaderEpoch, -1) + 1, Metadata: []byte(p.Metadata)}
}
