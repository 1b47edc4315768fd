package archive

import (
	"context"
	"errors"
	"fmt"

	"leat/storage/journal"
)

// PackInfo is a pack as its name and size tell.
type PackInfo struct {
	Name string
	Prev journal.Seq // the last Seq before it
	Last journal.Seq
	Size int64
}

// listPacks lists the packs of a shard in order. Objects of other names are none of ours.
func listPacks(ctx context.Context, b Bucket, s Shard) ([]PackInfo, error) {
	var packs []PackInfo
	for o, err := range b.List(ctx, s.packs(), "") {
		if err != nil {
			return nil, fmt.Errorf("archive: list packs: %w", err)
		}
		prev, last, ok := parsePackName(s, o.Name)
		if !ok {
			continue
		}
		if n := len(packs); n > 0 && prev < packs[n-1].Last {
			return nil, fmt.Errorf("%w: %s and %s overlap", ErrTwoWriters, packs[n-1].Name, o.Name)
		}
		packs = append(packs, PackInfo{Name: o.Name, Prev: prev, Last: last, Size: o.Size})
	}
	return packs, nil
}

// runs cuts packs where one does not follow the one before.
func runs(packs []PackInfo) [][]PackInfo {
	var out [][]PackInfo
	begin := 0
	for i := range packs {
		if i > 0 && packs[i].Prev != packs[i-1].Last {
			out = append(out, packs[begin:i])
			begin = i
		}
	}
	if len(packs) > 0 {
		out = append(out, packs[begin:])
	}
	return out
}

// settle parts what was said to be archived from what a shipper that was stopped left behind.
//
// Packs are sent side by side, so a crash can leave 3 and 4 in the bucket and 2 not. Nobody was told that 3 and 4 are archived: that is said
// of what has no hole before it. Each pack records through which Seq that had been said when it was closed (settled). So of a hole:
//
//	[1][2]   [4]   4 was closed when all through 2 was settled, or less: 4 is left over, the history ends with 2
//	[1]   [3][4]   4 was closed when all through 2 was settled: 2 was there and is missing now
//	[1]   {9][10]  9 begins anew: what lies between was never in this archive
//	[1]   [3]  C   below the oldest checkpoint: a prune was stopped that deletes side by side
//
// Only the newest runs are looked at, back to one that is not left over.
func settle(ctx context.Context, b Bucket, s Shard, packs []PackInfo) (solid, leftover []PackInfo, err error) {
	rs := runs(packs)
	end := len(packs)
	for i := len(rs) - 1; i >= 0; i-- {
		begin := end - len(rs[i])
		before := journal.Seq(0)
		if begin > 0 {
			before = packs[begin-1].Last
		}
		counted, err := counted(ctx, b, s, rs[i], before)
		if err != nil {
			return nil, nil, err
		}
		if counted {
			break
		}
		end = begin
	}
	return packs[:end], packs[end:], nil
}

// counted says whether a run behind a hole was archived with what had been in the hole. A damaged header counts: it is reported by whoever
// needs the pack.
func counted(ctx context.Context, b Bucket, s Shard, run []PackInfo, before journal.Seq) (bool, error) {
	var damage *DamageError
	first, err := readHeader(ctx, b, run[0])
	if errors.As(err, &damage) {
		return true, nil
	}
	if err != nil || first.begins {
		return true, err
	}
	last, err := readHeader(ctx, b, run[len(run)-1]) // it has seen the most
	if errors.As(err, &damage) {
		return true, nil
	}
	if err != nil || last.settled > before {
		return true, err
	}
	all, err := listCheckpoints(ctx, b, s)
	return len(all) > 0 && all[0].seq >= first.prev, err
}

// readHeader reads a pack's header and holds it against the name.
func readHeader(ctx context.Context, b Bucket, p PackInfo) (header, error) {
	raw, err := readAll(ctx, b, p.Name, 0, headerBytes)
	if err != nil {
		return header{}, fmt.Errorf("archive: get %s: %w", p.Name, err)
	}
	h, err := decodeHeader(raw)
	if err != nil {
		return header{}, damaged(p.Name, 0, err)
	}
	return h, p.fits(h)
}

// fits checks that a header is the one that belongs under the name.
func (p PackInfo) fits(h header) error {
	if h.prev != p.Prev || h.last != p.Last {
		return &DamageError{
			Name: p.Name, Offset: 32, Expected: fmt.Sprintf("the pack after %d up to %d", p.Prev, p.Last),
			Found: fmt.Sprintf("that after %d up to %d", h.prev, h.last),
		}
	}
	return nil
}

// readFooter reads a pack's footer.
func readFooter(ctx context.Context, b Bucket, p PackInfo) (footer, error) {
	at := p.Size - footerBytes
	if at < headerBytes {
		return footer{}, &DamageError{Name: p.Name, Offset: p.Size, Expected: "a pack that is whole", Found: "the end of the object"}
	}
	raw, err := readAll(ctx, b, p.Name, at, footerBytes)
	if err != nil {
		return footer{}, fmt.Errorf("archive: get %s: %w", p.Name, err)
	}
	f, err := decodeFooter(raw)
	if err == nil && f.at != at {
		err = bad(16, fmt.Sprintf("a footer at byte %d", at), f.at)
	}
	return f, damaged(p.Name, at, err)
}

// follows checks a pack against the one right before it. One that begins anew has a gap before it, so it is never right behind another.
func follows(name string, h header, before *unpacked) error {
	switch {
	case h.begins:
		return &DamageError{Name: name, Offset: 10, Expected: "a pack that goes on from " + before.name, Found: "one that begins anew"}
	case h.prev != before.head.last:
		return &DamageError{Name: name, Offset: 32, Expected: fmt.Sprintf("a pack after %d", before.head.last), Found: fmt.Sprintf("one after %d", h.prev)}
	case h.prevHash != before.foot.hash:
		return &DamageError{Name: name, Offset: 96, Expected: fmt.Sprintf("the hash %s of %s", before.foot.hash, before.name), Found: h.prevHash.String()}
	case h.lineage != before.head.lineage:
		return &DamageError{Name: name, Offset: 16, Expected: "lineage " + before.head.lineage.String(), Found: h.lineage.String()}
	}
	return nil
}

// lasting says whether trying again cannot help.
func lasting(err error) bool {
	var d *DamageError
	var f *BadFrameError
	for _, e := range []error{ErrLineage, ErrDiverged, ErrTwoWriters, ErrNewer} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, &d) || errors.As(err, &f)
}
