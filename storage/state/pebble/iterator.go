package pebble

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"leat/storage/state"
)

// firstKey is the lowest key that is not the store's own.
var firstKey = []byte{state.PrefixStore + 1}

func (s *Store) Iter(lo, hi []byte) (state.Iterator, error) {
	if s.closed.Load() {
		return nil, state.ErrClosed
	}
	if bytes.Compare(lo, firstKey) < 0 {
		lo = firstKey
	}
	if hi != nil && bytes.Compare(hi, lo) < 0 {
		hi = lo
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, fmt.Errorf("state: iter: %w", err)
	}
	return &iterator{it: it, fresh: true}, nil
}

// iterator adds to Pebble's what a new one does when it is moved before it was placed.
type iterator struct {
	it    *pebble.Iterator
	fresh bool
}

func (i *iterator) SeekGE(key []byte) bool { i.fresh = false; return i.it.SeekGE(key) }
func (i *iterator) SeekLT(key []byte) bool { i.fresh = false; return i.it.SeekLT(key) }

func (i *iterator) Next() bool {
	if i.fresh {
		i.fresh = false
		return i.it.First()
	}
	return i.it.Next()
}

func (i *iterator) Prev() bool {
	if i.fresh {
		i.fresh = false
		return i.it.Last()
	}
	return i.it.Prev()
}

func (i *iterator) Key() []byte   { return i.it.Key() }
func (i *iterator) Value() []byte { return i.it.Value() }

func (i *iterator) Err() error {
	if err := i.it.Error(); err != nil {
		return fmt.Errorf("state: iter: %w", err)
	}
	return nil
}

func (i *iterator) Close() error {
	if err := i.it.Close(); err != nil {
		return fmt.Errorf("state: iter: %w", err)
	}
	return nil
}
