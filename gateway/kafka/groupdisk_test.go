package kafka

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/gateway/gatewaytest"
	"leat/gateway/kafka/group"
	"leat/internal/clock"
	"leat/storage/journal"
	journalmemory "leat/storage/journal/memory"
)

// fullDisk is a journal that can be full, and brokers that are opened on it one after the other.
type fullDisk struct {
	store *journalmemory.Store
	full  atomic.Bool
}

func newFullDisk(t *testing.T) *fullDisk {
	t.Helper()
	store, err := journalmemory.NewStore(journalmemory.Default())
	if err != nil {
		t.Fatal(err)
	}
	d := &fullDisk{store: store}
	store.SetHook(func(journal.Frame) journalmemory.Outcome {
		if d.full.Load() {
			return journalmemory.NoSpace
		}
		return journalmemory.Durable
	})
	return d
}

// open replays everything that is in the journal.
func (d *fullDisk) open(t *testing.T) *broker.Broker {
	t.Helper()
	shards := gatewaytest.MemoryShards(t, 1)
	shards[0].OpenJournal = func() (journal.Journal, error) { return d.store.Open(), nil }
	b, err := broker.Open(broker.Options{
		Config: broker.Default(), Lineage: 1, Cluster: "test", Node: 1, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Shards: shards,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // the first one finds its journal taken over
	return b
}

// The disk is full when two members have joined and one of them says who reads what: nobody is told anything that is not kept. Once there is room, asking again is
// enough; and a restart changes nothing.
func TestGroup_DiskFullInARebalance(t *testing.T) {
	d := newFullDisk(t)
	b := d.open(t)
	addr := serve(t, b, quickly)
	ca, cb := dial(t, addr), dial(t, addr)
	create(ca, "orders", 2)
	a := joined(ca, "g", 5)
	if y := ask[*kmsg.SyncGroupResponse](ca, syncRequest("g", a, "all"), 3); string(y.MemberAssignment) != "all" {
		t.Fatalf("%+v", y)
	}
	id := ask[*kmsg.JoinGroupResponse](cb, joinRequest("g", "", "range"), 5).MemberID
	joins := make(chan *kmsg.JoinGroupResponse)
	go func() { joins <- ask[*kmsg.JoinGroupResponse](cb, joinRequest("g", id, "range"), 5) }()
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = "g", a.MemberID, a.Generation
	for began := time.Now(); ask[*kmsg.HeartbeatResponse](ca, beat, 4).ErrorCode != int16(group.RebalanceInProgress); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the first one is not told to join again")
		}
	}
	a = ask[*kmsg.JoinGroupResponse](ca, joinRequest("g", a.MemberID, "range"), 5)
	second := <-joins
	if a.ErrorCode != 0 || second.ErrorCode != 0 || a.Generation != 2 || a.LeaderID != a.MemberID {
		t.Fatalf("%+v %+v", a, second)
	}

	d.full.Store(true)
	shares := syncRequest("g", a, "half")
	x := kmsg.NewSyncGroupRequestGroupAssignment()
	x.MemberID, x.MemberAssignment = second.MemberID, []byte("other half")
	shares.GroupAssignment = append(shares.GroupAssignment, x)
	other := syncRequest("g", second, "")
	other.GroupAssignment = nil
	for _, who := range []struct {
		c *client
		q *kmsg.SyncGroupRequest
	}{{ca, shares}, {ca, shares}, {cb, other}} {
		if y := ask[*kmsg.SyncGroupResponse](who.c, who.q, 3); y.ErrorCode != codeCoordinatorNotAvailable || len(y.MemberAssignment) != 0 {
			t.Fatalf("what is not kept is told: %+v", y)
		}
	}
	newer := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	newer.Group, newer.MemberID, newer.RebalanceTimeoutMillis, newer.SubscribedTopicNames, newer.Topics = "n", "m", 1000, []string{"orders"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if r := ask[*kmsg.ConsumerGroupHeartbeatResponse](ca, newer, 1); r.ErrorCode != codeCoordinatorNotAvailable || r.Assignment != nil {
		t.Fatalf("%+v", r)
	}

	d.full.Store(false)
	for c, want := range map[*client]string{ca: "half", cb: "other half"} {
		q := other
		if c == ca {
			q = syncRequest("g", a, "half") // what it said before is what counts
		}
		if y := ask[*kmsg.SyncGroupResponse](c, q, 3); y.ErrorCode != 0 || string(y.MemberAssignment) != want {
			t.Fatalf("once there is room: %+v", y)
		}
	}
	r := ask[*kmsg.ConsumerGroupHeartbeatResponse](ca, newer, 1)
	if r.ErrorCode != 0 || r.Assignment == nil || len(r.Assignment.Topics[0].Partitions) != 2 {
		t.Fatalf("%+v", r)
	}

	again := d.open(t) // as after a crash: the journal is all there is
	c := dial(t, serve(t, again, quickly))
	beat.MemberID, beat.Generation = second.MemberID, 2
	if r := ask[*kmsg.HeartbeatResponse](c, beat, 4); r.ErrorCode != 0 {
		t.Errorf("after the restart: %+v", r)
	}
	newer.MemberEpoch, newer.Topics, newer.RebalanceTimeoutMillis, newer.SubscribedTopicNames = r.MemberEpoch, nil, -1, nil
	if r := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, newer, 1); r.ErrorCode != 0 || r.MemberEpoch != newer.MemberEpoch {
		t.Errorf("after the restart: %+v", r)
	}
}
