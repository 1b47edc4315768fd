package archive

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// packTrust is what is allocated on the word of a header alone.
const packTrust = 1 << 20

// readBufferBytes is between the bucket and the decoder.
const readBufferBytes = 256 << 10

// unpacked is a whole pack, verified but for its place in the chain.
type unpacked struct {
	name    string
	head    header
	foot    footer
	content []byte
}

// unpacker decodes packs, one at a time, and keeps its buffers.
type unpacker struct {
	in     *bufio.Reader
	dec    *zstd.Decoder
	stored []byte
}

func newUnpacker() (*unpacker, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(BlockBytesMax), zstd.WithDecoderMaxWindow(BlockBytesMax))
	if err != nil {
		return nil, fmt.Errorf("archive: zstd: %w", err)
	}
	return &unpacker{in: bufio.NewReaderSize(nil, readBufferBytes), dec: dec}, nil
}

func (u *unpacker) close() { u.dec.Close() }

// fetch reads a pack from the bucket. content is used for its content when it is large enough.
func (u *unpacker) fetch(ctx context.Context, b Bucket, name string, content []byte) (*unpacked, error) {
	r, err := b.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("archive: get %s: %w", name, err)
	}
	p, err := u.decode(r, content)
	if p != nil {
		p.name = name
	}
	return p, errors.Join(damaged(name, 0, err), r.Close())
}

// decode reads one pack, to the end of r.
func (u *unpacker) decode(r io.Reader, content []byte) (*unpacked, error) {
	u.in.Reset(r)
	var raw [headerBytes]byte
	if err := u.full(raw[:], 0, "a pack header"); err != nil {
		return nil, err
	}
	h, err := decodeHeader(raw[:])
	if err != nil {
		return nil, err
	}
	p := &unpacked{head: h, content: slices.Grow(content[:0], int(min(h.content, packTrust)))}
	at, blocks := int64(headerBytes), uint32(0)
	for int64(len(p.content)) < h.content {
		n, err := u.block(p, at)
		if err != nil {
			return nil, err
		}
		at += n
		blocks++
	}
	var end [footerBytes]byte
	if err := u.full(end[:], at, "a pack footer"); err != nil {
		return nil, err
	}
	if p.foot, err = decodeFooter(end[:]); err != nil {
		return nil, shift(err, at)
	}
	if _, err := u.in.ReadByte(); err == nil {
		return nil, bad(at+footerBytes, "the end", "more bytes")
	} else if err != io.EOF { //nolint:errorlint // bufio gives it as it is
		return nil, err
	}
	sum := sha256.New()
	sum.Write(p.content)
	sum.Write(raw[:])
	if got := Hash(sum.Sum(nil)); got != p.foot.hash || p.foot.at != at || p.foot.blocks != blocks {
		return nil, bad(at, fmt.Sprintf("hash %s after %d blocks", got, blocks), fmt.Sprintf("%s after %d", p.foot.hash, p.foot.blocks))
	}
	return p, nil
}

// block appends the content of the block that begins at byte at, and returns how long it is in the object.
func (u *unpacker) block(p *unpacked, at int64) (int64, error) {
	var raw [blockHeadBytes]byte
	if err := u.full(raw[:], at, "a block"); err != nil {
		return 0, err
	}
	h, err := decodeBlockHead(raw[:])
	if err != nil {
		return 0, shift(err, at)
	}
	if left := p.head.content - int64(len(p.content)); int64(h.content) > left {
		return 0, bad(at+4, fmt.Sprintf("at most %d bytes of content", left), h.content)
	}
	begin := len(p.content)
	p.content = slices.Grow(p.content, int(h.content))
	into := p.content[begin : begin+int(h.stored)]
	if h.codec != codecRaw {
		u.stored = slices.Grow(u.stored[:0], int(h.stored))[:h.stored]
		into = u.stored
	}
	if err := u.full(into, at+blockHeadBytes, "a block"); err != nil {
		return 0, err
	}
	if sum := crc32.Update(crc32.Checksum(raw[:12], castagnoli), castagnoli, into); sum != h.crc {
		return 0, bad(at, fmt.Sprintf("block CRC %08x", sum), fmt.Sprintf("%08x", h.crc))
	}
	if h.codec == codecRaw {
		p.content = p.content[:begin+int(h.content)]
		return blockHeadBytes + int64(h.stored), nil
	}
	out, err := u.dec.DecodeAll(into, p.content[begin:begin:begin+int(h.content)])
	if err != nil || len(out) != int(h.content) {
		return 0, bad(at, fmt.Sprintf("%d bytes of zstd", h.content), fmt.Sprintf("%d bytes (%v)", len(out), err))
	}
	p.content = append(p.content[:begin], out...) // onto itself unless it was moved
	return blockHeadBytes + int64(h.stored), nil
}

// full reads all of p; an early end is damage, any other error is the bucket's.
func (u *unpacker) full(p []byte, at int64, what string) error {
	n, err := io.ReadFull(u.in, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bad(at+int64(n), what+" that is whole", "the end of the object")
	}
	return err
}

// shift moves the place of what a decoder found.
func shift(err error, by int64) error {
	var b *badBytes
	if errors.As(err, &b) {
		return bad(b.at+by, b.expected, b.found)
	}
	return err
}

// each hands out the frames in order and checks that they are those the header speaks of. The first error of fn ends it.
func (p *unpacked) each(fn func(Frame) error) error {
	at, last, lastMS, count := 0, p.head.prev, p.head.firstMS, uint32(0)
	for at < len(p.content) {
		f, n, err := decodeFrame(p.content[at:])
		switch {
		case err != nil:
			return p.inContent(shift(err, int64(at)))
		case f.Seq <= last || count == 0 && f.Seq != p.head.first || f.Seq > p.head.last:
			return p.inContent(bad(int64(at)+8, fmt.Sprintf("a seq after %d, up to %d", last, p.head.last), uint64(f.Seq)))
		case f.TimeMS < lastMS || f.TimeMS > p.head.lastMS:
			return p.inContent(bad(int64(at)+24, fmt.Sprintf("a time from %d to %d", lastMS, p.head.lastMS), f.TimeMS))
		}
		if err := fn(f); err != nil {
			return err
		}
		last, lastMS, at = f.Seq, f.TimeMS, at+n
		count++
	}
	if count != p.head.frames || last != p.head.last {
		return p.inContent(bad(int64(at), fmt.Sprintf("%d frames up to %d", p.head.frames, p.head.last), fmt.Sprintf("%d up to %d", count, last)))
	}
	return nil
}

// inContent makes a damage of what a frame's decoder found; the offset counts in the content, which may be compressed.
func (p *unpacked) inContent(err error) error {
	var b *badBytes
	if errors.As(err, &b) {
		return &DamageError{Name: p.name + " (unpacked)", Offset: b.at, Expected: b.expected, Found: b.found}
	}
	return err
}
