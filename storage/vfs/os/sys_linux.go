package osfs

import (
	"io"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"leat/storage/vfs"
)

// iovMax is what the kernel takes in one call (UIO_MAXIOV).
const iovMax = 1024

// vectors keeps the arrays that pwritev reads, so that a write allocates nothing.
var vectors = sync.Pool{New: func() any { return new([iovMax]unix.Iovec) }}

// syncData makes the bytes durable, and the size when it changed. EINTR is no verdict about the disk, so it alone is tried again.
func syncData(fd int) error {
	for {
		if err := unix.Fdatasync(fd); err != unix.EINTR {
			return err
		}
	}
}

func writeV(f *file, pieces [][]byte, off int64) (int64, error) {
	iov := vectors.Get().(*[iovMax]unix.Iovec)
	defer func() {
		clear(iov[:]) // lets go of the caller's bytes
		vectors.Put(iov)
	}()
	var written int64
	skip := 0 // bytes of pieces[0] already written
	for {
		for len(pieces) > 0 && skip == len(pieces[0]) {
			pieces, skip = pieces[1:], 0
		}
		if len(pieces) == 0 {
			return written, nil
		}
		count := fill(iov, pieces, skip)
		n, _, errno := unix.Syscall6(unix.SYS_PWRITEV, uintptr(f.fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(count),
			uintptr(off+written), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return written, errno
		}
		if n == 0 {
			return written, io.ErrShortWrite
		}
		written += int64(n)
		pieces, skip = advance(pieces, skip, int(n))
	}
}

// fill points iov at the pieces, the first from skip on, and returns how many it used.
func fill(iov *[iovMax]unix.Iovec, pieces [][]byte, skip int) int {
	count := 0
	for _, p := range pieces {
		p, skip = p[skip:], 0
		if len(p) == 0 {
			continue
		}
		if count == iovMax {
			break
		}
		iov[count].Base = &p[0]
		iov[count].SetLen(len(p))
		count++
	}
	return count
}

func advance(pieces [][]byte, skip, n int) ([][]byte, int) {
	for n > 0 {
		rest := len(pieces[0]) - skip
		if n < rest {
			return pieces, skip + n
		}
		n -= rest
		pieces, skip = pieces[1:], 0
	}
	return pieces, skip
}

// StartWrite begins the write-back of a part of the file; see vfs.StartWrite.
func (f *file) StartWrite(off, n int64) {
	_ = unix.SyncFileRange(f.fd, off, n, unix.SYNC_FILE_RANGE_WRITE) // advice: Sync tells what went wrong
}

// RandomReads and ReadAhead are advice; see vfs.
func (f *file) RandomReads() { _ = unix.Fadvise(f.fd, 0, 0, unix.FADV_RANDOM) }

func (f *file) ReadAhead(off, n int64) { _ = unix.Fadvise(f.fd, off, n, unix.FADV_WILLNEED) }

// Sends says that SendTo is there.
func (osFS) Sends() bool { return true }

// SendTo is sendfile; see vfs.Sender. The kernel hands its own pages on: nothing is copied until the peer takes it.
func (f *file) SendTo(socket syscall.RawConn, off int64, n int) (int, error) {
	return vfs.Send(socket, n, func(fd uintptr, sent int) (int, error) { return unix.Sendfile(int(fd), f.fd, &off, n-sent) })
}
