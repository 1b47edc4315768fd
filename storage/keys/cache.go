package keys

import (
	"sync"
	"sync/atomic"
)

// blockCache keeps blocks that were read and checked, and what is known of keys, up to a number of bytes. What is in it never changes and is collected when neither the
// cache nor a reader has it.
//
// Each part is a clock: a hand goes round, what was used since it last came by stays once more.
type blockCache struct {
	parts        [cacheParts]cachePart
	hits, misses atomic.Int64
}

const (
	cacheParts     = 16
	cachedOverhead = 96
)

type cacheKey struct {
	number uint64
	off    int64
}

type cachedBlock struct {
	key   cacheKey
	value any // []byte of a data block, []mark of an index block, *past of a key
	bytes int64
	used  bool
}

type cachePart struct {
	mu    sync.Mutex
	most  int64
	bytes int64
	at    map[cacheKey]*cachedBlock
	ring  []*cachedBlock
	hand  int
}

func newBlockCache(bytes int64) *blockCache {
	c := &blockCache{}
	for i := range c.parts {
		c.parts[i].most, c.parts[i].at = bytes/cacheParts, map[cacheKey]*cachedBlock{}
	}
	return c
}

func (c *blockCache) part(k cacheKey) *cachePart {
	return &c.parts[(k.number*0x9e3779b97f4a7c15^uint64(k.off)*0xd6e8feb86659fd93)>>60]
}

func (c *blockCache) get(k cacheKey) any {
	p := c.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.at[k]; b != nil {
		b.used = true
		c.hits.Add(1)
		return b.value
	}
	c.misses.Add(1)
	return nil
}

func (c *blockCache) put(k cacheKey, value any, bytes int64) {
	bytes += cachedOverhead
	p := c.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes > p.most || p.at[k] != nil {
		return
	}
	p.add(k, value, bytes)
}

// replace is put where something else may be there, which it takes the place of.
func (c *blockCache) replace(k cacheKey, value any, bytes int64) {
	bytes += cachedOverhead
	p := c.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes > p.most {
		return
	}
	b := p.at[k]
	if b == nil {
		p.add(k, value, bytes)
		return
	}
	p.bytes += bytes - b.bytes
	b.value, b.bytes = value, bytes
	p.shrink(0)
}

// add puts what is not there. The lock is held.
func (p *cachePart) add(k cacheKey, value any, bytes int64) {
	p.shrink(bytes)
	b := &cachedBlock{key: k, value: value, bytes: bytes}
	p.at[k] = b
	p.ring = append(p.ring, b)
	p.bytes += bytes
}

// shrink makes room for so many bytes. The lock is held.
func (p *cachePart) shrink(bytes int64) {
	for p.bytes+bytes > p.most && len(p.ring) > 0 {
		if p.hand >= len(p.ring) {
			p.hand = 0
		}
		b := p.ring[p.hand]
		if b.used {
			b.used = false
			p.hand++
			continue
		}
		p.bytes -= b.bytes
		delete(p.at, b.key)
		last := len(p.ring) - 1
		p.ring[p.hand], p.ring[last] = p.ring[last], nil
		p.ring = p.ring[:last]
	}
}

func (c *blockCache) size() (bytes int64) {
	for i := range c.parts {
		p := &c.parts[i]
		p.mu.Lock()
		bytes += p.bytes
		p.mu.Unlock()
	}
	return bytes
}
