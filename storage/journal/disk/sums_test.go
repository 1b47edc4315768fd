package disk_test

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/vfs/memory"
)

// Checksums that the caller knows make the same frame as those that the journal counts, whichever of them are known.
func TestAppend_KnownSums(t *testing.T) {
	m := memory.New()
	cfg := steady(false)
	cfg.FileBytes, cfg.FrameBytesMax = 4<<20, 1<<20
	j, err := disk.Open(m, "/j", cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 8))
	const frames = 50
	for seq := journal.Seq(1); seq <= frames; seq++ {
		f := journal.Frame{Seq: seq, Facts: []byte("facts")}
		for range r.IntN(5) {
			p := make([]byte, r.IntN(20_000))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			sum := uint32(0)
			if r.IntN(2) == 0 {
				sum = crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))
			}
			f.Data, f.Sums = append(f.Data, p), append(f.Sums, sum)
		}
		if _, err := j.Append(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := disk.Check(m, "/j", nil); err != nil || r.Damaged() || r.Frames != frames {
		t.Fatalf("check: %v, %+v", err, r)
	}
}
