package keys

import (
	"slices"

	"leat/internal/assert"
	"leat/internal/clock"
)

// Add takes in the entry of a record. Entries come in position order, those of one frame before the Through that ends it. The key is
// copied, e is not kept. Nobody sees the entry before Through.
//
// It waits when ChunksMax chunks wait to be written: the disk is slower than what comes in.
func (x *Index) Add(e *Entry) {
	if !x.inFrame {
		x.adding.Lock()
		x.inFrame = true
	}
	if !x.active.room(len(e.Key)) {
		x.makeRoom(e)
	}
	x.active.add(e)
}

// Through says that all entries of frames up to seq were added, and shows them to readers. It is called once for each frame, with or
// without entries; seq grows.
func (x *Index) Through(seq uint64) {
	if !x.inFrame {
		x.adding.Lock()
	}
	defer x.adding.Unlock()
	x.inFrame = false
	assert.That(seq > x.through.Load(), "keys: frames come in order and once: %d after %d", seq, x.through.Load())
	c := x.active
	if n := c.n; n > int(c.published.Load()) {
		assert.That(c.mem[n-1].seq <= seq, "keys: entries up to seq %d belong to a frame up to it, not to %d", seq, c.mem[n-1].seq)
		x.counts.added.Add(int64(n) - c.published.Load())
		c.publish()
	}
	x.through.Store(seq)
}

// makeRoom puts a fresh chunk in place of one that cannot take e.
//
// The open frame moves to the fresh one, so that no frame is in two chunks and what is sealed ends with a frame:
//
//	| frame 7 | frame 8 | part of 9 | full   →   | frame 7 | frame 8 | sealed     | part of 9 | e ...
//
// Nobody but us has seen the part of frame 9. A frame that needs more than a chunk gets a larger one, as often as it takes.
func (x *Index) makeRoom(e *Entry) {
	assert.That(len(e.Key) <= KeyBytesMax, "keys: a key of at most %d bytes, not %d", KeyBytesMax, len(e.Key))
	old := x.active
	published := int(old.published.Load())
	open := (old.n - published) * slotBytes
	for i := published; i < old.n; i++ {
		open += len(old.key(uint32(i)))
	}
	size := x.cfg.ChunkBytes
	for size < int64(2*open+slotBytes+len(e.Key)) {
		size *= 2
	}
	if published > 0 {
		x.waitForRoom()
	}
	fresh := newChunk(&x.pool, size)
	var moved Entry
	for i := published; i < old.n; i++ {
		old.entry(uint32(i), &moved)
		fresh.add(&moved)
	}
	x.active = fresh
	x.mu.Lock()
	chunks := slices.Clone(x.view.chunks)
	if published > 0 {
		old.through = x.through.Load()
		old.retain()
		x.sealed = append(x.sealed, old)
		chunks = slices.Insert(chunks, 0, fresh)
	} else {
		chunks[0] = fresh
	}
	was := x.replaceView(chunks, slices.Clone(x.view.files))
	x.mu.Unlock()
	fresh.release()
	was.release()
	x.signal(wakeWriter)
}

// waitForRoom waits until fewer than ChunksMax chunks wait to be written. In the foreground it writes one itself, and does not wait for
// a disk that fails: then memory grows, and Flush says why.
func (x *Index) waitForRoom() {
	x.mu.Lock()
	full := len(x.sealed) >= x.cfg.ChunksMax
	if full && !x.opt.Foreground {
		since := clock.Now()
		x.counts.blocked.Add(1)
		for len(x.sealed) >= x.cfg.ChunksMax && !x.stopped.Load() && !x.hurried.Load() {
			x.room.Wait()
		}
		x.counts.blockedTime.Add(int64(clock.Since(since)))
	}
	x.mu.Unlock()
	if full && x.opt.Foreground {
		_, _ = x.writeOldest() // counted
	}
}

// Hurry ends all waiting of Add, now and from now on: chunks that cannot be written stay in memory. It comes before a Close that must not wait for
// a disk that fails.
func (x *Index) Hurry() {
	x.hurried.Store(true)
	x.mu.Lock()
	x.room.Broadcast()
	x.mu.Unlock()
}

// seal ends the active chunk, if it has anything. adding is held, and no frame is open.
func (x *Index) seal() {
	if x.active.published.Load() == 0 {
		return
	}
	old, fresh := x.active, newChunk(&x.pool, x.cfg.ChunkBytes)
	x.active = fresh
	x.mu.Lock()
	old.through = x.through.Load()
	old.retain()
	x.sealed = append(x.sealed, old)
	was := x.replaceView(slices.Insert(slices.Clone(x.view.chunks), 0, fresh), slices.Clone(x.view.files))
	x.mu.Unlock()
	fresh.release()
	was.release()
}
