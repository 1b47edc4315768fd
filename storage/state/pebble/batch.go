package pebble

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"leat/storage/state"
)

// batch keeps the first error; Apply returns it.
type batch struct {
	b   *pebble.Batch
	err error
}

func (s *Store) NewBatch() state.Batch { return &batch{b: s.db.NewBatch()} }

func (b *batch) Set(key, value []byte) {
	state.CheckKey(key)
	b.keep(b.b.Set(key, value, nil))
}

func (b *batch) Delete(key []byte) {
	state.CheckKey(key)
	b.keep(b.b.Delete(key, nil))
}

// DeleteRange writes an empty range as well, so that Len counts it: Pebble refuses one that is the wrong way round.
func (b *batch) DeleteRange(lo, hi []byte) {
	state.CheckKey(lo)
	if bytes.Compare(lo, hi) > 0 {
		hi = lo
	}
	b.keep(b.b.DeleteRange(lo, hi, nil))
}

func (b *batch) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *batch) Len() int { return int(b.b.Count()) }

func (b *batch) Discard() {
	if b.b != nil {
		b.keep(b.b.Close())
		b.b = nil
	}
}
