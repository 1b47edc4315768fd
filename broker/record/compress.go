package record

import (
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compressor holds the coders of one Builder, each made when first needed.
type compressor struct {
	gz  *gzip.Writer
	out appendWriter
	lz  *lz4.Compressor // 100 KiB of tables and more
}

// appendWriter is an io.Writer onto the end of a slice.
type appendWriter struct{ b []byte }

func (w *appendWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// compress appends src in the form of the codec: a gzip member, a raw snappy block, one lz4 frame, one zstd frame.
func (c *compressor) compress(dst []byte, codec Codec, src []byte) ([]byte, error) {
	switch codec {
	case Gzip:
		return c.gzip(dst, src)
	case Snappy:
		n := snappy.MaxEncodedLen(len(src))
		if n < 0 {
			return dst, snappy.ErrTooLarge
		}
		start := len(dst)
		dst = extend(dst, n)
		return dst[:start+len(snappy.Encode(dst[start:], src))], nil
	case LZ4:
		return c.lz4(dst, src)
	case Zstd:
		enc, err := zstdEncoder()
		if err != nil {
			return dst, err
		}
		return enc.EncodeAll(src, dst), nil
	default:
		return append(dst, src...), nil
	}
}

func (c *compressor) gzip(dst, src []byte) ([]byte, error) {
	c.out.b = dst
	defer func() { c.out.b = nil }()
	if c.gz == nil {
		c.gz = gzip.NewWriter(&c.out)
	} else {
		c.gz.Reset(&c.out)
	}
	if _, err := c.gz.Write(src); err != nil {
		return dst, err
	}
	err := c.gz.Close()
	return c.out.b, err
}

// An lz4 frame as Java's reader takes it: version 1, independent blocks of at most 64 KiB, neither content size nor checksums. The
// header is constant, and so is its own checksum byte 0x82. A block is a 4-byte little-endian length, whose high bit says that the
// bytes are as they were, and the bytes. A zero length ends the frame.
const (
	lz4FrameHeader = "\x04\x22\x4d\x18\x60\x40\x82"
	lz4BlockBytes  = 64 << 10
	lz4Plain       = 1 << 31
)

func (c *compressor) lz4(dst, src []byte) ([]byte, error) {
	if c.lz == nil {
		c.lz = new(lz4.Compressor)
	}
	dst = append(dst, lz4FrameHeader...)
	for len(src) > 0 {
		block := src[:min(len(src), lz4BlockBytes)]
		src = src[len(block):]
		at := len(dst)
		dst = extend(dst, 4+lz4.CompressBlockBound(len(block)))
		n, err := c.lz.CompressBlock(block, dst[at+4:])
		if err != nil {
			return dst[:at], err
		}
		if n == 0 || n >= len(block) {
			n = copy(dst[at+4:], block)
			binary.LittleEndian.PutUint32(dst[at:], uint32(n)|lz4Plain)
		} else {
			binary.LittleEndian.PutUint32(dst[at:], uint32(n))
		}
		dst = dst[:at+4+n]
	}
	return append(dst, 0, 0, 0, 0), nil
}

// zstdEncoder serves every caller: EncodeAll keeps nothing between calls.
var zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(zstdEncodeWindow), zstd.WithZeroFrames(true))
})

// zstdEncodeWindow keeps the memory that a reader needs, and that the encoder holds per processor, small.
const zstdEncodeWindow = 1 << 20

// extend makes dst n longer; the new bytes are whatever was there.
func extend(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	return append(dst, make([]byte, n)...)
}
