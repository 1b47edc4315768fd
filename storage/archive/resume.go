package archive

import (
	"context"
	"fmt"
)

// resume finds where the archive ends, so that shipping goes on right behind it.
//
// What a shipper before this one left behind a hole is deleted: it was never said to be archived, and its frames are still in the journal,
// which is only trimmed below what was.
func (s *Shipper) resume(ctx context.Context) error {
	packs, err := listPacks(ctx, s.bucket, s.src.Shard)
	if err != nil {
		return err
	}
	solid, leftover, err := settle(ctx, s.bucket, s.src.Shard, packs)
	if err != nil {
		return err
	}
	if len(solid) > 0 {
		last := solid[len(solid)-1]
		h, err := readHeader(ctx, s.bucket, last)
		if err != nil {
			return err
		}
		if h.lineage != s.src.Lineage {
			return fmt.Errorf("%w: %s is of lineage %s, this is %s", ErrLineage, last.Name, h.lineage, s.src.Lineage)
		}
		f, err := readFooter(ctx, s.bucket, last)
		if err != nil {
			return err
		}
		s.last, s.lastMS, s.lastCRC, s.link, s.known = h.last, h.lastMS, f.lastCRC, knownLink(f.hash), true
	} else if err := s.ownCheckpoints(ctx); err != nil {
		return err
	}
	for _, p := range leftover {
		s.log.Info("archive: removing a pack that was never counted as archived", "shard", s.src.Shard, "pack", p.Name)
		if err := s.bucket.Delete(ctx, p.Name); err != nil {
			return fmt.Errorf("archive: delete %s: %w", p.Name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.archived, s.resumed, s.state.Running, s.state.Resumed = s.last, true, true, s.last
	s.movedLocked()
	return nil
}

// ownCheckpoints refuses a bucket without packs whose checkpoints are of another history.
func (s *Shipper) ownCheckpoints(ctx context.Context) error {
	for o, err := range s.bucket.List(ctx, s.src.Shard.checkpoints(), "") {
		if err != nil {
			return fmt.Errorf("archive: list checkpoints: %w", err)
		}
		seq, ok := parseCheckpointName(s.src.Shard, o.Name)
		if !ok {
			continue
		}
		c, err := readCheckpoint(ctx, s.bucket, s.src.Shard, seq, o.Size)
		if err != nil {
			return err
		}
		if c.Lineage != s.src.Lineage {
			return fmt.Errorf("%w: %s is of lineage %s, this is %s", ErrLineage, o.Name, c.Lineage, s.src.Lineage)
		}
		return nil
	}
	return nil
}
