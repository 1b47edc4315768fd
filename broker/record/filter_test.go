package record

import (
	"encoding/binary"
	"testing"

	"leat/broker/fault"
)

// checkFiltered compares a batch with what Filter made of it.
func checkFiltered(t *testing.T, p, out []byte, kept int, keep func(int, *Record) bool) {
	t.Helper()
	var want []Record
	count := 0
	if err := EachRecord(p, DefaultInflateLimits(), func(i int, r *Record) error {
		count++
		if keep(i, r) {
			want = append(want, r.Clone())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if kept != len(want) || (out == nil) != (kept == 0) || kept == count && kept > 0 && &out[0] != &p[0] {
		t.Fatalf("kept %d of %d, want %d", kept, count, len(want))
	}
	if kept == 0 || kept == count {
		return
	}
	was, err := ParseBatchHeader(p)
	if err != nil {
		t.Fatal(err)
	}
	is, err := CheckStored(out, was.BaseOffset, was.LeaderEpoch)
	if err != nil {
		t.Fatal(err)
	}
	if int(is.Count) != kept {
		t.Errorf("says it has %d records, %d were kept", is.Count, kept)
	}
	is.Count, is.Bytes, is.CRC = was.Count, was.Bytes, was.CRC
	if is != was {
		t.Errorf("the header was %+v, is %+v", was, is)
	}
	var got []Record
	if err := EachRecord(out, DefaultInflateLimits(), func(_ int, r *Record) error { got = append(got, r.Clone()); return nil }); err != nil {
		t.Fatal(err)
	}
	if d := diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestFilter_EveryCodecAndChoice(t *testing.T) {
	for _, c := range allCodecs {
		p := foreignBatch(t, sampleRecords(), c)
		PatchBatch(p, 1000, 3)
		for mask := range 1 << len(sampleRecords()) {
			keep := func(i int, _ *Record) bool { return mask>>i&1 == 1 }
			out, kept, err := Filter(p, keep)
			if err != nil {
				t.Fatalf("%s %b: %v", c, mask, err)
			}
			checkFiltered(t, p, out, kept, keep)
		}
	}
}

func TestFilter_AnotherImplementationReadsIt(t *testing.T) {
	for _, c := range allCodecs {
		p := foreignBatch(t, sampleRecords(), c)
		PatchBatch(p, 1000, 0)
		out, kept, err := Filter(p, func(i int, _ *Record) bool { return i%2 == 1 })
		if err != nil || kept != 2 {
			t.Fatalf("%s: kept %d, %v", c, kept, err)
		}
		b, got := kmsgRecords(t, out)
		all := withOffsets(sampleRecords(), 1000)
		if d := diff([]Record{all[1], all[3]}, got); d != "" {
			t.Errorf("%s: %s", c, d)
		}
		if b.NumRecords != 2 || b.LastOffsetDelta != 3 || b.ProducerID != 4000 || b.ProducerEpoch != 3 || b.FirstSequence != 12 {
			t.Errorf("%s: %+v", c, b)
		}
	}
}

// What was filtered can be filtered again, and carries an append time as before.
func TestFilter_Twice(t *testing.T) {
	p := mustBuild(t, sampleRecords(), Zstd)
	StampAppendTime(p, 77)
	first, _, err := Filter(p, func(i int, _ *Record) bool { return i > 0 })
	if err != nil {
		t.Fatal(err)
	}
	second, kept, err := Filter(first, func(i int, r *Record) bool {
		if r.Timestamp != 77 {
			t.Errorf("record %d has time %d", i, r.Timestamp)
		}
		return i == 1
	})
	if err != nil || kept != 1 {
		t.Fatalf("kept %d, %v", kept, err)
	}
	if got := collect(t, second); len(got) != 1 || got[0].Offset != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestFilter_RefusesWhatItCannotRead(t *testing.T) {
	p := mustBuild(t, sampleRecords(), None)
	none := func(int, *Record) bool { return false }
	broken := append([]byte(nil), p...)
	binary.BigEndian.PutUint32(broken[atCount:], 99)
	for what, b := range map[string][]byte{"cut": p[:len(p)-1], "more behind": append(append([]byte(nil), p...), 0), "count": broken} {
		if _, _, err := Filter(b, none); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
