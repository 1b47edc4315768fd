package memory

import (
	"bytes"

	"github.com/google/btree"
)

// place is where an iterator stands.
type place uint8

const (
	nowhere place = iota // new
	before               // the first row
	on                   // a row
	after                // the last row
)

// iterator walks a clone that nobody changes. Each move is one search from the root: the tree has no cursor.
type iterator struct {
	tree   *btree.BTreeG[row]
	lo, hi []byte
	at     place
	row    row
}

func (it *iterator) SeekGE(key []byte) bool {
	if it.lo != nil && bytes.Compare(key, it.lo) < 0 {
		key = it.lo
	}
	return it.up(key, false)
}

func (it *iterator) SeekLT(key []byte) bool {
	if it.hi != nil && bytes.Compare(key, it.hi) > 0 {
		key = it.hi
	}
	return it.down(key, true)
}

func (it *iterator) Next() bool {
	switch it.at {
	case on:
		return it.up(it.row.key, true)
	case after:
		return false
	default:
		return it.up(it.lo, false)
	}
}

func (it *iterator) Prev() bool {
	switch it.at {
	case on:
		return it.down(it.row.key, true)
	case before:
		return false
	default:
		return it.down(it.hi, it.hi != nil)
	}
}

// up goes to the first row >= from, or > from when past.
func (it *iterator) up(from []byte, past bool) bool {
	it.at = after
	it.tree.AscendGreaterOrEqual(row{key: from}, func(r row) bool {
		if past && bytes.Equal(r.key, from) {
			return true
		}
		if it.hi == nil || bytes.Compare(r.key, it.hi) < 0 {
			it.row, it.at = r, on
		}
		return false
	})
	return it.at == on
}

// down goes to the last row < to, or to the last of all when not bounded.
func (it *iterator) down(to []byte, bounded bool) bool {
	it.at = before
	visit := func(r row) bool {
		if bounded && bytes.Compare(r.key, to) >= 0 {
			return true
		}
		if it.lo == nil || bytes.Compare(r.key, it.lo) >= 0 {
			it.row, it.at = r, on
		}
		return false
	}
	if bounded {
		it.tree.DescendLessOrEqual(row{key: to}, visit)
	} else {
		it.tree.Descend(visit)
	}
	return it.at == on
}

func (it *iterator) Key() []byte   { return it.row.key }
func (it *iterator) Value() []byte { return it.row.value }
func (it *iterator) Err() error    { return nil }

func (it *iterator) Close() error {
	it.tree = nil // a move after Close is a bug and panics
	return nil
}
