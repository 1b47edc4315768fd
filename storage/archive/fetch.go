package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"sync/atomic"

	"leat/storage/vfs"
)

// Progress is told how far something is, in bytes, now and then and at the end. It is called by one goroutine at a time; nil is fine.
type Progress func(done, total int64)

const (
	fetchJobs       = 8       // files that are fetched at a time
	fetchPieceBytes = 1 << 20 // that are read and written at a time
)

// Fetch puts the checkpoint's files below dir, which is made. A file that is there already is an error. When it returns, files and folders are
// durable and each had its hash. Without a checkpoint it does nothing.
func (p *Plan) Fetch(ctx context.Context, fsys vfs.FS, dir string, progress Progress) error {
	if p.Checkpoint == nil {
		return nil
	}
	files := p.Checkpoint.Files
	t := newTold(progress, p.Checkpoint.Bytes())
	folders, err := makeFolders(fsys, dir, files)
	if err != nil {
		return err
	}
	err = parallel(ctx, fetchJobs, len(files), func(ctx context.Context, i int) error {
		return p.fetchFile(ctx, fsys, dir, files[i], t)
	})
	if err != nil {
		return err
	}
	for _, d := range folders {
		if err := fsys.SyncDir(d); err != nil {
			return fmt.Errorf("archive: fetch: %w", err)
		}
	}
	t.end()
	return nil
}

// makeFolders makes dir and what files need below it, and returns all of them.
func makeFolders(fsys vfs.FS, dir string, files []CheckpointFile) ([]string, error) {
	seen := map[string]bool{".": true}
	all := []string{dir}
	for _, f := range files {
		for d := path.Dir(f.Name); !seen[d]; d = path.Dir(d) {
			seen[d] = true
			all = append(all, path.Join(dir, d))
		}
	}
	for _, d := range all {
		if err := fsys.MkdirAll(d); err != nil {
			return nil, fmt.Errorf("archive: fetch: %w", err)
		}
	}
	return all, nil
}

func (p *Plan) fetchFile(ctx context.Context, fsys vfs.FS, dir string, f CheckpointFile, t *told) error {
	err := f.fetch(ctx, p.bucket, fsys, path.Join(dir, f.Name), t)
	if errors.Is(err, ErrNotFound) {
		return &DamageError{Name: checkpointName(p.Shard, p.Checkpoint.Seq), Expected: "the file " + f.Object, Found: "no such object"}
	}
	return err
}

// FetchTo puts the file under name, where nothing may be, and returns when its bytes are durable and had its hash. The folder is for the caller to sync.
func (f *CheckpointFile) FetchTo(ctx context.Context, b Bucket, fsys vfs.FS, name string) error {
	return f.fetch(ctx, b, fsys, name, newTold(nil, f.Size))
}

func (f *CheckpointFile) fetch(ctx context.Context, b Bucket, fsys vfs.FS, name string, t *told) error {
	r, err := b.Get(ctx, f.Object, 0, -1)
	if err != nil {
		return fmt.Errorf("archive: fetch %s: %w", f.Object, err)
	}
	h, err := fsys.Open(name, vfs.Create)
	if err != nil {
		return errors.Join(fmt.Errorf("archive: fetch %s: %w", f.Name, err), r.Close())
	}
	err = f.verify(r, h, t)
	if err == nil {
		err = h.Sync()
	}
	if err := errors.Join(err, h.Close(), r.Close()); err != nil {
		return fmt.Errorf("archive: fetch %s: %w", f.Name, err)
	}
	return nil
}

// verify reads a file's object to its end, checks size and hash, and writes it to w unless that is nil.
func (f *CheckpointFile) verify(r io.Reader, w io.WriterAt, t *told) error {
	sum := sha256.New()
	buf := make([]byte, min(fetchPieceBytes, f.Size+1))
	at := int64(0)
	for {
		n, err := io.ReadFull(r, buf)
		if at+int64(n) > f.Size {
			return &DamageError{Name: f.Object, Offset: f.Size, Expected: "the end", Found: "more bytes"}
		}
		sum.Write(buf[:n])
		if w != nil && n > 0 {
			if _, err := w.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		t.add(int64(n))
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); at != f.Size || got != f.SHA256 {
		return &DamageError{Name: f.Object, Offset: at, Expected: fmt.Sprintf("%d bytes with SHA-256 %s", f.Size, f.SHA256), Found: fmt.Sprintf("%d with %s", at, got)}
	}
	return nil
}

// told adds up progress of many goroutines.
type told struct {
	fn    Progress
	total int64
	done  atomic.Int64
	turn  chan struct{}
}

func newTold(fn Progress, total int64) *told {
	return &told{fn: fn, total: total, turn: make(chan struct{}, 1)}
}

// add tells unless somebody else is telling.
func (t *told) add(n int64) {
	done := t.done.Add(n)
	if t.fn == nil {
		return
	}
	select {
	case t.turn <- struct{}{}:
		t.fn(min(done, t.total), t.total)
		<-t.turn
	default:
	}
}

func (t *told) end() {
	if t.fn != nil {
		t.fn(t.total, t.total)
	}
}
