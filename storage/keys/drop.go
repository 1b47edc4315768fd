package keys

import (
	"cmp"
	"slices"
)

// DropStream says that a stream is gone for good: nobody sees its entries any more, merges leave them out, and files that hold nothing else
// vanish. It returns at once; the manifest remembers it from the next commit on, which is never later than the one that makes the frame
// durable in which it was called, before its Through. A stream's number is never used again.
func (x *Index) DropStream(stream uint32) {
	x.mu.Lock()
	was := *x.drops.Load()
	at, found := findDrop(was, stream)
	d := drop{stream: stream, below: x.next, seq: x.through.Load() + 1}
	if found {
		was = slices.Clone(was)
		was[at] = d
	} else {
		was = slices.Insert(slices.Clone(was), at, d)
	}
	x.drops.Store(&was)
	x.mu.Unlock()
	x.signal(wakeLarge)
}

func findDrop(drops []drop, stream uint32) (int, bool) {
	return slices.BinarySearchFunc(drops, stream, func(d drop, s uint32) int { return cmp.Compare(d.stream, s) })
}

func (x *Index) dropped(stream uint32) bool {
	drops := *x.drops.Load()
	if len(drops) == 0 {
		return false
	}
	_, found := findDrop(drops, stream)
	return found
}

// settleDrops parts the drops into those that a manifest with these files has to remember and those of which nothing is left: no file that
// is old enough spans the stream, and no chunk in memory has frames from before the drop.
func (x *Index) settleDrops(files []fileMeta, durable uint64) (kept, settled []drop) {
	for _, d := range *x.drops.Load() {
		left := durable < d.seq || slices.ContainsFunc(files, func(m fileMeta) bool {
			return m.number < d.below && m.first.stream() <= d.stream && d.stream <= m.last.stream()
		})
		if left {
			kept = append(kept, d)
		} else {
			settled = append(settled, d)
		}
	}
	return kept, settled
}

// forgetDrops takes settled ones out, unless they were dropped again meanwhile. mu is held.
func (x *Index) forgetDrops(settled []drop) {
	if len(settled) == 0 {
		return
	}
	left := slices.DeleteFunc(slices.Clone(*x.drops.Load()), func(d drop) bool { return slices.Contains(settled, d) })
	x.drops.Store(&left)
}

// filter is what merges and the writing of chunks ask whether an entry stays. It is for one goroutine.
type filter struct {
	x      *Index
	stream uint32
	known  bool
	gone   bool
	keep   Keeper
	after  Superseded // nil: what is not the last of its key stays too
}

func (f *filter) wants(e *Entry) bool {
	if !f.known || f.stream != e.Stream {
		f.known, f.stream, f.gone, f.keep = true, e.Stream, f.x.dropped(e.Stream), nil
		f.after = nil
		if !f.gone && f.x.opt.Keep != nil {
			f.keep = f.x.opt.Keep(e.Stream)
		}
		if !f.gone && f.x.opt.Superseded != nil {
			f.after = f.x.opt.Superseded(e.Stream)
		}
	}
	return !f.gone && (f.keep == nil || f.keep(e.Partition, e.Offset))
}

// vanished returns the files that hold only dropped streams. mu is held.
func (x *Index) vanished() []*file {
	drops := *x.drops.Load()
	if len(drops) == 0 {
		return nil
	}
	var gone []*file
	for _, f := range x.view.files {
		stream := f.meta.first.stream()
		if at, found := findDrop(drops, stream); !f.busy && found && stream == f.meta.last.stream() && f.meta.number < drops[at].below {
			f.busy = true
			f.retain()
			gone = append(gone, f)
		}
	}
	return gone
}

// sweepBlocks is how many blocks of a file are looked at to judge how much of it is gone, and sweepGone of 100 entries in them is when it is
// written anew.
const (
	sweepBlocks = 32
	sweepGone   = 50
)

// toSweep returns the file whose turn it is to be looked through, one for every FanIn chunks written. A round takes the files that were
// there when it began, in the order of their numbers: those made meanwhile would keep it from ever coming round. mu is held.
func (x *Index) toSweep() *file {
	if x.opt.Keep == nil && len(*x.drops.Load()) == 0 || x.flushes < int64(x.cfg.FanIn) {
		return nil
	}
	x.flushes = 0
	next := x.leastIn(x.swept+1, x.sweepEnd)
	if next == nil {
		x.swept, x.sweepEnd = 0, x.next
		next = x.leastIn(x.swept+1, x.sweepEnd)
	}
	if next != nil {
		x.swept = next.meta.number
		next.busy = true
		next.retain()
	}
	return next
}

// leastIn returns the file with the least number in from..to-1 that can be worked on. mu is held.
func (x *Index) leastIn(from, to uint64) (least *file) {
	for _, f := range x.view.files {
		n := f.meta.number
		if n >= from && n < to && !f.busy && !f.spoil.Load() && (least == nil || n < least.meta.number) {
			least = f
		}
	}
	return least
}

// mostlyGone looks at blocks spread over the file.
func (x *Index) mostlyGone(f *file) (bool, error) {
	want := filter{x: x}
	seen, gone := 0, 0
	step := max(1, len(f.sections)*sectionBlocks/sweepBlocks)
	block := 0
	for s := range f.sections {
		if step > sectionBlocks && (s*sectionBlocks)%step >= sectionBlocks {
			continue
		}
		ahead := &readahead{}
		index, err := f.index(s, ahead)
		if err != nil {
			return false, err
		}
		for block %= len(index); block < len(index); block += step {
			body, err := f.data(&index[block], ahead)
			if err != nil {
				return false, err
			}
			var r blockReader
			if err := r.open(body); err != nil {
				return false, corrupt(f.name, index[block].off, err)
			}
			for ok, _ := r.next(); ok; ok, _ = r.next() {
				seen++
				if !want.wants(&r.e) {
					gone++
				}
			}
			if r.err != nil {
				return false, corrupt(f.name, index[block].off, r.err)
			}
		}
	}
	return seen > 0 && gone*100 > seen*sweepGone, nil
}
