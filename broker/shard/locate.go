package shard

import (
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/segment"
	"leat/storage/state"
)

// locator walks the runs of one partition, oldest first: those in segment files, then those that are still in the journal, which the run
// rows of state find. It sees both as they were when it was opened.
//
// The rows are looked at first and the files afterwards. What moves from the journal to files meanwhile is then seen in both, never in
// neither; a row below the end of the files is passed over.
//
//	rows  ------------[ 40 .. 70 )        as of opening
//	files [ 0 .. 50 )                     as of a moment later: 40 .. 50 has moved
//	seen  [ 0 .. 50 )[ 50 .. 70 )
type locator struct {
	src  Source
	rows state.Iterator
	cold *segment.Cursor
	end  record.Offset // of what is in files
	low  []byte        // start of the partition's rows

	held   bool // the reader was told of places in files, which have to stay
	inFile bool
	run    stream.Run
	err    error
}

func (p *Published) locate(src Source) (*locator, error) {
	l := &locator{src: src, low: stream.PartitionKey(state.PrefixRun, src.Stream, src.Partition)}
	var err error
	if l.rows, err = p.store.Iter(l.low, state.After(l.low)); err != nil {
		return nil, err
	}
	l.cold = p.segments.Cursor(uint32(src.Stream), uint32(src.Partition))
	l.end = record.Offset(l.cold.End())
	return l, nil
}

// locateOne is locate for whoever looks at one offset: where that is in a file, the rows are not needed.
func (p *Published) locateOne(src Source, offset record.Offset) (*locator, error) {
	if end, ok := p.segments.End(uint32(src.Stream), uint32(src.Partition)); !ok || offset >= record.Offset(end) {
		return p.locate(src)
	}
	l := &locator{src: src, cold: p.segments.Cursor(uint32(src.Stream), uint32(src.Partition))}
	l.end = record.Offset(l.cold.End())
	return l, nil
}

func (l *locator) close() {
	if l.rows != nil {
		l.rows.Close()
	}
	l.cold.Close()
}

// seek goes to the run that holds an offset, or else to the first one after it.
func (l *locator) seek(from record.Offset) bool {
	if from < l.end {
		if l.cold.Seek(uint64(from)) {
			return l.atFile()
		}
		if l.err = l.cold.Err(); l.err != nil {
			return false
		}
		from = l.end
	}
	if l.rows == nil {
		return false
	}
	// The row that starts at or before it may hold it; where a hole lies, the next one is after it.
	if l.rows.SeekLT(stream.RunKey(l.src.Stream, l.src.Partition, from+1)) {
		if !l.atRow() {
			return false
		}
		if l.run.Next > from {
			return true
		}
		return l.rows.Next() && l.atRow() && l.whole(from)
	}
	if l.err = l.rows.Err(); l.err != nil {
		return false
	}
	return l.rows.SeekGE(stream.RunKey(l.src.Stream, l.src.Partition, from)) && l.atRow() && l.whole(from)
}

// whole says that nothing which may be in a lost file is passed over from an offset to the row that l stands on.
func (l *locator) whole(from record.Offset) bool {
	if l.run.Base > from {
		l.err = l.cold.Lost(uint64(from), uint64(l.run.Base))
	}
	return l.err == nil
}

// next goes on to the following run.
func (l *locator) next() bool {
	if l.inFile {
		if l.cold.Next() {
			return l.atFile()
		}
		if l.err = l.cold.Err(); l.err != nil {
			return false
		}
		return l.seek(l.end)
	}
	if l.rows.Next() {
		return l.atRow()
	}
	l.err = l.rows.Err()
	return false
}

func (l *locator) atFile() bool {
	l.inFile, l.run = true, fileRun(l.cold.Run())
	return true
}

func fileRun(r *segment.Run) stream.Run {
	return stream.Run{
		Base: record.Offset(r.Base), Next: record.Offset(r.Next), Seq: r.Seq, Batch: r.Batch, Bytes: r.Bytes, TimeMS: r.TimeMS, MaxTimeMS: r.MaxTimeMS,
		Origin: r.Origin,
	}
}

func (l *locator) atRow() bool {
	l.inFile = false
	if l.run, l.err = stream.ReadRun(l.rows.Key(), l.rows.Value()); l.err != nil {
		return false
	}
	return true
}

// search goes to the first run for which past is true; past must be false up to some run and true after it, and look at Base, Seq, Batch, TimeMS and
// MaxTimeMS only. Runs in the journal are found by halving offsets, so this costs about as many look-ups as their number of records has bits.
func (l *locator) search(start, end record.Offset, past func(*stream.Run) bool) bool {
	if start < l.end {
		if l.cold.Search(func(r *segment.Run) bool { run := fileRun(r); return past(&run) }) {
			if l.atFile(); l.run.Next <= start {
				return l.seek(start) // what was found has been trimmed, and what follows is past too
			}
			return true
		}
		if l.err = l.cold.Err(); l.err != nil {
			return false
		}
	}
	left, right := max(start, l.end), end
	for left < right {
		mid := left + (right-left)/2
		if !l.seek(mid) {
			if l.err != nil {
				return false
			}
			right = mid
			continue
		}
		if past(&l.run) {
			right = min(l.run.Base, mid)
		} else {
			left = max(mid+1, l.run.Next)
		}
	}
	return left < end && l.seek(left) && past(&l.run)
}
