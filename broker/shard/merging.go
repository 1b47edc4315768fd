package shard

import (
	"cmp"
	"fmt"

	"leat/broker/record"
	"leat/storage/segment"
)

// tidy removes files that nobody needs, makes few files of many small ones, and rewrites those that hold more dead bytes than live ones. It
// does one of these and says whether it did.
func (k *keeper) tidy() (bool, error) {
	p := k.s.published
	dead := p.segments.Dead(p.startOf)
	var whole []segment.FileID
	half, least := segment.DeadFile{}, cmp.Or(k.cfg.RewriteBytesMin, rewriteBytesMin)
	for _, d := range dead {
		switch {
		case d.Whole:
			whole = append(whole, d.ID)
		case d.DeadBytes > d.DataBytes/2 && d.DeadBytes > half.DeadBytes && d.DeadBytes >= least:
			half = d
		}
	}
	if len(whole) > 0 {
		if err := p.segments.Commit(segment.Edit{Remove: whole}); err != nil {
			return false, fmt.Errorf("remove segment files that were trimmed: %w", err)
		}
		return true, nil
	}
	if sets := p.segments.MergeCandidates(); len(sets) > 0 {
		return k.rewrite(sets[0])
	}
	if half.DeadBytes > 0 {
		return k.rewrite([]segment.FileID{half.ID})
	}
	return k.compact()
}

// rewriteBytesMin is how many dead bytes are worth rewriting a file for, unless told otherwise.
const rewriteBytesMin int64 = 4 << 20

// startOf is where a partition begins; beyond everything when it is gone.
func (p *Published) startOf(stream, partition uint32) uint64 {
	part := p.Part(record.StreamID(stream), record.PartitionID(partition))
	if part == nil {
		return ^uint64(0)
	}
	start, _ := part.Ends()
	return uint64(start)
}

// rewrite copies what is live of some files into new ones, and replaces them. What is superseded stays behind on the way, whatever the files are
// rewritten for.
func (k *keeper) rewrite(files []segment.FileID) (bool, error) {
	p := k.s.published
	c, err := k.plan(files)
	if err != nil {
		return false, err
	}
	b := p.segments.NewBuild(k.paced)
	c.prepare(b)
	err = p.segments.CopyPieces(b, files, func(stream, partition uint32) (from uint64, drop bool) {
		from = p.startOf(stream, partition)
		return from, from == ^uint64(0)
	})
	if err != nil {
		b.Abort()
		return false, fmt.Errorf("merge segment files: %w", err)
	}
	made, err := b.Finish()
	if err != nil {
		b.Abort()
		return false, fmt.Errorf("merge segment files: %w", err)
	}
	if err := p.segments.Commit(segment.Edit{Add: made, Remove: files}); err != nil {
		b.Abort()
		return false, fmt.Errorf("name the merged segment files: %w", err)
	}
	k.merges.Add(1)
	k.tell(c)
	return true, nil
}
