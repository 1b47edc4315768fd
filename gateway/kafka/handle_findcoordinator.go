package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker/fault"
)

// FindCoordinator(10), versions 0-4: there is none. Groups and transactions are not offered, and the answer is one that no client
// retries: with COORDINATOR_NOT_AVAILABLE the Java consumer polls for ever and says nothing, with UNSUPPORTED_VERSION each client
// tested fails at once, and those that show the message show why.
func (k *conn) findCoordinator(_ context.Context, _ *slot, q *kmsg.FindCoordinatorRequest) (*kmsg.FindCoordinatorResponse, error) {
	text := "consumer groups are not offered by this node; assign partitions instead"
	if q.CoordinatorType == 1 {
		text = "transactions are not offered by this node; leave transactional.id unset"
	}
	r := kmsg.NewPtrFindCoordinatorResponse()
	r.ErrorCode, r.ErrorMessage, r.NodeID, r.Port = codeUnsupportedVersion, &text, -1, -1
	for _, key := range q.CoordinatorKeys {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Port, c.ErrorCode, c.ErrorMessage = key, -1, -1, codeUnsupportedVersion, &text
		r.Coordinators = append(r.Coordinators, c)
	}
	return r, fault.New(fault.Unsupported, "find coordinator", "", "%s", text)
}
