package keys

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"
)

// slot is an entry in a chunk. It has no pointer, so that the collector never looks into a chunk.
type slot struct {
	seq       uint64
	offset    uint64
	version   uint64
	stream    uint32
	keyOff    uint32 // in the chunk's bytes
	keyFlags  uint32 // length of the key << 8 | flags
	batch     uint32
	record    uint32
	partition uint32
}

const slotBytes = int(unsafe.Sizeof(slot{}))

// chunk holds entries in the order in which they came: nothing is sorted and no table is kept while it is filled.
//
//	0              n*48              low                    size
//	| slot | slot | → free space ←  | key of 1 | key of 0 |
//
// One block of memory serves both, so that any mix of short and long keys fills it. It never moves and what is published never
// changes, so readers need no lock for it:
//
//	adder:  writes slot n and its key, n++          (not visible)
//	adder:  Through: published.Store(n)             (release)
//	reader: m := published.Load()                   (acquire), reads slots below m and their keys
type chunk struct {
	mem   []slot
	bytes []byte // the same memory
	pool  *chunkPool

	n   int // slots written; the adder's
	low int // where the keys begin; the adder's

	published atomic.Int64
	first     atomic.Uint64 // seq of the first entry, 0 while there is none that is published
	through   uint64        // when sealed: all entries of frames up to here are in this chunk or an older one

	refs    atomic.Int32
	touched byte // see fetch; of whoever writes the chunk

	index lookup

	sortMu   sync.Mutex
	runs     [][]uint32 // sorted slots, oldest run first; together the first sortedTo slots
	sortedTo int
}

// chunkMemory is what chunks are made of, kept for the next.
type chunkMemory struct {
	mem   []slot
	heads []uint32
	prev  []uint32
}

// chunkPool keeps the memory of chunks that were let go. Memory that was touched before is faster than new.
type chunkPool struct {
	mu   sync.Mutex
	size int64 // only chunks of this size are kept
	free []chunkMemory
	most int
}

func newChunk(pool *chunkPool, size int64) *chunk {
	count := (int(size) + slotBytes - 1) / slotBytes
	c := &chunk{pool: pool}
	pool.mu.Lock()
	if last := len(pool.free) - 1; size == pool.size && last >= 0 {
		m := pool.free[last]
		pool.free[last] = chunkMemory{}
		pool.free = pool.free[:last]
		c.mem, c.index.heads, c.index.prev = m.mem, m.heads, m.prev[:0]
		c.index.stale = m.heads != nil
	}
	pool.mu.Unlock()
	if c.mem == nil {
		c.mem = make([]slot, count)
	}
	c.bytes = unsafe.Slice((*byte)(unsafe.Pointer(&c.mem[0])), len(c.mem)*slotBytes) // a slot is 48 bytes without a pointer: any bytes will do
	c.low = len(c.bytes)
	c.refs.Store(1)
	return c
}

// room says whether an entry with a key of that length fits.
func (c *chunk) room(keyBytes int) bool { return (c.n+1)*slotBytes <= c.low-keyBytes }

// add writes an entry that fits.
func (c *chunk) add(e *Entry) {
	c.low -= len(e.Key)
	copy(c.bytes[c.low:], e.Key)
	s := &c.mem[c.n]
	s.seq, s.offset, s.version = e.Seq, e.Offset, e.Version
	s.stream, s.keyOff, s.keyFlags = e.Stream, uint32(c.low), uint32(len(e.Key))<<8|uint32(e.Flags)
	s.batch, s.record, s.partition = e.Batch, e.Record, e.Partition
	c.n++
}

func (c *chunk) key(i uint32) []byte {
	s := &c.mem[i]
	end := s.keyOff + s.keyFlags>>8
	return c.bytes[s.keyOff:end:end]
}

// entry fills e; its key is the chunk's memory.
func (c *chunk) entry(i uint32, e *Entry) {
	s := &c.mem[i]
	e.Stream, e.Key = s.stream, c.key(i)
	e.Seq, e.Batch, e.Record = s.seq, s.batch, s.record
	e.Partition, e.Offset, e.Version, e.Flags = s.partition, s.offset, s.version, uint8(s.keyFlags)
}

// publish makes all that was added visible.
func (c *chunk) publish() {
	if c.n == 0 {
		return
	}
	if c.published.Load() == 0 {
		c.first.Store(c.mem[0].seq)
	}
	c.published.Store(int64(c.n))
}

func (c *chunk) retain() { c.refs.Add(1) }

// release gives the memory back when nobody reads it any more.
func (c *chunk) release() {
	if c.refs.Add(-1) > 0 {
		return
	}
	p := c.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if int64(len(c.bytes)) < p.size+int64(slotBytes) && len(p.free) < p.most {
		p.free = append(p.free, chunkMemory{mem: c.mem, heads: c.index.heads, prev: c.index.prev})
	}
}

// prefixAt is eight bytes of a key from depth on, zeros where it ends, and how many there are: 9 for more than eight.
func prefixAt(key []byte, depth int) (prefix uint64, class uint32) {
	if rest := key[depth:]; len(rest) >= 8 {
		return binary.BigEndian.Uint64(rest), uint32(min(len(rest), longer))
	}
	var b [8]byte
	n := copy(b[:], key[depth:])
	return binary.BigEndian.Uint64(b[:]), uint32(n)
}
