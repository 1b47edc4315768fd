package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"leat/storage/archive"
	"leat/storage/vfs"
)

const (
	lockName  = "LOCK"
	tmpDir    = "tmp"
	copyBytes = 1 << 20 // that are read and written at a time
)

// Bucket is a folder of objects. See archive.Bucket for the contract of its methods.
type Bucket struct {
	fs   vfs.FS
	root string

	mu     sync.Mutex
	lock   io.Closer // nil until the first write
	closed bool
	made   map[string]bool // folders that are there and durable
	taken  map[string]bool // names that a Put is about to give
	next   uint64          // number of the next file in tmp
}

var _ archive.Bucket = (*Bucket)(nil)

// New returns the bucket in a folder, which is made by the first Put. It does no I/O.
func New(fsys vfs.FS, root string) *Bucket {
	return &Bucket{fs: fsys, root: root, made: map[string]bool{}, taken: map[string]bool{}}
}

// Close gives the lock back. It waits for nothing; a Put under way fails.
func (b *Bucket) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.lock == nil {
		return nil
	}
	err := b.lock.Close()
	b.lock = nil
	return err
}

// ownLocked takes the folder for this process and clears what a Put that never ended has left.
func (b *Bucket) ownLocked() error {
	switch {
	case b.closed:
		return fs.ErrClosed
	case b.lock != nil:
		return nil
	}
	tmp := path.Join(b.root, tmpDir)
	if err := b.fs.MkdirAll(tmp); err != nil {
		return err
	}
	lock, err := b.fs.Lock(path.Join(b.root, lockName))
	if err != nil {
		return err
	}
	old, err := b.fs.List(tmp)
	for _, name := range old {
		if err == nil {
			err = b.fs.Remove(path.Join(tmp, name))
		}
	}
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	b.lock = lock
	return nil
}

// reserve takes a name and a file in tmp for it.
func (b *Bucket) reserve(name string) (tmp string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ownLocked(); err != nil {
		return "", err
	}
	if b.taken[name] {
		return "", fmt.Errorf("%w: %s", archive.ErrExists, name)
	}
	h, err := b.fs.Open(b.file(name), vfs.Read)
	if err == nil {
		return "", errors.Join(fmt.Errorf("%w: %s", archive.ErrExists, name), h.Close())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	b.taken[name] = true
	b.next++
	return path.Join(b.root, tmpDir, strconv.FormatUint(b.next, 10)), nil
}

func (b *Bucket) release(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.taken, name)
}

func (b *Bucket) file(name string) string { return path.Join(b.root, name) }

// Put writes the file under tmp and renames it when all of it is on the disk.
func (b *Bucket) Put(ctx context.Context, name string, content io.Reader, size int64) error {
	if err := check(name); err != nil {
		return err
	}
	tmp, err := b.reserve(name)
	if err != nil {
		return fmt.Errorf("archive: put %s: %w", name, err)
	}
	defer b.release(name)
	err = b.write(ctx, tmp, content, size)
	if err == nil {
		if err = b.folder(path.Dir(name)); err == nil {
			err = b.fs.Rename(tmp, b.file(name))
		}
	}
	if err != nil {
		if gone := b.fs.Remove(tmp); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return fmt.Errorf("archive: put %s: %w", name, err)
	}
	if err := b.fs.SyncDir(path.Dir(b.file(name))); err != nil {
		return fmt.Errorf("archive: put %s: %w", name, err)
	}
	return nil
}

func (b *Bucket) write(ctx context.Context, tmp string, content io.Reader, size int64) error {
	h, err := b.fs.Open(tmp, vfs.Create)
	if err != nil {
		return err
	}
	w := &writer{ctx: ctx, h: h, left: size}
	if from, ok := content.(io.WriterTo); ok {
		_, err = from.WriteTo(w)
	} else {
		_, err = io.CopyBuffer(w, io.LimitReader(content, size+1), make([]byte, min(copyBytes, size+1)))
	}
	if err == nil && w.left > 0 {
		err = fmt.Errorf("%w: content ends %d bytes early", io.ErrUnexpectedEOF, w.left)
	}
	if err == nil {
		err = h.Sync()
	}
	return errors.Join(err, h.Close())
}

// writer appends to a file, up to a size.
type writer struct {
	ctx  context.Context //nolint:containedctx // it is the length of one copy
	h    vfs.File
	at   int64
	left int64
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if int64(len(p)) > w.left {
		return 0, errors.New("content goes on beyond its size")
	}
	n, err := w.h.WriteAt(p, w.at)
	w.at += int64(n)
	w.left -= int64(n)
	return n, err
}

// folder makes a folder and what is above it, durably, once.
func (b *Bucket) folder(dir string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.made[dir] {
		return nil
	}
	if err := b.fs.MkdirAll(b.file(dir)); err != nil {
		return err
	}
	for d := dir; d != "."; d = path.Dir(d) {
		if err := b.fs.SyncDir(path.Dir(b.file(d))); err != nil {
			return err
		}
	}
	b.made[dir] = true
	return nil
}

// check also keeps objects away from the names that are the bucket's own.
func check(name string) error {
	if first, _, _ := strings.Cut(name, "/"); first == tmpDir || first == lockName {
		return fmt.Errorf("%w: %q is the bucket's own", archive.ErrBadName, first)
	}
	return archive.CheckName(name)
}

// Get opens the file.
func (b *Bucket) Get(_ context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	h, err := b.fs.Open(b.file(name), vfs.Read)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", archive.ErrNotFound, name)
	} else if err != nil {
		return nil, fmt.Errorf("archive: get %s: %w", name, err)
	}
	size, err := h.Size()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("archive: get %s: %w", name, err), h.Close())
	}
	if n < 0 || n > size-off {
		n = max(size-off, 0)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(h, off, n), h}, nil
}

// List walks the folders that can hold such names.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[archive.Object, error] {
	return func(yield func(archive.Object, error) bool) {
		dir := ""
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			dir = prefix[:i+1]
		}
		w := &walker{b: b, ctx: ctx, prefix: prefix, after: after, yield: yield}
		w.walk(dir)
	}
}

type walker struct {
	b             *Bucket
	ctx           context.Context //nolint:containedctx // it is the length of one List
	prefix, after string
	yield         func(archive.Object, error) bool
}

// walk yields what is below dir, which is "" or ends in a slash, and says whether to go on.
func (w *walker) walk(dir string) bool {
	names, err := w.b.fs.List(w.b.file(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err == nil {
		err = w.ctx.Err()
	}
	if err != nil {
		w.yield(archive.Object{}, fmt.Errorf("archive: list %s: %w", dir, err))
		return false
	}
	for _, e := range w.order(dir, names) {
		if e.folder {
			if !w.walk(e.name) {
				return false
			}
			continue
		}
		size, err := w.size(e.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			w.yield(archive.Object{}, fmt.Errorf("archive: list %s: %w", e.name, err))
			return false
		}
		if !w.yield(archive.Object{Name: e.name, Size: size}, nil) {
			return false
		}
	}
	return true
}

type entry struct {
	name   string // ends in a slash when a folder
	folder bool
}

// order puts files and folders in the order of full names: "a-b" comes before "a/b", though "a" comes before "a-b".
func (w *walker) order(dir string, names []string) []entry {
	var out []entry
	for _, n := range names {
		full := dir + n
		if dir == "" && (n == tmpDir || n == lockName) {
			continue
		}
		if sub := full + "/"; w.isFolder(full) {
			if (strings.HasPrefix(sub, w.prefix) || strings.HasPrefix(w.prefix, sub)) && (sub > w.after || strings.HasPrefix(w.after, sub)) {
				out = append(out, entry{sub, true})
			}
		} else if strings.HasPrefix(full, w.prefix) && full > w.after {
			out = append(out, entry{full, false})
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return out
}

func (w *walker) size(name string) (int64, error) {
	h, err := w.b.fs.Open(w.b.file(name), vfs.Read)
	if err != nil {
		return 0, err
	}
	n, err := h.Size()
	return n, errors.Join(err, h.Close())
}

// isFolder: packs, which are the many, are told by their name; vfs has no other way to ask than to list.
func (w *walker) isFolder(name string) bool {
	if strings.HasSuffix(name, ".pack") {
		return false
	}
	_, err := w.b.fs.List(w.b.file(name))
	return err == nil
}

// Delete removes the file.
func (b *Bucket) Delete(_ context.Context, name string) error {
	if err := check(name); err != nil {
		return err
	}
	b.mu.Lock()
	err := b.ownLocked()
	b.mu.Unlock()
	if err == nil {
		err = b.fs.Remove(b.file(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = b.fs.SyncDir(path.Dir(b.file(name)))
	}
	if err != nil {
		return fmt.Errorf("archive: delete %s: %w", name, err)
	}
	return nil
}
