package shard

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/fault"
	"leat/internal/clock"
	"leat/storage/journal"
)

// pipeline is one life of the three goroutines, from a recovery to the next failure.
//
// The race that matters: a frame fails while the next one is being filled. The writer marks it failed and closes broken, and from then
// on passes frames through without writing them. The decider sees broken, sends nothing more, and closes its end; the publisher gets
// every frame in order, publishes none from the failed one on, and keeps them for settle. Nothing decided on a head that holds the
// failed frame is ever answered with success.
//
// The express lane: when no frame is in flight and nobody else waits, handing a frame over twice would only cost two wake-ups. Then the
// decider writes and publishes it itself. inFlight, which only the decider raises and only the publisher lowers when it is done with a
// frame, says that the other two are idle; what they have written is visible to whoever reads it as 0.
type pipeline struct {
	core     *Core
	journal  journal.Journal
	toSync   chan *Frame
	toShow   chan *Frame
	broken   chan struct{}
	breaking sync.Once
	inFlight atomic.Int32
	writeErr error    // the first failure; of whoever writes
	failed   []*Frame // in order; of whoever publishes
	err      error    // of a publish, likewise
	shown    chan struct{}
	flushed  time.Time

	ready     chan struct{} // holds a token while the writer waits for a frame
	seen      chan struct{} // holds one after a frame was published, for the decider
	timer     *time.Timer   // of the decider, as what follows
	alarmAt   int64         // what timer was set for; 0: it is not
	lastFlush bool          // what is lazy was recorded before stopping
}

// stop tells the decider that no frame will succeed any more.
func (p *pipeline) stop() { p.breaking.Do(func() { close(p.broken) }) }

const stallAfter = 50 * time.Millisecond

// run serves until Close, through failures and recoveries.
func (s *Shard) run(core *Core) {
	defer close(s.done)
	for core != nil {
		j := *s.published.journal.Load()
		p := &pipeline{
			core: core, journal: j, toSync: make(chan *Frame, 1), toShow: make(chan *Frame, 1), broken: make(chan struct{}), shown: make(chan struct{}),
			flushed: clock.Now(), ready: make(chan struct{}, 1), seen: make(chan struct{}, 1),
		}
		p.ready <- struct{}{}
		go s.write(p)
		go s.publish(p)
		s.decide(p)
		close(p.toSync)
		<-p.shown
		if p.timer != nil {
			p.timer.Stop()
		}
		if core = s.settle(p, j); core != nil && s.cfg.Attendant.Reset != nil {
			s.cfg.Attendant.Reset()
		}
	}
	s.refuseWaiting()
}

// decide moves requests from the inbox into frames until the shard stops or a frame fails.
func (s *Shard) decide(p *pipeline) {
	for {
		if p.core.open == nil {
			a := s.attend(p)
			if !s.listen(p, &a) {
				return
			}
			if p.core.open == nil {
				continue
			}
		}
		// Take what is there, then hand over as soon as the writer is free; until then keep filling.
		for !p.core.Full() {
			select {
			case r := <-s.inbox:
				s.step(p, r)
				continue
			default:
			}
			break
		}
		inbox := s.inbox
		if p.core.Full() {
			inbox = nil
		}
		p.core.open.Stamps.Decided = clock.Now()
		a := s.attend(p) // before replies: who is told that its credit was taken back has all that came before
		if p.inFlight.Load() == 0 && len(s.inbox) == 0 {
			f := p.core.Take()
			s.writeFrame(p, f)
			s.showFrame(p, f)
			s.caughtUp(p)
			if p.writeErr != nil || p.err != nil {
				return
			}
			continue
		}
		select {
		case <-p.ready:
			p.inFlight.Add(1)
			p.toSync <- p.core.Take()
			s.caughtUp(p)
		case r := <-inbox:
			s.step(p, r)
		case f := <-a.feeds:
			s.fed(p, f)
		case <-a.shown:
			s.caughtUp(p)
		case <-a.timer:
			s.tick(p)
		case <-p.broken:
			return
		}
	}
}

// caughtUp tells the core how far frames are published.
func (s *Shard) caughtUp(p *pipeline) {
	if p.core.attends() {
		p.core.setTime(s.cfg.Clock.Now().UnixMilli())
	}
	p.core.Published(s.published.Seq())
}

// listen waits for something to do while no frame is open. It answers false when there is nothing to be done any more.
func (s *Shard) listen(p *pipeline, a *attention) bool {
	select {
	case r := <-s.inbox:
		s.step(p, r)
	case f := <-a.feeds:
		s.fed(p, f)
	case <-a.shown:
		s.caughtUp(p)
	case <-a.timer:
		s.tick(p)
	case <-p.broken:
		return false
	case <-s.stop:
		switch {
		case len(s.inbox) > 0:
			s.step(p, <-s.inbox)
		case p.core.attends() && p.core.Lazy() && !p.lastFlush:
			p.lastFlush = true
			p.core.flushLazily()
		default:
			return false
		}
	}
	return true
}

func (s *Shard) step(p *pipeline, r *Request) {
	now := s.cfg.Clock.Now()
	opens := p.core.open == nil
	p.core.Step(r, now.UnixMilli())
	if opens {
		p.core.open.Stamps.Opened = now
	}
	if took := clock.Since(now); took > stallAfter {
		s.cfg.Log.Warn("the decide loop stalled", "shard", s.cfg.ID, "command", r.Command.kind(), "took", took)
	}
}

// write makes frames durable, one at a time.
func (s *Shard) write(p *pipeline) {
	defer close(p.toShow)
	for f := range p.toSync {
		s.writeFrame(p, f)
		p.toShow <- f
		p.ready <- struct{}{} // taken before the frame was sent, so there is room
	}
}

func (s *Shard) writeFrame(p *pipeline, f *Frame) {
	switch {
	case p.writeErr != nil:
		f.failed = errNotTried
	case !f.Empty():
		s.keeper.admit()
		place, err := p.journal.Append(f.toWrite())
		if err != nil {
			p.writeErr, f.failed = err, err
			p.stop()
		}
		f.Place = uint64(place)
	}
	f.Stamps.Written = clock.Now()
}

var errNotTried = errors.New("shard: an earlier frame failed, this one was not written")

// publish shows durable frames and releases their replies.
func (s *Shard) publish(p *pipeline) {
	defer close(p.shown)
	for f := range p.toShow {
		s.showFrame(p, f)
		p.inFlight.Add(-1)
		select {
		case p.seen <- struct{}{}:
		default:
		}
	}
}

func (s *Shard) showFrame(p *pipeline, f *Frame) {
	if f.failed != nil || p.err != nil {
		p.failed = append(p.failed, f)
		return
	}
	if !f.Empty() {
		if err := s.published.Apply(f.Seq, f.Place, f.Facts, f.Data); err != nil {
			p.err = err
			p.stop()
			p.failed = append(p.failed, f)
			return
		}
		s.keeper.published(int64(len(f.Facts)) + f.DataBytes)
	}
	f.Stamps.Published = clock.Now()
	if !f.Follow.Empty() && s.cfg.Attendant.Follow != nil {
		s.cfg.Attendant.Follow(&f.Follow)
	}
	for _, r := range f.Requests {
		close(r.done)
	}
	at := f.Stamps.Published
	s.released(f)
	if s.cfg.FlushInterval > 0 && at.Sub(p.flushed) > s.cfg.FlushInterval {
		p.flushed = at
		s.flushing.Go(s.flush)
	}
}

func (s *Shard) flush() {
	if err := s.published.store.Flush(); err != nil {
		s.cfg.Log.Error("state was not flushed", "shard", s.cfg.ID, "error", err)
	}
}

func (s *Shard) released(f *Frame) {
	f.Stamps.Released = clock.Now()
	if s.cfg.OnFrame != nil && (len(f.Requests) > 0 || !f.Empty()) {
		var first Stages
		if len(f.Requests) > 0 {
			first = f.Requests[0].Stages
		}
		s.cfg.OnFrame(&FrameStats{Stages: first, Stamps: f.Stamps, Requests: len(f.Requests), Bytes: int64(len(f.Facts)) + f.DataBytes})
	}
	f.Recycle()
}

// settle answers what failed and returns the core of the next life, nil when the shard stops.
func (s *Shard) settle(p *pipeline, j journal.Journal) *Core {
	if f := p.core.Take(); f != nil {
		f.failed = errNotTried
		p.failed = append(p.failed, f)
	}
	if len(p.failed) == 0 && p.err == nil {
		return nil // Close
	}
	cause := p.err
	if cause == nil {
		cause = p.failed[0].failed
	}
	s.tellFailure(cause)
	for _, f := range p.failed {
		for _, r := range f.Requests {
			r.Fault = failure(f.failed, p.err)
			close(r.done)
		}
	}
	if p.err == nil && errors.Is(cause, journal.ErrNoSpace) {
		// Nothing was written and the journal is as it was: only head has to forget.
		core, err := s.newCore(p.failed[len(p.failed)-1].Seq + 1)
		if err == nil {
			return core
		}
		s.cfg.Log.Error("head could not be made again; the shard is recovered", "shard", s.cfg.ID, "error", err)
	}
	return s.reopen(j, p.err)
}

// fullSays is how often it is said that the disk is full: every append fails meanwhile, and is answered.
const fullSays = time.Minute

// tellFailure logs why a frame failed.
func (s *Shard) tellFailure(cause error) {
	if !errors.Is(cause, journal.ErrNoSpace) {
		s.cfg.Log.Error("a frame failed", "shard", s.cfg.ID, "error", cause)
		return
	}
	s.full.frames++
	if now := s.cfg.Clock.Now(); s.full.said.IsZero() || now.Sub(s.full.said) >= fullSays {
		s.cfg.Log.Error("the disk is full: frames are refused", "shard", s.cfg.ID, "frames", s.full.frames, "error", cause)
		s.full.said, s.full.frames = now, 0
	}
}

func failure(frame, publishing error) *fault.Error {
	switch {
	case publishing != nil:
		return fault.New(fault.Unknown, "append", "", "the node failed after writing; the append may have happened").From(publishing)
	case errors.Is(frame, journal.ErrNoSpace):
		return fault.New(fault.Unavailable, "append", "", "the disk is full; nothing was written").Because(fault.ReasonDiskReserve).From(frame)
	case errors.Is(frame, errNotTried):
		return fault.New(fault.Unavailable, "append", "", "the disk failed before this was written").From(frame)
	case errors.Is(frame, journal.ErrFenced):
		return fault.New(fault.Fenced, "append", "", "another process has taken this data directory").From(frame)
	default:
		return fault.New(fault.Unknown, "append", "", "the disk failed while writing; the append may have happened").From(frame)
	}
}

// Reopening is tried until it works or the shard stops, with growing pauses.
const (
	reopenPauseMin = 50 * time.Millisecond
	reopenPauseMax = 5 * time.Second
)

func (s *Shard) reopen(j journal.Journal, publishing error) *Core {
	why := "the disk failed; the shard is being recovered"
	if publishing != nil {
		// Rows and readers may stand in the middle of a frame: only a fresh start can tell.
		why = "state could not be written; restart the node"
	}
	s.state.Store(&why)
	s.refuseWaiting()
	if err := j.Close(); err != nil {
		s.cfg.Log.Warn("failed journal did not close cleanly", "shard", s.cfg.ID, "error", err)
	}
	if publishing != nil {
		s.serveRefusals()
		return nil
	}
	for pause := reopenPauseMin; ; pause = min(2*pause, reopenPauseMax) {
		core, err := s.recover()
		if err == nil {
			s.cfg.Log.Info("recovered after a failed write", "shard", s.cfg.ID, "seq", s.published.Seq())
			s.state.Store(nil)
			return core
		}
		s.cfg.Log.Error("recovery failed", "shard", s.cfg.ID, "error", err, "again_in", pause)
		select {
		case <-clock.After(pause):
			s.refuseWaiting()
		case <-s.stop:
			return nil
		}
	}
}

// refuseWaiting answers what waits while the shard does not serve.
func (s *Shard) refuseWaiting() {
	why := "the node is stopping"
	if w := s.state.Load(); w != nil {
		why = *w
	}
	for {
		select {
		case r := <-s.inbox:
			r.Fault = unavailable(why)
			close(r.done)
		default:
			return
		}
	}
}

func (s *Shard) serveRefusals() {
	for {
		select {
		case r := <-s.inbox:
			r.Fault = unavailable(*s.state.Load())
			close(r.done)
		case <-s.stop:
			return
		}
	}
}
