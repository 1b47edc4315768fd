package shard

import (
	"bytes"
	"sort"

	"leat/broker/record"
	"leat/storage/keys"
	"leat/storage/segment"
)

// layout is what the segment files have of one stream that lets go of superseded records: which of its records are there, and which of those
// are not needed any more.
//
// The index of keys may still name records that are gone. That they are is told by their file: a file that was compacted as of frame n has
// nothing that frames up to n had superseded, so a record is gone when the next one of its key came with such a frame.
//
//	key k      ── 3 ─────── 9 ────── 14 ──
//	file       [ compacted as of 10 ][ new ]
//	           3 is gone, 9 is superseded and there, 14 is the newest
type layout struct {
	Compaction
	id      record.StreamID
	since   uint64 // frame from which on the stream lets go
	through uint64 // frames beyond are not looked at
	nowMS   int64
	v       *view
	parts   []partLayout

	superseded, present int64 // records that are there; the first are among the second
	tombstones          bool  // some of the present ones will not be needed by and by
	marked              int64
}

// partLayout is one partition. Its last record in files stays, so that files never end earlier than before.
type partLayout struct {
	start  uint64
	pieces []pieceLayout
	last   uint64
}

type pieceLayout struct {
	segment.Piece
	cleaned  uint64 // what frames up to here superseded is not in it; 0: not known
	tombNow  uint64 // tombstones before this offset have been kept long enough
	tombThen uint64 // likewise when the file was compacted
	dead     int64
	present  int64
	chosen   *deadOffsets // nil: the piece is not being rewritten
}

// cleaned is the frame up to which a file has nothing superseded of this stream.
func (c *Compaction) cleaned(p *segment.Piece, since uint64) uint64 {
	if p.Compacted < since || p.TimeLastMS > p.CompactedMS-c.LagMS {
		return 0 // from before the stream let go of anything, or it was too young
	}
	return p.Compacted
}

// layoutOf reads what files there are. Only metadata is read.
func (p *Published) layoutOf(c Compaction, v *view, through uint64, nowMS int64) *layout {
	l := &layout{Compaction: c, id: c.Stream, since: v.since, through: through, nowMS: nowMS, v: v, parts: make([]partLayout, len(v.parts))}
	for i, part := range v.parts {
		start, _ := part.Ends()
		at := &l.parts[i]
		at.start = uint64(start)
		for _, x := range p.segments.PiecesOf(uint32(c.Stream), uint32(i)) {
			if x.Next <= at.start {
				continue
			}
			at.pieces = append(at.pieces, pieceLayout{Piece: x, cleaned: c.cleaned(&x, v.since)})
			at.last = x.Next - 1
		}
	}
	return l
}

// tombTimes finds how far tombstones are old enough.
func (p *Published) tombTimes(l *layout, part int) {
	at := &l.parts[part]
	if len(at.pieces) == 0 {
		return
	}
	c := p.segments.Cursor(uint32(l.id), uint32(part))
	defer c.Close()
	known := map[int64]uint64{}
	before := func(timeMS int64) uint64 {
		if o, ok := known[timeMS]; ok {
			return o
		}
		o := at.last + 1
		if c.Search(func(r *segment.Run) bool { return r.TimeMS >= timeMS }) {
			o = c.Run().Base
		} else if c.Err() != nil {
			o = 0 // damaged: then none is
		}
		known[timeMS] = o
		return o
	}
	now := before(l.nowMS - l.TombstoneMS)
	for i := range at.pieces {
		x := &at.pieces[i]
		if x.tombNow = now; x.cleaned > 0 {
			x.tombThen = before(x.CompactedMS - l.TombstoneMS)
		}
	}
}

// find returns the piece that holds an offset, nil when none does; trimmed says that it lies before the start.
func (l *layout) find(e *keys.Entry) (x *pieceLayout, last, trimmed bool) {
	if int(e.Partition) >= len(l.parts) {
		return nil, false, false
	}
	at := &l.parts[e.Partition]
	if e.Offset < at.start {
		return nil, false, true
	}
	i := sort.Search(len(at.pieces), func(i int) bool { return at.pieces[i].Next > e.Offset })
	if i == len(at.pieces) || e.Offset < at.pieces[i].Base {
		return nil, false, i < len(at.pieces) // between pieces: compacted away, with its whole piece
	}
	return &at.pieces[i], e.Offset == at.last, false
}

// scan walks the index of the stream once, and judges every record.
func (l *layout) scan(p *Published, pace func(n int) error) error {
	for i := range l.parts {
		p.tombTimes(l, i)
	}
	it := p.keys.Scan(uint32(l.id), nil, nil, l.through)
	defer it.Close()
	var before keys.Entry // the last entry, with the key in key
	var key []byte
	some, alone := false, true // alone: nothing older of the key will be there
	for n := 0; it.Next(); n++ {
		e := it.Entry()
		if aborted, err := l.aborted(p, e); err != nil {
			return err
		} else if aborted {
			l.neverWas(e)
			continue
		}
		switch {
		case some && bytes.Equal(key, e.Key):
			alone = l.older(&before, e.Seq) && alone
		default:
			if some {
				l.newest(&before, alone)
			}
			key, some, alone = append(key[:0], e.Key...), true, true
		}
		before = *e
		if n%scanPaceEntries == scanPaceEntries-1 {
			if err := pace(0); err != nil {
				return err
			}
		}
	}
	if some {
		l.newest(&before, alone)
	}
	return keysFault(it.Err())
}

// aborted reports whether an entry is of a record that readers do not see, and that supersedes nothing. One that is not there any more, for being
// superseded itself, is taken for one: what was before it is superseded by what came behind.
func (l *layout) aborted(p *Published, e *keys.Entry) (bool, error) {
	if e.Flags&keys.Provisional == 0 || int(e.Partition) >= len(l.v.parts) {
		return false, nil
	}
	src := Source{Stream: l.id, Partition: record.PartitionID(e.Partition), Part: l.v.parts[e.Partition]}
	if e.Offset < uint64(src.Part.Start()) {
		return false, nil
	}
	seen, err := p.sees(src, record.Offset(e.Offset))
	return !seen, err
}

// neverWas judges a record of an aborted transaction: it goes as soon as its file is rewritten.
func (l *layout) neverWas(e *keys.Entry) {
	x, last, _ := l.find(e)
	if x == nil {
		return
	}
	if x.cleaned < e.Seq || e.Offset == x.Next-1 {
		x.count(last, l)
	}
	x.mark(e, last, l)
}

const scanPaceEntries = 1 << 14 // walked between looks at whether to stop

// older judges a record that is superseded by one of frame by. It reports whether the record is gone, or will be with this rewriting.
func (l *layout) older(e *keys.Entry, by uint64) bool {
	x, last, gone := l.find(e)
	if x == nil {
		return gone
	}
	// The last of a piece may have been the last of its partition, and stayed for that.
	if x.cleaned >= by && e.Offset != x.Next-1 {
		x.mark(e, last, l)
		return true
	}
	x.count(last, l)
	return x.mark(e, last, l)
}

// newest judges the last record of a key: it stays, unless it says that the key is gone, has said so long enough, and nothing older is left that
// it would have to say it of.
func (l *layout) newest(e *keys.Entry, alone bool) {
	x, last, _ := l.find(e)
	if x == nil {
		return
	}
	tombstone := e.Flags&keys.Tombstone != 0
	if !tombstone || e.Offset >= x.tombNow {
		x.present++
		l.present++
		l.tombstones = l.tombstones || tombstone
		return
	}
	if there := x.cleaned < e.Seq || e.Offset >= x.tombThen || e.Offset == x.Next-1; there {
		x.count(last, l)
	}
	if alone {
		x.mark(e, last, l)
	}
}

// count counts a record that is there and superseded. The last one of its partition stays for now, and is nothing to rewrite a file for.
func (x *pieceLayout) count(last bool, l *layout) {
	x.present++
	l.present++
	if !last {
		x.dead++
		l.superseded++
	}
}

// mark leaves a record out of the rewriting, if its piece is rewritten at all.
func (x *pieceLayout) mark(e *keys.Entry, last bool, l *layout) bool {
	if x.chosen == nil || last || !x.chosen.set(e.Offset) {
		return false
	}
	l.marked++
	return true
}

// deadBytes is about how many bytes of the piece are superseded.
func (x *pieceLayout) deadBytes() int64 {
	if x.present == 0 {
		return 0
	}
	return int64(float64(x.Bytes) * float64(x.dead) / float64(x.present))
}

// deadOffsets is a set of offsets of one partition, in chunks of bits that are made when they are needed: records that are left in a stream
// that was compacted often lie far apart.
type deadOffsets struct {
	base   uint64
	last   uint64 // of the partition in files; stays whatever it is
	markMS int64  // markers that committed before go, too; 0: there are none
	chunks []*[chunkOffsets / 64]uint64
	left   *int // chunks that may still be made, of all sets of a rewriting together
}

const (
	chunkOffsets = 1 << 16
	// deadChunksMax bounds the memory of one rewriting: 64 MiB of bits. Records that do not fit stay, and are found again later.
	deadChunksMax = 8 << 10
)

func newDeadOffsets(base, next uint64, left *int) *deadOffsets {
	return &deadOffsets{base: base, last: next - 1, chunks: make([]*[chunkOffsets / 64]uint64, (next-base)/chunkOffsets+1), left: left}
}

// set reports false when there is no room.
func (d *deadOffsets) set(offset uint64) bool {
	o := offset - d.base
	c := &d.chunks[o/chunkOffsets]
	if *c == nil {
		if *d.left == 0 {
			return false
		}
		*d.left--
		*c = new([chunkOffsets / 64]uint64)
	}
	(*c)[o%chunkOffsets/64] |= 1 << (o % 64)
	return true
}

// marker says whether a batch is a marker that nothing needs any more: one that committed. What is visible is told by those that aborted, which stay, because
// clients that read what is stored tell by them where a producer's aborted records end. It is kept as long as a tombstone, for readers that are on their way.
func (d *deadOffsets) marker(batch []byte, h *record.BatchHeader) bool {
	return h.Control() && h.MaxTimestamp < d.markMS && uint64(h.LastOffset()) != d.last && record.Commits(batch, h)
}

// anyMarker says whether there is such a marker in a run: only headers are looked at, but of markers.
func (d *deadOffsets) anyMarker(r *segment.Run, data []byte) bool {
	if r.TimeMS >= d.markMS {
		return false
	}
	for len(data) >= record.BatchHeaderBytes {
		h, err := record.ParseBatchHeader(data)
		if err != nil || h.Bytes > len(data) {
			return false
		}
		if d.marker(data[:h.Bytes], &h) {
			return true
		}
		data = data[h.Bytes:]
	}
	return false
}

// has is for any offset.
func (d *deadOffsets) has(offset uint64) bool {
	o := offset - d.base
	if offset < d.base || o/chunkOffsets >= uint64(len(d.chunks)) {
		return false
	}
	c := d.chunks[o/chunkOffsets]
	return c != nil && c[o%chunkOffsets/64]&(1<<(o%64)) != 0
}

// any says whether an offset of from..next-1 is in it.
func (d *deadOffsets) any(from, next uint64) bool {
	for o := from; o < next; o++ {
		if i := (o - d.base) / chunkOffsets; o >= d.base && i < uint64(len(d.chunks)) && d.chunks[i] == nil {
			o = d.base + (i+1)*chunkOffsets - 1
			continue
		}
		if d.has(o) {
			return true
		}
	}
	return false
}
