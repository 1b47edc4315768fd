package broker

import (
	"math"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
)

// PastLineage is a history that this one was restored from. What it gave out up to Until still holds.
type PastLineage struct {
	Short uint32
	Until []uint64  // by shard: the last frame that was restored
	Made  time.Time // when it began; zero: not known
}

// LineagesMax is how many restores one history may come from.
const LineagesMax = 1000

// ours takes a position over that was given out before a restore. Up to where the restore went, the frames are the same, and so are their
// sequences; what lies behind is a future that never came to be here.
func (b *Broker) ours(op, field string, p record.Position) (record.Position, error) {
	if p.Lineage == b.opt.Lineage {
		return p, nil
	}
	for i := range b.opt.Past {
		past := &b.opt.Past[i]
		if past.Short != p.Lineage || int(p.Shard) >= len(past.Until) {
			continue
		}
		until := past.Until[p.Shard]
		if p.Seq > until {
			last := b.position(int(p.Shard), until, math.MaxUint32, math.MaxUint32)
			return p, fault.New(fault.Trimmed, op, field, "the position is of a future that was restored away; the latest that was kept is %s", last)
		}
		p.Lineage = b.opt.Lineage
		return p, nil
	}
	return p, fault.New(fault.Trimmed, op, field, "the position is of another history of this node; start from earliest, latest or a time")
}

// OwnPosition is a position as this history has it: one from before a restore is taken over, one that this history does not have is Trimmed.
func (b *Broker) OwnPosition(field string, p record.Position) (record.Position, error) {
	return b.ours("read", field, p)
}

// ourStart is ours for a place to start.
func (b *Broker) ourStart(op, field string, s Start) (Start, error) {
	if s.Kind != StartPosition {
		return s, nil
	}
	var err error
	s.Position, err = b.ours(op, field, s.Position)
	return s, err
}
