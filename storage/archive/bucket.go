package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
)

// Object is one stored thing.
type Object struct {
	Name string
	Size int64
}

// Bucket is where an archive lies: named objects that are written once. It is safe for many goroutines. Names are as CheckName has them.
type Bucket interface {
	// Put stores size bytes under a name and returns when they are durable. Whole or not at all, also when content fails or ends early.
	// ErrExists: the name is taken, and what is there stays. Any other error: it may be there (whole) or not.
	Put(ctx context.Context, name string, content io.Reader, size int64) error

	// Get reads n bytes from off on, or up to the end when n is negative or there are fewer. ErrNotFound: there is no such object. The
	// caller closes the reader, whose errors may come late.
	Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)

	// List yields the objects whose names begin with prefix and are greater than after, in the order of their bytes. It stops at the first
	// error, which it yields. What is put or deleted meanwhile may be in it or not.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]

	// Delete takes an object away. One that is not there is no error.
	Delete(ctx context.Context, name string) error
}

var (
	ErrNotFound = errors.New("archive: no such object")
	ErrExists   = errors.New("archive: the name is taken")
	ErrBadName  = errors.New("archive: not a name of an object")
)

// NameBytesMax is the longest name of an object.
const NameBytesMax = 512

// CheckName refuses what not every kind of bucket can keep: a name is a relative, clean path of letters, digits and ._- between slashes. Only
// its last part may end in .pack, so that a folder of many packs can be listed without a look at each.
func CheckName(name string) error {
	if len(name) > NameBytesMax || name == "." || !fs.ValidPath(name) {
		return fmt.Errorf("%w: %.80q", ErrBadName, name)
	}
	if strings.Contains(name, packSuffix+"/") {
		return fmt.Errorf("%w: %q has a folder named like a pack", ErrBadName, name)
	}
	for i := range len(name) {
		if c := name[i]; !plain(c) && c != '/' {
			return fmt.Errorf("%w: %q has a %q", ErrBadName, name, c)
		}
	}
	return nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// readAll is Get of a small object, or part of one, in memory.
func readAll(ctx context.Context, b Bucket, name string, off, n int64) ([]byte, error) {
	r, err := b.Get(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	p, err := io.ReadAll(io.LimitReader(r, n))
	return p, errors.Join(err, r.Close())
}
