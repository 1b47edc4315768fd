package keys

import "sync/atomic"

// counters are what the index counts; all atomic, read by Metrics.
type counters struct {
	added, blocked, blockedTime         atomic.Int64
	written, writeErrors, flushedBytes  atomic.Int64
	merges, mergeErrors                 atomic.Int64
	mergedIn, mergedOut, leftOut        atomic.Int64
	imported, manifests, filesRemoved   atomic.Int64
	imports                             atomic.Int64
	filterNo, filterYes, filterMistaken atomic.Int64
}

// Metrics is a look at the index's numbers. Counts are since Open.
type Metrics struct {
	Added        int64 // entries that were published
	Imported     int64 // entries
	Memory       int64 // entries in chunks
	Chunks       int64 // in memory, the one being filled included
	Blocked      int64 // times that Add waited for the disk
	BlockedNanos int64

	Files        int64
	FilesBytes   int64
	FilesEntries int64
	FilesRemoved int64
	FilesDamaged int64        // not merged any more
	Tiers        map[int]Tier // files by tier
	Written      int64        // chunks
	WriteErrors  int64
	WrittenBytes int64 // of chunks
	Merges       int64
	MergeErrors  int64
	MergedBytes  int64 // read by merges
	MergeBytes   int64 // written by merges
	LeftOut      int64 // entries that merges left out
	Manifests    int64

	CacheBytes     int64
	CacheHits      int64
	CacheMisses    int64
	FilterNo       int64 // look-ups in a file that ended at its filter
	FilterYes      int64 // look-ups that went on
	FilterMistaken int64 // of those, in vain

	Through uint64 // last frame shown to readers
	Durable uint64
}

// Tier is what a tier holds.
type Tier struct{ Files, Bytes int64 }

// Metrics may be called by many goroutines.
func (x *Index) Metrics() Metrics {
	c := &x.counts
	m := Metrics{
		Added: c.added.Load(), Imported: c.imported.Load(), Blocked: c.blocked.Load(), BlockedNanos: c.blockedTime.Load(),
		FilesRemoved: c.filesRemoved.Load(), Written: c.written.Load(), WriteErrors: c.writeErrors.Load(), WrittenBytes: c.flushedBytes.Load(),
		Merges: c.merges.Load(), MergeErrors: c.mergeErrors.Load(), MergedBytes: c.mergedIn.Load(), MergeBytes: c.mergedOut.Load(),
		LeftOut: c.leftOut.Load(), Manifests: c.manifests.Load(),
		CacheBytes: x.table.cache.size(), CacheHits: x.table.cache.hits.Load(), CacheMisses: x.table.cache.misses.Load(),
		FilterNo: c.filterNo.Load(), FilterYes: c.filterYes.Load(), FilterMistaken: c.filterMistaken.Load(),
		Through: x.through.Load(), Durable: x.durable.Load(), Tiers: map[int]Tier{},
	}
	v := x.acquire()
	defer v.release()
	for _, k := range v.chunks {
		m.Chunks++
		m.Memory += k.published.Load()
	}
	for _, f := range v.files {
		m.Files++
		m.FilesBytes += f.meta.bytes
		m.FilesEntries += int64(f.meta.entries)
		if f.spoil.Load() {
			m.FilesDamaged++
		}
		t := m.Tiers[int(f.meta.tier)]
		t.Files, t.Bytes = t.Files+1, t.Bytes+f.meta.bytes
		m.Tiers[int(f.meta.tier)] = t
	}
	return m
}
