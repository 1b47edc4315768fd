package shard

import (
	"cmp"
	"fmt"

	"leat/broker/record"
	"leat/storage/segment"
)

// removeDead removes segment files of which nobody wants anything, and says whether there were any.
func (k *keeper) removeDead() (bool, error) {
	p := k.s.published
	var whole []segment.FileID
	for _, d := range p.segments.Dead(p.startOf) {
		if d.Whole {
			whole = append(whole, d.ID)
		}
	}
	if len(whole) == 0 {
		return false, nil
	}
	if err := p.segments.Commit(segment.Edit{Remove: whole}); err != nil {
		return false, fmt.Errorf("remove segment files that were trimmed: %w", err)
	}
	return true, nil
}

// tidy makes few files of many small ones, and rewrites those that hold more dead bytes than live ones, as far as the disk has room for the copy.
// It does one of these and says whether it did.
func (k *keeper) tidy() (bool, error) {
	p := k.s.published
	half, least := segment.DeadFile{}, cmp.Or(k.cfg.RewriteBytesMin, rewriteBytesMin)
	for _, d := range p.segments.Dead(p.startOf) {
		if d.DeadBytes > d.DataBytes/2 && d.DeadBytes > half.DeadBytes && d.DeadBytes >= least {
			half = d
		}
	}
	if sets := p.segments.MergeCandidates(); len(sets) > 0 {
		if did, err := k.rewrite(sets[0]); did || err != nil {
			return did, err
		}
	}
	if half.DeadBytes > 0 {
		if did, err := k.rewrite([]segment.FileID{half.ID}); did || err != nil {
			return did, err
		}
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
// rewritten for. Nothing is done while the disk has no room for the copy.
func (k *keeper) rewrite(files []segment.FileID) (bool, error) {
	p := k.s.published
	if p.segments.Bytes(files) > k.room() {
		return false, nil
	}
	c, err := k.plan(files)
	if err != nil {
		return false, err
	}
	b := k.newBuild()
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
