package node

import "testing"

// What may gather between two runs of the collector, in MiB, is as the comment of gc.go says.
func TestGCPercent(t *testing.T) {
	const busy = 1 << 14 // MiB in the last second
	for _, c := range []struct{ live, scan, allocated, headroom, room int64 }{
		{1, 1, busy, 64, 16},
		{50, 10, busy, 64, 64},
		{200, 10, busy, 64, 200},
		{256, 10, busy, 64, 256},
		{400, 300, busy, 64, 688},
		{1024, 300, busy, 64, 2048},
		{4096, 300, busy, 64, 5120},
		{400, 300, busy, 1000, 1000},
		{400, 300, busy, 0, 688},
		{50, 10, 0, 64, 64},    // a quiet node
		{160, 60, 0, 64, 64},   // its cache has filled
		{160, 60, 50, 64, 100}, // it has something to do
		{160, 60, 90, 64, 160},
		{400, 300, 0, 64, 300}, // many subscriptions
		{1024, 300, 0, 64, 300},
		{4096, 10, 0, 64, 409}, // not below a tenth
	} {
		if got := c.live * int64(gcPercent(c.live<<20, c.scan<<20, c.allocated<<20, c.headroom<<20)) / 100; got < c.room*97/100-1 || got > c.room {
			t.Errorf("%+v: room for %d MiB", c, got)
		}
	}
}

// A node gives back what a burst has left once it has been quiet for a while, and not while it has something to do, nor for little.
func TestQuiet(t *testing.T) {
	const mib = 1 << 20
	var q quiet
	for i, c := range []struct {
		allocated, scan int64
		give            bool
	}{
		{900 * mib, 0, false}, {0, 0, false}, {0, 0, false}, {mib, 0, false}, // not quiet for long enough
		{0, 0, false}, {0, 0, false}, {0, 0, true},
		{0, 0, false}, {0, 0, false}, // once
		{30 * mib, 0, false}, {0, 0, false}, {0, 0, false}, {0, 0, false}, // for little
		{mib - 1, 0, false}, {mib - 1, 0, false}, {1, 0, false}, {1, 0, true}, // what little work leaves after some time
		{99 * mib, 0, false}, {0, 0, false}, {0, 0, false}, {0, 200 * mib, false}, {mib - 1, 200 * mib, false}, {1, 200 * mib, true}, // there is much to go through
	} {
		if got := q.tick(c.allocated, c.scan); got != c.give {
			t.Errorf("second %d: %v", i, got)
		}
	}
}
