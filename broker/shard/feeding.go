package shard

import (
	"sync"
	"time"

	"leat/broker/subscription"
	"leat/internal/clock"
)

// Limits of what is looked up for subscriptions.
const (
	feedersMax   = 2  // at once, per shard
	feedsWaiting = 16 // answers that the loop has not taken yet
	feedPauseMin = 50 * time.Millisecond
	feedPauseMax = 5 * time.Second
	tickEvery    = 100 * time.Millisecond // a clock that jumps is noticed within that
)

// feeder answers what heads want to be shown. The list of what is asked is bounded by the sources of subscriptions: each asks once until it
// is answered. What was asked by a head that is gone is left, and its answer too.
type feeder struct {
	mu      sync.Mutex
	wants   []asked
	some    chan struct{}
	feeds   chan fed
	running sync.WaitGroup
}

type asked struct {
	subscription.Want
	core  *Core
	pause time.Duration
}

type fed struct {
	*subscription.Feed
	skipped []subscription.Handle
	core    *Core
}

func (x *feeder) init() {
	x.some, x.feeds = make(chan struct{}, 1), make(chan fed, feedsWaiting)
}

func (s *Shard) startFeeding() {
	if s.cfg.Attendant.Look == nil {
		return
	}
	for range feedersMax {
		s.feeder.running.Go(s.feed)
	}
}

// ask hands over what the head wants.
func (x *feeder) ask(core *Core, wants []subscription.Want) {
	x.mu.Lock()
	for _, w := range wants {
		x.wants = append(x.wants, asked{Want: w, core: core})
	}
	x.mu.Unlock()
	x.signal()
}

func (x *feeder) signal() {
	select {
	case x.some <- struct{}{}:
	default:
	}
}

func (x *feeder) next() (a asked, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.wants) == 0 {
		x.wants = nil
		return a, false
	}
	a, x.wants = x.wants[0], x.wants[1:]
	if len(x.wants) > 0 {
		x.signal() // for another one
	}
	return a, true
}

func (s *Shard) feed() {
	x := &s.feeder
	for {
		a, ok := x.next()
		if !ok {
			select {
			case <-x.some:
				continue
			case <-s.stop:
				return
			}
		}
		f, skipped, err := s.cfg.Attendant.Look(a.Want)
		if err != nil {
			s.askAgain(a, err)
			continue
		}
		select {
		case x.feeds <- fed{f, skipped, a.core}:
		case <-s.stop:
			return
		}
	}
}

// askAgain puts what could not be answered back, after a pause.
func (s *Shard) askAgain(a asked, err error) {
	if a.pause == 0 {
		s.cfg.Log.Warn("records cannot be read for a subscription; it is tried again", "shard", s.cfg.ID, "subscription", a.Sub, "error", err)
	}
	a.pause = min(max(2*a.pause, feedPauseMin), feedPauseMax)
	clock.AfterFunc(a.pause, func() {
		s.feeder.mu.Lock()
		s.feeder.wants = append(s.feeder.wants, a)
		s.feeder.mu.Unlock()
		s.feeder.signal()
	})
}

// attention is what the loop listens to besides requests, while there are subscriptions or named producers. Without any, all of it is nil and costs nothing.
type attention struct {
	feeds chan fed
	shown chan struct{}
	timer <-chan time.Time
}

// attend hands out what need not wait for a frame, and says what to listen to.
func (s *Shard) attend(p *pipeline) (a attention) {
	c := p.core
	if c.attends() {
		s.attendSubscriptions(p, &a)
	}
	if at, some := c.NextMS(); some {
		a.timer = p.alarm(at, s.cfg.Clock.Now())
	} else {
		p.alarmAt = 0
	}
	return a
}

func (s *Shard) attendSubscriptions(p *pipeline, a *attention) {
	c := p.core
	if !c.follow.Empty() {
		s.cfg.Attendant.Follow(&c.follow)
		c.follow.reset()
	}
	if len(c.wants) > 0 {
		s.feeder.ask(c, c.wants)
		c.wants = c.wants[:0]
	}
	a.feeds, a.shown = s.feeder.feeds, p.seen
}

// alarm is a timer for a time of the shard's clock, which is looked at every now and then: it may jump.
func (p *pipeline) alarm(atMS int64, now time.Time) <-chan time.Time {
	if p.alarmAt == atMS {
		return p.timer.C
	}
	wait := min(max(time.Duration(atMS-now.UnixMilli())*time.Millisecond, 0), tickEvery)
	if p.alarmAt = atMS; p.timer == nil {
		p.timer = clock.NewTimer(wait)
	} else {
		p.timer.Reset(wait)
	}
	return p.timer.C
}

func (s *Shard) fed(p *pipeline, f fed) {
	if f.core == p.core {
		p.core.Feed(f.Feed, f.skipped, s.cfg.Clock.Now().UnixMilli())
	}
}

func (s *Shard) tick(p *pipeline) {
	p.alarmAt = 0
	if p.core.Tick(s.cfg.Clock.Now().UnixMilli()) {
		p.alarmAt = -1 // at once
		p.timer.Reset(0)
	}
}
