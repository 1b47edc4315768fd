package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"time"

	"leat/broker/record"
	"leat/broker/shard"
	"leat/internal/clock"
	"leat/storage/archive"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/state"
	"leat/storage/state/pebble"
	"leat/storage/vfs"
)

// RestoreOptions say what is restored, and where.
type RestoreOptions struct {
	From     *ArchivePlace
	Lineage  string // the first digits of the archive's lineage; "" is the newest of the place
	Data     string // the new data directory: not there, or empty
	Until    RestoreUntil
	Journal  disk.Config
	State    pebble.Config
	Log      *slog.Logger
	Progress func(what string, done, total int64) // in bytes, now and then; nil is fine
}

// RestoreUntil is the moment that is restored. The zero one is all there is.
type RestoreUntil struct {
	Time     time.Time        // what was appended up to this time
	Position *record.Position // up to this event, with the frame it is in; other shards up to the time of that frame
}

// Restored is what a restore has made.
type Restored struct {
	Lineage  string          `json:"lineage"`  // of the new data directory
	Of       string          `json:"restored"` // the lineage it was restored from
	Shards   []RestoredShard `json:"shards"`
	Bytes    int64           `json:"bytes"`   // read from the archive
	Written  int64           `json:"written"` // files, facts and data
	Duration time.Duration   `json:"-"`
}

// RestoredShard is one shard. Checkpoint is where its files came from, 0 without.
type RestoredShard struct {
	Shard      int       `json:"shard"`
	Checkpoint uint64    `json:"checkpoint"`
	Frames     int64     `json:"frames"` // from packs
	Seq        uint64    `json:"seq"`    // the last that was restored
	Time       time.Time `json:"time,omitzero"`
	Leftover   int       `json:"left_over,omitempty"` // packs behind the end that were never counted as archived
}

// restore is one on its way.
type restore struct {
	RestoreOptions
	fsys   vfs.FS
	bucket *laterBucket
	of     *ArchivedLineage
	out    Restored
}

// Restore makes a data directory from an archive, in a lineage of its own: what a node made of it writes never mixes with what the old one wrote. All shards
// are restored up to the same time.
//
// leat.json is written last, when all else is durable. Without it a directory that holds anything does not open, so what a failed restore leaves is never
// taken for whole; it can be removed.
func Restore(ctx context.Context, fsys vfs.FS, opt RestoreOptions) (out *Restored, err error) {
	began := clock.Now()
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	r := &restore{RestoreOptions: opt, fsys: fsys}
	if r.of, err = r.archive(ctx); err != nil {
		return nil, err
	}
	r.bucket = opt.From.bucket(r.of.Lineage.String())
	defer func() { err = errors.Join(err, r.bucket.Close()) }()
	if err := r.emptyDirectory(); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(path.Join(opt.Data, lockFile))
	if err != nil {
		return nil, fmt.Errorf("restore: %s is in use by another process: %w", opt.Data, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := r.shards(ctx); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	r.out.Duration = clock.Since(began)
	return &r.out, nil
}

// archive finds the archive to restore from: the one that is asked for, that of the position, or the newest.
func (r *restore) archive(ctx context.Context) (*ArchivedLineage, error) {
	if p := r.Until.Position; p != nil && r.Lineage == "" {
		all, err := r.From.Lineages(ctx)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if all[i].Identity.Short() == p.Lineage {
				return &all[i], nil
			}
		}
	}
	return r.From.pick(ctx, r.Lineage)
}

func (r *restore) emptyDirectory() error {
	names, err := r.fsys.List(r.Data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore: %w", err)
	}
	for _, n := range names {
		if n != lockFile {
			return fmt.Errorf("restore: %s is not empty (it holds %s); name a directory that is not there yet", r.Data, n)
		}
	}
	if err := r.fsys.MkdirAll(r.Data); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// shards restores all of them: that of a wanted position first, which says the time for the others.
func (r *restore) shards(ctx context.Context) error {
	id := &r.of.Identity
	order := make([]int, id.Shards)
	for i := range order {
		order[i] = i
	}
	until := archive.Until{}
	if !r.Until.Time.IsZero() {
		until.TimeMS = r.Until.Time.UnixMilli()
	}
	first := until
	if p := r.Until.Position; p != nil {
		if err := r.check(p); err != nil {
			return err
		}
		first.Seq = journal.Seq(p.Seq)
		order[0], order[p.Shard] = order[p.Shard], order[0]
	}
	r.out.Shards = make([]RestoredShard, id.Shards)
	for n, i := range order {
		u := until
		if n == 0 {
			u = first
		}
		if err := r.shard(ctx, i, u); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
		if n == 0 && r.Until.Position != nil {
			until.TimeMS = r.out.Shards[i].Time.UnixMilli()
		}
	}
	return nil
}

// check refuses a position that is none of this archive's.
func (r *restore) check(p *record.Position) error {
	id := &r.of.Identity
	known := p.Lineage == id.Short()
	for _, past := range id.Past {
		known = known || shortLineage(past.Lineage) == p.Lineage && int(p.Shard) < len(past.Until) && p.Seq <= past.Until[p.Shard]
	}
	switch {
	case !known:
		return errors.New("the position is of another history than this archive; leat archive status lists those that are there")
	case int(p.Shard) >= id.Shards || p.Seq == 0:
		return errors.New("the position is of a shard or a frame that this archive does not have")
	}
	return nil
}

// shard restores one shard up to a moment. One that had nothing yet at that time is left empty.
func (r *restore) shard(ctx context.Context, i int, until archive.Until) error {
	r.out.Shards[i].Shard = i
	dir := shardFolder(r.Data, i)
	if err := r.fsys.MkdirAll(dir); err != nil {
		return err
	}
	plan, err := archive.NewPlan(ctx, r.bucket, archive.Shard(i), until)
	if i > 0 && (errors.Is(err, archive.ErrBefore) || r.neverUsed(ctx, i)) {
		return nil // the namespaces that live there came later
	}
	if err != nil {
		return r.earlier(err)
	}
	if plan.Lineage != r.of.Lineage {
		return fmt.Errorf("%w: it is of lineage %s", archive.ErrLineage, plan.Lineage)
	}
	if err := plan.Fetch(ctx, r.fsys, dir, r.told(fmt.Sprintf("files of shard %d", i))); err != nil {
		return err
	}
	w := &rebuild{r: r, plan: plan, dir: dir, out: &r.out.Shards[i]}
	if plan.Checkpoint != nil {
		w.out.Checkpoint = uint64(plan.Checkpoint.Seq)
		r.out.Bytes += plan.Checkpoint.Bytes()
		r.out.Written += plan.Checkpoint.Bytes()
	}
	w.out.Leftover = len(plan.Leftover)
	r.out.Bytes += plan.PackBytes()
	return w.run(ctx, r.told(fmt.Sprintf("frames of shard %d", i)))
}

// earlier adds where a moment is to be found that lies before this archive.
func (r *restore) earlier(err error) error {
	past := r.of.Identity.Past
	if !errors.Is(err, archive.ErrOutside) || len(past) == 0 {
		return err
	}
	return fmt.Errorf("%w; this history was restored from lineage %s on %s: what lies before is in the archive of that one", err, past[len(past)-1].Hex(),
		r.of.Identity.Made.Format(time.RFC3339))
}

// neverUsed says that there is nothing at all of a shard.
func (r *restore) neverUsed(ctx context.Context, i int) bool {
	for range r.bucket.List(ctx, fmt.Sprintf("shard-%d/", i), "") {
		return false // an error counts as something
	}
	return true
}

func (r *restore) told(what string) archive.Progress {
	if r.Progress == nil {
		return nil
	}
	return func(done, total int64) { r.Progress(what, done, total) }
}

// finish writes leat.json: from then on the directory is one.
func (r *restore) finish() error {
	old := &r.of.Identity
	id := newIdentity(old.Shards)
	id.Format, id.Node = old.Format, old.Node
	until := make([]uint64, old.Shards)
	for i := range r.out.Shards {
		until[i] = r.out.Shards[i].Seq
	}
	// What is known of earlier lineages holds no further than this restore goes.
	for _, past := range old.Past {
		past.Until = slices.Clone(past.Until)
		for i := range min(len(past.Until), len(until)) {
			past.Until[i] = min(past.Until[i], until[i])
		}
		id.Past = append(id.Past, past)
	}
	id.Past = append(id.Past, PastLineage{Lineage: old.Lineage, Until: until, Made: old.Made})
	l, err := id.lineage()
	if err != nil {
		return err
	}
	r.out.Lineage, r.out.Of = l.String(), r.of.Lineage.String()
	for i := range old.Shards {
		if err := r.fsys.SyncDir(shardFolder(r.Data, i)); err != nil {
			return err
		}
	}
	if err := r.fsys.SyncDir(r.Data); err != nil {
		return err
	}
	return replaceIdentity(r.fsys, r.Data, id)
}

// rebuild writes the journal of one shard, and moves the rows of its checkpoint to where their frames are now.
//
//	frames   After+1 … Seq │ Seq+1 … end
//	journal  written       │ written
//	rows     moved         │ made by the node, which replays from Seq on
type rebuild struct {
	r    *restore
	plan *archive.Plan
	dir  string
	out  *RestoredShard

	j     *disk.Journal
	rows  *pebble.Store
	batch state.Batch
	mark  state.Mark // of the rows: its Seq stays, its place is the new one in the end
}

// relocateRowsMax is how many rows are moved at a time.
const relocateRowsMax = 10_000

func (w *rebuild) run(ctx context.Context, progress archive.Progress) (err error) {
	bulk := archive.NewBulk(w.r.fsys) // nothing half-restored is ever used, so no frame needs a sync of its own
	cfg := w.r.Journal
	cfg.RingBytes = 0
	if w.j, err = disk.Open(bulk, path.Join(w.dir, journalFolder), cfg, disk.Options{Log: w.r.Log}); err != nil {
		return err
	}
	err = w.openRows()
	if err == nil {
		err = w.plan.Frames(ctx, progress, w.frame)
	}
	err = errors.Join(err, w.closeRows(err == nil), w.j.Close())
	if err != nil {
		return err
	}
	return bulk.Flush()
}

// openRows opens the rows of the checkpoint, if there is one.
func (w *rebuild) openRows() error {
	if w.plan.Checkpoint == nil {
		return nil
	}
	w.out.Seq, w.out.Time = uint64(w.plan.Checkpoint.Seq), time.UnixMilli(w.plan.Checkpoint.TimeMS).UTC()
	cfg := w.r.State
	cfg.Log = w.r.Log
	rows, err := pebble.Open(path.Join(w.dir, stateFolder), cfg)
	if err != nil {
		return err
	}
	w.rows, w.mark = rows, rows.Applied()
	if w.mark.Seq != uint64(w.plan.Checkpoint.Seq) {
		return fmt.Errorf("the checkpoint at frame %d holds rows up to frame %d", w.plan.Checkpoint.Seq, w.mark.Seq)
	}
	return nil
}

// frame writes one frame. Frames come behind After, and so those whose rows name a place are all among them.
func (w *rebuild) frame(f archive.Frame) error {
	place, err := w.j.Append(journal.Frame{Seq: f.Seq, Facts: f.Facts, Data: [][]byte{f.Data}})
	if err != nil {
		return fmt.Errorf("frame %d: %w", f.Seq, err)
	}
	w.out.Frames++
	w.r.out.Written += int64(len(f.Facts) + len(f.Data))
	if uint64(f.Seq) > w.mark.Seq {
		w.out.Seq, w.out.Time = uint64(f.Seq), time.UnixMilli(f.TimeMS).UTC()
		return nil
	}
	if w.batch == nil {
		w.batch = w.rows.NewBatch()
	}
	if err := shard.Relocate(w.rows, w.batch, f.Facts, uint64(place)); err != nil {
		return fmt.Errorf("rows of frame %d: %w", f.Seq, err)
	}
	w.mark.Place = uint64(place) // of the last one in the end
	if w.batch.Len() < relocateRowsMax && uint64(f.Seq) < w.mark.Seq {
		return nil
	}
	return w.apply()
}

func (w *rebuild) apply() error {
	b := w.batch
	w.batch = nil
	return w.rows.Apply(b, w.mark)
}

// closeRows makes the moved rows durable, when all went well.
func (w *rebuild) closeRows(well bool) error {
	if w.rows == nil {
		return nil
	}
	var errs []error
	if w.batch != nil {
		if well {
			errs = append(errs, w.apply())
		} else {
			w.batch.Discard()
		}
	}
	if well {
		errs = append(errs, w.rows.Flush())
	}
	return errors.Join(append(errs, w.rows.Close())...)
}
