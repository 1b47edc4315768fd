package keys

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
)

// merger gives the entries of several cursors in one order. Each is at an entry.
type merger struct {
	heap    []cursor
	compare func(a, b *Entry) int
}

func (m *merger) push(c cursor) {
	m.heap = append(m.heap, c)
	for i := len(m.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if m.compare(m.heap[i].at(), m.heap[up].at()) >= 0 {
			return
		}
		m.heap[i], m.heap[up] = m.heap[up], m.heap[i]
		i = up
	}
}

func (m *merger) top() cursor { return m.heap[0] }

// settle puts the top where it belongs after it has moved; there says whether it is at an entry.
func (m *merger) settle(there bool) {
	h := m.heap
	if !there {
		last := len(h) - 1
		h[0], h[last] = h[last], nil
		h = h[:last]
		m.heap = h
	}
	for i := 0; ; {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if right := least + 1; right < len(h) && m.compare(h[right].at(), h[least].at()) < 0 {
			least = right
		}
		if m.compare(h[least].at(), h[i].at()) >= 0 {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// errStopped ends a merge when the index closes.
var errStopped = errors.New("keys: closing")

// mergeSyncBytes is after how much of a merge a sync comes, so that the disk is never given a gigabyte at once.
const mergeSyncBytes = 8 << 20

// smallTiers are the tiers that the goroutine for small merges looks after, so that they never wait for a large one.
const smallTiers = 2

// pick returns the files of the lowest tier in from..to-1 that has FanIn of them, oldest first, and takes them: busy, with a reference. A tier that
// lags gets up to twice as many at once.
func (x *Index) pick(from, to int) []*file {
	x.mu.Lock()
	defer x.mu.Unlock()
	tiers := map[uint8][]*file{}
	for _, f := range slices.Backward(x.view.files) {
		if t := int(f.meta.tier); t >= from && t < to && !f.busy && !f.spoil.Load() && f.meta.bytes < x.cfg.FileBytesMax {
			tiers[f.meta.tier] = append(tiers[f.meta.tier], f)
		}
	}
	for tier := from; tier < to && len(tiers) > 0; tier++ {
		files := tiers[uint8(tier)]
		if len(files) < x.cfg.FanIn {
			continue
		}
		files = files[:min(len(files), 2*x.cfg.FanIn)]
		n, bytes := 0, int64(0)
		for n < len(files) && (n < 2 || bytes+files[n].meta.bytes <= 2*x.cfg.FileBytesMax) {
			bytes += files[n].meta.bytes
			n++
		}
		files = files[:n]
		for _, f := range files {
			f.busy = true
			f.retain()
		}
		return files
	}
	return nil
}

// unpick lets go of what pick took.
func (x *Index) unpick(files []*file) {
	x.mu.Lock()
	for _, f := range files {
		f.busy = false
	}
	x.mu.Unlock()
	for _, f := range files {
		f.release()
	}
}

// merge puts one file in place of those that were picked.
func (x *Index) merge(files []*file) error {
	defer x.unpick(files)
	tier := slices.MaxFunc(files, func(a, b *file) int { return cmp.Compare(a.meta.tier, b.meta.tier) }).meta.tier
	if len(files) > 1 && tier < tiersMax-1 {
		tier++
	}
	out, err := x.mergeInto(files, tier)
	if err != nil {
		x.counts.mergeErrors.Add(1)
		return err
	}
	var added []*file
	if out != nil {
		added = []*file{out}
	}
	if err := x.commit(added, files, nil, 0); err != nil {
		x.counts.mergeErrors.Add(1)
		return err
	}
	x.counts.merges.Add(1)
	for _, f := range files {
		x.counts.mergedIn.Add(f.meta.bytes)
	}
	return nil
}

const tiersMax = 32

// mergeInto writes the entries of the files that are still wanted into one, nil when there is none. No manifest names it yet.
func (x *Index) mergeInto(files []*file, tier uint8) (*file, error) {
	m := merger{compare: twins(compareEntries)}
	for _, f := range files {
		s := &fileScan{f: f, ahead: &readahead{}}
		if s.seek(place{}) && s.next() {
			m.push(s)
		} else if s.err != nil {
			return nil, x.spoiled(f, s.err)
		}
	}
	want := filter{x: x}
	var w *writer
	put := func(e *Entry) error {
		if w == nil {
			var err error
			if w, err = newWriter(x.fs, x.dir, x.header()); err != nil {
				return err
			}
			w.pace, w.syncAt = x.pace, mergeSyncBytes
		}
		return w.add(e)
	}
	if err := x.mergeEntries(&m, &want, put); err != nil {
		if w != nil {
			w.abandon()
		}
		return nil, err
	}
	if w == nil {
		return nil, nil
	}
	return x.finish(w, tier, &x.counts.mergedOut)
}

// mergeEntries puts the entries that are still wanted, in order.
func (x *Index) mergeEntries(m *merger, want *filter, put func(*Entry) error) error {
	var waiting held
	var last Entry // its key is lastKey
	var lastKey []byte
	for len(m.heap) > 0 {
		s := m.top().(*fileScan)
		e := s.at()
		// The same position under the same key is the same entry, indexed twice.
		twin := e.Seq == last.Seq && e.Record == last.Record && e.Batch == last.Batch && e.Stream == last.Stream && bytes.Equal(e.Key, lastKey)
		last, lastKey = *e, append(lastKey[:0], e.Key...)
		if !twin && want.wants(e) {
			left, err := waiting.pass(e, want.after, put)
			if err != nil {
				return err
			}
			if left {
				x.counts.leftOut.Add(1)
			}
		} else {
			x.counts.leftOut.Add(1)
		}
		more := s.next()
		if s.err != nil {
			return x.spoiled(s.f, s.err)
		}
		m.settle(more)
	}
	return waiting.end(put)
}

// header is that of a new file.
func (x *Index) header() fileHeader {
	return fileHeader{number: x.takeNumber(), lineage: x.lineage, blockBytes: uint32(x.cfg.BlockBytes)}
}

// finish ends a file and opens it for reading. The caller has its reference.
func (x *Index) finish(w *writer, tier uint8, count interface{ Add(int64) int64 }) (*file, error) {
	meta, err := w.finish()
	if err != nil {
		w.abandon()
		return nil, err
	}
	count.Add(meta.bytes)
	meta.tier = tier
	f, err := x.table.load(meta, x.lineage)
	if err != nil {
		w.abandon()
		return nil, err
	}
	return f, nil
}

// spoiled keeps a damaged file from being merged again and again: it is read, block by block, as it is.
func (x *Index) spoiled(f *file, err error) error {
	var c *CorruptError
	if errors.As(err, &c) {
		f.spoil.Store(true)
	}
	return err
}

func (x *Index) pace(bytes int) error {
	if x.opt.Pace != nil {
		x.opt.Pace(bytes)
	}
	if x.stopped.Load() {
		return errStopped
	}
	return nil
}
