package kafka

import (
	"bytes"
	"runtime"
	"testing"
)

// Room that was not cleared is as long as was asked for, of one's own, and stays while it is held.
func TestUncleared_IsOnesOwn(t *testing.T) {
	var all [][]byte
	for i, n := range []int{0, 1, unclearedBytesMin - 1, unclearedBytesMin, unclearedBytesMin + 1, 1 << 20, 5<<20 + 3} {
		b := uncleared(n)
		if len(b) != n {
			t.Fatalf("asked for %d, got %d", n, len(b))
		}
		for at := range b {
			b[at] = byte(i)
		}
		all = append(all, b)
		runtime.GC()
	}
	for i, b := range all {
		if n := bytes.Count(b, []byte{byte(i)}); n != len(b) {
			t.Errorf("%d of %d bytes are somebody else's", len(b)-n, len(b))
		}
	}
}
