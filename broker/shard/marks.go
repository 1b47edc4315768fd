package shard

import (
	"hash/crc32"
	"sort"
	"sync"
	"unsafe"

	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/segment"
)

// One is the batch of a record that was asked for, or as much of it as has the record.
type One struct {
	Batch   *Batch // without Raw where a part was read
	Lasting bool   // the batch stays good; else it is lent for the call
	header  record.BatchHeader
	part    []byte
}

// Record finds the record with that offset; false where the batch has none. Unless the batch is a lasting one, what it refers to is lent for the call.
func (o *One) Record(offset record.Offset) (record.Record, bool, error) {
	if o.part != nil {
		return record.OneRecordOf(&o.header, o.part, offset)
	}
	return record.OneRecord(o.Batch.Raw, record.DefaultInflateLimits(), offset)
}

// runMarks say where in a large run some of the records begin, so that one of them is read without the rest: a history of twenty records in batches
// of a megabyte is otherwise twenty megabytes. They are made when the run is read whole and found good, and have the sum of each part, so that what
// is read later is held against what was good then.
//
//	run    | batch header | r r r r r r r r r r | batch header | r r r ...
//	parts                 |0      |1      |2    |              |3
//
// A run with a compressed batch has no marks.
type runMarks struct {
	batches []markedBatch
	parts   []markedPart
}

type markedBatch struct {
	header record.BatchHeader
	next   record.Offset
	part   int // its first one
}

type markedPart struct {
	at, bytes uint32 // in the run
	first     int32  // offset of its first record behind the base of the batch
	crc       uint32
}

const (
	markedRunMin  = 64 << 10 // smaller runs are read whole
	markedPartMin = 16 << 10
	marksBytesMax = 8 << 20 // of one shard: enough for some gigabytes of large batches

	markedBatchBytes = int64(unsafe.Sizeof(markedBatch{}))
	markedPartBytes  = int64(unsafe.Sizeof(markedPart{}))
	marksOverhead    = 160
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// markRun makes the marks of a run; nil where it can have none. sums says that nobody has looked at the sums of its batches yet.
func markRun(buf []byte, sums bool) *runMarks {
	m := &runMarks{parts: make([]markedPart, 0, len(buf)/markedPartMin+1)}
	for at := 0; at < len(buf); {
		h, err := record.ParseBatchHeader(buf[at:])
		if err != nil || h.Codec() != record.None {
			return nil
		}
		batch := buf[at : at+h.Bytes]
		if sums {
			if _, err := record.CheckStored(batch, h.BaseOffset, stream.LeaderEpoch); err != nil {
				return nil
			}
		}
		m.batches = append(m.batches, markedBatch{header: h, next: h.LastOffset() + 1, part: len(m.parts)})
		err = record.EachPart(batch, &h, markedPartMin, func(from, to int, first int32) {
			sum := crc32.Checksum(batch[from:to], castagnoli)
			m.parts = append(m.parts, markedPart{at: uint32(at + from), bytes: uint32(to - from), first: first, crc: sum})
		})
		if err != nil {
			return nil
		}
		at += h.Bytes
	}
	return m
}

// find returns the batch that holds an offset, its place among those of the run, and the part where the record must be, if it is there.
func (m *runMarks) find(offset record.Offset) (b *markedBatch, i int, part *markedPart) {
	i = sort.Search(len(m.batches), func(i int) bool { return m.batches[i].next > offset })
	if i == len(m.batches) || m.batches[i].header.BaseOffset > offset {
		return nil, 0, nil
	}
	b = &m.batches[i]
	end := len(m.parts)
	if i+1 < len(m.batches) {
		end = m.batches[i+1].part
	}
	parts := m.parts[b.part:end]
	delta := int64(offset - b.header.BaseOffset)
	n := sort.Search(len(parts), func(i int) bool { return int64(parts[i].first) > delta }) - 1
	if n < 0 {
		return nil, 0, nil
	}
	return b, i, &parts[n]
}

func (m *runMarks) size() int64 {
	return marksOverhead + int64(cap(m.batches))*markedBatchBytes + int64(cap(m.parts))*markedPartBytes
}

// markKey is where a run lies: in a file, or in the journal. Neither place gets another run later that the sums would not tell apart.
type markKey struct {
	file  segment.FileID // 0: the journal
	place uint64
	off   int64
}

func (l *locator) markKey() markKey {
	if l.inFile {
		id, at := l.cold.Place()
		return markKey{file: id, off: at}
	}
	return markKey{place: l.run.Place, off: l.run.Off}
}

// markCache keeps marks in two generations: when the young one is full, the old one goes and the young becomes old. What is used in time is young
// again.
type markCache struct {
	mu         sync.Mutex
	young, old map[markKey]*runMarks
	bytes      int64 // of young
}

func (c *markCache) get(k markKey) *runMarks {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.young[k]
	if m == nil {
		if m = c.old[k]; m != nil {
			c.add(k, m)
		}
	}
	return m
}

func (c *markCache) put(k markKey, m *runMarks) {
	if m == nil || m.size() > marksBytesMax/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young[k] == nil {
		c.add(k, m)
	}
}

// add puts marks that young does not have. The lock is held.
func (c *markCache) add(k markKey, m *runMarks) {
	size := m.size()
	if c.young == nil || c.bytes+size > marksBytesMax/2 {
		c.old, c.young, c.bytes = c.young, map[markKey]*runMarks{}, 0
	}
	c.young[k] = m
	c.bytes += size
}

func (c *markCache) drop(k markKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.young[k]; m != nil {
		delete(c.young, k)
		c.bytes -= m.size()
	}
	delete(c.old, k)
}

// readMarked reads the part of the run that l stands on in which an offset must be; nil where that is not known, or is not what it was: then the
// run is to be read whole, which says what is wrong.
func (p *Published) readMarked(l *locator, offset record.Offset, buf *oneBuffer) *One {
	if l.run.Bytes < markedRunMin {
		return nil
	}
	k := l.markKey()
	m := p.marks.get(k)
	if m == nil {
		return nil
	}
	b, i, part := m.find(offset)
	if b == nil {
		return nil
	}
	data := p.grow(buf, int(part.bytes))
	var err error
	if l.inFile {
		err = l.cold.ReadPart(data, int64(part.at))
	} else {
		err = p.readJournal(&l.run, int(part.at), data)
	}
	if err != nil || crc32.Checksum(data, castagnoli) != part.crc {
		p.marks.drop(k)
		return nil
	}
	return &One{header: b.header, part: data, Batch: &Batch{
		Base: b.header.BaseOffset, Next: b.next, Seq: l.run.Seq, Ordinal: l.run.Batch + uint32(i), TimeMS: l.run.TimeMS,
	}}
}
