package kafka

import (
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// configKey is a topic config: what it may be, what it is when nobody says, and what it means here.
type configKey struct {
	name  string
	kind  kmsg.ConfigType
	value string   // default
	least int64    // of numbers
	words []string // of strings and lists: what they may hold; nil is anything
	doc   string
}

// kept is said of configs that are understood, kept and shown, and change nothing.
const kept = "Kept and shown; it has no effect here."

// bygone are the configs that Kafka 4 does not have any more. They are taken, and shown when they are set: MirrorMaker sets back, on the other side,
// whatever is shown as a default, and a cluster that does not know the name refuses all of it.
var bygone = []string{"message.downconversion.enable", "message.format.version", "message.timestamp.difference.max.ms"}

// configKeys are all topic configs there are, sorted by name. Tools set them without being asked to, so none may be refused.
var configKeys = []configKey{
	{"cleanup.policy", kmsg.ConfigTypeList, "delete", 0, []string{"compact", "delete"}, "delete lets records go by retention.ms and retention.bytes; compact keeps the latest of each key."},
	{"compression.gzip.level", kmsg.ConfigTypeInt, "-1", -1, nil, kept},
	{"compression.lz4.level", kmsg.ConfigTypeInt, "9", 1, nil, kept},
	{"compression.type", kmsg.ConfigTypeString, "producer", 0, []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}, "Batches are stored as their producer compressed them, whatever this says."},
	{"compression.zstd.level", kmsg.ConfigTypeInt, "3", -131072, nil, kept},
	{"delete.retention.ms", kmsg.ConfigTypeLong, "86400000", 0, nil, "How long tombstones stay in a compacted topic."},
	{"file.delete.delay.ms", kmsg.ConfigTypeLong, "60000", 0, nil, kept},
	{"flush.messages", kmsg.ConfigTypeLong, "9223372036854775807", 1, nil, "Kept and shown; every record is synced before it is acknowledged."},
	{"flush.ms", kmsg.ConfigTypeLong, "9223372036854775807", 0, nil, "Kept and shown; every record is synced before it is acknowledged."},
	{"follower.replication.throttled.replicas", kmsg.ConfigTypeList, "", 0, nil, kept},
	{"index.interval.bytes", kmsg.ConfigTypeInt, "4096", 0, nil, kept},
	{"leader.replication.throttled.replicas", kmsg.ConfigTypeList, "", 0, nil, kept},
	{"leat.keys", kmsg.ConfigTypeString, "off", 0, keyModes, "What is kept about keys: nothing, the latest record of each, its history, or numbered versions, which records can expect (leat-expect-version)."},
	{"leat.tags", kmsg.ConfigTypeBoolean, "false", 0, nil, "Types and tags of records (ce_type, ce_tags) are indexed, and conditions on them hold (leat-unless)."},
	{"local.retention.bytes", kmsg.ConfigTypeLong, "-2", -2, nil, kept},
	{"local.retention.ms", kmsg.ConfigTypeLong, "-2", -2, nil, kept},
	{"max.compaction.lag.ms", kmsg.ConfigTypeLong, "9223372036854775807", 1, nil, "In a compacted topic: what a record supersedes is gone so long after it was appended."},
	{"max.message.bytes", kmsg.ConfigTypeInt, "1048588", 0, nil, "Bytes of the largest record batch, as compressed by its producer."},
	{"message.downconversion.enable", kmsg.ConfigTypeBoolean, "true", 0, nil, kept},
	{"message.format.version", kmsg.ConfigTypeString, "3.0-IV1", 0, nil, kept},
	{"message.timestamp.after.max.ms", kmsg.ConfigTypeLong, "3600000", 0, nil, "How far ahead of this node a record's time may be."},
	{"message.timestamp.before.max.ms", kmsg.ConfigTypeLong, "9223372036854775807", 0, nil, "How long ago the time of a batch's first record may be."},
	{"message.timestamp.difference.max.ms", kmsg.ConfigTypeLong, "9223372036854775807", 0, nil, "The older name of both message.timestamp.before.max.ms and message.timestamp.after.max.ms."},
	{"message.timestamp.type", kmsg.ConfigTypeString, "CreateTime", 0, []string{"CreateTime", "LogAppendTime"}, "Whether records carry their producer's time or that of the append."},
	{"min.cleanable.dirty.ratio", kmsg.ConfigTypeDouble, "0.5", 0, nil, "How much of a compacted topic must be superseded before it is compacted, unless max.compaction.lag.ms is over."},
	{"min.compaction.lag.ms", kmsg.ConfigTypeLong, "0", 0, nil, "How long a record stays in a compacted topic at least."},
	{"min.insync.replicas", kmsg.ConfigTypeInt, "1", 1, nil, "Kept and shown; acknowledged records are durable on this node."},
	{"preallocate", kmsg.ConfigTypeBoolean, "false", 0, nil, kept},
	{"remote.log.copy.disable", kmsg.ConfigTypeBoolean, "false", 0, nil, kept},
	{"remote.log.delete.on.disable", kmsg.ConfigTypeBoolean, "false", 0, nil, kept},
	{"remote.storage.enable", kmsg.ConfigTypeBoolean, "false", 0, nil, kept},
	{"retention.bytes", kmsg.ConfigTypeLong, "-1", -1, nil, "Bytes of the newest records of a partition that are kept at least, where cleanup.policy has delete; -1 is all."},
	{"retention.ms", kmsg.ConfigTypeLong, "604800000", -1, nil, "How long records are kept after they were appended, where cleanup.policy has delete; -1 is for ever."},
	{"segment.bytes", kmsg.ConfigTypeInt, "1073741824", 14, nil, "What was appended lately to a compacted topic is left alone until it is so much, where that is set. Otherwise kept and shown."},
	{"segment.index.bytes", kmsg.ConfigTypeInt, "10485760", 4, nil, kept},
	{"segment.jitter.ms", kmsg.ConfigTypeLong, "0", 0, nil, kept},
	{"segment.ms", kmsg.ConfigTypeLong, "604800000", 1, nil, "What was appended lately to a compacted topic is left alone until it is so old, where that is set. Otherwise kept and shown."},
	{"unclean.leader.election.enable", kmsg.ConfigTypeBoolean, "false", 0, nil, kept},
}

// nodeNames are what topic configs are called on a broker, where a default comes from; those that are not here have one name or are not a broker's.
var nodeNames = map[string]string{
	"cleanup.policy": "log.cleanup.policy", "delete.retention.ms": "log.cleaner.delete.retention.ms", "file.delete.delay.ms": "log.segment.delete.delay.ms",
	"flush.messages": "log.flush.interval.messages", "flush.ms": "log.flush.interval.ms", "index.interval.bytes": "log.index.interval.bytes",
	"local.retention.bytes": "log.local.retention.bytes", "local.retention.ms": "log.local.retention.ms", "max.compaction.lag.ms": "log.cleaner.max.compaction.lag.ms",
	"max.message.bytes": "message.max.bytes", "message.timestamp.after.max.ms": "log.message.timestamp.after.max.ms",
	"message.timestamp.before.max.ms": "log.message.timestamp.before.max.ms", "message.timestamp.type": "log.message.timestamp.type",
	"min.cleanable.dirty.ratio": "log.cleaner.min.cleanable.ratio", "min.compaction.lag.ms": "log.cleaner.min.compaction.lag.ms", "preallocate": "log.preallocate",
	"retention.bytes": "log.retention.bytes", "retention.ms": "log.retention.ms", "segment.bytes": "log.segment.bytes", "segment.index.bytes": "log.index.size.max.bytes",
	"segment.jitter.ms": "log.roll.jitter.ms", "segment.ms": "log.roll.ms",
}

func nodeName(name string) string {
	if n, ok := nodeNames[name]; ok {
		return n
	}
	return name
}

// findConfig finds a topic config by name; refusals name the nearest.
func findConfig(name string) (*configKey, string) {
	i, ok := slices.BinarySearchFunc(configKeys, name, func(k configKey, n string) int { return strings.Compare(k.name, n) })
	if ok {
		return &configKeys[i], ""
	}
	best, least := "", len(name)
	for _, k := range configKeys {
		if d := editDistance(name, k.name); d < least {
			best, least = k.name, d
		}
	}
	text := "there is no topic config " + strconv.Quote(clip(name))
	if best != "" && least <= 1+len(best)/3 {
		text += "; the nearest is " + strconv.Quote(best)
	}
	return nil, text
}

// check says what is wrong with a value, or nothing.
func (k *configKey) check(value string) string {
	bad := func(want string) string { return k.name + " is " + strconv.Quote(clip(value)) + "; it must be " + want }
	switch k.kind {
	case kmsg.ConfigTypeInt, kmsg.ConfigTypeLong:
		bits := 64
		if k.kind == kmsg.ConfigTypeInt {
			bits = 32
		}
		n, err := strconv.ParseInt(value, 10, bits)
		if err != nil || n < k.least {
			return bad("a number from " + formatNumber(k.least) + " to " + formatNumber(1<<(bits-1)-1))
		}
	case kmsg.ConfigTypeDouble:
		if f, err := strconv.ParseFloat(value, 64); err != nil || f < 0 || f > 1 {
			return bad("a number from 0 to 1")
		}
	case kmsg.ConfigTypeBoolean:
		if value != "true" && value != "false" {
			return bad("true or false")
		}
	case kmsg.ConfigTypeList:
		for word := range strings.SplitSeq(value, ",") {
			if k.words != nil && !slices.Contains(k.words, strings.TrimSpace(word)) {
				return bad("a list of " + strings.Join(k.words, ", "))
			}
		}
	default:
		if k.words != nil && !slices.Contains(k.words, value) {
			return bad("one of " + strings.Join(k.words, ", "))
		}
	}
	if len(value) > configBytesMax {
		return k.name + " is too long"
	}
	return ""
}

// configBytesMax is the longest value of a topic config.
const configBytesMax = 4096

func parseNumber(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // check has been here
	return n
}

func formatNumber(n int64) string { return strconv.FormatInt(n, 10) }

// clip keeps what is quoted in a refusal short.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}

// editDistance is how many letters must be put in, taken out or changed to make b of a. Both are cut to 64 bytes.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
