package main

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSumMetrics_AddsUpLabelsAndTakesNoLongerName(t *testing.T) {
	text := "# HELP x_bytes of x\nx_bytes{shard=\"0\"} 5\nx_bytes{shard=\"1 }\"} 7e3\nx_bytes_total 100\ny 1\n"
	got, err := sumMetrics(text, "x_bytes", "y")
	if err != nil || !slices.Equal(got, []float64{7005, 1}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := sumMetrics(text, "x_byte"); err == nil {
		t.Error("a metric that is not there was found")
	}
}

// Every sampled key has exactly its records, one in each twentieth of the load, and no other key has any of them.
func TestHistoryKey(t *testing.T) {
	for _, k := range []keeping{smallKeeping, {historyRecords: 2_100_000, historyKeys: 1_000_000, sampled: 1000}} {
		round, counts := k.historyRecords/historyLength, make([]int, k.historyKeys)
		seen := make(map[[2]uint64]bool, k.sampled*historyLength)
		for i := range k.historyRecords {
			key := k.historyKey(i)
			counts[key]++
			if key < uint64(k.sampled) {
				seen[[2]uint64{key, uint64(i / round)}] = true
			}
		}
		for key, n := range counts[:k.sampled] {
			if n != historyLength {
				t.Fatalf("sampled key %d has %d records", key, n)
			}
		}
		if len(seen) != k.sampled*historyLength {
			t.Errorf("sampled keys are in %d rounds, want %d", len(seen), k.sampled*historyLength)
		}
		if slices.Min(counts) == 0 {
			t.Errorf("key %d has no records", slices.Index(counts, 0))
		}
	}
}

func TestAppendKey_DifferentValuesHaveDifferentKeys(t *testing.T) {
	seen := map[string]bool{}
	for v := range uint64(10_000) {
		seen[string(appendKey(nil, v))] = true
	}
	if len(seen) != 10_000 || len(appendKey(nil, 1)) != keyBytes {
		t.Errorf("%d keys of %d bytes", len(seen), len(appendKey(nil, 1)))
	}
}

func TestBatchesEnd_CountsWholeBatchesUpToTheEnd(t *testing.T) {
	batch := func(base int64, records, bytes int) []byte {
		b := make([]byte, bytes)
		binary.BigEndian.PutUint64(b, uint64(base))
		binary.BigEndian.PutUint32(b[8:], uint32(bytes-12))
		binary.BigEndian.PutUint32(b[23:], uint32(records-1))
		return b
	}
	all := slices.Concat(batch(10, 5, 100), batch(15, 1, 70), batch(16, 4, 200))
	for _, c := range []struct {
		b    []byte
		end  int64
		next int64
		n    int
	}{{all, 100, 20, 370}, {all, 15, 15, 100}, {all, 16, 16, 170}, {all[:300], 100, 16, 170}, {all[:50], 100, 0, 0}} {
		if next, n, err := batchesEnd(c.b, c.end); next != c.next || n != c.n || err != nil {
			t.Errorf("%d bytes up to %d: %d, %d, %v; want %d, %d", len(c.b), c.end, next, n, err, c.next, c.n)
		}
	}
	bad := batch(0, 1, 100)
	binary.BigEndian.PutUint32(bad[8:], 3)
	if _, _, err := batchesEnd(bad, 9); err == nil {
		t.Error("a batch shorter than its header was taken")
	}
}

func TestAckTimes_SpanOfWhatIsLost(t *testing.T) {
	began := time.Now()
	a := &ackTimes{took: time.Minute}
	for offset := range int64(1000) {
		a.last = ackTime{offset, began.Add(time.Duration(offset) * time.Millisecond)}
		if offset%ackTimesEvery == 0 {
			a.some = append(a.some, a.last)
		}
	}
	for end, want := range map[int64]struct {
		lost int64
		span time.Duration
	}{1000: {0, 0}, 1010: {0, 0}, 640: {360, 359 * time.Millisecond}, 700: {300, (999 - 640) * time.Millisecond}, 0: {1000, 999 * time.Millisecond}} {
		if lost, span := a.after(end); lost != want.lost || span != want.span {
			t.Errorf("archive ends at %d: %d, %v; want %v", end, lost, span, want)
		}
	}
}

// The long rows run only when they are asked for, one by one or together; what is not there is said.
func TestRun_KeepIsAskedFor(t *testing.T) {
	for _, w := range works() {
		if got, want := w.group() == keepGroup, slices.ContainsFunc(keepWorks(), func(k work) bool { return k.name == w.name }); got != want {
			t.Errorf("%s is in the group %q", w.name, w.group())
		}
	}
	b := &bench{leat: "/not/there", dir: t.TempDir(), keep: smallKeeping}
	err := b.run(context.Background(), "keep-nonsense")
	if err == nil || !strings.Contains(err.Error(), "keep-cold,") || !strings.Contains(err.Error(), ","+keepGroup) {
		t.Errorf("got %v", err)
	}
	if err := b.run(context.Background(), keepGroup); err == nil || len(b.rows) == 0 || strings.Contains(err.Error(), "there is") {
		t.Errorf("%d rows, %v", len(b.rows), err)
	}
}

func TestKeeping_Check(t *testing.T) {
	if err := smallKeeping.check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*keeping){
		"-volume-keep":    func(k *keeping) { k.volumeMiB = 0 },
		"-cold-streams":   func(k *keeping) { k.streams = k.volumeMiB<<10 + 1 },
		"-history-sample": func(k *keeping) { k.sampled = k.historyKeys },
		"-history-keys":   func(k *keeping) { k.historyKeys = 0 },
	} {
		k := smallKeeping
		spoil(&k)
		if err := k.check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
