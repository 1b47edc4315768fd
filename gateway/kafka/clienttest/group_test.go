package clienttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
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
	for name, opts := range map[string][]kgo.Opt{
		"range": {kgo.Balancers(kgo.RangeBalancer())}, "sticky": {kgo.Balancers(kgo.StickyBalancer())}, "cooperative": {kgo.Balancers(kgo.CooperativeStickyBalancer())},
		"newer/range": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer())}, "newer/uniform": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, withQuickGroups)
			adm := franzCreate(t, n, "orders", 6)
			franzProduce(t, n, "orders", 6, 0, 600)
			y := &tally{seen: map[string]int{}}
			opts := append(opts, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("billing"), kgo.HeartbeatInterval(300*time.Millisecond))
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

// A node that is killed comes back with the members and the generation of its groups: nobody joins again, and nothing is read twice or missed.
func TestFranz_GroupOutlivesTheNode(t *testing.T) {
	for name, opts := range map[string][]kgo.Opt{"older": nil, "newer": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}} {
		t.Run(name, func(t *testing.T) {
			k := startKept(t)
			n := &node{kafka: k.kafka, http: k.http}
			adm := franzCreate(t, n, "orders", 4)
			franzProduce(t, n, "orders", 4, 0, 100)
			y := &tally{seen: map[string]int{}}
			var lost, revoked atomic.Int32
			var away sync.RWMutex // held while the node is: a client that is refused three times gives its partitions up, whatever the node remembers
			dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
				away.RLock()
				defer away.RUnlock()
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			}
			opts := append(opts, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("billing"), kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(30*time.Second), kgo.AlwaysRetryEOF(), kgo.Dialer(dial),
				kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { lost.Add(1) }),
				kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { revoked.Add(1) }))
			var stops []func()
			for range 2 {
				stop := groupMember(t, n, y, opts...)
				stops = append(stops, stop)
				defer stop()
			}
			until(t, "the group has two members", func() bool { return members(t, adm, "billing", 4) == 2 })
			until(t, "all is read", func() bool { return y.len() == 100 })
			before := generation(t, adm)
			hadRevoked := revoked.Load()
			func() {
				away.Lock()
				defer away.Unlock()
				k.kill(t)
				k.run(t)
			}()
			franzProduce(t, n, "orders", 4, 100, 100)
			until(t, "all is read after the restart", func() bool { return y.len() == 200 })
			if after := generation(t, adm); after != before || lost.Load() != 0 || revoked.Load() != hadRevoked {
				t.Errorf("%s, before %s; %d lost, %d revoked", after, before, lost.Load(), revoked.Load()-hadRevoked)
			}
			for _, stop := range stops {
				stop()
			}
			for at, times := range y.seen {
				if times != 1 {
					t.Errorf("%s was read %d times", at, times)
				}
			}
		})
	}
}

// generation tells members and what they own, and of the newer protocol their epochs.
func generation(t *testing.T, adm *kadm.Client) string {
	t.Helper()
	out := ""
	if gs, err := adm.DescribeGroups(patience(t), "billing"); err == nil && gs["billing"].State == "Stable" {
		for _, m := range gs["billing"].Members {
			out += m.MemberID + " "
		}
		return out
	}
	gs, err := adm.DescribeConsumerGroups(patience(t), "billing")
	if err != nil {
		t.Fatal(err)
	}
	g := gs["billing"]
	for _, m := range g.Members {
		out += fmt.Sprint(m.MemberID, " ", m.MemberEpoch, " ", m.Assignment.Sorted(), " ")
	}
	return fmt.Sprint(g.Epoch, " ", out)
}

// A static member that is restarted in time gets back what it had, and the others notice nothing.
func TestFranz_StaticMembers(t *testing.T) {
	for name, opts := range map[string][]kgo.Opt{"older": nil, "newer": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}} {
		t.Run(name, func(t *testing.T) {
			n := start(t, withQuickGroups)
			adm := franzCreate(t, n, "orders", 4)
			y := &tally{seen: map[string]int{}}
			var revoked atomic.Int32
			opts := append(opts, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("billing"), kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(30*time.Second))
			one := groupMember(t, n, y, append(opts, kgo.InstanceID("a"), kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { revoked.Add(1) }))...)
			defer one()
			until(t, "one member", func() bool { return members(t, adm, "billing", 4) == 1 })
			two := groupMember(t, n, y, append(opts, kgo.InstanceID("b"))...)
			until(t, "two members", func() bool { return members(t, adm, "billing", 4) == 2 })
			had := revoked.Load()
			two()
			again := groupMember(t, n, y, append(opts, kgo.InstanceID("b"))...)
			defer again()
			franzProduce(t, n, "orders", 4, 0, 100)
			until(t, "all is read", func() bool { return y.len() == 100 })
			if members(t, adm, "billing", 4) != 2 || revoked.Load() != had {
				t.Errorf("%d members, %d revoked", members(t, adm, "billing", 4), revoked.Load()-had)
			}
		})
	}
}

// What administrators do with groups.
func TestFranz_GroupAdmin(t *testing.T) {
	n := start(t, withQuickGroups)
	adm := franzCreate(t, n, "orders", 2)
	ctx := patience(t)
	var os kadm.Offsets
	os.Add(kadm.Offset{Topic: "orders", Partition: 0, At: 5, LeaderEpoch: -1, Metadata: "five"})
	os.Add(kadm.Offset{Topic: "orders", Partition: 1, At: 7, LeaderEpoch: -1})
	os.Add(kadm.Offset{Topic: "orders", Partition: 9, At: 7, LeaderEpoch: -1})
	os.Add(kadm.Offset{Topic: "nope", Partition: 0, At: 7, LeaderEpoch: -1})
	rs, err := adm.CommitOffsets(ctx, "simple group/é", os)
	if err != nil || rs["orders"][0].Err != nil || !errors.Is(rs["orders"][9].Err, kerr.UnknownTopicOrPartition) || !errors.Is(rs["nope"][0].Err, kerr.UnknownTopicOrPartition) {
		t.Errorf("commit: %v %+v", err, rs)
	}
	got, err := adm.FetchOffsets(ctx, "simple group/é")
	if err != nil || got["orders"][0].At != 5 || got["orders"][0].Metadata != "five" || got["orders"][1].At != 7 || len(got["orders"]) != 2 {
		t.Errorf("fetch: %v %+v", err, got)
	}
	many := adm.FetchManyOffsets(ctx, "simple group/é", "never")
	if many["simple group/é"].Fetched["orders"][1].At != 7 || many["never"].Err != nil || len(many["never"].Fetched) != 0 {
		t.Errorf("fetch many: %+v", many)
	}
	ls, err := adm.ListGroups(ctx)
	if err != nil || ls["simple group/é"].State != "Empty" || len(ls) != 1 {
		t.Errorf("list: %v %+v", err, ls)
	}
	lag, err := adm.Lag(ctx, "simple group/é")
	if err != nil || lag["simple group/é"].Lag.Total() != 0 {
		t.Errorf("lag: %v %+v", err, lag)
	}
	del, err := adm.DeleteOffsets(ctx, "simple group/é", kadm.TopicsSet{"orders": {1: {}}})
	if err != nil || del["orders"][1] != nil {
		t.Errorf("delete offsets: %v %+v", err, del)
	}
	if got, _ = adm.FetchOffsets(ctx, "simple group/é"); len(got["orders"]) != 1 {
		t.Errorf("fetch: %+v", got)
	}
	y := &tally{seen: map[string]int{}}
	stop := groupMember(t, n, y, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("busy"), kgo.HeartbeatInterval(300*time.Millisecond))
	defer stop()
	until(t, "a member", func() bool { return members(t, adm, "busy", 2) == 1 })
	ds, err := adm.DeleteGroups(ctx, "simple group/é", "busy", "never")
	if err != nil || ds["simple group/é"].Err != nil || !errors.Is(ds["busy"].Err, kerr.NonEmptyGroup) || !errors.Is(ds["never"].Err, kerr.GroupIDNotFound) {
		t.Errorf("delete: %v %+v", err, ds)
	}
	if rs, err = adm.CommitOffsets(ctx, "busy", os); err != nil || !errors.Is(rs["orders"][0].Err, kerr.UnknownMemberID) {
		t.Errorf("commit from outside: %v %+v", err, rs)
	}
	if ls, err = adm.ListGroups(ctx, "Stable"); err != nil || len(ls) != 1 || ls["busy"].ProtocolType != "consumer" {
		t.Errorf("list stable: %v %+v", err, ls)
	}
}

// members is how many a group has that is stable with all partitions assigned, -1 otherwise.
func members(t *testing.T, adm *kadm.Client, group string, partitions int) int {
	t.Helper()
	n := 0
	if gs, err := adm.DescribeGroups(patience(t), group); err == nil && gs[group].State == "Stable" {
		g := gs[group]
		g.AssignedPartitions().Each(func(string, int32) { n++ })
		if n != partitions {
			return -1
		}
		return len(g.Members)
	}
	gs, err := adm.DescribeConsumerGroups(patience(t), group)
	if err != nil || gs[group].Err != nil || gs[group].State != "Stable" {
		return -1
	}
	for _, m := range gs[group].Members {
		m.Assignment.Each(func(string, int32) { n++ })
	}
	if n != partitions {
		return -1
	}
	return len(gs[group].Members)
}
