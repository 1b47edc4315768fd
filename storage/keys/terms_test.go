package keys

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"leat/storage/vfs/memory"
)

// A record may stand under several keys: none of them is taken for another, in memory, in files and in merged ones, nor after an import of the same.
func TestMerge_OnePositionUnderSeveralKeys(t *testing.T) {
	fs := memory.New()
	x := mustOpen(t, fs, tiny(), Options{Foreground: true})
	rng := rand.New(rand.NewPCG(4, 2))
	want := map[string][]Position{}
	var all []Entry
	for seq := uint64(1); seq <= 400; seq++ {
		for record := range uint32(1 + rng.IntN(3)) {
			names := []string{fmt.Sprint("u", seq, "-", record, "a"), fmt.Sprint("u", seq, "-", record, "b")} // neighbours that nothing else has
			for _, key := range rng.Perm(12)[:rng.IntN(5)] {
				names = append(names, fmt.Sprint("t", key))
			}
			for _, key := range names {
				e := Entry{Stream: 1<<31 | 7, Key: []byte(key), Seq: seq, Record: record, Offset: seq}
				want[string(e.Key)] = append(want[string(e.Key)], e.Position())
				all = append(all, e)
				x.Add(&e)
			}
		}
		x.Through(seq)
	}
	check := func(when string) {
		t.Helper()
		for key, positions := range want {
			got := collect(t, x.History(1<<31|7, []byte(key), false, 1000), math.MaxInt)
			if len(got) != len(positions) {
				t.Fatalf("%s: %s has %d entries, want %d", when, key, len(got), len(positions))
			}
			for i := range got {
				if got[i].Position() != positions[i] {
					t.Fatalf("%s: %s: entry %d is %+v, want %+v", when, key, i, got[i], positions[i])
				}
			}
		}
	}
	check("added")
	must(t, x.Flush())
	settle(t, x)
	if x.Metrics().Merges == 0 {
		t.Fatal("nothing was merged")
	}
	check("merged")
	n := 0
	must(t, x.Import(1<<31|7, func() (*Entry, error) {
		if n == len(all) {
			return nil, nil
		}
		n++
		return &all[n-1], nil
	}))
	settle(t, x)
	check("imported")
	must(t, x.Close())
}
