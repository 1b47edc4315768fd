package keys

import (
	"bytes"
	"sync"
)

// lookup finds the slots of a key in a chunk that is not sorted. It is built by those who ask: a lookup first takes in what was
// added since the last one. Who never asks never pays; who asks after every entry pays for one.
//
// heads[hash] is the newest slot of that hash plus one, prev[slot] the one before it plus one: chains run backwards in time.
type lookup struct {
	mu    sync.RWMutex
	heads []uint32
	prev  []uint32 // its length says how many slots are taken in
	stale bool     // heads are those of an earlier use
}

// newest calls fn for the slots of a key below n, newest first, until it returns false. fn runs under the lookup's lock.
func (c *chunk) newest(stream uint32, key []byte, n int64, fn func(i uint32) bool) {
	if n == 0 {
		return
	}
	hash := hashKey(stream, key)
	l := &c.index
	l.mu.RLock()
	if int64(len(l.prev)) < n {
		l.mu.RUnlock()
		l.mu.Lock()
		c.takeIn(int(n))
		l.mu.Unlock()
		l.mu.RLock()
	}
	defer l.mu.RUnlock()
	for at := l.heads[hash&uint64(len(l.heads)-1)]; at != 0; at = l.prev[at-1] {
		i := at - 1
		if int64(i) >= n || c.mem[i].stream != stream || !bytes.Equal(c.key(i), key) {
			continue
		}
		if !fn(i) {
			return
		}
	}
}

// takeIn brings the chains up to slot n. The lock is held.
func (c *chunk) takeIn(n int) {
	l := &c.index
	if l.heads == nil {
		size := 64
		for size < len(c.mem)/2 {
			size *= 2
		}
		l.heads = make([]uint32, size)
	} else if l.stale {
		clear(l.heads)
	}
	l.stale = false
	mask := uint64(len(l.heads) - 1)
	for i := len(l.prev); i < n; i++ {
		head := &l.heads[hashKey(c.mem[i].stream, c.key(uint32(i)))&mask]
		l.prev = append(l.prev, *head)
		*head = uint32(i) + 1
	}
}
