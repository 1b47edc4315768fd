package subscription

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// Rows, drawn in docs/formats/state.md. The key of a source, a chunk and a carried record begins alike, so that what is above a floor lies
// together and goes with one range.

func subKey(id ID) []byte { return binary.BigEndian.AppendUint32([]byte{state.PrefixSub}, uint32(id)) }
func routeKey(r RouteID) []byte {
	return binary.BigEndian.AppendUint32([]byte{state.PrefixRoute}, uint32(r))
}

func subPrefix(prefix byte, id ID) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefix}, uint32(id))
}

func placeKey(dst []byte, at Place) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(at.Stream))
	return binary.BigEndian.AppendUint32(dst, uint32(at.Partition))
}

func sourceKey(prefix byte, id ID, at Place) []byte { return placeKey(subPrefix(prefix, id), at) }

func numberedKey(prefix byte, id ID, at Place, n uint64) []byte {
	return binary.BigEndian.AppendUint64(sourceKey(prefix, id, at), n)
}

func arrivalsKey(at Place, r RouteID) []byte {
	return binary.BigEndian.AppendUint32(placeKey([]byte{state.PrefixArrivals}, at), uint32(r))
}

var nextKey = []byte{state.PrefixMeta, 'u'}

func readKey(key []byte, extra int) (id ID, at Place, n uint64, err error) {
	if len(key) != 13+extra {
		return 0, Place{}, 0, fmt.Errorf("key %x has %d bytes", key, len(key))
	}
	id = ID(binary.BigEndian.Uint32(key[1:]))
	at = Place{record.StreamID(binary.BigEndian.Uint32(key[5:])), record.PartitionID(binary.BigEndian.Uint32(key[9:]))}
	if extra == 8 {
		n = binary.BigEndian.Uint64(key[13:])
	}
	return id, at, n, nil
}

// A source: flags u8 (1 all, 2 known), start, since, floor; owed, base, settled as count and bytes; carried, gaps; reasons with their number of entries;
// moved time, turn; metadata; routed + 1. Amounts may be negative: they are varints.
func (src *Source) appendRow(dst []byte) []byte {
	var flags byte
	if src.All {
		flags |= 1
	}
	if src.Known {
		flags |= 2
	}
	dst = append(dst, flags)
	for _, o := range [...]record.Offset{src.Start, src.Since, src.Floor} {
		dst = binary.AppendUvarint(dst, uint64(o))
	}
	for _, a := range [...]Amount{src.Owed, src.Base, src.Settled} {
		dst = binary.AppendVarint(binary.AppendVarint(dst, a.Count), a.Bytes)
	}
	dst = binary.AppendVarint(binary.AppendVarint(dst, src.Carried), src.Gaps)
	dst = append(dst, byte(reasonEnd))
	for r := range reasonEnd {
		dst = binary.AppendUvarint(dst, uint64(src.Reasons.of(r)))
	}
	dst = binary.AppendVarint(dst, src.MovedMS)
	dst = binary.AppendUvarint(dst, uint64(src.Turn))
	dst = binary.AppendUvarint(fact.AppendBytes(dst, src.Metadata), uint64(src.Routed+1))
	return binary.AppendVarint(dst, int64(src.Epoch))
}

func (src *Source) readRow(value []byte) error {
	b := fact.ReadBody(value)
	flags := b.Fixed(1)[0]
	src.All, src.Known = flags&1 != 0, flags&2 != 0
	src.Start, src.Since, src.Floor = readOffset(b), readOffset(b), readOffset(b)
	for _, a := range []*Amount{&src.Owed, &src.Base, &src.Settled} {
		a.Count, a.Bytes = b.Varint(), b.Varint()
	}
	src.Carried, src.Gaps = b.Varint(), b.Varint()
	n := int(b.Fixed(1)[0])
	for i := range n {
		if v := int64(b.Uvarint()); v != 0 && i < int(reasonEnd) {
			src.count(Reason(i), v)
		}
	}
	src.MovedMS, src.Turn = b.Varint(), uint32(b.Uvarint())
	if m := b.Bytes(); len(m) > 0 {
		src.Metadata = append([]byte(nil), m...)
	}
	if src.Routed = -1; b.Rest() > 0 { // else the row is from before routes were indexed
		src.Routed = readOffset(b) - 1
	}
	if b.Rest() > 0 { // likewise
		src.Epoch = int32(b.Varint())
	}
	return b.Err()
}

// A chunk: two bitmaps, each as one byte and what follows from it:
//
//	0       nothing is set
//	255     all of it is
//	n 1-60  so many runs, each (zeros before it uvarint, ones uvarint)
//	128     sixteen words, big-endian
func appendBitmap(dst []byte, m *[chunkWords]uint64) []byte {
	ones, runs := 0, 0
	last := uint64(0)
	for _, w := range m {
		ones += bits.OnesCount64(w)
		runs += bits.OnesCount64(w &^ (w<<1 | last)) // where a run begins
		last = w >> 63
	}
	switch {
	case ones == 0:
		return append(dst, 0)
	case ones == chunkBits:
		return append(dst, 255)
	case runs > 60:
		dst = append(dst, 128)
		for _, w := range m {
			dst = binary.BigEndian.AppendUint64(dst, w)
		}
		return dst
	}
	dst = append(dst, byte(runs))
	for at := 0; runs > 0; runs-- {
		from := next(m, at, true)
		to := next(m, from, false)
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(from-at)), uint64(to-from))
		at = to
	}
	return dst
}

// next is the first bit from i on that is as asked, or chunkBits.
func next(m *[chunkWords]uint64, i int, set bool) int {
	for i < chunkBits {
		w := m[i/64]
		if !set {
			w = ^w
		}
		if w &= ^uint64(0) << (i % 64); w != 0 {
			return i&^63 + bits.TrailingZeros64(w)
		}
		i = i&^63 + 64
	}
	return chunkBits
}

func readBitmap(b *fact.Body, m *[chunkWords]uint64) error {
	switch n := b.Fixed(1)[0]; {
	case n == 0:
	case n == 255:
		for i := range m {
			m[i] = ^uint64(0)
		}
	case n == 128:
		p := b.Fixed(chunkWords * 8)
		for i := range m {
			if len(p) >= 8*(i+1) {
				m[i] = binary.BigEndian.Uint64(p[8*i:])
			}
		}
	case n <= 60:
		at := uint64(0)
		for range n {
			from := at + b.Uvarint()
			to := from + b.Uvarint()
			if from < at || to < from || to > chunkBits {
				return fmt.Errorf("a run of %d to %d in a chunk", from, to)
			}
			for i := from; i < to; i++ {
				m[i/64] |= 1 << (i % 64)
			}
			at = to
		}
	default:
		return fmt.Errorf("a bitmap of kind %d", n)
	}
	return nil
}

func (c *chunk) appendRow(dst []byte) []byte {
	return appendBitmap(appendBitmap(dst, &c.done), &c.handed)
}

func (c *chunk) readRow(value []byte) error {
	b := fact.ReadBody(value)
	if err := readBitmap(b, &c.done); err != nil {
		return err
	}
	if err := readBitmap(b, &c.handed); err != nil {
		return err
	}
	return b.Err()
}
