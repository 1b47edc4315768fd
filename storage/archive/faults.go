package archive

import (
	"errors"
	"fmt"

	"leat/storage/journal"
)

var (
	// ErrLineage: the archive holds another history than the one at hand. A restore begins a new one, which needs another place or prefix.
	ErrLineage = errors.New("archive: this archive belongs to another history: choose another place for this one")
	// ErrDiverged: archive and journal began as one history and are two now, as after a data directory was put back to an older copy.
	ErrDiverged = errors.New("archive: the journal does not go on where the archive ends")
	// ErrTwoWriters: something else writes to this archive.
	ErrTwoWriters = errors.New("archive: somebody else writes to this archive")
	// ErrOutside: the wanted moment lies before what the archive has, or after.
	ErrOutside = errors.New("archive: the wanted moment is not in this archive")
	// ErrBefore is an ErrOutside: at the wanted moment the shard had no frames yet.
	ErrBefore = fmt.Errorf("%w: nothing was there yet", ErrOutside)
	// ErrNewer: written by a newer version of the program.
	ErrNewer = errors.New("archive: written by a newer version of Leat: use that version, or a later one")
)

// DamageError says what was found in an object where something else was written.
type DamageError struct {
	Name     string // of the object
	Offset   int64
	Expected string
	Found    string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("archive: %s is damaged at byte %d: expected %s, found %s", e.Name, e.Offset, e.Expected, e.Found)
}

// MissingError says that frames are not there which should be.
type MissingError struct {
	Shard Shard
	After journal.Seq // the last frame before the hole
	Until journal.Seq // the last Seq in the hole
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("archive: shard %d: packs between seq %d and %d are missing", e.Shard, e.After+1, e.Until)
}

// BadFrameError says that a frame of the journal cannot be archived as it is.
type BadFrameError struct {
	Seq journal.Seq
	Err error
}

func (e *BadFrameError) Error() string {
	return fmt.Sprintf("archive: frame %d of the journal: %v", e.Seq, e.Err)
}

func (e *BadFrameError) Unwrap() error { return e.Err }

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

// damaged turns what a decoder found into the error callers see.
func damaged(name string, off int64, err error) error {
	var b *badBytes
	if errors.As(err, &b) {
		return &DamageError{Name: name, Offset: off + b.at, Expected: b.expected, Found: b.found}
	}
	if err != nil {
		return fmt.Errorf("archive: %s: %w", name, err)
	}
	return nil
}
