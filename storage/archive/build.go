package archive

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"leat/storage/journal"
)

// chunks are the buffers of content and of compressed blocks. How many are in use is bounded by Config.PackBytes and Config.Uploads.
var chunks = sync.Pool{New: func() any { return new([BlockBytesMax]byte) }}

// builder collects the frames of one pack.
type builder struct {
	head    header
	chunks  []*[BlockBytesMax]byte
	used    int // of the last chunk
	lastCRC uint32
	since   time.Time // when the first frame came
}

func newBuilder(h header) *builder {
	return &builder{head: h, used: BlockBytesMax}
}

// add takes a frame: its facts are copied, its data is read, size bytes of it, straight to where it stays. After an error of read nothing was added.
func (b *builder) add(f *Frame, size int64, read func(off int64, p []byte) error) error {
	total := frameOverhead + int64(len(f.Facts)) + size
	if b.head.content+total > ContentBytesMax {
		return &BadFrameError{Seq: f.Seq, Err: fmt.Errorf("%d bytes are more than a pack can hold", total)}
	}
	chunksBefore, usedBefore := len(b.chunks), b.used
	var head [frameHeadBytes]byte
	var tail [frameTailBytes]byte
	encodeFrameHead(head[:], f, size)
	b.write(head[:])
	b.write(f.Facts)
	crc := crc32.Checksum(f.Facts, castagnoli)
	for off := int64(0); off < size; {
		p := b.room(size - off)
		if err := read(off, p); err != nil {
			for _, c := range b.chunks[chunksBefore:] {
				chunks.Put(c)
			}
			b.chunks, b.used = b.chunks[:chunksBefore], usedBefore
			return err
		}
		crc = crc32.Update(crc, castagnoli, p)
		off += int64(len(p))
	}
	le.PutUint32(tail[:], crc32.Update(crc, castagnoli, head[:]))
	b.write(tail[:])
	if b.head.frames == 0 {
		b.head.first, b.head.firstMS = f.Seq, f.TimeMS
	}
	b.head.last, b.head.lastMS, b.lastCRC = f.Seq, f.TimeMS, crc
	b.head.frames++
	b.head.content += total
	return nil
}

// room takes the next free bytes, up to n of them.
func (b *builder) room(n int64) []byte {
	if b.used == BlockBytesMax {
		b.chunks = append(b.chunks, chunks.Get().(*[BlockBytesMax]byte))
		b.used = 0
	}
	p := b.chunks[len(b.chunks)-1][b.used:]
	p = p[:min(int64(len(p)), n)]
	b.used += len(p)
	return p
}

func (b *builder) write(p []byte) {
	for len(p) > 0 {
		p = p[copy(b.room(int64(len(p))), p):]
	}
}

// link is the hash of a pack, for the one after it.
type link struct {
	known chan struct{} // closed when hash is there
	hash  Hash
}

func knownLink(h Hash) *link {
	l := &link{known: make(chan struct{}), hash: h}
	close(l.known)
	return l
}

// pack is a finished pack on its way.
type pack struct {
	name   string
	head   header
	raw    [headerBytes]byte
	foot   footer
	before *link
	link   *link
	chunks []*[BlockBytesMax]byte
	used   int
	hot    bool // frames come faster than they go: not compressed
	since  time.Time

	// Guarded by Shipper.mu.
	done bool
}

// seal ends the pack. The builder is not used after that.
func (b *builder) seal(before *link, settled journal.Seq, hot bool) *pack {
	b.head.settled = settled
	return &pack{
		name: packName(b.head.shard, b.head.prev, b.head.last), head: b.head, before: before, link: &link{known: make(chan struct{})},
		foot: footer{blocks: uint32(len(b.chunks)), lastCRC: b.lastCRC}, chunks: b.chunks, used: b.used, hot: hot, since: b.since,
	}
}

// block is the content of one block.
func (p *pack) block(i int) []byte {
	if i == len(p.chunks)-1 {
		return p.chunks[i][:p.used]
	}
	return p.chunks[i][:]
}

// hash completes header and footer. The content of several packs is hashed at a time; only the header waits for the pack before, whose hash is
// never more than its own hashing away.
func (p *pack) hash() {
	sum := sha256.New()
	for i := range p.chunks {
		sum.Write(p.block(i))
	}
	<-p.before.known
	p.head.prevHash, p.before = p.before.hash, nil
	p.head.encode(p.raw[:])
	sum.Write(p.raw[:])
	p.foot.hash = Hash(sum.Sum(nil))
	p.link.hash = p.foot.hash
	close(p.link.known)
}

func (p *pack) free() {
	for _, c := range p.chunks {
		chunks.Put(c)
	}
	p.chunks = nil
}

// piecesOf are the bytes of the object, as they are sent.
type piecesOf struct {
	pieces [][]byte
	size   int64
	lent   []*[BlockBytesMax]byte // compressed blocks
}

func (e *piecesOf) add(p []byte) {
	e.pieces = append(e.pieces, p)
	e.size += int64(len(p))
}

func (e *piecesOf) free() {
	for _, c := range e.lent {
		chunks.Put(c)
	}
	e.lent = nil
}

// hardBlocksMax is after how many blocks that did not shrink the rest of a pack is not tried.
const hardBlocksMax = 2

// encode makes the object. Compressing is left out for what does not shrink by an eighth, and when hot.
func (p *pack) encode(enc *zstd.Encoder) *piecesOf {
	out := &piecesOf{}
	out.add(p.raw[:])
	heads := make([]byte, blockHeadBytes*len(p.chunks))
	hard := 0
	for i := range p.chunks {
		block := p.block(i)
		h := blockHead{content: uint32(len(block)), codec: codecRaw}
		if enc != nil && !p.hot && hard < hardBlocksMax {
			into := chunks.Get().(*[BlockBytesMax]byte)
			small := enc.EncodeAll(block, into[:0])
			if len(small) < len(block)*7/8 {
				h.codec, block, hard = codecZstd, small, 0
				out.lent = append(out.lent, into)
			} else {
				hard++
				chunks.Put(into)
			}
		}
		h.stored = uint32(len(block))
		head := heads[i*blockHeadBytes:][:blockHeadBytes]
		h.encode(head, block)
		out.add(head)
		out.add(block)
	}
	foot := p.foot
	foot.at = out.size
	var raw [footerBytes]byte
	foot.encode(raw[:])
	out.add(raw[:])
	return out
}

// newEncoder makes what compresses blocks. It is for one goroutine.
func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(BlockBytesMax), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
}

// reader reads the pieces one after the other. A Bucket may read it once; the next try gets another.
func (e *piecesOf) reader() io.Reader { return &piecesReader{pieces: e.pieces} }

type piecesReader struct {
	pieces [][]byte
	off    int
}

func (r *piecesReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(r.pieces) > 0 {
		c := copy(p[n:], r.pieces[0][r.off:])
		n += c
		if r.off += c; r.off == len(r.pieces[0]) {
			r.pieces, r.off = r.pieces[1:], 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// WriteTo spares the copy through a buffer.
func (r *piecesReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for len(r.pieces) > 0 {
		n, err := w.Write(r.pieces[0][r.off:])
		total += int64(n)
		if err != nil {
			return total, err
		}
		r.pieces, r.off = r.pieces[1:], 0
	}
	return total, nil
}
