package kafka

import (
	"context"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/kafka/wire"
)

// Dead letters of a group: a consumer that gives a record up sends a record with the header leat-dead-letter (topic/partition/offset), and leat-reason, to
// the topic GROUP.dead-letters, and goes on. What it sends is not stored: a copy of the record that it names is, with the reason, among the dead letters of
// the group, and the answer has the offset of the first copy.
//
// Records of the topic without the header are records like any other, also of other partitions in the same request. Sequences are not counted
// here: what is sent again names the same record, which is copied once.

// letters is a batch of such records on its way.
type letters struct {
	part int // of the request
	done chan struct{}

	results []broker.EventResult
	err     error
}

// letters begins to bury what a batch names; nil: it is a batch like any other.
func (k *conn) letters(ctx context.Context, s *slot, topic string, part int, batch []byte, transactional bool) *letters {
	group, ok := strings.CutSuffix(topic, broker.DeadLettersSuffix)
	if !ok || group == "" {
		return nil
	}
	up, some, err := givenUp(batch)
	if !some {
		return nil
	}
	if err == nil && transactional {
		err = fault.New(fault.Invalid, "give up", topic, "records cannot be given up in a transaction")
	}
	l := &letters{part: part, done: make(chan struct{}), err: err}
	if err != nil {
		close(l.done)
		return l
	}
	caller := s.caller // the slot may be gone before it is done
	go func() {
		defer close(l.done)
		l.results, l.err = k.g.b.GiveUp(ctx, caller, group, up)
	}()
	return l
}

// givenUp reads what the records of a batch name. some: one of them names something.
func givenUp(batch []byte) (up []broker.GivenUp, some bool, err error) {
	if _, err := record.CheckBatch(batch); err != nil {
		return nil, false, err // whoever appends it says so
	}
	plain := false
	err = record.EachRecord(batch, record.DefaultInflateLimits(), func(i int, r *record.Record) error {
		name, ok := r.Header(broker.HeaderDeadLetter)
		if !ok {
			plain = true
			return nil
		}
		some = true
		if len(up) == broker.LettersMax {
			return fault.New(fault.TooLarge, "give up", "", "%d records can be given up with a batch", broker.LettersMax)
		}
		ref, err := record.ParseRef(string(name))
		if err != nil {
			return fault.New(fault.Invalid, "give up", broker.HeaderDeadLetter, "record %d names %q; it is topic/partition/offset", i, clip(string(name)))
		}
		reason, _ := r.Header(broker.HeaderReason)
		up = append(up, broker.GivenUp{Ref: ref, Reason: string(reason)})
		return nil
	})
	if err == nil && some && plain {
		err = fault.New(fault.Invalid, "give up", "", "records that name others and such that do not are sent in different batches")
	}
	return up, some, err
}

// result waits, and is the answer.
func (l *letters) result(ctx context.Context, partition int32) wire.ProduceResult {
	select {
	case <-l.done:
	case <-ctx.Done():
		return refusedPart(partition, codeNotEnoughAfterAppend, "the node is stopping")
	}
	if l.err != nil {
		f := fault.As(l.err)
		refused := code(f, placeAppend)
		if f.Kind == fault.NotFound || f.Kind == fault.Trimmed || f.Kind == fault.Invalid || f.Kind == fault.Unsupported { // clients would try again for long
			refused = codeInvalidRecord
		}
		return refusedPart(partition, refused, f.Text)
	}
	return wire.ProduceResult{Partition: partition, Base: int64(l.results[0].Ref.Offset), AppendTime: -1, Start: -1}
}

// answerLetters adds the results of letters that come next in the request.
func (k *conn) answerLetters(ctx context.Context, s *slot) {
	for len(s.letters) > 0 && s.letters[0].part == len(s.results) {
		s.results = append(s.results, s.letters[0].result(ctx, s.produce.Parts[len(s.results)].Partition))
		s.letters = s.letters[1:]
	}
}
