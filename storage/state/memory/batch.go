package memory

import (
	"bytes"

	"leat/storage/state"
)

type kind uint8

const (
	set kind = iota
	del
	delRange
)

// change is a call of Set, Delete or DeleteRange; of the latter value is hi.
type change struct {
	kind       kind
	key, value []byte
}

type batch struct{ changes []change }

func (b *batch) Set(key, value []byte) {
	state.CheckKey(key)
	b.changes = append(b.changes, change{set, bytes.Clone(key), append([]byte{}, value...)})
}

func (b *batch) Delete(key []byte) {
	state.CheckKey(key)
	b.changes = append(b.changes, change{del, bytes.Clone(key), nil})
}

func (b *batch) DeleteRange(lo, hi []byte) {
	state.CheckKey(lo)
	b.changes = append(b.changes, change{delRange, bytes.Clone(lo), bytes.Clone(hi)})
}

func (b *batch) Len() int { return len(b.changes) }

func (b *batch) Discard() { b.changes = nil }
