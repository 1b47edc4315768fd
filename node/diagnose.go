package node

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"leat/broker"
	"leat/storage/vfs"
	osfs "leat/storage/vfs/os"
)

const (
	// journalUsualRings is up to how many rings' worth of frames a journal has when nothing holds it: one that is filling, and windows that are
	// being moved out of it.
	journalUsualRings = 3
	// diagnoseFilesMax and diagnoseDepthMax bound a walk over a data directory.
	diagnoseFilesMax = 200_000
	diagnoseDepthMax = 4
)

// diagnose adds what the broker does not know. See broker.Options.Diagnose.
func (n *Node) diagnose(d *broker.Diagnosis) {
	d.Version, d.Data = n.opt.Version, n.opt.Data
	d.Clock = n.clock.get()
	d.Stages = n.stageTimes()
	if n.opt.Data == "" {
		return
	}
	d.Format, d.FormatNewest = n.Identity.Format, DirectoryFormat
	disk, err := diskUse(osfs.New(), n.opt.Data)
	if err != nil {
		d.Find(broker.SeverityWarning, "ls -lR "+n.opt.Data, "the data directory could not be looked through: %s", err)
	}
	d.Disk = disk
	if n.shipping != nil {
		n.shipping.diagnose(d)
	}
	for i, j := range n.journals.get() {
		if i >= len(d.Shards) {
			break
		}
		m := j.Metrics()
		s := &d.Shards[i]
		s.JournalBytes = m.FilesBytes
		if n.Identity.Format >= formatTrimmed {
			s.JournalUsual = journalUsualRings * max(n.cfg.Journal.RingBytes, n.cfg.Broker.SegmentWindowBytes)
		}
		if m.Failed && s.Unhealthy == "" {
			s.Unhealthy = "its journal takes no frames any more"
		}
		if m.RingErrors > 0 {
			d.Find(broker.SeverityWarning, "look for ring in the node's log", "files of the journal of shard %d could not be filled ahead %d times: writes are slower", i, m.RingErrors)
		}
	}
}

// formatTrimmed is the first format whose journals are trimmed; with an older one they keep everything.
const formatTrimmed = 2

// formatSubscribed is the first format whose journals know subscriptions.
const formatSubscribed = 3

// formatTransactions is the first format whose journals know transactions.
const formatTransactions = 4

// formatTags is the first format whose journals know types and tags.
const formatTags = 5

// stageTimes reads the histograms of the pipeline.
func (n *Node) stageTimes() (out []broker.StageTimes) {
	families, err := n.Registry.Gather()
	if err != nil {
		n.log.Warn("some metrics could not be read", "error", err) // the others are there
	}
	for _, f := range families {
		if f.GetName() != stageMetric {
			continue
		}
		for _, m := range f.GetMetric() {
			h := m.GetHistogram()
			uppers, counts := make([]float64, 0, len(stageBuckets)), make([]uint64, 0, len(stageBuckets))
			for _, b := range h.GetBucket() {
				uppers, counts = append(uppers, b.GetUpperBound()), append(counts, b.GetCumulativeCount())
			}
			s := broker.StageTimes{Count: h.GetSampleCount(), P50: 1e3 * quantile(0.5, h.GetSampleCount(), uppers, counts), P99: 1e3 * quantile(0.99, h.GetSampleCount(), uppers, counts)}
			for _, l := range m.GetLabel() {
				s.Stage = l.GetValue()
			}
			out = append(out, s)
		}
	}
	return out
}

// quantile is the upper end of the bucket that holds the quantile q of count values; the last one stands for all beyond it. counts are cumulative.
func quantile(q float64, count uint64, uppers []float64, counts []uint64) float64 {
	for i, c := range counts {
		if float64(c) >= q*float64(count) {
			return uppers[i]
		}
	}
	if len(uppers) == 0 {
		return 0
	}
	return uppers[len(uppers)-1]
}

// diskUse sums up the folders of a data directory.
func diskUse(fsys vfs.FS, dir string) ([]broker.DiskUse, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	w := diskWalk{fsys: fsys, left: diagnoseFilesMax}
	for _, name := range names {
		id, ok := strings.CutPrefix(name, "shard-")
		shard, err := strconv.Atoi(id)
		if !ok || err != nil {
			w.add(broker.DiskUse{Shard: -1, Part: name}, path.Join(dir, name))
			continue
		}
		parts, err := fsys.List(path.Join(dir, name))
		if err != nil {
			return w.out, err
		}
		for _, part := range parts {
			w.add(broker.DiskUse{Shard: shard, Part: part}, path.Join(dir, name, part))
		}
	}
	slices.SortStableFunc(w.out, func(x, y broker.DiskUse) int { return x.Shard - y.Shard })
	if w.left < 0 {
		return w.out, fmt.Errorf("it has more than %d files", diagnoseFilesMax)
	}
	return w.out, w.err
}

type diskWalk struct {
	fsys vfs.FS
	out  []broker.DiskUse
	left int
	err  error // the first one
}

func (w *diskWalk) add(u broker.DiskUse, name string) {
	w.sum(&u, name, diagnoseDepthMax)
	w.out = append(w.out, u)
}

// sum adds a file, or what is below a folder. Files come and go meanwhile.
func (w *diskWalk) sum(u *broker.DiskUse, name string, depth int) {
	if w.left--; w.left < 0 {
		return
	}
	if names, err := w.fsys.List(name); err == nil && depth > 0 {
		for _, n := range names {
			w.sum(u, path.Join(name, n), depth-1)
		}
		return
	}
	size, err := fileSize(w.fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil && w.err == nil:
		w.err = err
	case err == nil:
		u.Bytes, u.Files = u.Bytes+size, u.Files+1
	}
}

func fileSize(fsys vfs.FS, name string) (int64, error) {
	f, err := fsys.Open(name, vfs.Read)
	if err != nil {
		return 0, err
	}
	size, err := f.Size()
	return size, errors.Join(err, f.Close())
}

// Diagnose tells how a data directory is doing whose node does not run. It changes nothing.
func Diagnose(fsys vfs.FS, dir string, reserve int64) (broker.Diagnosis, error) {
	d := broker.Diagnosis{Data: dir, FreeBytes: -1, FormatNewest: DirectoryFormat}
	id, err := readIdentity(fsys, dir)
	if err != nil {
		return d, fmt.Errorf("%s is no data directory: %w", dir, err)
	}
	d.Format, d.Lineage = id.Format, id.Lineage
	lock, err := fsys.Lock(path.Join(dir, lockFile))
	if err != nil {
		d.Running = true
		d.Find(broker.SeverityNote, "leat doctor", "a node runs on this directory; it can tell more")
	} else if err := lock.Close(); err != nil {
		return d, err
	}
	if free, err := fsys.Free(dir); err == nil {
		d.FreeBytes, d.ReserveBytes = free, reserve
	}
	if d.Disk, err = diskUse(fsys, dir); err != nil {
		return d, err
	}
	for i := range id.Shards {
		d.Shards = append(d.Shards, broker.ShardState{Shard: i})
		if !slices.ContainsFunc(d.Disk, func(u broker.DiskUse) bool { return u.Shard == i && u.Part == "journal" }) {
			d.Find(broker.SeverityFault, "restore it: leat restore", "the journal of shard %d is not there", i)
		}
	}
	if !d.Running {
		d.Find(broker.SeverityNote, "leat journal check "+dir, "what is in the files was not looked at")
	}
	d.Judge()
	return d, nil
}
