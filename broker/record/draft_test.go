package record

import (
	"bytes"
	"testing"
)

func TestDraft_IsWhatABuilderMakes(t *testing.T) {
	records := []Record{
		{Timestamp: 1000, Key: []byte("k"), Value: []byte("v"), Headers: []Header{{Key: "a", Value: []byte("b")}, {Key: "n"}}},
		{Timestamp: 990, Value: bytes.Repeat([]byte("x"), 3000)},
		{Timestamp: 2000, Key: []byte{}, Value: nil},
	}
	var d Draft
	for _, room := range []int{0, 100, 10_000} {
		if room > 0 {
			d.Room(room)
		}
		for n := 1; n <= len(records); n++ {
			for i := range records[:n] {
				d.Add(&records[i])
			}
			want, err := BuildBatch(records[:n])
			if err != nil {
				t.Fatal(err)
			}
			if d.Len() != n || d.Bytes() != len(want) {
				t.Errorf("%d records of %d bytes, want %d of %d", d.Len(), d.Bytes(), n, len(want))
			}
			if got := d.Finish(); !bytes.Equal(got, want) {
				t.Errorf("%d records:\n%x\nwant\n%x", n, got, want)
			}
		}
	}
}
