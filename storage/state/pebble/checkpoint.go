package pebble

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"leat/storage/state"
)

// Checkpoint makes all that was applied before the call durable, and a copy of the store in dir, which must not be there: of hard links, so it
// takes no time and no room until the store goes on changing. It returns the mark of the copy, which is that of the last Apply before the call, or of a
// later one. dir must be on the same volume; the caller removes it.
func (s *Store) Checkpoint(dir string) (state.Mark, error) {
	if err := s.Flush(); err != nil {
		return state.Mark{}, err
	}
	if err := s.db.Checkpoint(dir); err != nil {
		return state.Mark{}, fmt.Errorf("state: checkpoint: %w", err)
	}
	return s.markOf(dir)
}

// markOf reads the mark of a copy by opening it: a flush may have ended between the one that was waited for and the copy, and so it is known that
// the copy opens.
func (s *Store) markOf(dir string) (state.Mark, error) {
	db, err := pebble.Open(dir, &pebble.Options{FS: s.fs, ReadOnly: true, DisableWAL: true, FormatMajorVersion: format, Logger: logger{s}})
	if err != nil {
		return state.Mark{}, fmt.Errorf("state: checkpoint: open the copy: %w", err)
	}
	mark := state.Mark{}
	v, closer, err := db.Get(markKey)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		err = nil
	case err == nil:
		mark, err = decodeMark(v)
		err = errors.Join(err, closer.Close())
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return state.Mark{}, fmt.Errorf("state: checkpoint: read the copy: %w", err)
	}
	return mark, nil
}
