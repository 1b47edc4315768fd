package vfs

import "io"

// NewReader opens a file to be read once from its start to the end it has at the call. The caller closes it.
func NewReader(fsys FS, name string) (io.ReadCloser, error) {
	h, err := fsys.Open(name, Read)
	if err != nil {
		return nil, err
	}
	size, err := h.Size()
	if err != nil {
		_ = h.Close() // it was only read
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(h, 0, size), h}, nil
}
