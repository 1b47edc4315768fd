package keys

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"leat/storage/vfs"
)

// Index says where the records of a key are. Add and Through are for one goroutine; everything else may be called by many, at any time.
type Index struct {
	fs    vfs.FS
	dir   string
	cfg   Config
	opt   Options
	log   *slog.Logger
	lock  io.Closer
	table *fileTable
	pool  chunkPool

	// adding is held from the first Add of a frame to its Through, and by Flush to seal: so it costs a lock a frame, not an entry.
	adding  sync.Mutex
	inFrame bool   // the adder's: it holds adding
	active  *chunk // under adding

	through atomic.Uint64
	durable atomic.Uint64
	drops   atomic.Pointer[[]drop] // by stream; replaced, never changed
	counts  counters

	mu     sync.Mutex
	room   sync.Cond // a sealed chunk was written, or the index closes
	view   *view
	sealed []*chunk // wait to be written, oldest first; each with a reference of its own
	next   uint64   // number of the next file
	// The sweep for what is gone: the file last looked through, where the round ends, and the chunks written since.
	swept, sweepEnd uint64
	flushes         int64

	writing  sync.Mutex // held to write a chunk
	sorter   sorter     // under writing
	commits  sync.Mutex // held to replace the manifest
	manifest manifest   // what is on the disk; under commits
	unsure   []*file    // that a manifest may name which may be on the disk; under commits

	lineage [16]byte
	stop    chan struct{}
	stopped atomic.Bool
	hurried atomic.Bool
	wake    [wakes]chan struct{}
	running sync.WaitGroup
}

// view is what a reader sees: chunks and files as of one moment. It holds a reference to each, and lives as long as somebody reads it.
type view struct {
	chunks []*chunk // newest first; the first is the one being filled
	files  []*file  // greatest seq first
	refs   atomic.Int32
}

// Open opens the index in a folder, which it makes if need be. What was added after Durable is not there any more and has to be added
// again, from the journal, in the same order. A folder can be open once.
//
// Files that no manifest names were being made when a crash came, and are removed. *CorruptError: the manifest, or the frame of a file it
// names, is damaged or missing. The folder can then be removed and built anew if the journal still has everything; the caller decides.
func Open(fs vfs.FS, dir string, cfg Config, opt Options) (*Index, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("keys: open: %w", err)
	}
	lock, err := fs.Lock(path.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("keys: open: %w", err)
	}
	x := &Index{fs: fs, dir: dir, cfg: cfg, opt: opt, log: opt.Log, lock: lock, stop: make(chan struct{})}
	if x.log == nil {
		x.log = slog.Default()
	}
	for i := range x.wake {
		x.wake[i] = make(chan struct{}, 1)
	}
	x.room.L = &x.mu
	x.pool.size, x.pool.most = cfg.ChunkBytes, cfg.ChunksMax+1
	x.table = &fileTable{fs: fs, dir: dir, cache: newBlockCache(cfg.CacheBytes), openMax: cfg.OpenFilesMax, counts: &x.counts}
	files, err := x.recover()
	if err != nil {
		x.table.close()
		return nil, errors.Join(err, lock.Close())
	}
	x.active = newChunk(&x.pool, cfg.ChunkBytes)
	x.view = newView([]*chunk{x.active}, files)
	x.active.release() // the view has it
	for _, f := range files {
		f.release()
	}
	if !opt.Foreground {
		x.start()
	}
	return x, nil
}

// recover reads the manifest and the files it names, and removes what it does not.
func (x *Index) recover() ([]*file, error) {
	names, err := x.fs.List(x.dir)
	if err != nil {
		return nil, fmt.Errorf("keys: open: %w", err)
	}
	m, err := readManifest(x.fs, x.dir)
	if err != nil {
		return nil, err
	}
	if m == nil {
		for _, name := range names {
			if isFileName(name) { // a manifest is written before the first file is
				return nil, &CorruptError{File: manifestName, Expected: "a manifest beside " + name, Found: "none"}
			}
		}
		m = &manifest{lineage: x.opt.Lineage, next: 1}
		if err := vfs.Replace(x.fs, path.Join(x.dir, manifestName), m.encode()); err != nil {
			return nil, fmt.Errorf("keys: open: %w", err)
		}
	}
	if x.opt.Lineage != ([16]byte{}) && m.lineage != x.opt.Lineage {
		return nil, fmt.Errorf("%w: %x, not %x", ErrLineage, m.lineage, x.opt.Lineage)
	}
	x.manifest, x.next, x.lineage = *m, m.next, m.lineage
	x.durable.Store(m.durable)
	x.through.Store(m.durable)
	x.drops.Store(&m.drops)
	var files []*file
	live := map[string]bool{}
	for _, meta := range m.files {
		f, err := x.table.load(meta, m.lineage)
		if err != nil {
			return nil, fmt.Errorf("keys: open: %w", err)
		}
		files = append(files, f)
		live[f.name] = true
	}
	for _, name := range names {
		ours := isFileName(name)
		if ours && !live[name] || strings.HasSuffix(name, ".tmp") {
			if err := x.fs.Remove(path.Join(x.dir, name)); err != nil {
				return nil, fmt.Errorf("keys: open: %w", err)
			}
		}
	}
	return files, nil
}

// newView takes references to what it is made of.
func newView(chunks []*chunk, files []*file) *view {
	slices.SortFunc(files, func(a, b *file) int {
		if c := cmp.Compare(b.meta.seqMax, a.meta.seqMax); c != 0 {
			return c
		}
		return cmp.Compare(b.meta.number, a.meta.number)
	})
	v := &view{chunks: chunks, files: files}
	v.refs.Store(1)
	for _, c := range chunks {
		c.retain()
	}
	for _, f := range files {
		f.retain()
	}
	return v
}

// acquire returns the view of now. It is to be released.
//
//	reader: mu, view V, V.refs 1 → 2
//	writer: mu, view W; V.refs 2 → 1
//	reader: reads V; V.refs 1 → 0: lets go of V's chunks and files
//
// The reference is taken under the lock under which views are replaced, so a view whose count has come to 0 is never found.
func (x *Index) acquire() *view {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.view.refs.Add(1)
	return x.view
}

// release may remove files: it must not be called with a lock held.
func (v *view) release() {
	if v.refs.Add(-1) > 0 {
		return
	}
	for _, c := range v.chunks {
		c.release()
	}
	for _, f := range v.files {
		f.release()
	}
}

// replaceView puts another view in place. mu is held; the caller releases what it returns without it.
func (x *Index) replaceView(chunks []*chunk, files []*file) *view {
	old := x.view
	x.view = newView(chunks, files)
	return old
}

// takeNumber returns the number of a file to be made.
func (x *Index) takeNumber() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.next++
	return x.next - 1
}

// commit changes which files count: durably first, then for readers. Files in added come with the reference of who made them, which
// commit lets go of; those in gone are removed when the last reader has left them. sealed, when not nil, is the oldest chunk, for which the added file stands.
//
// When it fails, the added files are removed; what they were made of is still there. But when it is not known which manifest is on the
// disk, the files of both stay: both are right. The manifest that follows settles it.
func (x *Index) commit(added []*file, gone []*file, sealed *chunk, durable uint64) error {
	x.commits.Lock()
	defer x.commits.Unlock()
	next := x.manifest
	next.files = slices.DeleteFunc(slices.Clone(next.files), func(m fileMeta) bool {
		return slices.ContainsFunc(gone, func(f *file) bool { return f.meta.number == m.number })
	})
	for _, f := range added {
		next.files = append(next.files, f.meta)
	}
	next.durable = max(next.durable, durable)
	x.mu.Lock()
	next.next = x.next
	x.mu.Unlock()
	var settled []drop
	next.drops, settled = x.settleDrops(next.files, next.durable)
	if err := vfs.Replace(x.fs, path.Join(x.dir, manifestName), next.encode()); err != nil {
		if errors.Is(err, vfs.ErrUnsure) {
			x.unsure = append(x.unsure, added...)
		} else {
			discard(added)
		}
		return fmt.Errorf("keys: manifest: %w", err)
	}
	x.manifest = next
	discard(x.unsure)
	x.unsure = nil
	x.counts.manifests.Add(1)
	x.mu.Lock()
	chunks := slices.Clone(x.view.chunks)
	if sealed != nil {
		chunks = slices.DeleteFunc(chunks, func(c *chunk) bool { return c == sealed })
		x.sealed = x.sealed[1:]
		x.flushes++
		x.room.Broadcast()
	}
	files := slices.DeleteFunc(slices.Clone(x.view.files), func(f *file) bool { return slices.Contains(gone, f) })
	old := x.replaceView(chunks, append(files, added...))
	for _, f := range gone {
		f.dead.Store(true)
	}
	x.forgetDrops(settled)
	x.mu.Unlock()
	x.durable.Store(next.durable)
	if sealed != nil {
		sealed.release()
	}
	for _, f := range added {
		f.release()
	}
	old.release()
	return nil
}

// discard removes files that no manifest names.
func discard(files []*file) {
	for _, f := range files {
		f.dead.Store(true)
		f.release()
	}
}

// Durable returns the seq up to which every entry is in a file that the manifest names. After Open, replay goes on behind it: entries of
// frames up to it must not be added again.
func (x *Index) Durable() uint64 { return x.durable.Load() }

// Close writes what is in memory, as Flush does, and lets go of everything. Whoever still reads gets ErrClosed from the next file it
// looks at. It waits for an open frame to end; Add must not begin one during Close or after it.
func (x *Index) Close() error {
	if x.stopped.Swap(true) {
		return ErrClosed
	}
	close(x.stop)
	x.mu.Lock()
	x.room.Broadcast()
	x.mu.Unlock()
	x.running.Wait()
	err := x.flush()
	x.table.close()
	return errors.Join(err, x.lock.Close())
}
