package shard

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/segment"
	"leat/storage/state"
)

// Compacting by age. By itself the keeper waits until much has come together; a stream may say that it does not:
//
//	appended ──▶ in the journal ──window──▶ in files ──look──▶ counted ──rewrite──▶ gone
//	             │ tail: nothing of it has been looked at  │
//
// A record is in the tail until a look has seen it. When the oldest of the tail is older than MaxLagMS, or the tail is closed and enough of the stream is
// superseded, a window is moved however small it is, the stream is looked at, and what has anything superseded of it is rewritten. So what was superseded is gone
// MaxLagMS after that, and the time this takes.
//
// What bounds it: whoever asks for a millisecond gets a pause after each window, and after each look, of agePauseMin, and of agePauseFactor times what it took; so
// the keeper is busy with this a tenth of its time at most. The small files that small windows leave are made one on the way.
//
// A file is rewritten whole, also for one record. So streams that are compacted by age share no files with others: whenever runs are put into files, theirs
// are put aside. What a window that is forced costs the others is then that they are moved sooner, in smaller files, which are merged as all are.

const (
	// agePauseMin is between two windows that were forced, and between two looks at a stream for its age.
	agePauseMin = 5 * time.Second
	// agePauseFactor times what a round has taken is the pause after it, where that is longer.
	agePauseFactor = 9
	// tailRunsMax is how many runs of a partition are counted before its tail is taken for one that is long enough.
	tailRunsMax = 1 << 16
	// smallFilesMax is how many small files of a stream are left until they are made one.
	smallFilesMax = 16
)

// timed says whether a stream has something to say about when it is compacted.
func (c *Compaction) timed() bool { return c.MaxLagMS > 0 || c.TailMS > 0 || c.TailBytes > 0 }

func (c *Compaction) ratio() float64 {
	if c.Ratio > 0 {
		return c.Ratio
	}
	return compactRatio
}

// reason is why a stream is to be compacted now.
type reason uint8

const (
	notYet  reason = iota
	closed         // its tail is, so it is when enough is superseded
	tooLong        // something has waited for as long as it may
)

// judge says what follows from the append time of the oldest record of a tail, and the bytes of it. Nothing does before the oldest is old enough to be let go of.
func (c *Compaction) judge(oldestMS, bytes, nowMS int64) reason {
	age := nowMS - oldestMS
	switch {
	case oldestMS == 0 || age < c.LagMS:
		return notYet
	case c.MaxLagMS > 0 && age >= c.MaxLagMS:
		return tooLong
	case c.TailMS > 0 && age >= c.TailMS, c.TailBytes > 0 && bytes >= c.TailBytes:
		return closed
	}
	return notYet
}

// pauseAfter is how long there is nothing of the kind after something that has taken so long.
func pauseAfter(took time.Duration) time.Duration { return max(agePauseMin, agePauseFactor*took) }

// over says whether a pause that began at since is over. A clock that was put back does not make it longer.
func over(since, now time.Time, pause time.Duration) bool {
	d := now.Sub(since)
	return d >= pause || d < 0
}

// newBuild begins files, in which streams that are compacted by age are among themselves.
func (k *keeper) newBuild() *segment.Build {
	b := k.s.published.segments.NewBuild(k.paced)
	if k.s.cfg.Compactions == nil {
		return b
	}
	timed := map[uint32]bool{}
	for _, c := range k.s.cfg.Compactions() {
		if c.timed() {
			timed[uint32(c.Stream)] = true
		}
	}
	if len(timed) > 0 {
		b.Aside(func(stream, _ uint32) bool { return timed[stream] })
	}
	return b
}

// forced says whether a window is due for the tail of some stream, however small it is.
func (k *keeper) forced() (bool, error) {
	if k.s.cfg.Compactions == nil || k.pending.Load() == 0 {
		return false, nil
	}
	now, p := k.s.cfg.Clock.Now(), k.s.published
	if !over(k.looks.forced, now, pauseAfter(k.looks.forcedTook)) || p.segments.Blind() {
		return false, nil
	}
	for _, c := range k.s.cfg.Compactions() {
		if !c.timed() {
			continue
		}
		v := p.latestView(c.Stream)
		if v == nil || !v.indexed() {
			continue
		}
		if due, err := p.tailDue(&c, v, k.through.Load(), now.UnixMilli()); due || err != nil {
			return due, err
		}
	}
	return false, nil
}

// force moves a window that is not full.
func (k *keeper) force() (bool, error) {
	began := k.s.cfg.Clock.Now()
	did, err := k.window(false)
	k.looks.forced = k.s.cfg.Clock.Now()
	k.looks.forcedTook = k.looks.forced.Sub(began)
	return did, err
}

// tailDue says whether what a stream has behind frame through, which is in the journal only, is due. Of a partition that has nothing there, only its ends are looked at.
func (p *Published) tailDue(c *Compaction, v *view, through uint64, nowMS int64) (bool, error) {
	var it state.Iterator
	for i, part := range v.parts {
		_, end := part.Ends()
		if moved, _ := p.segments.End(uint32(c.Stream), uint32(i)); record.Offset(moved) >= end {
			continue
		}
		if it == nil {
			var err error
			low, last := stream.PartitionKey(state.PrefixRun, c.Stream, 0), stream.PartitionKey(state.PrefixRun, c.Stream, record.PartitionID(len(v.parts)-1))
			if it, err = p.store.Iter(low, state.After(last)); err != nil {
				return false, err
			}
			defer it.Close()
		}
		if due, err := partTailDue(it, c, record.PartitionID(i), through, nowMS); due || err != nil {
			return due, err
		}
	}
	return false, nil
}

func partTailDue(it state.Iterator, c *Compaction, n record.PartitionID, through uint64, nowMS int64) (bool, error) {
	low := stream.PartitionKey(state.PrefixRun, c.Stream, n)
	oldest, size, runs := int64(0), int64(0), 0
	for ok := it.SeekGE(low); ok && bytes.HasPrefix(it.Key(), low); ok = it.Next() {
		_, run, err := readRow(it)
		if err != nil {
			return false, fmt.Errorf("stream %d, partition %d: %w", c.Stream, n, err)
		}
		if run.Seq <= through {
			continue // moved; its row goes with the next window
		}
		if oldest == 0 {
			oldest = max(run.TimeMS, 1)
		}
		if size, runs = size+run.Bytes, runs+1; runs == tailRunsMax {
			size = max(size, c.TailBytes)
		}
		if c.judge(oldest, size, nowMS) != notYet {
			return true, nil
		}
		if c.TailBytes == 0 || runs == tailRunsMax || nowMS-oldest < c.LagMS {
			break
		}
	}
	return false, it.Err()
}

// aged says whether a look at a stream is due for its age, and why. What files have of its tail is found once for each window.
func (k *keeper) aged(l *layout, now time.Time) reason {
	last, looked := k.looks.streams[l.id]
	if !l.timed() || looked && !over(last.at, now, pauseAfter(last.took)) {
		return notYet
	}
	if last.filed != l.through {
		last.filed, last.oldestMS = l.through, k.s.published.oldest(l, last.through)
		if looked {
			k.looks.streams[l.id] = last
		}
	}
	oldest := last.oldestMS
	if last.waitsMS > 0 && !last.rewrite && (oldest == 0 || last.waitsMS < oldest) {
		// Superseded, and not so much that it was worth a rewriting when it was looked at: it is when it has waited too long.
		if l.judge(last.waitsMS, 0, now.UnixMilli()) == tooLong {
			return tooLong
		}
	}
	return l.judge(oldest, l.bytes()-last.bytes, now.UnixMilli())
}

// oldest is when the oldest record of a stream was appended that is in files and came with a frame behind after, 0 without one.
func (p *Published) oldest(l *layout, after uint64) (timeMS int64) {
	for i := range l.parts {
		at := &l.parts[i]
		if len(at.pieces) == 0 {
			continue
		}
		c := p.segments.Cursor(uint32(l.id), uint32(i))
		// What cannot be read is left to whoever reads it.
		if c.Search(func(r *segment.Run) bool { return r.Seq > after }) && c.Run().Seq <= l.through && c.Run().Next > at.start {
			if t := max(c.Run().TimeMS, 1); timeMS == 0 || t < timeMS {
				timeMS = t
			}
		}
		c.Close()
	}
	return timeMS
}

// settleAge decides, after a look, whether what it has found is to be rewritten whatever it is worth, and notes since when it waits otherwise.
func (x *look) settleAge(l *layout, last look, why reason, nowMS int64) {
	dead := int64(0)
	for _, n := range x.dead {
		dead += n
	}
	x.through, x.filed = l.through, l.through
	x.rewrite = dead > 0 && (why == tooLong || why == closed && float64(dead) >= l.ratio()*float64(x.bytes))
	if !l.timed() || dead == 0 || x.rewrite {
		return
	}
	for _, t := range []int64{last.waitsMS, last.oldestMS, nowMS} {
		if t > 0 && (x.waitsMS == 0 || t < x.waitsMS) {
			x.waitsMS = t
		}
	}
}

// chooseAged returns the files that are to be rewritten for the age of what is in them, with the small ones of the same streams.
func (k *keeper) chooseAged(layouts []*layout, nowMS int64) (out []segment.FileID) {
	var must, small []segment.FileID
	size := map[segment.FileID]int64{}
	for _, l := range layouts {
		last := k.looks.streams[l.id]
		if !l.timed() || last.at.IsZero() {
			continue
		}
		for i := range l.parts {
			for j := range l.parts[i].pieces {
				p := &l.parts[i].pieces[j]
				if _, seen := size[p.File]; p.Damaged || p.TimeLastMS > nowMS-l.LagMS {
					continue
				} else if !seen && p.DataBytes < k.worth() {
					small = append(small, p.File)
				}
				if size[p.File] = p.DataBytes; last.rewrite && last.dead[p.File] > 0 {
					must = append(must, p.File)
				}
			}
		}
	}
	if len(must) == 0 && len(small) < smallFilesMax {
		return nil
	}
	slices.Sort(must)
	slices.Sort(small)
	bytes := int64(0)
	for _, id := range slices.Compact(append(must, small...)) {
		if slices.Contains(out, id) {
			continue
		}
		if len(out) == compactFilesMax || len(out) > 0 && bytes+size[id] > segment.MergeBytesMax {
			break
		}
		out, bytes = append(out, id), bytes+size[id]
	}
	return out
}

// rewriteAged rewrites files, and counts what it takes as part of the look at their streams, so that the pause is in proportion to both.
func (k *keeper) rewriteAged(files []segment.FileID, layouts []*layout) (bool, error) {
	began, newestMS := k.s.cfg.Clock.Now(), k.s.published.segments.LastTimeMS(files)
	did, err := k.rewrite(files)
	if !did || err != nil {
		return did, err
	}
	took := k.s.cfg.Clock.Now().Sub(began)
	for _, l := range layouts {
		last := k.looks.streams[l.id]
		if !last.rewrite || !slices.ContainsFunc(files, func(id segment.FileID) bool { return last.dead[id] > 0 }) {
			continue
		}
		last.took += took
		if newestMS > began.UnixMilli()-l.LagMS {
			last.rewrite, last.waitsMS = false, 1 // one of the files is too young for this stream, of which nothing has gone: it is looked at again
		}
		k.looks.streams[l.id] = last
	}
	return true, nil
}
