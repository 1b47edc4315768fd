package record

import (
	"encoding/binary"
	"unsafe"

	"leat/broker/fault"
)

// A record, inside a batch, all numbers zigzag varints but for the one byte of attributes:
//
//	┌────────┬────┬───────────┬────────┬──────────────┬────────────────┬───────┬─────────────────────────────────────────┐
//	│ length │ 00 │ timestamp │ offset │ key length   │ value length   │ count │ headers: key length, key, value length, │
//	│ (after)│    │ - base    │ - base │ (-1 null)key │ (-1 null)value │       │          (-1 null) value                │
//	└────────┴────┴───────────┴────────┴──────────────┴────────────────┴───────┴─────────────────────────────────────────┘
const (
	recordBytesMin = 7 // every field in one byte
	headerBytesMin = 2 // an empty key and a null value

	headerArena = 64 // headers allocated at a time where they may outlive the call
)

// EachRecord calls fn for every record of the batch p, in order, i counting from 0. p is exactly one batch, whose header is judged
// as by ParseBatchHeader; the checksum is not looked at. An error of fn ends the walk and is returned as it is.
//
// What r lends: *r itself is reused for the next record, so keep a copy of the struct, not the pointer. In an uncompressed batch
// everything *r refers to (key, value, the Headers slice, header keys and values) stays valid and unchanged as long as p does. In a
// compressed batch all of it is only valid during the call; Clone makes a copy that lasts.
//
// A batch with append time gives that as the timestamp of every record. Offsets are absolute. A batch that would inflate beyond lim
// is refused with TooLarge before the memory is taken.
func EachRecord(p []byte, lim InflateLimits, fn func(i int, r *Record) error) error {
	h, err := ParseBatchHeader(p)
	if err != nil {
		return err
	}
	if h.Codec() == None {
		d := recordDecoder{h: h, p: p[BatchHeaderBytes:h.Bytes], lasting: true}
		return d.each(fn)
	}
	section, release, err := Inflated(p, lim)
	if err != nil {
		return err
	}
	defer release()
	d := recordDecoder{h: h, p: section}
	return d.each(fn)
}

// OneRecord finds the record of a batch with that offset; the others are passed over by their lengths, unread. ok is false when there is none. What
// is said of p and of what is lent at EachRecord holds here; of a compressed batch the record is a copy.
func OneRecord(p []byte, lim InflateLimits, offset Offset) (r Record, ok bool, err error) {
	h, err := ParseBatchHeader(p)
	if err != nil {
		return r, false, err
	}
	d := recordDecoder{h: h, p: p[BatchHeaderBytes:h.Bytes]}
	if h.Codec() != None {
		section, release, err := Inflated(p, lim)
		if err != nil {
			return r, false, err
		}
		defer release()
		d.p = section
	}
	r, ok, err = d.find(offset, false)
	if ok && h.Codec() != None {
		r = r.Clone()
	}
	return r, ok, err
}

// OneRecordOf is OneRecord in a part of an uncompressed batch that EachPart has cut.
func OneRecordOf(h *BatchHeader, part []byte, offset Offset) (r Record, ok bool, err error) {
	d := recordDecoder{h: *h, p: part}
	return d.find(offset, true)
}

// find is OneRecord among the records that are left. Only a part may end before as many have been seen as the header says.
func (d *recordDecoder) find(offset Offset, part bool) (r Record, ok bool, err error) {
	want := int64(offset - d.h.BaseOffset)
	for i := range int(d.h.Count) {
		if part && len(d.p) == 0 {
			break
		}
		c := cursor{p: d.p}
		n := c.varint()
		if c.bad || n < 0 || n > int64(len(c.p)-c.i) {
			return r, false, invalidRecord(i, "its length is not right")
		}
		end := c.i + int(n)
		c.i++ // attributes
		c.varint()
		delta := c.varint()
		if c.bad || c.i > end {
			return r, false, invalidRecord(i, "its offset cannot be read")
		}
		if delta < want {
			d.p = d.p[end:]
			continue
		}
		if delta > want {
			return r, false, nil
		}
		if _, bad := d.next(&r); bad != "" {
			return r, false, invalidRecord(i, bad)
		}
		return r, true, nil
	}
	return r, false, nil
}

// EachPart cuts the records of the uncompressed batch p, whose header is h, into parts of at least so many bytes, the last one of less, and calls fn
// for each: from where to where in p it goes, and how far the offset of its first record is behind the base. Records are passed over by their
// lengths, unread.
func EachPart(p []byte, h *BatchHeader, bytesMin int, fn func(from, to int, first int32)) error {
	p = p[:h.Bytes]
	from, first := BatchHeaderBytes, int64(0)
	for i, at := 0, from; at < len(p); i++ {
		c := cursor{p: p, i: at}
		n := c.varint()
		if c.bad || n < 0 || n > int64(len(p)-c.i) {
			return invalidRecord(i, "its length is not right")
		}
		end := c.i + int(n)
		if at == from {
			c.i++ // attributes
			c.varint()
			delta := c.varint()
			if c.bad || c.i > end || delta < first || delta > int64(h.LastOffsetDelta) {
				return invalidRecord(i, "its offset cannot be read")
			}
			first = delta
		}
		if at = end; at-from >= bytesMin || at == len(p) {
			fn(from, at, int32(first))
			from = at
		}
	}
	return nil
}

// recordDecoder walks the records of an inflated section.
type recordDecoder struct {
	h       BatchHeader
	p       []byte // not yet read
	lasting bool   // what is handed out may be kept
	headers []Header
}

func (d *recordDecoder) each(fn func(i int, r *Record) error) error {
	count := int(d.h.Count)
	if count > len(d.p)/recordBytesMin {
		return invalid("batch", "it announces %d records and has %d bytes for them", count, len(d.p))
	}
	var r Record
	last := int64(-1)
	for i := range count {
		delta, bad := d.next(&r)
		if bad != "" {
			return invalidRecord(i, bad)
		}
		// Strictly rising and at most the last: with a count that fits, that is dense.
		if delta <= last || delta > int64(d.h.LastOffsetDelta) {
			return invalidRecord(i, "its offset delta is out of order")
		}
		last = delta
		if err := fn(i, &r); err != nil {
			return err
		}
	}
	if len(d.p) != 0 {
		return invalid("batch", "%d bytes follow its last record", len(d.p))
	}
	return nil
}

// next decodes one record; bad says what is wrong with it.
func (d *recordDecoder) next(r *Record) (delta int64, bad string) {
	c := cursor{p: d.p}
	n := c.varint()
	if c.bad || n < 0 || n > int64(len(c.p)-c.i) {
		return 0, "its length is not right"
	}
	d.p = d.p[c.i+int(n):]
	c.p = c.p[:c.i+int(n)]
	c.i++ // attributes: unused by the format, ignored by every reader
	ts := c.varint()
	delta = c.varint()
	r.Key = c.nullable()
	if c.bad {
		return 0, "its key cannot be read"
	}
	r.Value = c.nullable()
	if c.bad {
		return 0, "its value cannot be read"
	}
	r.Offset = d.h.BaseOffset + Offset(delta)
	if r.Timestamp = d.h.BaseTimestamp + ts; d.h.AppendTime() {
		r.Timestamp = d.h.MaxTimestamp
	}
	return delta, d.readHeaders(r, &c)
}

func (d *recordDecoder) readHeaders(r *Record, c *cursor) (bad string) {
	n := c.varint()
	if c.bad || n < 0 || n > int64((len(c.p)-c.i)/headerBytesMin) {
		return "its header count is not right"
	}
	r.Headers = nil
	if n > 0 {
		r.Headers = d.takeHeaders(int(n))
	}
	for i := range r.Headers {
		key := c.nullable()
		if c.bad || key == nil {
			return "a header key cannot be read"
		}
		// The string shares the batch's bytes, which nobody changes after the header was patched.
		r.Headers[i].Key = unsafe.String(unsafe.SliceData(key), len(key))
		if r.Headers[i].Value = c.nullable(); c.bad {
			return "a header value cannot be read"
		}
	}
	if c.i != len(c.p) {
		return "bytes follow its last header"
	}
	return ""
}

// takeHeaders gives room for n headers: the same room every time, or room of its own where the caller may keep it.
func (d *recordDecoder) takeHeaders(n int) []Header {
	if cap(d.headers) < n {
		size := n
		if d.lasting && d.h.Count > 1 {
			size = max(n, min(headerArena, n*int(d.h.Count)))
		}
		d.headers = make([]Header, 0, size)
	}
	hs := d.headers[:n:n]
	if d.lasting {
		d.headers = d.headers[n:n:cap(d.headers)]
	}
	return hs
}

// cursor reads the fields of one record. After bad, what it gives has no meaning.
type cursor struct {
	p   []byte
	i   int
	bad bool
}

// varint reads a zigzag number of at most ten bytes; most have one.
func (c *cursor) varint() int64 {
	if c.i < len(c.p) && c.p[c.i] < 0x80 {
		u := c.p[c.i]
		c.i++
		return int64(u>>1) ^ -int64(u&1)
	}
	return c.longVarint()
}

func (c *cursor) longVarint() int64 {
	if c.i >= len(c.p) {
		c.bad = true
		return 0
	}
	if c.i+1 < len(c.p) && c.p[c.i+1] < 0x80 { // two bytes: lengths from 64 on
		u := uint64(c.p[c.i]&0x7f) | uint64(c.p[c.i+1])<<7
		c.i += 2
		return int64(u>>1) ^ -int64(u&1)
	}
	u, n := binary.Uvarint(c.p[c.i:])
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.i += n
	return int64(u>>1) ^ -int64(u&1)
}

// nullable reads bytes behind their length, -1 for null.
func (c *cursor) nullable() []byte {
	n := c.varint()
	if n < -1 || n > int64(len(c.p)-c.i) {
		c.bad = true
		return nil
	}
	if n < 0 {
		return nil
	}
	b := c.p[c.i : c.i+int(n) : c.i+int(n)]
	c.i += int(n)
	return b
}

func invalidRecord(i int, bad string) error {
	return fault.New(fault.Invalid, opBatch, "record", "record %d of the batch: %s", i, bad)
}
