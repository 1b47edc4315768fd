package filter

import (
	"container/list"
	"sync"
)

// cache keeps the filters used last. Its size is CacheMax filters of at most ExprBytesMax text each.
type cache struct {
	mu    sync.Mutex
	max   int
	byKey map[string]*list.Element
	used  list.List // of *Filter, the last used first
}

var compiled = cache{max: CacheMax, byKey: map[string]*list.Element{}}

func (c *cache) get(expr string) *Filter {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[expr]
	if !ok {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*Filter)
}

// put keeps f, or gives the one that another goroutine put meanwhile.
func (c *cache) put(f *Filter) *Filter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[f.expr]; ok {
		return e.Value.(*Filter)
	}
	c.byKey[f.expr] = c.used.PushFront(f)
	if c.used.Len() > c.max {
		last := c.used.Back()
		c.used.Remove(last)
		delete(c.byKey, last.Value.(*Filter).expr)
	}
	return f
}
