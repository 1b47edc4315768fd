package avrofile

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Codecs of blocks.
const (
	Null    = "null"
	Deflate = "deflate"
	Zstd    = "zstandard"
)

// Limits of what is read.
const (
	HeaderBytesMax = 1 << 20
	BlockBytesMax  = 64 << 20 // as it stands, and inflated
)

// Sync ends blocks. Two files of which it is the same can be joined.
type Sync [16]byte

var magic = []byte("Obj\x01")

// ErrMalformed is said of what is no file, or a damaged one.
var ErrMalformed = errors.New("no object container file of Avro, or a damaged one")

// IsCodec reports whether blocks can be written and read in a codec.
func IsCodec(name string) bool { return name == Null || name == Deflate || name == Zstd }

// IsFile reports whether bytes begin as a file does.
func IsFile(p []byte) bool { return bytes.HasPrefix(p, magic) }

// AppendHeader begins a file.
func AppendHeader(dst []byte, schema, codec string, sync Sync) []byte {
	dst = append(dst, magic...)
	dst = AppendLong(dst, 2)
	dst = AppendBytes(AppendBytes(dst, []byte("avro.codec")), []byte(codec))
	dst = AppendBytes(AppendBytes(dst, []byte("avro.schema")), []byte(schema))
	return append(append(dst, 0), sync[:]...)
}

var encoders = sync.Pool{New: func() any {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // no option is wrong
	}
	return e
}}

var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(BlockBytesMax))
	if err != nil {
		panic(err)
	}
	return d
}}

// AppendBlock adds a block of so many records.
func AppendBlock(dst []byte, records int, data []byte, codec string, sync Sync) ([]byte, error) {
	switch codec {
	case Null:
	case Deflate:
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.DefaultCompression)
		if err == nil {
			_, err = w.Write(data)
		}
		if err = errors.Join(err, w.Close()); err != nil {
			return dst, err
		}
		data = b.Bytes()
	case Zstd:
		e := encoders.Get().(*zstd.Encoder)
		data = e.EncodeAll(data, nil)
		encoders.Put(e)
	default:
		return dst, fmt.Errorf("there is no codec %q", codec)
	}
	return AppendRaw(dst, records, data, sync), nil
}

// AppendRaw adds a block whose data is in the file's codec already.
func AppendRaw(dst []byte, records int, data []byte, sync Sync) []byte {
	dst = AppendLong(dst, int64(records))
	dst = AppendBytes(dst, data)
	return append(dst, sync[:]...)
}

// Reader reads a file.
type Reader struct {
	Schema string
	Codec  string
	Sync   Sync

	in source
}

type source interface {
	io.Reader
	io.ByteReader
}

// NewReader reads the header of a file.
func NewReader(in source) (*Reader, error) {
	r := &Reader{Codec: Null, in: in}
	var m [4]byte
	if _, err := io.ReadFull(in, m[:]); err != nil || !bytes.Equal(m[:], magic) {
		return nil, ErrMalformed
	}
	for left := HeaderBytesMax; ; {
		n, err := r.long()
		if err != nil || n == 0 {
			if err == nil {
				_, err = io.ReadFull(in, r.Sync[:])
			}
			if err != nil {
				return nil, ErrMalformed
			}
			break
		}
		if n < 0 { // then the bytes of this part of the map follow
			if _, err := r.long(); err != nil {
				return nil, err
			}
			n = -n
		}
		for ; n > 0; n-- {
			name, err := r.bytes(&left)
			if err != nil {
				return nil, err
			}
			value, err := r.bytes(&left)
			if err != nil {
				return nil, err
			}
			switch string(name) {
			case "avro.schema":
				r.Schema = string(value)
			case "avro.codec":
				r.Codec = string(value)
			}
		}
	}
	if r.Schema == "" {
		return nil, ErrMalformed
	}
	if !IsCodec(r.Codec) {
		return nil, fmt.Errorf("the file's codec is %q; null, deflate and zstandard are read", r.Codec)
	}
	return r, nil
}

func (r *Reader) long() (int64, error) {
	v, err := binary.ReadVarint(r.in)
	if err != nil {
		return 0, ErrMalformed
	}
	return v, nil
}

// bytes reads some of the header.
func (r *Reader) bytes(left *int) ([]byte, error) {
	n, err := r.long()
	if err != nil || n < 0 || n > int64(*left) {
		return nil, ErrMalformed
	}
	*left -= int(n) + 1
	p := make([]byte, n)
	if _, err := io.ReadFull(r.in, p); err != nil {
		return nil, ErrMalformed
	}
	return p, nil
}

// Next reads a block as it stands; io.EOF at the end.
func (r *Reader) Next() (records int, data []byte, err error) {
	first, err := r.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadVarint(&after{first: first, some: true, in: r.in})
	if err != nil || n < 0 || n > BlockBytesMax {
		return 0, nil, ErrMalformed
	}
	size, err := r.long()
	if err != nil || size < 0 || size > BlockBytesMax {
		return 0, nil, ErrMalformed
	}
	var b bytes.Buffer // grows with what is there, not with what is claimed
	if _, err := io.CopyN(&b, r.in, size); err != nil {
		return 0, nil, ErrMalformed
	}
	var sync Sync
	if _, err := io.ReadFull(r.in, sync[:]); err != nil || sync != r.Sync {
		return 0, nil, ErrMalformed
	}
	return int(n), b.Bytes(), nil
}

// after is a byte that was read ahead, and what comes behind it.
type after struct {
	first byte
	some  bool
	in    io.ByteReader
}

func (a *after) ReadByte() (byte, error) {
	if a.some {
		a.some = false
		return a.first, nil
	}
	return a.in.ReadByte()
}

// Inflate gives the data of a block.
func (r *Reader) Inflate(data []byte) ([]byte, error) {
	switch r.Codec {
	case Deflate:
		f := flate.NewReader(bytes.NewReader(data))
		out, err := io.ReadAll(io.LimitReader(f, BlockBytesMax+1))
		if err != nil || len(out) > BlockBytesMax {
			return nil, ErrMalformed
		}
		return out, nil
	case Zstd:
		d := decoders.Get().(*zstd.Decoder)
		defer decoders.Put(d)
		out, err := d.DecodeAll(data, nil)
		if err != nil {
			return nil, ErrMalformed
		}
		return out, nil
	}
	return data, nil
}
