package stream

import (
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// Cut asks for the records of a partition before an offset to go.
type Cut struct {
	Partition record.PartitionID
	Before    record.Offset
	Gone      Point // of the last record before it
	Why       Why
}

// Trim judges cuts of one stream and records those that move a start: all of them, or none when one is wrong. A cut at or before a
// partition's start is none: starts only grow. o is who asked, nil for nobody.
func (h *Head) Trim(id record.StreamID, cuts []Cut, o *Origin, f *fact.Frame) *fault.Error {
	if err := h.Needs(fact.Format2, "truncate"); err != nil {
		return err
	}
	st := h.Streams[id]
	if st == nil {
		return fault.New(fault.NotFound, "truncate", "", "the stream was deleted")
	}
	for _, c := range cuts {
		switch p := h.Partition(id, c.Partition); {
		case p == nil:
			return fault.New(fault.NotFound, "truncate", "partition", "there is no partition %d; the stream has %d", c.Partition, len(st.Partitions)).Because(fault.ReasonPartition)
		case c.Before < 0 || c.Before > p.Next:
			return fault.New(fault.Invalid, "truncate", "before", "offset %d is outside partition %d, which ends at %d", c.Before, c.Partition, p.Next).
				Because(fault.ReasonOffset).With(p.Next)
		}
	}
	for _, c := range cuts {
		if c.Before <= h.Partition(id, c.Partition).Start {
			continue
		}
		t := Trimmed{Stream: id, Partition: c.Partition, Start: c.Before, Gone: c.Gone, Why: c.Why}
		if o != nil {
			t.Origin = h.origin(*o, f)
		}
		f.Add(fact.Trimmed, 1, t.append)
		h.evolveTrimmed(&t)
	}
	return nil
}

// Needs refuses what a data directory of an older format cannot hold.
func (h *Head) Needs(format int, op string) *fault.Error {
	if h.Format >= format {
		return nil
	}
	return fault.New(fault.Unsupported, op, "", "the data directory has format %d and this needs %d; run `leat upgrade --finalize`", h.Format, format)
}
