package broker

import (
	"cmp"
	"slices"

	"leat/broker/record"
	"leat/broker/shard"
)

// compactions tells a shard which of its streams let go of records that later ones of their keys stand for.
func (b *Broker) compactions(sh int) []shard.Compaction {
	b.names.mu.RLock()
	out := make([]shard.Compaction, 0, len(b.names.compact))
	for _, n := range b.names.compact {
		if n.shard == sh {
			c := n.config
			out = append(out, shard.Compaction{
				Stream: n.id, LagMS: c.CompactionLagMS, TombstoneMS: c.tombstoneRetention(),
				MaxLagMS: c.CompactionMaxLagMS, TailMS: c.CompactionTailMS, TailBytes: c.CompactionTailBytes, Ratio: c.CompactionRatio,
			})
		}
	}
	b.names.mu.RUnlock()
	slices.SortFunc(out, func(x, y shard.Compaction) int { return cmp.Compare(x.Stream, y.Stream) })
	return out
}

func (k *Keep) tombstoneRetention() int64 {
	if k.TombstoneRetentionMS == 0 {
		return TombstoneRetentionDefault.Milliseconds()
	}
	return k.TombstoneRetentionMS
}

// compacted is told by a shard what it has let go of.
func (b *Broker) compacted(sh int, all []shard.Compacted) {
	byID := make(map[record.StreamID]*named, len(all))
	b.names.mu.RLock()
	for _, n := range b.names.compact {
		if n.shard == sh {
			byID[n.id] = n
		}
	}
	b.names.mu.RUnlock()
	for _, c := range all {
		if n := byID[c.Stream]; n != nil {
			b.System(SystemEvent{
				Type: TypeStreamCompacted, Subject: n.name, Caller: platformIn(n.namespace),
				Data: map[string]any{"events": c.Records, "bytes": c.Bytes},
			})
		}
	}
}

// keysBuilt tells that a change of a stream's key mode took effect.
func (b *Broker) keysBuilt(sh int, id record.StreamID, to KeyMode) {
	b.names.mu.RLock()
	var of *named
	for _, n := range b.names.streams { // once for each change that somebody made
		if n.shard == sh && n.id == id {
			of = n
		}
	}
	b.names.mu.RUnlock()
	if of != nil {
		b.System(SystemEvent{Type: TypeStreamKeysBuilt, Subject: of.name, Caller: platformIn(of.namespace), Data: map[string]any{"keys": to.String()}})
	}
}
