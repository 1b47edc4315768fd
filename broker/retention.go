package broker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
	"leat/internal/clock"
)

// Keep is what a stream says about how long its records are kept. It is part of StreamConfig.
type Keep struct {
	RetentionMS    int64 `json:"retention_ms,omitempty"`    // since the append; 0: the default of who made the stream, Forever: without limit
	RetentionBytes int64 `json:"retention_bytes,omitempty"` // of each partition: at least so much of its newest, as stored, is kept; 0 and Forever: all
	Immutable      bool  `json:"immutable,omitempty"`       // nothing can be removed, and this cannot be switched off
	Protected      bool  `json:"protected,omitempty"`       // the stream cannot be deleted until this is switched off

	// Of streams that keep the latest record of each key:
	CompactionLagMS int64 `json:"compaction_lag_ms,omitempty"` // records younger than this are left alone
	// When superseded ones go; what is 0 leaves it to how much there is.
	CompactionMaxLagMS  int64   `json:"compaction_max_lag_ms,omitempty"` // so long after a record was appended, what it supersedes has gone
	CompactionTailMS    int64   `json:"compaction_tail_ms,omitempty"`    // what was appended lately is looked at when the oldest of it is so old,
	CompactionTailBytes int64   `json:"compaction_tail_bytes,omitempty"` // or it is so much; and goes if then
	CompactionRatio     float64 `json:"compaction_ratio,omitempty"`      // so much of the stream is superseded: above 0, up to 1; 0 is a half

	TombstoneRetentionMS int64 `json:"tombstone_retention_ms,omitempty"` // how long a record without value is kept after it was appended; 0 is TombstoneRetentionDefault
}

// Forever as a retention is no limit.
const Forever = -1

const (
	// RetentionBornElsewhere is how long records are kept in a stream that a gateway's client made as it is used to from elsewhere, and
	// about which nobody has said anything. Such a stream has a document whose name ends in BornSuffix.
	RetentionBornElsewhere = 7 * 24 * time.Hour
	// BornSuffix ends the name of the document by which a gateway marks streams that its clients made.
	BornSuffix = ".born"
	// TombstoneRetentionDefault is how long a record without value is kept in a stream that keeps the latest of each key.
	TombstoneRetentionDefault = 24 * time.Hour

	retentionMSMax = int64(math.MaxInt64 / 1_000_000) // so that it fits a duration: 292 years
)

// checkKeep refuses what is out of bounds or contradicts itself.
func (b *Broker) checkKeep(c *StreamConfig) error {
	for _, x := range []struct {
		name   string
		v, max int64
	}{
		{"retention_ms", c.RetentionMS, retentionMSMax},
		{"retention_bytes", c.RetentionBytes, math.MaxInt64},
		{"compaction_lag_ms", c.CompactionLagMS, retentionMSMax},
		{"compaction_max_lag_ms", c.CompactionMaxLagMS, retentionMSMax},
		{"compaction_tail_ms", c.CompactionTailMS, retentionMSMax},
		{"compaction_tail_bytes", c.CompactionTailBytes, math.MaxInt64},
		{"tombstone_retention_ms", c.TombstoneRetentionMS, retentionMSMax},
	} {
		least := int64(0)
		if strings.HasPrefix(x.name, "retention") {
			least = Forever
		}
		if x.v < least || x.v > x.max {
			return fault.New(fault.Invalid, "create", x.name, "%s is %d; it must be between %d and %d", x.name, x.v, least, x.max)
		}
	}
	switch {
	case c.CompactionMaxLagMS > 0 && c.CompactionLagMS > c.CompactionMaxLagMS:
		return fault.New(fault.Invalid, "create", "compaction_max_lag_ms", "compaction_lag_ms is %d, and more than compaction_max_lag_ms, which is %d", c.CompactionLagMS, c.CompactionMaxLagMS)
	case c.CompactionRatio != 0 && !(c.CompactionRatio > 0 && c.CompactionRatio <= 1): // and no NaN
		return fault.New(fault.Invalid, "create", "compaction_ratio", "compaction_ratio is %v; it must be above 0 and at most 1, or 0 for a half", c.CompactionRatio)
	case c.Immutable && (c.RetentionMS > 0 || c.RetentionBytes > 0):
		return fault.New(fault.Invalid, "create", "immutable", "an immutable stream keeps everything: it has neither retention_ms nor retention_bytes")
	case c.Immutable && c.Keys == KeysLatest:
		return fault.New(fault.Invalid, "create", "immutable", "an immutable stream keeps everything: its keys cannot be latest")
	case b.opt.Format < fact.Format2 && (c.Immutable || c.Protected):
		// Retention may be set, and holds once the directory is finalized; but an older program, which may open it still, would delete.
		return needsFormat2(b.opt.Format, "create", "immutable")
	}
	return nil
}

func needsFormat2(format int, op, subject string) error {
	return fault.New(fault.Unsupported, op, subject, "the data directory has format %d and this needs %d; run `leat upgrade --finalize`", format, fact.Format2)
}

// limits is how long and how much of a partition is kept, Forever for no limit, and whether there is any limit.
func (c *StreamConfig) limits() (ms, bytes int64, any bool) {
	ms, bytes = c.RetentionMS, c.RetentionBytes
	if ms == 0 {
		ms = c.bornRetention()
	}
	if bytes == 0 {
		bytes = Forever
	}
	if c.Immutable {
		return Forever, Forever, false
	}
	return ms, bytes, ms != Forever || bytes != Forever
}

// bornRetention is the default of who made the stream.
func (c *StreamConfig) bornRetention() int64 {
	born, said := false, c.Keys == KeysLatest
	for name := range c.Documents {
		born = born || strings.HasSuffix(name, BornSuffix)
		// Programs of format 1 kept what was said about retention in documents alone. Its gateway can read it, and sets it with the next
		// change; until then nothing goes that somebody may have said to keep.
		said = said || strings.HasSuffix(name, ".retention.ms")
	}
	if !born || said {
		return Forever
	}
	return RetentionBornElsewhere.Milliseconds()
}

// keeping is what the passes over streams need: retention, and the purge of deleted streams.
type keeping struct {
	pass   sync.Mutex // held during a pass
	after  nameKey    // the stream that the last pass ended with; of pass
	sizes  map[sizeKey]partitionSize
	untold map[streamKey]retained
	needs  []map[subscription.Place]record.Offset // of each shard, of subscriptions; of pass
	cancel context.CancelFunc
	done   chan struct{}
}

type partitionKey struct {
	stream    record.StreamID
	partition record.PartitionID
}

// partitionSize is how many bytes lie between two offsets of a partition: counted once, and then only what comes and goes.
type partitionSize struct {
	from, to record.Offset
	bytes    int64
}

// Bounds of one pass; the next one goes on where it ended.
const (
	retentionPartitionsMax = 20_000  // looked at
	retentionRunsMax       = 500_000 // whose bytes are counted
	purgesMax              = 100     // deleted streams that are removed for good
)

func (b *Broker) startKeeping() {
	ctx, cancel := context.WithCancel(context.Background())
	b.keeping.cancel, b.keeping.done = cancel, make(chan struct{})
	go func() {
		defer close(b.keeping.done)
		for clock.Sleep(ctx, b.cfg.RetentionInterval) == nil {
			err := b.KeepOnce(ctx)
			if ctx.Err() == nil {
				b.Job("retention", err)
			}
			if err != nil && ctx.Err() == nil {
				b.opt.Log.Warn("retention could not do all of its work; it will try again", "error", err)
			}
		}
	}()
}

func (b *Broker) stopKeeping() {
	if b.keeping.cancel != nil {
		b.keeping.cancel()
		<-b.keeping.done
	}
}

// KeepOnce makes one pass at once: records that no retention keeps go, and deleted streams whose time to be brought back is over. It is
// called on a timer; tests, and whoever does not want to wait, call it too. A pass is bounded; the first error is returned after all of
// its work was tried.
func (b *Broker) KeepOnce(ctx context.Context) error {
	if b.opt.Format < fact.Format2 {
		return nil
	}
	b.keeping.pass.Lock()
	defer b.keeping.pass.Unlock()
	defer b.tellOldGaps() //nolint:contextcheck // what was told is noted, whatever ends meanwhile
	err := b.purge(ctx)
	if x := b.learnNeeds(); x != nil {
		return errors.Join(err, x) // nothing goes that somebody may need
	}
	budget := retentionBudget{partitions: retentionPartitionsMax, runs: retentionRunsMax, aside: asidePassMax}
	limited := b.limitedAfter()
	b.forgetGone(limited)
	for _, n := range limited {
		if budget.partitions <= 0 || budget.runs <= 0 || ctx.Err() != nil {
			break
		}
		b.keeping.after = nameKey{n.namespace, n.name}
		if x := b.retain(ctx, n, &budget); x != nil && err == nil && !fault.Is(x, fault.Conflict) && !fault.Is(x, fault.NotFound) {
			err = x // a stream that was changed or deleted meanwhile is looked at by the next pass as it is then
		}
	}
	return err
}

// learnNeeds asks what subscriptions still need. What they ask for during a pass is behind that.
func (b *Broker) learnNeeds() error {
	b.keeping.needs = make([]map[subscription.Place]record.Offset, len(b.shards))
	for i, s := range b.shards {
		needs, err := s.Published().Needed()
		if err != nil {
			return err
		}
		b.keeping.needs[i] = needs
	}
	return nil
}

// forgetGone lets go of what is remembered of streams that are there no more.
func (b *Broker) forgetGone(limited []*named) {
	if len(b.keeping.sizes) == 0 && len(b.keeping.untold) == 0 {
		return
	}
	there := make(map[streamKey]bool, len(limited))
	for _, n := range limited {
		there[streamKey{n.shard, n.id}] = true
	}
	maps.DeleteFunc(b.keeping.sizes, func(k sizeKey, _ partitionSize) bool { return !there[streamKey{k.shard, k.stream}] })
	maps.DeleteFunc(b.keeping.untold, func(k streamKey, _ retained) bool { return !there[k] })
}

type retentionBudget struct{ partitions, runs, aside int }

// limitedAfter is the streams that retention looks at, from the one after where the last pass ended, round to there.
func (b *Broker) limitedAfter() []*named {
	b.names.mu.RLock()
	all := make([]*named, 0, len(b.names.limited))
	for n := range b.names.limited {
		all = append(all, n)
	}
	b.names.mu.RUnlock()
	byName := func(n *named, k nameKey) int {
		return cmp.Or(strings.Compare(n.namespace, k.namespace), strings.Compare(n.name, k.name))
	}
	slices.SortFunc(all, func(x, y *named) int { return byName(x, nameKey{y.namespace, y.name}) })
	at, found := slices.BinarySearchFunc(all, b.keeping.after, byName)
	if found {
		at++
	}
	return append(slices.Clone(all[at:]), all[:at]...)
}

// retain lets go of what one stream no longer keeps. Starts are decided on the append time and bytes of stored runs, so they lie between
// batches; where files begin and end is of no consequence.
func (b *Broker) retain(ctx context.Context, n *named, budget *retentionBudget) error {
	ms, bytes, _ := n.config.limits()
	pub := b.shards[n.shard].Published()
	var cuts []stream.Cut
	removed := int64(0)
	for p := range record.PartitionID(n.config.Partitions) {
		budget.partitions--
		src, ok := pub.Source(n.id, p)
		if !ok {
			return fault.New(fault.NotFound, "truncate", n.name, "the stream was deleted")
		}
		start, end := src.Part.Ends()
		if start == end {
			continue
		}
		cut := stream.Cut{Partition: p, Before: start}
		if ms != Forever {
			before, err := expired(pub, src, b.nowMS()-ms)
			if err != nil {
				return err
			}
			cut.Before, cut.Why = before, stream.WhyTime
		}
		if bytes != Forever {
			before, err := b.overweight(n.shard, pub, src, bytes, n.config.Keys == KeysLatest, budget)
			if err != nil {
				return err
			}
			if before > cut.Before {
				cut.Before, cut.Why = before, stream.WhyBytes
			}
		}
		at := subscription.Place{Stream: n.id, Partition: p}
		if needed, some := b.keeping.needs[n.shard][at]; some && needed < cut.Before {
			if err := b.setAside(ctx, n, at, cut.Before, &budget.aside); err != nil {
				return err
			}
			cut.Before = needed // what was copied is known to be so by the next pass
		}
		if cut.Before <= start {
			continue
		}
		gone, err := pointBefore(pub, src, cut.Before)
		if err != nil {
			return err
		}
		cut.Gone = gone
		cuts, removed = append(cuts, cut), removed+int64(cut.Before-start)
	}
	if len(cuts) == 0 {
		return nil
	}
	err := b.do(ctx, platformIn(n.namespace), n.namespace, &shard.Truncate{Name: streamName(n.namespace, n.name), Revision: n.revision, Cuts: cuts})
	if err == nil {
		b.tellRetained(n, cuts, removed)
	}
	return err
}

// retained is what the system stream has not been told yet of a stream's retention.
type retained struct {
	removed int64
	told    time.Time
}

// retainedEvery is how often the system stream is told of one stream: a busy one lets go of something in every pass.
const retainedEvery = time.Hour

func (b *Broker) tellRetained(n *named, cuts []stream.Cut, removed int64) {
	if b.keeping.untold == nil {
		b.keeping.untold = map[streamKey]retained{}
	}
	k := streamKey{n.shard, n.id}
	r, now := b.keeping.untold[k], b.opt.Clock.Now()
	r.removed += removed
	if now.Sub(r.told) >= retainedEvery {
		starts := make(map[string]record.Offset, len(cuts))
		for _, c := range cuts {
			starts[strconv.Itoa(int(c.Partition))] = c.Before
		}
		b.System(SystemEvent{
			Type: TypeStreamRetained, Subject: n.name, Caller: platformIn(n.namespace),
			Data: map[string]any{"events": r.removed, "why": cuts[0].Why.String(), "starts": starts},
		})
		r = retained{told: now}
	}
	b.keeping.untold[k] = r
}

// expired returns where the records begin that were appended at a time or later.
func expired(pub *shard.Published, src shard.Source, since int64) (record.Offset, error) {
	start, end := src.Part.Ends() // before looking: what is appended meanwhile is not passed over
	run, ok, err := pub.Seek(src, func(r *stream.Run) bool { return r.TimeMS >= since })
	if err != nil {
		return 0, err
	}
	if !ok {
		return end, nil
	}
	return max(run.Base, start), nil
}

// overweight returns where the last runs of a partition begin that have at least so many bytes.
//
// Bytes are counted once: what a pass has counted and left, the next one only adds to. But only as long as the partition begins where that
// pass has left it, and runs are cut as they were; runs that were trimmed at somebody's request, compacted, or moved to other files may have
// gone from the index or have other bytes than when they were counted. Then all is counted anew.
func (b *Broker) overweight(sh int, pub *shard.Published, src shard.Source, limit int64, compacted bool, budget *retentionBudget) (record.Offset, error) {
	start, end := src.Part.Ends()
	k := sizeKey{sh, partitionKey{src.Stream, src.Partition}}
	size, known := b.keeping.sizes[k]
	if !known || size.from != start || compacted {
		size = partitionSize{from: start, to: start}
	}
	recut := false
	count := func(r *stream.Run) bool {
		if recut = r.Base < size.to && size.to > size.from; recut || r.Base >= end || budget.runs <= 0 {
			return false
		}
		budget.runs--
		size.to, size.bytes = r.Next, size.bytes+r.Bytes
		return true
	}
	err := pub.Walk(src, size.to, count)
	if recut && err == nil {
		size = partitionSize{from: start, to: start}
		err = pub.Walk(src, start, count)
	}
	if err == nil && size.bytes > limit {
		err = pub.Walk(src, start, func(r *stream.Run) bool {
			if size.bytes-r.Bytes < limit || r.Next > size.to {
				return false
			}
			size.from, size.bytes = r.Next, size.bytes-r.Bytes
			return true
		})
	}
	if err != nil {
		return 0, err
	}
	if b.keeping.sizes == nil {
		b.keeping.sizes = map[sizeKey]partitionSize{}
	}
	b.keeping.sizes[k] = size
	return size.from, nil
}

// pointBefore returns where the last record before an offset stands.
func pointBefore(pub *shard.Published, src shard.Source, before record.Offset) (stream.Point, error) {
	s, err := pub.StoredBefore(src, before)
	if err != nil {
		return stream.Point{}, err
	}
	if s == nil {
		_, gone := src.Part.Gone()
		return gone, nil // all of it was compacted away, which nobody has to be told
	}
	return stream.Point{Seq: s.Seq, Batch: s.Ordinal, Record: uint32(min(before, s.Next) - 1 - s.Base)}, nil
}
