package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"leat/storage/archive"
)

// InspectedShard is what an archive has of one shard.
type InspectedShard struct {
	Shard       int       `json:"shard"`
	Seq         uint64    `json:"seq"` // the last archived frame
	Checkpoints int       `json:"checkpoints"`
	First       uint64    `json:"first_checkpoint"` // 0 without one
	FirstTime   time.Time `json:"first_checkpoint_time,omitzero"`
	Last        uint64    `json:"last_checkpoint"`
	LastTime    time.Time `json:"last_checkpoint_time,omitzero"`
	Problem     string    `json:"problem,omitempty"` // why the newest moment cannot be restored
}

// Inspect lists what an archive has of each shard, from names and manifests; Verify reads all of it.
func (p *ArchivePlace) Inspect(ctx context.Context, l *ArchivedLineage) (out []InspectedShard, err error) {
	b := p.bucket(l.Lineage.String())
	defer func() { err = errors.Join(err, b.Close()) }()
	for i := range l.Identity.Shards {
		x := InspectedShard{Shard: i}
		all, err := archive.ListCheckpoints(ctx, b, archive.Shard(i))
		if err != nil {
			return nil, err
		}
		if x.Checkpoints = len(all); len(all) > 0 {
			first, last := all[0], all[len(all)-1]
			x.First, x.FirstTime = uint64(first.Seq), time.UnixMilli(first.TimeMS).UTC()
			x.Last, x.LastTime = uint64(last.Seq), time.UnixMilli(last.TimeMS).UTC()
		}
		plan, err := archive.NewPlan(ctx, b, archive.Shard(i), archive.Until{})
		switch {
		case err != nil:
			x.Problem = err.Error()
		case len(plan.Packs) > 0:
			x.Seq = uint64(plan.Packs[len(plan.Packs)-1].Last)
		default:
			x.Seq = x.Last
		}
		out = append(out, x)
	}
	return out, nil
}

// Lineage finds an archive of a place by the beginning of its lineage; without one, the newest.
func (p *ArchivePlace) Lineage(ctx context.Context, prefix string) (*ArchivedLineage, error) {
	return p.pick(ctx, prefix)
}

// Verify reads all of an archive's shard and checks it.
func (p *ArchivePlace) Verify(ctx context.Context, l *ArchivedLineage, i int, progress func(done, total int64)) (r *archive.Report, err error) {
	b := p.bucket(l.Lineage.String())
	defer func() { err = errors.Join(err, b.Close()) }()
	if r, err = archive.Verify(ctx, b, archive.Shard(i), progress); err != nil {
		return r, fmt.Errorf("shard %d: %w", i, err)
	}
	return r, nil
}
