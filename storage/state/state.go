package state

import (
	"errors"

	"leat/internal/assert"
)

// ErrNotFound is what Get returns for a key that has no value. It is returned as it is, never wrapped: absence is ordinary.
var ErrNotFound = errors.New("state: no such key")

// ErrClosed is what a closed store answers.
var ErrClosed = errors.New("state: closed")

// ErrBroken is what a store answers, wrapped with the cause, once its files can no longer be trusted to take changes. It must be
// closed; what Durable said last is what the next open finds, or more.
var ErrBroken = errors.New("state: broken")

// Mark is how far into the journal a store has been written: the Seq and the place of the last frame whose rows it holds.
type Mark struct {
	Seq   uint64
	Place uint64
}

// Store is an ordered key space that holds what facts have made of a shard so far. It can always be thrown away and rebuilt from
// the journal, so it keeps no log of its own: Apply is atomic and visible on return, but durable only after a Flush (its own
// or the store's).
//
// All methods may be called by many goroutines at once, except Apply, which is for one at a time, and Close, which comes after
// every other call has returned and every iterator is closed.
type Store interface {
	// Get returns a copy of the value, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Iter walks lo <= key < hi over the rows as they are at the call. The caller closes it. A nil lo is the first key, a nil hi
	// is after the last one. An open iterator holds on to what it sees: close it soon.
	Iter(lo, hi []byte) (Iterator, error)
	// NewBatch returns an empty batch for Apply. It is used by one goroutine, once.
	NewBatch() Batch
	// Apply makes all of b visible at once, with m as the new mark. b must not be used afterwards. After an error nothing of
	// b is visible.
	Apply(b Batch, m Mark) error
	// Applied is the mark of the last Apply; after open it is that of the last Apply that became durable.
	Applied() Mark
	// Durable is the mark that a crash now would leave at least. The journal may be trimmed up to it.
	Durable() Mark
	// Flush makes all that was applied before the call durable, and waits for it. After an error Durable stands where it stood.
	Flush() error
	// Close lets go of all resources. What was not flushed may be lost.
	Close() error
}

// Batch collects changes, which take effect in the order they were made. Keys and values are copied.
type Batch interface {
	// Set gives key a value; an empty value is a value.
	Set(key, value []byte)
	// Delete takes key away, if it is there.
	Delete(key []byte)
	// DeleteRange takes away all keys lo <= key < hi; nothing when lo >= hi.
	DeleteRange(lo, hi []byte)
	// Len is the number of calls of the three above.
	Len() int
	// Discard lets go of the batch, instead of Apply.
	Discard()
}

// Iterator stands on a row, before the first or after the last. A new one stands on none: Next then goes to the first row and
// Prev to the last. Each move says whether it arrived at a row. Key and Value are good until the next move.
//
// It is for one goroutine.
type Iterator interface {
	// SeekGE goes to the first row with a key >= key.
	SeekGE(key []byte) bool
	// SeekLT goes to the last row with a key < key.
	SeekLT(key []byte) bool
	// Next goes one row on; from before the first to the first.
	Next() bool
	// Prev goes one row back; from after the last to the last.
	Prev() bool
	// Key is that of the row it stands on.
	Key() []byte
	// Value is that of the row it stands on.
	Value() []byte
	// Err says why a move that returned false did not arrive, when the reason is not that there is no row.
	Err() error
	// Close lets go of what the iterator sees.
	Close() error
}

// CheckKey panics unless key is one that a batch may name: not empty, and not one of the store's own.
func CheckKey(key []byte) {
	assert.That(len(key) > 0 && key[0] != PrefixStore, "a state key starts with a registered prefix, not %.20q", key)
}
