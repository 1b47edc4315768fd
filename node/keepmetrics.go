package node

import (
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker/shard"
	"leat/storage/keys"
	"leat/storage/segment"
)

// shardFiles are the segment files and key files now open, by shard.
type shardFiles struct {
	mu       sync.Mutex
	segments []*segment.Store
	keys     []*keys.Index
}

func (f *shardFiles) setSegments(i int, s *segment.Store) {
	f.mu.Lock()
	f.segments = put(f.segments, i, s)
	f.mu.Unlock()
}

// setKeys may come again for a shard: a shard that recovers opens its key files anew.
func (f *shardFiles) setKeys(i int, x *keys.Index) {
	f.mu.Lock()
	f.keys = put(f.keys, i, x)
	f.mu.Unlock()
}

func put[T any](list []T, i int, v T) []T {
	for len(list) <= i {
		var none T
		list = append(list, none)
	}
	list[i] = v
	return list
}

func (f *shardFiles) get() ([]*segment.Store, []*keys.Index) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.segments), slices.Clone(f.keys)
}

// keepMetric is a number of one room that keeps events.
type keepMetric[S any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	get  func(*S) float64
}

func level[S any, N int64 | uint64](name, help string, get func(*S) N) keepMetric[S] {
	return keepMetric[S]{prometheus.NewDesc(name, help, []string{"shard"}, nil), prometheus.GaugeValue, func(s *S) float64 { return float64(get(s)) }}
}

// count is a number that only grows, from the start of the node or of the room's last opening.
func count[S any, N int64 | uint64](name, help string, get func(*S) N) keepMetric[S] {
	m := level(name, help, get)
	m.kind = prometheus.CounterValue
	return m
}

var keeperMetrics = []keepMetric[shard.KeepStats]{
	level("leat_segment_pending_bytes", "Bytes that are in the journal only and wait to be moved to segment files.", func(k *shard.KeepStats) int64 { return k.Pending }),
	level("leat_segment_through_seq", "Last frame that is in segment files.", func(k *shard.KeepStats) uint64 { return k.Through }),
	count("leat_segment_windows_total", "Windows of the journal that were moved to segment files.", func(k *shard.KeepStats) int64 { return k.Windows }),
	count("leat_segment_merges_total", "Segment files that were merged or rewritten, in sets.", func(k *shard.KeepStats) int64 { return k.Merges }),
	count("leat_compacted_events_total", "Superseded events that were let go of.", func(k *shard.KeepStats) int64 { return k.Compacted }),
	count("leat_compacted_bytes_total", "Bytes that their streams take less.", func(k *shard.KeepStats) int64 { return k.CompactedBytes }),
	count("leat_segment_slowed_total", "Frames that were held back because too much waited to be moved.", func(k *shard.KeepStats) int64 { return k.Slowed }),
	count("leat_segment_failures_total", "Times that moving, merging or trimming failed.", func(k *shard.KeepStats) int64 { return k.Failures }),
}

var segmentMetrics = []keepMetric[segment.Metrics]{
	level("leat_segment_files", "Segment files.", func(m *segment.Metrics) int64 { return m.Files }),
	level("leat_segment_files_lost", "Segment files whose pieces nobody knows.", func(m *segment.Metrics) int64 { return m.FilesLost }),
	level("leat_segment_files_damaged", "Segment files in which damage was found.", func(m *segment.Metrics) int64 { return m.FilesDamaged }),
	level("leat_segment_files_waiting", "Files that were replaced and are kept for readers.", func(m *segment.Metrics) int64 { return m.FilesWaiting }),
	level("leat_segment_pieces", "Pieces of partitions in segment files.", func(m *segment.Metrics) int64 { return m.Pieces }),
	level("leat_segment_bytes", "Bytes of segment files.", func(m *segment.Metrics) int64 { return m.Bytes }),
	level("leat_segment_data_bytes", "Bytes of batches in segment files.", func(m *segment.Metrics) int64 { return m.DataBytes }),
	level("leat_segment_unmerged_bytes", "Bytes of segment files that are as they were cut from the journal.", func(m *segment.Metrics) int64 { return m.Level0Bytes }),
	level("leat_segment_open_files", "Segment files held open.", func(m *segment.Metrics) int64 { return m.OpenFiles }),
	level("leat_segment_cache_bytes", "Memory of indexes that were read.", func(m *segment.Metrics) int64 { return m.CacheBytes }),
	count("leat_segment_cache_hits_total", "Look-ups of an index that was in memory.", func(m *segment.Metrics) int64 { return m.CacheHits }),
	count("leat_segment_cache_misses_total", "Look-ups of an index that had to be read.", func(m *segment.Metrics) int64 { return m.CacheMisses }),
	count("leat_segment_reads_total", "Reads of segment files.", func(m *segment.Metrics) int64 { return m.Reads }),
	count("leat_segment_read_bytes_total", "Bytes read from segment files.", func(m *segment.Metrics) int64 { return m.ReadBytes }),
	count("leat_segment_written_bytes_total", "Bytes written to segment files, by moving and by merging.", func(m *segment.Metrics) int64 { return m.WrittenBytes }),
	count("leat_segment_commits_total", "Manifests written.", func(m *segment.Metrics) int64 { return m.Commits }),
	count("leat_segment_files_removed_total", "Segment files removed.", func(m *segment.Metrics) int64 { return m.FilesRemoved }),
	count("leat_segment_corrupt_reads_total", "Reads that found damage.", func(m *segment.Metrics) int64 { return m.CorruptReads }),
}

var keysMetrics = []keepMetric[keys.Metrics]{
	level("leat_keys_memory_entries", "Keyed records that are not in key files yet.", func(m *keys.Metrics) int64 { return m.Memory }),
	level("leat_keys_chunks", "Chunks in memory, the one being filled included.", func(m *keys.Metrics) int64 { return m.Chunks }),
	level("leat_keys_files", "Key files.", func(m *keys.Metrics) int64 { return m.Files }),
	level("leat_keys_bytes", "Bytes of key files.", func(m *keys.Metrics) int64 { return m.FilesBytes }),
	level("leat_keys_entries", "Keyed records in key files.", func(m *keys.Metrics) int64 { return m.FilesEntries }),
	level("leat_keys_files_damaged", "Key files in which damage was found.", func(m *keys.Metrics) int64 { return m.FilesDamaged }),
	level("leat_keys_cache_bytes", "Memory of blocks that were read.", func(m *keys.Metrics) int64 { return m.CacheBytes }),
	level("leat_keys_through_seq", "Last frame whose keys readers see.", func(m *keys.Metrics) uint64 { return m.Through }),
	level("leat_keys_durable_seq", "Last frame whose keys are in key files.", func(m *keys.Metrics) uint64 { return m.Durable }),
	count("leat_keys_added_total", "Keyed records that were added.", func(m *keys.Metrics) int64 { return m.Added }),
	count("leat_keys_imported_total", "Keyed records that were added because a stream began to keep keys.", func(m *keys.Metrics) int64 { return m.Imported }),
	count("leat_keys_blocked_total", "Times that frames waited for key files to be written.", func(m *keys.Metrics) int64 { return m.Blocked }),
	count("leat_keys_blocked_nanoseconds_total", "How long they waited.", func(m *keys.Metrics) int64 { return m.BlockedNanos }),
	count("leat_keys_chunks_written_total", "Chunks that became key files.", func(m *keys.Metrics) int64 { return m.Written }),
	count("leat_keys_written_bytes_total", "Bytes of key files written from chunks.", func(m *keys.Metrics) int64 { return m.WrittenBytes }),
	count("leat_keys_write_errors_total", "Chunks that could not be written and were tried again.", func(m *keys.Metrics) int64 { return m.WriteErrors }),
	count("leat_keys_merges_total", "Merges of key files.", func(m *keys.Metrics) int64 { return m.Merges }),
	count("leat_keys_merge_errors_total", "Merges that failed.", func(m *keys.Metrics) int64 { return m.MergeErrors }),
	count("leat_keys_merge_read_bytes_total", "Bytes read by merges.", func(m *keys.Metrics) int64 { return m.MergedBytes }),
	count("leat_keys_merge_written_bytes_total", "Bytes written by merges.", func(m *keys.Metrics) int64 { return m.MergeBytes }),
	count("leat_keys_left_out_total", "Entries that merges left out because their records are gone.", func(m *keys.Metrics) int64 { return m.LeftOut }),
	count("leat_keys_files_removed_total", "Key files removed.", func(m *keys.Metrics) int64 { return m.FilesRemoved }),
	count("leat_keys_cache_hits_total", "Blocks that were in memory.", func(m *keys.Metrics) int64 { return m.CacheHits }),
	count("leat_keys_cache_misses_total", "Blocks that had to be read.", func(m *keys.Metrics) int64 { return m.CacheMisses }),
	count("leat_keys_filter_skips_total", "Look-ups that a file's filter ended.", func(m *keys.Metrics) int64 { return m.FilterNo }),
	count("leat_keys_filter_passes_total", "Look-ups that went on into a file.", func(m *keys.Metrics) int64 { return m.FilterYes }),
	count("leat_keys_filter_mistakes_total", "Of those, such as found nothing.", func(m *keys.Metrics) int64 { return m.FilterMistaken }),
}

// keepCollector tells what is kept outside the journal. Everything is read when somebody asks.
type keepCollector struct{ n *Node }

func (c *keepCollector) Describe(ch chan<- *prometheus.Desc) {
	describe(ch, keeperMetrics)
	describe(ch, segmentMetrics)
	describe(ch, keysMetrics)
}

func (c *keepCollector) Collect(ch chan<- prometheus.Metric) {
	for i, k := range c.n.Broker.KeepStats() {
		collect(ch, keeperMetrics, &k, i)
	}
	segments, indexes := c.n.files.get()
	for i, s := range segments {
		m := s.Metrics()
		collect(ch, segmentMetrics, &m, i)
	}
	for i, x := range indexes {
		if x == nil { // a shard whose key files could not be opened, while another's are
			continue
		}
		m := x.Metrics()
		collect(ch, keysMetrics, &m, i)
	}
}

func describe[S any](ch chan<- *prometheus.Desc, metrics []keepMetric[S]) {
	for _, m := range metrics {
		ch <- m.desc
	}
}

func collect[S any](ch chan<- prometheus.Metric, metrics []keepMetric[S], s *S, i int) {
	for _, m := range metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.get(s), strconv.Itoa(i))
	}
}
