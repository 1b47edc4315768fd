package kafka

import (
	"cmp"
	"context"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
)

// DescribeTransactions(65), version 0: how transactional ids stand, with the partitions of what is open.
func (k *conn) describeTransactions(ctx context.Context, s *slot, q *kmsg.DescribeTransactionsRequest) (*kmsg.DescribeTransactionsResponse, error) {
	r := kmsg.NewPtrDescribeTransactionsResponse()
	var failed error
	for _, id := range q.TransactionalIDs {
		rt := kmsg.NewDescribeTransactionsResponseTransactionState()
		rt.TransactionalID, rt.ProducerID, rt.ProducerEpoch, rt.StartTimestamp = id, -1, -1, -1
		if err := k.mayTransact(s.caller, broker.ActionDescribe, id); err != nil {
			rt.ErrorCode, failed = codeTransactionalDenied, err
			r.TransactionStates = append(r.TransactionStates, rt)
			continue
		}
		found, err := k.g.b.Transactors(ctx, s.caller, []string{id})
		switch {
		case err != nil:
			rt.ErrorCode, failed = transactionCode(err, true), err
		case id == "":
			rt.ErrorCode = codeInvalidRequest
		case len(found) == 0:
			rt.ErrorCode = codeTransactionalIDNotFound
		default:
			describeTransactor(&rt, &found[0])
		}
		r.TransactionStates = append(r.TransactionStates, rt)
	}
	return r, failed
}

func describeTransactor(rt *kmsg.DescribeTransactionsResponseTransactionState, t *broker.TransactorInfo) {
	rt.ProducerID, rt.ProducerEpoch, rt.State = t.ID.ID, t.ID.Epoch, phaseNames[t.Phase]
	rt.TimeoutMillis = int32(t.Timeout.Milliseconds())
	if !t.Begun.IsZero() {
		rt.StartTimestamp = t.Begun.UnixMilli()
	}
	slices.SortFunc(t.Parts, func(x, y broker.StreamPartition) int {
		return cmp.Or(cmp.Compare(x.Stream, y.Stream), cmp.Compare(x.Partition, y.Partition))
	})
	for _, p := range t.Parts {
		n := len(rt.Topics)
		if n == 0 || rt.Topics[n-1].Topic != p.Stream {
			one := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			one.Topic = p.Stream
			rt.Topics, n = append(rt.Topics, one), n+1
		}
		rt.Topics[n-1].Partitions = append(rt.Topics[n-1].Partitions, int32(p.Partition))
	}
}

// ListTransactions(66), versions 0-2: transactional ids that the caller may describe, by state and producer id, by how long they have been open (1+), and by a pattern (2+).
func (k *conn) listTransactions(ctx context.Context, s *slot, q *kmsg.ListTransactionsRequest) (*kmsg.ListTransactionsResponse, error) {
	r := kmsg.NewPtrListTransactionsResponse()
	for _, f := range q.StateFilters {
		if !slices.Contains(knownStates, f) {
			r.UnknownStateFilters = append(r.UnknownStateFilters, f)
		}
	}
	var pattern *regexp.Regexp
	if q.Version >= 2 && textOf(q.TransactionalIDPattern) != "" {
		var err error
		if pattern, err = regexp.Compile("^(?:" + *q.TransactionalIDPattern + ")$"); err != nil {
			r.ErrorCode = int16(128) // INVALID_REGULAR_EXPRESSION
			return r, fault.New(fault.Invalid, "list transactions", "pattern", "the pattern is no regular expression").From(err)
		}
	}
	found, err := k.g.b.Transactors(ctx, s.caller, nil)
	if err != nil {
		r.ErrorCode = transactionCode(err, true)
		return r, err
	}
	now := clock.Now()
	for i := range found {
		t := &found[i]
		open := now.Sub(t.Begun)
		switch {
		case len(q.StateFilters) > 0 && !slices.Contains(q.StateFilters, phaseNames[t.Phase]),
			len(q.ProducerIDFilters) > 0 && !slices.Contains(q.ProducerIDFilters, t.ID.ID),
			q.Version >= 1 && q.DurationFilterMillis >= 0 && (t.Begun.IsZero() || open.Milliseconds() <= q.DurationFilterMillis),
			pattern != nil && !pattern.MatchString(t.Name):
			continue
		}
		rt := kmsg.NewListTransactionsResponseTransactionState()
		rt.TransactionalID, rt.ProducerID, rt.TransactionState = t.Name, t.ID.ID, phaseNames[t.Phase]
		r.TransactionStates = append(r.TransactionStates, rt)
	}
	return r, nil
}

// knownStates are those that clients may ask for; some of them never are.
var knownStates = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

// DescribeProducers(61), version 0: the numbered producers that partitions know, and where their open transactions begin.
func (k *conn) describeProducers(ctx context.Context, s *slot, q *kmsg.DescribeProducersRequest) (*kmsg.DescribeProducersResponse, error) {
	r := kmsg.NewPtrDescribeProducersResponse()
	var failed error
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition = p
			found, err := k.g.b.PartitionProducers(ctx, s.caller, broker.StreamPartition{Stream: t.Topic, Partition: record.PartitionID(p)})
			if err != nil {
				f := fault.As(err)
				rp.ErrorCode, rp.ErrorMessage, failed = code(f, placeAdmin), message(f), err
			}
			for _, x := range found {
				a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
				a.ProducerID, a.ProducerEpoch, a.LastSequence, a.LastTimestamp = x.ID, int32(x.Epoch), x.LastSequence, x.LastMS
				a.CoordinatorEpoch, a.CurrentTxnStartOffset = 0, int64(x.Open)
				rp.ActiveProducers = append(rp.ActiveProducers, a)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, failed
}
