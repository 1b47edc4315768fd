package disk

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"leat/storage/journal"
	"leat/storage/vfs"
)

// Journal is a journal in a folder. See journal.Journal for the contract of its methods.
type Journal struct {
	fs      vfs.FS
	dir     string
	cfg     Config
	log     *slog.Logger
	onSync  func(SyncStats)
	random  func() uint64
	lock    io.Closer
	lineage lineage
	epoch   journal.Epoch
	table   table
	ring    *ring
	counts  counters

	// wmu is the writer's: Append, the seal, Close. Held during write and sync: one frame is in flight.
	wmu    sync.Mutex
	w      writer
	closed bool
	failed error // why no Append is taken any more

	trimMu  sync.Mutex // one Trim at a time
	leaving *file      // out of the table, and its name not durably gone: nothing newer may go before it; guarded by trimMu

	// tmu guards what is durable, for readers. Never held during I/O.
	tmu     sync.RWMutex
	tail    journal.Tail
	endFile uint64 // number of the file that the tail is in
	endOff  int64
}

// writer is where and after what the next frame goes.
type writer struct {
	file    *file
	h       vfs.File
	off     int64
	last    link
	next    *nextFile // made for the next frame but not written yet
	entries []indexEntry

	raw     [frameHeaderBytes]byte
	page    [headerPageBytes]byte
	iov     [][]byte
	sealed  bool // the last frame is a seal or an open
	touched time.Time
	timer   *time.Timer
	armed   bool
}

var _ journal.Journal = (*Journal)(nil)

// Tail returns the end of what is durable.
func (j *Journal) Tail() journal.Tail {
	j.tmu.RLock()
	defer j.tmu.RUnlock()
	return j.tail
}

func (j *Journal) durableEnd() (number uint64, off int64) {
	j.tmu.RLock()
	defer j.tmu.RUnlock()
	return j.endFile, j.endOff
}

// publish makes the frames before off visible to readers.
func (j *Journal) publish(f *file, off int64, last link) {
	f.end.Store(off)
	f.limit.Store(off)
	j.tmu.Lock()
	defer j.tmu.Unlock()
	j.tail = journal.Tail{Seq: last.seq, Place: last.dataPlace, Epoch: j.epoch}
	j.endFile, j.endOff = f.header.number, off
}

// Held is what stands in files from the first to the tail.
func (j *Journal) Held() int64 { return j.table.held() }

// Limits returns what a frame may hold.
func (j *Journal) Limits() journal.Limits {
	return journal.Limits{FrameBytesMax: j.cfg.FrameBytesMax}
}

// Lineage names the history this journal belongs to.
func (j *Journal) Lineage() [16]byte { return j.lineage }

// Close seals, syncs and lets go. After a failed append it only lets go: nothing is written to a disk that refused a sync.
func (j *Journal) Close() error {
	j.wmu.Lock()
	if j.closed {
		j.wmu.Unlock()
		return nil
	}
	var errs []error
	if j.failed == nil && !j.w.sealed {
		errs = append(errs, j.seal())
	}
	j.closed = true
	if j.w.timer != nil {
		j.w.timer.Stop()
	}
	j.wmu.Unlock()

	j.ring.close()
	if j.w.next != nil {
		errs = append(errs, j.w.next.h.Close())
	}
	errs = append(errs, j.w.h.Close(), j.table.close(), j.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("journal: close: %w", err)
	}
	return nil
}
