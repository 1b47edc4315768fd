package kafka

import (
	"context"
	"fmt"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/kafka/wire"
)

// Produce(0), versions 3-13; 0-2 are advertised, because clients read abilities off the low end, and refused.
//
// Refused: acks other than -1, 0, 1; records of format 0 and 1. acks 1 and -1 are the same: the records are on disk.
// acks 0 is answered with nothing; when it fails the connection is closed, so that the client asks for metadata again.
// A stream that is not there is not made here: that is what the client's Metadata request is for.

// produceVersionAbortable is the first one that knows TRANSACTION_ABORTABLE.
const produceVersionAbortable = 11

// submit decodes a request and hands its batches to the broker, in the reader.
func (k *conn) submit(ctx context.Context, s *slot) error {
	p, work := &s.produce, k.startWork()
	if err := p.Decode(s.header.Version, s.body); err != nil {
		return fmt.Errorf("produce request version %d: %w", s.header.Version, err)
	}
	refuse := func(code int16, text string) error {
		for i := range p.Parts {
			s.results = append(s.results, refusedPart(p.Parts[i].Partition, code, text))
		}
		return nil
	}
	switch {
	case p.Version < wire.ProduceVersionServed:
		return refuse(codeUnsupportedVersion, "record formats before 2 (Kafka 0.11) are not accepted")
	case p.Acks < -1 || p.Acks > 1:
		return refuse(codeInvalidAcks, "acks must be -1, 0 or 1")
	case len(p.Parts) == 0:
		return nil
	}
	for _, t := range p.Topics {
		name := k.topicName(s.caller, &k.names, &t)
		for i := range p.Parts[t.First : t.First+t.Count] {
			part := &p.Parts[t.First+i]
			if l := k.letters(ctx, s, name, t.First+i, part.Records, p.Transactor != nil); l != nil {
				s.letters = append(s.letters, l)
				continue
			}
			s.entries = append(s.entries, broker.BatchEntry{Stream: name, UID: t.ID, Partition: partitionID(part.Partition), Batch: part.Records})
		}
	}
	a := broker.BatchAppend{Entries: s.entries, Reserved: s.begun, Lane: &k.lane}
	if p.Transactor != nil {
		a.Transactor, a.Implicit = string(p.Transactor), p.Version >= wire.ProduceVersionImplicit
		if err := k.mayTransact(s.caller, broker.ActionWrite, a.Transactor); err != nil {
			return refuse(codeTransactionalDenied, fault.As(err).Text)
		}
	}
	s.pending = k.g.b.SubmitBatches(ctx, s.caller, a)
	s.throttleMS = k.mute.keep(max(s.pending.Throttle(), work.spent(s.caller)))
	return nil
}

// answerProduce waits for the appends and answers, in the writer.
func (k *conn) answerProduce(ctx context.Context, s *slot) error {
	p := &s.produce
	throttleMS := s.throttleMS
	if s.pending != nil {
		for i, r := range s.pending.Wait(ctx) {
			k.answerLetters(ctx, s)
			s.results = append(s.results, produceResult(p.Parts[len(s.results)].Partition, &r))
			if last := &s.results[len(s.results)-1]; last.Code == codeInvalidTxnState && p.Version >= produceVersionAbortable {
				last.Code = codeTransactionAbortable
			}
			throttleMS = throttle(r.Err, throttleMS)
			if r.Err != nil {
				s.err = r.Err
				k.report(s.entries[i].Stream, p.Parts[len(s.results)-1].Partition, r.Err)
			}
		}
		k.answerLetters(ctx, s)
		if throttleMS > s.throttleMS {
			k.mute.keep(time.Duration(throttleMS) * time.Millisecond)
		}
	}
	if p.Acks == 0 {
		for _, r := range s.results {
			if r.Code != codeNone {
				return fmt.Errorf("an append with acks=0 failed, which only closing the connection can say: %s", r.Message)
			}
		}
		return nil
	}
	start := k.out.begin(s.header.Correlation, p.Flexible())
	k.out.buf = wire.AppendProduceResponse(k.out.buf, p.Version, p.Topics, s.results, throttleMS)
	k.out.end(start)
	return nil
}
