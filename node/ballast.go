package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"time"

	"leat/internal/clock"
	"leat/storage/vfs"
)

// ballast is two files that are there to be removed. Leat keeps appends off the disk's reserve, but others may write to the same volume until not a
// byte is left; then even what gives room back cannot be written: the new manifest of state, the line of a manifest that says which files go.
// The ballast is thrown off for that.
//
//	free      0 ........ ballastBytes ............ reserve + 4 × ballastBytes ......
//	          thrown off |            left as it is                          | made
//
// One is for a node that runs, the other for one that starts, before it opens its stores: what the first gave may be gone again by then.
type ballast struct {
	fs      vfs.FS
	dir     string
	reserve int64
	log     *slog.Logger
}

const (
	ballastRunning        = "ballast-1"
	ballastStarting       = "ballast-2"
	ballastBytes    int64 = 4 << 20
	ballastLook           = time.Second
	ballastPieces         = 64 << 10
)

func newBallast(fsys vfs.FS, dir string, reserve int64, log *slog.Logger) *ballast {
	return &ballast{fsys, dir, reserve, log}
}

// throwOff removes one of the files when the disk is full, and says what is free.
func (b *ballast) throwOff(name string) (free int64) {
	free, err := b.fs.Free(b.dir)
	if err != nil || free >= ballastBytes {
		return free // unknown is not full
	}
	switch err := b.fs.Remove(path.Join(b.dir, name)); {
	case err == nil:
		b.log.Warn("the disk is full; the ballast was thrown off so that events can be removed", "free_bytes", free, "ballast_bytes", ballastBytes)
	case !errors.Is(err, fs.ErrNotExist):
		b.log.Error("the disk is full and the ballast cannot be removed", "error", err)
	}
	return free
}

// run keeps the ballast as the drawing says. A node without a reserve makes none.
func (b *ballast) run(ctx context.Context) {
	tick := clock.NewTicker(ballastLook)
	defer tick.Stop()
	for {
		if free := b.throwOff(ballastRunning); b.reserve > 0 && free >= b.reserve+4*ballastBytes {
			if err := errors.Join(b.make(ballastStarting), b.make(ballastRunning)); err != nil {
				b.log.Warn("the ballast cannot be written; it is tried again", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// make writes one of the files where there is none. Its bytes do not repeat, so that a file system that compresses keeps room for them as well.
func (b *ballast) make(name string) (err error) {
	name = path.Join(b.dir, name)
	f, err := b.fs.Open(name, vfs.Create)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(fmt.Errorf("write the ballast: %w", err), b.fs.Remove(name))
		}
	}()
	piece, x := make([]byte, ballastPieces), uint64(0x9e3779b97f4a7c15)
	for off := int64(0); off < ballastBytes; off += ballastPieces {
		for i := range piece {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			piece[i] = byte(x >> 32)
		}
		if _, err := f.WriteAt(piece, off); err != nil {
			return err
		}
	}
	return f.Sync()
}
