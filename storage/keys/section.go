package keys

import (
	"bytes"
	"encoding/binary"
	"math"
	"sort"
)

// place is where something begins in the order of a file: a key and a position among its entries.
type place struct {
	key fullKey
	pos Position
}

func (p place) compare(q place) int {
	if c := bytes.Compare(p.key, q.key); c != 0 {
		return c
	}
	return p.pos.Compare(q.pos)
}

// An index block lists the data blocks of its section, the directory lists the sections of its file. Both are
//
//	| count u32 | mark | mark | ... |
//
// and a mark is
//
//	| key bytes uvarint | stream and key | seq uvarint | batch uvarint | record uvarint | offset uvarint | bytes uvarint | lines uvarint |
//
// Its place separates what lies before it from what lies behind: every entry before is less, every entry in it or later is not. When a key
// goes on from one block to the next, the place is that of the first entry; else it is the shortest start of the first key that is
// greater than the last key before, with position 0. Lines is 0 in an index block; in the directory offset and bytes are those of the
// section's index block, behind which its filter begins at the next multiple of 64.
type mark struct {
	from  place
	off   int64
	bytes uint32
	lines uint32
}

const markBytesMin = 1 + streamBytes + 6

func appendMark(dst []byte, m *mark) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m.from.key)))
	dst = append(dst, m.from.key...)
	for _, v := range []uint64{m.from.pos.Seq, uint64(m.from.pos.Batch), uint64(m.from.pos.Record), uint64(m.off), uint64(m.bytes), uint64(m.lines)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

// decodeMarks reads an index block or a directory. The keys are body's memory.
func decodeMarks(body []byte) ([]mark, error) {
	if len(body) < 4 {
		return nil, bad("a list of blocks", "%d bytes", len(body))
	}
	count := le.Uint32(body)
	if body = body[4:]; count < 1 || int(count) > len(body)/markBytesMin {
		return nil, bad("a list of blocks", "%d of them in %d bytes", count, len(body))
	}
	marks := make([]mark, count)
	for i := range marks {
		m := &marks[i]
		size, n := binary.Uvarint(body)
		if n <= 0 || size > uint64(len(body)-n) || size < streamBytes || size > streamBytes+KeyBytesMax {
			return nil, bad("a key in a list of blocks", "%d bytes of it", size)
		}
		m.from.key = body[n : n+int(size) : n+int(size)]
		body = body[n+int(size):]
		var v [6]uint64
		for j := range v {
			if v[j], n = binary.Uvarint(body); n <= 0 {
				return nil, bad("a number in a list of blocks", "none")
			}
			body = body[n:]
		}
		if v[1] > math.MaxUint32 || v[2] > math.MaxUint32 || v[3] > math.MaxInt64/2 || v[4] > math.MaxUint32/2 || v[5] > math.MaxUint32 {
			return nil, bad("a number in a list of blocks", "one that is too large")
		}
		m.from.pos = Position{Seq: v[0], Batch: uint32(v[1]), Record: uint32(v[2])}
		m.off, m.bytes, m.lines = int64(v[3]), uint32(v[4]), uint32(v[5])
		if i > 0 && (marks[i-1].from.compare(m.from) >= 0 || marks[i-1].off+int64(marks[i-1].bytes) > m.off) {
			return nil, bad("blocks in order", "block %d before the one before it", i)
		}
	}
	if len(body) != 0 {
		return nil, bad("the end of a list of blocks", "%d more bytes", len(body))
	}
	return marks, nil
}

// lastAt returns the last mark at or before p, the first when there is none.
func lastAt(marks []mark, p place) int {
	return max(0, sort.Search(len(marks), func(i int) bool { return marks[i].from.compare(p) > 0 })-1)
}

// separator returns the shortest start of next that is greater than last, in dst's memory. next is greater than last.
func separator(dst []byte, last, next []byte) []byte {
	n := max(streamBytes, sharedPrefix(last, next)+1)
	return append(dst, next[:n]...)
}

// The filter of a section: lines of 64 bytes, each 480 bits and a CRC32C of them, so that one line can be read and checked alone.
//
// A key's hash takes its line from the upper half and six bits of the line from the lower half.
const (
	filterBitsPerKey = 10
	filterProbes     = 6
	lineBits         = (lineBytes - lineSumBytes) * 8
)

// linesFor is how many lines hold so many keys.
func linesFor(keys int) uint32 { return uint32(max(1, (keys*filterBitsPerKey+lineBits-1)/lineBits)) }

func lineOf(hash uint64, lines uint32) uint32 { return uint32((hash >> 32) * uint64(lines) >> 32) }

// lineProbe calls fn with the bits of a hash in its line until it returns false.
func lineProbe(hash uint64, fn func(bit uint32) bool) bool {
	h, step := uint32(hash), uint32(hash>>17)|1
	for range filterProbes {
		if !fn(uint32(uint64(h) * lineBits >> 32)) {
			return false
		}
		h += step * 0x9e3779b1
	}
	return true
}

// appendFilter adds the lines that hold the hashes; they will stand at off.
func appendFilter(dst []byte, hashes []uint64, number uint64, off int64) ([]byte, uint32) {
	lines := linesFor(len(hashes))
	start := len(dst)
	dst = append(dst, make([]byte, int(lines)*lineBytes)...)
	for _, h := range hashes {
		line := dst[start+int(lineOf(h, lines))*lineBytes:]
		lineProbe(h, func(bit uint32) bool { line[bit/8] |= 1 << (bit % 8); return true })
	}
	for i := range int(lines) {
		line := dst[start+i*lineBytes : start+(i+1)*lineBytes]
		le.PutUint32(line[lineBytes-lineSumBytes:], placedSum(line[:lineBytes-lineSumBytes], number, off+int64(i*lineBytes)))
	}
	return dst, lines
}

// checkLine checks a line that was read from off.
func checkLine(line []byte, number uint64, off int64) error {
	want, got := le.Uint32(line[lineBytes-lineSumBytes:]), placedSum(line[:lineBytes-lineSumBytes], number, off)
	if want != got {
		return bad("a filter line with its CRC", "CRC %08x", got)
	}
	return nil
}

func lineHas(line []byte, hash uint64) bool {
	return lineProbe(hash, func(bit uint32) bool { return line[bit/8]&(1<<(bit%8)) != 0 })
}

// filterOff is where the filter of a section begins.
func (m *mark) filterOff() int64 {
	return (m.off + int64(m.bytes) + lineBytes - 1) / lineBytes * lineBytes
}
