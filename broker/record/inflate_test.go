package record

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"leat/broker/fault"
)

// recompress replaces the records section and its codec.
func recompress(p []byte, c Codec, section []byte) []byte {
	p = append(bytes.Clone(p[:BatchHeaderBytes]), section...)
	binary.BigEndian.PutUint32(p[8:], uint32(len(p)-12))
	binary.BigEndian.PutUint16(p[21:], uint16(c))
	seal(p)
	return p
}

// xerialBatch is a batch as the Java client writes it with snappy: framed, here with blocks of 1,000 bytes.
func xerialBatch(t testing.TB, rs []Record) []byte {
	p := mustBuild(t, rs, None)
	section := p[BatchHeaderBytes:]
	out := []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
	for len(section) > 0 {
		block := snappy.Encode(nil, section[:min(1000, len(section))])
		section = section[min(1000, len(section)):]
		out = binary.BigEndian.AppendUint32(out, uint32(len(block)))
		out = append(out, block...)
	}
	return recompress(p, Snappy, out)
}

func TestInflated_OtherClientsForms(t *testing.T) {
	rs := sampleRecords()
	plain := mustBuild(t, rs, None)
	section := plain[BatchHeaderBytes:]
	half := len(section) / 2
	var lz bytes.Buffer
	w := lz4.NewWriter(&lz)
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block4Mb), lz4.ChecksumOption(true), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(section)))); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(section)
	_ = w.Close()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer // as the Java client: a stream whose frame does not say how long it is
	enc.Reset(&stream)
	_, _ = enc.Write(section[:half])
	_ = enc.Flush()
	_, _ = enc.Write(section[half:])
	_ = enc.Close()
	var c compressor
	first, _ := c.compress(nil, Gzip, section[:half])
	members, _ := c.compress(first, Gzip, section[half:])
	twoXerial := xerialBatch(t, rs)[BatchHeaderBytes:]
	again := append(bytes.Clone(twoXerial), twoXerial[:16]...) // a header anew, with nothing behind it
	for name, p := range map[string][]byte{
		"xerial snappy":                xerialBatch(t, rs),
		"xerial snappy, header anew":   recompress(plain, Snappy, again),
		"lz4 with sums and size":       recompress(plain, LZ4, lz.Bytes()),
		"zstd stream of unsaid length": recompress(plain, Zstd, stream.Bytes()),
		"zstd, two frames":             recompress(plain, Zstd, enc.EncodeAll(section[half:], enc.EncodeAll(section[:half], nil))),
		"gzip, two members":            recompress(plain, Gzip, members),
	} {
		if d := diff(withOffsets(rs, 0), collect(t, p)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestInflated_BombsAreBounded(t *testing.T) {
	zeros := make([]byte, 32<<20)
	plain := mustBuild(t, sampleRecords(), None)
	lim := InflateLimits{BytesMax: 2 << 20, RatioMax: 1 << 30}
	var c compressor
	for _, codec := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		bomb, err := c.compress(nil, codec, zeros)
		if err != nil {
			t.Fatal(err)
		}
		p := recompress(plain, codec, bomb)
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err = Inflated(p, lim)
		runtime.ReadMemStats(&after)
		if !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", codec, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
			t.Errorf("%s: %d MiB were allocated under a limit of 2", codec, used>>20)
		}
		// The same by ratio: much out of little, under the limit of bytes.
		small, err := c.compress(nil, codec, zeros[:4<<20])
		if err != nil {
			t.Fatal(err)
		}
		p = recompress(plain, codec, small)
		if _, _, err := Inflated(p, InflateLimits{BytesMax: 64 << 20, RatioMax: 2}); !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s by ratio: %v", codec, err)
		}
		if _, release, err := Inflated(p, InflateLimits{BytesMax: 4 << 20, RatioMax: 1 << 30}); err != nil {
			t.Errorf("%s, exactly at the limit: %v", codec, err)
		} else {
			release()
		}
	}
	// Lies about length: little input that announces much.
	for name, p := range map[string][]byte{
		"snappy": recompress(plain, Snappy, binary.AppendUvarint(nil, 1<<31)),
		"xerial": recompress(plain, Snappy, append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), 0xff, 0xff, 0xff, 0xff)),
		"zstd":   recompress(plain, Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0x40, 0, 0, 0, 0}), // 1 GiB announced
		"cut":    recompress(plain, Gzip, []byte{0x1f, 0x8b}),
		"empty":  recompress(plain, Zstd, nil),
	} {
		_, _, err := Inflated(p, lim)
		if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) || fault.As(err).Reason != fault.ReasonCodec {
			t.Errorf("%s: %v", name, err)
		}
	}
}
