package broker

import (
	"context"
	"math"
	"sort"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
)

// Epochs number the lineages of a data directory for clients that can notice that records they have read are not there any more. A node that
// was never restored is in epoch 0, for ever: it never loses its tail. Each restore begins an epoch of its own: the second in which it was
// made, so that two restores of one archive, which are different futures, have different ones.
//
//	records   ──────────── epoch 0 ───────────┤ ── epoch 27,000,000 ──▶
//	                             ╎            restored up to here
//	                             ╎····· epoch 0, read by somebody, restored away: its end here is where the line is

// epochBegan is second 0 of epochs. An epoch has 31 bits, which is 68 years.
var epochBegan = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// numberEpochs gives each lineage its epoch, the oldest first and this one last.
func numberEpochs(past []PastLineage, made time.Time) []int32 {
	epochs := make([]int32, len(past)+1)
	for i := 1; i < len(epochs); i++ {
		at := made
		if i < len(past) {
			at = past[i].Made
		}
		second := min(max(at.Unix()-epochBegan.Unix(), 0), math.MaxInt32/2)
		epochs[i] = max(epochs[i-1]+1, int32(second))
	}
	return epochs
}

// Epoch is the one that records are appended in.
func (b *Broker) Epoch() int32 { return b.epochs[len(b.epochs)-1] }

// epochOf is in which epoch a frame was written.
func (b *Broker) epochOf(shard int, seq uint64) int32 {
	past := b.opt.Past
	return b.epochs[sort.Search(len(past), func(i int) bool {
		return shard >= len(past[i].Until) || seq <= past[i].Until[shard]
	})]
}

// EpochEnd says where in a partition an epoch ends: with the records that were appended in it or before. Of an epoch that is none of this
// history's it tells of the one before. -1 and -1: there is none before, or the epoch is yet to come.
func (b *Broker) EpochEnd(_ context.Context, c *Caller, name string, p record.PartitionID, epoch int32) (of int32, end record.Offset, err error) {
	src, pub, n, err := b.described(c, name, p)
	if err != nil {
		return -1, -1, err
	}
	_, last := src.Part.Ends()
	i := sort.Search(len(b.epochs), func(i int) bool { return b.epochs[i] > epoch }) - 1
	switch {
	case i < 0 || epoch > b.Epoch():
		return -1, -1, nil
	case i == len(b.epochs)-1:
		return epoch, last, nil
	}
	until := b.opt.Past[i].Until
	if n.shard >= len(until) {
		return b.epochs[i], 0, nil
	}
	end, err = b.offsetBehind(pub, n, src, b.position(n.shard, until[n.shard], math.MaxUint32, math.MaxUint32))
	if fault.Is(err, fault.Trimmed) {
		start, _ := src.Part.Ends()
		return b.epochs[i], start, nil
	}
	return b.epochs[i], end, err
}
