package archive

import (
	"context"
	"fmt"
	"sort"
	"time"

	"leat/storage/journal"
)

// Until is the moment a restore goes up to. The zero Until is everything there is. Seq wins over TimeMS.
type Until struct {
	Seq    journal.Seq // the last frame that is in
	TimeMS int64       // frames up to this time are in, in milliseconds since 1970
}

func (u Until) String() string {
	switch {
	case u.Seq > 0:
		return fmt.Sprintf("seq %d", u.Seq)
	case u.TimeMS != 0:
		return time.UnixMilli(u.TimeMS).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return "the end"
}

// Plan is what a restore will do: the files of a checkpoint, then the frames of packs. Its methods read the bucket; each may be called
// more than once.
type Plan struct {
	Shard      Shard
	Lineage    Lineage // of the history that is restored; what is made of it needs another
	Until      Until
	Checkpoint *CheckpointInfo // nil: from the first frame on
	Packs      []PackInfo      // in order; the first may begin before the checkpoint, the last end behind the wanted moment
	Leftover   []PackInfo      // packs behind a hole that were never counted as archived, and are left out

	bucket Bucket
}

// From is the Seq after which frames are restored.
func (p *Plan) From() journal.Seq {
	if p.Checkpoint == nil {
		return 0
	}
	return p.Checkpoint.After
}

// PackBytes is what Frames will read.
func (p *Plan) PackBytes() int64 {
	n := int64(0)
	for _, k := range p.Packs {
		n += k.Size
	}
	return n
}

// NewPlan finds the newest checkpoint at or before a moment and the packs from there on. It reads names, manifests and a few headers.
//
// ErrOutside: the moment is before the earliest that can be restored, or beyond the end. MissingError: packs between checkpoint and moment are
// gone. DamageError: a manifest or header that has to be read is damaged; the packs themselves are verified by Frames.
func NewPlan(ctx context.Context, b Bucket, s Shard, until Until) (*Plan, error) {
	packs, err := listPacks(ctx, b, s)
	if err != nil {
		return nil, err
	}
	p := &Plan{Shard: s, Until: until, bucket: b}
	solid, leftover, err := settle(ctx, b, s, packs)
	if err != nil {
		return nil, err
	}
	p.Leftover = leftover
	if p.Checkpoint, err = newestUntil(ctx, b, s, until); err != nil {
		return nil, err
	}
	if p.Packs, err = p.needed(ctx, solid); err != nil {
		return nil, err
	}
	return p, p.lineage(ctx)
}

// newestUntil is the newest checkpoint at or before a moment, or nil.
func newestUntil(ctx context.Context, b Bucket, s Shard, until Until) (*CheckpointInfo, error) {
	all, err := listCheckpoints(ctx, b, s)
	if err != nil {
		return nil, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if until.Seq > 0 && all[i].seq > until.Seq {
			continue
		}
		c, err := readCheckpoint(ctx, b, s, all[i].seq, all[i].size)
		if err != nil {
			return nil, err
		}
		if until.Seq == 0 && until.TimeMS != 0 && c.TimeMS > until.TimeMS {
			continue
		}
		return c, nil
	}
	return nil, nil
}

// needed picks the packs from the checkpoint to the wanted moment and refuses a hole between them.
func (p *Plan) needed(ctx context.Context, packs []PackInfo) ([]PackInfo, error) {
	from := p.From()
	if len(packs) == 0 && p.Checkpoint == nil {
		return nil, fmt.Errorf("%w: shard %d has no packs and no checkpoint at or before %s", ErrOutside, p.Shard, p.Until)
	}
	packs = packs[sort.Search(len(packs), func(i int) bool { return packs[i].Last > from }):]
	end, err := p.end(ctx, packs)
	if err != nil {
		return nil, err
	}
	packs = packs[:end]
	at := from
	for i, k := range packs {
		if k.Prev > at {
			if i == 0 && p.Checkpoint == nil {
				return nil, p.before(ctx, k)
			}
			return nil, &MissingError{Shard: p.Shard, After: at, Until: k.Prev}
		}
		at = k.Last
	}
	if p.Until.Seq > at {
		return nil, fmt.Errorf("%w: %s is wanted, shard %d ends at seq %d", ErrOutside, p.Until, p.Shard, at)
	}
	if p.Checkpoint != nil && p.Checkpoint.Seq > at {
		return nil, &MissingError{Shard: p.Shard, After: at, Until: p.Checkpoint.Seq}
	}
	return packs, nil
}

// end is how many of the packs are needed.
func (p *Plan) end(ctx context.Context, packs []PackInfo) (int, error) {
	switch {
	case p.Until.Seq > 0:
		n := sort.Search(len(packs), func(i int) bool { return packs[i].Prev >= p.Until.Seq })
		return n, nil
	case p.Until.TimeMS == 0:
		return len(packs), nil
	}
	// Times do not run backwards, so the first pack that begins behind the moment is found by halving.
	var failed error
	n := sort.Search(len(packs), func(i int) bool {
		if failed != nil {
			return true
		}
		h, err := readHeader(ctx, p.bucket, packs[i])
		failed = err
		return h.firstMS > p.Until.TimeMS
	})
	if failed == nil && n == 0 && p.Checkpoint == nil && len(packs) > 0 {
		return 0, p.before(ctx, packs[0])
	}
	return n, failed
}

// before says that the wanted moment is earlier than what can be restored.
func (p *Plan) before(ctx context.Context, first PackInfo) error {
	all, err := ListCheckpoints(ctx, p.bucket, p.Shard)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		return fmt.Errorf("%w: %s is wanted, the earliest of shard %d is the checkpoint at seq %d, %s",
			ErrOutside, p.Until, p.Shard, all[0].Seq, Until{TimeMS: all[0].TimeMS})
	}
	h, err := readHeader(ctx, p.bucket, first)
	if err != nil {
		return err
	}
	if first.Prev > 0 {
		return fmt.Errorf("%w: shard %d begins at seq %d and has no checkpoint at or before %s", ErrOutside, p.Shard, h.first, p.Until)
	}
	return fmt.Errorf("%w: %s is wanted, shard %d begins at seq %d, %s", ErrBefore, p.Until, p.Shard, h.first, Until{TimeMS: h.firstMS})
}

// lineage takes the lineage of what is restored, and refuses two.
func (p *Plan) lineage(ctx context.Context) error {
	if p.Checkpoint != nil {
		p.Lineage = p.Checkpoint.Lineage
	}
	if len(p.Packs) == 0 {
		return nil
	}
	h, err := readHeader(ctx, p.bucket, p.Packs[0])
	if err != nil {
		return err
	}
	if p.Checkpoint != nil && h.lineage != p.Lineage {
		return fmt.Errorf("%w: the checkpoint at %d is of lineage %s, %s of %s", ErrLineage, p.Checkpoint.Seq, p.Lineage, p.Packs[0].Name, h.lineage)
	}
	p.Lineage = h.lineage
	return nil
}
