package node_test

import (
	"strings"
	"testing"
	"time"

	"leat/node"
)

func TestMetrics_EveryShardTellsWhatItKeeps(t *testing.T) {
	c := config(t)
	c.Shards = 3
	n, err := open(t, node.Options{Data: t.TempDir() + "/data", Config: c, AnyPort: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	var sums map[string]float64
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		sums = kept(t, n, 3)
		if sums["leat_segment_pending_bytes"] > 0 { // the event that the node has started is in the journal only
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing waits to be moved after an append: %v", sums)
		}
	}
	for name, want := range map[string]float64{"leat_keys_chunks": 3, "leat_segment_windows_total": 0, "leat_segment_files": 0} {
		if got, there := sums[name]; !there || got != want {
			t.Errorf("%s is %v (there: %v), want %v", name, got, there, want)
		}
	}
}

// kept sums up the metrics about keeping, each of which must be there once for each shard.
func kept(t *testing.T, n *node.Node, shards int) map[string]float64 {
	t.Helper()
	families, err := n.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "leat_segment_") && !strings.HasPrefix(name, "leat_keys_") {
			continue
		}
		if len(f.GetMetric()) != shards {
			t.Fatalf("%s is there %d times, want %d", name, len(f.GetMetric()), shards)
		}
		for _, m := range f.GetMetric() {
			sums[name] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return sums
}
