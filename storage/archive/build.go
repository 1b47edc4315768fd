package archive

import (
	"crypto/sha256"
	"fmt"
	"hash"
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
	sum     hash.Hash
	lastCRC uint32
	since   time.Time // when the first frame came
}

func newBuilder(h header) *builder {
	return &builder{head: h, used: BlockBytesMax, sum: sha256.New()}
}

// add takes a copy of a frame.
func (b *builder) add(f *Frame) error {
	size := int64(frameOverhead + len(f.Facts) + len(f.Data))
	if b.head.content+size > ContentBytesMax {
		return fmt.Errorf("archive: frame %d has %d bytes, more than a pack can hold", f.Seq, size)
	}
	if b.head.frames == 0 {
		b.head.first, b.head.firstMS = f.Seq, f.TimeMS
	}
	var head [frameHeadBytes]byte
	var tail [frameTailBytes]byte
	encodeFrameHead(head[:], f)
	b.lastCRC = payloadCRC(f.Facts, f.Data)
	le.PutUint32(tail[:], crc32.Update(b.lastCRC, castagnoli, head[:]))
	b.write(head[:])
	b.write(f.Facts)
	b.write(f.Data)
	b.write(tail[:])
	b.head.last, b.head.lastMS = f.Seq, f.TimeMS
	b.head.frames++
	b.head.content += size
	return nil
}

func (b *builder) write(p []byte) {
	for len(p) > 0 {
		if b.used == BlockBytesMax {
			if n := len(b.chunks); n > 0 {
				b.sum.Write(b.chunks[n-1][:])
			}
			b.chunks = append(b.chunks, chunks.Get().(*[BlockBytesMax]byte))
			b.used = 0
		}
		n := copy(b.chunks[len(b.chunks)-1][b.used:], p)
		b.used += n
		p = p[n:]
	}
}

// pack is a finished pack on its way.
type pack struct {
	name   string
	head   header
	raw    [headerBytes]byte
	foot   footer
	chunks []*[BlockBytesMax]byte
	used   int
	hot    bool // frames come faster than they go: not compressed
	since  time.Time

	// Guarded by Shipper.mu.
	done bool
}

// seal ends the pack. The builder is not used after that.
func (b *builder) seal(settled journal.Seq, hot bool) *pack {
	b.sum.Write(b.chunks[len(b.chunks)-1][:b.used])
	b.head.settled = settled
	p := &pack{
		name: packName(b.head.shard, b.head.prev, b.head.last), head: b.head,
		chunks: b.chunks, used: b.used, hot: hot, since: b.since,
	}
	p.head.encode(p.raw[:])
	b.sum.Write(p.raw[:])
	p.foot = footer{blocks: uint32(len(b.chunks)), lastCRC: b.lastCRC, hash: Hash(b.sum.Sum(nil))}
	return p
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
	for i, c := range p.chunks {
		block := c[:]
		if i == len(p.chunks)-1 {
			block = c[:p.used]
		}
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
