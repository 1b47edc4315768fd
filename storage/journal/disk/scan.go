package disk

import (
	"errors"
	"fmt"
	"hash/crc32"

	"leat/storage/journal"
)

// Scan hands out the data frames after a Seq. It verifies each header with its place in the chain and the CRC of the facts. Data is
// jumped over, not read: a replay costs the facts. Data carries CRCs of its own, and Check reads every byte.
//
// Frames that were trimmed before the call are left out; ErrTrimmed says that a Trim overtook it.
//
// The place is a hint and may be stale; what is found there is only used when it proves to be at or before the first wanted frame.
func (j *Journal) Scan(from journal.Place, after journal.Seq, fn func(journal.Entry) error) error {
	lastFile, lastEnd := j.durableEnd()
	f := j.table.forSeq(after)
	c := cursor{table: &j.table}
	start, trust := j.startIn(&c, f, from, after, lastFile)
	for {
		end := f.end.Load()
		if f.header.number == lastFile {
			end = lastEnd
		}
		c.reset(f, start, end, trust)
		for c.off < end {
			e, err := c.next()
			if err != nil {
				return err
			}
			if e.Seq > after && c.h.kind == kindData {
				if err := fn(e); err != nil {
					return err
				}
			}
		}
		if f.header.number >= lastFile {
			return nil
		}
		next := j.table.get(f.header.number + 1)
		if next == nil {
			return journal.ErrTrimmed
		}
		f, start, trust = next, headerPageBytes, true
	}
}

// startIn returns where in f to begin: at the hint when it is good, else where the index says, else at the first frame, whose place in
// the chain the file header states (trust).
func (j *Journal) startIn(c *cursor, f *file, from journal.Place, after journal.Seq, lastFile uint64) (start int64, trust bool) {
	if number, off := split(from); number == f.header.number && off > headerPageBytes && off%frameAlign == 0 && off < f.end.Load() {
		c.reset(f, off, f.end.Load(), false)
		if h, _, err := c.header(); err == nil && h.prev.seq <= after {
			return off, false
		}
	}
	if f.header.number == lastFile {
		return headerPageBytes, true
	}
	if ft, err := j.table.footer(f); err == nil {
		best := int64(headerPageBytes)
		for _, e := range ft.entries {
			if e.seq <= after && e.off >= headerPageBytes && e.off < f.end.Load() {
				best = max(best, e.off)
			}
		}
		return best, best == headerPageBytes
	}
	return headerPageBytes, true
}

// footer reads a file's index. Any fault of it only means that the file is read from its start.
func (t *table) footer(f *file) (footer, error) {
	size := f.size.Load()
	var page [footerBytes]byte
	if err := t.read(f, page[:], size-footerBytes); err != nil {
		return footer{}, err
	}
	ft, err := decodeFooter(page[:])
	if err == nil && (ft.number != f.header.number || ft.generation != f.header.generation) {
		err = bad(16, "the index of this file", "that of another")
	}
	return ft, err
}

const scanWindowBytes = 64 << 10

// cursor walks the frames of a file through a window that it reads ahead.
type cursor struct {
	table *table
	f     *file
	off   int64 // of the next frame
	end   int64
	last  link
	check bool // last is known, so the next frame must follow it

	h   frameHeader // of the frame that next returned
	raw [frameHeaderBytes]byte

	window []byte // whole buffer
	start  int64  // file offset of window[0]
	filled int
}

func (c *cursor) reset(f *file, start, end int64, trust bool) {
	if c.f != f {
		c.filled = 0
	}
	c.f, c.off, c.end, c.check = f, start, end, trust
	c.last = f.header.prev
}

// bytes returns n bytes at off, valid until the next call.
func (c *cursor) bytes(off, n int64) ([]byte, error) {
	if off >= c.start && off+n <= c.start+int64(c.filled) {
		return c.window[off-c.start:][:n], nil
	}
	if off+n > c.end {
		return nil, &journal.CorruptError{
			File: c.f.name, Offset: off,
			Expected: fmt.Sprintf("%d bytes of a frame", n), Found: fmt.Sprintf("the end of the frames at byte %d", c.end),
		}
	}
	size := min(max(n, scanWindowBytes), c.end-off)
	if int64(len(c.window)) < size {
		c.window = make([]byte, size)
	}
	c.filled = 0
	if err := c.table.read(c.f, c.window[:size], off); err != nil {
		return nil, err
	}
	c.start, c.filled = off, int(size)
	return c.window[:n], nil
}

// header reads and verifies the header at c.off.
func (c *cursor) header() (frameHeader, []byte, error) {
	raw, err := c.bytes(c.off, frameHeaderBytes)
	if err != nil {
		return frameHeader{}, nil, err
	}
	h, err := decodeFrameHeader(raw)
	if err == nil {
		err = h.belongs(&c.f.header, c.off)
	}
	if err == nil && c.check {
		err = h.follows(c.last)
	}
	if err == nil && c.off+h.size() > c.end {
		err = bad(80, fmt.Sprintf("a frame that ends by byte %d", c.end), fmt.Sprintf("one that ends at %d", c.off+h.size()))
	}
	return h, raw, corrupt(c.f.name, c.off, err)
}

// next returns the frame at c.off and moves on. Facts are valid until the next call.
func (c *cursor) next() (journal.Entry, error) {
	h, raw, err := c.header()
	if err != nil {
		return journal.Entry{}, err
	}
	copy(c.raw[:], raw)
	facts, err := c.bytes(c.off+h.factsAt(), h.factsBytes)
	if err != nil {
		return journal.Entry{}, err
	}
	if sum := crc32.Checksum(facts, castagnoli); sum != h.factsCRC {
		err := bad(h.factsAt(), fmt.Sprintf("facts CRC %08x", h.factsCRC), fmt.Sprintf("%08x", sum))
		return journal.Entry{}, corrupt(c.f.name, c.off, err)
	}
	c.h = h
	c.last, c.check = h.next(c.raw[:]), true
	c.off += h.size()
	return journal.Entry{Seq: h.seq, Epoch: h.epoch, Place: h.place, Facts: facts, DataBytes: h.dataBytes}, nil
}

var errBadPlace = errors.New("journal: no frame can be at that place")

// ReadAt is one pread into p. What is durable may be read, nothing beyond.
func (j *Journal) ReadAt(place journal.Place, off int64, p []byte) error {
	number, at := split(place)
	f := j.table.get(number)
	if f == nil {
		if number < j.table.first().header.number && number > 0 {
			return journal.ErrTrimmed
		}
		return fmt.Errorf("%w: %d", errBadPlace, place)
	}
	from := at + frameHeaderBytes + off
	if at < headerPageBytes || off < 0 || from+int64(len(p)) > f.limit.Load() {
		return fmt.Errorf("%w: %d bytes at %d of %d", errBadPlace, len(p), off, place)
	}
	return j.table.read(f, p, from)
}
