package segment

import (
	"errors"
	"sort"
)

// Cursor walks the runs of one partition over all pieces, as they were when it was opened: a Commit changes nothing for it. It is for one
// goroutine. As long as it is open, no file that was removed since goes from the disk: open one for a piece of work, and close it.
//
// A method that returns false has found no run, or an error: see Err. After an error, Seek and Search begin anew; where it is a *CorruptError,
// Seek(its Next) goes on behind what cannot be read.
type Cursor struct {
	s      *Store
	v      *view
	refs   []ref
	lost   []*file
	part   partition
	closed bool

	place
	run Run
	err error
}

// place is where a cursor stands. at is -1 before the first run and len(refs) behind the last.
type place struct {
	at    int // of refs
	lines []line
	line  int
	block *indexBlock
	entry int // of block.runs
}

// Cursor opens a cursor, which stands before the first run. It must be closed.
func (s *Store) Cursor(stream, number uint32) *Cursor {
	c := &Cursor{s: s, part: partitionOf(stream, number), place: place{at: -1}}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		c.err, c.closed = ErrClosed, true
		return c
	}
	// current changes under mu only, so this view was not ended yet.
	c.v = s.current.Load()
	c.v.cursors.Add(1)
	c.refs = s.parts[c.part]
	if len(s.lost) > 0 {
		for _, f := range s.lost {
			if f.StreamFirst <= stream && stream <= f.StreamLast {
				c.lost = append(c.lost, f)
			}
		}
	}
	return c
}

// Close lets go of the files. The last cursor of a set of files removes those that are not needed any more.
func (c *Cursor) Close() {
	if !c.closed {
		c.closed = true
		c.err = ErrClosed
		c.s.release(c.v)
	}
}

// Err is what stopped the cursor, or nil where it just came to an end.
func (c *Cursor) Err() error { return c.err }

// Run is the run the cursor stands on, valid until it moves. Without one it is zero.
func (c *Cursor) Run() *Run { return &c.run }

// Seek goes to the run that holds offset, or else to the first one after it.
func (c *Cursor) Seek(offset uint64) bool {
	if !c.begin() {
		return false
	}
	at := sort.Search(len(c.refs), func(i int) bool { return c.refs[i].piece().next > offset })
	if at == len(c.refs) {
		return c.end(at)
	}
	if offset <= c.refs[at].piece().base {
		return c.stand(at, 0, 0) && c.whole(offset)
	}
	lines, err := c.s.linesOf(c.refs[at])
	if err != nil {
		return c.fail(err)
	}
	n := max(0, sort.Search(len(lines), func(i int) bool { return lines[i].base > offset })-1)
	if !c.stand(at, n, 0) {
		return false
	}
	runs := c.block.runs
	if c.entry = sort.Search(len(runs), func(i int) bool { return runs[i].next > offset }); c.entry == len(runs) {
		// It lies in a hole at the end of this index block.
		c.entry--
		return c.forward() && c.whole(offset)
	}
	c.show()
	return c.whole(offset)
}

// Search goes to the first run for which past is true, which must then be true for all that follow. past may look at Base, Seq, Batch, TimeMS and
// MaxTimeMS only: not all runs that it is asked about are known whole.
func (c *Cursor) Search(past func(*Run) bool) bool {
	if !c.begin() {
		return false
	}
	probe := Run{Stream: uint32(c.part >> 32), Partition: uint32(c.part)}
	var failed error
	at := sort.Search(len(c.refs), func(i int) bool {
		e, err := c.s.entryOf(c.refs[i])
		if err != nil {
			failed = errors.Join(failed, err)
			return true
		}
		probe.Base, probe.Seq, probe.Batch, probe.TimeMS, probe.MaxTimeMS = e.base, e.seqFirst, e.batch, e.timeFirst, e.maxFirst
		return past(&probe)
	})
	if failed != nil {
		return c.fail(failed)
	}
	if at == 0 {
		return len(c.refs) > 0 && c.stand(0, 0, 0) && c.whole(0)
	}
	// The first run of piece at is past, that of the piece before is not: it is within that one, or at.
	lines, err := c.s.linesOf(c.refs[at-1])
	if err != nil {
		return c.fail(err)
	}
	n := sort.Search(len(lines), func(i int) bool {
		l := &lines[i]
		probe.Base, probe.Seq, probe.Batch, probe.TimeMS, probe.MaxTimeMS = l.base, l.seq, l.batch, l.timeMS, l.maxTimeMS
		return past(&probe)
	})
	if !c.stand(at-1, max(0, n-1), 0) {
		return false
	}
	runs := c.block.runs
	c.entry = sort.Search(len(runs), func(i int) bool {
		probe = runs[i].run(c.part)
		return past(&probe)
	})
	if c.entry == len(runs) {
		c.entry--
		return c.forward() && c.whole(0)
	}
	c.show()
	return c.whole(0)
}

// Next goes to the following run; the first time, to the first.
func (c *Cursor) Next() bool {
	if c.err != nil {
		return false
	}
	seq, next, had := c.run.Seq, c.run.Next, c.run.Next > 0
	if !c.forward() {
		return false
	}
	if had && c.run.Base > next && len(c.lost) > 0 {
		return c.told(next, seq)
	}
	return true
}

// Prev goes to the run before. From behind the last run that is the last.
func (c *Cursor) Prev() bool {
	if c.err != nil {
		return false
	}
	seq, base, had := c.run.Seq, c.run.Base, c.run.Next > 0
	if !c.backward() {
		return false
	}
	if f := c.lostBetween(c.run.Seq, seq); had && c.run.Next < base && f != nil {
		return c.fail(c.lostError(f, c.run.Next, base))
	}
	return true
}

// begin readies the cursor for another look-up.
func (c *Cursor) begin() bool {
	if c.closed {
		return false
	}
	c.err = nil
	return true
}

func (c *Cursor) fail(err error) bool {
	c.err, c.run = err, Run{}
	return false
}

func (c *Cursor) end(at int) bool {
	c.place, c.run = place{at: at}, Run{}
	return false
}

func (c *Cursor) show() { c.run = c.block.runs[c.entry].run(c.part) }

// stand goes to a run by its numbers. entry -1 is the last of the index block, line -1 the last of the piece.
func (c *Cursor) stand(at, n, entry int) bool {
	lines, err := c.s.linesOf(c.refs[at])
	if err != nil {
		return c.fail(err)
	}
	if n < 0 {
		n = len(lines) - 1
	}
	block, err := c.s.indexOf(c.refs[at], lines, n)
	if err != nil {
		return c.fail(err)
	}
	if entry < 0 {
		entry = len(block.runs) - 1
	}
	c.place = place{at: at, lines: lines, line: n, block: block, entry: entry}
	c.show()
	return true
}

func (c *Cursor) forward() bool {
	switch {
	case c.at >= len(c.refs):
		return c.end(len(c.refs))
	case c.at >= 0 && c.entry+1 < len(c.block.runs):
		c.entry++
		c.show()
		return true
	case c.at >= 0 && c.line+1 < len(c.lines):
		return c.stand(c.at, c.line+1, 0)
	case c.at+1 < len(c.refs):
		return c.stand(c.at+1, 0, 0)
	}
	return c.end(len(c.refs))
}

func (c *Cursor) backward() bool {
	switch {
	case c.at < 0:
		return c.end(-1)
	case c.at < len(c.refs) && c.entry > 0:
		c.entry--
		c.show()
		return true
	case c.at < len(c.refs) && c.line > 0:
		return c.stand(c.at, c.line-1, -1)
	case c.at > 0:
		return c.stand(c.at-1, -1, -1)
	}
	return c.end(-1)
}

// whole says whether the cursor, asked for offset, stands where it should: not behind a hole that a lost file left.
func (c *Cursor) whole(offset uint64) bool {
	if len(c.lost) == 0 || offset >= c.run.Base {
		return true
	}
	at, run := c.place, c.run
	seq := uint64(0)
	if c.backward() {
		seq = c.run.Seq
		offset = max(offset, c.run.Next)
	}
	c.place, c.run, c.err = at, run, nil
	if offset >= run.Base {
		return true
	}
	return c.told(offset, seq)
}

// told says whether the offsets from next up to the run were left out on purpose. A lost file that holds frames of between the two may have held them.
func (c *Cursor) told(next, seq uint64) bool {
	if f := c.lostBetween(seq, c.run.Seq); f != nil {
		return c.fail(c.lostError(f, next, c.run.Base))
	}
	return true
}

// Lost is the error for offsets from base up to next that are in no piece known to the cursor: a *CorruptError when a file of which nobody knows
// the pieces may hold them, else nil. It moves nothing.
func (c *Cursor) Lost(base, next uint64) error {
	if len(c.lost) == 0 {
		return nil
	}
	return c.lostError(c.lost[0], base, next)
}

func (c *Cursor) lostBetween(seq, next uint64) *file {
	for _, f := range c.lost {
		if f.SeqFirst <= next && f.SeqLast >= seq {
			return f
		}
	}
	return nil
}

func (c *Cursor) lostError(f *file, base, next uint64) error {
	return &CorruptError{
		File: f.ID.name(), Block: -1, Stream: uint32(c.part >> 32), Partition: uint32(c.part), Base: base, Next: next,
		Expected: "the file or its directory", Found: "neither: the events may have been in it",
	}
}

// End is where the last piece of the partition ends, as the cursor sees it; 0 without one.
func (c *Cursor) End() uint64 {
	if len(c.refs) == 0 {
		return 0
	}
	return c.refs[len(c.refs)-1].piece().next
}
