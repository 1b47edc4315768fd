package kafka

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/kafka/wire"
)

// Metadata(3), versions 0-13.
//
// One node, which leads everything. Its address is the advertised one, else the one at which this client came in, which is right
// wherever nothing stands between the two. All topics are asked for by null, and by an empty list in version 0. A named topic that is
// not there is made when the request allows it (always, before version 4), the gateway's AutoCreate is on, and the caller may.
func (k *conn) answerMetadata(ctx context.Context, s *slot) error {
	q := kmsg.NewPtrMetadataRequest()
	q.SetVersion(s.header.Version)
	if err := decode(q, s.body); err != nil {
		return fmt.Errorf("metadata request version %d: %w", s.header.Version, err)
	}
	head := wire.MetadataHead{NodeID: k.g.b.NodeID(), ClusterID: k.g.b.ClusterID(), ClusterOperations: wire.OperationsUnset, LeaderEpoch: k.g.b.Epoch()}
	head.Host, head.Port = k.address()
	if q.IncludeClusterAuthorizedOperations {
		head.ClusterOperations = operations(k.g.b, s.caller, broker.KindNode, "")
	}
	var count, size int
	var topics iter.Seq[wire.MetadataTopic]
	if q.Topics == nil || q.Version == 0 && len(q.Topics) == 0 {
		list, err := k.g.b.ListStreams(ctx, s.caller)
		if err != nil {
			return err
		}
		count = len(list)
		for i := range list {
			size += metadataBytes(list[i].Name, list[i].Partitions)
		}
		topics = func(yield func(wire.MetadataTopic) bool) {
			for i := range list {
				l := &list[i]
				t := wire.MetadataTopic{Name: l.Name, ID: l.UID, Internal: l.Internal, Partitions: l.Partitions, Operations: wire.OperationsUnset}
				if q.IncludeTopicAuthorizedOperations {
					t.Operations = operations(k.g.b, s.caller, broker.KindStream, l.Name)
				}
				if !yield(t) {
					return
				}
			}
		}
	} else {
		named := make([]wire.MetadataTopic, len(q.Topics))
		for i := range q.Topics {
			named[i] = k.namedTopic(ctx, s, q, &q.Topics[i])
			size += metadataBytes(named[i].Name, named[i].Partitions)
		}
		count = len(named)
		topics = func(yield func(wire.MetadataTopic) bool) {
			for i := range named {
				if !yield(named[i]) {
					return
				}
			}
		}
	}
	release, err := k.reserveAnswer(ctx, s, size)
	if err != nil {
		return err
	}
	start := k.out.begin(s.header.Correlation, q.IsFlexible())
	k.out.buf = wire.AppendMetadata(k.out.buf, q.Version, head, count, topics)
	k.out.end(start)
	before := s.release
	s.release = func() { release(); before() }
	return nil
}

// metadataBytes is about how long the answer for one topic is.
func metadataBytes(name string, partitions int32) int { return 32 + len(name) + 38*int(partitions) }

// kafkasOwn are topics in which a broker of Kafka keeps its groups and transactions. Who asks for one wants to read them there, and nothing here writes
// any: better it is not there than made, and empty for ever, so that a monitor says why it sees no groups.
var kafkasOwn = []string{"__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"}

// namedTopic describes a topic by name, making it when that is allowed, or by id.
func (k *conn) namedTopic(ctx context.Context, s *slot, q *kmsg.MetadataRequest, of *kmsg.MetadataRequestTopic) wire.MetadataTopic {
	t := wire.MetadataTopic{ID: of.TopicID, Operations: wire.OperationsUnset}
	if of.Topic == nil {
		name, known := k.g.b.StreamName(s.caller, of.TopicID)
		if known {
			known = k.g.b.Allowed(s.caller, broker.ActionDescribe, broker.KindStream, name) // else it may not know that there is one
		}
		switch {
		case of.TopicID == [16]byte{}:
			t.Code = codeInvalidTopic
			return t
		case !known:
			t.Code = codeUnknownTopicID
			return t
		}
		of.Topic = &name
	}
	t.Name = *of.Topic
	info, err := k.topic(ctx, s.caller, t.Name)
	if fault.Is(err, fault.NotFound) && k.g.cfg.AutoCreate && (q.Version < 4 || q.AllowAutoTopicCreation) && !slices.Contains(kafkasOwn, t.Name) {
		_, made := k.g.b.CreateStream(ctx, s.caller, t.Name, k.g.newStream(0))
		switch {
		case made == nil, fault.Is(made, fault.Exists): // by somebody else, just now
			info, err = k.topic(ctx, s.caller, t.Name)
		case fault.Is(made, fault.Denied): // "it is not there" is what the caller may know
		default:
			err = made
		}
	}
	if err != nil {
		s.err = err
		k.report("", -1, err)
		t.Code = code(fault.As(err), placeRead)
		return t
	}
	t.ID, t.Partitions, t.Internal = info.UID, info.Config.Partitions, isInternal(t.Name)
	if q.IncludeTopicAuthorizedOperations {
		t.Operations = operations(k.g.b, s.caller, broker.KindStream, t.Name)
	}
	return t
}

func (k *conn) topic(ctx context.Context, caller *broker.Caller, name string) (broker.StreamInfo, error) {
	if err := record.CheckStreamName(name); err != nil {
		return broker.StreamInfo{}, err
	}
	return k.g.b.DescribeStream(ctx, caller, name)
}

// address is what this client should connect to.
func (k *conn) address() (host string, port int32) {
	addr := k.g.cfg.Advertise
	if addr == "" {
		addr = k.c.LocalAddr().String()
	}
	host, port, err := splitAddr(addr)
	if err != nil { // a listener in memory
		return "localhost", 9092
	}
	return host, port
}
