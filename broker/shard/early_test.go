package shard_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"leat/broker/shard"
	"leat/broker/stream"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/memory"
)

// Less than a window is moved where that makes pieces that are large: with few partitions, and not with many.
func TestKeeper_MovesEarlyWhatMakesLargePieces(t *testing.T) {
	const (
		early  = 64 << 10
		piece  = early / 16
		window = 8 * early
		value  = 1000 // a frame is about 1,100
	)
	for _, c := range []struct {
		streams, bytes int
		windows        int64
	}{
		{1, early * 3 / 4, 0},
		{1, early * 5 / 4, 1},
		{1, early * 10 / 4, 2},
		{16, early * 5 / 4, 1},
		{32, early * 5 / 4, 0},
		{32, 32 * piece * 3 / 4, 0},
		{32, 32 * piece * 5 / 4, 1},
		{200, window * 3 / 4, 0}, // pieces are small however large the window
		{200, window * 5 / 4, 1},
	} {
		t.Run(fmt.Sprint(c.streams, c.bytes), func(t *testing.T) {
			n, err := open(memory.New(), statemem.New(), func(cfg *shard.Config) {
				cfg.HotTailBytes, cfg.Keep.WindowBytes, cfg.Keep.EarlyBytes = 1<<10, window, early
			})
			must(t, err)
			l := &life{t: t, rng: rand.New(rand.NewPCG(1, 1)), n: n, m: newModel()}
			for range c.streams {
				l.create(stream.KeysLatest)
			}
			must(t, n.keepAll())
			ids, put := l.ids(), compactable{records: map[lane][]stored{}}
			for i := range c.bytes / 1100 {
				put.put(l, lane{ids[i%len(ids)], 0}, stored{fmt.Sprint("k", i), strings.Repeat("v", value)})
				must(t, n.keepAll())
			}
			if k := n.KeepStats(); k.Windows != c.windows {
				t.Errorf("%d windows, expected %d: %+v", k.Windows, c.windows, k)
			}
		})
	}
}
