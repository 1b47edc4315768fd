package node

import (
	"context"
	"os"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"

	"leat/internal/clock"
)

// A small live heap makes the collector run often: with 15 MiB alive and the default of 100 %, every 15 MiB of requests. keepHeadroom sets
// the percentage so that there are always at least headroom bytes between two runs; with a live heap above that, it is the default again.
//
// A large live heap makes each run long: it goes through all that is alive, and a hundred thousand subscriptions are more than a million pieces
// of memory. At the default a node that stores a gigabyte a second would spend as much on that as on all else. So what is alive beyond gcLargeBytes
// counts three times, until gcMoreMax is added to what the default leaves.
//
//	live    50 MiB   200 MiB   400 MiB   1 GiB   4 GiB
//	room    64       200       688       2048    5120      at a headroom of 64 MiB
//
// GOGC in the environment, when set, is left alone.

const (
	gcLargeBytes    = 256 << 20
	gcMoreMax       = 1 << 30
	gcAdjustEvery   = time.Second
	gcPercentMin    = 100
	gcPercentMax    = 1600
	gcPercentChange = 10 // smaller changes are not worth stopping the world for
)

func keepHeadroom(ctx context.Context, headroom int64) {
	if _, set := os.LookupEnv("GOGC"); set || headroom == 0 {
		return
	}
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := clock.NewTicker(gcAdjustEvery)
	defer tick.Stop()
	now := gcPercentMin
	for {
		runtimemetrics.Read(sample)
		want := gcPercentMax
		if live := int64(sample[0].Value.Uint64()); live > 0 {
			want = gcPercent(live, headroom)
		}
		if d := want - now; d > gcPercentChange || d < -gcPercentChange {
			debug.SetGCPercent(want)
			now = want
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// gcPercent is by how much of what is alive the heap may grow until the collector runs again.
func gcPercent(live, headroom int64) int {
	room := max(headroom, live)
	if live > gcLargeBytes {
		room = max(headroom, live+min(2*(live-gcLargeBytes), gcMoreMax))
	}
	return int(min(max(100*room/live, gcPercentMin), gcPercentMax))
}
