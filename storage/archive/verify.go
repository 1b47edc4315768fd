package archive

import (
	"context"
	"errors"
	"fmt"

	"leat/storage/journal"
)

// Report is what Verify found.
type Report struct {
	Packs       int
	Frames      int64
	Bytes       int64 // of packs and files that were read
	First, Last journal.Seq
	Checkpoints int
	Files       int
	Gaps        []MissingError // that were declared: nobody archived then
	Leftover    int            // packs behind a hole that were never counted as archived
	Problems    []error        // damage and holes, each with its name
}

// problemsMax is after how many problems Verify stops looking.
const problemsMax = 1000

// Verify reads all of a shard's archive and checks every CRC, hash and link. What is wrong with the archive is in the report; an error is that the
// bucket could not be read.
func Verify(ctx context.Context, b Bucket, s Shard, progress Progress) (*Report, error) {
	packs, err := listPacks(ctx, b, s)
	if err != nil {
		return nil, err
	}
	all, err := listCheckpoints(ctx, b, s)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	files, objects := r.checkpoints(ctx, b, s, all)
	total := int64(0)
	for _, k := range packs {
		total += k.Size
	}
	for _, f := range objects {
		total += f.Size
	}
	v := &verifier{Report: r, shard: s, told: newTold(progress, total)}
	v.Files = files
	solid, leftover, err := settle(ctx, b, s, packs)
	switch {
	case err != nil && !v.problem(err):
		return r, err
	case err != nil:
		solid, leftover = packs, nil
	}
	v.Leftover = len(leftover)
	err = walk(ctx, b, solid, v.pack)
	if err == nil {
		err = v.files(ctx, b, objects)
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	v.told.end()
	return r, err
}

type verifier struct {
	*Report
	shard Shard
	told  *told
}

// problem notes what is wrong with the archive; false is for an error of another kind.
func (r *Report) problem(err error) bool {
	var d *DamageError
	var m *MissingError
	if !errors.As(err, &d) && !errors.As(err, &m) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrLineage) {
		return false
	}
	r.Problems = append(r.Problems, err)
	return true
}

// checkpoints reads the manifests and returns what they need, each object once.
func (r *Report) checkpoints(ctx context.Context, b Bucket, s Shard, all []listed) (files int, objects []CheckpointFile) {
	seen := map[string]bool{}
	for _, l := range all {
		c, err := readCheckpoint(ctx, b, s, l.seq, l.size)
		if err != nil {
			r.Problems = append(r.Problems, err)
			continue
		}
		r.Checkpoints++
		files += len(c.Files)
		for _, f := range c.Files {
			if !seen[f.Object] {
				seen[f.Object] = true
				objects = append(objects, f)
			}
		}
	}
	return files, objects
}

func (v *verifier) pack(k *unpacked, err error) error {
	if len(v.Problems) >= problemsMax {
		return errStop
	}
	if k == nil {
		v.Packs++
		if !v.problem(err) {
			return err
		}
		return nil
	}
	size := k.foot.at + footerBytes
	v.told.add(size)
	v.Bytes += size
	if err != nil && !v.problem(err) {
		return err
	}
	if v.Packs > 0 && k.head.prev > v.Last {
		hole := MissingError{Shard: v.shard, After: v.Last, Until: k.head.prev}
		if k.head.begins {
			v.Gaps = append(v.Gaps, hole)
		} else {
			v.Problems = append(v.Problems, &hole)
		}
	}
	if v.Packs == 0 {
		v.First = k.head.first
	}
	v.Packs++
	v.Last = k.head.last
	err = k.each(func(Frame) error {
		v.Frames++
		return nil
	})
	if err != nil && !v.problem(err) {
		return err
	}
	return nil
}

func (v *verifier) files(ctx context.Context, b Bucket, objects []CheckpointFile) error {
	problems := make([]error, len(objects))
	err := parallel(ctx, fetchJobs, len(objects), func(ctx context.Context, i int) error {
		f := objects[i]
		r, err := b.Get(ctx, f.Object, 0, -1)
		if errors.Is(err, ErrNotFound) {
			problems[i] = &DamageError{Name: f.Object, Expected: "a file of a checkpoint", Found: "no such object"}
			return nil
		} else if err != nil {
			return fmt.Errorf("archive: get %s: %w", f.Object, err)
		}
		err = f.verify(r, nil, v.told)
		var d *DamageError
		if errors.As(err, &d) {
			problems[i], err = err, nil
		}
		return errors.Join(err, r.Close())
	})
	for i, p := range problems {
		if p != nil {
			v.Problems = append(v.Problems, p)
		}
		v.Bytes += objects[i].Size
	}
	return err
}
