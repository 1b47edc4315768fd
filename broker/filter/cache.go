package filter

import (
	"container/list"
	"fmt"
	"sync"
)

// cache keeps the filters used last, by their text. Its size is CacheMax filters of at most ExprBytesMax text each.
type cache[F fmt.Stringer] struct {
	mu    sync.Mutex
	max   int
	byKey map[string]*list.Element
	used  list.List // of F, the last used first
}

var (
	compiled = cache[*Filter]{max: CacheMax, byKey: map[string]*list.Element{}}
	pushed   = cache[*Predicate]{max: CacheMax, byKey: map[string]*list.Element{}}
)

func (c *cache[F]) get(expr string) (f F, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[expr]
	if !ok {
		return f, false
	}
	c.used.MoveToFront(e)
	return e.Value.(F), true
}

// put keeps f, or gives the one that another goroutine put meanwhile.
func (c *cache[F]) put(f F) F {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[f.String()]; ok {
		return e.Value.(F)
	}
	c.byKey[f.String()] = c.used.PushFront(f)
	if c.used.Len() > c.max {
		last := c.used.Back()
		c.used.Remove(last)
		delete(c.byKey, last.Value.(F).String())
	}
	return f
}
