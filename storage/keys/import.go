package keys

import (
	"bytes"
	"fmt"
	"slices"

	"leat/internal/assert"
)

// Import takes in entries of older frames of one stream, in any order, until next returns nil: the index of a stream is built while the
// stream lives on. It runs on the caller's goroutine beside everything else, in the memory of one chunk, and readers see all of it or, when it
// failed or the process died, nothing. An entry that was added as well is given once. What Keep refuses is left out.
func (x *Index) Import(stream uint32, next func() (*Entry, error)) error {
	if x.stopped.Load() {
		return ErrClosed
	}
	var tiers [][]*file // made so far, by tier; no manifest names them
	err := x.importInto(&tiers, stream, next)
	made := slices.Concat(tiers...)
	if err == nil && len(made) > 0 {
		if err = x.commit(made, nil, nil, 0); err == nil {
			x.counts.imports.Add(1)
			x.signal(wakeSmall)
			x.signal(wakeLarge)
			return nil
		}
		return fmt.Errorf("keys: import: %w", err)
	}
	discard(made)
	if err != nil {
		return fmt.Errorf("keys: import: %w", err)
	}
	return nil
}

func (x *Index) importInto(tiers *[][]*file, stream uint32, next func() (*Entry, error)) error {
	var s sorter
	c := newChunk(&x.pool, x.cfg.ChunkBytes)
	defer func() { c.release() }()
	end := func() error {
		if c.n == 0 {
			return nil
		}
		order := s.sort(c, 0, c.n)
		c.sortPositions(order)
		f, err := x.writeChunk(c, order, x.pace)
		if err != nil {
			return err
		}
		c.release()
		c = newChunk(&x.pool, x.cfg.ChunkBytes)
		return x.importFile(tiers, f)
	}
	for {
		e, err := next()
		if err != nil {
			return err
		}
		if e == nil {
			return end()
		}
		assert.That(e.Stream == stream && e.Seq > 0 && len(e.Key) <= KeyBytesMax, "keys: an import has entries of one stream")
		if !c.room(len(e.Key)) {
			if err := end(); err != nil {
				return err
			}
			if need := int64(2*slotBytes + len(e.Key)); need > x.cfg.ChunkBytes {
				c.release()
				c = newChunk(&x.pool, need)
			}
		}
		c.add(e)
		x.counts.imported.Add(1)
	}
}

// importFile adds a file, and merges a tier that is full.
func (x *Index) importFile(tiers *[][]*file, f *file) error {
	for tier := 0; f != nil; tier++ {
		if len(*tiers) == tier {
			*tiers = append(*tiers, nil)
		}
		(*tiers)[tier] = append((*tiers)[tier], f)
		full := (*tiers)[tier]
		bytes := int64(0)
		for _, g := range full {
			bytes += g.meta.bytes
		}
		if len(full) < x.cfg.FanIn || tier == tiersMax-1 || bytes > 2*x.cfg.FileBytesMax {
			return nil
		}
		merged, err := x.mergeInto(full, uint8(tier+1))
		if err != nil {
			return err
		}
		(*tiers)[tier] = nil
		discard(full)
		f = merged
	}
	return nil
}

// sortPositions puts the entries of each key into position order, for a chunk that was not filled in it.
func (c *chunk) sortPositions(order []uint32) {
	position := func(i uint32) Position {
		s := &c.mem[i]
		return Position{Seq: s.seq, Batch: s.batch, Record: s.record}
	}
	for from := 0; from < len(order); {
		to, sorted := from+1, true
		for to < len(order) && c.mem[order[to]].stream == c.mem[order[from]].stream && bytes.Equal(c.key(order[to]), c.key(order[from])) {
			sorted = sorted && position(order[to-1]).Compare(position(order[to])) <= 0
			to++
		}
		if !sorted {
			slices.SortFunc(order[from:to], func(i, j uint32) int { return position(i).Compare(position(j)) })
		}
		from = to
	}
}
