package node

import "testing"

// What may gather between two runs of the collector, in MiB, is as the comment of gc.go says.
func TestGCPercent(t *testing.T) {
	for _, c := range []struct{ live, headroom, room int64 }{
		{1, 64, 16}, {50, 64, 64}, {200, 64, 200}, {256, 64, 256}, {400, 64, 688}, {1024, 64, 2048}, {4096, 64, 5120}, {400, 1000, 1000}, {400, 0, 688},
	} {
		if got := c.live * int64(gcPercent(c.live<<20, c.headroom<<20)) / 100; got < c.room*97/100 || got > c.room {
			t.Errorf("live %d MiB, headroom %d MiB: room for %d MiB, want %d", c.live, c.headroom, got, c.room)
		}
	}
}
