package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// ListOffsets(2), versions 0-11: by time, and -1 the end, -2 the start, -3 (7) the record with the greatest timestamp, -4 (8) the start of what is
// on this node, which is all, -5 (9) the end of what has been moved elsewhere, -6 (11) the start of what is about to be: both are nothing. For who reads committed records the end is before the first
// open transaction, and what lies behind it is not found by time; aborted records and markers before it are. In version 0 the answer is a list, the greatest offset first.
func (k *conn) listOffsets(ctx context.Context, s *slot, q *kmsg.ListOffsetsRequest) (*kmsg.ListOffsetsResponse, error) {
	var specs []broker.OffsetSpec
	var known []bool
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			spec, ok := offsetSpec(t.Topic, p.Partition, p.Timestamp)
			spec.Committed = q.IsolationLevel == 1
			specs, known = append(specs, spec), append(known, ok)
		}
	}
	results := k.g.b.Offsets(ctx, s.caller, specs)
	r := kmsg.NewPtrListOffsetsResponse()
	var failed error
	n := 0
	for _, t := range q.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Timestamp, rp.Offset, rp.LeaderEpoch = p.Partition, -1, -1, -1
			switch res := &results[n]; {
			case res.Err != nil:
				rp.ErrorCode, failed = code(res.Err, placeRead), res.Err
			case epochCode(p.CurrentLeaderEpoch, k.g.b.Epoch()) != codeNone:
				rp.ErrorCode = epochCode(p.CurrentLeaderEpoch, k.g.b.Epoch())
			case p.Timestamp == timestampMoved, p.Timestamp == timestampMoving:
			case !known[n]:
				rp.ErrorCode = codeInvalidRequest
				failed = fault.New(fault.Invalid, "offsets", t.Topic, "timestamp %d stands for nothing", p.Timestamp)
			default:
				rp.Offset, rp.LeaderEpoch = int64(res.Offset), k.g.b.Epoch()
				if p.Timestamp >= 0 || p.Timestamp == timestampMax {
					rp.Timestamp = res.Timestamp
				}
				if rp.Offset < 0 {
					rp.LeaderEpoch = -1
				}
				if q.Version == 0 && rp.Offset >= 0 && p.MaxNumOffsets > 0 {
					rp.OldStyleOffsets = []int64{rp.Offset}
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
			n++
		}
		r.Topics = append(r.Topics, rt)
	}
	return r, failed
}
