package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// One node leads every partition and has its only replica. What would move them is answered as by a cluster in which all is where it should
// be: tools that ask for that find it so, and what cannot be is refused.

// ElectLeaders(43), versions 0-2: the leader is the preferred one. All partitions are asked for by null, which is answered with nothing to do.
func (k *conn) electLeaders(ctx context.Context, s *slot, q *kmsg.ElectLeadersRequest) (*kmsg.ElectLeadersResponse, error) {
	r := kmsg.NewPtrElectLeadersResponse()
	if err := k.mayCluster(s.caller, broker.ActionAlter); err != nil {
		r.ErrorCode = codeClusterDenied
		return r, err
	}
	for _, t := range q.Topics {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		info, err := k.topic(ctx, s.caller, t.Topic)
		for _, p := range t.Partitions {
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			rp.Partition = p
			rp.ErrorCode, rp.ErrorMessage = codeElectionNotNeeded, new("this node leads the partition already")
			if err != nil {
				rp.ErrorCode, rp.ErrorMessage = code(fault.As(err), placeAdmin), message(fault.As(err))
			} else if p < 0 || p >= info.Config.Partitions {
				rp.ErrorCode, rp.ErrorMessage = codeUnknownPartition, new("there is no such partition")
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, nil
}

// AlterPartitionReassignments(45), versions 0-1: to this node alone is where each partition is; elsewhere there is nobody. To cancel (null) there is
// nothing.
func (k *conn) alterReassignments(ctx context.Context, s *slot, q *kmsg.AlterPartitionAssignmentsRequest) (*kmsg.AlterPartitionAssignmentsResponse, error) {
	r := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	r.AllowReplicationFactorChange = q.AllowReplicationFactorChange // it never changes
	if err := k.mayCluster(s.caller, broker.ActionAlter); err != nil {
		r.ErrorCode, r.ErrorMessage = codeClusterDenied, message(fault.As(err))
		return r, err
	}
	for _, t := range q.Topics {
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = t.Topic
		info, err := k.topic(ctx, s.caller, t.Topic)
		for _, p := range t.Partitions {
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition = p.Partition
			switch {
			case err != nil:
				rp.ErrorCode, rp.ErrorMessage = code(fault.As(err), placeAdmin), message(fault.As(err))
			case p.Partition < 0 || p.Partition >= info.Config.Partitions:
				rp.ErrorCode, rp.ErrorMessage = codeUnknownPartition, new("there is no such partition")
			case p.Replicas == nil:
				rp.ErrorCode, rp.ErrorMessage = codeNoReassignment, new("the partition is not being moved")
			case len(p.Replicas) != 1 || p.Replicas[0] != k.g.b.NodeID():
				rp.ErrorCode, rp.ErrorMessage = codeInvalidAssignment, new("there is one node, "+formatNumber(int64(k.g.b.NodeID()))+", which has every partition")
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, nil
}

// ListPartitionReassignments(46), version 0: none is ever under way.
func (k *conn) listReassignments(_ context.Context, s *slot, _ *kmsg.ListPartitionReassignmentsRequest) (*kmsg.ListPartitionReassignmentsResponse, error) {
	r := kmsg.NewPtrListPartitionReassignmentsResponse()
	if err := k.mayCluster(s.caller, broker.ActionDescribe); err != nil {
		r.ErrorCode, r.ErrorMessage = codeClusterDenied, message(fault.As(err))
		return r, err
	}
	return r, nil
}
