package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// ListConfigResources(74), versions 0-1: what has configs, topics and this node. Version 0 asks for those of client metrics only, of which there
// are none: what clients measure of themselves is not collected.
func (k *conn) listConfigResources(ctx context.Context, s *slot, q *kmsg.ListConfigResourcesRequest) (*kmsg.ListConfigResourcesResponse, error) {
	r := kmsg.NewPtrListConfigResourcesResponse()
	if err := k.mayCluster(s.caller, broker.ActionDescribe); err != nil {
		r.ErrorCode = codeClusterDenied
		return r, err
	}
	if q.Version == 0 {
		return r, nil
	}
	add := func(name string, t kmsg.ConfigResourceType) {
		c := kmsg.NewListConfigResourcesResponseConfigResource()
		c.Name, c.Type = name, int8(t)
		r.ConfigResources = append(r.ConfigResources, c)
	}
	known := []int8{int8(kmsg.ConfigResourceTypeTopic), int8(kmsg.ConfigResourceTypeBroker), int8(kmsg.ConfigResourceTypeBrokerLogger), 16, 32} // client metrics, groups
	for _, t := range q.ResourceTypes {
		if !slices.Contains(known, t) {
			r.ErrorCode = codeUnsupportedVersion
			return r, fault.New(fault.Unsupported, "list", "configs", "resources of type %d have no configs", t)
		}
	}
	wanted := func(t kmsg.ConfigResourceType) bool {
		return len(q.ResourceTypes) == 0 || slices.Contains(q.ResourceTypes, int8(t))
	}
	if wanted(kmsg.ConfigResourceTypeTopic) {
		list, err := k.g.b.ListStreams(ctx, s.caller)
		if err != nil {
			r.ErrorCode = code(fault.As(err), placeCluster)
			return r, err
		}
		for i := range list {
			add(list[i].Name, kmsg.ConfigResourceTypeTopic)
		}
	}
	for _, t := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger} {
		if wanted(t) {
			add(formatNumber(int64(k.g.b.NodeID())), t)
		}
	}
	return r, nil
}
