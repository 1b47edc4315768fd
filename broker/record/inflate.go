package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"leat/broker/fault"
)

// InflateLimits bound what a compressed batch may become.
type InflateLimits struct {
	BytesMax int64 // of the inflated records section
	RatioMax int   // inflated to compressed; not judged below InflateFloorBytes
}

const (
	// InflateBytesMax and InflateRatioMax are the defaults of InflateLimits.
	InflateBytesMax = 64 << 20
	InflateRatioMax = 1000
	// InflateFloorBytes is what any batch may inflate to, whatever its ratio: a batch of equal bytes is no attack.
	InflateFloorBytes = 1 << 20

	inflateKeepBytes = 4 << 20  // a larger buffer is not kept for the next batch
	inflateStepBytes = 16 << 10 // the first buffer of a stream whose size is not announced
	zstdWindowMax    = 128 << 20
	snappyRatioMax   = 22 // a snappy copy gives at most 64 bytes for 3
)

// DefaultInflateLimits are those that hold unless configured.
func DefaultInflateLimits() InflateLimits {
	return InflateLimits{BytesMax: InflateBytesMax, RatioMax: InflateRatioMax}
}

// of is how many bytes n compressed ones may become.
func (l InflateLimits) of(n int) int {
	return int(min(l.BytesMax, max(InflateFloorBytes, int64(n)*int64(l.RatioMax))))
}

// errInflateLimit is what a coder reports that reached its limit.
var errInflateLimit = errors.New("inflate: over the limit")

func noRelease() {}

// Inflated returns the records section of the batch p without its compression. It is valid until release is called, which must be
// called once; an uncompressed batch gives a part of p itself. Memory grows with what was inflated so far and stops at the limit:
// TooLarge. Bytes that the codec does not understand are Invalid with fault.ReasonCodec.
func Inflated(p []byte, lim InflateLimits) (section []byte, release func(), err error) {
	h, err := ParseBatchHeader(p)
	if err != nil {
		return nil, noRelease, err
	}
	in := p[BatchHeaderBytes:h.Bytes]
	if h.Codec() == None {
		return in, noRelease, nil
	}
	if !h.Codec().Known() {
		return nil, noRelease, unknownCodec(h.Codec())
	}
	f := takeInflater()
	f.limit = lim.of(len(in))
	if err := f.inflate(h.Codec(), in); err != nil {
		f.release()
		if errors.Is(err, errInflateLimit) {
			return nil, noRelease, fault.New(fault.TooLarge, opBatch, "batch",
				"its %d bytes of %s inflate to more than %d", len(in), h.Codec(), f.limit).Because(fault.ReasonCodec)
		}
		return nil, noRelease, invalid("batch", "its %s compression cannot be read", h.Codec()).Because(fault.ReasonCodec).From(err)
	}
	return f.out, f.release, nil
}

// inflater is one caller's coders and output.
type inflater struct {
	limit   int
	out     []byte
	in      bytes.Reader
	gz      *gzip.Reader
	lz      *lz4.Reader
	release func() // puts the inflater back; made once
}

var inflaters sync.Pool

func takeInflater() *inflater {
	if f, ok := inflaters.Get().(*inflater); ok {
		return f
	}
	f := &inflater{}
	f.release = func() {
		f.in.Reset(nil)
		if cap(f.out) > inflateKeepBytes {
			f.out = nil
		}
		inflaters.Put(f)
	}
	return f
}

func (f *inflater) inflate(c Codec, in []byte) error {
	f.out = f.out[:0]
	f.in.Reset(in)
	switch c {
	case Gzip:
		if f.gz == nil {
			f.gz = new(gzip.Reader)
		}
		if err := f.gz.Reset(&f.in); err != nil {
			return err
		}
		return f.readAll(f.gz)
	case LZ4:
		if f.lz == nil {
			f.lz = lz4.NewReader(nil)
		}
		f.lz.Reset(&f.in)
		return f.readAll(f.lz)
	case Snappy:
		return f.snappy(in)
	default:
		return f.zstd(in)
	}
}

// readAll reads r to its end, up to one byte more than the limit.
func (f *inflater) readAll(r io.Reader) error {
	f.grow(min(inflateStepBytes, f.limit))
	for {
		if len(f.out) == cap(f.out) {
			if len(f.out) >= f.limit {
				return f.atLimit(r)
			}
			f.grow(min(2*cap(f.out), f.limit))
		}
		n, err := r.Read(f.out[len(f.out):min(cap(f.out), f.limit)])
		f.out = f.out[:len(f.out)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(f.out) >= f.limit {
			return f.atLimit(r)
		}
	}
}

// atLimit tells a stream that ends at the limit from one that goes on.
func (f *inflater) atLimit(r io.Reader) error {
	var one [1]byte
	switch _, err := io.ReadFull(r, one[:]); err {
	case io.EOF:
		return nil
	case nil:
		return errInflateLimit
	default:
		return err
	}
}

// grow makes room for n bytes in all.
func (f *inflater) grow(n int) {
	if cap(f.out) < n {
		b := make([]byte, len(f.out), n)
		copy(b, f.out)
		f.out = b
	}
}

// xerialMagic begins the framing that the Java snappy library puts around blocks: 8 bytes of magic, two versions of 4 bytes, then
// blocks of a 4-byte length and raw snappy. The framing may begin anew between two blocks.
var xerialMagic = []byte("\x82SNAPPY\x00")

const xerialHeaderBytes = 16

func (f *inflater) snappy(in []byte) error {
	if !bytes.HasPrefix(in, xerialMagic) {
		return f.snappyBlock(in)
	}
	for len(in) > 0 {
		if bytes.HasPrefix(in, xerialMagic) {
			if len(in) < xerialHeaderBytes {
				return io.ErrUnexpectedEOF
			}
			in = in[xerialHeaderBytes:]
			continue
		}
		if len(in) < 4 {
			return io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(in)
		if in = in[4:]; uint64(n) > uint64(len(in)) {
			return io.ErrUnexpectedEOF
		}
		if err := f.snappyBlock(in[:n]); err != nil {
			return err
		}
		in = in[n:]
	}
	return nil
}

// snappyBlock appends one raw block. The block announces its size, which is judged before memory is taken.
func (f *inflater) snappyBlock(in []byte) error {
	n, err := snappy.DecodedLen(in)
	if err != nil {
		return err
	}
	if n > snappyRatioMax*len(in) {
		return snappy.ErrCorrupt
	}
	if len(f.out)+n > f.limit {
		return errInflateLimit
	}
	if need := len(f.out) + n; need > cap(f.out) {
		f.grow(min(max(need, 2*cap(f.out)), f.limit))
	}
	got, err := snappy.Decode(f.out[len(f.out):len(f.out)+n], in)
	if err != nil {
		return err
	}
	f.out = f.out[:len(f.out)+len(got)]
	return nil
}

// zstdDecoder serves every caller: DecodeAll keeps nothing between calls and fills no more than the capacity it is given.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(zstdWindowMax))
})

// zstd tries with the room it has, or that the frame announces, and doubles it up to the limit.
func (f *inflater) zstd(in []byte) error {
	dec, err := zstdDecoder()
	if err != nil {
		return err
	}
	room := max(cap(f.out), inflateStepBytes, 4*len(in))
	var h zstd.Header
	if err := h.Decode(in); err != nil {
		return err
	}
	if h.HasFCS {
		if h.FrameContentSize > uint64(f.limit) {
			return errInflateLimit
		}
		room = max(room, int(h.FrameContentSize))
	}
	for {
		room = min(room, f.limit)
		f.grow(room)
		out, err := dec.DecodeAll(in, f.out[:0:min(cap(f.out), f.limit)])
		if err == nil {
			f.out = out
			return nil
		}
		if !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return err
		}
		if room >= f.limit {
			return errInflateLimit
		}
		room = 2 * max(room, cap(f.out))
	}
}
