package state

import "errors"

// ErrNotFound is what Get returns for a key that has no value.
var ErrNotFound = errors.New("state: no such key")

// Mark is how far into the journal a store has been written: the Seq and the place of the last frame whose rows it holds.
type Mark struct {
	Seq   uint64
	Place uint64
}

// Store is an ordered key space that holds what facts have made of a shard so far. It can always be thrown away and rebuilt from
// the journal, so it keeps no log of its own: Apply is atomic and visible on return, but durable only after a Flush (its own
// or the store's).
//
// All methods may be called by many goroutines at once, except Apply, which is for one at a time.
type Store interface {
	// Get returns a copy of the value, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Iter walks lo <= key < hi over the rows as they are at the call. The caller closes it.
	Iter(lo, hi []byte) (Iterator, error)
	// NewBatch returns an empty batch for Apply. It is used by one goroutine, once.
	NewBatch() Batch
	// Apply makes all of b visible at once, with m as the new mark. b must not be used afterwards.
	Apply(b Batch, m Mark) error
	// Applied is the mark of the last Apply; after open it is that of the last Apply that became durable.
	Applied() Mark
	// Durable is the mark that a crash now would leave. The journal may be trimmed up to it.
	Durable() Mark
	// Flush makes all that was applied before the call durable.
	Flush() error
	// Close lets go of all resources. What was not flushed may be lost.
	Close() error
}

// Batch collects changes. Keys and values are copied.
type Batch interface {
	Set(key, value []byte)
	Delete(key []byte)
	DeleteRange(lo, hi []byte)
	Len() int
	Discard() // instead of Apply
}

// Iterator stands on a row or is not valid. Key and Value are good until the next move.
type Iterator interface {
	SeekGE(key []byte) bool
	SeekLT(key []byte) bool
	Next() bool
	Prev() bool
	Key() []byte
	Value() []byte
	Err() error
	Close() error
}
