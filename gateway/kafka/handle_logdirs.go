package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// logDir is the one place where records are, as those who move them between disks would name it. Where it is on the disk is nobody's business.
const logDir = "leat"

// DescribeLogDirs(35), versions 0-4: how many bytes the records of partitions take as they are stored. There is one directory.
func (k *conn) describeLogDirs(ctx context.Context, s *slot, q *kmsg.DescribeLogDirsRequest) (*kmsg.DescribeLogDirsResponse, error) {
	r := kmsg.NewPtrDescribeLogDirsResponse()
	if err := k.mayCluster(s.caller, broker.ActionDescribe); err != nil {
		r.ErrorCode = codeClusterDenied
		return r, err
	}
	if q.Topics == nil {
		list, err := k.g.b.ListStreams(ctx, s.caller)
		if err != nil {
			return r, err
		}
		for i := range list {
			t := kmsg.NewDescribeLogDirsRequestTopic()
			t.Topic = list[i].Name
			q.Topics = append(q.Topics, t)
		}
	}
	d := kmsg.NewDescribeLogDirsResponseDir()
	d.Dir = logDir
	if free, known := k.g.b.DiskFree(); known {
		d.UsableBytes = free
	}
	var failed error
	for i := range q.Topics {
		t := kmsg.NewDescribeLogDirsResponseDirTopic()
		t.Topic = q.Topics[i].Topic
		bytes, err := k.g.b.StreamBytes(ctx, s.caller, t.Topic)
		if err != nil { // the protocol has no error for a topic; what is not there is not told of
			failed = err
			continue
		}
		for p, n := range bytes {
			if q.Topics[i].Partitions != nil && !slices.Contains(q.Topics[i].Partitions, int32(p)) {
				continue
			}
			rp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
			rp.Partition, rp.Size = int32(p), n
			t.Partitions = append(t.Partitions, rp)
		}
		d.Topics = append(d.Topics, t)
	}
	r.Dirs = append(r.Dirs, d)
	return r, failed
}

// AlterReplicaLogDirs(34), versions 0-2: there is one directory, where everything is already.
func (k *conn) alterReplicaLogDirs(_ context.Context, s *slot, q *kmsg.AlterReplicaLogDirsRequest) (*kmsg.AlterReplicaLogDirsResponse, error) {
	r := kmsg.NewPtrAlterReplicaLogDirsResponse()
	denied := k.mayCluster(s.caller, broker.ActionAlter)
	for i := range q.Dirs {
		for _, t := range q.Dirs[i].Topics {
			rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				rp.Partition = p
				switch {
				case denied != nil:
					rp.ErrorCode = codeClusterDenied
				case q.Dirs[i].Dir != logDir:
					rp.ErrorCode = codeLogDirNotFound
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			r.Topics = append(r.Topics, rt)
		}
	}
	return r, denied
}

// mayCluster says why the caller may not do something that concerns the node as a whole.
func (k *conn) mayCluster(c *broker.Caller, a broker.Action) error {
	if k.g.b.Allowed(c, a, broker.KindNode, "") {
		return nil
	}
	return fault.New(fault.Denied, string(a), "node", "this takes a grant to %s the node", a)
}
