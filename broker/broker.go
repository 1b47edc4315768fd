package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/access"
	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state"
)

// DefaultNamespace is meant when none is named.
const DefaultNamespace = "default"

// Config holds the limits of a broker. The zero value is not usable; start from Default.
type Config struct {
	HotTailBytes       int64         `yaml:"hot_tail_bytes" doc:"newest batches kept in memory, per shard"`
	KeptEventsBytes    int64         `yaml:"kept_events_bytes" doc:"events that were read by key or by ref, kept in memory; 0 keeps none"`
	MemoryBytes        int64         `yaml:"memory_bytes" doc:"requests in flight, all connections together"`
	ReserveWait        time.Duration `yaml:"reserve_wait" doc:"how long a request waits for memory before it is refused"`
	InboxMax           int           `yaml:"inbox_max" doc:"requests waiting to be decided, per shard"`
	VersionsMax        int           `yaml:"versions_max" doc:"versions of recently used keys kept in memory, per shard"`
	DedupWindow        time.Duration `yaml:"dedup_window" doc:"how long the same (source, id) is one event"`
	BatchBytesMax      int           `yaml:"batch_bytes_max" doc:"largest batch a stream takes unless it says otherwise"`
	RequestEventsMax   int           `yaml:"request_events_max" doc:"events in one atomic append"`
	KeyBytesMax        int           `yaml:"key_bytes_max" doc:"largest key in a stream that keeps keys"`
	StreamsMax         int           `yaml:"streams_max" doc:"streams of a node"`
	DefaultPartitions  int32         `yaml:"default_partitions" doc:"partitions of a stream that does not say"`
	StateFlushInterval time.Duration `yaml:"state_flush_interval" doc:"how often rows are made durable, which bounds the replay at start"`
	PageScanMax        int           `yaml:"page_scan_max" doc:"records that one page may look at"`
	AuditScanMax       int           `yaml:"audit_scan_max" doc:"appends that one answer of an audit may look at"`
	RetentionInterval  time.Duration `yaml:"retention_interval" doc:"how often retention is looked at"`
	UndeleteWindow     time.Duration `yaml:"undelete_window" doc:"how long a deleted stream can be brought back; 0 deletes at once"`

	SegmentWindowBytes     int64         `yaml:"segment_window_bytes" doc:"moved from the journal to segment files at a time, per shard"`
	SegmentEarlyBytes      int64         `yaml:"segment_early_bytes" doc:"moved before that where few partitions are written to, so that their pieces are large; 0: an eighth of it, but at least 64MiB"`
	SegmentBacklogBytesMax int64         `yaml:"segment_backlog_bytes_max" doc:"waiting to be moved, per shard; beyond it appends are slowed down; 0: what journal.ring_bytes holds"`
	KeepInterval           time.Duration `yaml:"keep_interval" doc:"between looks for segment files to merge or remove"`

	PrincipalEventsPerSecond int64 `yaml:"principal_events_per_second" doc:"events that a principal without a quota of its own may append a second; 0: no limit"`
	PrincipalBytesPerSecond  int64 `yaml:"principal_bytes_per_second" doc:"likewise bytes"`
}

// Default returns the limits a node starts with.
func Default() Config {
	return Config{
		HotTailBytes: 64 << 20, KeptEventsBytes: 64 << 20, MemoryBytes: 512 << 20, ReserveWait: 5 * time.Second, InboxMax: 8192, VersionsMax: 2 << 20, DedupWindow: 10 * time.Minute,
		BatchBytesMax: 1_048_588, RequestEventsMax: 10_000, KeyBytesMax: 32 << 10, StreamsMax: 1_000_000, DefaultPartitions: 1,
		StateFlushInterval: 10 * time.Second, PageScanMax: 10_000, AuditScanMax: 50_000,
		RetentionInterval: 30 * time.Second, UndeleteWindow: 24 * time.Hour,
		SegmentWindowBytes: 512 << 20, KeepInterval: 10 * time.Second,
	}
}

// Validate reports the first setting that is out of its bounds.
func (c *Config) Validate() error {
	for _, x := range []struct {
		name        string
		v, min, max int64
	}{
		{"hot_tail_bytes", c.HotTailBytes, 0, 64 << 30},
		{"kept_events_bytes", c.KeptEventsBytes, 0, 64 << 30},
		{"memory_bytes", c.MemoryBytes, 16 << 20, 1 << 40},
		{"reserve_wait", int64(c.ReserveWait), 0, int64(time.Minute)},
		{"inbox_max", int64(c.InboxMax), 16, 1 << 20},
		{"versions_max", int64(c.VersionsMax), 0, 1 << 30},
		{"dedup_window", int64(c.DedupWindow), 0, int64(7 * 24 * time.Hour)},
		{"batch_bytes_max", int64(c.BatchBytesMax), 1 << 10, BatchBytesLimit},
		{"request_events_max", int64(c.RequestEventsMax), 1, 1 << 20},
		{"key_bytes_max", int64(c.KeyBytesMax), 16, 256 << 10},
		{"streams_max", int64(c.StreamsMax), 1, 10_000_000},
		{"principal_events_per_second", c.PrincipalEventsPerSecond, 0, access.QuotaEventsMax},
		{"principal_bytes_per_second", c.PrincipalBytesPerSecond, 0, access.QuotaBytesMax},
		{"default_partitions", int64(c.DefaultPartitions), 1, stream.PartitionsMax},
		{"state_flush_interval", int64(c.StateFlushInterval), int64(100 * time.Millisecond), int64(time.Hour)},
		{"page_scan_max", int64(c.PageScanMax), 100, 1 << 20},
		{"audit_scan_max", int64(c.AuditScanMax), 10, 1 << 24},
		{"retention_interval", int64(c.RetentionInterval), int64(100 * time.Millisecond), int64(time.Hour)},
		{"undelete_window", int64(c.UndeleteWindow), 0, int64(365 * 24 * time.Hour)},
		{"segment_window_bytes", c.SegmentWindowBytes, 16 << 10, 512 << 30},
		{"segment_early_bytes", c.SegmentEarlyBytes, 0, c.SegmentWindowBytes},
		{"segment_backlog_bytes_max", c.backlogBytes(), c.SegmentWindowBytes + c.SegmentWindowBytes/2, 1 << 40},
		{"keep_interval", int64(c.KeepInterval), int64(10 * time.Millisecond), int64(time.Hour)},
	} {
		if x.v < x.min || x.v > x.max {
			return fmt.Errorf("broker.%s is %d; it must be between %d and %d", x.name, x.v, x.min, x.max)
		}
	}
	return nil
}

// backlogBytes is SegmentBacklogBytesMax, or one and a half windows where nothing is said.
func (c *Config) backlogBytes() int64 {
	if c.SegmentBacklogBytesMax > 0 {
		return c.SegmentBacklogBytesMax
	}
	return c.SegmentWindowBytes + c.SegmentWindowBytes/2
}

// BatchBytesLimit is the largest batch any stream may be set to take: it has to fit into a frame.
const BatchBytesLimit = 20 << 20

// ShardStore is what one shard is opened over.
type ShardStore struct {
	OpenJournal func() (journal.Journal, error)
	State       state.Store
	Segments    *segment.Store
	OpenKeys    func(keys.Options) (*keys.Index, error) // fills in what the broker does not know
	Archived    func() uint64                           // frames that are in the archive; nil: there is none
}

// Options are what a broker is assembled from.
type Options struct {
	Config  Config
	Lineage uint32        // of the data directory: positions of another one are refused
	Past    []PastLineage // that it was restored from
	Made    time.Time     // when the lineage began; zero: not known
	Format  int           // of the data directory (fact.Format1, ...), which bounds what may be written; 0 is the newest
	Cluster string        // name of the data directory, stable over restarts
	Node    int32
	Shards  []ShardStore
	Clock   clock.Clock
	Log     *slog.Logger
	OnFrame func(shard uint16, f *shard.FrameStats)
	// System keeps the stream SystemStream, in which the platform tells of its own changes. A node does; tests of other things do not.
	System bool
	// Diagnose adds to a diagnosis what only the assembly knows; nil adds nothing.
	Diagnose func(*Diagnosis)
	// Archive is what an administrator may do with the archive.
	Archive Archive
	// FreeBytes says how much can still be written and how much is kept back; nil: no disk.
	FreeBytes func() (free, reserve int64)
}

// Broker is the one way in.
type Broker struct {
	opt       Options
	cfg       Config
	shards    []*shard.Shard
	names     names
	users     users
	documents documents
	contracts contracts
	catalogue catalogue
	memory    budget
	kept      keptEvents
	spread    atomic.Uint32
	reserve   diskReserve
	closed    atomic.Bool
	stats     Stats
	system    system
	jobs      jobs
	keeping   keeping
	subs      subscriptions
	sizes     sizes

	allotments allotments
	epochs     []int32 // of the lineages, the oldest first
}

// Open opens all shards and is ready to serve.
func Open(opt Options) (*Broker, error) {
	if err := opt.Config.Validate(); err != nil {
		return nil, err
	}
	if opt.Format == 0 {
		opt.Format = fact.FormatNewest
	}
	b := &Broker{opt: opt, cfg: opt.Config, epochs: numberEpochs(opt.Past, opt.Made)}
	b.names.init()
	b.subs.init(len(opt.Shards))
	b.users.init()
	b.documents.init()
	b.contracts.init(b.contractDocument)
	b.catalogue.init()
	b.memory.init(opt.Config.MemoryBytes)
	b.kept.init(opt.Config.KeptEventsBytes)
	if opt.System {
		b.initSystem()
	}
	for i, st := range opt.Shards {
		s, err := shard.Open(shard.Config{
			ID: uint16(i), Lineage: opt.Lineage, Format: opt.Format, InboxMax: b.cfg.InboxMax, VersionsMax: b.cfg.VersionsMax, HotTailBytes: b.cfg.HotTailBytes, DedupWindow: b.cfg.DedupWindow,
			Limits: shard.DefaultLimits(), FlushInterval: b.cfg.StateFlushInterval, OpenJournal: st.OpenJournal, Store: st.State, Segments: st.Segments, OpenKeys: st.OpenKeys,
			Keep: shard.KeepConfig{
				WindowBytes: b.cfg.SegmentWindowBytes, EarlyBytes: b.cfg.SegmentEarlyBytes, BacklogBytesMax: b.cfg.backlogBytes(), Interval: b.cfg.KeepInterval,
				Archived: st.Archived, Room: b.roomToMove(),
			},
			Clock: opt.Clock, Log: opt.Log,
			OnFrame: func(f *shard.FrameStats) {
				if opt.OnFrame != nil {
					opt.OnFrame(uint16(i), f)
				}
			},
			Compactions: func() []shard.Compaction { return b.compactions(i) },
			OnCompacted: func(all []shard.Compacted) { b.compacted(i, all) },
			OnKeysBuilt: func(id record.StreamID, to KeyMode) { b.keysBuilt(i, id, to) },
			Terms:       func(id record.StreamID) func(*record.Record, func([]byte)) { return b.storedTerms(i, id) },
			OnNames:     func(ns []catalog.Name) { b.namesChanged(i, ns) },
			OnFilters:   func(ns []catalog.Name) { b.filtersChanged(i, ns) },
			Attendant: shard.Attendant{
				Look:   func(w subscription.Want) (*subscription.Feed, []subscription.Handle, error) { return b.look(i, w) },
				Follow: func(f *shard.Follow) { b.follow(i, f) },
				Reset:  func() { b.resetMembers(i) },
			},
		})
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.shards = append(b.shards, s)
		s.Published().Entries(func(e *catalog.Entry) { b.take(i, e) })
		if err := b.takeContracts(s.Published()); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	close(b.subs.opened)
	b.catalogue.opened.Store(true)
	if opt.System {
		b.openSystem()
		b.findUntoldGaps()
		b.startSummaries()
	}
	b.startKeeping()
	return b, nil
}

// Close finishes what waits and lets go of the shards.
func (b *Broker) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.stopKeeping()
	b.stopSummaries()
	b.closeSystem()
	b.subs.close()
	var errs []error
	for _, s := range b.shards {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Ready says why the broker does not serve; nil when it does.
func (b *Broker) Ready() error {
	if b.closed.Load() {
		return fault.New(fault.Unavailable, "ready", "", "the node is stopping")
	}
	for i, s := range b.shards {
		if why := s.Unhealthy(); why != "" {
			return fault.New(fault.Unavailable, "ready", "", "shard %d: %s", i, why)
		}
	}
	return nil
}

// ClusterID names the data directory; it is stable over restarts.
func (b *Broker) ClusterID() string { return b.opt.Cluster }

// NodeID is this node's number.
func (b *Broker) NodeID() int32 { return b.opt.Node }

// StreamURI is the CloudEvents source of records that have none of their own.
func (b *Broker) StreamURI(namespace, name string) string {
	if namespace == "" || namespace == DefaultNamespace {
		return "/streams/" + name
	}
	return "/namespaces/" + namespace + "/streams/" + name
}

// Caller is who asks, and through what. It is made once per connection or request and not changed after its first use.
type Caller struct {
	Principal string // "" is nobody
	Namespace string // "" is the default one
	Listener  string
	Protocol  string
	Client    string
	Address   string // where the client is, as far as that is known; without a port

	platform bool // the platform itself: it may write where nobody else does
}

func (c *Caller) namespace() string {
	if c.Namespace == "" {
		return DefaultNamespace
	}
	return c.Namespace
}

const originPartMax = 128 // bytes of each part of an origin

func clip(s string) string {
	if len(s) > originPartMax {
		return s[:originPartMax]
	}
	return s
}

func (c *Caller) origin() stream.Origin {
	return stream.Origin{Principal: clip(c.Principal), Listener: clip(c.Listener), Protocol: clip(c.Protocol), Client: clip(c.Client)}
}

// shardOf is where a namespace lives. The default namespace is in shard 0, the others are spread by their name.
func (b *Broker) shardOf(namespace string) int {
	if len(b.shards) == 1 || namespace == DefaultNamespace {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(namespace))
	return int(h.Sum32() % uint32(len(b.shards)))
}

// do has a command of c decided and waits for its outcome. What it changes is told in the system stream.
func (b *Broker) do(ctx context.Context, c *Caller, namespace string, x shard.Command) error {
	sh := b.shardOf(namespace)
	n := b.note(c, sh, x)
	_, err := b.shards[sh].Do(ctx, n.command)
	if err == nil {
		n.done()
	}
	return err
}

func (b *Broker) nowMS() int64 { return b.opt.Clock.Now().UnixMilli() }

// named is a stream as the broker resolves it. It is replaced, never changed.
type named struct {
	name      string
	namespace string
	uri       string
	id        record.StreamID
	uid       StreamUID
	revision  uint64
	shard     int
	config    *StreamConfig // shared, never changed
	created   time.Time
}

type nameKey struct{ namespace, name string }

// names is the index of streams by name, kept in step with what is published.
type names struct {
	mu      sync.RWMutex
	streams map[nameKey]*named
	byID    map[streamKey]*named
	limited map[*named]struct{}      // of streams, those that let go of records by themselves
	alike   map[string]*StreamConfig // by their bytes in a document, some configurations that streams have
	compact map[nameKey]*named       // of streams, those that keep the latest of each key
	trash   map[nameKey][]*trashed   // deleted streams that can be brought back, by id
	trashed int                      // of them together
	changed atomic.Uint64            // counts changes, for caches
}

func (n *names) init() {
	n.compact = map[nameKey]*named{}
	n.byID = map[streamKey]*named{}
	n.streams, n.limited, n.trash = map[nameKey]*named{}, map[*named]struct{}{}, map[nameKey][]*trashed{}
	n.alike = map[string]*StreamConfig{}
}

func (n *names) get(namespace, name string) *named {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.streams[nameKey{namespace, name}]
}

type streamKey struct {
	shard int
	id    record.StreamID
}

// of returns the stream of that number, nil when it has no name.
func (n *names) of(sh int, id record.StreamID) *named {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byID[streamKey{sh, id}]
}

// filtersChanged takes subscriptions in before anybody can know the frame that changed them: who resolves an append against it knows their
// filters.
func (b *Broker) filtersChanged(sh int, ns []catalog.Name) {
	for _, n := range ns {
		if n.Kind != catalog.Subscription {
			continue
		}
		if e := b.shardPublished(sh).Entry(n); e != nil {
			b.takeSubscription(sh, e)
		} else {
			b.dropSubscription(sh, n)
		}
	}
}

func (b *Broker) namesChanged(sh int, ns []catalog.Name) {
	for _, n := range ns {
		e := b.shardPublished(sh).Entry(n)
		if e == nil {
			b.drop(n)
			continue
		}
		if n.Kind == catalog.Contract {
			b.contractChanged(b.shards[sh].Published(), e.Name)
			continue
		}
		b.take(sh, e)
	}
}

// shardPublished is used while Open is still collecting shards: a replay may already report names, which Open reads again afterwards.
func (b *Broker) shardPublished(sh int) entries {
	if sh < len(b.shards) {
		return b.shards[sh].Published()
	}
	return noEntries{}
}

type entries interface {
	Entry(catalog.Name) *catalog.Entry
}

type noEntries struct{}

func (noEntries) Entry(catalog.Name) *catalog.Entry { return nil }

func (b *Broker) take(sh int, e *catalog.Entry) {
	switch e.Name.Kind {
	case catalog.Stream:
		n, err := b.names.readAlike(e.Document)
		if err != nil {
			b.opt.Log.Error("a stream's document cannot be read", "stream", e.Name.Name, "error", err)
			return
		}
		n.name, n.namespace, n.id, n.revision, n.shard = e.Name.Name, e.Name.Namespace, record.StreamID(e.ID), e.Revision, sh
		n.uri = b.StreamURI(n.namespace, n.name)
		n.uid = b.streamUID(sh, n.id, n.created.UnixMilli())
		k := nameKey{n.namespace, n.name}
		b.names.mu.Lock()
		delete(b.names.limited, b.names.streams[k])
		b.names.streams[k] = n
		b.names.byID[streamKey{sh, n.id}] = n
		if _, _, limited := n.config.limits(); limited {
			b.names.limited[n] = struct{}{}
		}
		if n.config.effectiveKeys() == KeysLatest && !n.config.Immutable {
			b.names.compact[k] = n
		} else {
			delete(b.names.compact, k)
		}
		b.names.mu.Unlock()
		b.names.changed.Add(1)
	case catalog.Subscription:
		b.takeSubscription(sh, e)
	case catalog.Trash:
		b.takeTrash(sh, e)
	case catalog.Hook, catalog.Link, catalog.Allotment:
		if err := b.documents.take(documentKind(e.Name.Kind), e); err != nil {
			b.opt.Log.Error("a document cannot be read", "kind", e.Name.Kind, "name", e.Name.Name, "error", err)
		}
		if e.Name.Kind == catalog.Allotment {
			b.takeAllotments()
		}
	case catalog.Contract: // their documents are not with them: see takeContracts and contractChanged
	case catalog.User:
		if err := b.users.take(e); err != nil {
			b.opt.Log.Error("a user's document cannot be read", "user", e.Name.Name, "error", err)
		}
	}
}

func (b *Broker) drop(n catalog.Name) {
	switch n.Kind {
	case catalog.Stream:
		k := nameKey{n.Namespace, n.Name}
		b.names.mu.Lock()
		old := b.names.streams[k]
		delete(b.names.streams, k)
		if old != nil {
			delete(b.names.byID, streamKey{old.shard, old.id})
		}
		delete(b.names.limited, old)
		delete(b.names.compact, k)
		b.names.mu.Unlock()
		b.names.changed.Add(1)
		if old != nil {
			b.shards[old.shard].Published().Wake(old.id) // who follows it looks at names, and learns that it is gone
		}
	case catalog.Trash:
		b.names.dropTrash(n)
	case catalog.Hook, catalog.Link, catalog.Allotment:
		b.documents.drop(n)
		if n.Kind == catalog.Allotment {
			b.takeAllotments()
		}
	case catalog.Contract:
		b.contracts.drop(n)
	case catalog.User:
		b.users.drop(n.Name)
	}
}
