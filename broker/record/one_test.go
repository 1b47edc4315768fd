package record

import (
	"bytes"
	"fmt"
	"testing"
)

func TestOneRecord_IsWhatEachRecordGives(t *testing.T) {
	var rs []Record
	for i := range 100 {
		rs = append(rs, Record{Key: fmt.Append(nil, "k", i), Value: bytes.Repeat([]byte{byte(i)}, i*3), Timestamp: int64(1000 + i), Headers: []Header{{Key: "h", Value: []byte{1}}}})
	}
	for _, codec := range []Codec{None, Zstd} {
		b := NewBuilder()
		for i := range rs {
			b.Add(&rs[i])
		}
		p, err := b.Finish(nil, codec)
		if err != nil {
			t.Fatal(err)
		}
		PatchBatch(p, 500, 0)
		err = EachRecord(p, DefaultInflateLimits(), func(i int, r *Record) error {
			got, ok, err := OneRecord(p, DefaultInflateLimits(), r.Offset)
			if err != nil || !ok || got.Offset != r.Offset || !bytes.Equal(got.Key, r.Key) || !bytes.Equal(got.Value, r.Value) || got.Timestamp != r.Timestamp || len(got.Headers) != 1 {
				return fmt.Errorf("record %d: %+v, %t, %v", i, got, ok, err)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		for _, o := range []Offset{499, 600} {
			if _, ok, err := OneRecord(p, DefaultInflateLimits(), o); ok || err != nil {
				t.Fatalf("offset %d: %t, %v", o, ok, err)
			}
		}
		// Without every second record, as compaction leaves it.
		half, _, err := Filter(p, func(i int, _ *Record) bool { return i%2 == 0 })
		if err != nil {
			t.Fatal(err)
		}
		for o := range Offset(600) {
			if o < 500 {
				continue
			}
			if r, ok, err := OneRecord(half, DefaultInflateLimits(), o); err != nil || ok != (o%2 == 0) || ok && r.Offset != o {
				t.Fatalf("offset %d: %+v, %t, %v", o, r, ok, err)
			}
		}
		// Cut anywhere, it refuses or says there is none; it never reads beyond.
		for n := range p {
			_, _, _ = OneRecord(p[:n], DefaultInflateLimits(), 599)
		}
	}
}
