package node

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/shard"
	"leat/internal/clock"
	"leat/storage/archive"
	"leat/storage/journal"
	"leat/storage/state/pebble"
)

// shipping is the archive of a running node: a shipper and checkpoints for each shard.
//
// The bucket may fail for any time. Then nothing stops: journals keep what is not archived yet (Archived holds trimming back), and when that has
// filled the disk up to its reserve, events are refused as always then. So an archive that fails for long costs availability, never history.
type shipping struct {
	n      *Node
	cfg    ArchiveConfig
	place  *ArchivePlace
	bucket *laterBucket
	shards []*shipped
	cancel context.CancelFunc
	wg     sync.WaitGroup

	making sync.Mutex // one checkpoint or prune of the node at a time
}

// shipped is one shard.
type shipped struct {
	shipper     *archive.Shipper
	checkpoints *archive.Checkpoints
	rows        *pebble.Store
	dir         string // of the shard

	mu   sync.Mutex
	last time.Time // of the newest checkpoint that is known
	seq  uint64
	err  error // of the last try

	reaches uint64 // what the archive had at the start
}

const (
	shippingLook       = time.Second      // between looks at how the archive is doing
	archiveFailing     = 10 * time.Second // how long it fails before the platform tells
	shippingStopTime   = 5 * time.Second  // for what is not archived when the node stops
	registerPauseMin   = time.Second
	registerPauseMax   = time.Minute
	checkpointFirst    = time.Minute      // after a start, when one is due
	checkpointTime     = 12 * time.Hour   // that one may take
	checkpointTryAgain = 10 * time.Minute // after one that failed

	checkpointFlushTime = 10 * time.Minute // for the frames up to a checkpoint to be archived
)

// openShipping prepares the archive. Nothing is read or written before start.
func (n *Node) openShipping() error {
	if n.cfg.Archive.URL == "" {
		return nil
	}
	place, err := OpenArchivePlace(n.cfg.Archive.URL, n.cfg.Archive.Keys)
	if err != nil {
		return err
	}
	l, err := n.Identity.lineage()
	if err != nil {
		return err
	}
	n.shipping = &shipping{n: n, cfg: n.cfg.Archive, place: place, bucket: place.bucket(l.String())}
	return nil
}

// add prepares the archive of the next shard.
func (s *shipping) add(rows *pebble.Store, dir string) (*archive.Shipper, error) {
	i := len(s.shards)
	l, err := s.n.Identity.lineage()
	if err != nil {
		return nil, err
	}
	sh, err := archive.NewShipper(s.bucket, archive.Source{
		Shard: archive.Shard(i), Lineage: l, Log: s.n.log, Check: shard.CheckFrame,
		Journal: func() journal.Journal {
			if j := s.n.journals.of(i); j != nil {
				return j
			}
			return nil
		},
		TimeMS: func(facts []byte) int64 {
			ms, err := shard.FrameTime(facts)
			if err != nil {
				return 0 // the check refuses it
			}
			return ms
		},
	}, s.cfg.Packs)
	if err != nil {
		return nil, err
	}
	s.shards = append(s.shards, &shipped{shipper: sh, checkpoints: archive.NewCheckpoints(s.bucket, archive.Shard(i), l), rows: rows, dir: dir})
	return sh, nil
}

// wake tells the shipper of a shard that there is a frame.
func (s *shipping) wake(i uint16) {
	if int(i) < len(s.shards) {
		s.shards[i].shipper.Wake()
	}
}

// start ships, from when the broker is open on.
func (s *shipping) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for i, sh := range s.shards {
		s.wg.Go(func() {
			if err := sh.shipper.Run(ctx); err != nil && ctx.Err() == nil {
				s.n.log.Error("nothing is archived any more until somebody helps; the journal keeps what is not archived", "shard", i, "error", err)
			}
		})
	}
	s.wg.Go(func() { s.register(ctx) })
	s.wg.Go(func() { s.watch(ctx) })
	s.wg.Go(func() { s.schedule(ctx) })
}

// stop archives what is there, for a limited time, and ends everything. What is left is shipped after the next start. It is called before the
// journals are closed.
func (s *shipping) stop() error {
	if s.cancel == nil {
		return s.bucket.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), shippingStopTime)
	defer cancel()
	for i, sh := range s.shards {
		if st := sh.shipper.State(); !st.Running || st.Failing {
			continue
		}
		if err := sh.shipper.Flush(ctx); err != nil {
			s.n.log.Warn("not all is archived yet; the rest is after the next start", "shard", i, "error", err)
		}
	}
	s.cancel()
	s.wg.Wait()
	return s.bucket.Close()
}

// register writes once what the data directory is: a restore needs it.
func (s *shipping) register(ctx context.Context) {
	for pause := registerPauseMin; ; pause = min(2*pause, registerPauseMax) {
		err := s.place.register(ctx, s.n.Identity)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.n.log.Warn("the archive cannot be written; it is tried again", "archive", s.place.String(), "error", err, "again_in", pause)
		if clock.Sleep(ctx, pause) != nil {
			return
		}
	}
}

// watch tells in the system stream when the archive begins to fail and when it works again.
func (s *shipping) watch(ctx context.Context) {
	var since time.Time // it has been failing
	told := false
	for clock.Sleep(ctx, shippingLook) == nil {
		shard, why := s.failing()
		switch {
		case why == "" && told:
			s.n.Broker.System(broker.SystemEvent{Type: broker.TypeArchiveRecovered, Subject: "archive", Data: map[string]any{"archive": s.place.String()}})
			fallthrough
		case why == "":
			since, told = time.Time{}, false
		case since.IsZero():
			since = clock.Now()
		case !told && clock.Since(since) >= archiveFailing:
			told = true
			st := s.shards[shard].shipper.State()
			s.n.Broker.System(broker.SystemEvent{Type: broker.TypeArchiveFailing, Subject: "archive", Data: map[string]any{
				"archive": s.place.String(), "shard": shard, "error": why, "archived": uint64(st.Archived), "behind": st.LagSeqs,
			}})
		}
	}
}

// failing says which shard is not archived, and why; "" when all are.
func (s *shipping) failing() (int, string) {
	for i, sh := range s.shards {
		st := sh.shipper.State()
		switch {
		case st.Stopped != nil:
			return i, st.Stopped.Error()
		case st.Failing && st.LastError != nil:
			return i, st.LastError.Error()
		case st.Failing:
			return i, "it fails"
		}
	}
	return 0, ""
}

// control is what the broker lets administrators do.
func (s *shipping) control() broker.Archive {
	return broker.Archive{State: s.state, Checkpoint: s.checkpoint, Prune: s.prune}
}

func (s *shipping) state() broker.ArchiveState {
	l, _ := s.n.Identity.lineage() // was read at the start
	out := broker.ArchiveState{URL: s.place.String(), Lineage: l.String()}
	for i, sh := range s.shards {
		st := sh.shipper.State()
		x := broker.ArchiveShard{
			Shard: i, Running: st.Running, Archived: uint64(st.Archived), LagSeqs: st.LagSeqs, LagBytes: st.LagBytes, LagMS: st.Lag.Milliseconds(),
			Failing: st.Failing, Failures: st.Failures, Packs: st.Packs, SentBytes: st.SentBytes,
		}
		if st.LastError != nil {
			x.Error = st.LastError.Error()
		}
		if st.Stopped != nil {
			x.Stopped = st.Stopped.Error()
		}
		sh.mu.Lock()
		x.Checkpoint, x.CheckpointAt = sh.seq, sh.last
		if sh.err != nil {
			x.CheckpointErr = sh.err.Error()
		}
		sh.mu.Unlock()
		out.Shards = append(out.Shards, x)
	}
	return out
}

// diagnose adds what needs a hand.
func (s *shipping) diagnose(d *broker.Diagnosis) {
	for i, sh := range s.shards {
		st := sh.shipper.State()
		switch {
		case st.Stopped != nil:
			d.Find(broker.SeverityFault, "put right what it names, then restart the node; until then the journal keeps everything, and at the disk's reserve events are refused",
				"shard %d is not archived any more: %s", i, st.Stopped)
		case st.Failing:
			d.Find(broker.SeverityFault, "see that "+s.place.String()+" can be reached and written; until then the journal keeps everything, and at the disk's reserve events are refused",
				"shard %d cannot be archived, %d frames behind: %v", i, st.LagSeqs, st.LastError)
		}
		sh.mu.Lock()
		if sh.err != nil {
			d.Find(broker.SeverityWarning, "leat archive checkpoint", "the last checkpoint of shard %d was not made: %v", i, sh.err)
		}
		sh.mu.Unlock()
	}
}

// schedule makes checkpoints when they are due, and prunes after them. One that leads over a gap is due at once: without it nothing behind the gap can be
// restored.
func (s *shipping) schedule(ctx context.Context) {
	for s.learn(ctx) != nil {
		if clock.Sleep(ctx, checkpointFirst) != nil {
			return
		}
	}
	wait := max(s.cfg.CheckpointInterval-clock.Since(s.oldest()), checkpointFirst)
	if s.gap() {
		wait = 0
	}
	for clock.Sleep(ctx, wait) == nil {
		wait = s.cfg.CheckpointInterval
		if _, err := s.checkpoint(ctx); err != nil {
			if ctx.Err() == nil {
				s.n.log.Error("no checkpoint was made; it is tried again", "error", err, "again_in", checkpointTryAgain)
			}
			wait = checkpointTryAgain
			continue
		}
		if _, err := s.prune(ctx); err != nil && ctx.Err() == nil {
			s.n.log.Warn("the archive was not pruned", "error", err)
		}
	}
}

// oldest is when the shard whose newest checkpoint is the oldest had it.
func (s *shipping) oldest() time.Time {
	var t time.Time
	for i, sh := range s.shards {
		sh.mu.Lock()
		if i == 0 || sh.last.Before(t) {
			t = sh.last
		}
		sh.mu.Unlock()
	}
	return t
}

// gap says whether the journal begins behind what checkpoints and packs lead to: the directory was restored, or frames were trimmed while there
// was no archive.
func (s *shipping) gap() bool {
	for i, sh := range s.shards {
		j := s.n.journals.of(i)
		if j == nil {
			continue
		}
		first := uint64(0)
		stop := errors.New("stop")
		if err := j.Scan(0, 0, func(e journal.Entry) error { first = uint64(e.Seq); return stop }); err != nil && !errors.Is(err, stop) {
			continue // whoever reads it for its own sake tells
		}
		sh.mu.Lock()
		reaches := sh.reaches
		sh.mu.Unlock()
		if first > reaches+1 {
			return true
		}
	}
	return false
}

// learn finds out what there is: the newest checkpoints, and up to where packs reach.
func (s *shipping) learn(ctx context.Context) error {
	for i, sh := range s.shards {
		all, err := archive.ListCheckpoints(ctx, s.bucket, archive.Shard(i))
		if err != nil {
			return err
		}
		for !sh.shipper.State().Running { // it reads the packs' names
			if err := clock.Sleep(ctx, shippingLook/10); err != nil {
				return err
			}
			if st := sh.shipper.State(); st.Stopped != nil {
				return st.Stopped
			}
		}
		sh.mu.Lock()
		sh.reaches = uint64(sh.shipper.State().Resumed)
		if n := len(all); n > 0 && uint64(all[n-1].Seq) > sh.seq {
			sh.seq, sh.last = uint64(all[n-1].Seq), time.UnixMilli(all[n-1].TimeMS)
			sh.reaches = max(sh.reaches, sh.seq)
		}
		sh.mu.Unlock()
	}
	return nil
}

// prune takes away what the settings do not keep.
func (s *shipping) prune(ctx context.Context) (out broker.ArchivePruned, err error) {
	s.making.Lock()
	defer s.making.Unlock()
	keep, some := s.cfg.keep(clock.Now())
	if !some {
		return out, nil
	}
	for i, sh := range s.shards {
		did, err := sh.checkpoints.Prune(ctx, keep)
		out.Checkpoints, out.Packs = out.Checkpoints+did.Checkpoints, out.Packs+did.Packs
		out.Files, out.Bytes = out.Files+did.Files, out.Bytes+did.Bytes
		if err != nil {
			return out, fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return out, nil
}

// copyFolder is where a copy of a shard's rows lies while a checkpoint is made.
func (sh *shipped) copyFolder() string { return path.Join(sh.dir, checkpointFolder) }
