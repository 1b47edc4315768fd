package broker

import (
	"context"
	"time"

	"leat/broker/fault"
	"leat/broker/shard"
	"leat/storage/state"
)

// Archive is what the assembly lets an administrator do with the archive. The zero Archive is none.
type Archive struct {
	State      func() ArchiveState
	Checkpoint func(context.Context) ([]ArchiveCheckpoint, error)
	Prune      func(context.Context) (ArchivePruned, error)
}

// ArchiveState is how the archive is doing.
type ArchiveState struct {
	URL     string         `json:"url"` // without what is secret
	Lineage string         `json:"lineage"`
	Shards  []ArchiveShard `json:"shards"`
}

// ArchiveShard is the archive of one shard.
type ArchiveShard struct {
	Shard         int       `json:"shard"`
	Running       bool      `json:"running"`
	Archived      uint64    `json:"archived"` // the last frame that is in the archive, with all before it
	LagSeqs       uint64    `json:"lag_seqs"`
	LagBytes      int64     `json:"lag_bytes"`
	LagMS         int64     `json:"lag_ms"` // what a loss of this machine would cost now
	Failing       bool      `json:"failing"`
	Failures      int64     `json:"failures"`
	Error         string    `json:"error,omitempty"`   // the last
	Stopped       string    `json:"stopped,omitempty"` // why nothing is shipped any more until somebody helps
	Packs         int64     `json:"packs"`             // sent since the start
	SentBytes     int64     `json:"sent_bytes"`
	Checkpoint    uint64    `json:"checkpoint"` // Seq of the newest that was made since the start, or found at it; 0: none
	CheckpointAt  time.Time `json:"checkpoint_at,omitzero"`
	CheckpointErr string    `json:"checkpoint_error,omitempty"` // why the last try failed
}

// ArchiveCheckpoint is a checkpoint that was made. Every moment from it on can be restored, and it spares reading what came before After.
type ArchiveCheckpoint struct {
	Shard int       `json:"shard"`
	Seq   uint64    `json:"seq"`
	After uint64    `json:"after"`
	Time  time.Time `json:"time"`
	Files int       `json:"files"`
	Bytes int64     `json:"bytes"`
}

// ArchivePruned is what a prune took away.
type ArchivePruned struct {
	Checkpoints int   `json:"checkpoints"`
	Packs       int   `json:"packs"`
	Files       int   `json:"files"`
	Bytes       int64 `json:"bytes"`
}

func (b *Broker) mayArchive(c *Caller) error {
	if err := b.allow(c, "archive", ActionAdmin, KindNode, "archive"); err != nil {
		return err
	}
	if b.opt.Archive.State == nil {
		return fault.New(fault.NotFound, "archive", "", "this node has no archive; the setting archive.url gives it one")
	}
	return nil
}

// ArchiveState tells how the archive is doing. It takes the right to administer the node, as do the other two.
func (b *Broker) ArchiveState(c *Caller) (ArchiveState, error) {
	if err := b.mayArchive(c); err != nil {
		return ArchiveState{}, err
	}
	return b.opt.Archive.State(), nil
}

// ArchiveCheckpoint makes a checkpoint of every shard and returns when they are in the archive.
func (b *Broker) ArchiveCheckpoint(ctx context.Context, c *Caller) ([]ArchiveCheckpoint, error) {
	if err := b.mayArchive(c); err != nil {
		return nil, err
	}
	out, err := b.opt.Archive.Checkpoint(ctx)
	return out, archiveFault("the checkpoint was not made", err)
}

// ArchivePrune takes away what the settings do not keep.
func (b *Broker) ArchivePrune(ctx context.Context, c *Caller) (ArchivePruned, error) {
	if err := b.mayArchive(c); err != nil {
		return ArchivePruned{}, err
	}
	out, err := b.opt.Archive.Prune(ctx)
	return out, archiveFault("not all was removed that could be", err)
}

// archiveFault tells an administrator, who is the only one to get here, the cause as well.
func archiveFault(what string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "archive", "", "%s: %s", what, err).From(err)
}

// Shards is how many shards there are.
func (b *Broker) Shards() int { return len(b.shards) }

// Snapshot takes a snapshot of a shard. See shard.Snapshot; the caller closes it.
func (b *Broker) Snapshot(i int, copyState func() (state.Mark, error)) (*shard.Snapshot, error) {
	return b.shards[i].Snapshot(copyState)
}
