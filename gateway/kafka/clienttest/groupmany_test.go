package clienttest

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What 10,000 groups with 100,000 offsets cost, and how fast offsets are committed while records are produced. It measures rather than tests, so it is asked for
// with LEAT_MEASURE=1.
func TestMeasure_ManyGroups(t *testing.T) {
	if os.Getenv("LEAT_MEASURE") == "" {
		t.Skip("it measures: set LEAT_MEASURE=1")
	}
	const groups, partitions, writers = 10_000, 10, 32
	k := startKept(t)
	n := &node{kafka: k.kafka, http: k.http}
	adm := franzCreate(t, n, "orders", partitions)
	empty := resident(t, k)
	ctx := context.Background()
	commit := func(group string, at int64) error {
		var os kadm.Offsets
		for p := range int32(partitions) {
			os.Add(kadm.Offset{Topic: "orders", Partition: p, At: at, LeaderEpoch: -1})
		}
		r, err := adm.CommitOffsets(ctx, group, os)
		if err == nil {
			err = r.Error()
		}
		return err
	}
	began := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < groups; i += writers {
				if err := commit(fmt.Sprintf("group-%05d", i), 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d groups with %d offsets made in %v", groups, groups*partitions, time.Since(began).Round(time.Millisecond))
	t.Logf("resident: %d MiB, without them %d MiB", resident(t, k), empty)
	k.kill(t)
	began = time.Now()
	k.run(t)
	t.Logf("ready %v after it was killed, resident %d MiB", time.Since(began).Round(time.Millisecond), resident(t, k))
	got, err := adm.FetchOffsets(ctx, "group-04711")
	if err != nil || len(got["orders"]) != partitions {
		t.Fatalf("%v %v", err, got)
	}
	for _, beside := range []bool{false, true} {
		t.Logf("records beside: %v: %s", beside, commitRate(t, n, commit, beside))
	}
}

// commitRate commits ten offsets at a time in 32 groups for some seconds, with or without somebody who produces as fast as he can.
func commitRate(t *testing.T, n *node, commit func(string, int64) error, beside bool) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var commits, records atomic.Int64
	var wg sync.WaitGroup
	if beside {
		c := franz(t, n, kgo.DefaultProduceTopic("orders"))
		wg.Go(func() {
			for ctx.Err() == nil {
				c.Produce(ctx, kgo.SliceRecord(make([]byte, 1024)), func(_ *kgo.Record, err error) {
					if err == nil {
						records.Add(1)
					}
				})
			}
		})
	}
	began := time.Now()
	for w := range 32 {
		wg.Go(func() {
			for i := int64(1); ctx.Err() == nil; i++ {
				if err := commit(fmt.Sprintf("group-%05d", w), i); err != nil {
					t.Error(err)
					return
				}
				commits.Add(1)
			}
		})
	}
	wg.Wait()
	s := time.Since(began).Seconds()
	return fmt.Sprintf("%.0f commits/s (%.0f offsets/s), %.0f records/s", float64(commits.Load())/s, float64(commits.Load())*10/s, float64(records.Load())/s)
}

// resident is the memory of the node, in MiB.
func resident(t *testing.T, k *keptNode) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", k.cmd.Process.Pid))
	if err != nil {
		t.Skip("there is no /proc here")
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if v, is := strings.CutPrefix(line, "VmRSS:"); is {
			kb, _ := strconv.Atoi(strings.Fields(v)[0])
			return kb >> 10
		}
	}
	return 0
}
