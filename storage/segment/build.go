package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// OwnFileBytesMax is where a file of one partition ends and the next begins.
const OwnFileBytesMax = 1 << 30

// Pace is called after each written piece of at most Config.BlockBytes, and may sleep. An error stops the build and is returned by what wrote.
type Pace func(bytes int) error

// Build makes files of one pass over some partitions. Nothing of it can be seen before Commit. It is for one goroutine; several builds may
// go on at a time. After an error only Abort makes sense.
type Build struct {
	s     *Store
	pace  Pace
	level uint8

	shared  *writer // open between pieces that are not alone
	aside   *writer // likewise, for those that are put aside
	own     *writer // open while one piece goes on
	cur     *writer // the one of the three that takes the open piece
	last    Run
	fresh   bool // Piece was called since the last Add
	alone   bool // the open piece gets files of its own
	beside  bool // it is put aside
	asides  func(stream, number uint32) bool
	known   int64
	cover   uint64
	rewrite Rewrite // what CopyPieces copies goes through it; nil: as it is
	mark    File    // Compacted and CompactedMS of the files

	ownMax int64 // OwnFileBytesMax, less in tests

	files []File
	made  []FileID // all that may be on the disk
	err   error
}

// NewBuild begins a build. pace may be nil.
func (s *Store) NewBuild(pace Pace) *Build { return &Build{s: s, pace: pace, ownMax: OwnFileBytesMax} }

// Merged says that the runs come from segment files, so that the files made from now on are not candidates for another merge.
func (b *Build) Merged() { b.level = levelMerged }

// Rewrite is told of every run that is copied, and adds what is to be there instead: the same, parts of it in order, or nothing. data is good during
// the call.
type Rewrite func(r *Run, data []byte, add func(r *Run, data []byte) error) error

// Rewrite makes CopyPieces put every run through fn.
func (b *Build) Rewrite(fn Rewrite) { b.rewrite = fn }

// Compacted says that the files will hold nothing of what frames up to seq had superseded by that time, where the owner of the runs lets go of
// such things. The manifest keeps it; it means nothing to the store.
func (b *Build) Compacted(seq uint64, timeMS int64) {
	b.mark.Compacted, b.mark.CompactedMS = seq, timeMS
}

// Aside says which partitions share files with one another and with no others: those that are rewritten more often, so that what lies beside them is not. It is
// for pieces that are announced.
func (b *Build) Aside(fn func(stream, number uint32) bool) { b.asides = fn }

// Piece announces that the next runs are of that partition and have about so many bytes together: more than Config.OwnBytesMin get
// a file of their own. It also begins another piece where the partition is the one before: so it must be called where offsets
// that another file holds lie between. Without it a partition is taken for a small one.
func (b *Build) Piece(stream, number uint32, bytes int64) error {
	if b.err != nil {
		return b.err
	}
	if err := b.endPiece(); err != nil {
		return b.fail(err)
	}
	b.fresh, b.known, b.alone, b.beside = true, bytes, bytes > b.s.cfg.OwnBytesMin, b.asides != nil && b.asides(stream, number)
	if last, next := partitionOf(b.last.Stream, b.last.Partition), partitionOf(stream, number); b.last.Next > 0 && next < last {
		return b.fail(fmt.Errorf("%w: stream %d, partition %d after stream %d, partition %d", ErrOrder, stream, number, b.last.Stream, b.last.Partition))
	}
	return nil
}

// Cover says that the open piece stands for all offsets below next, also where its last runs were left out: End is never less for a rewrite.
func (b *Build) Cover(next uint64) { b.cover = max(b.cover, next) }

// Add adds a run, whose bytes are data: written or copied when it returns. Runs come in order of (stream, partition, base).
func (b *Build) Add(r Run, data []byte) error {
	if b.err != nil {
		return b.err
	}
	if err := b.add(&r, data); err != nil {
		return b.fail(err)
	}
	return nil
}

func (b *Build) add(r *Run, data []byte) error {
	if err := r.valid(); err != nil {
		return fmt.Errorf("stream %d, partition %d, offset %d: %w", r.Stream, r.Partition, r.Base, err)
	}
	if int64(len(data)) != r.Bytes {
		return fmt.Errorf("%w: a run of %d bytes with %d", ErrOrder, r.Bytes, len(data))
	}
	was, is := partitionOf(b.last.Stream, b.last.Partition), partitionOf(r.Stream, r.Partition)
	switch {
	case b.last.Next == 0:
	case is < was:
		return fmt.Errorf("%w: stream %d, partition %d after stream %d, partition %d", ErrOrder, r.Stream, r.Partition, b.last.Stream, b.last.Partition)
	case is == was:
		if err := r.follows(&b.last); err != nil {
			return fmt.Errorf("stream %d, partition %d: %w", r.Stream, r.Partition, err)
		}
	}
	if is != was && !b.fresh {
		if err := b.endPiece(); err != nil {
			return err
		}
		b.known, b.alone, b.beside = 0, false, false
	}
	if err := b.open(r.Bytes); err != nil {
		return err
	}
	b.last, b.fresh = *r, false
	return b.cur.add(r, data)
}

// open sees to it that cur is a file that has room for the run.
func (b *Build) open(bytes int64) (err error) {
	place, most, want := &b.shared, b.s.cfg.SharedBytesMax, bytes
	if b.beside {
		place = &b.aside
	}
	if b.alone {
		place, most = &b.own, b.ownMax
	} else if b.cur == nil {
		want = max(bytes, b.known) // a piece is not cut in two where a new file spares it
	}
	if w := *place; w != nil && w.off > headerBytes && w.off+want > most {
		*place = nil
		if err := b.finish(w); err != nil {
			return err
		}
	}
	if *place == nil {
		if *place, err = b.newWriter(); err != nil {
			return err
		}
		b.made = append(b.made, (*place).id)
	}
	b.cur = *place
	return nil
}

// endPiece ends the open piece, and its file where it was alone in it.
func (b *Build) endPiece() error {
	w, covered := b.cur, b.cover
	b.cur, b.cover = nil, 0
	if w == nil {
		return nil
	}
	if err := w.closePiece(covered); err != nil {
		return err
	}
	if w == b.own {
		b.own = nil
		return b.finish(w)
	}
	return nil
}

func (b *Build) finish(w *writer) error {
	err := w.closePiece(0)
	if err == nil {
		var f File
		if f, err = w.finish(); err == nil {
			b.files = append(b.files, f)
			return nil
		}
	}
	return errors.Join(err, w.close())
}

// Finish completes the files and syncs each once, and the folder. They are part of the store when Commit is told of them; until then
// Abort takes them away, and so does an Open. Without a single run there are none.
func (b *Build) Finish() ([]File, error) {
	if b.err != nil {
		return nil, b.err
	}
	err := b.endPiece()
	for _, place := range []**writer{&b.shared, &b.aside} {
		if w := *place; err == nil && w != nil {
			*place = nil
			err = b.finish(w)
		}
	}
	if err == nil && len(b.made) > 0 {
		err = b.s.fs.SyncDir(b.s.dir)
	}
	if err != nil {
		return nil, b.fail(err)
	}
	b.err = errRunning
	return b.files, nil
}

// Abort removes what the build made, unless a Commit took it. It may be called at any time, also twice, but not during Commit.
func (b *Build) Abort() {
	for _, w := range []*writer{b.shared, b.aside, b.own} {
		if w != nil {
			_ = w.close() // removed below
		}
	}
	b.shared, b.aside, b.own, b.cur = nil, nil, nil, nil
	if b.err == nil {
		b.err = errRunning
	}
	for _, id := range b.made {
		if !b.s.keeps(id) {
			b.s.removeFiles(id)
		}
	}
	b.made = nil
}

func (b *Build) fail(err error) error {
	b.err = fmt.Errorf("segment: build: %w", err)
	return b.err
}

// removeFiles takes a file's names away. What fails is tried again by the next Open.
func (s *Store) removeFiles(id FileID) {
	for _, name := range []string{id.name(), id.directory()} {
		if err := s.fs.Remove(path.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("a segment file that is not needed any more could not be removed", "file", name, "error", err)
		}
	}
}
