package segment

import "sync/atomic"

// counters are what the store counts since Open; all atomic.
type counters struct {
	written, reads, readBytes, hits, misses, commits, removed, corrupt atomic.Int64
}

// Metrics is a look at the store's numbers. Counts are since Open.
type Metrics struct {
	Files        int64
	FilesLost    int64 // whose pieces nobody knows
	FilesDamaged int64
	FilesWaiting int64 // not part of the store any more, kept for readers
	Pieces       int64
	Bytes        int64 // of the files
	DataBytes    int64 // of runs in them
	Level0Bytes  int64 // of files cut from the journal
	OpenFiles    int64
	CacheBytes   int64
	CacheHits    int64
	CacheMisses  int64
	Reads        int64
	ReadBytes    int64
	WrittenBytes int64
	Commits      int64
	FilesRemoved int64
	CorruptReads int64
}

// Metrics may be called by many goroutines.
func (s *Store) Metrics() Metrics {
	c := &s.counts
	m := Metrics{
		OpenFiles: int64(s.handles.count()), CacheBytes: s.cache.size(), CacheHits: c.hits.Load(), CacheMisses: c.misses.Load(),
		Reads: c.reads.Load(), ReadBytes: c.readBytes.Load(), WrittenBytes: c.written.Load(), Commits: c.commits.Load(),
		FilesRemoved: c.removed.Load(), CorruptReads: c.corrupt.Load(),
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, f := range s.files {
		m.Files++
		m.Pieces += int64(f.Pieces)
		m.Bytes += f.Bytes
		m.DataBytes += f.DataBytes
		if f.Level == levelJournal {
			m.Level0Bytes += f.Bytes
		}
		if f.damaged.Load() {
			m.FilesDamaged++
		}
	}
	m.FilesLost = int64(len(s.lost))
	for v := s.oldest; v != nil; v = v.next {
		m.FilesWaiting += int64(len(v.dropped))
	}
	return m
}
