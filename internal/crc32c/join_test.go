package crc32c

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

var table = crc32.MakeTable(crc32.Castagnoli)

// RFC 3720, appendix B.4: thirty-two bytes that count up, and that count down, joined from pieces.
func TestJoin_PublishedVectors(t *testing.T) {
	up, down := make([]byte, 32), make([]byte, 32)
	for i := range up {
		up[i], down[i] = byte(i), byte(31-i)
	}
	for _, c := range []struct {
		bytes []byte
		want  uint32
	}{{up, 0x46dd794e}, {down, 0x113fdb5c}, {make([]byte, 32), 0x8a9136aa}} {
		for at := range c.bytes {
			got := Join(crc32.Checksum(c.bytes[:at], table), crc32.Checksum(c.bytes[at:], table), int64(len(c.bytes)-at))
			if got != c.want {
				t.Fatalf("joined at %d: %08x, want %08x", at, got, c.want)
			}
		}
	}
}

func TestJoin_IsTheChecksumOfBoth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 1<<20)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	for range 200 {
		from, to := r.IntN(len(p)), r.IntN(len(p))
		if from > to {
			from, to = to, from
		}
		at := from + r.IntN(to-from+1)
		want := crc32.Checksum(p[from:to], table)
		if got := Join(crc32.Checksum(p[from:at], table), crc32.Checksum(p[at:to], table), int64(to-at)); got != want {
			t.Fatalf("%d to %d, joined at %d: %08x, want %08x", from, to, at, got, want)
		}
	}
}

// Zeros have a checksum too: a length beyond memory is joined from halves.
func TestJoin_LongerThanMemory(t *testing.T) {
	zeros, n := crc32.Checksum(make([]byte, 1<<20), table), int64(1<<20)
	for n < 1<<50 {
		zeros, n = Join(zeros, zeros, n), 2*n
	}
	first := Join(crc32.Checksum(make([]byte, 3), table), zeros, n)
	last := Join(zeros, crc32.Checksum(make([]byte, 3), table), 3)
	if first != last {
		t.Errorf("three zeros before: %08x, behind: %08x", first, last)
	}
}

func BenchmarkJoin(b *testing.B) {
	sum := uint32(0x12345678)
	for b.Loop() {
		sum = Join(sum, 0x9abcdef0, 654321)
	}
}

func BenchmarkChecksum16KiB(b *testing.B) {
	p := make([]byte, 16<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		crc32.Checksum(p, table)
	}
}
