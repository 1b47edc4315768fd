package osfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"

	"leat/storage/vfs"
)

const (
	fileMode = 0o640
	dirMode  = 0o750
)

type osFS struct{}

// New returns the machine's file system. It has no state of its own.
func New() vfs.FS { return osFS{} }

func (osFS) Open(name string, how vfs.How) (vfs.File, error) {
	flag := os.O_RDONLY
	switch how {
	case vfs.Read:
	case vfs.Write:
		flag = os.O_RDWR
	case vfs.Create:
		flag = os.O_RDWR | os.O_CREATE | os.O_EXCL
	default:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	f, err := os.OpenFile(filepath.FromSlash(name), flag, fileMode)
	if err != nil {
		return nil, err
	}
	return &file{File: f, fd: int(f.Fd())}, nil
}

func (osFS) Remove(name string) error { return os.Remove(filepath.FromSlash(name)) }

func (osFS) Rename(oldName, newName string) error {
	return os.Rename(filepath.FromSlash(oldName), filepath.FromSlash(newName))
}

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.FromSlash(dir))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	sort.Strings(names)
	return names, nil
}

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(filepath.FromSlash(dir), dirMode) }

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(filepath.FromSlash(dir))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Lock is an exclusive flock, so that it ends with the process however the process ends. The file stays: removing it would let two
// processes lock two different files of the same name.
func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.FromSlash(name), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("in use by another process (or opened twice by this one): %w", err)
	}
	return nil, errors.Join(&fs.PathError{Op: "lock", Path: name, Err: err}, f.Close())
}

func (osFS) Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.FromSlash(dir), &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert,gosec // the fields' types differ by system
}

type file struct {
	*os.File
	fd int
}

func (f *file) Sync() error {
	if err := syncData(f.fd); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *file) WriteV(pieces [][]byte, off int64) (int64, error) {
	n, err := writeV(f, pieces, off)
	if err != nil {
		return n, &fs.PathError{Op: "pwritev", Path: f.Name(), Err: err}
	}
	return n, nil
}

func (f *file) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
