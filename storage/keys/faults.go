package keys

import (
	"errors"
	"fmt"
)

// ErrClosed is the answer after Close.
var ErrClosed = errors.New("keys: closed")

// ErrLineage is the answer of Open to a folder that belongs to another history.
var ErrLineage = errors.New("keys: the folder belongs to another lineage")

// ErrVersion is the answer of Open to a format that this program does not know.
var ErrVersion = errors.New("keys: a newer format")

// CorruptError says which bytes are not what was written. Offset is that of the block in its file; the other blocks stay readable.
type CorruptError struct {
	File     string
	Offset   int64
	Expected string
	Found    string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("keys: %s is damaged at %d: expected %s, found %s", e.File, e.Offset, e.Expected, e.Found)
}

// Damage is one finding of Verify.
type Damage = CorruptError

// badBytes is what a decoder says; who knows file and offset makes a CorruptError of it.
type badBytes struct{ expected, found string }

func (b *badBytes) Error() string { return "expected " + b.expected + ", found " + b.found }

func bad(expected, found string, args ...any) error {
	return &badBytes{expected: expected, found: fmt.Sprintf(found, args...)}
}

// corrupt places what a decoder found; other errors pass.
func corrupt(file string, off int64, err error) error {
	var b *badBytes
	if errors.As(err, &b) {
		return &CorruptError{File: file, Offset: off, Expected: b.expected, Found: b.found}
	}
	return err
}
