package shard

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/segment"
)

// Source is one partition as a reader addresses it.
type Source struct {
	Stream    record.StreamID
	Partition record.PartitionID
	Part      *Part

	// Buffer gives memory of n bytes for what is read from files, instead of new memory, which the system clears and maps first. Whoever
	// gives it has it back when it is done with the batches.
	Buffer func(n int) []byte

	// Keep, where it is not nil, says that batches in files may be told by their place, as spans, instead of being read. It is given what ends the use of
	// them: whoever gives Keep calls it when it is done with the batches. While it is not called, files that are let go of stay on the disk.
	Keep func(release func())

	// SpanEnd, above 0, is where spans end at the latest: who takes only a part of what is read needs batches to cut between.
	SpanEnd record.Offset

	// Most, above 0, is what even the first batch may not exceed: then nothing is read, and that is no error.
	Most int
}

// fits says whether a run of which the first batch is wanted may be read. One that is longer than runs grow to is a single batch.
func (s *Source) fits(run *stream.Run) bool {
	return s.Most <= 0 || run.Bytes <= stream.RunBytesMax || run.Bytes <= int64(s.Most)
}

// within takes back what was read, from old on, where its first batch is too large.
func (s *Source) within(got []*Batch, old int) []*Batch {
	if s.Most > 0 && len(got) > old && got[old].Len() > s.Most {
		clear(got[old:])
		return got[:old]
	}
	return got
}

func (s *Source) buffer(n int) []byte {
	if s.Buffer != nil {
		return s.Buffer(n)
	}
	return make([]byte, n)
}

// Source returns a partition to read from, false when there is none.
func (p *Published) Source(id record.StreamID, n record.PartitionID) (Source, bool) {
	part := p.Part(id, n)
	return Source{Stream: id, Partition: n, Part: part}, part != nil
}

// ReadStored appends to dst the batches of a partition from the one that holds from on, as long as they are of frames up to upTo and, but for
// the first one, fit into maxBytes. It takes them from the hot tail, else from the journal. Nothing is appended when from is the end. What is of
// transactions that are open or were aborted is among them, and markers: see Read.
func (p *Published) ReadStored(dst []*Batch, src Source, from record.Offset, maxBytes int, upTo uint64) ([]*Batch, error) {
	start, end := src.Part.Ends()
	if from < start || from > end {
		return dst, outside(from, start, end)
	}
	if got, hot := src.Part.hot(dst, from, maxBytes, upTo); hot {
		return src.within(got, len(dst)), nil
	}
	got, err := p.readCold(dst, src, from, end, maxBytes, upTo)
	if errors.Is(err, errTooLarge) {
		return dst, nil
	}
	if err != nil || len(got) > len(dst) || from >= end {
		got, err = p.told(got, len(dst), src, from, err)
		return src.within(got, len(dst)), err
	}
	// Rows are written before ends move, and the last record of a partition is never compacted away, so a run must be there; unless it was
	// trimmed just now, or was the last one no longer and has gone since.
	was := end
	if start, end = src.Part.Ends(); from < start {
		return dst, outside(from, start, end)
	}
	if upTo != AllSeqs {
		return got, nil
	}
	if end > was {
		return p.ReadStored(dst, src, from, maxBytes, upTo)
	}
	if p.Part(src.Stream, src.Partition) != src.Part {
		return dst, gone()
	}
	return dst, fault.New(fault.Corrupt, "read", "", "offset %d is between %d and %d but no stored batch holds it", from, start, end)
}

// told cuts a reading before records that were trimmed, or went with their stream, while it was made, so that whoever reads on is told.
//
//	rows looked at ── trimmed up to 4 ── a window moves what is left: 4 .. 9 ── files looked at
//
// A reader that asked for 3 has found 4 then, and must not take it for what follows.
func (p *Published) told(got []*Batch, old int, src Source, from record.Offset, err error) ([]*Batch, error) {
	for i, b := range got[old:] {
		if b.Base > from {
			start, end := src.Part.Ends()
			deleted := p.Part(src.Stream, src.Partition) != src.Part
			switch {
			case from >= start && !deleted:
			case i > 0:
				return got[:old+i], err
			case deleted:
				return got[:old], gone()
			default:
				return got[:old], outside(from, start, end)
			}
		}
		from = b.Next
	}
	return got, err
}

func gone() error { return fault.New(fault.NotFound, "read", "", "the stream was deleted") }

// errTooLarge: the batch that is wanted is larger than its reader has room for.
var errTooLarge = errors.New("shard: no room for the first batch")

// AllSeqs as upTo reads whatever is visible.
const AllSeqs = ^uint64(0)

func outside(from, start, end record.Offset) error {
	if from < start {
		return fault.New(fault.Trimmed, "read", "", "offset %d is gone; the earliest is %d", from, start).Because(fault.ReasonOffset).With(start)
	}
	return fault.New(fault.Invalid, "read", "", "offset %d is past the end, which is %d", from, end).Because(fault.ReasonOffset).With(end)
}

// ReadOne calls fn with the batch that holds an offset, or a part of it; it is not called where none does, or readers are not to see it.
func (p *Published) ReadOne(src Source, offset record.Offset, fn func(*One) error) error {
	return p.readStoredOne(src, offset, func(one *One) error {
		if src.Part.marked.Load() {
			if hidden, err := p.hidesOne(src, one); err != nil || hidden {
				return err
			}
		}
		return fn(one)
	})
}

// ReadStoredOne is ReadOne of whatever is stored, also of a transaction that is open or was aborted.
func (p *Published) ReadStoredOne(src Source, offset record.Offset, fn func(*One) error) error {
	return p.readStoredOne(src, offset, fn)
}

func (p *Published) readStoredOne(src Source, offset record.Offset, fn func(*One) error) error {
	start, end := src.Part.Ends()
	if offset < start || offset >= end {
		return outside(offset, start, end)
	}
	var room [1]*Batch
	if got, hot := src.Part.hot(room[:0], offset, 1, AllSeqs); hot {
		if len(got) == 0 {
			return nil
		}
		return fn(&One{Batch: got[0], Lasting: true})
	}
	buf := p.takeBuffer()
	defer p.freeBuffer(buf)
	for range readMovedMax {
		one, err := p.readOneCold(src, offset, buf)
		switch {
		case errors.Is(err, journal.ErrTrimmed):
			continue // it has moved
		case err != nil || one == nil:
			return err
		}
		return fn(one)
	}
	return fault.New(fault.Trimmed, "read", "", "offset %d has been let go of", offset).Because(fault.ReasonOffset)
}

// oneBuffer is what a record is read into, with all of its run or a part of that.
type oneBuffer struct {
	small []byte
	large *[]byte // in one of the places for large runs; nil without one
}

var (
	oneBuffers   = sync.Pool{New: func() any { return new(oneBuffer) }}
	largeBuffers = sync.Pool{New: func() any { return new([]byte) }}
)

const (
	largeRunBytes  = 256 << 10 // of runs above, so many are in memory at once:
	largeRunsMax   = 8
	largeBufferMax = 8 << 20 // a larger buffer is left to the collector
)

func (p *Published) takeBuffer() *oneBuffer { return oneBuffers.Get().(*oneBuffer) }

// grow makes the buffer n bytes, whatever they are. It waits for a place where that is many.
func (p *Published) grow(buf *oneBuffer, n int) []byte {
	if n <= largeRunBytes {
		buf.small = slices.Grow(buf.small[:0], n)[:n]
		return buf.small
	}
	if buf.large == nil {
		p.largeRuns <- struct{}{}
		buf.large = largeBuffers.Get().(*[]byte)
	}
	*buf.large = slices.Grow((*buf.large)[:0], n)[:n]
	return *buf.large
}

func (p *Published) freeBuffer(buf *oneBuffer) {
	if large := buf.large; large != nil {
		buf.large = nil
		if cap(*large) <= largeBufferMax {
			largeBuffers.Put(large)
		}
		<-p.largeRuns
	}
	oneBuffers.Put(buf)
}

// readOneCold returns the batch that holds an offset, or a part of it, nil when none does. Its bytes are in buf.
func (p *Published) readOneCold(src Source, offset record.Offset, buf *oneBuffer) (*One, error) {
	l, err := p.locateOne(src, offset)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if !l.seek(offset) {
		if l.err != nil {
			return nil, damaged(l.err)
		}
		return nil, nil
	}
	run := &l.run
	if run.Base > offset {
		return nil, nil // a hole
	}
	if run.Bytes <= 0 || run.Bytes > runReadMax {
		return nil, corrupt(fmt.Errorf("run of %d bytes", run.Bytes))
	}
	if one := p.readMarked(l, offset, buf); one != nil {
		return one, nil
	}
	data := p.grow(buf, int(run.Bytes))
	if l.inFile {
		if data, err = l.cold.Read(data[:0]); err != nil {
			return nil, damaged(err)
		}
	} else if err := p.readJournal(run, 0, data); err != nil {
		return nil, err
	}
	var room [1]*Batch
	got, err := unpackRun(room[:0], run, data, offset, 0, !l.inFile)
	if err != nil || len(got) == 0 || got[0].Base > offset {
		return nil, err
	}
	if run.Bytes >= markedRunMin {
		p.marks.put(l.markKey(), markRun(data, !l.inFile))
	}
	return &One{Batch: got[0]}, nil
}

// readCold reads from segment files, or from the journal what is not there yet. What is read may move from the one to the other meanwhile:
// then the journal says that it is gone, and the files have it.
func (p *Published) readCold(dst []*Batch, src Source, from, end record.Offset, maxBytes int, upTo uint64) ([]*Batch, error) {
	for range readMovedMax {
		l, err := p.locate(src)
		if err != nil {
			return dst, err
		}
		got, err := p.readFrom(l, dst, from, end, maxBytes, upTo)
		l.done()
		if !errors.Is(err, journal.ErrTrimmed) {
			return got, err
		}
	}
	if start, end := src.Part.Ends(); from < start {
		return dst, outside(from, start, end)
	}
	return dst, fault.New(fault.Corrupt, "read", "", "the journal has let go of offset %d and no segment file that can be read holds it; run `leat stream verify`", from)
}

const readMovedMax = 100 // moves of what is being read before it is called lost; each takes a whole window of appends

// readFrom walks the runs from the one that holds from. What is read before an error is handed out, unless it is nothing.
func (p *Published) readFrom(l *locator, dst []*Batch, from, end record.Offset, maxBytes int, upTo uint64) ([]*Batch, error) {
	size, none := 0, len(dst)
	defer func() { p.readBytes.Add(int64(size)) }()
	var err error
	for ok := l.seek(from); ok && err == nil; ok = l.next() {
		if l.run.Base >= end || l.run.Seq > upTo || size > 0 && size >= maxBytes {
			break
		}
		switch {
		case size == 0 && !l.src.fits(&l.run):
			return dst, errTooLarge
		case size > 0 && l.run.Bytes > max(int64(maxBytes-size), stream.RunBytesMax): // a single batch, for which there is no room
			return dst, nil
		}
		n := len(dst)
		if span := p.span(l, from, end, maxBytes-size, upTo); span != nil {
			dst, size = append(dst, span), size+span.Len()
			continue
		}
		if n > none && dst[n-1].Span != nil && l.run.Bytes > int64(maxBytes-size) {
			break // a part of a run would have to be read, and the rest of it once more
		}
		if l.inFile {
			dst, err = l.readSome(dst, from, end, maxBytes-size, upTo)
		} else {
			dst, err = p.readRun(l, dst, from, maxBytes-size)
		}
		for _, b := range dst[n:] {
			size += b.Len()
		}
		if n == len(dst) || dst[len(dst)-1].Next < l.run.Next {
			break // the rest of the run did not fit
		}
	}
	if len(dst) > none {
		return dst, nil // whoever reads on meets the error again
	}
	if err == nil && l.err != nil {
		err = damaged(l.err)
	}
	return dst, err
}

// readSome reads neighbouring runs of a file with one call, from the one that l stands on; l then stands on the last one read.
func (l *locator) readSome(dst []*Batch, from, end record.Offset, room int, upTo uint64) ([]*Batch, error) {
	room = min(max(room, int(l.run.Bytes)), readSomeMax)
	if l.run.Base < from && l.spans(upTo) && l.cold.Checked() { // what follows can be a span
		room = int(l.run.Bytes)
	}
	if there := l.cold.Together(int64(room), uint64(end)); there > 0 { // of a thousand partitions with a few bytes each, not a thousand times the room
		room = int(there)
	}
	size, full := 0, false
	var failed error
	_, err := l.cold.ReadSome(l.src.buffer(max(room, int(l.run.Bytes)))[:0], room, uint64(end), func(r *segment.Run, data []byte) {
		if full = full || failed != nil || r.Seq > upTo; full {
			return
		}
		run, n := fileRun(r), len(dst)
		if dst, failed = unpackRun(dst, &run, data, from, room-size, false); failed != nil {
			return
		}
		for _, b := range dst[n:] {
			size += len(b.Raw)
		}
		full = n == len(dst) || dst[len(dst)-1].Next < run.Next
	})
	if err != nil {
		failed = errors.Join(failed, damaged(err))
	}
	l.atFile()
	return dst, failed
}

const readSomeMax = 8 << 20 // read from a file at once

// readRun reads the run in the journal that l stands on. journal.ErrTrimmed: it has moved to a file since l was opened.
func (p *Published) readRun(l *locator, dst []*Batch, from record.Offset, room int) ([]*Batch, error) {
	run := &l.run
	if run.Bytes <= 0 || run.Bytes > runReadMax {
		return dst, corrupt(fmt.Errorf("run of %d bytes", run.Bytes))
	}
	buf := l.src.buffer(int(run.Bytes))
	if err := p.readJournal(run, 0, buf); err != nil {
		return dst, err
	}
	return unpackRun(dst, run, buf, from, room, true)
}

// readJournal fills buf with what a run has in the journal, from a byte of it on.
func (p *Published) readJournal(run *stream.Run, at int, buf []byte) error {
	j := *p.journal.Load()
	switch err := j.ReadAt(journal.Place(run.Place), run.Off+int64(at), buf); {
	case err == nil || errors.Is(err, journal.ErrTrimmed):
		return err
	case errors.Is(err, journal.ErrClosed):
		return fault.New(fault.Unavailable, "read", "", "the shard is being recovered or stopped").From(err)
	default:
		return corrupt(err)
	}
}

// unpackRun appends the batches of a run, from the one that holds from on and as far as there is room, but at least one. Each is checked to be
// what was stored there. sums is false where another sum over the same bytes was checked just now.
func unpackRun(dst []*Batch, run *stream.Run, buf []byte, from record.Offset, room int, sums bool) ([]*Batch, error) {
	base, first, size := run.Base, len(dst), 0
	for i := uint32(0); len(buf) > 0; i++ {
		h, err := record.ParseBatchHeader(buf)
		switch {
		case err != nil:
		case sums:
			_, err = record.CheckStored(buf[:h.Bytes], base, stream.LeaderEpoch)
		case h.BaseOffset != base:
			err = fmt.Errorf("a batch at offset %d where %d was expected", h.BaseOffset, base)
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

// damaged is what a reader is told when segment files, or what finds runs in them and in the journal, do not answer.
func damaged(err error) error {
	var f *fault.Error
	var c *segment.CorruptError
	switch {
	case errors.As(err, &f):
		return err
	case errors.As(err, &c):
		return fault.New(fault.Corrupt, "read", "", "stored data is damaged; run `leat stream verify`").From(err)
	case errors.Is(err, segment.ErrClosed):
		return fault.New(fault.Unavailable, "read", "", "the shard is being stopped").From(err)
	default:
		return fault.New(fault.Unavailable, "read", "", "stored data cannot be read now").From(err)
	}
}

// Seek finds the first run for which past is true; past must be false up to some run and true after it. It returns false when there is none. A
// run of which the first records were trimmed begins behind them.
func (p *Published) Seek(src Source, past func(*stream.Run) bool) (stream.Run, bool, error) {
	l, err := p.locate(src)
	if err != nil {
		return stream.Run{}, false, err
	}
	defer l.close()
	start, end := src.Part.Ends()
	if !l.search(start, end, past) {
		if l.err != nil {
			return stream.Run{}, false, damaged(l.err)
		}
		return stream.Run{}, false, nil
	}
	run := l.run
	run.Base = max(run.Base, start)
	return run, true, nil
}

// RunAt returns the run that holds an offset; false when there is none.
func (p *Published) RunAt(src Source, offset record.Offset) (stream.Run, bool, error) {
	l, err := p.locate(src)
	if err != nil {
		return stream.Run{}, false, err
	}
	defer l.close()
	if !l.seek(offset) {
		if l.err != nil {
			return stream.Run{}, false, damaged(l.err)
		}
		return stream.Run{}, false, nil
	}
	return l.run, l.run.Base <= offset, nil
}

// Origin returns who appended the batch that holds an offset.
func (p *Published) Origin(src Source, offset record.Offset) (stream.Origin, bool, error) {
	run, ok, err := p.RunAt(src, offset)
	if err != nil || !ok {
		return stream.Origin{}, false, err
	}
	o, ok, err := stream.LoadOrigin(p.store, run.Origin)
	return o, ok, err
}
