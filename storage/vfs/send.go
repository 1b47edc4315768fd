package vfs

import "syscall"

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
