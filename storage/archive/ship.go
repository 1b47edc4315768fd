package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"leat/internal/clock"
	"leat/storage/journal"
)

// Shipper follows a journal and keeps a copy of every frame in a bucket.
//
//	Run: [resume] ──▶ collect frames ──▶ builder ──▶ seal ──▶ upload (Uploads at a time) ──▶ settled, in order ──▶ Archived
//	                      ▲ Wake                      ▲ PackBytes, PackAge, Flush
//
// One goroutine collects and seals; uploads hash, compress and send side by side and end in any order. When all uploads are
// taken the collecting waits, and the journal grows: that is what holds the frames while a bucket fails.
type Shipper struct {
	bucket Bucket
	src    Source
	cfg    Config
	log    *slog.Logger
	wake   chan struct{}
	slots  chan struct{}

	// The collector's.
	from    journal.Journal // the handle place belongs to
	place   journal.Place   // of the last frame that was taken
	last    journal.Seq     // that was taken, sealed or not
	lastCRC uint32
	lastMS  int64
	known   bool  // last means something: there is an archive, or a frame was taken
	begins  bool  // the next pack begins anew
	link    *link // to the last sealed pack
	open    *builder
	scratch []byte

	mu       sync.Mutex
	flying   []*pack // sealed, in order, not settled
	archived journal.Seq
	resumed  bool
	ended    bool // Run has
	state    State
	flush    journal.Seq   // seal at once up to here
	moved    chan struct{} // closed and made anew when archived moves or Run ends
	openAt   time.Time     // when the first frame of the open pack came, zero without one
	openSize int64
}

// scanPause is the least time between two looks at the journal, so that many small frames are read in one go.
const scanPause = 20 * time.Millisecond

// NewShipper makes a shipper; Run starts it.
func NewShipper(b Bucket, src Source, cfg Config) (*Shipper, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if src.Journal == nil || src.TimeMS == nil {
		return nil, errors.New("archive: a shipper needs a journal and a reader of times")
	}
	s := &Shipper{
		bucket: b, src: src, cfg: cfg, log: src.Log,
		wake: make(chan struct{}, 1), slots: make(chan struct{}, cfg.Uploads), moved: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s, nil
}

// Wake says that the journal has more frames. It never blocks and may be called by anybody; without it frames are found after PackAge.
func (s *Shipper) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Archived is the Seq through which all is durable in the bucket; 0 until the bucket has been read after a start. The journal may be
// trimmed with before ≤ Archived, which leaves the frame of that Seq: a resume finds by it that nothing is missing in between.
func (s *Shipper) Archived() journal.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.archived
}

// Run ships until ctx ends, whose error it then returns, or until something only a person can put right: ErrLineage, ErrDiverged,
// ErrTwoWriters, a DamageError of the newest pack, an error of Check. The bucket's failures are tried again for ever. It is called once.
func (s *Shipper) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var uploads sync.WaitGroup
	err := s.retry(ctx, "resume", func() error { return s.resume(ctx) })
	for err == nil && ctx.Err() == nil {
		err = s.step(ctx, &uploads, cancel)
	}
	cancel(err)
	uploads.Wait()
	if cause := context.Cause(ctx); err == nil || errors.Is(err, context.Canceled) {
		err = cause
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Running, s.ended = false, true
	if lasting(err) || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		s.state.Stopped = err
	}
	s.movedLocked()
	return err
}

// step takes what the journal has, sends a pack when it is time, and waits for more.
func (s *Shipper) step(ctx context.Context, uploads *sync.WaitGroup, cancel context.CancelCauseFunc) error {
	full, err := s.collect()
	switch {
	case lasting(err):
		return err
	case err != nil:
		s.failed("read the journal", err)
	default:
		s.worked("read the journal")
	}
	if s.due(full) {
		hot, err := s.slot(ctx)
		if err != nil {
			return err
		}
		s.send(ctx, hot && full, uploads, cancel)
	}
	if full {
		return nil
	}
	if err := clock.Sleep(ctx, scanPause); err != nil {
		return err
	}
	wait := s.cfg.PackAge
	if s.open != nil {
		wait = max(wait-clock.Since(s.open.since), 0)
	}
	t := clock.NewTimer(wait)
	defer t.Stop()
	select {
	case <-s.wake:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// due says whether the open pack is to be sealed.
func (s *Shipper) due(full bool) bool {
	if s.open == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return full || clock.Since(s.open.since) >= s.cfg.PackAge || s.flush >= s.open.head.first
}

// slot waits until one more pack may be on its way, and says whether it had to wait.
func (s *Shipper) slot(ctx context.Context) (waited bool, err error) {
	select {
	case s.slots <- struct{}{}:
		return len(s.slots) == cap(s.slots) && cap(s.slots) > 1, nil
	default:
	}
	select {
	case s.slots <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// send seals the open pack and starts its upload. The caller has a slot.
func (s *Shipper) send(ctx context.Context, hot bool, uploads *sync.WaitGroup, cancel context.CancelCauseFunc) {
	s.mu.Lock()
	p := s.open.seal(s.link, s.archived, hot)
	s.flying = append(s.flying, p)
	s.openAt, s.openSize = time.Time{}, 0
	s.mu.Unlock()
	s.open, s.link = nil, p.link
	uploads.Go(func() {
		defer func() { <-s.slots }()
		if err := s.upload(ctx, p); err != nil {
			cancel(err)
		}
	})
}

var errEnded = errors.New("archive: flush: the shipper was stopped")

// Flush ships all that is in the journal now and returns when it is archived. It needs Run to be running.
func (s *Shipper) Flush(ctx context.Context) error {
	j := s.src.Journal()
	if j == nil {
		return fmt.Errorf("archive: flush: %w", journal.ErrClosed)
	}
	target := j.Tail().Seq
	for {
		s.mu.Lock()
		s.flush = max(s.flush, target)
		done, moved, ended, stopped := s.resumed && s.archived >= target, s.moved, s.ended, s.state.Stopped
		s.mu.Unlock()
		switch {
		case stopped != nil:
			return stopped
		case done:
			return nil
		case ended:
			return errEnded
		}
		s.Wake()
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("archive: flush: %w", ctx.Err())
		}
	}
}

// retry calls do until it works, ctx ends, or trying again cannot help.
func (s *Shipper) retry(ctx context.Context, what string, do func() error) error {
	pause := RetryMin
	for {
		err := do()
		switch {
		case err == nil:
			s.worked(what)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case lasting(err):
			return err
		}
		s.failed(what, err)
		if err := clock.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, s.cfg.RetryMax)
	}
}
