package sim

import (
	"errors"
	"slices"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/storage/journal"
	"leat/storage/segment"
	"leat/storage/state"
	"leat/storage/vfs/faulty"
)

// What happens to events after they were appended: the keeper's steps, and readers in the middle of them.

// keptCounts are what the keeper came to do in a run, so that a test can tell that it did.
type keptCounts struct {
	windows, merges, trims, keyMerges, overtaken, deleted, lost int64
	compacted, tombstones, modes, built                         int64
}

func (k *keptCounts) add(o keptCounts) {
	k.windows, k.merges, k.trims, k.keyMerges = k.windows+o.windows, k.merges+o.merges, k.trims+o.trims, k.keyMerges+o.keyMerges
	k.overtaken, k.deleted, k.lost = k.overtaken+o.overtaken, k.deleted+o.deleted, k.lost+o.lost
	k.compacted, k.tombstones, k.modes, k.built = k.compacted+o.compacted, k.tombstones+o.tombstones, k.modes+o.modes, k.built+o.built
}

// keep lets the shard move events to segment files, merge and let go. Where calls fail at all, they fail here more often than elsewhere.
func (w *World) keep() {
	if w.dice.callFault > 0 && w.rng.IntN(3) == 0 {
		w.arm()
	}
	before, faults, keys := w.node.KeepStats(), w.faults, w.index.Metrics().Merges
	did, err := w.node.Keep()
	w.tracef("keep: %t, %v", did, err)
	// Beside a hole that compaction has left, a lost file may have held what is missing: whoever copies that is refused, as readers are.
	var damaged *segment.CorruptError
	if told := errors.As(err, &damaged) && w.lost() && w.dice.compact; err != nil && w.faults == faults && !told {
		w.failf("the keeper fails, and nothing did: %v", err)
	}
	after := w.node.KeepStats()
	w.kept.windows, w.kept.merges = w.kept.windows+after.Windows-before.Windows, w.kept.merges+after.Merges-before.Merges
	w.kept.keyMerges += w.index.Metrics().Merges - keys
}

const settleSteps = 500

// settle lets the keeper come to its end and looks at what it leaves: nothing that nobody names, nothing that nobody needs.
func (w *World) settle() {
	w.flush()
	for _, h := range w.held {
		h.c.Close()
	}
	for _, x := range w.walks {
		x.h.Close()
	}
	w.held, w.walks = nil, nil
	for n := 0; ; n++ {
		did, err := w.node.Keep()
		if err != nil || n > settleSteps {
			w.failf("the keeper does not come to rest: step %d, %v", n, err)
			return
		}
		if !did {
			break
		}
	}
	w.checkStored("kept")
	if w.err != nil {
		return
	}
	w.checkFolders()
	for _, d := range w.files.Dead(w.startOf) {
		if d.Whole {
			w.failf("segment file %d holds nothing that is there", d.ID)
		}
	}
	if damage, err := w.files.Verify(nil); err != nil || len(damage) > 0 {
		w.failf("verify of segment files: %v, %v", damage, err)
	}
	if damage, err := w.index.Verify(nil); err != nil || len(damage) > 0 {
		w.failf("verify of key files: %v, %v", damage, err)
	}
}

// checkFolders: no file lies about. One that could not be removed waits for the next open.
func (w *World) checkFolders() {
	if w.faults != w.faultsAtBoot {
		return
	}
	names, err := w.disk.List("/segments")
	if want := 2 * len(w.files.Files()); err != nil || len(names) < want || len(names) > want+2 { // with LOCK, and a manifest when there was a commit
		w.failf("%d segment files, and in the folder %v, %v", want/2, names, err)
	}
	names, err = w.disk.List("/keys")
	if want := int(w.index.Metrics().Files); err != nil || len(names) < want || len(names) > want+2 {
		w.failf("%d key files, and in the folder %v, %v", want, names, err)
	}
}

func (w *World) startOf(id, n uint32) uint64 {
	part := w.node.Published().Part(record.StreamID(id), record.PartitionID(n))
	if part == nil {
		return ^uint64(0)
	}
	start, _ := part.Ends()
	return uint64(start)
}

// lost: a segment file could not be opened. It counts as lost until the next open.
func (w *World) lost() bool {
	return slices.ContainsFunc(w.files.Files(), func(f segment.FileInfo) bool { return f.Lost })
}

// useLost runs the shard while files are lost, as nobody may have noticed. What they hold is refused, the rest is served, the keeper makes nothing
// worse. Then the shard is stopped, to be opened again.
func (w *World) useLost() {
	w.fs.SetRule(nil)
	w.kept.lost++
	w.learnNames()
	w.catchUp()
	for range 3 {
		w.keep()
		w.fs.SetRule(nil)
	}
	pub := w.node.Published()
	for _, at := range w.lanes() {
		src, _ := pub.Source(at.stream, at.partition)
		start, end := src.Part.Ends()
		w.checkStart(at, start)
		for from := start; from < end && w.err == nil; {
			batches, err := pub.Read(nil, src, from, 1, shard.AllSeqs)
			if err != nil {
				w.checkRefusal(src, from, err, true)
				from++
				continue
			}
			if len(batches) == 0 || !w.mayPass(at, from, batches[0].Base) {
				w.failf("read %v from %d while files are lost: %d batches", at, from, len(batches))
				return
			}
			for _, r := range w.unpack(at, batches[0]) {
				w.show(r)
			}
			from = batches[0].Next
		}
	}
	w.node = nil
	if err := errors.Join(w.journal.Close(), w.index.Close(), w.files.Close()); err != nil {
		w.failf("close: %v", err)
	}
	w.tracef("closed, to find what is lost")
}

// hookedStore and hookedJournal let other things happen in the middle of a read: behind the look at rows, and before what they name is read from
// the journal. These are the places where a reader on a goroutine of its own can be overtaken.
type hookedStore struct {
	state.Store
	w *World
}

func (s hookedStore) Iter(lo, hi []byte) (state.Iterator, error) {
	it, err := s.Store.Iter(lo, hi)
	s.w.overtake()
	return it, err
}

type hookedJournal struct {
	journal.Journal
	w *World
}

func (j hookedJournal) ReadAt(place journal.Place, off int64, p []byte) error {
	j.w.overtake()
	return j.Journal.ReadAt(place, off, p)
}

func (w *World) between(j journal.Journal, err error) (journal.Journal, error) {
	if err != nil {
		return nil, err
	}
	return hookedJournal{j, w}, nil
}

func (w *World) overtake() {
	if fn := w.hook; fn != nil {
		w.hook = nil
		fn()
	}
}

// meanwhile is what overtakes a reader: the keeper goes some steps, and frames are published.
func (w *World) meanwhile() {
	w.kept.overtaken++
	for range 1 + w.rng.IntN(4) {
		if w.rng.IntN(3) == 0 {
			w.publish()
		} else {
			w.keep()
		}
	}
}

// read is a reader somewhere in a partition, from memory, journal or files, sometimes with a disk that flips a bit, sometimes overtaken.
func (w *World) read() {
	at, ok := w.someLane()
	if !ok {
		return
	}
	pub := w.node.Published()
	src, _ := pub.Source(at.stream, at.partition)
	start, end := src.Part.Ends()
	from := start + record.Offset(w.rng.IntN(int(end-start)+1))
	flip := w.dice.flip > 0 && w.rng.IntN(w.dice.flip) == 0
	if flip {
		bit := 1 + w.rng.IntN(8<<10)
		w.fs.SetRule(func(faulty.Call) faulty.Fault { return faulty.Fault{FlipBit: bit} })
	} else if w.dice.window > 0 && w.rng.IntN(2) == 0 {
		n := w.rng.IntN(3)
		w.hook = func() {
			if n--; n < 0 {
				w.meanwhile()
			} else {
				n, w.hook = n-1, w.meanwhile
			}
		}
	}
	faults := w.faults
	batches, err := pub.Read(nil, src, from, 1+w.rng.IntN(4<<10), shard.AllSeqs)
	w.hook = nil
	if flip {
		w.fs.SetRule(nil)
	}
	w.tracef("read %v from %d of %d, flip %v: %d batches, %v", at, from, end, flip, len(batches), err)
	if err != nil {
		w.checkRefusal(src, from, err, flip || faults != w.faults)
		return
	}
	next := from
	for _, b := range batches {
		if b.Next <= next || !w.mayPass(at, next, b.Base) {
			w.failf("read %v from %d: a batch of %d to %d where %d comes next", at, from, b.Base, b.Next, next)
		}
		for _, r := range w.unpack(at, b) {
			w.show(r)
		}
		next = b.Next
	}
	if len(batches) == 0 && from < end {
		w.failf("read %v from %d finds nothing; the end is %d", at, from, end)
	}
}

// checkRefusal: a reader that gets nothing is told the truth about why.
func (w *World) checkRefusal(src shard.Source, from record.Offset, err error, failed bool) {
	at := lane{src.Stream, src.Partition}
	start, _ := src.Part.Ends()
	there := w.node.Published().Part(src.Stream, src.Partition) == src.Part
	switch {
	case fault.Is(err, fault.Trimmed) && from < start:
		var f *fault.Error
		if errors.As(err, &f) && f.Detail != start {
			w.failf("read %v from %d: the earliest is said to be %v, and is %d", at, from, f.Detail, start)
		}
	case fault.Is(err, fault.NotFound) && !there:
	case (fault.Is(err, fault.Corrupt) || fault.Is(err, fault.Unavailable)) && failed:
	default:
		w.failf("read %v from %d of %d, there %t: %v", at, from, start, there, err)
	}
}

func (w *World) someLane() (lane, bool) {
	all := w.lanes()
	if len(all) == 0 {
		return lane{}, false
	}
	return all[w.rng.IntN(len(all))], true
}

// walk is a reader of a key that takes its time: steps of everybody else come between two of its own.
type walk struct {
	keyOf
	h        *shard.KeyHistory
	backward bool
	left     []placed // what it may be given, in order
}

// heldCursor is a reader of segment files that takes its time.
type heldCursor struct {
	lane
	c     *segment.Cursor
	next  record.Offset
	start record.Offset // of the partition when it was opened
}

const slowReadersMax = 4

// walk opens a slow reader, or lets one go on.
func (w *World) walk() {
	if w.rng.IntN(2) == 0 {
		w.walkKey()
	} else {
		w.walkFiles()
	}
}

func (w *World) walkKey() {
	if len(w.walks) < slowReadersMax && w.rng.IntN(3) == 0 {
		w.openWalk()
		return
	}
	if len(w.walks) == 0 {
		return
	}
	i := w.rng.IntN(len(w.walks))
	x := w.walks[i]
	for range 1 + w.rng.IntN(3) {
		faults := w.faults
		e, ok := x.h.Next()
		if !ok {
			err := x.h.Err()
			if err != nil && faults == w.faults {
				w.failf("walk of %v: %v", x.keyOf, err)
			}
			for _, r := range x.left {
				if err == nil && w.isThere(r) && !w.mayGo(r) {
					w.failf("walk of %v ends before offset %d of partition %d", x.keyOf, r.offset, r.partition)
				}
			}
			x.h.Close()
			w.walks = slices.Delete(w.walks, i, i+1)
			return
		}
		for len(x.left) > 0 && (x.left[0].offset != e.Offset || x.left[0].partition != e.Partition) && (!w.isThere(x.left[0]) || w.mayGo(x.left[0])) {
			x.left = x.left[1:]
		}
		if len(x.left) == 0 || x.left[0].offset != e.Offset || x.left[0].partition != e.Partition || x.left[0].seq != e.Seq || x.left[0].batch != e.Batch {
			w.failf("walk of %v is given %+v, expected one of %+v", x.keyOf, e, x.left)
			return
		}
		x.left = x.left[1:]
	}
}

func (w *World) isThere(r placed) bool {
	part := w.node.Published().Part(r.stream, r.partition)
	if part == nil {
		return false
	}
	start, _ := part.Ends()
	return r.offset >= start
}

// openWalk begins to read a key of which everything is known.
func (w *World) openWalk() {
	at, ok := w.someLane()
	pub := w.node.Published()
	if !ok || w.names[uint32(at.stream)].keys < historyKept {
		return
	}
	src, _ := pub.Source(at.stream, at.partition)
	start, end := src.Part.Ends()
	if start == end || int(end) != len(w.seen[at]) || w.seen[at][end-1].key == "" {
		return
	}
	x := &walk{keyOf: keyOf{at.stream, w.seen[at][end-1].key}, backward: w.rng.IntN(2) == 0}
	if st, _ := pub.Stream(at.stream); st.Partial || w.dice.compact && w.unseen(at.stream) {
		return
	}
	for _, r := range w.byKey()[x.keyOf] {
		if w.isThere(r) {
			x.left = append(x.left, r)
		}
	}
	if x.backward {
		slices.Reverse(x.left)
	}
	x.h = pub.History(x.stream, []byte(x.key), nil, x.backward, pub.Seq())
	w.walks = append(w.walks, x)
	w.tracef("walk of %v begins, %d records", x.keyOf, len(x.left))
}

func (w *World) walkFiles() {
	if len(w.held) < slowReadersMax && w.rng.IntN(3) == 0 {
		at, ok := w.someLane()
		if !ok {
			return
		}
		start, _ := w.node.Published().Part(at.stream, at.partition).Ends()
		w.held = append(w.held, &heldCursor{lane: at, c: w.files.Cursor(uint32(at.stream), uint32(at.partition)), start: start})
		return
	}
	if len(w.held) == 0 {
		return
	}
	i := w.rng.IntN(len(w.held))
	h := w.held[i]
	for range 1 + w.rng.IntN(3) {
		faults := w.faults
		data, ok := []byte(nil), h.c.Next()
		err := h.c.Err()
		if ok {
			data, err = h.c.Read(nil)
		}
		if err != nil && faults == w.faults {
			w.failf("cursor of %v: %v", h.lane, err)
		}
		if err != nil || !ok {
			h.c.Close()
			w.held = slices.Delete(w.held, i, i+1)
			return
		}
		w.checkRun(h, data)
	}
}

// checkRun compares what a held cursor reads, which may have been trimmed since, with what was seen.
func (w *World) checkRun(h *heldCursor, data []byte) {
	run := h.c.Run()
	if base := record.Offset(run.Base); base != h.next && base > h.start && !w.mayPass(h.lane, max(h.next, h.start), base) {
		w.failf("cursor of %v: from %d to %d, and the partition began at %d", h.lane, h.next, base, h.start)
	}
	for batch := run.Batch; len(data) > 0; batch++ {
		head, err := record.ParseBatchHeader(data)
		if err != nil {
			w.failf("cursor of %v: %v", h.lane, err)
			return
		}
		rows, err := unpackRaw(h.lane, data[:head.Bytes])
		if err != nil {
			w.failf("cursor of %v: %v", h.lane, err)
		}
		for _, r := range rows {
			r.seq, r.batch, r.timeMS = run.Seq, batch, run.TimeMS
			w.show(r)
		}
		data = data[head.Bytes:]
	}
	h.next = record.Offset(run.Next)
}
