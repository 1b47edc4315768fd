package sim

import (
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// trims are what is known of where a partition begins.
type trims struct {
	start record.Offset          // the greatest that anybody saw or was answered
	asked map[record.Offset]bool // beginnings that somebody asked for, answered or not
}

func (w *World) trimsOf(at lane) *trims {
	t := w.trims[at]
	if t == nil {
		t = &trims{asked: map[record.Offset]bool{}}
		w.trims[at] = t
	}
	return t
}

// asked notes the cuts of an op that is sent.
func (w *World) asked(o *op) {
	for _, c := range o.cuts {
		w.trimsOf(lane{o.trim.id, c.Partition}).asked[c.Before] = true
	}
}

// trimmed notes that an op's cuts were answered with success.
func (w *World) trimmed(o *op) {
	for _, c := range o.cuts {
		t := w.trimsOf(lane{o.trim.id, c.Partition})
		t.start = max(t.start, c.Before)
	}
	w.kept.trims++
}

// checkStart: a partition begins where somebody asked for it, and never earlier than somebody saw it begin.
func (w *World) checkStart(at lane, start record.Offset) {
	t := w.trimsOf(at)
	if start < t.start || start > t.start && !t.asked[start] {
		w.failf("%v begins at %d; it began at %d, and asked for was %v", at, start, t.start, t.asked)
	}
	t.start = start
}

// cutsOf chooses where some partitions of a stream are to begin.
func (w *World) cutsOf(s *simStream) []stream.Cut {
	var cuts []stream.Cut
	pub := w.node.Published()
	for n := range s.partitions {
		src, ok := pub.Source(s.id, record.PartitionID(n))
		if !ok || w.rng.IntN(2) == 0 {
			continue
		}
		start, end := src.Part.Ends()
		before := start + record.Offset(w.rng.IntN(int(end-start)+1))
		if w.rng.IntN(4) == 0 {
			before = end
		}
		if before == start {
			continue
		}
		b, err := pub.Read(nil, src, before-1, 1, shard.AllSeqs)
		if err != nil || len(b) == 0 {
			continue // the disk fails just now
		}
		gone := stream.Point{Seq: b[0].Seq, Batch: b[0].Ordinal, Record: uint32(before - 1 - b[0].Base)}
		cuts = append(cuts, stream.Cut{Partition: src.Partition, Before: before, Gone: gone, Why: stream.WhyRequest})
	}
	return cuts
}

// trashed is a stream that was deleted and can be restored.
func (w *World) trashed() *simStream {
	for id := uint32(1); w.names[id] != nil; id++ {
		if s := w.names[id]; s.trashed && !s.removing {
			return s
		}
	}
	return nil
}
