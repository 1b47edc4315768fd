package shard

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/segment"
	"leat/storage/state"
)

// window moves the oldest part of what is only in the journal to segment files.
//
// The run rows of state are what is not yet moved, in the order of segment files. So a window is one walk over them that takes the runs of
// frames up to a target; nothing of it is planned in memory.
//
//	rows     (1,0)[frame 3][frame 9] (1,1)[frame 4] (7,0)[frame 2][frame 8][frame 11]        target: frame 8
//	taken    (1,0)[frame 3]          (1,1)[frame 4] (7,0)[frame 2][frame 8]
//
// Then, each only after the one before: the files are synced, the manifest names them, the rows go, rows and keys are made durable, the journal
// lets go. A crash in between repeats the rest: rows that lie below the end of the files are passed over by readers and removed by the next window.
//
// An early one leaves state and keys to be flushed when they are: flushing them each time would make many small files of them, and nothing waits for the journal to
// let go.
func (k *keeper) window(early bool) (bool, error) {
	p := k.s.published
	before := k.pending.Load()
	p.touched.begin()
	from, tail := k.through.Load(), p.Seq()
	target, rest, err := k.target(from, tail)
	if err != nil {
		return false, err
	}
	if target <= from { // what is counted has moved before the shard was opened
		k.pending.Add(-before)
		return false, nil
	}
	// Where there are segment files, an empty state is one that was lost, unless the journal begins with frame 1 (see reaches); and numbers of frames
	// have gaps. So state is durable before the first of them.
	if p.store.Durable().Seq == 0 {
		if err := p.store.Flush(); err != nil {
			return false, fmt.Errorf("make state durable: %w", err)
		}
	}
	w := &moving{k: k, from: from, target: target, build: k.newBuild()}
	files, err := w.moveAll()
	if err != nil {
		w.build.Abort()
		return false, err
	}
	if err := p.segments.Commit(segment.Edit{Add: files, Through: target}); err != nil {
		w.build.Abort()
		return false, fmt.Errorf("name the new segment files: %w", err)
	}
	k.through.Store(target)
	k.pending.Add(rest - before)
	k.kept.Store(p.segments.Metrics().DataBytes)
	k.windows.Add(1)
	if err := w.dropRows(); err != nil {
		return true, err
	}
	if k.unsettled += before - rest; early && k.unsettled+k.pending.Load() < k.cfg.WindowBytes {
		return true, nil
	}
	k.unsettled = 0
	return true, k.settle(target)
}

// settle makes rows and keys durable as far as a window needs it, so that the journal can let go of the window.
func (k *keeper) settle(target uint64) error {
	p := k.s.published
	if p.store.Durable().Seq < target {
		if err := p.store.Flush(); err != nil {
			return fmt.Errorf("make state durable: %w", err)
		}
	}
	if p.keys.Durable() < target {
		if err := p.keys.Flush(); err != nil {
			return fmt.Errorf("make the index of keys durable: %w", err)
		}
	}
	return k.trim()
}

// paced is called after every piece that was written.
func (k *keeper) paced(n int) error {
	if k.cfg.Unpaced {
		return nil
	}
	pressure := float64(k.pending.Load()-k.cfg.WindowBytes) / float64(max(k.cfg.BacklogBytesMax-k.cfg.WindowBytes, 1))
	return k.pace.took(n, pressure, k.stop)
}

const targetBuckets = 1024

// target chooses the last frame of a window: as many frames as make WindowBytes, or all when there are not many more. rest is what stays, in bytes.
//
// Near the end of the disk a window is as large as there is room for, so that moving leaves a part of the reserve to clean-up. What has been removed
// since takes no room: after a truncation windows go on.
func (k *keeper) target(from, tail uint64) (target uint64, rest int64, err error) {
	var all, live [targetBuckets]int64
	width := (tail-from)/targetBuckets + 1
	total, living := int64(0), int64(0)
	p := k.s.published
	err = p.eachRow(nil, func(at partitionKey, run *stream.Run) bool {
		if run.Seq > from && run.Seq <= tail {
			i := (run.Seq - from - 1) / width
			all[i] += run.Bytes
			total += run.Bytes
			if p.isLive(at, run) {
				live[i] += run.Bytes
				living += run.Bytes
			}
		}
		return true
	})
	room := k.room()
	if err != nil || living <= min(room, k.cfg.WindowBytes+k.cfg.WindowBytes/4) {
		return tail, 0, err
	}
	sum, moved := int64(0), int64(0) // of all, and of what is still there
	for i := range all {
		if room -= live[i]; room < 0 {
			if i == 0 {
				return 0, 0, errNoRoom
			}
			return min(from+uint64(i)*width, tail), total - sum, nil
		}
		sum, moved = sum+all[i], moved+live[i]
		if moved >= k.cfg.WindowBytes {
			return min(from+uint64(i+1)*width, tail), total - sum, nil
		}
	}
	return tail, 0, nil
}

// errNoRoom is why nothing is moved on a disk that is nearly full. The events stay in the journal.
var errNoRoom = errors.New("the disk is nearly full: truncate or delete streams, or add space")

// room is how much a window may write.
func (k *keeper) room() int64 {
	if k.cfg.Room == nil {
		return math.MaxInt64
	}
	return k.cfg.Room()
}

// isLive says whether a run is still wanted.
func (p *Published) isLive(at partitionKey, run *stream.Run) bool {
	part := p.Part(at.stream, at.partition)
	if part == nil {
		return false
	}
	start, _ := part.Ends()
	return run.Next > start
}

// partitionKey names a partition in the order of rows.
type partitionKey struct {
	stream    record.StreamID
	partition record.PartitionID
}

// eachRow walks the run rows from a key on, until fn returns false.
func (p *Published) eachRow(from []byte, fn func(at partitionKey, run *stream.Run) bool) error {
	lo := []byte{state.PrefixRun}
	it, err := p.store.Iter(lo, state.After(lo))
	if err != nil {
		return err
	}
	defer it.Close()
	if from == nil {
		from = lo
	}
	for ok := it.SeekGE(from); ok; ok = it.Next() {
		at, run, err := readRow(it)
		if err != nil {
			return err
		}
		if !fn(at, &run) {
			return nil
		}
	}
	return it.Err()
}

func readRow(it state.Iterator) (partitionKey, stream.Run, error) {
	run, err := stream.ReadRun(it.Key(), it.Value())
	if err != nil {
		return partitionKey{}, run, err
	}
	id, n := stream.RunOf(it.Key())
	return partitionKey{id, n}, run, nil
}

// moving is one window on its way.
type moving struct {
	k      *keeper
	from   uint64 // all of frames up to here is in files, also where a file cannot be read
	target uint64
	build  *segment.Build
	it     state.Iterator
	buf    []byte
	gone   []goneRows
}

// goneRows are the rows of one partition that a window made needless.
type goneRows struct {
	lo, hi []byte
	rows   int
}

func (w *moving) moveAll() ([]segment.File, error) {
	p := w.k.s.published
	lo := []byte{state.PrefixRun}
	it, err := p.store.Iter(lo, state.After(lo))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	w.it = it
	for ok := it.SeekGE(lo); ok; {
		at, _, err := readRow(it)
		if err != nil {
			return nil, err
		}
		if err := w.partition(at); err != nil {
			return nil, err
		}
		next := state.After(stream.PartitionKey(state.PrefixRun, at.stream, at.partition))
		ok = it.SeekGE(next)
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	return w.build.Finish()
}

// partition moves the runs of one partition. It walks them twice: the first time to know how many bytes they are, which decides whether they get
// a file of their own.
func (w *moving) partition(at partitionKey) error {
	p := w.k.s.published
	low := stream.PartitionKey(state.PrefixRun, at.stream, at.partition)
	part := p.Part(at.stream, at.partition)
	if part == nil {
		return nil // deleted; its rows go with it
	}
	start, _ := part.Ends()
	end := record.Offset(0)
	if e, ok := p.segments.End(uint32(at.stream), uint32(at.partition)); ok {
		end = record.Offset(e)
	}
	total, rows, last := int64(0), 0, record.Offset(0)
	for ok := w.it.SeekGE(low); ok && bytes.HasPrefix(w.it.Key(), low); ok = w.it.Next() {
		_, run, err := readRow(w.it)
		if err != nil {
			return err
		}
		if run.Seq > w.target {
			break
		}
		rows, last = rows+1, run.Next
		if run.Seq > w.from && run.Base >= end && run.Next > start {
			total += run.Bytes
		}
	}
	if rows == 0 {
		return w.it.Err()
	}
	w.gone = append(w.gone, goneRows{low, stream.RunKey(at.stream, at.partition, last), rows})
	if total == 0 {
		return w.it.Err()
	}
	if err := w.build.Piece(uint32(at.stream), uint32(at.partition), total); err != nil {
		return err
	}
	for ok := w.it.SeekGE(low); ok && bytes.HasPrefix(w.it.Key(), low); ok = w.it.Next() {
		_, run, err := readRow(w.it)
		if err != nil {
			return err
		}
		if run.Seq > w.target {
			break
		}
		if run.Seq <= w.from || run.Base < end || run.Next <= start {
			continue
		}
		if err := w.moveRun(at, &run); err != nil {
			return fmt.Errorf("stream %d, partition %d, offset %d: %w", at.stream, at.partition, run.Base, err)
		}
	}
	return w.it.Err()
}

// moveRun checks every batch on the way: what is damaged stays in the journal, where it is found and reported.
func (w *moving) moveRun(at partitionKey, run *stream.Run) error {
	if run.Bytes <= 0 || run.Bytes > runReadMax {
		return fmt.Errorf("run of %d bytes", run.Bytes)
	}
	if int64(cap(w.buf)) < run.Bytes {
		w.buf = make([]byte, run.Bytes)
	}
	buf := w.buf[:run.Bytes]
	j := *w.k.s.published.journal.Load()
	if err := j.ReadAt(journal.Place(run.Place), run.Off, buf); err != nil {
		if errors.Is(err, journal.ErrClosed) {
			return errKeeperStopped // or being recovered: again, later
		}
		return err
	}
	if err := checkRun(run, buf); err != nil {
		return err
	}
	return w.build.Add(segment.Run{
		Stream: uint32(at.stream), Partition: uint32(at.partition), Base: uint64(run.Base), Next: uint64(run.Next), Seq: run.Seq, Batch: run.Batch,
		TimeMS: run.TimeMS, MaxTimeMS: run.MaxTimeMS, Origin: run.Origin, Bytes: run.Bytes,
	}, buf)
}

func checkRun(run *stream.Run, buf []byte) error {
	base := run.Base
	for len(buf) > 0 {
		h, err := record.ParseBatchHeader(buf)
		if err != nil {
			return err
		}
		if _, err := record.CheckStored(buf[:h.Bytes], base, stream.LeaderEpoch); err != nil {
			return err
		}
		base, buf = h.LastOffset()+1, buf[h.Bytes:]
	}
	if base != run.Next {
		return fmt.Errorf("run ends at offset %d, expected %d", base, run.Next)
	}
	return nil
}

const (
	rowsSingleMax = 4    // rows of a partition removed one by one; more are removed as a range
	dropAtOnceMax = 4096 // partitions whose rows are removed in one batch
)

// dropRows removes the rows of what has moved.
func (w *moving) dropRows() error {
	for len(w.gone) > 0 {
		n := min(len(w.gone), dropAtOnceMax)
		if err := w.k.s.published.dropRows(w.gone[:n]); err != nil {
			return fmt.Errorf("remove the rows of what has moved: %w", err)
		}
		w.gone = w.gone[n:]
	}
	return nil
}

func (p *Published) dropRows(gone []goneRows) error {
	b := p.store.NewBatch()
	for i := range gone {
		g := &gone[i]
		if g.rows > rowsSingleMax {
			b.DeleteRange(g.lo, g.hi)
			continue
		}
		if err := p.eachKey(g.lo, g.hi, b.Delete); err != nil {
			b.Discard()
			return err
		}
	}
	p.storeMu.Lock()
	defer p.storeMu.Unlock()
	return p.store.Apply(b, p.store.Applied())
}

func (p *Published) eachKey(lo, hi []byte, fn func(key []byte)) error {
	it, err := p.store.Iter(lo, hi)
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		fn(it.Key())
	}
	return it.Err()
}
