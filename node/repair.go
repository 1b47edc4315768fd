package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"leat/broker/stream"
	"leat/storage/archive"
)

// RepairOptions say what is repaired, and from what.
type RepairOptions struct {
	VerifyOptions
	From     *ArchivePlace // nil: there is no archive
	Act      bool          // else only say what would be done
	Renumber bool          // versions of keys may be counted from what is left, where the key files that had them are damaged
}

// Repair is what was found and what became of it.
type Repair struct {
	Damage []Damage `json:"damage"` // before
	Done   []string `json:"done"`   // or what would be done
	Left   []Damage `json:"left"`   // what stays damaged; after Act, as it was verified again
}

// RepairDirectory mends what can be made again: segment files from an archive, key files from segment files and journal. Everything else stays as it is, and
// is told of.
//
//	segment file or its directory   taken from the newest checkpoint that has it, under its hash, and put in place of the damaged one
//	key files                       removed, and built from the batches in segment files; what is not in those is added from the journal at the next start
//	journal                         leat journal repair, or a restore
//	state                           a restore; before format 2 it is built from the journal
func RepairDirectory(ctx context.Context, opt RepairOptions) (out *Repair, err error) {
	d, err := openStopped(&opt.VerifyOptions)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.lock.Close()) }()
	out = &Repair{Damage: []Damage{}, Done: []string{}, Left: []Damage{}}
	for i := range d.id.Shards {
		r := &repairing{d: d, opt: &opt, out: out, n: i}
		if err := r.run(ctx); err != nil {
			return out, fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return out, nil
}

// repairing is the repair of one shard.
type repairing struct {
	d   *stopped
	opt *RepairOptions
	out *Repair
	n   int
}

func (r *repairing) run(ctx context.Context) error {
	found, err := r.look(ctx, r.check)
	if err != nil {
		return err
	}
	r.out.Damage = append(r.out.Damage, found...)
	if len(found) == 0 {
		return nil
	}
	segments := damagedFiles(found, segmentsFolder)
	unmended, err := r.segments(ctx, segments)
	if err != nil {
		return err
	}
	if len(damagedFiles(found, keysFolder)) > 0 {
		if err := r.keys(ctx, unmended); err != nil {
			return err
		}
	}
	if r.opt.Act {
		left, err := r.look(ctx, r.check)
		r.out.Left = append(r.out.Left, left...)
		return err
	}
	for _, d := range found {
		if strings.HasPrefix(d.File, keysFolder) || strings.HasPrefix(d.File, segmentsFolder) && !slices.Contains(unmended, path.Base(d.File)) {
			continue
		}
		r.out.Left = append(r.out.Left, d)
	}
	return nil
}

// look opens the shard for fn.
func (r *repairing) look(ctx context.Context, fn func(context.Context, *stoppedShard) ([]Damage, error)) ([]Damage, error) {
	s, err := r.d.shard(r.n)
	if err != nil {
		return nil, err
	}
	found, err := fn(ctx, s)
	return found, errors.Join(err, s.Close())
}

func (r *repairing) check(ctx context.Context, s *stoppedShard) ([]Damage, error) {
	return s.verify(ctx, 0)
}

// damagedFiles are the names of the files of a folder in which something was found.
func damagedFiles(found []Damage, folder string) (names []string) {
	for _, d := range found {
		if in, name := path.Split(d.File); path.Clean(in) == folder && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// segments puts files of the archive in place of damaged ones, and returns the names of those it could not.
func (r *repairing) segments(ctx context.Context, names []string) (unmended []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	if r.opt.From == nil {
		return names, nil
	}
	lineage, err := r.d.id.lineage()
	if err != nil {
		return names, err
	}
	bucket := r.opt.From.bucket(lineage.String())
	defer func() { err = errors.Join(err, bucket.Close()) }()
	all, err := archive.ListCheckpoints(ctx, bucket, archive.Shard(r.n))
	if err != nil {
		return names, err
	}
	roots, err := r.roots(ctx)
	if err != nil {
		return names, err
	}
	dir := path.Join(shardFolder(r.d.opt.Data, r.n), segmentsFolder)
	for _, name := range names {
		f, ok := archived(all, path.Join(segmentsFolder, name), roots[strings.TrimSuffix(strings.TrimSuffix(name, ".seg"), ".dir")])
		if !ok {
			unmended = append(unmended, name)
			continue
		}
		what := fmt.Sprintf("%s is taken from the archive, %d bytes", path.Join(dir, name), f.Size)
		if r.opt.Act {
			if err := r.fetch(ctx, bucket, f, path.Join(dir, name)); err != nil {
				return names, fmt.Errorf("%s: %w", name, err)
			}
		}
		r.out.Done = append(r.out.Done, what)
	}
	return unmended, nil
}

// roots are the hashes of the live segment files, by name without its ending.
func (r *repairing) roots(ctx context.Context) (map[string]string, error) {
	roots := map[string]string{}
	_, err := r.look(ctx, func(_ context.Context, s *stoppedShard) ([]Damage, error) {
		if s.segments != nil {
			for _, f := range s.segments.Files() {
				roots[fmt.Sprintf("segment-%016x", uint64(f.ID))] = hex.EncodeToString(f.Root[:])
			}
		}
		return nil, nil
	})
	return roots, err
}

// archived finds a file in the newest checkpoint that has it. The root says that it is the same file and not one of the same name.
func archived(all []*archive.CheckpointInfo, name, root string) (archive.CheckpointFile, bool) {
	for _, cp := range slices.Backward(all) {
		for _, f := range cp.Files {
			if f.Name == name && f.Mark == root && root != "" {
				return f, true
			}
		}
	}
	return archive.CheckpointFile{}, false
}

// fetch writes a file beside, checks its hash, and gives it its name.
func (r *repairing) fetch(ctx context.Context, b archive.Bucket, f archive.CheckpointFile, name string) error {
	beside := name + ".tmp"
	if err := r.d.fsys.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.FetchTo(ctx, b, r.d.fsys, beside); err != nil {
		return errors.Join(err, r.d.fsys.Remove(beside))
	}
	if err := r.d.fsys.Rename(beside, name); err != nil {
		return err
	}
	return r.d.fsys.SyncDir(path.Dir(name))
}

// needsVersions names the streams whose versions only the damaged key files had: events were removed, so that counting does not tell them.
func needsVersions(s *stoppedShard) (names []string) {
	for id, st := range s.streams.Streams {
		if st.Keys != stream.KeysVersioned {
			continue
		}
		if slices.ContainsFunc(st.Partitions, func(p stream.Partition) bool { return p.Start > 0 }) {
			names = append(names, s.name(uint32(id)))
		}
	}
	slices.Sort(names)
	return names
}
