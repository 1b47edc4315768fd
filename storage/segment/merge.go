package segment

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Levels of files. A file of some size is merged at most once in its life, so merging writes every byte at most once more. Files that are still small after that, because
// windows were, are merged again, again of files that are as small: so a byte is written once more each time that its file becomes mergeAgain times as large.
const (
	levelJournal uint8 = 0
	levelMerged  uint8 = 1
)

const (
	// MergeBytesMax is how much one merge rewrites.
	MergeBytesMax = 8 << 30
	// mergePieceBytes is from which mean size of a piece on a file is not worth merging: reading it is mostly reading ahead.
	mergePieceBytes = 3 << 20
	// mergeAgain is how many merged files, of which each is at most one in so many of the largest, are made one.
	mergeAgain = 16
	// mergeTiny is up to where files are alike however small they are.
	mergeTiny = 64 << 10
	// copyBytes is how much CopyPieces reads at a time.
	copyBytes = 1 << 20
)

// MergeCandidates returns sets of shared files, cut from the journal one after the other, that are worth being made one: Config.MergeFiles of them
// each, oldest first; and of merged files that are still small, mergeAgain of about the same size each. While a file is lost or damaged, what lies on both sides of it is not merged.
func (s *Store) MergeCandidates() [][]FileID {
	s.mu.RLock()
	var shared []*file
	for _, f := range s.files {
		if !s.ownFile(f) {
			shared = append(shared, f)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(shared, func(a, b *file) int { return cmp.Or(cmp.Compare(a.SeqLast, b.SeqLast), cmp.Compare(a.ID, b.ID)) })
	var sets [][]FileID
	open := map[int]*candidates{} // by what is merged with what
	for _, f := range shared {
		kind, most := -1, s.cfg.MergeFiles
		if f.Level != levelJournal {
			kind, most = bits.Len64(uint64(max(f.DataBytes, mergeTiny)))/4, mergeAgain
		}
		x := open[kind]
		if x == nil {
			x = &candidates{}
			open[kind] = x
		}
		switch {
		case f.damaged.Load() || f.lost():
			clear(open)
			continue
		case f.Pieces > 0 && f.DataBytes/int64(f.Pieces) >= mergePieceBytes, kind >= 0 && f.DataBytes > s.cfg.SharedBytesMax/mergeAgain:
			continue
		case x.bytes+f.Bytes > MergeBytesMax:
			*x = candidates{} // cannot be with MergeFiles of the largest size at its default
		}
		x.files, x.bytes = append(x.files, f.ID), x.bytes+f.Bytes
		if len(x.files) == most {
			sets = append(sets, x.files)
			*x = candidates{}
		}
	}
	return sets
}

type candidates struct {
	files []FileID
	bytes int64
}

// CopyPieces adds the runs of the files to a build, in order: partition by partition, the pieces of one in offset order. keep is asked once
// for each partition: runs wholly below from are left out, and all of them with drop. Every run's sum is checked, so that damage is never
// copied: it is returned as a *CorruptError, and its file is no candidate for a merge from then on. The files made are of level 1.
//
// Where offsets of a file that is not among these lie between two pieces, they stay two pieces.
func (s *Store) CopyPieces(b *Build, files []FileID, keep func(stream, partition uint32) (from uint64, drop bool)) error {
	b.Merged()
	parts, err := s.partitionsOf(files)
	if err != nil {
		return err
	}
	chosen := map[FileID]bool{}
	for _, id := range files {
		chosen[id] = true
	}
	buf := make([]byte, 0, copyBytes)
	for _, part := range parts {
		from, drop := keep(uint32(part>>32), uint32(part))
		if drop {
			continue
		}
		if buf, err = s.copyPartition(b, part, chosen, from, buf); err != nil {
			return fmt.Errorf("segment: copy: stream %d, partition %d: %w", uint32(part>>32), uint32(part), err)
		}
	}
	return nil
}

// partitionsOf returns the partitions that the files have pieces of, in order.
func (s *Store) partitionsOf(files []FileID) ([]partition, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var parts []partition
	for _, id := range files {
		f := s.files[id]
		if f == nil {
			return nil, fmt.Errorf("%w: %d", ErrNoFile, id)
		}
		if f.lost() {
			return nil, fmt.Errorf("segment: copy: %w", missing(id.name()))
		}
		for i := range f.pieces {
			parts = append(parts, partitionOf(f.pieces[i].stream, f.pieces[i].partition))
		}
	}
	slices.Sort(parts)
	return slices.Compact(parts), nil
}

func (s *Store) copyPartition(b *Build, part partition, chosen map[FileID]bool, from uint64, buf []byte) ([]byte, error) {
	c := s.Cursor(uint32(part>>32), uint32(part))
	defer c.Close()
	for at := 0; at < len(c.refs); at++ {
		// A stretch of chosen pieces with none of another file between.
		if !chosen[c.refs[at].f.ID] {
			continue
		}
		end, bytes := at, int64(0)
		for ; end < len(c.refs) && chosen[c.refs[end].f.ID]; end++ {
			if p := c.refs[end].piece(); p.next > from {
				bytes += int64(p.bytes)
			}
		}
		next := c.refs[end-1].piece().next
		if next <= from {
			at = end - 1
			continue
		}
		if err := b.Piece(uint32(part>>32), uint32(part), bytes); err != nil {
			return buf, err
		}
		var err error
		if buf, err = copyStretch(b, c, max(from, c.refs[at].piece().base), next, buf); err != nil {
			return buf, err
		}
		b.Cover(next)
		at = end - 1
	}
	return buf, nil
}

// copyStretch adds the runs from the one that holds the offset from on and up to next.
func copyStretch(b *Build, c *Cursor, from, next uint64, buf []byte) ([]byte, error) {
	var failed error
	put := func(r *Run, data []byte) error { return b.Add(*r, data) }
	add := func(r *Run, data []byte) {
		switch {
		case failed != nil:
		case b.rewrite != nil:
			failed = b.rewrite(r, data, put)
		default:
			failed = put(r, data)
		}
	}
	for ok := c.Seek(from); ok && c.run.Base < next; ok = c.Next() {
		var err error
		if buf, err = c.ReadSome(buf[:0], copyBytes, next, add); err != nil || failed != nil {
			return buf, errors.Join(err, failed)
		}
	}
	return buf, c.Err()
}

// DeadFile is a file with runs that nobody needs.
type DeadFile struct {
	ID        FileID
	DataBytes int64
	DeadBytes int64 // about: a piece that is dead in part counts by its offsets
	Whole     bool  // nothing in it is needed: it can be removed
}

// Dead returns the files that hold offsets below the start of their partition, as start tells it (all ones for a stream that is gone). It is
// asked once for each piece, and no lock is held meanwhile.
func (s *Store) Dead(start func(stream, partition uint32) uint64) []DeadFile {
	s.mu.RLock()
	files := make([]*file, 0, len(s.files))
	for _, id := range sortedIDs(s.files) {
		files = append(files, s.files[id])
	}
	s.mu.RUnlock()
	var out []DeadFile
	for _, f := range files {
		if f.lost() {
			continue
		}
		d := DeadFile{ID: f.ID, DataBytes: f.DataBytes, Whole: true}
		for i := range f.pieces {
			p := &f.pieces[i]
			switch from := start(p.stream, p.partition); {
			case from >= p.next:
				d.DeadBytes += int64(p.bytes)
			case from > p.base:
				d.DeadBytes += int64(float64(p.bytes) * float64(from-p.base) / float64(p.next-p.base))
				d.Whole = false
			default:
				d.Whole = false
			}
		}
		if d.DeadBytes > 0 || d.Whole {
			out = append(out, d)
		}
	}
	return out
}
