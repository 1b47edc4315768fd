package gatewaytest

import (
	"testing"

	"leat/broker"
	"leat/storage/journal"
	journalmem "leat/storage/journal/memory"
	"leat/storage/keys"
	"leat/storage/segment"
	statemem "leat/storage/state/memory"
	memfs "leat/storage/vfs/memory"
)

// MemoryShards returns what n shards run on, all in memory.
func MemoryShards(tb testing.TB, n int) []broker.ShardStore {
	tb.Helper()
	out := make([]broker.ShardStore, n)
	for i := range out {
		js, err := journalmem.NewStore(journalmem.Default())
		if err != nil {
			tb.Fatal(err)
		}
		fs := memfs.New()
		segments, err := segment.Open(fs, "/segments", segment.Default(), segment.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		out[i] = broker.ShardStore{
			OpenJournal: func() (journal.Journal, error) { return js.Open(), nil }, State: statemem.New(), Segments: segments,
			OpenKeys: func(opt keys.Options) (*keys.Index, error) { return keys.Open(fs, "/keys", keys.Default(), opt) },
		}
	}
	return out
}
