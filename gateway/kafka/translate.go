package kafka

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

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
	c := broker.StreamConfig{Partitions: partitions, Keys: broker.KeysOff, Documents: map[string]string{documentBorn: "1"}}
	c.TimeAheadMSMax = timeLimit(&c, timeAhead)
	return c
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
		setRetention(c)
	case "retention.ms", "retention.bytes":
		setRetention(c)
	case "delete.retention.ms":
		c.TombstoneRetentionMS = limitOf(c, name)
	case "min.compaction.lag.ms", "max.compaction.lag.ms", "segment.ms", "segment.bytes":
		*compactionLimit(c, name) = compactionLimitOf(c, name)
	case "min.cleanable.dirty.ratio":
		c.CompactionRatio = compactionRatio(value)
	case timePast, timeAhead, timeOff:
		c.TimePastMSMax, c.TimeAheadMSMax = timeLimit(c, timePast), timeLimit(c, timeAhead)
	case "message.timestamp.type":
		c.TimeOf = broker.TimeOfProducer
		if value != nil && *value == "LogAppendTime" {
			c.TimeOf = broker.TimeOfAppend
		}
	case "leat.keys":
		c.Keys = broker.KeysOff
		if value != nil {
			c.Keys = broker.KeyMode(slices.Index(keyModes, *value)) + broker.KeysOff
		}
	case "leat.tags":
		c.Tags = value != nil && *value == "true"
	case "max.message.bytes":
		c.BatchBytesMax = 0
		if value != nil {
			c.BatchBytesMax = int(parseNumber(*value))
		}
	}
}

// The configs that say how far a producer's time may be off: into the past, ahead, and the older name of both.
const (
	timePast  = "message.timestamp.before.max.ms"
	timeAhead = "message.timestamp.after.max.ms"
	timeOff   = "message.timestamp.difference.max.ms"

	timeAny = "9223372036854775807"

	// timeAheadBorn is what clients of this protocol find where nobody says otherwise, since Kafka 4.0: records of a producer with a wrong clock, or one
	// that gives microseconds, come before those who judge by time (windows of Kafka Streams) otherwise, and cannot be taken back.
	timeAheadBorn = int64(3_600_000)
)

// timeLimit is how far a producer's time may be off by the documents: as its own config says, else the older one for both directions, else what holds by
// itself for topics that clients of this protocol made; 0 is any time. Their 0, which is not at all, is the least there is.
func timeLimit(c *broker.StreamConfig, name string) int64 {
	for _, n := range []string{name, timeOff} {
		if value, set := c.Documents[documentPrefix+n]; set {
			if ms := parseNumber(value); ms <= limitMost {
				return max(ms, 1)
			}
			return 0
		}
	}
	if name == timeAhead && c.Documents[documentBorn] != "" {
		return timeAheadBorn
	}
	return 0
}

// timeConfig is a limit of a producer's time as it holds: as its document says where that is so, else as somebody has set it otherwise. Topics that were made
// before there was a default have none.
func timeConfig(c *broker.StreamConfig, k *configKey, value string, own bool) (string, bool) {
	now := c.TimePastMSMax
	if k.name == timeAhead {
		now = c.TimeAheadMSMax
	}
	switch {
	case own && now == timeLimit(c, k.name):
		return value, true
	case now == 0:
		return timeAny, false
	}
	text := formatNumber(now)
	return text, text != k.value
}

// compactionLimit is where a stream has a number of compaction; nil where the config is none.
func compactionLimit(c *broker.StreamConfig, name string) *int64 {
	switch name {
	case "min.compaction.lag.ms":
		return &c.CompactionLagMS
	case "max.compaction.lag.ms":
		return &c.CompactionMaxLagMS
	case "segment.ms":
		return &c.CompactionTailMS
	case "segment.bytes":
		return &c.CompactionTailBytes
	}
	return nil
}

// compactionLimitOf is such a number as its document has it, 0 where it is not set, or no limit.
func compactionLimitOf(c *broker.StreamConfig, name string) int64 {
	n := parseNumber(c.Documents[documentPrefix+name])
	if n > limitMost && name != "segment.bytes" {
		if name == "min.compaction.lag.ms" {
			return limitMost
		}
		return 0
	}
	return n
}

// compactionRatio is how much of a stream must be superseded. Their 0, which is anything, is the least there is.
func compactionRatio(value *string) float64 {
	const least = 1e-6
	if value == nil {
		return 0
	}
	f, _ := strconv.ParseFloat(*value, 64) // it was checked
	return max(f, least)
}

// keyModes are the values of the config leat.keys, which is what a stream keeps about the keys of its records.
var keyModes = []string{"off", "latest", "history", "versioned"}

// setRetention makes of the topic configs what the stream keeps. A topic that is only compacted lets go of nothing else, whatever is set
// about it; a stream that keeps the latest of each key does when it has a limit. So the limits are in force, or only in the documents.
func setRetention(c *broker.StreamConfig) {
	c.RetentionMS, c.RetentionBytes = broker.Forever, broker.Forever
	if policy, set := c.Documents[documentPrefix+"cleanup.policy"]; set && !strings.Contains(policy, "delete") {
		return
	}
	c.RetentionMS, c.RetentionBytes = limitOf(c, "retention.ms"), limitOf(c, "retention.bytes")
	if c.Keys == broker.KeysLatest && c.RetentionMS == 0 {
		c.RetentionMS = broker.RetentionBornElsewhere.Milliseconds() // of compact,delete
	}
}

// limitMost is the longest time a stream can be told to keep something; more is for ever.
const limitMost = int64(1) << 43

// limitOf is a limit as a stream has it: 0 where it is not set, so that the default holds, and their 0, which is at once, is the least there is.
func limitOf(c *broker.StreamConfig, name string) int64 {
	value, set := c.Documents[documentPrefix+name]
	if !set {
		return 0
	}
	switch n := parseNumber(value); {
	case n == 0:
		return 1
	case n > limitMost && name == "retention.ms":
		return broker.Forever
	case n > limitMost && name == "delete.retention.ms":
		return limitMost
	default:
		return n
	}
}

// topicConfig is the value of a topic config of a stream, and whether it is its own rather than a default. The documents have what a client
// of this protocol has set, word for word; where somebody else has changed what it stands for, that is shown.
func topicConfig(c *broker.StreamConfig, k *configKey) (value string, own bool) {
	value, own = c.Documents[documentPrefix+k.name]
	if now, set, known := inForce(c, k.name); known && (!own || set != now) {
		if now == 0 {
			return defaultOf(c, k), false
		}
		return formatNumber(now), true
	}
	switch k.name {
	case "cleanup.policy":
		return policy(c, value, own)
	case "min.cleanable.dirty.ratio":
		if now := c.CompactionRatio; now != 0 && (!own || now != compactionRatio(&value)) {
			return strconv.FormatFloat(now, 'g', -1, 64), true
		}
	case timePast, timeAhead:
		return timeConfig(c, k, value, own)
	case "leat.tags":
		if c.Tags {
			return "true", true
		}
		return "false", own
	case "leat.keys":
		mode := c.Keys
		if mode == broker.KeysUnset {
			mode = broker.KeysHistory
		}
		return keyModes[mode-broker.KeysOff], own // only who has set it here resets it here
	}
	if own {
		return value, true
	}
	switch {
	case k.name == "message.timestamp.type" && c.TimeOf == broker.TimeOfAppend:
		return "LogAppendTime", true
	case k.name == "max.message.bytes" && c.BatchBytesMax > 0:
		return formatNumber(int64(c.BatchBytesMax)), true
	}
	return defaultOf(c, k), false
}

// defaultOf is what a topic config is when nobody says: streams that other clients made are kept for ever.
func defaultOf(c *broker.StreamConfig, k *configKey) string {
	if k.name == "retention.ms" && c.Documents[documentBorn] == "" {
		return "-1"
	}
	return k.value
}

// policy is the cleanup policy: what the document says, as long as it is what the stream does.
func policy(c *broker.StreamConfig, value string, own bool) (string, bool) {
	limited := c.RetentionMS > 0 || c.RetentionBytes > 0
	switch compacted, deletes := strings.Contains(value, "compact"), strings.Contains(value, "delete"); {
	case c.Keys != broker.KeysLatest && compacted, c.Keys != broker.KeysLatest && !own:
		return "delete", false
	case c.Keys == broker.KeysLatest && (!compacted || !deletes && limited):
		if limited {
			return "compact,delete", true
		}
		return "compact", true
	}
	return value, true
}

// inForce is what holds of a limit, and what would if the documents alone had been heard; known is false of what is no limit, or not in
// force because the topic is only compacted.
func inForce(c *broker.StreamConfig, name string) (now, set int64, known bool) {
	was := *c
	setRetention(&was)
	switch name {
	case "retention.ms":
		now, set = c.RetentionMS, was.RetentionMS
	case "retention.bytes":
		now, set = c.RetentionBytes, was.RetentionBytes
	case "delete.retention.ms":
		return c.TombstoneRetentionMS, limitOf(c, name), true
	case "min.compaction.lag.ms":
		return c.CompactionLagMS, compactionLimitOf(c, name), true
	case "max.compaction.lag.ms", "segment.ms", "segment.bytes":
		now, set = *compactionLimit(c, name), compactionLimitOf(c, name)
	default:
		return 0, 0, false
	}
	// A document without a limit is of a time when limits were kept and not yet in force: it says what is wanted.
	_, own := c.Documents[documentPrefix+name]
	return now, set, now != set && (now != 0 || !own)
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
	timestampLocal    = -4
	timestampMoved    = -5
	timestampMoving   = -6
)

// offsetSpec is what a timestamp of ListOffsets asks for; false is a timestamp that asks for nothing we know.
func offsetSpec(stream string, partition int32, timestamp int64) (broker.OffsetSpec, bool) {
	s := broker.OffsetSpec{Stream: stream, Partition: record.PartitionID(partition)}
	switch {
	case timestamp == timestampLatest:
		s.At = broker.StartLatest
	case timestamp == timestampEarliest, timestamp == timestampLocal, timestamp == timestampMoved, timestamp == timestampMoving:
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

// truncationPlace is what an offset of DeleteRecords stands for: -1 is the high watermark.
func truncationPlace(offset int64) broker.Start {
	if offset == timestampLatest {
		return broker.Start{Kind: broker.StartLatest}
	}
	return broker.Start{Kind: broker.StartOffset, Offset: record.Offset(offset)}
}

// produceResult is the answer to one appended batch.
func produceResult(partition int32, r *broker.BatchResult) wire.ProduceResult {
	if r.Err != nil {
		refused := refusedPart(partition, code(r.Err, placeAppend), r.Err.Text)
		switch d := r.Err.Detail.(type) {
		case []broker.FailedCondition:
			for i := range d[:min(len(d), recordErrorsMax)] {
				at := d[i].Event
				if d[i].Found != nil {
					at = d[i].Found.Unless
				}
				refused.Errors = append(refused.Errors, wire.RecordError{Index: int32(at), Message: d[i].String()})
			}
		case *broker.ContractBreak:
			refused.Errors = []wire.RecordError{{Index: int32(d.Index), Message: d.Text}}
		}
		if keyless, ok := r.Err.Detail.(broker.Keyless); ok { // so that clients know which of their records they may send again
			for _, at := range keyless {
				refused.Errors = append(refused.Errors, wire.RecordError{Index: at, Message: "a record without a key, in a topic that is compacted"})
			}
		}
		return refused
	}
	return wire.ProduceResult{Partition: partition, Base: int64(r.Base), AppendTime: r.AppendTime, Start: int64(r.Start)}
}

// recordErrorsMax is how many records of a batch an answer tells of.
const recordErrorsMax = 1000

// refusedPart is the answer to a batch that is not appended.
func refusedPart(partition int32, code int16, text string) wire.ProduceResult {
	return wire.ProduceResult{Partition: partition, Code: code, Base: -1, AppendTime: -1, Start: -1, Message: text}
}

// fetchResult is the answer for one partition that was read. The batches go into raw, behind what is in it.
func fetchResult(partition int32, r *broker.ReadResult, raw *[]wire.Piece) wire.FetchResult {
	if r.Err != nil {
		f := refusedFetch(partition, code(r.Err, placeRead))
		if f.Code == codeOffsetOutOfRange { // the bounds are what the client needs next
			f.High, f.Stable, f.Start = int64(r.End), int64(r.Stable), int64(r.Start)
		}
		return f
	}
	from := len(*raw)
	for _, b := range r.Batches {
		if b.Span != nil {
			*raw = append(*raw, wire.Piece{Place: b.Span})
			continue
		}
		*raw = appendBatch(*raw, b.Raw, r.Epoch(b))
	}
	f := wire.FetchResult{
		Partition: partition,
		High:      int64(r.End), Stable: int64(r.Stable), Start: int64(r.Start), Batches: (*raw)[from:len(*raw):len(*raw)],
	}
	for i := range r.Aborted {
		f.Aborted = append(f.Aborted, wire.Aborted{Producer: r.Aborted[i].Producer, First: int64(r.Aborted[i].First)})
	}
	return f
}

// appendBatch appends a stored batch as it is sent. Stored ones say leader epoch 0, as all do of a node that was never restored; the bytes of
// others are put in between, since what is stored belongs to all who read it. The checksum does not cover them.
func appendBatch(raw []wire.Piece, batch []byte, epoch int32) []wire.Piece {
	const at, behind = 12, 16
	if epoch == 0 || len(batch) < behind {
		return append(raw, wire.Piece{Bytes: batch})
	}
	return append(raw, wire.Piece{Bytes: batch[:at:at]}, wire.Piece{Bytes: binary.BigEndian.AppendUint32(nil, uint32(epoch))}, wire.Piece{Bytes: batch[behind:]})
}

// refusedFetch is the answer for a partition that is not read.
func refusedFetch(partition int32, code int16) wire.FetchResult {
	return wire.FetchResult{Partition: partition, Code: code, High: -1, Stable: -1, Start: -1}
}

// throttle is how long a refused producer or administrator should keep away.
func throttle(e *fault.Error, sofar int32) int32 {
	if e == nil || e.Kind != fault.QuotaSpent {
		return sofar
	}
	return max(sofar, throttleFor(time.Duration(e.AfterMS)*time.Millisecond))
}

// throttleFor is a time to keep away, as clients are told it.
func throttleFor(d time.Duration) int32 {
	const throttleMSMax = 30_000
	return int32(min(d.Milliseconds(), throttleMSMax))
}

// operations is the bit field of what the caller may do with a stream, a subscription (a group), a producer (a transactional id) or the node (the
// cluster, of no name), as clients that ask for authorized operations read it: bit n is the protocol's ACL operation n.
func operations(b *broker.Broker, c *broker.Caller, kind broker.Kind, name string) int32 {
	var bits int32
	for i := range aclKinds {
		if aclKinds[i].kind != kind {
			continue
		}
		for _, op := range aclKinds[i].ops {
			if operationAllowed(b, c, kind, name, op) {
				bits |= 1 << op
			}
		}
	}
	return bits
}

func operationAllowed(b *broker.Broker, c *broker.Caller, kind broker.Kind, name string, op kmsg.ACLOperation) bool {
	if op == kmsg.ACLOperationIdempotentWrite {
		return true // who may write may do so idempotently
	}
	if kind == broker.KindNode && op == kmsg.ACLOperationCreate && b.Allowed(c, broker.ActionCreate, broker.KindStream, "*") {
		return true
	}
	for _, a := range aclActions {
		if a.operation == op {
			return b.Allowed(c, a.action, kind, name)
		}
	}
	return false
}

// isInternal reports whether clients should hide a topic from people unless asked.
func isInternal(name string) bool {
	return strings.HasPrefix(name, "leat.") || strings.HasPrefix(name, "__")
}
