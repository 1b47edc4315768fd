package broker

import "leat/broker/shard"

// WatchSet tells a reader of many partitions which of them have something new; see ReadResult.Watch.
type WatchSet = shard.WatchSet

// NewWatchSet watches nothing yet. Close must be called when it is not needed any more.
func NewWatchSet() *WatchSet { return shard.NewWatchSet() }

// Watch has w watch the partition that was read, as number n, from now on. It reports whether that is news: then something may have been appended
// between the reading and now, and who wants to wait has to read once more.
func (r *ReadResult) Watch(w *WatchSet, n int32) (news bool) {
	return r.part != nil && w.Set(n, r.part)
}
