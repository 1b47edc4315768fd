package shard

import (
	"fmt"
	"testing"

	"leat/broker/record"
)

// markedBatchOf makes a batch from an offset on. Of every third batch compaction has left each second record.
func markedBatchOf(t *testing.T, base record.Offset, n int, codec record.Codec, holes bool) []byte {
	t.Helper()
	b := record.NewBuilder()
	for i := range n {
		b.Add(&record.Record{Key: fmt.Append(nil, "k", i), Value: fmt.Appendf(nil, "%d-%0*d", int(base)+i, 50+i%300, 0), Timestamp: int64(1000 + i)})
	}
	p, err := b.Finish(nil, codec)
	if err != nil {
		t.Fatal(err)
	}
	record.PatchBatch(p, base, 0)
	if holes {
		if p, _, err = record.Filter(p, func(i int, _ *record.Record) bool { return i%2 == 1 }); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestMarks_FindTheRecordsThatAreThere(t *testing.T) {
	var run []byte
	base := record.Offset(7000)
	for i, n := range []int{2000, 1, 3, 1500, 400} {
		run = append(run, markedBatchOf(t, base, n, record.None, i == 3)...)
		base += record.Offset(n)
	}
	m := markRun(run, true)
	if m == nil || len(m.batches) != 5 || len(m.parts) < 20 {
		t.Fatalf("marks: %+v", m)
	}
	ordinal := 0
	for at := 0; at < len(run); ordinal++ {
		h, err := record.ParseBatchHeader(run[at:])
		if err != nil {
			t.Fatal(err)
		}
		for o := h.BaseOffset; o <= h.LastOffset(); o++ {
			want, there, err := record.OneRecord(run[at:at+h.Bytes], record.DefaultInflateLimits(), o)
			if err != nil {
				t.Fatal(err)
			}
			b, i, part := m.find(o)
			if b == nil {
				if there {
					t.Fatalf("offset %d is in no part", o)
				}
				continue
			}
			if i != ordinal || b.header.BaseOffset != h.BaseOffset || b.next != h.LastOffset()+1 || part.bytes > 2*markedPartMin {
				t.Fatalf("offset %d: batch %d, %+v", o, i, part)
			}
			got, ok, err := record.OneRecordOf(&b.header, run[part.at:part.at+part.bytes], o)
			if err != nil || ok != there || ok && (got.Offset != o || string(got.Value) != string(want.Value) || got.Timestamp != want.Timestamp) {
				t.Fatalf("offset %d: %+v, %t, %v; want %t", o, got, ok, err, there)
			}
		}
		at += h.Bytes
	}
	for _, o := range []record.Offset{6999, base, base + 100} {
		if b, _, _ := m.find(o); b != nil {
			t.Fatalf("offset %d is found", o)
		}
	}
}

func TestMarks_NoneOfWhatCannotBeCut(t *testing.T) {
	good := markedBatchOf(t, 0, 2000, record.None, false)
	if m := markRun(append(append([]byte{}, good...), markedBatchOf(t, 2000, 100, record.Zstd, false)...), true); m != nil {
		t.Fatal("a compressed batch has marks")
	}
	for at := record.BatchHeaderBytes; at < len(good); at += 997 {
		bad := append([]byte{}, good...)
		bad[at] ^= 0xff
		if m := markRun(bad, true); m != nil {
			t.Fatalf("a batch with a wrong byte at %d has marks", at)
		}
		_ = markRun(bad, false) // whatever it says, it reads nothing that is not there
		_ = markRun(good[:at], false)
	}
}

func TestMarks_CacheIsBounded(t *testing.T) {
	var c markCache
	one := func(i int) *runMarks {
		return &runMarks{parts: make([]markedPart, 100), batches: []markedBatch{{part: i}}}
	}
	key := func(i int) markKey { return markKey{file: 1, off: int64(i)} }
	sum := func(of map[markKey]*runMarks) (n int64) {
		for _, m := range of {
			n += m.size()
		}
		return n
	}
	c.put(key(0), one(0))
	for i := range 20_000 {
		c.put(key(i), one(i))
		if m := c.get(key(0)); m == nil || m.batches[0].part != 0 {
			t.Fatalf("what is used all the time has gone after %d others", i)
		}
		if i%1000 == 0 && (sum(c.young) != c.bytes || sum(c.young)+sum(c.old) > marksBytesMax) {
			t.Fatalf("%d bytes said, %d and %d there", c.bytes, sum(c.young), sum(c.old))
		}
	}
	if n := len(c.young) + len(c.old); n < 1000 || c.get(key(1)) != nil || c.get(key(19_999)) == nil {
		t.Fatalf("%d are kept", n)
	}
	c.drop(key(19_999))
	if c.get(key(19_999)) != nil || sum(c.young) != c.bytes {
		t.Fatal("what was dropped is there")
	}
	c.put(key(5), &runMarks{parts: make([]markedPart, marksBytesMax/markedPartBytes)})
	if c.get(key(5)) != nil {
		t.Fatal("marks of any size are kept")
	}
}
