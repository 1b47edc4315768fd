package disk

import (
	"errors"
	"fmt"
	"hash/crc32"
	"syscall"

	"leat/internal/clock"
	"leat/internal/crc32c"
	"leat/storage/journal"
)

// zeros fills a write up to the end of its last page: a page that is written whole is never read from the disk first.
var zeros [pageBytes]byte

// Append writes the frame with one write and one sync.
func (j *Journal) Append(f journal.Frame) (journal.Place, error) {
	j.wmu.Lock()
	defer j.wmu.Unlock()
	if err := j.usable(); err != nil {
		return 0, err
	}
	if f.Seq <= j.w.last.seq {
		return 0, fmt.Errorf("%w: %d after %d", journal.ErrOrder, f.Seq, j.w.last.seq)
	}
	size := int64(len(f.Facts))
	for _, d := range f.Data {
		size += int64(len(d))
	}
	if size > j.cfg.FrameBytesMax {
		return 0, fmt.Errorf("%w: %d bytes, limit %d", journal.ErrTooLarge, size, j.cfg.FrameBytesMax)
	}
	place, err := j.write(kindData, f)
	if err != nil {
		return 0, err
	}
	j.counts.appends.Add(1)
	j.counts.bytes.Add(size)
	j.armSeal()
	return place, nil
}

func (j *Journal) usable() error {
	switch {
	case j.closed:
		return journal.ErrClosed
	case j.failed != nil:
		return fmt.Errorf("%w after a failed append, must be opened again: %w", journal.ErrClosed, j.failed)
	}
	return nil
}

// poison ends the writing: after a failed write or sync nobody knows what the disk holds.
func (j *Journal) poison(what string, err error) error {
	j.failed = fmt.Errorf("%s: %w", what, err)
	j.counts.failed.Store(true)
	return fmt.Errorf("%w: %w", journal.ErrUnknown, j.failed)
}

// write puts one frame on the disk. wmu is held.
//
// The bytes of one write, the file header only when the frame is the first of a file:
//
//	[file header 4096] [frame header 128] [data ...] [facts] [zeros to the end of the page]
//
// The next frame begins at the next multiple of 8 and overwrites those zeros.
func (j *Journal) write(k kind, fr journal.Frame) (journal.Place, error) {
	w := &j.w
	hdr := frameHeader{
		kind: k, lineage: j.lineage.short(), seq: fr.Seq, epoch: j.epoch, prev: w.last,
		factsBytes: int64(len(fr.Facts)), factsCRC: crc32.Update(0, castagnoli, fr.Facts),
	}
	for i, d := range fr.Data {
		hdr.dataBytes += int64(len(d))
		if fr.Sums != nil && fr.Sums[i] != 0 {
			hdr.dataCRC = crc32c.Join(hdr.dataCRC, fr.Sums[i], int64(len(d)))
			continue
		}
		hdr.dataCRC = crc32.Update(hdr.dataCRC, castagnoli, d)
	}
	f, h, at, err := j.target(k, hdr.size())
	if err != nil {
		return 0, err
	}
	begins := f != w.file
	w.iov = w.iov[:0]
	from := at
	if begins {
		from = 0
		f.header.prev, f.header.prevEnd = w.last, w.off
		f.header.encode(w.page[:])
		w.iov = append(w.iov, w.page[:])
	}
	hdr.place, hdr.generation = placeOf(f.header.number, at), f.header.generation
	hdr.encode(w.raw[:])
	w.iov = append(w.iov, w.raw[:])
	w.iov = append(w.iov, fr.Data...)
	w.iov = append(w.iov, fr.Facts)
	end := at + hdr.size()
	used := at + hdr.factsAt() + hdr.factsBytes
	w.iov = append(w.iov, zeros[:alignUp(end, pageBytes)-used])
	if err := j.commit(f, h, from, begins); err != nil {
		return 0, err
	}
	if begins {
		j.adopt(f, h)
	}
	j.indexed(at)
	w.off, w.last = end, hdr.next(w.raw[:])
	w.sealed = k != kindData
	j.publish(f, end, w.last)
	return hdr.place, nil
}

// target returns where a frame of that size goes: on in the file, or into the next one when this is full or when this was never
// filled and a filled one has become ready. A data frame leaves room for a seal behind it, so that a seal never begins a file.
func (j *Journal) target(k kind, size int64) (*file, fileHandle, int64, error) {
	w := &j.w
	fits := w.off+size <= w.file.room()-frameHeaderBytes || k != kindData
	if fits && (k != kindData || w.file.filled || w.next == nil && !j.ring.ready()) {
		return w.file, w.h, w.off, nil
	}
	if w.next == nil {
		next, err := j.nextFile(max(j.cfg.FileBytes, headerPageBytes+size+2*frameHeaderBytes+footerBytes))
		switch {
		case err != nil && fits:
			return w.file, w.h, w.off, nil // only the better place is missing
		case errors.Is(err, syscall.ENOSPC) || errors.Is(err, journal.ErrNoSpace):
			return nil, nil, 0, fmt.Errorf("%w: next file: %w", journal.ErrNoSpace, err)
		case err != nil:
			return nil, nil, 0, j.poison("next file", err)
		}
		w.next = next
	}
	return w.next.file, w.next.h, headerPageBytes, nil
}

// commit writes w.iov and syncs. Nothing is retried.
func (j *Journal) commit(f *file, h fileHandle, from int64, begins bool) error {
	start := clock.Now()
	n, err := h.WriteV(j.w.iov, from)
	clear(j.w.iov) // the caller's bytes are not ours to keep
	if err != nil {
		if n == 0 && errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("%w: %s: %w", journal.ErrNoSpace, f.name, err)
		}
		return j.poison("write "+f.name, err)
	}
	wrote := clock.Now()
	if err := h.Sync(); err != nil {
		return j.poison("sync "+f.name, err)
	}
	if begins {
		if err := j.fs.SyncDir(j.dir); err != nil {
			return j.poison("sync folder", err)
		}
	}
	done := clock.Now()
	j.w.touched = done
	j.counts.syncs.Add(1)
	j.counts.syncTime.Add(int64(done.Sub(wrote)))
	j.ring.foreground.Add(1)
	if j.onSync != nil {
		j.onSync(SyncStats{Write: wrote.Sub(start), Sync: done.Sub(wrote), Bytes: n})
	}
	return nil
}

// adopt goes on in the next file and leaves the last one to the background, which writes its index.
func (j *Journal) adopt(f *file, h fileHandle) {
	w := &j.w
	j.ring.finish(finished{file: w.file, h: w.h, footer: footer{
		number: w.file.header.number, generation: w.file.header.generation, end: w.off, last: w.last, entries: w.entries,
	}})
	w.file.limit.Store(w.file.room())
	j.table.add(f)
	w.file, w.h, w.next = f, h, nil
	w.entries = make([]indexEntry, 0, indexEntriesMax)
}

// indexed notes where a frame begins, at most indexEntriesMax times a file.
func (j *Journal) indexed(at int64) {
	w := &j.w
	stride := w.file.size.Load() / (indexEntriesMax - 1)
	if n := len(w.entries); n < indexEntriesMax && (n == 0 || at-w.entries[n-1].off >= stride) {
		w.entries = append(w.entries, indexEntry{seq: w.last.seq, off: at})
	}
}

// seal writes a seal: a frame without facts that records that all before it is synced. Without it a restart must take the last
// frame for unsynced, and rewrite it.
func (j *Journal) seal() error {
	if _, err := j.write(kindSeal, journal.Frame{Seq: j.w.last.seq}); err != nil {
		return err
	}
	j.counts.seals.Add(1)
	return nil
}

// armSeal starts the idle timer unless it runs. It is not reset by each Append: when it fires it looks how long ago the last one was,
// and waits for the rest.
func (j *Journal) armSeal() {
	w := &j.w
	if j.cfg.IdleSeal == 0 || w.armed {
		return
	}
	w.armed = true
	if w.timer == nil {
		w.timer = clock.AfterFunc(j.cfg.IdleSeal, j.idle)
		return
	}
	w.timer.Reset(j.cfg.IdleSeal)
}

func (j *Journal) idle() {
	j.wmu.Lock()
	defer j.wmu.Unlock()
	if j.closed || j.failed != nil || j.w.sealed {
		j.w.armed = false
		return
	}
	if rest := j.cfg.IdleSeal - clock.Since(j.w.touched); rest > 0 {
		j.w.timer.Reset(rest)
		return
	}
	j.w.armed = false
	if err := j.seal(); err != nil {
		j.log.Error("journal: seal failed", "dir", j.dir, "err", err)
	}
}
