package segment

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"
	"time"

	"leat/internal/clock"
	"leat/storage/vfs"
)

// Span is a place in a file where runs lie back to back, whose bytes are sent from there.
//
// Who reads bytes checks the sum that was written with them, which means that they come into the program: for a reader that only passes them on that
// is most of the work. So the store remembers which runs it has checked, or written itself, since it was opened. Those it hands out by their place, and the
// kernel's own pages go to the socket. What a disk makes of them between then and now is found by whoever opens the batches: each carries a checksum of its own.
//
// A span can be used while the cursor that gave it is open.
type Span struct {
	s          *Store
	r          ref
	base, next uint64
	at, bytes  int64
}

// Len is how many bytes there are.
func (x *Span) Len() int { return int(x.bytes) }

// Span takes the run the cursor stands on and those that follow, as long as no offset is missing between them, as many as fit into bytesMax and end at the offset
// end or before it, if they were all checked before. The cursor then stands on the last one. nil: there are fewer bytes of them than bytesMin, or the
// file cannot send; nothing has moved.
func (c *Cursor) Span(bytesMin, bytesMax int64, end uint64) *Span {
	if c.standing() != nil || !c.s.sends {
		return nil
	}
	r, runs := c.refs[c.at], c.block.runs
	checked := r.f.checkedTo(c.lineNumber(), c.entry)
	to, bytes := c.entry, int64(0)
	for ; to < min(checked, len(runs)); to++ {
		x := &runs[to]
		if bytes+int64(x.bytes) > bytesMax || x.next > end || to > c.entry && x.base != runs[to-1].next {
			break
		}
		bytes += int64(x.bytes)
	}
	if bytes == 0 || bytes < bytesMin {
		return nil
	}
	span := &Span{c.s, r, runs[c.entry].base, runs[to-1].next, int64(runs[c.entry].at), bytes}
	c.entry = to - 1
	c.show()
	return span
}

// Checked says whether the run the cursor stands on could be part of a Span.
func (c *Cursor) Checked() bool {
	return c.standing() == nil && c.s.sends && c.refs[c.at].f.checkedTo(c.lineNumber(), c.entry) > c.entry
}

// SendTo sends n bytes of the span, from one of them on, as vfs.Sender does.
func (x *Span) SendTo(socket syscall.RawConn, from, n int) (int, error) {
	if from < 0 || n < 0 || int64(from)+int64(n) > x.bytes {
		return 0, fmt.Errorf("segment: send: bytes from %d to %d of %d", from, from+n, x.bytes)
	}
	h, err := x.s.handles.get(x.r.f.ID)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = x.s.spoiled(x.r, x.base, x.next, missing(x.r.f.ID.name()))
		}
		return 0, err
	}
	defer x.s.handles.put(h)
	began := clock.Now()
	sent, err := h.f.(vfs.Sender).SendTo(socket, x.at+int64(from), n)
	if rest := x.bytes - int64(from+n); rest > 0 && clock.Since(began) > sendSlow {
		vfs.ReadAhead(h.f, x.at+int64(from+n), rest) // it was the disk, or the peer, which then does not mind
	}
	x.s.counts.reads.Add(1)
	x.s.counts.readBytes.Add(int64(sent))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return sent, x.s.spoiled(x.r, x.base, x.next, &CorruptError{
			File: x.r.f.ID.name(), Block: -1, Offset: x.at + int64(from+sent), Expected: fmt.Sprintf("%d bytes more", n-sent), Found: "the end of the file",
		})
	}
	if err != nil {
		err = fmt.Errorf("segment: send from %s: %w", x.r.f.ID.name(), err)
	}
	return sent, err
}

// WriteTo writes all of b, which is in no file, to where spans go, within the write deadline of the socket's owner.
func WriteTo(socket syscall.RawConn, b []byte) (int, error) {
	return vfs.Send(socket, len(b), func(fd uintptr, sent int) (int, error) { return syscall.Write(int(fd), b[sent:]) })
}

// sendSlow is what sending a piece takes at most when all of it is in memory.
const sendSlow = 2 * time.Millisecond

// lineNumber is the number of the index block the cursor stands in, in its file.
func (c *Cursor) lineNumber() int { return int(c.refs[c.at].piece().line) + c.line }

// checks are, for each index block of a file, which runs of it were checked: from one, in the upper half, up to another, in the lower. What was checked
// elsewhere in it is forgotten then, which costs a check more.
type checks []atomic.Uint64

// checkedTo is behind the last run that was checked together with a run of an index block; at most entry where that was not. Nothing counts as checked in a file
// that was found damaged since.
func (f *file) checkedTo(line, entry int) int {
	if f.damaged.Load() {
		return 0
	}
	if f.written {
		return int(^uint32(0))
	}
	all := f.checks.Load()
	if all == nil || line >= len(*all) {
		return 0
	}
	v := (*all)[line].Load()
	if first, end := int(v>>32), int(uint32(v)); first <= entry {
		return end
	}
	return 0
}

// checked notes that the runs from first up to end of an index block were.
func (f *file) checked(line, first, end int) {
	if f.written {
		return
	}
	all := f.checks.Load()
	if all == nil {
		made := make(checks, f.foot.lines)
		f.checks.CompareAndSwap(nil, &made)
		all = f.checks.Load()
	}
	if line >= len(*all) {
		return
	}
	at := &(*all)[line]
	was := at.Load()
	if a, b := int(was>>32), int(uint32(was)); first <= b && a <= end { // they touch
		first, end = min(a, first), max(b, end)
	}
	if now := uint64(first)<<32 | uint64(end); now != was {
		at.CompareAndSwap(was, now) // who was faster knows as much
	}
}
