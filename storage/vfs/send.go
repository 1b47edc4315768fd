package vfs

import (
	"errors"
	"io"
	"syscall"
)

// Sends says whether all files of fsys that are open for reading are Senders.
func Sends(fsys FS) bool {
	s, ok := fsys.(interface{ Sends() bool })
	return ok && s.Sends()
}

// Sender is a File whose bytes can go to a socket without coming through the program.
type Sender interface {
	// SendTo sends n bytes from off on, all of them or with an error that says why not, within the write deadline of the socket's owner. An end of the file before
	// them is io.ErrUnexpectedEOF.
	SendTo(socket syscall.RawConn, off int64, n int) (sent int, err error)
}

// Send has write put n bytes into a socket, within the write deadline of the socket's owner. write is a system call: it puts in some of them, of which sent have
// gone, and says EAGAIN when the socket takes no more now. When it puts in none, that is io.ErrUnexpectedEOF.
func Send(socket syscall.RawConn, n int, write func(fd uintptr, sent int) (int, error)) (sent int, err error) {
	werr := socket.Write(func(fd uintptr) (done bool) {
		for sent < n {
			m, e := write(fd, sent)
			switch {
			case m > 0:
				sent += m
			case errors.Is(e, syscall.EINTR):
			case errors.Is(e, syscall.EAGAIN):
				return false // the runtime waits until it takes more, or the deadline is over
			case e != nil:
				err = e
				return true
			default:
				err = io.ErrUnexpectedEOF
				return true
			}
		}
		return true
	})
	if err == nil {
		err = werr
	}
	return sent, err
}
