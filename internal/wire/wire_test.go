package wire

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestReader_ErrorsAndOffsets(t *testing.T) {
	for _, c := range []struct {
		name string
		p    []byte
		read func(r *Reader)
		want error
		at   int
	}{
		{"u8 of nothing", nil, func(r *Reader) { r.U8() }, ErrShort, 0},
		{"u16 short", []byte{1}, func(r *Reader) { r.U16() }, ErrShort, 0},
		{"u32 short", []byte{9, 1, 2, 3}, func(r *Reader) { r.U8(); r.U32() }, ErrShort, 1},
		{"u64 short", make([]byte, 7), func(r *Reader) { r.U64() }, ErrShort, 0},
		{"bool 2", []byte{2}, func(r *Reader) { r.Bool() }, ErrBool, 1},
		{"varint cut", []byte{0x80}, func(r *Reader) { r.Uvarint() }, ErrShort, 0},
		{"varint long form", []byte{0x80, 0}, func(r *Reader) { r.Uvarint() }, ErrVarint, 0},
		{"varint over 64 bits", bytes.Repeat([]byte{0xff}, 11), func(r *Reader) { r.Uvarint() }, ErrVarint, 0},
		{"varint over 32 bits", []byte{0xff, 0xff, 0xff, 0xff, 0x7f}, func(r *Reader) { r.Uvarint32() }, ErrRange, 5},
		{"bytes over the end", []byte{5, 1}, func(r *Reader) { r.Bytes(9) }, ErrShort, 1},
		{"bytes huge", AppendUvarint(nil, math.MaxUint64), func(r *Reader) { r.Bytes(math.MaxInt) }, ErrShort, 10},
		{"bytes over the limit", []byte{2, 1, 1}, func(r *Reader) { r.Bytes(1) }, ErrLimit, 1},
		{"nullable over the end", []byte{3, 1}, func(r *Reader) { r.Nullable(9) }, ErrShort, 1},
		{"nullable over the limit", []byte{3, 1, 1}, func(r *Reader) { r.Nullable(1) }, ErrLimit, 1},
		{"count over the rest", []byte{2, 0, 0, 0}, func(r *Reader) { r.Count(2) }, ErrShort, 1},
		{"raw negative", []byte{1}, func(r *Reader) { r.Raw(-1) }, ErrShort, 0},
		{"trailing", []byte{1, 2}, func(r *Reader) { r.U8() }, ErrTrailing, 1},
	} {
		r := New(c.p)
		c.read(&r)
		if err := r.Done(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if r.Offset() != c.at || r.Len() != 0 {
			t.Errorf("%s: offset %d with %d left, want %d", c.name, r.Offset(), r.Len(), c.at)
		}
		first := r.Err()
		if r.U64() != 0 || r.Uvarint() != 0 || r.Bytes(9) != nil || r.Nullable(9) != nil || r.String(9) != "" || r.Bool() || r.Count(1) != 0 || r.Rest() != nil {
			t.Errorf("%s: a read after the error gave something", c.name)
		}
		if r.Err() != first { //nolint:errorlint // the very same
			t.Errorf("%s: the first error was replaced by %v", c.name, r.Err())
		}
	}
}

// value is one thing to write and to read back.
type value struct {
	write func(dst []byte) []byte
	same  func(r *Reader) bool
}

func genValue(t *rapid.T) value {
	u, b := rapid.Uint64().Draw(t, "u"), rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "b")
	if b == nil {
		b = []byte{}
	}
	switch rapid.IntRange(0, 10).Draw(t, "kind") {
	case 0:
		return value{func(d []byte) []byte { return AppendU8(d, uint8(u)) }, func(r *Reader) bool { return r.U8() == uint8(u) }}
	case 1:
		return value{func(d []byte) []byte { return AppendU16(d, uint16(u)) }, func(r *Reader) bool { return r.U16() == uint16(u) }}
	case 2:
		return value{func(d []byte) []byte { return AppendU32(d, uint32(u)) }, func(r *Reader) bool { return r.U32() == uint32(u) }}
	case 3:
		return value{func(d []byte) []byte { return AppendU64(d, u) }, func(r *Reader) bool { return r.U64() == u }}
	case 4:
		return value{func(d []byte) []byte { return AppendBool(d, u&1 == 1) }, func(r *Reader) bool { return r.Bool() == (u&1 == 1) }}
	case 5:
		return value{func(d []byte) []byte { return AppendUvarint(d, u) }, func(r *Reader) bool { return r.Uvarint() == u }}
	case 6:
		return value{func(d []byte) []byte { return AppendVarint(d, int64(u)) }, func(r *Reader) bool { return r.Varint() == int64(u) }}
	case 7:
		return value{func(d []byte) []byte { return AppendBytes(d, b) }, func(r *Reader) bool { return bytes.Equal(r.Bytes(40), b) }}
	case 8:
		return value{func(d []byte) []byte { return AppendNullable(d, b) }, func(r *Reader) bool { g := r.Nullable(40); return g != nil && bytes.Equal(g, b) }}
	case 9:
		return value{func(d []byte) []byte { return AppendNullable(d, nil) }, func(r *Reader) bool { return r.Nullable(40) == nil }}
	default:
		return value{func(d []byte) []byte { return AppendString(d, string(b)) }, func(r *Reader) bool { return r.String(40) == string(b) }}
	}
}

func TestReader_ReadsWhatWasAppended(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Custom(genValue), 0, 30).Draw(t, "values")
		var p []byte
		for _, v := range values {
			p = v.write(p)
		}
		r := New(p)
		for i, v := range values {
			if !v.same(&r) {
				t.Fatalf("value %d came back different: %v", i, r.Err())
			}
		}
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
		for cut := range p { // no prefix is taken for the whole
			r.Reset(p[:cut])
			for _, v := range values {
				v.same(&r)
			}
			if r.Err() == nil {
				t.Fatalf("%d of %d bytes were taken for all", cut, len(p))
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 5, 7, 8, 10}, []byte{1, 2, 3, 'a', 'b', 0x80, 1})
	f.Add([]byte{7, 7, 7}, AppendString(AppendBytes(nil, []byte("xy")), "z"))
	f.Fuzz(func(t *testing.T, plan, p []byte) {
		r := New(p)
		var again []byte // what was read, written again: every form is canonical
		for _, k := range plan {
			if r.Err() != nil {
				break
			}
			done := r.Offset()
			switch k % 9 {
			case 0:
				again = AppendU8(again, r.U8())
			case 1:
				again = AppendU16(again, r.U16())
			case 2:
				again = AppendU32(again, r.U32())
			case 3:
				again = AppendU64(again, r.U64())
			case 4:
				again = AppendBool(again, r.Bool())
			case 5:
				again = AppendUvarint(again, r.Uvarint())
			case 6:
				again = AppendVarint(again, r.Varint())
			case 7:
				again = AppendBytes(again, r.Bytes(100))
			case 8:
				again = AppendNullable(again, r.Nullable(100))
			}
			if r.Err() != nil {
				again = again[:done]
			}
		}
		if !bytes.HasPrefix(p, again) {
			t.Fatalf("read %x from %x", again, p)
		}
	})
}

func BenchmarkUvarint(b *testing.B) {
	p := AppendUvarint(AppendUvarint(nil, 5), 70000)
	for b.Loop() {
		r := New(p)
		r.Uvarint()
		r.Uvarint()
		if r.Err() != nil {
			b.Fatal(r.Err())
		}
	}
}
