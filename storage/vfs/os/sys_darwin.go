package osfs

import "golang.org/x/sys/unix"

// syncData asks the drive to empty its cache; fsync alone does not on this system.
func syncData(fd int) error {
	for {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0); err != unix.EINTR {
			return err
		}
	}
}

func writeV(f *file, pieces [][]byte, off int64) (int64, error) {
	var written int64
	for _, p := range pieces {
		n, err := f.WriteAt(p, off+written)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
