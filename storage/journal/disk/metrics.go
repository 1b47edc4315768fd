package disk

import "sync/atomic"

// counters are what the journal counts; all atomic, read by Metrics.
type counters struct {
	appends, bytes, syncs, syncTime, seals, tornTails, rewritten, trimmed atomic.Int64
	failed                                                                atomic.Bool
}

// Metrics is a look at the journal's numbers. Counts are since Open.
type Metrics struct {
	Appends    int64 // frames
	Bytes      int64 // facts and data in them
	Syncs      int64 // of frames, seals included
	SyncNanos  int64 // spent in them
	Seals      int64
	TornTails  int64 // cut at this open
	Rewritten  int64 // frames written again at this open because nothing showed that they were synced
	Files      int64 // that hold frames
	FilesBytes int64
	FilesFreed int64 // by Trim
	SpareFiles int64 // filled and waiting
	SpareBytes int64
	RingReady  bool // as much is filled ahead as will be
	RingErrors int64
	Failed     bool // takes no Append any more
}

// Metrics may be called by many goroutines. It takes no lock that an Append holds during I/O.
func (j *Journal) Metrics() Metrics {
	files, bytes := j.table.count()
	spares, spareBytes := j.ring.count()
	c := &j.counts
	return Metrics{
		Appends: c.appends.Load(), Bytes: c.bytes.Load(), Syncs: c.syncs.Load(), SyncNanos: c.syncTime.Load(),
		Seals: c.seals.Load(), TornTails: c.tornTails.Load(), Rewritten: c.rewritten.Load(),
		Files: int64(files), FilesBytes: bytes, FilesFreed: c.trimmed.Load(),
		SpareFiles: int64(spares), SpareBytes: spareBytes, RingReady: j.RingReady(), RingErrors: j.ring.errors.Load(),
		Failed: c.failed.Load(),
	}
}

// RingReady says whether as much is filled ahead of the writer as will be.
func (j *Journal) RingReady() bool { return j.ring.filled() }
