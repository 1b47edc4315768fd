package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLogDirs_SizesAreThoseOfTheRecords(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 2)
	sizes := func() []int64 {
		q := kmsg.NewPtrDescribeLogDirsRequest()
		r := ask[*kmsg.DescribeLogDirsResponse](c, q, 4)
		if r.ErrorCode != 0 || len(r.Dirs) != 1 || len(r.Dirs[0].Topics) != 1 {
			t.Fatalf("%+v", r)
		}
		return []int64{r.Dirs[0].Topics[0].Partitions[0].Size, r.Dirs[0].Topics[0].Partitions[1].Size}
	}
	if got := sizes(); got[0] != 0 || got[1] != 0 {
		t.Errorf("empty: %v", got)
	}
	want := int64(0)
	for range 3 {
		b := batch(t, "some bytes")
		want += int64(len(b))
		ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, b), 9)
		if got := sizes(); got[0] != want || got[1] != 0 {
			t.Errorf("%v, want %d and 0", got, want)
		}
	}
	move := kmsg.NewPtrAlterReplicaLogDirsRequest()
	for _, dir := range []string{logDir, "/elsewhere"} {
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		d.Dir = dir
		rt := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		rt.Topic, rt.Partitions = "orders", []int32{0}
		d.Topics = append(d.Topics, rt)
		move.Dirs = append(move.Dirs, d)
	}
	r := ask[*kmsg.AlterReplicaLogDirsResponse](c, move, 2)
	if a, b := r.Topics[0].Partitions[0].ErrorCode, r.Topics[1].Partitions[0].ErrorCode; a != 0 || b != codeLogDirNotFound {
		t.Errorf("moves: %d, %d", a, b)
	}
}

func TestReassignments(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 2)
	elect := kmsg.NewPtrElectLeadersRequest()
	if r := ask[*kmsg.ElectLeadersResponse](c, elect, 2); r.ErrorCode != 0 || len(r.Topics) != 0 {
		t.Errorf("elect all: %+v", r)
	}
	et := kmsg.NewElectLeadersRequestTopic()
	et.Topic, et.Partitions = "orders", []int32{0, 5}
	elect.Topics = append(elect.Topics, et)
	if r := ask[*kmsg.ElectLeadersResponse](c, elect, 2); r.Topics[0].Partitions[0].ErrorCode != codeElectionNotNeeded || r.Topics[0].Partitions[1].ErrorCode != codeUnknownPartition {
		t.Errorf("elect: %+v", r)
	}
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	mt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	mt.Topic = "orders"
	for _, replicas := range [][]int32{{1}, {1, 2}, nil} {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Replicas = replicas
		mt.Partitions = append(mt.Partitions, p)
	}
	move.Topics = append(move.Topics, mt)
	r := ask[*kmsg.AlterPartitionAssignmentsResponse](c, move, 0)
	for i, want := range []int16{codeNone, codeInvalidAssignment, codeNoReassignment} {
		if got := r.Topics[0].Partitions[i].ErrorCode; got != want {
			t.Errorf("reassign %d: %d, want %d", i, got, want)
		}
	}
	move.AllowReplicationFactorChange = false
	if r := ask[*kmsg.AlterPartitionAssignmentsResponse](c, move, 1); r.AllowReplicationFactorChange || r.Topics[0].Partitions[0].ErrorCode != codeNone {
		t.Errorf("reassign, with as many replicas: %+v", r)
	}
	if r := ask[*kmsg.ListPartitionReassignmentsResponse](c, kmsg.NewPtrListPartitionReassignmentsRequest(), 0); r.ErrorCode != 0 || len(r.Topics) != 0 {
		t.Errorf("list: %+v", r)
	}
}

func TestListConfigResources(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 2)
	q := kmsg.NewPtrListConfigResourcesRequest()
	if r := ask[*kmsg.ListConfigResourcesResponse](c, q, 0); r.ErrorCode != 0 || len(r.ConfigResources) != 0 {
		t.Errorf("client metrics: %+v", r)
	}
	if r := ask[*kmsg.ListConfigResourcesResponse](c, q, 1); len(r.ConfigResources) != 3 || r.ConfigResources[0].Name != "orders" || r.ConfigResources[1].Name != "1" {
		t.Errorf("all: %+v", r)
	}
	q.ResourceTypes = []int8{77}
	if r := ask[*kmsg.ListConfigResourcesResponse](c, q, 1); r.ErrorCode != codeUnsupportedVersion {
		t.Errorf("unknown: %+v", r)
	}
}

// Who may not describe or alter the node is told so by what concerns it as a whole.
func TestCluster_NeedsGrants(t *testing.T) {
	addr := serve(t, newBroker(t, 1, testUser))
	c := dial(t, addr)
	codes := map[string]int16{
		"log dirs":  ask[*kmsg.DescribeLogDirsResponse](c, kmsg.NewPtrDescribeLogDirsRequest(), 4).ErrorCode,
		"elect":     ask[*kmsg.ElectLeadersResponse](c, kmsg.NewPtrElectLeadersRequest(), 2).ErrorCode,
		"reassign":  ask[*kmsg.AlterPartitionAssignmentsResponse](c, kmsg.NewPtrAlterPartitionAssignmentsRequest(), 0).ErrorCode,
		"list":      ask[*kmsg.ListPartitionReassignmentsResponse](c, kmsg.NewPtrListPartitionReassignmentsRequest(), 0).ErrorCode,
		"resources": ask[*kmsg.ListConfigResourcesResponse](c, kmsg.NewPtrListConfigResourcesRequest(), 1).ErrorCode,
		"scram":     ask[*kmsg.DescribeUserSCRAMCredentialsResponse](c, kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), 0).ErrorCode,
	}
	for what, code := range codes {
		if code != codeClusterDenied {
			t.Errorf("%s: %d", what, code)
		}
	}
}
