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
// GOGC in the environment, when set, is left alone.

const (
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
			want = int(min(max(100*headroom/live, gcPercentMin), gcPercentMax))
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
