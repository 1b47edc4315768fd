package record

import (
	"encoding/binary"
	"math"
	"sync"

	"leat/broker/fault"
)

// BatchBytesMax is the longest batch the format can say.
const BatchBytesMax = math.MaxInt32

// Builder makes batches from records. It reuses its memory: in a steady state neither Add nor Finish allocates, but for gzip's and
// zstd's own occasional needs. It is for one goroutine at a time. The zero Builder is not ready; use NewBuilder.
type Builder struct {
	section []byte
	count   int32
	next    int64 // offset of the next record, from the base
	base    int64 // timestamp of the first record
	max     int64
	comp    compressor
}

// NewBuilder returns an empty builder.
func NewBuilder() *Builder { return &Builder{} }

// Reset forgets the records and keeps the memory.
func (b *Builder) Reset() { b.section, b.count, b.next = b.section[:0], 0, 0 }

// Len is the number of records added.
func (b *Builder) Len() int { return int(b.count) }

// Bytes is the length of the batch so far, uncompressed.
func (b *Builder) Bytes() int { return BatchHeaderBytes + len(b.section) }

// SpanMax is how many offsets a batch may span.
const SpanMax = math.MaxInt32

// Span is how many offsets the batch spans so far.
func (b *Builder) Span() int64 { return b.next }

// Skip leaves n offsets without records, before what is added next or, at the end, behind it: so logs are copied of which something is gone. A batch
// with offsets that are left out is no producer's (CheckBatch refuses it, CheckCopy does not). It may have no record at all.
func (b *Builder) Skip(n int64) { b.next += n }

// Add appends a copy of r; its Offset is not looked at: records are numbered from 0 in the order they are added, but for what is skipped.
func (b *Builder) Add(r *Record) {
	if b.count == 0 {
		b.base, b.max = r.Timestamp, r.Timestamp
	}
	b.max = max(b.max, r.Timestamp)
	b.section = appendRecord(b.section, r, r.Timestamp-b.base, b.next)
	b.count++
	b.next++
}

// Finish appends the batch to dst: base offset 0, leader epoch 0, no producer. The same records and codec give the same bytes. The
// builder keeps its records; Reset starts the next batch. An empty batch is Invalid, one over BatchBytesMax is TooLarge.
func (b *Builder) Finish(dst []byte, codec Codec) ([]byte, error) {
	switch {
	case b.next == 0:
		return dst, invalid("batch", "it has no records")
	case b.next > SpanMax:
		return dst, fault.New(fault.TooLarge, opBatch, "batch", "it spans %d offsets; %d are the most", b.next, SpanMax)
	case b.count == 0:
		b.base, b.max, codec = NoTimestamp, NoTimestamp, None
	}
	if !codec.Known() {
		return dst, unknownCodec(codec)
	}
	start := len(dst)
	var head [BatchHeaderBytes]byte
	dst = append(dst, head[:]...)
	dst, err := b.comp.compress(dst, codec, b.section)
	if err != nil {
		return dst[:start], fault.New(fault.Internal, opBatch, "batch", "it cannot be compressed with %s", codec).From(err)
	}
	p := dst[start:]
	if len(p)-batchLengthEnd > BatchBytesMax {
		return dst[:start], fault.New(fault.TooLarge, opBatch, "batch", "it has %d bytes; %d are the most", len(p), BatchBytesMax)
	}
	putHeader(p, codec, b.count, int32(b.next-1), b.base, b.max)
	seal(p)
	return dst, nil
}

// putHeader writes the header of a batch around its records, but for the checksum.
func putHeader(p []byte, codec Codec, count, last int32, base, most int64) {
	be := binary.BigEndian
	be.PutUint32(p[atLength:], uint32(len(p)-batchLengthEnd))
	p[atMagic] = magic
	be.PutUint16(p[atAttributes:], uint16(codec))
	be.PutUint32(p[atLastDelta:], uint32(last))
	be.PutUint64(p[atBaseTimestamp:], uint64(base))
	be.PutUint64(p[atMaxTimestamp:], uint64(most))
	be.PutUint64(p[atProducerID:], math.MaxUint64) // -1: none
	be.PutUint16(p[atProducerEpoch:], math.MaxUint16)
	be.PutUint32(p[atBaseSequence:], math.MaxUint32)
	be.PutUint32(p[atCount:], uint32(count))
}

// appendRecord appends a record with its length.
func appendRecord(dst []byte, r *Record, delta, offset int64) []byte {
	dst = appendVarint(dst, int64(recordBytes(r, delta, offset)))
	dst = append(dst, 0) // attributes
	dst = appendVarint(dst, delta)
	dst = appendVarint(dst, offset)
	dst = appendNullable(dst, r.Key)
	dst = appendNullable(dst, r.Value)
	dst = appendVarint(dst, int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		dst = appendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendNullable(dst, h.Value)
	}
	return dst
}

var builders = sync.Pool{New: func() any { return NewBuilder() }}

// builderKeepBytes is the section of a pooled builder that is kept for the next.
const builderKeepBytes = 1 << 20

// BuildBatch makes an uncompressed batch of the records, in memory of its own.
func BuildBatch(records []Record) ([]byte, error) {
	b := builders.Get().(*Builder)
	defer func() {
		if cap(b.section) > builderKeepBytes {
			b.section = nil
		}
		builders.Put(b)
	}()
	b.Reset()
	for i := range records {
		b.Add(&records[i])
	}
	return b.Finish(make([]byte, 0, b.Bytes()), None)
}

// recordBytes is the length of a record behind its length field.
func recordBytes(r *Record, delta, offset int64) int {
	n := 1 + varintBytes(delta) + varintBytes(offset) + nullableBytes(r.Key) + nullableBytes(r.Value) + varintBytes(int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		n += varintBytes(int64(len(h.Key))) + len(h.Key) + nullableBytes(h.Value)
	}
	return n
}

func nullableBytes(b []byte) int {
	if b == nil {
		return 1
	}
	return varintBytes(int64(len(b))) + len(b)
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // zigzag of -1
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}

func appendVarint(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	if u < 0x80 {
		return append(dst, byte(u))
	}
	return binary.AppendUvarint(dst, u)
}

func varintBytes(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for ; u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
