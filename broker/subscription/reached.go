package subscription

import (
	"encoding/binary"
	"fmt"
	"slices"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// Which records took which route: for a subscription that catches up, so that it does not have to look at those of others.
//
//	frame ─▶ a log row: what the frame has of a partition          blockOffsets offsets full ─▶ pages: the same, by route
//
//	block 6   pages │ routes 1 .. 812 │ 813 .. 1604 │ ...          a reader finds the page of its route with one look-up
//	block 7   log   │ frame 90 │ frame 91 │ frame 93 │             and walks what is not full yet
//
// A block of a partition is blockOffsets offsets. While it fills, a frame adds one row to it, however many routes there are: that is what
// an append pays. The frame that fills it puts what is in its log rows in the order of routes, in pages of about pageBytes, in place of them. Both are
// made by the fold of facts and nothing else, so a replay makes the same rows. Blocks go when the partition begins behind them.
//
// Nobody's records (route 0) are not in it. What was routed before there was this index is not in it either: see Arrivals.Indexed.

// blockOffsets is how many offsets a block has. It is part of the format: a block's number is offset / blockOffsets. With fewer, who catches
// up has more look-ups to do; with more, a longer log to walk.
const blockOffsets = 16_384

// pageBytes is from when on a page takes no further route.
const pageBytes = 1024

const (
	reachedLog  byte = 0
	reachedPage byte = 1
)

// posting is so many records that follow one another, and took one route with one frame.
type posting struct {
	route RouteID
	base  record.Offset
	count int64
	bytes int64
	seq   uint64
	time  int64
	plain bool
	step  uint16 // which turn of its partition it is in the frame: see steps
}

func (p *posting) end() record.Offset { return p.base + record.Offset(p.count) }

// cut splits a posting before an offset that is within it.
func (p *posting) cut(o record.Offset) (posting, posting) {
	a, b := *p, *p
	a.count = int64(o - p.base)
	a.bytes = p.bytes * a.count / p.count
	b.base, b.count, b.bytes = o, p.count-a.count, p.bytes-a.bytes
	return a, b
}

func blockOf(o record.Offset) int64 { return int64(o) / blockOffsets }

func blockKey(at Place, block int64) []byte {
	return binary.BigEndian.AppendUint64(placeKey([]byte{state.PrefixReached}, at), uint64(block))
}

func logKey(at Place, block int64, base record.Offset) []byte {
	return binary.BigEndian.AppendUint64(append(blockKey(at, block), reachedLog), uint64(base))
}

func pageKey(at Place, block int64, first RouteID) []byte {
	return binary.BigEndian.AppendUint32(append(blockKey(at, block), reachedPage), uint32(first))
}

const blockKeyBytes = 1 + 4 + 4 + 8

// arrived is what a frame has of one partition.
type arrived struct {
	from     record.Offset // where the partition ended before
	postings []posting
}

// reach notes the records of a routed fact.
func (f *Folder) reach(x *routed) {
	f.steps.next(x.at)
	a := f.Arrivals[x.at]
	if f.store == nil || a == nil {
		return
	}
	in := f.reached[x.at]
	if in == nil {
		if n := len(f.spare); n > 0 {
			in, f.spare = f.spare[n-1], f.spare[:n-1]
		} else {
			in = &arrived{}
		}
		in.from = x.base
		f.reached[x.at] = in
	}
	base := x.base
	for i := range x.runs {
		r := &x.runs[i]
		if r.Route != 0 && r.Count > 0 {
			in.postings = append(in.postings, posting{r.Route, base, r.Count, r.Bytes, f.seq, f.timeMS, r.Plain, f.steps.n})
		}
		base += record.Offset(r.Count)
	}
}

const sparesMax = 64 // of partitions that a frame has something of, whose memory is kept for the next

// writeReached writes the rows of what has arrived.
func (f *Folder) writeReached() error {
	for at, in := range f.reached {
		if a := f.Arrivals[at]; a != nil {
			if err := f.writeArrived(at, in, a.End); err != nil {
				return fmt.Errorf("routes of partition %d of stream %d: %w", at.Partition, at.Stream, err)
			}
		}
		if len(f.spare) < sparesMax {
			in.postings = emptied(in.postings)
			f.spare = append(f.spare, in)
		}
	}
	clear(f.reached)
	return nil
}

func (f *Folder) writeArrived(at Place, in *arrived, end record.Offset) error {
	ps := in.postings
	for block := blockOf(in.from); block < blockOf(end); block++ {
		full := record.Offset((block + 1) * blockOffsets)
		n := 0
		for n < len(ps) && ps[n].end() <= full {
			n++
		}
		mine := ps[:n:n]
		if ps = ps[n:]; len(ps) > 0 && ps[0].base < full {
			before, behind := ps[0].cut(full)
			mine, ps[0] = append(mine, before), behind
		}
		if err := f.fill(at, block, mine); err != nil {
			return err
		}
	}
	if len(ps) > 0 {
		f.buf = appendLog(f.buf[:0], ps)
		f.rows.Set(logKey(at, blockOf(end), ps[0].base), f.buf)
	}
	return nil
}

// fill ends a block: what is in its log rows, and what the frame adds, becomes pages.
func (f *Folder) fill(at Place, block int64, more []posting) error {
	low, high := append(blockKey(at, block), reachedLog), append(blockKey(at, block), reachedPage)
	all := f.block.found[:0]
	it, err := f.store.Iter(low, high)
	if err != nil {
		return err
	}
	defer it.Close()
	logged := false
	for ok := it.SeekGE(low); ok; ok = it.Next() {
		logged = true
		if all, err = readLog(all, it.Key(), it.Value()); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	if logged {
		f.rows.DeleteRange(low, high)
	}
	all = append(all, more...)
	f.filled(at, all)
	f.block.found = all
	for rest := f.block.byRoute(); len(rest) > 0; {
		first := rest[0].route
		f.buf, rest = appendPage(f.buf[:0], rest, record.Offset(block*blockOffsets))
		f.rows.Set(pageKey(at, block, first), f.buf)
	}
	return nil
}

// sorting is the memory of a block that is being filled: at most blockOffsets postings, since each is of one offset at least.
type sorting struct {
	found, sorted []posting
	keys          []uint64
}

// byRoute gives what was found in the order of routes, and of offsets, in which it is, of each.
func (x *sorting) byRoute() []posting {
	x.keys, x.sorted = x.keys[:0], x.sorted[:0]
	for i := range x.found {
		x.keys = append(x.keys, uint64(x.found[i].route)<<32|uint64(i))
	}
	slices.Sort(x.keys) // numbers sort in a fourth of the time that postings take
	for _, k := range x.keys {
		x.sorted = append(x.sorted, x.found[uint32(k)])
	}
	return x.sorted
}

// A log row: seq uvarint, time varint, then, up to its end, for each posting: gap from the end of the one before uvarint (the first from
// the offset in the key), route uvarint, step · 65536 + count · 2 + 1 if plain uvarint, bytes uvarint.
func appendLog(dst []byte, ps []posting) []byte {
	dst = binary.AppendVarint(binary.AppendUvarint(dst, ps[0].seq), ps[0].time)
	last := ps[0].base
	for i := range ps {
		p := &ps[i]
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(p.base-last)), uint64(p.route))
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, p.countStep()), uint64(p.bytes))
		last = p.end()
	}
	return dst
}

func countPlain(n int64, plain bool) uint64 {
	if plain {
		return uint64(n)<<1 | 1
	}
	return uint64(n) << 1
}

func readLog(dst []posting, key, value []byte) ([]posting, error) {
	if len(key) != blockKeyBytes+1+8 {
		return dst, fmt.Errorf("a key of %d bytes", len(key))
	}
	b := fact.ReadBody(value)
	last := record.Offset(binary.BigEndian.Uint64(key[blockKeyBytes+1:]))
	p := posting{seq: b.Uvarint(), time: b.Varint()}
	for b.Rest() > 0 {
		p.base = last + readOffset(b)
		p.route = RouteID(b.Uvarint())
		p.readCount(b)
		if p.base < last || p.count > blockOffsets {
			return dst, fmt.Errorf("%d records at offset %d", p.count, p.base)
		}
		dst, last = append(dst, p), p.end()
	}
	return dst, b.Err()
}

func (p *posting) readCount(b *fact.Body) {
	n := b.Uvarint()
	p.step, p.count, p.plain, p.bytes = uint16(n>>stepShift), int64(n&(1<<stepShift-1)>>1), n&1 != 0, int64(b.Uvarint())
}

// countStep is count and step in one number, which is as small as without a step where a frame has one partition only.
func (p *posting) countStep() uint64 { return countPlain(p.count, p.plain) | uint64(p.step)<<stepShift }

// stepShift leaves room for twice the greatest count, that of a whole block.
const stepShift = 16

// steps counts how often the appends of a frame go from one partition to another, so that what came with it can be told in the order in which it
// came. It ends at its greatest number: what comes then is told partition by partition.
type steps struct {
	at   Place
	n    uint16
	some bool
}

func (s *steps) next(at Place) {
	if s.some && s.at != at && s.n < 1<<16-1 {
		s.n++
	}
	s.at, s.some = at, true
}

// A page: for each route, ascending: difference from the one before uvarint (the first from that of the key), length of its postings
// uvarint, postings. A posting: gap from the end of the one before uvarint (the first from the block's first offset), step · 65536 + count · 2 +
// 1 if plain uvarint, bytes uvarint, seq and time as difference from the one before uvarint, varint (the first from 0).
func appendPage(dst []byte, ps []posting, start record.Offset) (page []byte, rest []posting) {
	last := ps[0].route
	var body []byte
	for len(ps) > 0 && (len(dst) == 0 || len(dst) < pageBytes) {
		r := ps[0].route
		body = body[:0]
		was := posting{base: start}
		for len(ps) > 0 && ps[0].route == r {
			p := &ps[0]
			body = binary.AppendUvarint(binary.AppendUvarint(body, uint64(p.base-was.end())), p.countStep())
			body = binary.AppendUvarint(binary.AppendUvarint(body, uint64(p.bytes)), p.seq-was.seq)
			body = binary.AppendVarint(body, p.time-was.time)
			was, ps = *p, ps[1:]
		}
		dst = fact.AppendBytes(binary.AppendUvarint(dst, uint64(r-last)), body)
		last = r
	}
	return dst, ps
}

// readPage adds the postings of those routes that are wanted. start is the block's first offset.
func readPage(dst []posting, key, value []byte, start record.Offset, wanted func(RouteID) bool) ([]posting, error) {
	if len(key) != blockKeyBytes+1+4 {
		return dst, fmt.Errorf("a key of %d bytes", len(key))
	}
	b := fact.ReadBody(value)
	r := RouteID(binary.BigEndian.Uint32(key[blockKeyBytes+1:]))
	for b.Rest() > 0 {
		r += RouteID(b.Uvarint())
		body := b.Bytes()
		if !wanted(r) {
			continue
		}
		var err error
		if dst, err = readPostings(dst, r, body, start); err != nil {
			return dst, err
		}
	}
	return dst, b.Err()
}

func readPostings(dst []posting, r RouteID, body []byte, start record.Offset) ([]posting, error) {
	b := fact.ReadBody(body)
	was := posting{route: r, base: start}
	for b.Rest() > 0 {
		p := posting{route: r, base: was.end() + readOffset(b)}
		p.readCount(b)
		p.seq, p.time = was.seq+b.Uvarint(), was.time+b.Varint()
		if p.base < was.end() || p.end() > start+blockOffsets || p.end() < p.base {
			return dst, fmt.Errorf("%d records of route %d at offset %d", p.count, r, p.base)
		}
		dst, was = append(dst, p), p
	}
	return dst, b.Err()
}

// dropReached takes the rows of a stream away.
func dropReached(rows state.Batch, id record.StreamID) {
	k := binary.BigEndian.AppendUint32([]byte{state.PrefixReached}, uint32(id))
	rows.DeleteRange(k, state.After(k))
}
