package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestKeyWalk_ABatchHasEachKeyOnce(t *testing.T) {
	for _, random := range []bool{false, true} {
		w := newKeyWalk(3, 10, random)
		seen := map[int]int{}
		for range 200 {
			keys := slices.Sorted(slices.Values(w.next(7)))
			if len(keys) != 7 || len(slices.Compact(slices.Clone(keys))) != 7 {
				t.Fatalf("random %v: batch %v", random, keys)
			}
			for _, k := range keys {
				seen[k]++
			}
		}
		for k := range 10 {
			if n := seen[k]; n < 100 || n > 180 { // 140 if all were equal
				t.Errorf("random %v: key %d was taken %d times", random, k, n)
			}
		}
	}
	a, b := newKeyWalk(1, 1000, true), newKeyWalk(1, 1000, true)
	if !slices.Equal(a.next(50), b.next(50)) {
		t.Error("the same walk went two ways")
	}
}

func TestBench_ExistingKeysAreNotNew(t *testing.T) {
	c := cli{url: startNode(t)}
	if _, errs, code := c.run(t.Context(), "", strings.Fields("bench append --connections 2 --batch 2 --keys 50 --existing --duration 100ms --size 23 --keep --stream kept")...); code != exitOK {
		t.Fatal(errs)
	}
	out, _, _ := c.run(t.Context(), "", "stream", "list", "-o", "json")
	var streams []struct{ Name string }
	if err := json.Unmarshal([]byte(out), &streams); err != nil || len(streams) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	// Fifty keys come first, each once; what was measured stands behind them.
	out, errs, code := c.run(t.Context(), "", "read", streams[0].Name, "--limit", "50")
	if code != exitOK {
		t.Fatal(errs)
	}
	keys := map[string]bool{}
	for line := range strings.Lines(out) {
		var e struct{ PartitionKey string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		keys[e.PartitionKey] = true
	}
	if len(keys) != 50 {
		t.Errorf("the first 50 events have %d keys", len(keys))
	}
}
