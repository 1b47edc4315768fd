package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/vfs"
)

const (
	fillPieceBytes = 1 << 20               // written and synced at a time by the filler
	fillBusyFactor = 4                     // pauses so many times as long as a piece took while frames are written
	fillPauseMax   = 50 * time.Millisecond // but no longer than this
	fillRetry      = 5 * time.Second       // after an error
	fillFreeFiles  = 2                     // fills only while so many files' worth of space stays free
	finishMax      = 64                    // files that wait for their index; beyond that the writer leaves it out
)

type fileHandle = vfs.File

// nextFile is open for the next frame; its header is not written yet.
type nextFile struct {
	file *file
	h    fileHandle
}

// finished is a file that the writer left.
type finished struct {
	file   *file
	h      fileHandle
	footer footer
	keep   int64 // what must stay readable, when that is more than footer.end
}

// ring keeps filled files ahead of the writer. One goroutine fills and writes indexes; the writer never waits for it.
//
// Files in use come back when they are trimmed. So the filler makes up to want files at first, but while many are in use it leaves room for those to
// come back, and only sees to it that some wait: want ahead and as many in use is all there ever is, where frames are trimmed in time.
//
//	in use   1 ........ 16 ........ 20        of a want of 16
//	waiting  16         16           4        never less than a quarter
//
// A piece of zeros is synced before the next is written: dirty pages of a large file would otherwise be flushed together with, and
// so delay, the sync of a frame. While frames are being written the filler rests most of the time.
type ring struct {
	fs        vfs.FS
	dir       string
	log       *slog.Logger
	fileBytes int64
	want      int
	inUse     func() int // files that hold frames

	foreground atomic.Int64 // grows with every sync of a frame
	errors     atomic.Int64
	failing    atomic.Bool

	mu     sync.Mutex
	spares []uint64
	lastID uint64
	done   []finished

	finishMu sync.Mutex // held while an index is written

	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

func newRing(fs vfs.FS, dir string, cfg Config, log *slog.Logger, inUse func() int) *ring {
	return &ring{
		inUse: inUse, fs: fs, dir: dir, log: log, fileBytes: cfg.FileBytes, want: int((cfg.RingBytes + cfg.FileBytes - 1) / cfg.FileBytes),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

func (r *ring) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spares) > 0
}

func (r *ring) count() (files int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spares), int64(len(r.spares)) * r.fileBytes
}

func (r *ring) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take hands out a filled file, if one waits.
func (r *ring) take() (id uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spares) == 0 {
		return 0, false
	}
	id = r.spares[0]
	r.spares = r.spares[1:]
	r.nudge()
	return id, true
}

func (r *ring) newID() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastID++
	return r.lastID
}

// put adds a filled file that has its spare name, durably.
func (r *ring) put(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spares = append(r.spares, id)
	r.lastID = max(r.lastID, id)
}

// filled reports whether no more files need to be filled ahead.
func (r *ring) filled() bool {
	inUse := r.inUse()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.spares)
	return n >= r.want || n >= (r.want+ringLeast-1)/ringLeast && n+inUse >= ringMost*r.want
}

// full reports whether a file that comes back is one too many.
func (r *ring) full() bool {
	inUse := r.inUse()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.spares)
	return n >= r.want && n+inUse >= ringMost*r.want
}

const (
	ringLeast = 4 // a part of want in so many is always filled ahead
	ringMost  = 2 // times want files, waiting and in use, are kept rather than made anew
)

// finish takes over a file that the writer left. When too many wait it is left without an index, which only makes reading it slower.
func (r *ring) finish(f finished) {
	r.mu.Lock()
	drop := len(r.done) >= finishMax
	if !drop {
		r.done = append(r.done, f)
	}
	r.mu.Unlock()
	if drop {
		r.failedTo("write the index of "+f.file.name, errors.Join(errors.New("too many wait"), f.h.Close()))
	}
	r.nudge()
}

// failedTo counts every failure and logs the first of a row, so that a full disk does not fill the log too.
func (r *ring) failedTo(what string, err error) {
	r.errors.Add(1)
	if r.failing.Swap(true) {
		return
	}
	r.log.Warn("journal: could not "+what, "dir", r.dir, "err", err)
}

func (r *ring) run() {
	defer close(r.stopped)
	for {
		r.finishAll()
		wait := (<-chan time.Time)(nil)
		if !r.filled() {
			err := r.fill()
			switch {
			case err == nil:
				r.failing.Store(false)
				continue
			case errors.Is(err, journal.ErrClosed):
				return
			}
			r.failedTo("fill a file ahead", err)
			wait = clock.After(fillRetry)
		}
		select {
		case <-r.stop:
			return
		case <-r.wake:
		case <-wait:
		}
	}
}

// Background does once what otherwise a goroutine does: it writes the indexes that wait and fills files ahead. It is for a journal that was
// opened with Options.Foreground, between calls of Append.
func (j *Journal) Background() {
	j.ring.finishAll()
	for !j.ring.filled() {
		if err := j.ring.fill(); err != nil {
			j.ring.failedTo("fill a file ahead", err)
			return
		}
		j.ring.failing.Store(false)
	}
}

// close stops the filler and writes the indexes that wait.
func (r *ring) close() {
	close(r.stop)
	<-r.stopped
	r.finishAll()
}

// settle makes sure that nothing is written to f any more.
func (r *ring) settle(f *file) {
	r.finishMu.Lock() // the one under way is through
	defer r.finishMu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, d := range r.done {
		if d.file == f {
			r.done = append(r.done[:i], r.done[i+1:]...)
			if err := d.h.Close(); err != nil {
				r.failedTo("close "+f.name, err)
			}
			return
		}
	}
}

func (r *ring) finishAll() {
	for r.finishOne() {
	}
}

func (r *ring) finishOne() bool {
	r.finishMu.Lock()
	defer r.finishMu.Unlock()
	r.mu.Lock()
	if len(r.done) == 0 {
		r.mu.Unlock()
		return false
	}
	f := r.done[0]
	r.done = r.done[1:]
	r.mu.Unlock()
	if err := writeFooter(f.file, f.h, &f.footer, f.keep); err != nil {
		r.failedTo("write the index of "+f.file.name, err)
	}
	if err := f.h.Close(); err != nil {
		r.failedTo("close "+f.file.name, err)
	}
	return true
}

// writeFooter puts the index into the last page. A file that was never filled is cut first: its rest holds no
// blocks worth keeping.
func writeFooter(f *file, h fileHandle, ft *footer, keep int64) error {
	size := f.size.Load()
	if !f.filled {
		size = alignUp(max(ft.end, keep), pageBytes) + footerBytes
		if err := h.Truncate(size); err != nil {
			return err
		}
		f.size.Store(size)
		f.limit.Store(f.room())
	}
	var page [footerBytes]byte
	ft.encode(page[:])
	if _, err := h.WriteAt(page[:], size-footerBytes); err != nil {
		return err
	}
	return h.Sync()
}

// fill makes one spare file. ErrClosed: the journal closes.
func (r *ring) fill() (err error) {
	free, err := r.fs.Free(r.dir)
	if err != nil {
		return err
	}
	if free < fillFreeFiles*r.fileBytes {
		return fmt.Errorf("%w: %d bytes free", syscall.ENOSPC, free)
	}
	id := r.newID()
	tmp := path.Join(r.dir, spareName(id)+tmpSuffix)
	h, err := r.fs.Open(tmp, vfs.Create)
	if err != nil {
		return err
	}
	if err = errors.Join(r.zero(h), h.Close()); err != nil {
		return errors.Join(err, r.fs.Remove(tmp))
	}
	if err = r.fs.Rename(tmp, path.Join(r.dir, spareName(id))); err != nil {
		return err
	}
	if err = r.fs.SyncDir(r.dir); err != nil {
		return err
	}
	r.put(id)
	return nil
}

func (r *ring) zero(h fileHandle) error {
	piece := make([]byte, min(fillPieceBytes, r.fileBytes))
	seen := r.foreground.Load()
	for off := int64(0); off < r.fileBytes; off += int64(len(piece)) {
		select {
		case <-r.stop:
			return journal.ErrClosed
		default:
		}
		start := clock.Now()
		if _, err := h.WriteAt(piece[:min(int64(len(piece)), r.fileBytes-off)], off); err != nil {
			return err
		}
		if err := h.Sync(); err != nil {
			return err
		}
		if now := r.foreground.Load(); now != seen {
			seen = now
			select {
			case <-r.stop:
				return journal.ErrClosed
			case <-clock.After(min(fillPauseMax, fillBusyFactor*clock.Since(start))):
			}
		}
	}
	return nil
}

// nextFile opens a file for the next frame: a filled one when there is one, else a fresh one. It has its final name, which is made
// durable with its first frame.
func (j *Journal) nextFile(size int64) (*nextFile, error) {
	number := j.w.file.header.number + 1
	f := &file{name: fileName(number), header: fileHeader{
		number: number, generation: j.random(), lineage: j.lineage, epoch: j.epoch, fileBytes: size,
	}}
	f.size.Store(size)
	name := path.Join(j.dir, f.name)
	if size == j.cfg.FileBytes {
		if id, ok := j.ring.take(); ok {
			spare := path.Join(j.dir, spareName(id))
			h, err := j.fs.Open(spare, vfs.Write)
			if err != nil {
				return nil, err
			}
			if err := j.fs.Rename(spare, name); err != nil {
				return nil, errors.Join(err, h.Close())
			}
			f.filled, f.header.filled = true, true
			return &nextFile{f, h}, nil
		}
	}
	free, err := j.fs.Free(j.dir)
	if err != nil {
		return nil, err
	}
	if free < size {
		return nil, fmt.Errorf("%w: %d bytes free, a file takes %d", syscall.ENOSPC, free, size)
	}
	h, err := createSized(j.fs, name, size)
	if err != nil {
		return nil, err
	}
	return &nextFile{f, h}, nil
}

func createSized(fs vfs.FS, name string, size int64) (fileHandle, error) {
	h, err := fs.Open(name, vfs.Create)
	if err != nil {
		return nil, err
	}
	if err := h.Truncate(size); err != nil {
		return nil, errors.Join(err, h.Close(), fs.Remove(name))
	}
	return h, nil
}
