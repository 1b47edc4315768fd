package shard

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/segment"
)

// Span is where neighbouring batches lie whose bytes go to a socket unchanged. Nobody has looked at them for whoever sends them: what is told so was checked before, or
// was written by this process.
//
// In a segment file, the kernel hands its own pages on. A file of the journal is written again when it was trimmed, while a peer's socket may still hold its pages, so
// those bytes are copied, piece by piece through a buffer that stays in the processor's cache.
type Span interface {
	Len() int
	// SendTo sends n bytes, from one of them on: all, or with an error that says why not, within the socket's write deadline.
	SendTo(socket syscall.RawConn, from, n int) (sent int, err error)
}

const (
	// spanBytesMin is how much makes a system call of its own worth while.
	spanBytesMin = 64 << 10
	// journalSpanMin is the same for a run in the journal, which is read alone in any case.
	journalSpanMin = 32 << 10
	// spanPieceBytes is copied at once.
	spanPieceBytes = 128 << 10
)

// spans says whether the reader takes spans.
func (l *locator) spans(upTo uint64) bool { return l.src.Keep != nil && upTo == AllSeqs }

// span takes neighbouring runs by their place, from the one that l stands on; l then stands on the last one. nil: they have to be read.
func (p *Published) span(l *locator, from, end record.Offset, room int, upTo uint64) *Batch {
	if !l.spans(upTo) || l.run.Base < from {
		return nil
	}
	if l.src.SpanEnd > 0 {
		end = min(end, l.src.SpanEnd)
	}
	first := l.run
	if !l.inFile {
		if first.Next > end || first.Bytes < journalSpanMin || first.Bytes > int64(room) || first.Seq <= p.foreign.Load() {
			return nil
		}
		return spanBatch(&first, &first, &journalSpan{p: p, src: Source{Stream: l.src.Stream, Partition: l.src.Partition}, run: first})
	}
	span := l.cold.Span(spanBytesMin, int64(room), uint64(end))
	if span == nil {
		return nil
	}
	l.held = true
	l.atFile()
	return spanBatch(&first, &l.run, span)
}

func spanBatch(first, last *stream.Run, s Span) *Batch {
	return &Batch{Span: s, Base: first.Base, Next: last.Next, Seq: last.Seq, TimeMS: last.TimeMS}
}

// done closes l, or has the reader do it who was told of places in files.
func (l *locator) done() {
	if !l.held {
		l.close()
		return
	}
	l.rows.Close() // what of state it holds up is not needed
	l.src.Keep(l.cold.Close)
}

// journalSpan is a run that was in the journal when it was told of.
type journalSpan struct {
	p   *Published
	src Source
	run stream.Run
}

var spanPieces = sync.Pool{New: func() any { return new([spanPieceBytes]byte) }}

func (x *journalSpan) Len() int { return int(x.run.Bytes) }

func (x *journalSpan) SendTo(socket syscall.RawConn, from, n int) (sent int, err error) {
	if from < 0 || n < 0 || int64(from)+int64(n) > x.run.Bytes {
		return 0, fmt.Errorf("shard: send: bytes from %d to %d of %d", from, from+n, x.run.Bytes)
	}
	piece := spanPieces.Get().(*[spanPieceBytes]byte)
	defer spanPieces.Put(piece)
	for sent < n {
		b := piece[:min(n-sent, len(piece))]
		if err := x.read(b, from+sent); err != nil {
			return sent, err
		}
		m, err := segment.WriteTo(socket, b)
		sent += m
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// read fills b from a byte of the run on: from the journal, or from the file that it has moved to since.
func (x *journalSpan) read(b []byte, at int) error {
	err := x.p.readJournal(&x.run, at, b)
	if !errors.Is(err, journal.ErrTrimmed) {
		return err
	}
	c := x.p.segments.Cursor(uint32(x.src.Stream), uint32(x.src.Partition))
	defer c.Close()
	if !c.Seek(uint64(x.run.Base)) {
		return errors.Join(err, c.Err())
	}
	if r := c.Run(); r.Base != uint64(x.run.Base) || r.Next != uint64(x.run.Next) || r.Bytes != x.run.Bytes {
		return fmt.Errorf("offset %d was compacted while it was sent: %w", x.run.Base, err)
	}
	return c.ReadPart(b, int64(at))
}
