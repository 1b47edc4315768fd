package record

import (
	"slices"
	"testing"

	"leat/broker/fault"
)

func TestBuilder_Skip(t *testing.T) {
	for _, c := range allCodecs {
		b := NewBuilder()
		b.Skip(3)
		b.Add(&Record{Timestamp: 7, Value: []byte("a")})
		b.Skip(1)
		b.Add(&Record{Timestamp: 9, Value: []byte("b")})
		b.Skip(2)
		p, err := b.Finish(nil, c)
		if err != nil || b.Span() != 8 {
			t.Fatal(err, b.Span())
		}
		if _, err := CheckBatch(p); !fault.Is(err, fault.Invalid) {
			t.Error("a producer may leave offsets out: ", err)
		}
		h, err := CheckCopy(p)
		if err != nil || h.Count != 2 || h.LastOffsetDelta != 7 || h.MaxTimestamp != 9 {
			t.Errorf("%+v, %v", h, err)
		}
		PatchBatch(p, 100, 0)
		var offsets []Offset
		for _, r := range collect(t, p) {
			offsets = append(offsets, r.Offset)
		}
		if want := []Offset{103, 105}; !slices.Equal(offsets, want) {
			t.Errorf("%s: offsets %v, want %v", c, offsets, want)
		}
		if _, ok, err := OneRecord(p, DefaultInflateLimits(), 104); ok || err != nil {
			t.Error(ok, err)
		}
	}
}

// A stretch without any record is an uncompressed batch without any.
func TestBuilder_OnlySkipped(t *testing.T) {
	b := NewBuilder()
	b.Skip(SpanMax)
	p, err := b.Finish(nil, Zstd)
	if err != nil || len(p) != BatchHeaderBytes {
		t.Fatal(len(p), err)
	}
	h, err := CheckCopy(p)
	if err != nil || h.Count != 0 || h.LastOffsetDelta != SpanMax-1 || h.Codec() != None || h.MaxTimestamp != NoTimestamp || len(collect(t, p)) != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	b.Skip(1)
	if _, err := b.Finish(nil, None); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
}

func TestCheckCopy_Refusals(t *testing.T) {
	p := mustBuild(t, sampleRecords(), None)
	if _, err := CheckCopy(p); err != nil {
		t.Error(err)
	}
	StampProducer(p, 4, 0, 0)
	if _, err := CheckCopy(p); !fault.Is(err, fault.Invalid) {
		t.Error("with a producer: ", err)
	}
	p = mustBuild(t, sampleRecords(), None)
	p[len(p)-1] ^= 1
	if _, err := CheckCopy(p); !fault.Is(err, fault.Invalid) {
		t.Error("with a wrong checksum: ", err)
	}
}
