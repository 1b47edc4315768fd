package segment

import (
	"fmt"
	"hash/crc32"
	"slices"
)

// indexOf returns the index block of a piece's line, decoded.
func (s *Store) indexOf(r ref, lines []line, n int) (*indexBlock, error) {
	p := r.piece()
	key := cacheKey{r.f.ID, cachedIndex, p.line + uint32(n)}
	if v := s.cache.get(key); v != nil {
		return v.(*indexBlock), nil
	}
	l := &lines[n]
	end := p.next
	if n+1 < len(lines) {
		end = lines[n+1].base
	}
	b := make([]byte, l.bytes)
	err := s.readAt(r.f, b, int64(l.indexAt))
	if err != nil {
		return nil, s.spoiled(r, l.base, end, err)
	}
	block, err := checkIndex(b, l, end)
	if err != nil {
		return nil, s.spoiled(r, l.base, end, corrupt(CorruptError{File: r.f.ID.name(), Offset: int64(l.indexAt), Block: -1}, err))
	}
	s.cache.put(key, block, block.size())
	return block, nil
}

// checkIndex decodes an index block whose runs end at end or before.
func checkIndex(b []byte, l *line, end uint64) (*indexBlock, error) {
	if sum := crc32.Checksum(b, castagnoli); sum != l.crc {
		return nil, bad(0, fmt.Sprintf("index block CRC %08x", l.crc), fmt.Sprintf("%08x", sum))
	}
	block, err := decodeIndex(b, l)
	if err != nil {
		return nil, err
	}
	if last := block.runs[len(block.runs)-1].next; last > end {
		return nil, bad(0, fmt.Sprintf("offsets up to %d", end), last)
	}
	return block, nil
}

// Read appends the bytes of the run the cursor stands on to buf. They have the sum that was written, or the error is a *CorruptError.
func (c *Cursor) Read(buf []byte) ([]byte, error) {
	if err := c.standing(); err != nil {
		return buf, err
	}
	return c.readRuns(buf, c.entry, c.entry+1, nil)
}

// Place says where the bytes of the run the cursor stands on lie: no other run ever lies there.
func (c *Cursor) Place() (FileID, int64) {
	return c.refs[c.at].f.ID, int64(c.block.runs[c.entry].at)
}

// ReadPart fills p with bytes of the run the cursor stands on, from one of them on. Nothing says whether they are what was written: that is for whoever
// has read the run before, and knows.
func (c *Cursor) ReadPart(p []byte, from int64) error {
	if err := c.standing(); err != nil {
		return err
	}
	x := &c.block.runs[c.entry]
	if from < 0 || from+int64(len(p)) > int64(x.bytes) {
		return fmt.Errorf("segment: read: bytes from %d to %d of a run of %d", from, from+int64(len(p)), x.bytes)
	}
	return c.s.readAt(c.refs[c.at].f, p, int64(x.at)+from)
}

func (c *Cursor) standing() error {
	if c.err == nil && c.run.Next == 0 {
		return fmt.Errorf("segment: read: the cursor stands on no run")
	}
	return c.err
}

// ReadSome appends the bytes of the run the cursor stands on and of those that follow, as many as fit into bytesMax and begin below
// the offset below, at least one; the cursor then stands on the last one read, and Next goes on. each, which may be nil, is called for every
// run in order with the part of the returned slice that holds it; neither may be kept.
//
// Runs that lie together are read with one system call, straight into buf: a buf with room for bytesMax is never copied. On an error the runs
// read before it are returned with it, and the cursor stands on the run that failed: Seek behind it (CorruptError.Next) goes on.
func (c *Cursor) ReadSome(buf []byte, bytesMax int, below uint64, each func(r *Run, data []byte)) ([]byte, error) {
	if err := c.standing(); err != nil {
		return buf, err
	}
	left := int64(bytesMax)
	for {
		end, bytes := c.together(left, below)
		var err error
		if buf, err = c.readRuns(buf, c.entry, end, each); err != nil {
			return buf, err
		}
		c.entry = end - 1
		c.show()
		if left -= bytes; left <= 0 {
			return buf, nil
		}
		at, run := c.place, c.run
		if !c.Next() || c.run.Bytes > left || c.run.Base >= below {
			// What stopped it, a damaged index say, is met again by the caller's Next.
			c.place, c.run, c.err = at, run, nil
			return buf, nil
		}
	}
}

// Together is how many bytes the next ReadSome can read with one system call when it may take bytesMax, 0 when the cursor stands on no run. Who
// asks for so many reads no more than those.
func (c *Cursor) Together(bytesMax int64, below uint64) int64 {
	if c.standing() != nil {
		return 0
	}
	_, bytes := c.together(bytesMax, below)
	return bytes
}

// together counts the runs from here on that one read can take, at least one.
func (c *Cursor) together(bytesMax int64, below uint64) (end int, bytes int64) {
	runs := c.block.runs
	end, bytes = c.entry+1, int64(runs[c.entry].bytes)
	for ; end < len(runs); end++ {
		r := &runs[end]
		if bytes+int64(r.bytes) > bytesMax || r.base >= below || len(c.lost) > 0 && r.base != runs[end-1].next {
			break
		}
		bytes += int64(r.bytes)
	}
	return end, bytes
}

// readRuns reads runs of the index block, which lie back to back, and checks each.
func (c *Cursor) readRuns(buf []byte, first, end int, each func(*Run, []byte)) ([]byte, error) {
	runs := c.block.runs[first:end]
	from, last := runs[0].at, &runs[len(runs)-1]
	start := len(buf)
	n := int(last.at + last.bytes - from)
	buf = slices.Grow(buf, n)[:start+n]
	r := c.refs[c.at]
	if err := c.s.readAt(r.f, buf[start:], int64(from)); err != nil {
		if len(runs) > 1 {
			// One read, many runs: which of them is out of reach?
			return c.readSingly(buf[:start], first, end, each)
		}
		return buf[:start], c.s.spoiled(r, runs[0].base, runs[0].next, err)
	}
	at := start
	for i := range runs {
		x := &runs[i]
		data := buf[at : at+int(x.bytes)]
		if sum := crc32.Checksum(data, castagnoli); sum != x.crc {
			c.entry = first + i
			c.show()
			return buf[:at], c.s.spoiled(r, x.base, x.next, &CorruptError{
				File: r.f.ID.name(), Offset: int64(x.at), Block: int64(x.block),
				Expected: fmt.Sprintf("CRC %08x over %d bytes", x.crc, x.bytes), Found: fmt.Sprintf("%08x", sum),
			})
		}
		at += int(x.bytes)
		if each != nil {
			run := x.run(c.part)
			each(&run, data)
		}
	}
	r.f.checked(c.lineNumber(), first, end)
	return buf, nil
}

// readSingly reads one run after the other up to the first that cannot be read.
func (c *Cursor) readSingly(buf []byte, first, end int, each func(*Run, []byte)) (_ []byte, err error) {
	for i := first; i < end; i++ {
		c.entry = i
		c.show()
		if buf, err = c.readRuns(buf, i, i+1, each); err != nil {
			return buf, err
		}
	}
	return buf, nil
}
