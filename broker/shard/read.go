package shard

import (
	"errors"
	"fmt"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/state"
)

// Source is one partition as a reader addresses it.
type Source struct {
	Stream    record.StreamID
	Partition record.PartitionID
	Part      *Part
}

// Source returns a partition to read from, false when there is none.
func (p *Published) Source(id record.StreamID, n record.PartitionID) (Source, bool) {
	part := p.Part(id, n)
	return Source{id, n, part}, part != nil
}

// Read appends to dst the batches of a partition from the one that holds from on, as long as they are of frames up to upTo and, but for
// the first one, fit into maxBytes. It takes them from the hot tail, else from the journal. Nothing is appended when from is the end.
func (p *Published) Read(dst []*Batch, src Source, from record.Offset, maxBytes int, upTo uint64) ([]*Batch, error) {
	start, end := src.Part.Ends()
	if from < start || from > end {
		return dst, outside(from, start, end)
	}
	if got, hot := src.Part.hot(dst, from, maxBytes, upTo); hot {
		return got, nil
	}
	got, err := p.readCold(dst, src, from, end, maxBytes, upTo)
	if err != nil || len(got) > len(dst) || from >= end {
		return got, err
	}
	// Rows are written before ends move, so a run must be there, unless it was trimmed just now.
	if start, end = src.Part.Ends(); from < start {
		return dst, outside(from, start, end)
	}
	if upTo != AllSeqs {
		return got, nil
	}
	if p.Part(src.Stream, src.Partition) != src.Part {
		return dst, fault.New(fault.NotFound, "read", "", "the stream was deleted")
	}
	return dst, fault.New(fault.Corrupt, "read", "", "offset %d is between %d and %d but no stored batch holds it", from, start, end)
}

// AllSeqs as upTo reads whatever is visible.
const AllSeqs = ^uint64(0)

func outside(from, start, end record.Offset) error {
	if from < start {
		return fault.New(fault.Trimmed, "read", "", "offset %d is gone; the earliest is %d", from, start).Because(fault.ReasonOffset).With(start)
	}
	return fault.New(fault.Invalid, "read", "", "offset %d is past the end, which is %d", from, end).Because(fault.ReasonOffset).With(end)
}

// readCold walks the runs from the one that holds from.
func (p *Published) readCold(dst []*Batch, src Source, from, end record.Offset, maxBytes int, upTo uint64) ([]*Batch, error) {
	lo := stream.PartitionKey(state.PrefixRun, src.Stream, src.Partition)
	it, err := p.store.Iter(lo, state.After(lo))
	if err != nil {
		return dst, err
	}
	defer it.Close()
	size := 0
	for ok := it.SeekLT(stream.RunKey(src.Stream, src.Partition, from+1)); ok; ok = it.Next() {
		run, err := stream.ReadRun(it.Key(), it.Value())
		if err != nil {
			return dst, corrupt(err)
		}
		if run.Base >= end || run.Seq > upTo {
			break
		}
		if size > 0 && size >= maxBytes {
			break
		}
		n := len(dst)
		if dst, err = p.readRun(dst, &run, from, maxBytes-size); err != nil {
			return dst[:n], err
		}
		for _, b := range dst[n:] {
			size += len(b.Raw)
		}
		if n == len(dst) || dst[len(dst)-1].Next < run.Next {
			break // the rest of the run did not fit
		}
	}
	return dst, it.Err()
}

// readRun reads one run and checks every batch of it: nothing that was altered is handed out.
func (p *Published) readRun(dst []*Batch, run *stream.Run, from record.Offset, room int) ([]*Batch, error) {
	if run.Bytes <= 0 || run.Bytes > runReadMax {
		return dst, corrupt(fmt.Errorf("run of %d bytes", run.Bytes))
	}
	buf := make([]byte, run.Bytes)
	j := *p.journal.Load()
	if err := j.ReadAt(journal.Place(run.Place), run.Off, buf); err != nil {
		if errors.Is(err, journal.ErrClosed) {
			return dst, fault.New(fault.Unavailable, "read", "", "the shard is being recovered or stopped").From(err)
		}
		if errors.Is(err, journal.ErrTrimmed) {
			return dst, fault.New(fault.Trimmed, "read", "", "offset %d has been let go of", from).Because(fault.ReasonOffset).From(err)
		}
		return dst, corrupt(err)
	}
	base, first, size := run.Base, len(dst), 0
	for i := uint32(0); len(buf) > 0; i++ {
		h, err := record.ParseBatchHeader(buf)
		if err == nil {
			_, err = record.CheckStored(buf[:h.Bytes], base, stream.LeaderEpoch)
		}
		if err != nil {
			return dst[:first], corrupt(err)
		}
		next := h.LastOffset() + 1
		if next > from {
			if size > 0 && size+h.Bytes > room {
				return dst, nil
			}
			size += h.Bytes
			dst = append(dst, &Batch{Raw: buf[:h.Bytes:h.Bytes], Base: base, Next: next, Seq: run.Seq, Ordinal: run.Batch + i, TimeMS: run.TimeMS})
		}
		base, buf = next, buf[h.Bytes:]
	}
	if base != run.Next {
		return dst[:first], corrupt(fmt.Errorf("run ends at offset %d, expected %d", base, run.Next))
	}
	return dst, nil
}

// runReadMax is above any batch that could have been appended.
const runReadMax = 1 << 30

func corrupt(err error) error {
	return fault.New(fault.Corrupt, "read", "", "stored data is damaged; run `leat journal check`").From(err)
}

// Seek finds, by halving, the first run for which past is true; past must be false up to some run and true after it. It returns false
// when there is none. Runs are asked for by offset, so this costs about as many look-ups as the partition's size in records has bits.
func (p *Published) Seek(src Source, past func(*stream.Run) bool) (stream.Run, bool, error) {
	lo := stream.PartitionKey(state.PrefixRun, src.Stream, src.Partition)
	it, err := p.store.Iter(lo, state.After(lo))
	if err != nil {
		return stream.Run{}, false, err
	}
	defer it.Close()
	left, right := src.Part.Ends()
	var found stream.Run
	ok := false
	for left < right {
		mid := left + (right-left)/2
		if !it.SeekLT(stream.RunKey(src.Stream, src.Partition, mid+1)) {
			left = mid + 1 // nothing holds mid: it was trimmed
			continue
		}
		run, err := stream.ReadRun(it.Key(), it.Value())
		if err != nil {
			return stream.Run{}, false, corrupt(err)
		}
		if past(&run) {
			found, ok, right = run, true, run.Base
		} else {
			left = max(mid+1, run.Next)
		}
	}
	return found, ok, it.Err()
}

// Origin returns who appended the batch that holds an offset.
func (p *Published) Origin(src Source, offset record.Offset) (stream.Origin, bool, error) {
	run, ok, err := p.Seek(src, func(r *stream.Run) bool { return r.Next > offset })
	if err != nil || !ok || run.Base > offset {
		return stream.Origin{}, false, err
	}
	o, ok, err := stream.LoadOrigin(p.store, run.Origin)
	return o, ok, err
}
