package segment

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by a closed Store, and by its cursors.
	ErrClosed = errors.New("segment: the store is closed")
	// ErrOrder is returned by Add for a run that does not come where it must.
	ErrOrder = errors.New("segment: the run is out of order")
	// ErrOverlap is returned by Commit when two pieces would hold the same offsets.
	ErrOverlap = errors.New("segment: two pieces hold the same offsets")
	// ErrNoFile is returned for a FileID that the store does not have.
	ErrNoFile = errors.New("segment: no such file")
	// ErrNewer is returned for files that are whole and of a version this program does not know.
	ErrNewer = errors.New("segment: written by a newer version of Leat: use that version, or a later one")

	errRunning = errors.New("segment: the build was finished or aborted")
)

// CorruptError says which bytes are not what was written, and which offsets are lost with them. Others stay readable: Seek(Next) goes on behind.
type CorruptError struct {
	File              string // its name in the folder
	Offset            int64  // in the file
	Block             int64  // its number in the file, from 0; -1 for what is not in a block
	Stream, Partition uint32
	Base, Next        uint64 // the offsets that cannot be read; both 0 where none are concerned
	Expected, Found   string
}

func (e *CorruptError) Error() string {
	where := fmt.Sprintf("segment: %s: byte %d", e.File, e.Offset)
	if e.Block >= 0 {
		where += fmt.Sprintf(", block %d", e.Block)
	}
	if e.Next > 0 {
		where += fmt.Sprintf(" (stream %d, partition %d, offsets %d to %d)", e.Stream, e.Partition, e.Base, e.Next-1)
	}
	return fmt.Sprintf("%s: expected %s, found %s", where, e.Expected, e.Found)
}

// badBytes says what a decoder found instead of what it wanted, and where from the start of what it was given.
type badBytes struct {
	at              int64
	expected, found string
}

func (b *badBytes) Error() string {
	return fmt.Sprintf("byte %d: expected %s, found %s", b.at, b.expected, b.found)
}

func bad(at int64, expected, found any) error {
	return &badBytes{at: at, expected: fmt.Sprint(expected), found: fmt.Sprint(found)}
}

// corrupt makes what a decoder found the error callers see. Other errors (I/O, a newer version) stay what they are.
func corrupt(at CorruptError, err error) error {
	var b *badBytes
	if !errors.As(err, &b) {
		return err
	}
	at.Offset += b.at
	at.Expected, at.Found = b.expected, b.found
	return &at
}
