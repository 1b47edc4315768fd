package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"leat/broker/fault"
)

var allCodecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

func sampleRecords() []Record {
	return []Record{
		{Timestamp: 1700000000000, Key: []byte("k1"), Value: []byte("hello"), Headers: []Header{{"a", []byte("1")}, {"b", nil}, {"", []byte{}}}},
		{Timestamp: 1700000000005, Value: []byte{}},
		{Timestamp: 1699999999990, Key: []byte{}, Value: nil, Headers: []Header{{"a", []byte("1")}, {"a", []byte("2")}}},
		{Timestamp: NoTimestamp, Key: []byte("k2"), Value: bytes.Repeat([]byte("abc"), 5000)},
	}
}

// withOffsets is what reading a batch of rs gives.
func withOffsets(rs []Record, base Offset) []Record {
	out := make([]Record, len(rs))
	for i := range rs {
		out[i] = rs[i].Clone()
		out[i].Offset = base + Offset(i)
	}
	return out
}

func collect(t testing.TB, p []byte) []Record {
	t.Helper()
	var got []Record
	if err := EachRecord(p, DefaultInflateLimits(), func(i int, r *Record) error {
		if i != len(got) {
			t.Fatalf("record %d came as number %d", len(got), i)
		}
		got = append(got, r.Clone())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// testBuilder is shared: coders are slow to make under the race detector.
var testBuilder = NewBuilder()

func mustBuild(t testing.TB, rs []Record, c Codec) []byte {
	t.Helper()
	b := testBuilder
	b.Reset()
	for i := range rs {
		b.Add(&rs[i])
	}
	p, err := b.Finish(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBuild_EveryCodecComesBack(t *testing.T) {
	for _, c := range allCodecs {
		t.Run(c.String(), func(t *testing.T) {
			p := mustBuild(t, sampleRecords(), c)
			h, err := CheckBatch(p)
			if err != nil {
				t.Fatal(err)
			}
			want := BatchHeader{Bytes: len(p), CRC: h.CRC, Attributes: int16(c), LastOffsetDelta: 3, BaseTimestamp: 1700000000000,
				MaxTimestamp: 1700000000005, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1, Count: 4}
			if d := diff(want, h); d != "" {
				t.Error(d)
			}
			PatchBatch(p, 1000, 7)
			if h, err = CheckStored(p, 1000, 7); err != nil || h.LastOffset() != 1003 {
				t.Fatal(h, err)
			}
			if d := diff(withOffsets(sampleRecords(), 1000), collect(t, p)); d != "" {
				t.Error(d)
			}
			if again := mustBuild(t, sampleRecords(), c); !bytes.Equal(again[12:16], []byte{0, 0, 0, 0}) || !bytes.Equal(again[16:], p[16:]) {
				t.Error("the same records gave other bytes")
			}
		})
	}
}

// kmsgRecords reads a batch with an independent implementation.
func kmsgRecords(t testing.TB, p []byte) (kmsg.RecordBatch, []Record) {
	t.Helper()
	var b kmsg.RecordBatch
	if err := b.ReadFrom(p); err != nil {
		t.Fatal(err)
	}
	if int(b.Length) != len(p)-12 || b.Magic != 2 || uint32(b.CRC) != crc32.Checksum(p[21:], crc32.MakeTable(crc32.Castagnoli)) {
		t.Fatalf("kmsg reads length %d, magic %d, crc %x", b.Length, b.Magic, uint32(b.CRC))
	}
	section, err := kgo.DefaultDecompressor().Decompress(b.Records, kgo.CompressionCodecType(b.Attributes&7))
	if err != nil {
		t.Fatal(err)
	}
	var out []Record
	for len(section) > 0 {
		n, used := binary.Varint(section)
		var kr kmsg.Record
		if err := kr.ReadFrom(section[:used+int(n)]); err != nil {
			t.Fatal(err)
		}
		section = section[used+int(n):]
		r := Record{Offset: Offset(b.FirstOffset) + Offset(kr.OffsetDelta), Timestamp: b.FirstTimestamp + kr.TimestampDelta64, Key: kr.Key, Value: kr.Value}
		for _, h := range kr.Headers {
			r.Headers = append(r.Headers, Header{h.Key, h.Value})
		}
		out = append(out, r.Clone())
	}
	return b, out
}

func TestBuild_AnotherImplementationReadsIt(t *testing.T) {
	for _, c := range allCodecs {
		p := mustBuild(t, sampleRecords(), c)
		b, got := kmsgRecords(t, p)
		if d := diff(withOffsets(sampleRecords(), 0), got); d != "" {
			t.Errorf("%s: %s", c, d)
		}
		if b.NumRecords != 4 || b.LastOffsetDelta != 3 || b.ProducerID != -1 || b.ProducerEpoch != -1 || b.FirstSequence != -1 {
			t.Errorf("%s: %+v", c, b)
		}
	}
}

// foreignBatch writes a batch with kmsg and kgo's compressors.
func foreignBatch(t testing.TB, rs []Record, codec Codec) []byte {
	t.Helper()
	var section []byte
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(rs) - 1), FirstTimestamp: rs[0].Timestamp, ProducerID: 4000, ProducerEpoch: 3,
		FirstSequence: 12, NumRecords: int32(len(rs)), Attributes: int16(codec)}
	for i, r := range rs {
		kr := kmsg.Record{TimestampDelta64: r.Timestamp - b.FirstTimestamp, OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			kr.Headers = append(kr.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		b.MaxTimestamp = max(b.MaxTimestamp, r.Timestamp)
		body := kr.AppendTo(nil)[1:] // behind a length of zero
		section = append(binary.AppendVarint(section, int64(len(body))), body...)
	}
	if codec != None {
		opts := map[Codec]kgo.CompressionCodec{Gzip: kgo.GzipCompression(), Snappy: kgo.SnappyCompression(), LZ4: kgo.Lz4Compression(), Zstd: kgo.ZstdCompression()}
		comp, err := kgo.DefaultCompressor(opts[codec])
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		out, used := comp.Compress(&buf, section)
		if Codec(used) != codec {
			t.Fatalf("kgo used codec %d for %s", used, codec)
		}
		section = append([]byte(nil), out...)
	}
	b.Records = section
	b.Length = int32(49 + len(section))
	p := b.AppendTo(nil)
	seal(p)
	return p
}

func TestEachRecord_ReadsAnotherImplementation(t *testing.T) {
	for _, c := range allCodecs {
		p := foreignBatch(t, sampleRecords(), c)
		h, err := CheckBatch(p)
		if err != nil {
			t.Fatal(c, err)
		}
		if h.ProducerID != 4000 || h.ProducerEpoch != 3 || h.BaseSequence != 12 || h.LastSequence() != 15 {
			t.Errorf("%s: %+v", c, h)
		}
		if d := diff(withOffsets(sampleRecords(), 0), collect(t, p)); d != "" {
			t.Errorf("%s: %s", c, d)
		}
	}
}

func genBytes(t *rapid.T, name string) []byte {
	if rapid.Bool().Draw(t, name+"Null") {
		return nil
	}
	return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, name)...)
}

func genRecord(t *rapid.T) Record {
	r := Record{Timestamp: rapid.Int64().Draw(t, "ts"), Key: genBytes(t, "key"), Value: genBytes(t, "value")}
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		r.Headers = append(r.Headers, Header{rapid.String().Draw(t, "hk"), genBytes(t, "hv")})
	}
	return r
}

func TestBuild_Property(t *testing.T) {
	b := NewBuilder() // reused over all cases on purpose
	rapid.Check(t, func(rt *rapid.T) {
		rs := rapid.SliceOfN(rapid.Custom(genRecord), 1, 20).Draw(rt, "records")
		c := rapid.SampledFrom(allCodecs).Draw(rt, "codec")
		b.Reset()
		for i := range rs {
			b.Add(&rs[i])
		}
		p, err := b.Finish([]byte("before"), c)
		if err != nil {
			rt.Fatal(err)
		}
		if p = p[6:]; c == None && len(p) != b.Bytes() {
			rt.Fatalf("Bytes says %d, the batch has %d", b.Bytes(), len(p))
		}
		if _, err := CheckBatch(p); err != nil {
			rt.Fatal(err)
		}
		if d := diff(withOffsets(rs, 0), collect(t, p)); d != "" {
			rt.Fatal(d)
		}
		if _, got := kmsgRecords(t, p); diff(withOffsets(rs, 0), got) != "" {
			rt.Fatal("kmsg reads something else")
		}
	})
}

func TestCheckBatch_Refusals(t *testing.T) {
	good := mustBuild(t, sampleRecords(), None)
	edit := func(fn func(p []byte)) []byte {
		p := bytes.Clone(good)
		fn(p)
		if len(p) > 21 {
			seal(p)
		}
		return p
	}
	be := binary.BigEndian
	attr := func(a uint16) []byte { return edit(func(p []byte) { be.PutUint16(p[21:], a) }) }
	for _, c := range []struct {
		name   string
		p      []byte
		kind   fault.Kind
		reason fault.Reason
	}{
		{"empty", nil, fault.Invalid, ""},
		{"short", good[:40], fault.Invalid, ""},
		{"cut off", good[:len(good)-1], fault.Invalid, ""},
		{"trailing", append(bytes.Clone(good), 0), fault.Invalid, ""},
		{"format 0", edit(func(p []byte) { p[16] = 0 }), fault.Unsupported, ""},
		{"format 1, a whole one", []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0e\x00\x00\x00\x00\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff"), fault.Unsupported, ""},
		{"format 3", edit(func(p []byte) { p[16] = 3 }), fault.Invalid, ""},
		{"length too small", edit(func(p []byte) { be.PutUint32(p[8:], 48) }), fault.Invalid, ""},
		{"length negative", edit(func(p []byte) { be.PutUint32(p[8:], 1<<31) }), fault.Invalid, ""},
		{"length huge", edit(func(p []byte) { be.PutUint32(p[8:], math.MaxInt32) }), fault.Invalid, ""},
		{"a flipped bit", func() []byte { p := bytes.Clone(good); p[70] ^= 4; return p }(), fault.Invalid, fault.ReasonChecksum},
		{"count 0", edit(func(p []byte) { be.PutUint32(p[57:], 0) }), fault.Invalid, ""},
		{"count negative", edit(func(p []byte) { be.PutUint32(p[57:], 1<<31) }), fault.Invalid, ""},
		{"count and delta differ", edit(func(p []byte) { be.PutUint32(p[23:], 9) }), fault.Invalid, ""},
		{"codec 5", attr(5), fault.Unsupported, fault.ReasonCodec},
		{"append time", attr(8), fault.Invalid, fault.ReasonTimestamp},
		{"transaction without producer", attr(16), fault.Invalid, ""},
		{"control", attr(32), fault.Invalid, ""},
		{"delete horizon", attr(64), fault.Invalid, ""},
		{"unknown bit", attr(128), fault.Unsupported, ""},
		{"unknown high bit", attr(1 << 15), fault.Unsupported, ""},
		{"producer -2", edit(func(p []byte) { be.PutUint64(p[43:], ^uint64(1)) }), fault.Invalid, ""},
		{"producer without epoch", edit(func(p []byte) { be.PutUint64(p[43:], 1) }), fault.Invalid, ""},
	} {
		_, err := CheckBatch(c.p)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != c.kind || f.Reason != c.reason || f.Text == "" {
			t.Errorf("%s: got %v, want %v %q", c.name, err, c.kind, c.reason)
		}
	}
}

func TestCheckStored_SaysWhatDiffers(t *testing.T) {
	p := mustBuild(t, sampleRecords(), Snappy)
	PatchBatch(p, 50, 2)
	for name, c := range map[string]struct {
		p     []byte
		base  Offset
		epoch int32
	}{
		"offset":   {p, 51, 2},
		"epoch":    {p, 50, 3},
		"trailing": {append(bytes.Clone(p), 1), 50, 2},
		"cut":      {p[:len(p)-1], 50, 2},
		"nothing":  {nil, 50, 2},
	} {
		if _, err := CheckStored(c.p, c.base, c.epoch); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Every single flipped bit is found, wherever it is.
	for i := range len(p) * 8 {
		q := bytes.Clone(p)
		q[i/8] ^= 1 << (i % 8)
		if _, err := CheckStored(q, 50, 2); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
}

func TestStampAppendTime(t *testing.T) {
	for _, c := range allCodecs {
		p := mustBuild(t, sampleRecords(), c)
		StampAppendTime(p, 42)
		h, err := CheckStored(p, 0, 0)
		if err != nil || !h.AppendTime() || h.MaxTimestamp != 42 || h.Codec() != c {
			t.Fatal(c, h, err)
		}
		for _, r := range collect(t, p) {
			if r.Timestamp != 42 {
				t.Fatalf("%s: record %d has time %d", c, r.Offset, r.Timestamp)
			}
		}
	}
}

func TestLastSequence_Wraps(t *testing.T) {
	for _, c := range []struct{ base, delta, want int32 }{
		{0, 0, 0}, {5, 4, 9}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 5, 3}, {-1, 7, -1},
	} {
		if got := (BatchHeader{BaseSequence: c.base, LastOffsetDelta: c.delta}).LastSequence(); got != c.want {
			t.Errorf("base %d, delta %d: got %d, want %d", c.base, c.delta, got, c.want)
		}
	}
}

func TestEachRecord_RefusesBrokenSections(t *testing.T) {
	// One record: length, attributes, timestamp, offset, key, value, header count.
	ok := []byte{12, 0, 0, 0, 1, 1, 0}
	batch := func(count, last int, section ...byte) []byte {
		p := mustBuild(t, sampleRecords()[:1], None)[:61]
		p = append(bytes.Clone(p), section...)
		binary.BigEndian.PutUint32(p[8:], uint32(len(p)-12))
		binary.BigEndian.PutUint32(p[23:], uint32(last))
		binary.BigEndian.PutUint32(p[57:], uint32(count))
		seal(p)
		return p
	}
	if got := collect(t, batch(1, 0, ok...)); len(got) != 1 {
		t.Fatal(got)
	}
	for name, p := range map[string][]byte{
		"no bytes":               batch(1, 0),
		"count over the bytes":   batch(1000, 999, ok...),
		"trailing":               batch(1, 0, append(bytes.Clone(ok), ok...)...),
		"length over the end":    batch(1, 0, 14, 0, 0, 0, 1, 1, 0),
		"length negative":        batch(1, 0, 1, 0, 0, 0, 1, 1, 0),
		"length endless":         batch(1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"empty record":           batch(1, 0, 0, 0, 0, 0, 0, 0, 0),
		"key over the record":    batch(1, 0, 12, 0, 0, 0, 100, 1, 0),
		"key below null":         batch(1, 0, 12, 0, 0, 0, 3, 1, 0),
		"value over the record":  batch(1, 0, 12, 0, 0, 0, 1, 100, 0),
		"headers over":           batch(1, 0, 12, 0, 0, 0, 1, 1, 2),
		"headers negative":       batch(1, 0, 12, 0, 0, 0, 1, 1, 1),
		"header key null":        batch(1, 0, 16, 0, 0, 0, 1, 1, 2, 1, 1),
		"bytes after headers":    batch(1, 0, 14, 0, 0, 0, 1, 1, 0, 9),
		"offset 1 in a batch":    batch(1, 0, 12, 0, 0, 2, 1, 1, 0),
		"offset twice":           batch(2, 1, append(bytes.Clone(ok), ok...)...),
		"offset negative":        batch(1, 0, 12, 0, 0, 1, 1, 1, 0),
		"compressed, not at all": func() []byte { p := batch(1, 0, ok...); p[22] = 2; seal(p); return p }(),
	} {
		err := EachRecord(p, DefaultInflateLimits(), func(int, *Record) error { return nil })
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A batch that was compacted has fewer records than offsets; it is read.
	if got := collect(t, batch(2, 9, 12, 0, 0, 4, 1, 1, 0, 12, 0, 0, 18, 1, 1, 0)); got[0].Offset != 2 || got[1].Offset != 9 {
		t.Error(got)
	}
}

func TestEachRecord_LendsWhatItSays(t *testing.T) {
	p := mustBuild(t, sampleRecords(), None)
	var kept []Record
	if err := EachRecord(p, DefaultInflateLimits(), func(_ int, r *Record) error { kept = append(kept, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	if d := diff(withOffsets(sampleRecords(), 0), kept); d != "" {
		t.Error("records of an uncompressed batch did not last: " + d)
	}
	stop := errors.New("stop")
	calls := 0
	if err := EachRecord(p, DefaultInflateLimits(), func(int, *Record) error { calls++; return stop }); err != stop || calls != 1 { //nolint:errorlint // handed through as it is
		t.Error(err, calls)
	}
}

func TestFinish_Refusals(t *testing.T) {
	b := NewBuilder()
	if _, err := b.Finish(nil, None); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	b.Add(&Record{})
	if p, err := b.Finish([]byte("x"), Codec(7)); !fault.Is(err, fault.Unsupported) || string(p) != "x" {
		t.Error(p, err)
	}
	if _, err := BuildBatch(nil); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestBuilder_ReusedAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	rs := sampleRecords()
	for _, c := range allCodecs {
		b := NewBuilder()
		var dst []byte
		round := func() {
			b.Reset()
			for i := range rs {
				b.Add(&rs[i])
			}
			var err error
			if dst, err = b.Finish(dst[:0], c); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(50, round); n != 0 {
			t.Errorf("%s: %v allocations a batch", c, n)
		}
	}
}

func BenchmarkCheckBatch(b *testing.B) {
	p := benchBatch(b, 100, 100, None)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := CheckBatch(p); err != nil {
			b.Fatal(err)
		}
	}
}

// The sum of a batch is that of its bytes, whatever its offset and epoch have been set to since its checksum was found right.
func TestBatchSum_IsTheChecksumOfAllBytes(t *testing.T) {
	for n, codec := range allCodecs {
		p := foreignBatch(t, []Record{{Timestamp: 1, Key: []byte("k"), Value: bytes.Repeat([]byte("0123456789abcdef"), 1+n*9973)}}, codec)
		for base := range Offset(3) {
			PatchBatch(p, base<<40, int32(base))
			if got, want := BatchSum(p), crc32.Checksum(p, castagnoli); got != want {
				t.Errorf("%s, %d bytes: %08x, want %08x", codec, len(p), got, want)
			}
		}
	}
}

func benchBatch(b *testing.B, n, size int, c Codec) []byte {
	rs := make([]Record, n)
	for i := range rs {
		rs[i] = Record{Timestamp: int64(i), Key: fmt.Appendf(nil, "key-%d", i), Value: bytes.Repeat([]byte("abcdefghij"), size/10)}
	}
	return mustBuild(b, rs, c)
}

func BenchmarkEachRecord(b *testing.B) {
	for _, c := range allCodecs {
		b.Run(c.String(), func(b *testing.B) {
			p := benchBatch(b, 100, 100, c)
			b.ReportAllocs()
			for b.Loop() {
				if err := EachRecord(p, DefaultInflateLimits(), func(int, *Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/record")
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, c := range allCodecs {
		b.Run(c.String(), func(b *testing.B) {
			r := Record{Timestamp: 1, Key: []byte("key-1"), Value: bytes.Repeat([]byte("abcdefghij"), 10)}
			bld, dst := NewBuilder(), []byte(nil)
			b.ReportAllocs()
			for b.Loop() {
				bld.Reset()
				for range 100 {
					bld.Add(&r)
				}
				var err error
				if dst, err = bld.Finish(dst[:0], c); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/record")
		})
	}
}

const goldenBatch = "00000000000000000000005e0000000002f97ae31d0000000000020000018bcfe568000000018bcfe56805ffffffffffffffffffffffffffff000000032c000000046b310a68656c6c6f060261023102620100000c000a020100001c0013040001040261023102610232"

// The bytes of a stored batch never change: old data directories are full of them.
func TestBuild_GoldenBytes(t *testing.T) {
	p := mustBuild(t, sampleRecords()[:3], None)
	if got := fmt.Sprintf("%x", p); got != goldenBatch {
		t.Errorf("got  %s\nwant %s", got, goldenBatch)
	}
	if text := (Position{Shard: 3, Lineage: 2, Seq: 70000, Batch: 1, Record: 9}).String(); text != "AQMC8KIEAQk" {
		t.Errorf("a position is written %s", text)
	}
}
