package disk

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"

	"leat/storage/journal"
	"leat/storage/vfs"
)

// RepairOptions say how far a repair may go.
type RepairOptions struct {
	// Act makes the repair. Without it Repair only says what it would do.
	Act bool
	// CutData also cuts at a frame of which only data is damaged. Without it such frames stay: what they carry has CRCs of its own, and all
	// other frames are kept.
	CutData bool
}

// Repaired is what a repair did, or would do.
type Repaired struct {
	Damage   Finding     // what the journal is cut at
	CutFile  string      // the journal ends in this file
	CutAt    int64       // at this byte
	Keeps    journal.Seq // the last Seq that stays
	LostFrom journal.Seq // the lost range; both 0 when nothing that can still be recognised is lost
	LostTo   journal.Seq
	Aside    []string // files in the folder that hold what was cut
	Acted    bool
}

// ErrNothingToRepair says that the journal opens as it is.
var ErrNothingToRepair = errors.New("journal: nothing to repair")

// ErrNothingLeft says that there is no whole frame before the damage: restore a backup.
var ErrNothingLeft = errors.New("journal: the damage is at the very start; no repair can keep anything")

// Repair cuts the journal in dir before its first damage, so that what is left is a true beginning of its history: events behind a hole
// would have been decided on what is lost. All that is cut is kept aside in the folder. The journal must not be open.
//
// A crash during a repair leaves a journal that is still refused, with nothing lost, or a repaired one.
func Repair(fsys vfs.FS, dir string, o RepairOptions) (rep *Repaired, err error) {
	lock, err := lockExisting(fsys, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	seen := &Report{}
	if err := walkLocked(fsys, dir, seen, nil, nil); err != nil {
		return nil, err
	}
	l, err := list(fsys, dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{fs: fsys, dir: dir, log: slog.Default(), random: trueRandom}
	j.table = table{fs: fsys, dir: dir, openMax: OpenFilesMin}
	defer func() { err = errors.Join(err, j.table.close()) }()
	c, err := j.findCut(l, o)
	if err != nil {
		return nil, err
	}
	rep = &Repaired{Damage: c.damage, CutFile: c.file.name, CutAt: c.off, Keeps: c.last.seq}
	if last := max(seen.Last, seen.LastSynced); last > c.last.seq {
		rep.LostFrom, rep.LostTo = c.last.seq+1, last
	}
	if !o.Act {
		return rep, nil
	}
	rep.Acted = true
	return rep, j.cut(l, c, max(seen.Epoch, c.file.header.epoch), rep)
}

// cutPoint is the first damage and the frame before it.
type cutPoint struct {
	file   *file
	off    int64
	last   link
	damage Finding
}

// findCut walks the files as an open and a scan would, to the first thing that either refuses.
func (j *Journal) findCut(l listing, o RepairOptions) (cutPoint, error) {
	var at cutPoint // the end of the last whole frame
	for i, number := range l.numbers {
		f, err := j.readFile(number)
		if err != nil && i > 0 && i == len(l.numbers)-1 && (&walker{j: j, r: &Report{}}).unwritten(number, at.file) {
			break // named, never written: for Open to undo
		}
		if err == nil && i > 0 {
			err = j.chained(at.file, f)
		}
		if err == nil && i > 0 && (f.header.prev != at.last || f.header.prevEnd != at.off) {
			// The file before ends earlier than this one says, and no frame follows there that would have shown it.
			err = corrupt(at.file.name, at.off, bad(0, fmt.Sprintf("frames up to byte %d", f.header.prevEnd), "no frame"))
		}
		if err != nil {
			return at.refused(err)
		}
		if i == 0 {
			j.lineage = f.header.lineage
			at.last = f.header.prev
		}
		j.table.files = append(j.table.files, f)
		at.file, at.off = f, headerPageBytes
		end := f.room()
		if i+1 < len(l.numbers) {
			if next, err := j.readFile(l.numbers[i+1]); err == nil && next.header.prevEnd <= end {
				end = next.header.prevEnd
			}
		}
		damage, err := j.walkToDamage(f, end, i == len(l.numbers)-1, o, &at)
		if err != nil || damage != nil {
			if damage != nil {
				return at.refused(damage)
			}
			return at, err
		}
	}
	return at, ErrNothingToRepair
}

func (at *cutPoint) refused(err error) (cutPoint, error) {
	var ce *journal.CorruptError
	if !errors.As(err, &ce) {
		return *at, err
	}
	if at.file == nil {
		return *at, fmt.Errorf("%w: %w", ErrNothingLeft, err)
	}
	at.damage = Finding{Damage, ce.File, ce.Offset, ce.Expected, ce.Found}
	return *at, nil
}

// walkToDamage moves at behind the whole frames of f. The end of the last file is damage only when a frame follows.
func (j *Journal) walkToDamage(f *file, end int64, isLast bool, o RepairOptions, at *cutPoint) (damage, err error) {
	c := cursor{table: &j.table}
	c.reset(f, headerPageBytes, end, true)
	for c.off < end {
		off := c.off
		_, err := c.next()
		if err == nil && o.CutData {
			err = j.wholePayload(f, &c.h, off)
		}
		if err == nil {
			at.off, at.last = c.off, c.last
			continue
		}
		var ce *journal.CorruptError
		if !errors.As(err, &ce) {
			return nil, err
		}
		if !isLast {
			return err, nil
		}
		w := walker{j: j}
		if next, serr := w.nextFrame(f, off, end); serr != nil || next < 0 {
			return nil, serr // a torn tail: for Open to cut
		}
		return err, nil
	}
	return nil, nil
}

// cut puts aside what is behind the cut, the last file first, so that what is left never has a hole; then begins a new file behind it.
func (j *Journal) cut(l listing, c cutPoint, epoch journal.Epoch, rep *Repaired) error {
	number := c.file.header.number
	copyName := fmt.Sprintf("repair-%016x-%08x-%d.bin", number, c.off, epoch+1)
	if err := j.copyAside(c.file, c.off, copyName); err != nil {
		return err
	}
	rep.Aside = append(rep.Aside, copyName)
	for i := len(l.numbers) - 1; i >= 0 && l.numbers[i] > number; i-- {
		name := fileName(l.numbers[i])
		aside := fmt.Sprintf("repair-%016x-%d.bin", l.numbers[i], epoch+1)
		if err := j.fs.Rename(path.Join(j.dir, name), path.Join(j.dir, aside)); err != nil {
			return err
		}
		if err := j.fs.SyncDir(j.dir); err != nil {
			return err
		}
		rep.Aside = append(rep.Aside, aside)
	}
	for _, name := range l.tmps {
		if err := j.fs.Remove(path.Join(j.dir, name)); err != nil {
			return err
		}
	}
	j.epoch = epoch + 1
	j.cfg = Default()
	j.cfg.FileBytes = max(fileBytesFor(0), c.file.header.fileBytes)
	j.ring = newRing(j.fs, j.dir, j.cfg, j.log, j.inUse)
	if err := j.begin(startOf{number: number + 1, prev: c.last, prevEnd: c.off}); err != nil {
		return err
	}
	return j.w.h.Close()
}

// copyAside copies the rest of a file into one of its own.
func (j *Journal) copyAside(f *file, from int64, name string) error {
	src, err := j.fs.Open(path.Join(j.dir, f.name), vfs.Read)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := j.fs.Open(path.Join(j.dir, name), vfs.Create)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(dst, 0), io.NewSectionReader(src, from, f.size.Load()-from))
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}
