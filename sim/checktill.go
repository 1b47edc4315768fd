package sim

import (
	"fmt"
	"slices"

	"leat/broker/record"
	"leat/broker/shard"
)

// tillRecord is one that the till's stream holds, or a marker.
type tillRecord struct {
	offset   record.Offset
	value    string
	producer int64
	epoch    int16
	marker   bool
	commit   bool
}

// checkTill: what readers are given is what markers say; a transaction is visible as a whole or not at all, up to the first that is open; what was committed
// is, what was aborted is not, what was acknowledged is where it was said to be; nothing of an older epoch follows a marker; and what was once visible is so for ever.
func (w *World) checkTill(when string) {
	if w.till == nil || w.err != nil || w.node == nil {
		return
	}
	pub, t := w.node.Published(), w.till
	if t.id == 0 {
		return
	}
	visible, stored, stable := map[string]record.Offset{}, map[string]record.Offset{}, [tillParts]record.Offset{}
	for p := range record.PartitionID(tillParts) {
		src, ok := pub.Source(t.id, p)
		if !ok {
			w.failf("%s: partition %d of the till is gone", when, p)
			return
		}
		_, stable[p], _ = src.Part.Bounds()
		all, seen := w.tillStored(src), w.tillVisible(src)
		if w.err != nil {
			return
		}
		for _, r := range all {
			if r.marker {
				continue
			}
			if at, twice := stored[r.value]; twice {
				w.failf("%s: %q is at offsets %d and %d", when, r.value, at, r.offset)
			}
			stored[r.value] = r.offset
		}
		var want []string
		for _, r := range w.tillByMarkers(all, p, stable[p]) {
			want = append(want, r.value)
			visible[r.value] = r.offset
		}
		if !slices.Equal(seen, want) {
			w.failf("%s: partition %d of the till shows %v; its markers say %v", when, p, seen, want)
		}
		if old := t.shown[p]; len(old) > len(seen) || !slices.Equal(old, seen[:len(old)]) {
			w.failf("%s: partition %d of the till showed %v, and shows %v", when, p, old, seen)
		}
		t.shown[p] = seen
	}
	t.counts.visible = len(visible)
	for _, d := range t.deals {
		w.checkDeal(when, d, visible, stored, stable)
	}
}

func (w *World) checkDeal(when string, d *deal, visible, stored map[string]record.Offset, stable [tillParts]record.Offset) {
	shown, hidden := 0, 0
	for i, at := range d.places {
		v := d.value(i)
		offset, there := stored[v]
		if d.acked[i] >= 0 && (!there || offset != d.acked[i]) {
			w.failf("%s: %q was answered to be at %v offset %d, and is there: %t, at %d", when, v, at, d.acked[i], there, offset)
		}
		if _, ok := visible[v]; ok {
			shown++
		} else if !there || offset < stable[at.partition] {
			hidden++
		}
	}
	switch {
	case d.outcome == dealCommitted && hidden > 0:
		w.failf("%s: %s was committed; %d of %d records are hidden", when, d.value(0), hidden, len(d.places))
	case shown > 0 && (d.outcome == dealAborted || !d.asked):
		w.failf("%s: %s was not committed; %d of %d records are visible", when, d.value(0), shown, len(d.places))
	case shown > 0 && hidden > 0:
		w.failf("%s: of %s %d records are visible and %d hidden", when, d.value(0), shown, hidden)
	}
}

// tillByMarkers computes what is visible from the markers alone.
func (w *World) tillByMarkers(all []tillRecord, p record.PartitionID, stable record.Offset) (seen []tillRecord) {
	open, epochs, shown := map[int64][]int{}, map[int64]int16{}, make([]bool, len(all))
	for i, r := range all {
		if e, known := epochs[r.producer]; known && r.epoch < e {
			w.failf("the till: at %d/%d producer %d has epoch %d, and had %d before", p, r.offset, r.producer, r.epoch, e)
		}
		epochs[r.producer] = r.epoch
		if !r.marker {
			open[r.producer] = append(open[r.producer], i)
			continue
		}
		for _, j := range open[r.producer] {
			shown[j] = r.commit
		}
		delete(open, r.producer)
	}
	first := record.Offset(len(all))
	for _, of := range open {
		first = min(first, all[of[0]].offset)
	}
	if first != stable {
		w.failf("the till: partition %d is stable before %d; the first open transaction is at %d of %d", p, stable, first, len(all))
	}
	for i, r := range all {
		if r.offset < stable && shown[i] {
			seen = append(seen, r)
		}
	}
	return seen
}

func (w *World) tillStored(src shard.Source) (all []tillRecord) {
	_, end := src.Part.Ends()
	for from := record.Offset(0); from < end; {
		bs, err := w.node.Published().ReadStored(nil, src, from, 4<<10, shard.AllSeqs)
		if err != nil || len(bs) == 0 {
			w.failf("the till: read of %d/%d at %d of %d: %d batches, %v", src.Stream, src.Partition, from, end, len(bs), err)
			return nil
		}
		for _, b := range bs {
			h, err := record.PeekBatchHeader(b.Raw)
			if err == nil {
				err = record.EachRecord(b.Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
					one := tillRecord{offset: r.Offset, value: string(r.Value), producer: h.ProducerID, epoch: h.ProducerEpoch, marker: h.Control()}
					if one.marker {
						one.value, one.commit = "", len(r.Key) == 4 && r.Key[3] == 1
					}
					if want := record.Offset(len(all)); r.Offset != want {
						return fmt.Errorf("offset %d where %d comes next", r.Offset, want)
					}
					all = append(all, one)
					return nil
				})
			}
			if err != nil {
				w.failf("the till: a batch of partition %d: %v", src.Partition, err)
				return nil
			}
			from = b.Next
		}
	}
	return all
}

func (w *World) tillVisible(src shard.Source) (seen []string) {
	for from := record.Offset(0); ; {
		bs, err := w.node.Published().Read(nil, src, from, 1<<10, shard.AllSeqs)
		if err != nil {
			w.failf("the till: read of %d/%d at %d: %v", src.Stream, src.Partition, from, err)
			return nil
		}
		if len(bs) == 0 {
			return seen
		}
		for _, b := range bs {
			if err := record.EachRecord(b.Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error { seen = append(seen, string(r.Value)); return nil }); err != nil {
				w.failf("the till: a batch of partition %d: %v", src.Partition, err)
			}
			from = b.Next
		}
	}
}
