package clienttest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// withQuickGroups has new groups not wait for more members, as Kafka's own quickstart has it.
func withQuickGroups(t *testing.T, _ *node, args *[]string) {
	cfg := filepath.Join(t.TempDir(), "leat.yaml")
	if err := os.WriteFile(cfg, []byte("gateways:\n  kafka:\n    groups:\n      initial_delay: 100ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	*args = append(*args, "--config", cfg)
}

// tally counts what the members of a group have read.
type tally struct {
	mu   sync.Mutex
	seen map[string]int // topic/partition/offset
}

func (y *tally) add(rs []*kgo.Record) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, r := range rs {
		y.seen[fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)]++
	}
}

func (y *tally) len() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.seen)
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func franzProduce(t *testing.T, n *node, topic string, partitions, from, count int) {
	t.Helper()
	c := franz(t, n, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var rs []*kgo.Record
	for i := range count {
		rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: fmt.Append(nil, from+i)})
	}
	if err := c.ProduceSync(patience(t), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// groupMember reads in a group until it is stopped, and then leaves.
func groupMember(t *testing.T, n *node, y *tally, opts ...kgo.Opt) (stop func()) {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.kafka), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			fs := c.PollFetches(ctx)
			y.add(fs.Records())
		}
		c.CommitUncommittedOffsets(context.Background())
		c.Close()
	})
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

func TestFranz_Group(t *testing.T) {
	for name, balancers := range map[string][]kgo.GroupBalancer{
		"range": {kgo.RangeBalancer()}, "sticky": {kgo.StickyBalancer()}, "cooperative": {kgo.CooperativeStickyBalancer()},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, withQuickGroups)
			adm := franzCreate(t, n, "orders", 6)
			franzProduce(t, n, "orders", 6, 0, 600)
			y := &tally{seen: map[string]int{}}
			opts := []kgo.Opt{kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("billing"), kgo.Balancers(balancers...), kgo.HeartbeatInterval(300 * time.Millisecond)}
			one := groupMember(t, n, y, opts...)
			defer one()
			until(t, "all read by one", func() bool { return y.len() == 600 })
			two := groupMember(t, n, y, opts...)
			defer two()
			until(t, "the group has two members", func() bool { return members(t, adm, "billing", 6) == 2 })
			franzProduce(t, n, "orders", 6, 600, 600)
			until(t, "all read by two", func() bool { return y.len() == 1200 })
			one()
			until(t, "the group has one member", func() bool { return members(t, adm, "billing", 6) == 1 })
			franzProduce(t, n, "orders", 6, 1200, 600)
			until(t, "all read by the other", func() bool { return y.len() == 1800 })
			two()
			os, err := adm.FetchOffsets(patience(t), "billing")
			if err != nil || len(os["orders"]) != 6 {
				t.Fatalf("offsets: %v %v", err, os)
			}
			for p, o := range os["orders"] {
				if o.At != 300 {
					t.Errorf("partition %d at %d", p, o.At)
				}
			}
		})
	}
}

// members is how many a group has that is stable with all partitions assigned, -1 otherwise.
func members(t *testing.T, adm *kadm.Client, group string, partitions int) int {
	t.Helper()
	gs, err := adm.DescribeGroups(patience(t), group)
	if err != nil {
		t.Fatal(err)
	}
	g := gs[group]
	n := 0
	g.AssignedPartitions().Each(func(string, int32) { n++ })
	if g.State != "Stable" || n != partitions {
		return -1
	}
	return len(g.Members)
}
