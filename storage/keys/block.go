package keys

import (
	"bytes"
	"encoding/binary"
	"math"
	"sort"
)

// A data block:
//
//	| base seq u64 | base offset u64 | base partition u32 | group | group | ... | restart u32 ... | restarts u32 |
//
// A group is a key and its entries; a restart is where a group begins whose key is written whole.
//
//	| shared uvarint | rest uvarint | rest of stream and key | entry | entry | ... |
//
// An entry:
//
//	| head u8 | seq? | batch? | record? | partition? | offset | version? | flags? |
//
//	head  1 flags follow           2 partition follows: another than that of the entry before (the base, for the first of a group)
//	      4 has a version          8 it is that of the key's entry before plus one, and does not follow
//	     16 seq of the entry before in the group (of the block's base for the first): none follows
//	     32 batch follows (else 0)  64 record follows (else 0)     128 another entry of the key follows in this block
//
// Nothing in a group but its key depends on the group before. Seq is a zigzag varint against the base for the first of a group, a uvarint against the entry before for the others. Offset is a zigzag
// varint against the base or the entry before. Version is a zigzag varint against the entry before (0 for the first).
const (
	headFlags     = 1
	headPartition = 2
	headVersion   = 4
	headNext      = 8
	headSeq       = 16
	headBatch     = 32
	headRecord    = 64
	headMore      = 128

	blockHeadBytes = 20
	restartEvery   = 16 // groups
)

// blockBuilder makes a data block.
type blockBuilder struct {
	buf      []byte
	restarts []uint32
	groups   int
	count    int
	key      []byte // of the group
	head     int    // of the last entry
	base     Entry  // seq, offset and partition of the first
	last     Entry  // without key
}

func (b *blockBuilder) reset() {
	b.buf = append(b.buf[:0], make([]byte, blockHeadBytes)...)
	b.restarts, b.key = b.restarts[:0], b.key[:0]
	b.groups, b.count, b.last = 0, 0, Entry{}
}

func (b *blockBuilder) empty() bool { return b.count == 0 }

// bytes is the size of the block if it ended here.
func (b *blockBuilder) bytes() int { return len(b.buf) + 4*len(b.restarts) + 4 + trailerBytes }

// add writes an entry; newKey says that its key is not that of the entry before.
func (b *blockBuilder) add(e *Entry, newKey bool) {
	first := newKey || b.count == 0
	if b.count == 0 {
		b.base = Entry{Seq: e.Seq, Offset: e.Offset, Partition: e.Partition}
		le.PutUint64(b.buf, e.Seq)
		le.PutUint64(b.buf[8:], e.Offset)
		le.PutUint32(b.buf[16:], e.Partition)
	}
	prev := b.last
	if first {
		b.group(e)
		prev = b.base
	} else {
		b.buf[b.head] |= headMore
	}
	b.head = len(b.buf)
	head := byte(0)
	buf := append(b.buf, 0)
	switch {
	case e.Seq == prev.Seq:
		head |= headSeq
	case first:
		buf = binary.AppendVarint(buf, int64(e.Seq-prev.Seq))
	default:
		buf = binary.AppendUvarint(buf, e.Seq-prev.Seq)
	}
	if e.Batch != 0 {
		head |= headBatch
		buf = binary.AppendUvarint(buf, uint64(e.Batch))
	}
	if e.Record != 0 {
		head |= headRecord
		buf = binary.AppendUvarint(buf, uint64(e.Record))
	}
	if e.Partition != prev.Partition {
		head |= headPartition
		buf = binary.AppendUvarint(buf, uint64(e.Partition))
	}
	buf = binary.AppendVarint(buf, int64(e.Offset-prev.Offset))
	if e.Version != 0 {
		head |= headVersion
		if e.Version == prev.Version+1 {
			head |= headNext
		} else {
			buf = binary.AppendVarint(buf, int64(e.Version-prev.Version))
		}
	}
	if e.Flags != 0 {
		head |= headFlags
		buf = append(buf, e.Flags)
	}
	buf[b.head] = head
	b.buf = buf
	b.last.Seq, b.last.Offset, b.last.Version, b.last.Partition = e.Seq, e.Offset, e.Version, e.Partition
	b.count++
}

// group begins a key.
func (b *blockBuilder) group(e *Entry) {
	shared := 0
	if b.groups%restartEvery == 0 {
		b.restarts = append(b.restarts, uint32(len(b.buf)))
		b.key = appendFullKey(b.key[:0], e.Stream, e.Key)
	} else {
		var stream [streamBytes]byte
		binary.BigEndian.PutUint32(stream[:], e.Stream)
		if shared = sharedPrefix(b.key[:streamBytes], stream[:]); shared == streamBytes {
			shared += sharedPrefix(b.key[streamBytes:], e.Key)
		}
		b.key = appendFullKey(b.key[:0], e.Stream, e.Key)
	}
	b.groups++
	b.buf = binary.AppendUvarint(b.buf, uint64(shared))
	b.buf = binary.AppendUvarint(b.buf, uint64(len(b.key)-shared))
	b.buf = append(b.buf, b.key[shared:]...)
}

// finish ends the block; its bytes are good until reset.
func (b *blockBuilder) finish(number uint64, off int64) []byte {
	for _, r := range b.restarts {
		b.buf = le.AppendUint32(b.buf, r)
	}
	b.buf = le.AppendUint32(b.buf, uint32(len(b.restarts)))
	b.buf = appendTrailer(b.buf, 0, kindData, number, off)
	return b.buf
}

func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if le.Uint64(a[i:]) != le.Uint64(b[i:]) {
			break
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// blockReader walks a data block forward. Its entry's key is its own memory, valid until the next key.
type blockReader struct {
	body     []byte // groups only
	restarts []byte // 4 bytes each
	base     Entry
	pos      int
	more     bool // the next entry is of the same key
	key      []byte
	e        Entry
	err      error
}

// open begins a block that was checked.
func (r *blockReader) open(body []byte) error {
	r.err, r.pos, r.more, r.key = nil, blockHeadBytes, false, r.key[:0]
	r.e = Entry{}
	if len(body) < blockHeadBytes+8 {
		r.fail(bad("a data block", "%d bytes", len(body)))
		return r.err
	}
	count := int(le.Uint32(body[len(body)-4:]))
	if count < 1 || count > (len(body)-blockHeadBytes-4)/4 {
		r.fail(bad("restarts within the block", "%d of them", count))
		return r.err
	}
	end := len(body) - 4 - 4*count
	r.body, r.restarts = body[:end], body[end:len(body)-4]
	r.base = Entry{Seq: le.Uint64(body), Offset: le.Uint64(body[8:]), Partition: le.Uint32(body[16:])}
	return nil
}

// fail ends the walk.
func (r *blockReader) fail(err error) { r.err, r.more, r.pos = err, false, len(r.body) }

// next moves to the next entry and says whether there is one; newKey says whether it is the first of its key in this block.
func (r *blockReader) next() (ok, newKey bool) {
	if newKey = !r.more; newKey {
		if r.err != nil || r.pos >= len(r.body) {
			return false, false
		}
		if !r.readKey() {
			return false, false
		}
	}
	return r.readEntry(newKey), newKey
}

func (r *blockReader) readKey() bool {
	b := r.body[r.pos:]
	shared, n := binary.Uvarint(b)
	if n <= 0 {
		r.fail(bad("a key", "no length"))
		return false
	}
	rest, m := binary.Uvarint(b[n:])
	if n += m; m <= 0 || shared > uint64(len(r.key)) || rest > uint64(len(b)-n) || shared+rest < streamBytes || shared+rest > streamBytes+KeyBytesMax {
		r.fail(bad("a key", "lengths %d and %d at %d", shared, rest, r.pos))
		return false
	}
	r.key = append(r.key[:shared], b[n:n+int(rest)]...)
	r.pos += n + int(rest)
	r.e.Stream, r.e.Key = fullKey(r.key).stream(), fullKey(r.key).key()
	return true
}

func (r *blockReader) readEntry(first bool) bool {
	b, e := r.body, &r.e
	pos := r.pos
	if pos >= len(b) {
		r.fail(bad("an entry", "the end of the block"))
		return false
	}
	head := b[pos]
	pos++
	if first {
		e.Seq, e.Offset, e.Version, e.Partition = r.base.Seq, r.base.Offset, 0, r.base.Partition
	}
	ok := true
	uvarint := func(most uint64) uint64 {
		if pos < len(b) && b[pos] < 0x80 {
			pos++
			return uint64(b[pos-1])
		}
		v, n := binary.Uvarint(b[pos:])
		if n <= 0 || v > most {
			ok = false
			return 0
		}
		pos += n
		return v
	}
	zigzag := func(v uint64) uint64 { return v>>1 ^ -(v & 1) }
	if head&headSeq == 0 {
		if v := uvarint(math.MaxUint64); first {
			e.Seq += zigzag(v)
		} else {
			e.Seq += v
		}
	}
	e.Batch, e.Record, e.Flags = 0, 0, 0
	if head&headBatch != 0 {
		e.Batch = uint32(uvarint(math.MaxUint32))
	}
	if head&headRecord != 0 {
		e.Record = uint32(uvarint(math.MaxUint32))
	}
	if head&headPartition != 0 {
		e.Partition = uint32(uvarint(math.MaxUint32))
	}
	e.Offset += zigzag(uvarint(math.MaxUint64))
	switch {
	case head&headVersion == 0:
		e.Version = 0
	case head&headNext != 0:
		e.Version++
	default:
		e.Version += zigzag(uvarint(math.MaxUint64))
	}
	if head&headFlags != 0 {
		if ok = ok && pos < len(b); ok {
			e.Flags = b[pos]
			pos++
		}
	}
	if !ok {
		r.fail(bad("an entry", "bytes that are none at %d", r.pos))
		return false
	}
	r.pos, r.more = pos, head&headMore != 0
	return true
}

// seek moves to a group at or before the first whose key is not less than key: who calls next from there on meets it.
func (r *blockReader) seek(key []byte) {
	count := len(r.restarts) / 4
	at := sort.Search(count, func(i int) bool {
		k, ok := r.restartKey(i)
		return !ok || bytes.Compare(k, key) > 0
	})
	if r.err != nil {
		return
	}
	r.pos, r.more, r.key = blockHeadBytes, false, r.key[:0]
	if at > 0 {
		r.pos = int(le.Uint32(r.restarts[4*(at-1):]))
	}
}

func (r *blockReader) restartKey(i int) ([]byte, bool) {
	off := uint64(le.Uint32(r.restarts[4*i:]))
	if off < blockHeadBytes || off >= uint64(len(r.body)) {
		r.fail(bad("a restart within the block", "%d", off))
		return nil, false
	}
	b := r.body[off:]
	rest, n := binary.Uvarint(b[1:])
	if b[0] != 0 || n <= 0 || rest > uint64(len(b)-1-n) {
		r.fail(bad("a whole key at a restart", "shared %d", b[0]))
		return nil, false
	}
	return b[1+n : 1+n+int(rest)], true
}
