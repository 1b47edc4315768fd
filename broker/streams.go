package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// KeyMode is what a stream keeps about the keys of its records.
type KeyMode = stream.KeyMode

// The key modes; see stream.KeyMode.
const (
	KeysUnset     = stream.KeysUnset
	KeysOff       = stream.KeysOff
	KeysLatest    = stream.KeysLatest
	KeysHistory   = stream.KeysHistory
	KeysVersioned = stream.KeysVersioned
)

// TimeKind says whose time a stream's records carry.
type TimeKind uint8

const (
	TimeOfProducer TimeKind = iota
	TimeOfAppend
)

// StreamConfig is what can be set about a stream.
type StreamConfig struct {
	Partitions    int32    `json:"partitions"`
	Keys          KeyMode  `json:"keys,omitempty"` // KeysUnset becomes KeysHistory, and KeysVersioned when a version is first asked for
	TimeOf        TimeKind `json:"time_of,omitempty"`
	BatchBytesMax int      `json:"batch_bytes_max,omitempty"` // 0: the node's

	TimePastMSMax  int64 `json:"time_past_ms_max,omitempty"`  // how long ago a producer's time may be; 0: any time
	TimeAheadMSMax int64 `json:"time_ahead_ms_max,omitempty"` // how far ahead it may be; 0: any time

	DefaultType string            `json:"default_type,omitempty"` // CloudEvents type of records that have none
	LinkedBy    string            `json:"linked_by,omitempty"`    // the link by which this is a copy of another log: only that appends
	Documents   map[string]string `json:"documents,omitempty"`    // settings that gateways own, kept verbatim

	Tags bool `json:"tags,omitempty"` // types and tags of events are indexed: they can be read by them, and appended on a condition about them

	Keep
}

// effectiveKeys is the mode that an unset one stands for.
func (c *StreamConfig) effectiveKeys() KeyMode {
	if c.Keys == KeysUnset {
		return KeysHistory
	}
	return c.Keys
}

// PartitionInfo is one partition of a stream: its offsets are Start <= o < End.
type PartitionInfo struct {
	Start, End record.Offset
}

// StreamInfo is a stream as described.
type StreamInfo struct {
	Name       string
	Namespace  string
	ID         record.StreamID
	UID        StreamUID
	Config     StreamConfig
	Keys       KeyMode // the mode in force, or being built
	Building   int     // percent of what a change of Keys needs; -1: nothing is being built
	Partitions []PartitionInfo
	Created    time.Time
	Revision   uint64
}

// StreamSummary is a stream as listed.
type StreamSummary struct {
	Name       string
	ID         record.StreamID
	UID        StreamUID
	Partitions int32
	Internal   bool // its name starts with "leat." or "__"
}

type streamDocument struct {
	StreamConfig
	CreatedMS int64 `json:"created_ms"`
}

func readStreamDocument(p []byte) (*named, error) {
	var d streamDocument
	if err := json.Unmarshal(p, &d); err != nil {
		return nil, err
	}
	return &named{config: &d.StreamConfig, created: time.UnixMilli(d.CreatedMS)}, nil
}

// alikeMax is how many different settings of streams are known, so that the very many streams that are alike share what is behind them.
const alikeMax = 256

var createdField = []byte(`,"created_ms":`)

// DefaultTypeIn is the type that a stream's document in the catalog has for events that have none; empty where it says nothing.
func DefaultTypeIn(document []byte) (string, error) {
	n, err := readStreamDocument(document)
	if err != nil {
		return "", err
	}
	return n.config.DefaultType, nil
}

// readAlike is readStreamDocument for a document that is like one before but for its time. Nobody changes what is shared.
func (n *names) readAlike(p []byte) (*named, error) {
	i := bytes.LastIndex(p, createdField)
	if i < 0 {
		return readStreamDocument(p)
	}
	ms, err := strconv.ParseInt(string(bytes.TrimSuffix(p[i+len(createdField):], []byte("}"))), 10, 64)
	if err != nil {
		return readStreamDocument(p)
	}
	n.mu.RLock()
	config, known := n.alike[string(p[:i])]
	n.mu.RUnlock()
	if known {
		return &named{config: config, created: time.UnixMilli(ms)}, nil
	}
	x, err := readStreamDocument(p)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.alike) >= alikeMax {
		clear(n.alike)
	}
	n.alike[string(p[:i])] = x.config
	return x, nil
}

func (d *streamDocument) bytes() []byte {
	p, err := json.Marshal(d)
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	return p
}

// checked is bytes, unless they are too many for the stream to be deleted later: then its document goes into another one.
func (d *streamDocument) checked() ([]byte, error) {
	p := d.bytes()
	if limit := catalog.DocumentBytesMax - trashBytesMax; len(p) > limit {
		return nil, fault.New(fault.TooLarge, "create", "documents", "the stream's configuration has %d bytes; the limit is %d", len(p), limit)
	}
	return p, nil
}

// checkConfig fills defaults in and refuses what is out of bounds.
func (b *Broker) checkConfig(name string, c *StreamConfig) error {
	if err := record.CheckStreamName(name); err != nil {
		return err
	}
	if c.Partitions == 0 {
		c.Partitions = b.cfg.DefaultPartitions
	}
	switch {
	case c.Partitions < 1 || c.Partitions > stream.PartitionsMax:
		return fault.New(fault.Invalid, "create", "partitions", "partitions is %d; it must be between 1 and %d", c.Partitions, stream.PartitionsMax)
	case c.Keys > KeysVersioned:
		return fault.New(fault.Invalid, "create", "keys", "keys must be off, latest, history or versioned")
	case c.BatchBytesMax < 0 || c.BatchBytesMax > BatchBytesLimit:
		return fault.New(fault.Invalid, "create", "batch_bytes_max", "batch_bytes_max is %d; it must be between 1 and %d", c.BatchBytesMax, BatchBytesLimit)
	case c.TimePastMSMax < 0 || c.TimeAheadMSMax < 0:
		return fault.New(fault.Invalid, "create", "time_past_ms_max", "time_past_ms_max is %d and time_ahead_ms_max %d; they must be 0, which is any time, or more", c.TimePastMSMax, c.TimeAheadMSMax)
	case c.Tags && (c.Keys == KeysLatest || strings.HasPrefix(name, platformPrefix)):
		return fault.New(fault.Unsupported, "create", "tags", "types and tags are indexed of streams that keep all of their events and are no stream of the platform's own")
	case len(c.DefaultType) > 256:
		return fault.New(fault.Invalid, "create", "default_type", "default_type is longer than 256 bytes")
	}
	return b.checkKeep(c)
}

// CheckCreateStream says whether CreateStream would be refused, and changes nothing.
func (b *Broker) CheckCreateStream(_ context.Context, c *Caller, name string, cfg StreamConfig) error {
	if err := b.checkConfig(name, &cfg); err != nil {
		return err
	}
	if err := b.allow(c, "create", ActionCreate, KindStream, name); err != nil {
		return err
	}
	if b.names.get(c.namespace(), name) != nil {
		return fault.New(fault.Exists, "create", name, "a stream named %q exists", name)
	}
	return nil
}

// CreateStream makes a stream. Exists when there is one of that name.
func (b *Broker) CreateStream(ctx context.Context, c *Caller, name string, cfg StreamConfig) (StreamInfo, error) {
	if err := b.CheckCreateStream(ctx, c, name, cfg); err != nil {
		return StreamInfo{}, err
	}
	if err := b.create(ctx, c, name, cfg); err != nil {
		return StreamInfo{}, err
	}
	return b.describe(c, name)
}

func (b *Broker) create(ctx context.Context, c *Caller, name string, cfg StreamConfig) error {
	namespace := c.namespace()
	if err := b.checkConfig(name, &cfg); err != nil {
		return err
	}
	if err := record.CheckStreamName(namespace); err != nil {
		return fault.New(fault.Invalid, "create", "namespace", "the name of a namespace follows the rules of stream names: %s", fault.As(err).Text)
	}
	b.names.mu.RLock()
	count := len(b.names.streams) + b.names.trashed
	b.names.mu.RUnlock()
	if count >= b.cfg.StreamsMax {
		return fault.New(fault.QuotaSpent, "create", name, "the node has %d streams, with those that can still be undeleted, which is its limit (broker.streams_max)", count)
	}
	cfg.Documents = maps.Clone(cfg.Documents)
	doc := streamDocument{cfg, b.nowMS()}
	text, err := doc.checked()
	if err != nil {
		return err
	}
	return b.do(ctx, c, namespace, &shard.CreateStream{
		Name: streamName(namespace, name), Document: text, Partitions: int(cfg.Partitions), Keys: cfg.effectiveKeys(), Terms: cfg.Tags,
	})
}

func streamName(namespace, name string) catalog.Name {
	return catalog.Name{Kind: catalog.Stream, Namespace: namespace, Name: name}
}

const alterTriesMax = 10 // when others change the same stream at the same time

// AlterStream lets change edit the configuration. Partitions can grow but not shrink. With a revision other than 0, the stream must
// still be at it.
func (b *Broker) AlterStream(ctx context.Context, c *Caller, name string, change func(*StreamConfig) error, revision uint64) (StreamInfo, error) {
	if err := b.allow(c, "alter", ActionAlter, KindStream, name); err != nil {
		return StreamInfo{}, err
	}
	var err error
	for range alterTriesMax {
		if err = b.alterOnce(ctx, c, name, change, revision); !fault.Is(err, fault.Conflict) || revision != 0 {
			break
		}
	}
	if err != nil {
		return StreamInfo{}, err
	}
	return b.describe(c, name)
}

func (b *Broker) alterOnce(ctx context.Context, c *Caller, name string, change func(*StreamConfig) error, revision uint64) error {
	n, err := b.find(c, "alter", name)
	if err != nil {
		return err
	}
	if revision != 0 && revision != n.revision {
		return fault.New(fault.Conflict, "alter", name, "the stream is at revision %d, not %d", n.revision, revision).Because(fault.ReasonRevision)
	}
	cfg := *n.config
	cfg.Documents = maps.Clone(cfg.Documents)
	if err := change(&cfg); err != nil {
		return err
	}
	if n.config.Immutable && !cfg.Immutable {
		return kept("alter", name, "the stream is immutable, which cannot be switched off")
	}
	if err := b.checkConfig(name, &cfg); err != nil {
		return err
	}
	doc := streamDocument{cfg, n.created.UnixMilli()}
	text, err := doc.checked()
	if err != nil {
		return err
	}
	return b.do(ctx, c, n.namespace, &shard.AlterStream{
		Name: streamName(n.namespace, name), Document: text, Revision: n.revision, Partitions: int(cfg.Partitions), Keys: cfg.effectiveKeys(), Terms: cfg.Tags,
	})
}

// DescribeStream tells all about one stream.
func (b *Broker) DescribeStream(_ context.Context, c *Caller, name string) (StreamInfo, error) {
	if err := b.allow(c, "describe", ActionDescribe, KindStream, name); err != nil {
		return StreamInfo{}, err
	}
	return b.describe(c, name)
}

func (b *Broker) describe(c *Caller, name string) (StreamInfo, error) {
	n, err := b.find(c, "describe", name)
	if err != nil {
		return StreamInfo{}, err
	}
	info := StreamInfo{
		Name: n.name, Namespace: n.namespace, ID: n.id, UID: n.uid, Config: *n.config, Keys: n.config.effectiveKeys(), Created: n.created, Revision: n.revision, Building: -1,
	}
	p := b.shards[n.shard].Published()
	if st, ok := p.Stream(n.id); ok && st.Building {
		info.Building = p.BuildingPercent(n.id)
	}
	for i := range n.config.Partitions {
		if part := p.Part(n.id, record.PartitionID(i)); part != nil {
			start, end := part.Ends()
			info.Partitions = append(info.Partitions, PartitionInfo{start, end})
		}
	}
	return info, nil
}

// ListStreams lists the streams of the caller's namespace that the caller may describe, by name.
func (b *Broker) ListStreams(_ context.Context, c *Caller) ([]StreamSummary, error) {
	ns := c.namespace()
	may := b.allowed(c, ActionDescribe, KindStream)
	b.names.mu.RLock()
	out := make([]StreamSummary, 0, len(b.names.streams))
	for k, n := range b.names.streams {
		if k.namespace == ns && may(k.name) {
			out = append(out, StreamSummary{n.name, n.id, n.uid, n.config.Partitions, internalName(n.name)})
		}
	}
	b.names.mu.RUnlock()
	slices.SortFunc(out, func(a, b StreamSummary) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// DefaultType is the CloudEvents type of records of a stream that have none, also of a stream that is yet to be made.
func (b *Broker) DefaultType(c *Caller, name string) string {
	if n := b.names.get(c.namespace(), name); n != nil && n.config.DefaultType != "" {
		return n.config.DefaultType
	}
	return DefaultEventType
}

func internalName(name string) bool {
	return strings.HasPrefix(name, "leat.") || strings.HasPrefix(name, "__")
}

// find resolves a name; what is not there is NotFound with the nearest name.
func (b *Broker) find(c *Caller, op, name string) (*named, error) {
	if n := b.names.get(c.namespace(), name); n != nil {
		return n, nil
	}
	if err := record.CheckStreamName(name); err != nil {
		return nil, err
	}
	if t := b.trashed(c, name); t != nil {
		return nil, fault.New(fault.NotFound, op, name, "the stream %q was deleted at %s; until %s `leat stream undelete %s` brings it back",
			name, t.Deleted.UTC().Format(time.RFC3339), t.Until.UTC().Format(time.RFC3339), name)
	}
	if near := b.nearest(c, name); near != "" {
		return nil, fault.New(fault.NotFound, op, name, "there is no stream %q; did you mean %q?", name, near)
	}
	return nil, fault.New(fault.NotFound, op, name, "there is no stream %q", name)
}

const nearestScanMax = 10_000 // names compared for a suggestion

func (b *Broker) nearest(c *Caller, name string) string {
	may := b.allowed(c, ActionDescribe, KindStream)
	best, at := len(name)/3+2, ""
	b.names.mu.RLock()
	defer b.names.mu.RUnlock()
	scanned := 0
	for k := range b.names.streams {
		if scanned++; scanned > nearestScanMax {
			break
		}
		if k.namespace != c.namespace() || !may(k.name) {
			continue
		}
		if d := distance(name, k.name, best); d < best || d == best && at != "" && k.name < at {
			best, at = d, k.name
		}
	}
	return at
}

// distance is Levenshtein's; what is certainly beyond limit is only said to be more than that.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit || len(a) > 64 || len(b) > 64 {
		return limit + 1
	}
	var row [65]int
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost = 1 + min(diag, row[j], row[j+1])
			}
			diag, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
