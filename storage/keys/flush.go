package keys

// Flush writes all entries that are published and returns when they are durable: Durable is then at least the seq of the last Through
// before the call. It waits for an open frame to end, and may be called by any goroutine but the adder's inside a frame. After an error
// nothing is lost from memory, and it may be called again.
func (x *Index) Flush() error {
	if x.stopped.Load() {
		return ErrClosed
	}
	return x.flush()
}

func (x *Index) flush() error {
	x.adding.Lock()
	x.seal()
	through := x.through.Load()
	x.adding.Unlock()
	for x.durable.Load() < through {
		did, err := x.writeOldest()
		if err != nil {
			return err
		}
		if !did { // frames without entries
			return x.commit(nil, nil, nil, through)
		}
	}
	return nil
}

// writeOldest writes the sealed chunk that has waited longest. A write or sync that failed is never tried again on the same file: the
// chunk is still there, and goes into another one.
func (x *Index) writeOldest() (did bool, err error) {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.mu.Lock()
	if len(x.sealed) == 0 {
		x.mu.Unlock()
		return false, nil
	}
	c := x.sealed[0]
	x.mu.Unlock()
	f, err := x.writeChunk(c, c.sortAll(&x.sorter), nil)
	if err == nil {
		var added []*file
		if f != nil {
			added = []*file{f}
		}
		err = x.commit(added, nil, c, c.through)
	}
	if err != nil {
		x.counts.writeErrors.Add(1)
		return false, err
	}
	x.counts.written.Add(1)
	x.signal(wakeSmall)
	x.signal(wakeLarge)
	return true, nil
}

// writeChunk writes the slots of a chunk, in the order given, to a file that no manifest names yet; nil when nothing of it is wanted.
func (x *Index) writeChunk(c *chunk, order []uint32, pace func(int) error) (*file, error) {
	want := filter{x: x}
	var w *writer
	var window [fetchWindow]Entry
	for len(order) > 0 {
		n := min(len(order), len(window))
		c.fetch(order[:n], &window)
		order = order[n:]
		for i := range n {
			e := &window[i]
			if !want.wants(e) {
				continue
			}
			if w == nil {
				var err error
				if w, err = newWriter(x.fs, x.dir, x.header()); err != nil {
					return nil, err
				}
				w.pace = pace
			}
			if err := w.add(e); err != nil {
				w.abandon()
				return nil, err
			}
		}
	}
	if w == nil {
		return nil, nil
	}
	return x.finish(w, 0, &x.counts.flushedBytes)
}

// fetchWindow is how many entries are fetched at once. Sorted entries lie all over the chunk; fetched in a loop that does nothing
// else, the processor waits for many of them at the same time.
const fetchWindow = 32

func (c *chunk) fetch(order []uint32, window *[fetchWindow]Entry) {
	for j, i := range order {
		c.entry(i, &window[j])
	}
	touched := byte(0)
	for j := range order {
		if key := window[j].Key; len(key) > 0 {
			touched |= key[0]
		}
	}
	c.touched = touched // or the compiler would leave the loop out
}
