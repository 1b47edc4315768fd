package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// Kinds of things that have a coordinator.
const (
	coordinatorOfGroup       = 0
	coordinatorOfTransaction = 1
)

// FindCoordinator(10), versions 0-6: this node is the coordinator of all groups and of all transactional ids; there are no share groups (6).
func (k *conn) findCoordinator(_ context.Context, s *slot, q *kmsg.FindCoordinatorRequest) (*kmsg.FindCoordinatorResponse, error) {
	r := kmsg.NewPtrFindCoordinatorResponse()
	keys := q.CoordinatorKeys
	if q.Version < 4 {
		keys = []string{q.CoordinatorKey}
	}
	var failed error
	for _, key := range keys {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Port = key, -1, -1
		code, text, err := k.coordinator(s.caller, q.CoordinatorType, key)
		if err != nil {
			failed = err
		}
		if c.ErrorCode = code; code == codeNone {
			c.NodeID = k.g.b.NodeID()
			c.Host, c.Port = k.address()
		} else {
			c.ErrorMessage = &text
		}
		r.Coordinators = append(r.Coordinators, c)
	}
	if q.Version < 4 {
		c := &r.Coordinators[0]
		r.ErrorCode, r.ErrorMessage, r.NodeID, r.Host, r.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
		r.Coordinators = nil
	}
	return r, failed
}

// coordinator says whether this node is one.
func (k *conn) coordinator(c *broker.Caller, kind int8, key string) (code int16, text string, err error) {
	switch {
	case kind == coordinatorOfTransaction && key == "":
		return codeInvalidRequest, "a transactional id is not empty", nil
	case kind == coordinatorOfTransaction:
		if err := k.mayTransact(c, broker.ActionDescribe, key); err != nil {
			return codeTransactionalDenied, fault.As(err).Text, err
		}
		return codeNone, "", nil
	case kind != coordinatorOfGroup:
		text := "there are coordinators of groups and of transactions"
		return codeInvalidRequest, text, fault.New(fault.Invalid, "find coordinator", "", "%s", text)
	case key == "":
		return codeInvalidGroupID, "a group has an id", nil
	}
	if err := k.mayGroup(c, broker.ActionDescribe, key); err != nil {
		return codeGroupDenied, fault.As(err).Text, err
	}
	return codeNone, "", nil
}
