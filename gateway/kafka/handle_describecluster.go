package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
)

// DescribeCluster(60), versions 0-2: one node.
func (k *conn) describeCluster(_ context.Context, s *slot, q *kmsg.DescribeClusterRequest) (*kmsg.DescribeClusterResponse, error) {
	r := kmsg.NewPtrDescribeClusterResponse()
	r.ClusterID, r.ControllerID = k.g.b.ClusterID(), k.g.b.NodeID()
	if q.EndpointType == 2 { // controllers, which no client has a connection to
		r.ErrorCode, r.ErrorMessage = codeInvalidRequest, new("there are no controllers apart from the nodes")
		return r, nil
	}
	n := kmsg.NewDescribeClusterResponseBroker()
	n.NodeID = k.g.b.NodeID()
	n.Host, n.Port = k.address()
	r.Brokers = append(r.Brokers, n)
	if q.IncludeClusterAuthorizedOperations {
		r.ClusterAuthorizedOperations = operations(k.g.b, s.caller, broker.KindNode, "")
	}
	return r, nil
}
