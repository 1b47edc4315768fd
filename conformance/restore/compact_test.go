package restore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sent is one record as a producer was answered about it.
type sent struct{ key, value string }

// place is where a record is.
type place struct {
	partition int32
	offset    int64
}

const (
	compactKeys       = 300
	compactPartitions = 3
	compactRecords    = 30_000
)

// A Kafka client writes few keys many times, some of them last without a value, and reads what compaction leaves, of the node and of one that was restored: no
// record is another than was sent to that offset, offsets grow with gaps, and the newest of each key is there.
func TestCompacted_AClientSeesTheNewestOfEachKey(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "archive")
	n := start(t, filepath.Join(t.TempDir(), "data"), settings(t, "file://"+archive))
	n.run(t, "stream", "create", "compacted", "--keys", "latest", "--partitions", fmt.Sprint(compactPartitions))
	all, newest := map[place]sent{}, map[string]place{}
	var mu sync.Mutex
	c := client(t, n, kgo.DefaultProduceTopic("compacted"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for i := range compactRecords {
		r := &kgo.Record{Key: fmt.Appendf(nil, "key-%d", i*7919%compactKeys), Value: fmt.Append(nil, i, strings.Repeat("x", 900))}
		if i > compactRecords-compactKeys && i%5 == 0 {
			r.Value = nil
		}
		c.Produce(t.Context(), r, func(r *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			at := place{r.Partition, r.Offset}
			all[at] = sent{string(r.Key), string(r.Value)}
			if was, ok := newest[string(r.Key)]; ok && was.partition != at.partition {
				t.Errorf("%s is in two partitions", r.Key)
			} else if !ok || was.offset < at.offset {
				newest[string(r.Key)] = at
			}
		})
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	for end := time.Now().Add(readyTime); ; {
		time.Sleep(3 * time.Second)
		n.kill(t) // what is in memory is read as it was sent
		n.start(t)
		if left = readCompacted(t, n, all, newest); left < compactRecords/2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d records are left", left, compactRecords)
		}
	}
	n.run(t, "archive", "checkpoint")
	time.Sleep(2500 * time.Millisecond) // all is archived
	n.kill(t)
	n.start(t)
	again := readCompacted(t, n, all, newest)
	n.kill(t)
	r := restored(t, archive, "latest")
	t.Logf("of %d records %d are left, %d after kill -9, %d restored", compactRecords, left, again, readCompacted(t, r, all, newest))
}

// readCompacted reads everything with a client, and returns how many records there are.
func readCompacted(t *testing.T, n *node, all map[place]sent, newest map[string]place) (count int) {
	t.Helper()
	c := client(t, n, kgo.ConsumeTopics("compacted"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	ends := map[int32]int64{}
	for at := range all {
		ends[at.partition] = max(ends[at.partition], at.offset+1)
	}
	seen, next := map[string]place{}, map[int32]int64{}
	ctx, stop := context.WithTimeout(t.Context(), readyTime)
	defer stop()
	done := func() bool {
		for p, end := range ends {
			if next[p] < end {
				return false
			}
		}
		return true
	}
	for !done() {
		f := c.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("read up to %v of %v: %v", next, ends, err)
		}
		f.EachRecord(func(r *kgo.Record) {
			at := place{r.Partition, r.Offset}
			if want, ok := all[at]; !ok || want != (sent{string(r.Key), string(r.Value)}) || r.Offset < next[r.Partition] {
				t.Fatalf("%+v has key %q, and %d comes next", at, r.Key, next[r.Partition])
			}
			next[r.Partition], seen[string(r.Key)] = r.Offset+1, at
			count++
		})
	}
	for key, want := range newest {
		if got, ok := seen[key]; !ok || got != want {
			t.Fatalf("the newest of %s is at %+v (%t), want %+v", key, got, ok, want)
		}
	}
	return count
}
