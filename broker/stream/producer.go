package stream

import (
	"math"

	"leat/broker/fault"
	"leat/broker/record"
)

// judgeProducer applies the rules of idempotent producing (KIP-98, and what Apache Kafka's brokers do where the KIP is silent): within an
// epoch the next first sequence is the last one plus one, wrapping from 2147483647 to 0; a batch among the last five is a duplicate and
// is answered with its first offset; a new epoch starts at 0; a lower epoch is fenced; a producer nobody remembers may start anywhere.
func (p *Partition) judgeProducer(h *record.BatchHeader, nowMS int64, o *Outcome) {
	pr := p.Producers[h.ProducerID]
	if pr == nil || nowMS-pr.LastMS > ProducerIdleMS {
		return
	}
	switch {
	case h.ProducerEpoch < pr.Epoch:
		o.Err = fault.New(fault.Fenced, "append", "", "producer %d has epoch %d, this batch has %d: a newer instance has taken over",
			h.ProducerID, pr.Epoch, h.ProducerEpoch).Because(fault.ReasonProducerEpoch)
	case h.ProducerEpoch > pr.Epoch:
		if h.BaseSequence != 0 {
			o.Err = fault.New(fault.Conflict, "append", "", "producer %d starts epoch %d with sequence %d instead of 0",
				h.ProducerID, h.ProducerEpoch, h.BaseSequence).Because(fault.ReasonSequence)
		}
	default:
		for i := range pr.Count {
			if s := pr.Recent[i]; s.First == h.BaseSequence && s.Last == h.LastSequence() {
				o.Base, o.Duplicate = s.Base, true
				return
			}
		}
		want := int32(0) // behind a marker that began an epoch
		if pr.Count > 0 {
			want = nextSequence(pr.Recent[pr.Count-1].Last)
		}
		if h.BaseSequence != want {
			o.Err = fault.New(fault.Conflict, "append", "", "producer %d sent sequence %d, expected %d",
				h.ProducerID, h.BaseSequence, want).Because(fault.ReasonSequence)
		}
	}
}

func nextSequence(last int32) int32 {
	if last == math.MaxInt32 {
		return 0
	}
	return last + 1
}

// remember notes a batch of a producer.
func (p *Partition) remember(a *Appended, nowMS int64) *Producer {
	pr := p.Producers[a.Producer]
	if pr == nil || pr.Epoch != a.Epoch || nowMS-pr.LastMS > ProducerIdleMS {
		if p.Producers == nil {
			p.Producers = map[int64]*Producer{}
		}
		pr = &Producer{Epoch: a.Epoch}
		p.Producers[a.Producer] = pr
	}
	pr.LastMS = nowMS
	if pr.Count == ProducerBatchesKept {
		copy(pr.Recent[:], pr.Recent[1:])
		pr.Count--
	}
	last := int32((int64(a.First) + int64(a.Count) - 1) % (math.MaxInt32 + 1))
	pr.Recent[pr.Count] = Sent{a.First, last, a.Base}
	pr.Count++
	return pr
}

// crowded returns the producer to forget when there are too many, or -1. Ties go to the lower id, so that every fold agrees.
func (p *Partition) crowded() int64 {
	if len(p.Producers) <= ProducersPerPartition {
		return -1
	}
	oldest, at := int64(-1), int64(math.MaxInt64)
	for id, pr := range p.Producers {
		if pr.LastMS < at || pr.LastMS == at && id < oldest {
			oldest, at = id, pr.LastMS
		}
	}
	return oldest
}
