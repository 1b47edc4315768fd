package push

import (
	"context"
	"errors"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
	"leat/internal/hooks"
	"leat/internal/outbound"
)

// line pushes one subscription, from when it asks for it until it does not any more. What it is told by set is taken up by its one goroutine:
//
//	begin -> handshake -> attach -> pump ---- the member is gone, or an error: a pause, and attach again
//	  ^                                  \--- other settings: begin again, after what is under way has ended
//	  +-------------------------------------/
type line struct {
	s     *Sender
	key   lineKey
	after <-chan struct{} // closed when the line before this one has ended; nil: there was none
	done  chan struct{}
	tally tally

	mu       sync.Mutex
	sub      broker.OwnSubscription
	doc      Document
	taken    uint64 // revision of the subscription by which is sent
	gone     bool
	restart  context.CancelFunc // ends what goes on with settings that do not hold any more; nil: nothing does
	endpoint *outbound.Endpoint // nil: none now
	kick     chan struct{}      // somebody wants a pause between two tries to end
	now      progress
}

// progress is what the line is at.
type progress struct {
	state string
	why   string
	since time.Time
	until time.Time // when it tries again
}

// Pauses between tries to attach or to make a handshake, doubled from the first to the last.
const (
	pauseFirst = time.Second
	pauseLast  = time.Minute
)

func newLine(s *Sender, k lineKey, after <-chan struct{}) *line {
	return &line{s: s, key: k, after: after, done: make(chan struct{}), kick: make(chan struct{}, 1)}
}

// set says what holds from now on.
func (l *line) set(sub *broker.OwnSubscription, doc *Document) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.doc.URL == ""
	changed := !first && !l.doc.same(doc)
	was := l.doc.Paused
	again := l.doc.Refused != nil && doc.Refused == nil
	l.sub, l.doc = *sub, *doc
	if again { // Resume's own kick can come before what it wrote
		l.wake()
	}
	if changed && l.restart != nil {
		l.restart()
	} else if l.restart != nil {
		l.taken = sub.Revision
	}
	if l.endpoint != nil && !changed {
		follow(l.endpoint, was, doc.Paused)
	}
}

// follow has an endpoint pause or go on as the document says.
func follow(e *outbound.Endpoint, was, is *Mark) {
	switch {
	case is != nil:
		e.Pause(is.Why) // nothing happens when it is
	case was != nil:
		e.Resume()
	}
}

func (l *line) holds(revision uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken >= revision
}

// end has the line end.
func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	if l.restart != nil {
		l.restart()
	}
}

// resume closes the endpoint's gate, and ends a pause between tries.
func (l *line) resume() {
	l.mu.Lock()
	e := l.endpoint
	l.mu.Unlock()
	if e != nil {
		e.Resume()
	}
	l.wake()
}

// wake ends a pause between two tries.
func (l *line) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *line) run(ctx context.Context) {
	defer close(l.done)
	if l.after != nil {
		select {
		case <-l.after:
		case <-ctx.Done():
			return
		}
	}
	for ctx.Err() == nil {
		l.mu.Lock()
		if l.gone {
			l.mu.Unlock()
			return
		}
		doc := l.doc
		l.taken = l.sub.Revision
		round, cancel := context.WithCancel(ctx)
		l.restart = cancel
		l.mu.Unlock()
		l.round(round, &doc)
		l.mu.Lock()
		l.restart = nil
		l.mu.Unlock()
		cancel()
	}
}

// round pushes with settings until they do not hold any more.
func (l *line) round(ctx context.Context, doc *Document) {
	if !l.consent(ctx, doc) {
		return
	}
	paused := ""
	if doc.Paused != nil {
		paused = doc.Paused.Why
	}
	e, err := l.s.client.Endpoint(doc.endpoint(paused))
	if err != nil { // it was checked when it was set; since then the node's configuration was changed
		l.at(StateInvalid, err.Error(), time.Time{})
		<-ctx.Done()
		return
	}
	defer e.Close()
	var signer *hooks.Signer
	if len(doc.Secrets) > 0 {
		if signer, err = hooks.NewSigner(doc.Secrets...); err != nil {
			l.at(StateInvalid, err.Error(), time.Time{})
			<-ctx.Done()
			return
		}
	}
	l.mu.Lock()
	l.endpoint = e
	follow(e, doc.Paused, l.doc.Paused) // it may have changed during the handshake
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.endpoint = nil
		l.mu.Unlock()
	}()
	pause := pauseFirst
	for ctx.Err() == nil {
		began := clock.Now()
		err := l.pump(ctx, doc, e, signer)
		if ctx.Err() != nil {
			return
		}
		if clock.Since(began) > pauseLast {
			pause = pauseFirst
		}
		state := StateWaiting
		switch {
		case fault.Is(err, fault.Denied):
			state = StateDenied
		case fault.Is(err, fault.NotFound):
			state = StateWaiting // it is being deleted: the line is told
		case err != nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Conflict):
			l.s.log.Warn("a push was interrupted; it goes on", "subscription", l.key.name, "namespace", l.key.namespace, "error", err)
		}
		l.wait(ctx, state, err, &pause)
	}
}

// pump takes part in the subscription until the member is gone.
func (l *line) pump(ctx context.Context, doc *Document, e *outbound.Endpoint, signer *hooks.Signer) error {
	lease := doc.timeout() + leaseBeyond
	c := &broker.Caller{Principal: doc.By, Namespace: l.key.namespace, Protocol: "push", Client: l.key.name}
	m, err := l.s.broker.Attach(ctx, c, l.key.name, broker.MemberOptions{Lease: lease})
	if err != nil {
		return err
	}
	l.at(StateSending, "", time.Time{})
	u := newPump(l, doc, e, signer, m, c, lease)
	err = u.run(ctx)
	detach, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	_ = m.Detach(detach, false) // what it has goes back by itself otherwise
	return err
}

// wait pauses before another try, and says so.
func (l *line) wait(ctx context.Context, state string, err error, pause *time.Duration) {
	why := ""
	if f, ok := errors.AsType[*fault.Error](err); ok {
		why = f.Text
	} else if err != nil {
		why = err.Error()
	}
	l.at(state, why, clock.Now().Add(*pause))
	timer := clock.NewTimer(*pause)
	defer timer.Stop()
	*pause = min(2**pause, pauseLast)
	select {
	case <-timer.C:
	case <-l.kick:
		*pause = pauseFirst
	case <-ctx.Done():
	}
}

// at notes what the line is at.
func (l *line) at(state, why string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now.state != state {
		l.now.since = clock.Now()
	}
	l.now.state, l.now.why, l.now.until = state, why, until
}

// policy is what the subscription says about attempts, at this moment.
func (l *line) policy() (attemptsMax int, backoff bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.sub.Config.Policy
	return int(p.AttemptsMax), p.BackoffMS > 0
}
