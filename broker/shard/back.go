package shard

import "leat/broker/record"

// ReadBefore returns the last batch that begins before an offset, nil when there is none: before a hole that compaction left, the batch in front
// of it. The offset is after the start of the partition.
//
// Runs are found by an offset at or behind it, not the other way round. So it asks for what lies a step back, with steps that double while there is
// nothing but the hole, and goes forward from there: over at most as many batches as the step is long.
//
//	[ 0 .. 9 ]        hole         [ 40 .. 49 ]     before 40
//	       ^ 8 back               ^^ 1, 2, 4 back: all give [ 40 .. 49 ]
func (p *Published) ReadBefore(src Source, before record.Offset) (*Batch, error) {
	if src.Part.marked.Load() {
		before = min(before, src.Part.Stable())
	}
	return readBefore(p.Read, src, before)
}

// StoredBefore is ReadBefore for all that is stored: see ReadStored.
func (p *Published) StoredBefore(src Source, before record.Offset) (*Batch, error) {
	return readBefore(p.ReadStored, src, before)
}

type reading func(dst []*Batch, src Source, from record.Offset, maxBytes int, upTo uint64) ([]*Batch, error)

func readBefore(read reading, src Source, before record.Offset) (*Batch, error) {
	start, _ := src.Part.Ends()
	for step := record.Offset(1); ; step *= 2 {
		from := max(before-step, start)
		got, err := read(nil, src, from, 1, AllSeqs)
		if err != nil {
			return nil, err
		}
		if len(got) > 0 && got[0].Base < before {
			return lastBefore(read, src, got[0], before)
		}
		if from <= start {
			return nil, nil
		}
	}
}

// lastBefore goes on from a batch that begins before an offset to the last one that does.
func lastBefore(read reading, src Source, b *Batch, before record.Offset) (*Batch, error) {
	for b.Next < before {
		got, err := read(nil, src, b.Next, readBackBytes, AllSeqs)
		if err != nil {
			return nil, err
		}
		if len(got) == 0 || got[0].Base >= before {
			break
		}
		for _, x := range got {
			if x.Base < before {
				b = x
			}
		}
	}
	return b, nil
}

const readBackBytes = 256 << 10 // read at a time when looking for the batch before a hole
