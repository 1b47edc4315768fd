package kafka

import (
	"maps"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/kafka/wire"
)

// This file is the only one that knows both vocabularies: their topic is our stream, of the same name; a partition, an offset and a
// record batch are the same thing in both; their topic configs are documents of the stream, a few of which mean something to us.

// documentPrefix is before the name of each topic config among a stream's documents.
const documentPrefix = "kafka."

// documentBorn marks streams that a client of this protocol made: their defaults are Kafka's, where those of other streams are Leat's.
const documentBorn = documentPrefix + "born"

// newStream is the configuration of a stream that a client of this protocol makes. Zero or less partitions are the default.
func (g *Gateway) newStream(partitions int32) broker.StreamConfig {
	if partitions <= 0 {
		partitions = g.cfg.PartitionsDefault
	}
	return broker.StreamConfig{Partitions: partitions, Keys: broker.KeysOff, Documents: map[string]string{documentBorn: "1"}}
}

// setTopicConfig writes one topic config into a stream's; nil removes it. The value has been checked. The documents are replaced, not
// changed, because others may hold the old ones.
func setTopicConfig(c *broker.StreamConfig, name string, value *string) {
	docs := maps.Clone(c.Documents)
	if docs == nil {
		docs = map[string]string{}
	}
	if value == nil {
		delete(docs, documentPrefix+name)
	} else {
		docs[documentPrefix+name] = *value
	}
	c.Documents = docs
	switch name {
	case "cleanup.policy":
		compacted := value != nil && strings.Contains(*value, "compact")
		switch {
		case compacted && c.Keys == broker.KeysOff, compacted && c.Keys == broker.KeysUnset:
			c.Keys = broker.KeysLatest
		case !compacted && c.Keys == broker.KeysLatest:
			c.Keys = broker.KeysOff
		}
	case "message.timestamp.type":
		c.TimeOf = broker.TimeOfProducer
		if value != nil && *value == "LogAppendTime" {
			c.TimeOf = broker.TimeOfAppend
		}
	case "max.message.bytes":
		c.BatchBytesMax = 0
		if value != nil {
			c.BatchBytesMax = int(parseNumber(*value))
		}
	}
}

// topicConfig is the value of a topic config of a stream, and whether it is its own rather than a default.
func topicConfig(c *broker.StreamConfig, k *configKey) (value string, own bool) {
	value, own = c.Documents[documentPrefix+k.name]
	if own {
		return value, true
	}
	switch {
	case k.name == "cleanup.policy" && c.Keys == broker.KeysLatest:
		return "compact", true
	case k.name == "message.timestamp.type" && c.TimeOf == broker.TimeOfAppend:
		return "LogAppendTime", true
	case k.name == "max.message.bytes" && c.BatchBytesMax > 0:
		return formatNumber(int64(c.BatchBytesMax)), true
	case k.name == "retention.ms" && c.Documents[documentBorn] == "":
		return "-1", false
	}
	return k.value, false
}

// clearTopicConfigs removes all topic configs from a stream's configuration.
func clearTopicConfigs(c *broker.StreamConfig) {
	for _, k := range configKeys {
		if _, own := topicConfig(c, &k); own {
			setTopicConfig(c, k.name, nil)
		}
	}
}

// Timestamps that stand for places in ListOffsets.
const (
	timestampLatest   = -1
	timestampEarliest = -2
	timestampMax      = -3
)

// offsetSpec is what a timestamp of ListOffsets asks for; false is a timestamp that asks for nothing we know.
func offsetSpec(stream string, partition int32, timestamp int64) (broker.OffsetSpec, bool) {
	s := broker.OffsetSpec{Stream: stream, Partition: record.PartitionID(partition)}
	switch {
	case timestamp == timestampLatest:
		s.At = broker.StartLatest
	case timestamp == timestampEarliest:
		s.At = broker.StartEarliest
	case timestamp == timestampMax:
		s.At = broker.StartMaxTime
	case timestamp >= 0:
		s.At, s.Time = broker.StartCreateTime, timestamp
	default:
		return s, false
	}
	return s, true
}

// produceResult is the answer to one appended batch.
func produceResult(partition int32, r *broker.BatchResult) wire.ProduceResult {
	if r.Err != nil {
		return refusedPart(partition, code(r.Err, placeAppend), r.Err.Text)
	}
	return wire.ProduceResult{Partition: partition, Base: int64(r.Base), AppendTime: r.AppendTime, Start: int64(r.Start)}
}

// refusedPart is the answer to a batch that is not appended.
func refusedPart(partition int32, code int16, text string) wire.ProduceResult {
	return wire.ProduceResult{Partition: partition, Code: code, Base: -1, AppendTime: -1, Start: -1, Message: text}
}

// fetchResult is the answer for one partition that was read. The batches go into raw, behind what is in it.
func fetchResult(partition int32, r *broker.ReadResult, raw *[][]byte) wire.FetchResult {
	if r.Err != nil {
		f := refusedFetch(partition, code(r.Err, placeRead))
		if f.Code == codeOffsetOutOfRange { // the bounds are what the client needs next
			f.High, f.Stable, f.Start = int64(r.End), int64(r.Stable), int64(r.Start)
		}
		return f
	}
	from := len(*raw)
	for _, b := range r.Batches {
		*raw = append(*raw, b.Raw)
	}
	return wire.FetchResult{
		Partition: partition,
		High:      int64(r.End), Stable: int64(r.Stable), Start: int64(r.Start), Batches: (*raw)[from:len(*raw):len(*raw)],
	}
}

// refusedFetch is the answer for a partition that is not read.
func refusedFetch(partition int32, code int16) wire.FetchResult {
	return wire.FetchResult{Partition: partition, Code: code, High: -1, Stable: -1, Start: -1}
}

// throttle is how long a refused producer or administrator should keep away.
func throttle(e *fault.Error, sofar int32) int32 {
	const throttleMSMax = 30_000
	if e == nil || e.Kind != fault.QuotaSpent {
		return sofar
	}
	return max(sofar, int32(min(e.AfterMS, throttleMSMax)))
}

// operations is the bit field of what the caller may do with a stream, as clients that ask for authorized operations read it: bit n is
// the protocol's ACL operation n.
func operations(b *broker.Broker, c *broker.Caller, kind broker.Kind, name string) int32 {
	const (
		opRead, opWrite, opCreate, opDelete, opAlter, opDescribe = 3, 4, 5, 6, 7, 8
		opDescribeConfigs, opAlterConfigs, opIdempotentWrite     = 10, 11, 12
	)
	var bits int32
	for _, a := range []struct {
		action broker.Action
		ops    []int
	}{
		{broker.ActionRead, []int{opRead}},
		{broker.ActionWrite, []int{opWrite}},
		{broker.ActionCreate, []int{opCreate}},
		{broker.ActionDelete, []int{opDelete}},
		{broker.ActionAlter, []int{opAlter, opAlterConfigs}},
		{broker.ActionDescribe, []int{opDescribe, opDescribeConfigs}},
	} {
		if b.Allowed(c, a.action, kind, name) {
			for _, op := range a.ops {
				bits |= 1 << op
			}
		}
	}
	if kind != broker.KindStream {
		bits &^= 1<<opRead | 1<<opWrite | 1<<opDelete // the protocol has no such operations on a cluster
		bits |= 1 << opIdempotentWrite
	}
	return bits
}

// isInternal reports whether clients should hide a topic from people unless asked.
func isInternal(name string) bool {
	return strings.HasPrefix(name, "leat.") || strings.HasPrefix(name, "__")
}
