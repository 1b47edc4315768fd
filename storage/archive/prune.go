package archive

import (
	"context"
	"errors"
	"fmt"
)

// Keep says what pruning leaves. Each rule that is given holds: what either wants is kept.
type Keep struct {
	// Last is how many of the newest checkpoints are kept; at least 1.
	Last int
	// SinceMS, when not 0, keeps every moment from there on restorable, in milliseconds since 1970.
	SinceMS int64
}

// Pruned is what a prune took away.
type Pruned struct {
	Checkpoints int
	Packs       int
	Files       int
	Bytes       int64 // of packs and files
}

const pruneJobs = 8

// Prune takes away what no kept checkpoint needs: older checkpoints, packs below the oldest kept one, files in none of them. The newest
// pack always stays, and nothing is taken while there is no checkpoint.
//
// Manifests go first, so that none ever names what is gone. A prune that was stopped is completed by the next one.
func (c *Checkpoints) Prune(ctx context.Context, keep Keep) (Pruned, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if keep.Last < 1 {
		return Pruned{}, errors.New("archive: prune: at least the last checkpoint must be kept")
	}
	all, err := ListCheckpoints(ctx, c.bucket, c.shard)
	if err != nil || len(all) == 0 {
		return Pruned{}, err
	}
	for _, cp := range all {
		if cp.Lineage != c.lineage {
			return Pruned{}, fmt.Errorf("%w: the checkpoint at %d is of lineage %s, this is %s", ErrLineage, cp.Seq, cp.Lineage, c.lineage)
		}
	}
	oldest := keep.oldest(all)
	var did Pruned
	for _, cp := range all[:oldest] {
		if err := c.bucket.Delete(ctx, checkpointName(c.shard, cp.Seq)); err != nil {
			return did, fmt.Errorf("archive: prune: %w", err)
		}
		did.Checkpoints++
	}
	if keep.SinceMS == 0 || all[oldest].TimeMS <= keep.SinceMS { // else moments before the first checkpoint are still wanted
		err = c.prunePacks(ctx, all[oldest], &did)
	}
	if err == nil {
		err = c.pruneFiles(ctx, all[oldest:], &did)
	}
	return did, err
}

// oldest is the index of the oldest checkpoint that is kept.
func (k Keep) oldest(all []*CheckpointInfo) int {
	i := max(len(all)-k.Last, 0)
	if k.SinceMS != 0 {
		// A moment is restored from the newest checkpoint before it.
		for i > 0 && all[i].TimeMS > k.SinceMS {
			i--
		}
	}
	return i
}

func (c *Checkpoints) prunePacks(ctx context.Context, oldest *CheckpointInfo, did *Pruned) error {
	packs, err := listPacks(ctx, c.bucket, c.shard)
	if err != nil {
		return err
	}
	n := 0
	for n < len(packs)-1 && packs[n].Last <= oldest.After {
		n++
	}
	names := make([]string, n)
	for i, p := range packs[:n] {
		names[i] = p.Name
		did.Bytes += p.Size
	}
	did.Packs = n
	return c.deleteAll(ctx, names)
}

func (c *Checkpoints) pruneFiles(ctx context.Context, kept []*CheckpointInfo, did *Pruned) error {
	needed := map[string]bool{}
	for _, cp := range kept {
		for _, f := range cp.Files {
			needed[f.Object] = true
		}
	}
	var names []string
	for o, err := range c.bucket.List(ctx, c.shard.files(), "") {
		if err != nil {
			return fmt.Errorf("archive: list files: %w", err)
		}
		if !needed[o.Name] {
			names = append(names, o.Name)
			did.Bytes += o.Size
		}
	}
	did.Files = len(names)
	return c.deleteAll(ctx, names)
}

func (c *Checkpoints) deleteAll(ctx context.Context, names []string) error {
	return parallel(ctx, pruneJobs, len(names), func(ctx context.Context, i int) error {
		if err := c.bucket.Delete(ctx, names[i]); err != nil {
			return fmt.Errorf("archive: prune %s: %w", names[i], err)
		}
		return nil
	})
}
