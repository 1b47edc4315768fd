package memory

import (
	"bytes"
	"sync"

	"github.com/google/btree"

	"leat/storage/state"
)

// degree of the tree: 32 keeps a node within a few cache lines of pointers and clones cheap.
const degree = 32

// row is never changed once it is in a tree: clones share it.
type row struct{ key, value []byte }

func less(a, b row) bool { return bytes.Compare(a.key, b.key) < 0 }

// image is all that a store holds at one moment.
type image struct {
	tree *btree.BTreeG[row]
	mark state.Mark
}

// Store keeps state in memory. It implements state.Store.
type Store struct {
	mu      sync.RWMutex // btree.Clone writes to the tree it clones, so Iter and Flush take it whole
	now     image
	durable image
	closed  bool
}

// New returns an empty store.
func New() *Store {
	empty := btree.NewG(degree, less)
	return &Store{now: image{tree: empty}, durable: image{tree: empty.Clone()}}
}

// Crash returns a new store that holds what a crash now would leave of s: what was last flushed. s itself goes on as before.
func (s *Store) Crash() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Store{
		now:     image{s.durable.tree.Clone(), s.durable.mark},
		durable: image{s.durable.tree.Clone(), s.durable.mark},
	}
}

func (s *Store) Get(key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, state.ErrClosed
	}
	r, ok := s.now.tree.Get(row{key: key})
	if !ok {
		return nil, state.ErrNotFound
	}
	return append(make([]byte, 0, len(r.value)), r.value...), nil
}

func (s *Store) Iter(lo, hi []byte) (state.Iterator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, state.ErrClosed
	}
	return &iterator{tree: s.now.tree.Clone(), lo: bytes.Clone(lo), hi: bytes.Clone(hi)}, nil
}

func (s *Store) NewBatch() state.Batch { return &batch{} }

func (s *Store) Apply(b state.Batch, m state.Mark) error {
	mine := b.(*batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.ErrClosed
	}
	for _, c := range mine.changes {
		switch c.kind {
		case set:
			s.now.tree.ReplaceOrInsert(row{c.key, c.value})
		case del:
			s.now.tree.Delete(row{key: c.key})
		case delRange:
			deleteRange(s.now.tree, c.key, c.value)
		}
	}
	s.now.mark = m
	mine.changes = nil
	return nil
}

// deleteRange collects first: a tree must not change while it is walked.
func deleteRange(tree *btree.BTreeG[row], lo, hi []byte) {
	var doomed []row
	tree.AscendRange(row{key: lo}, row{key: hi}, func(r row) bool {
		doomed = append(doomed, r)
		return true
	})
	for _, r := range doomed {
		tree.Delete(r)
	}
}

func (s *Store) Applied() state.Mark {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.now.mark
}

func (s *Store) Durable() state.Mark {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.durable.mark
}

func (s *Store) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.ErrClosed
	}
	s.durable = image{s.now.tree.Clone(), s.now.mark}
	return nil
}

func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.ErrClosed
	}
	s.closed = true
	return nil
}
