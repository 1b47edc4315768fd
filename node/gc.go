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
// A node that has little to do needs no such room: what it would hold there is memory that others could have. What it is given is what it allocates in
// quietSeconds, and no less than what the collector has to go through, so that the first second of a load costs no more than Go's default. Blocks of
// the state's cache have no pointers, so they count as alive and not as gone through: a cache that has filled does not double itself.
//
// Opening reads all names and documents once and keeps a part of that, and a burst of large requests leaves hundreds of megabytes. A node that then has
// nothing to do would not collect for two minutes, and hold all of it until then: so the collector runs once when it has opened, and whenever it has
// been quiet for some seconds with much to give back; what is free goes back to the system. Whoever is served at the time does not wait for that.
//
// GOGC in the environment, when set, is left alone.

const (
	gcLargeBytes    = 256 << 20
	gcMoreMax       = 1 << 30
	gcAdjustEvery   = time.Second
	gcPercentMin    = 10
	gcPercentMax    = 1600
	gcPercentStart  = 100 // Go's default
	gcPercentChange = 10  // smaller changes are not worth stopping the world for
	quietSeconds    = 2

	gcQuietBytes   = 1 << 20  // allocated in a second: less is quiet
	gcQuietTicks   = 3        // for so long
	gcGarbageBytes = 32 << 20 // allocated since the last time: less is not worth a run
)

func keepHeadroom(ctx context.Context, headroom int64) {
	if _, set := os.LookupEnv("GOGC"); set || headroom == 0 {
		return
	}
	debug.FreeOSMemory() // see above: what opening has left behind
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	tick := clock.NewTicker(gcAdjustEvery)
	defer tick.Stop()
	runtimemetrics.Read(sample)
	now, before := gcPercentStart, int64(sample[2].Value.Uint64())
	var q quiet
	for {
		runtimemetrics.Read(sample)
		live, scan, total := int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64()), int64(sample[2].Value.Uint64())
		want, allocated := gcPercentMax, total-before
		before = total
		if live > 0 {
			want = gcPercent(live, scan, allocated, headroom)
		}
		if q.tick(allocated, scan) {
			debug.FreeOSMemory()
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

// gcPercent is by how much of what is alive the heap may grow until the collector runs again. scan is how much of it the collector goes through,
// allocated what was allocated in the last second.
func gcPercent(live, scan, allocated, headroom int64) int {
	room := max(headroom, live)
	if live > gcLargeBytes {
		room = max(headroom, live+min(2*(live-gcLargeBytes), gcMoreMax))
	}
	room = min(room, max(headroom, scan, quietSeconds*allocated))
	return int(min(max(100*room/live, gcPercentMin), gcPercentMax))
}

// quiet says when it is time to give memory back. What the last run of the collector took for alive may have died since, so it goes by what was allocated.
type quiet struct {
	ticks int   // in a row
	since int64 // allocated since it was time
}

// tick is told what was allocated in a second, and what the collector has to go through: what it may find has to be worth that.
func (q *quiet) tick(allocated, scan int64) bool {
	q.since += allocated
	q.ticks++
	if allocated >= gcQuietBytes {
		q.ticks = 0
	}
	if q.ticks < gcQuietTicks || q.since < max(gcGarbageBytes, scan/2) {
		return false
	}
	q.since = 0
	return true
}
