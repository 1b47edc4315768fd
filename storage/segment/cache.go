package segment

import (
	"container/list"
	"errors"
	"fmt"
	"path"
	"sync"

	"leat/storage/vfs"
)

// cached says what of a file is in the cache.
type cached uint8

const (
	cachedIndex cached = iota
	cachedLines
	cachedEntry
)

type cacheKey struct {
	id     FileID
	what   cached
	number uint32
}

type cacheItem struct {
	key   cacheKey
	value any
	bytes int64
}

// cache holds decoded indexes, least recently used out first. Values are shared and never changed. Ids of files are not used twice, so nothing
// has to be taken out with a file.
type cache struct {
	most   int64
	counts *counters

	mu    sync.Mutex
	bytes int64
	items map[cacheKey]*list.Element
	order list.List // front: used last
}

func newCache(most int64, counts *counters) *cache {
	return &cache{most: most, counts: counts, items: map[cacheKey]*list.Element{}}
}

func (c *cache) get(key cacheKey) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[key]
	if e == nil {
		c.counts.misses.Add(1)
		return nil
	}
	c.counts.hits.Add(1)
	c.order.MoveToFront(e)
	return e.Value.(*cacheItem).value
}

// put keeps a value, unless another goroutine was faster: both read the same bytes.
func (c *cache) put(key cacheKey, value any, bytes int64) {
	bytes += 128 // of the list and the map
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items[key] != nil {
		return
	}
	c.items[key] = c.order.PushFront(&cacheItem{key, value, bytes})
	for c.bytes += bytes; c.bytes > c.most; {
		e := c.order.Back()
		item := c.order.Remove(e).(*cacheItem)
		delete(c.items, item.key)
		c.bytes -= item.bytes
	}
}

func (c *cache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// handle is an open file. Fields but f are guarded by handles.mu.
type handle struct {
	id    FileID
	f     vfs.File
	users int
	idle  *list.Element // in handles.idle, when nobody reads
	gone  bool          // to be closed by its last user
}

// handles keeps files open for readers: at most most of them beside those in use.
type handles struct {
	s    *Store
	most int

	mu     sync.Mutex
	closed bool
	open   map[FileID]*handle
	idle   list.List // front: used last
}

func newHandles(s *Store, most int) *handles {
	return &handles{s: s, most: most, open: map[FileID]*handle{}}
}

// get returns the file open, for put to be called after.
func (h *handles) get(id FileID) (*handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	o := h.open[id]
	if o == nil {
		// Opened under the lock: a file is opened once, and an open is short beside a read.
		f, err := h.s.fs.Open(path.Join(h.s.dir, id.name()), vfs.Read)
		if err != nil {
			return nil, fmt.Errorf("segment: read: %w", err)
		}
		vfs.RandomReads(f)
		o = &handle{id: id, f: f}
		h.open[id] = o
	}
	if o.idle != nil {
		h.idle.Remove(o.idle)
		o.idle = nil
	}
	o.users++
	h.trimLocked()
	return o, nil
}

func (h *handles) put(o *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.users--; o.users > 0 {
		return
	}
	if o.gone || h.closed {
		_ = o.f.Close() // only read from
		return
	}
	o.idle = h.idle.PushFront(o)
	h.trimLocked()
}

func (h *handles) trimLocked() {
	for len(h.open) > h.most && h.idle.Len() > 0 {
		o := h.idle.Remove(h.idle.Back()).(*handle)
		o.idle = nil
		delete(h.open, o.id)
		_ = o.f.Close() // only read from
	}
}

// forget closes a file that is being removed.
func (h *handles) forget(id FileID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.open[id]
	if o == nil {
		return
	}
	delete(h.open, id)
	if o.gone = true; o.users == 0 {
		h.idle.Remove(o.idle)
		_ = o.f.Close() // only read from
	}
}

func (h *handles) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.open)
}

func (h *handles) close() (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for id, o := range h.open {
		delete(h.open, id)
		if o.users == 0 {
			err = errors.Join(err, o.f.Close())
		}
	}
	h.idle.Init()
	return err
}
