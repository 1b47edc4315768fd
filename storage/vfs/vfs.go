package vfs

import "io"

// FS is the only way to the disk. Names are slash-separated paths. Errors are *fs.PathError-like and match fs.ErrNotExist,
// fs.ErrExist, syscall.ENOSPC and syscall.EIO with errors.Is.
type FS interface {
	// Open opens a file. Nothing about it is durable before Sync of the file and SyncDir of its folder.
	Open(name string, how How) (File, error)
	Remove(name string) error
	Rename(oldName, newName string) error
	List(dir string) ([]string, error) // base names, sorted
	MkdirAll(dir string) error
	SyncDir(dir string) error
	// Lock takes the named lock file, or fails at once when another process (or open) has it. Close lets go.
	Lock(name string) (io.Closer, error)
	// Free returns the bytes that can still be written below dir.
	Free(dir string) (int64, error)
}

// How says how Open opens.
type How int

const (
	Read   How = iota // must exist, read only
	Write             // must exist, read and write
	Create            // must not exist, read and write
)

// File is an open file. ReadAt may be called by many goroutines, also during writes to other places.
type File interface {
	io.ReaderAt
	io.WriterAt
	// WriteV writes the pieces one after the other from off on, with one system call where it can.
	WriteV(pieces [][]byte, off int64) (int64, error)
	// Sync returns when the file's bytes (and the size, if it changed) are durable: fdatasync.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	io.Closer
}
